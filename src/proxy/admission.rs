//! What is shed before it costs anything: requests beyond their limit.

use super::exchange::Exchange;
use super::respond::Failure;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long a client may keep the proxy waiting for its body while others find no
/// place. More than it takes to send a lost packet again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counts requests in flight.
pub(super) struct Admission {
    inflight: AtomicU64,
    limit: AtomicU64,
    waiting: Mutex<Waiting>,
}

/// Those whose client the proxy has waited for.
#[derive(Default)]
struct Waiting {
    exchanges: Vec<Weak<Exchange>>,
    /// At how many those are forgotten that are over.
    full: usize,
    /// Those found to have been waited for long enough, the slowest last.
    late: Vec<Weak<Exchange>>,
    /// When it is worth while to look for more of them.
    next: Option<Instant>,
}

impl Admission {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { inflight: AtomicU64::new(0), limit: AtomicU64::new(limit), waiting: Mutex::default() })
    }

    /// So many from now on.
    pub(super) fn limit(&self, requests: u64) {
        self.limit.store(requests, Ordering::Relaxed);
    }

    /// A place for one request, until it is dropped. If there is none, the one whose
    /// client is the slowest has to go.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Permit, Failure> {
        self.admit_at(Instant::now)
    }

    fn admit_at(self: &Arc<Self>, now: impl FnOnce() -> Instant) -> Result<Permit, Failure> {
        if take(&self.inflight, 1, self.limit.load(Ordering::Relaxed)).is_some() {
            return Ok(Permit(Arc::clone(self)));
        }
        let now = now();
        loop {
            // Nothing is done to an exchange while others wait to look.
            let slowest = self.waiting().slowest(now);
            let (since, slowest) = slowest.ok_or(Failure::Overloaded)?;
            if let Some(permit) = slowest.evict(since) {
                return Ok(permit);
            }
        }
    }

    /// The client of this one is waited for.
    pub(super) fn watch(&self, exchange: &Arc<Exchange>) {
        self.waiting().add(Arc::downgrade(exchange));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn add(&mut self, exchange: Weak<Exchange>) {
        if self.exchanges.len() >= self.full {
            self.forget();
            self.full = (2 * self.exchanges.len()).max(64);
        }
        self.exchanges.push(exchange);
    }

    fn forget(&mut self) {
        self.exchanges.retain(|exchange| exchange.strong_count() > 0);
    }

    /// The one that is late for the longest, and since when. They are looked for all at
    /// once: to look through them anew for each that has to go would take a second loop.
    fn slowest(&mut self, now: Instant) -> Option<(Instant, Arc<Exchange>)> {
        if self.late.is_empty() && self.next.is_none_or(|next| now >= next) {
            self.look(now);
        }
        while let Some(exchange) = self.late.pop() {
            // Since it was looked it may have sent a little, or all.
            if let Some(exchange) = exchange.upgrade()
                && let Some(since) = exchange.late_since().filter(|&since| now >= since + PATIENCE)
            {
                return Some((since, exchange));
            }
        }
        None
    }

    fn look(&mut self, now: Instant) {
        self.forget();
        let late = |exchange: &Weak<Exchange>| Some((exchange.upgrade()?.late_since()?, Weak::clone(exchange)));
        let (mut late, early): (Vec<_>, Vec<_>) =
            self.exchanges.iter().filter_map(late).partition(|&(since, _)| now >= since + PATIENCE);
        late.sort_by_key(|&(since, _)| Reverse(since));
        self.late = late.into_iter().map(|(_, exchange)| exchange).collect();
        // Who begins to be late now may have been so before.
        let soon = now + PATIENCE / 100;
        let next = early.iter().map(|&(since, _)| since + PATIENCE).min();
        self.next = Some(next.map_or(soon, |next| next.min(soon)));
    }
}

/// A place for one request.
pub(super) struct Permit(Arc<Admission>);

impl Permit {
    /// Who gave it.
    pub(super) fn admission(&self) -> Arc<Admission> {
        Arc::clone(&self.0)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.inflight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn take(used: &AtomicU64, more: u64, limit: u64) -> Option<u64> {
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(more).filter(|&sum| sum <= limit))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::proxy::request_id::RequestIds;
    use hyper::{Method, StatusCode};

    #[test]
    fn the_last_place_is_given_again_once_it_is_free() {
        let admission = Admission::new(2);
        let (first, _second) = (admission.admit().unwrap(), admission.admit().unwrap());
        assert_eq!(admission.admit().err(), Some(Failure::Overloaded));
        drop(first);
        assert!(admission.admit().is_ok());
    }

    #[test]
    fn the_slowest_client_gives_its_place_up_to_one_that_finds_none() {
        let (admission, metrics) = (Admission::new(3), Arc::new(Metrics::new()));
        let begin = || {
            let exchange = Exchange::begin(RequestIds::new().next(), &Method::POST, &metrics);
            exchange.keep(admission.admit().unwrap());
            exchange
        };
        let (slow, slower, answered) = (begin(), begin(), begin());
        let start = Instant::now();
        let after = |periods: f64| start + PATIENCE.mul_f64(periods);
        let admit_after = |periods| admission.admit_at(|| after(periods));
        answered.wait_since(None);
        slower.wait_since(Some(after(0.1)));
        slow.wait_since(Some(after(0.5)));
        assert_eq!(admit_after(1.0).err(), Some(Failure::Overloaded), "nobody is so late yet");
        let _place = admit_after(1.2).unwrap();
        assert_eq!((slow.failure(), slower.failure()), (None, Some(Failure::MadeRoom)));
        assert_eq!(admit_after(1.4).err(), Some(Failure::Overloaded));
        // One that goes on may stay.
        slow.touch();
        assert_eq!(admit_after(9.0).err(), Some(Failure::Overloaded));
        slow.wait_since(Some(after(9.5)));
        assert_eq!(admit_after(9.6).err(), Some(Failure::Overloaded));
        assert_eq!((slow.failure(), answered.failure()), (None, None));
        let _place = admit_after(10.6).unwrap();
        assert_eq!((slow.failure(), answered.failure()), (Some(Failure::MadeRoom), None));
        // Who has an answer may read it first.
        answered.wait_since(Some(after(10.7)));
        answered.answer(StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(admit_after(20.0).err(), Some(Failure::Overloaded));
    }

    #[test]
    fn those_that_are_over_are_forgotten() {
        let (admission, metrics) = (Admission::new(1), Arc::new(Metrics::new()));
        for _ in 0..10_000 {
            let exchange = Exchange::begin(RequestIds::new().next(), &Method::POST, &metrics);
            exchange.keep(admission.admit().unwrap());
            for _ in 0..2 {
                exchange.wait_since(Some(Instant::now()));
                exchange.touch();
            }
            assert!(admission.waiting().exchanges.len() <= 64);
        }
    }
}
