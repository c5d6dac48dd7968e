//! What identifies a request.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a request in error bodies and logs. Says nothing of its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId(u64);

/// Makes request ids: unlike within a process, and most likely between them.
pub(super) struct RequestIds {
    seed: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self { seed: RandomState::new().hash_one(0), next: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> RequestId {
        // splitmix64: a bijection, so ids repeat after 2^64 only.
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut mixed = self.seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId(mixed ^ (mixed >> 31))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_do_not_repeat() {
        let ids = RequestIds::new();
        let made: std::collections::BTreeSet<String> = (0..1000).map(|_| ids.next().to_string()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| id.len() == 16));
    }
}
