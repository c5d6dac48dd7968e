//! Why an upstream fails, for the log.
//!
//! A warning tells each cause once a minute, with the request that met it first: who has to
//! mend it need not restart with another level. In between, and beyond a few causes at a
//! time, it is for those who ask (`debug`). A cause is what our own libraries say of a
//! connection: names of hosts may stand in it, what was sent and received does not.

use crate::proxy::request_id::RequestId;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A cause is not told again before.
const APART: Duration = Duration::from_secs(60);
/// Causes in that time.
const MOST: usize = 8;
/// Characters of a cause; certificates may have many names.
const LONGEST: usize = 400;

/// What was told of one upstream.
pub(super) struct Complaints {
    route: String,
    told: Mutex<Vec<(String, Instant)>>,
}

impl Complaints {
    /// Nothing yet.
    pub(super) fn new(route: &str) -> Self {
        Self { route: route.to_owned(), told: Mutex::default() }
    }

    /// Tells why a request failed.
    pub(super) fn tell(&self, request_id: RequestId, cause: &str) {
        let cause: String = cause.chars().take(LONGEST).collect();
        let route = &self.route;
        if self.is_due(&cause, Instant::now()) {
            tracing::warn!(route, %request_id, error = cause, "upstream failed");
        } else {
            tracing::debug!(route, %request_id, error = cause, "upstream failed");
        }
    }

    fn is_due(&self, cause: &str, now: Instant) -> bool {
        // A panic elsewhere leaves a whole list behind.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(_, at)| now.saturating_duration_since(*at) < APART);
        let is_due = told.len() < MOST && !told.iter().any(|(known, _)| known == cause);
        if is_due {
            told.push((cause.to_owned(), now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once_a_minute_and_few_at_a_time() {
        let (complaints, begin) = (Complaints::new("a"), Instant::now());
        let at = |seconds, cause: &str| complaints.is_due(cause, begin + Duration::from_secs(seconds));
        assert!(at(0, "refused") && at(1, "unknown issuer"));
        assert!(!at(2, "refused") && !at(59, "refused"));
        assert!(at(60, "refused") && !at(60, "unknown issuer") && !at(90, "refused"));
        let many = (0..100).filter(|number| at(91, &number.to_string())).count();
        assert_eq!(many, MOST - 1);
    }
}
