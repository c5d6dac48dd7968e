//! What is shed before it costs anything: requests and buffered bytes beyond
//! their limits.

use super::respond::Failure;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts requests in flight.
pub(super) struct Admission {
    inflight: AtomicU64,
    limit: u64,
}

impl Admission {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        let inflight = AtomicU64::new(0);
        Arc::new(Self { inflight, limit })
    }

    /// A place for one request, until it is dropped.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Permit, Failure> {
        take(&self.inflight, 1, self.limit).ok_or(Failure::Overloaded)?;
        Ok(Permit(Arc::clone(self)))
    }
}

/// A place for one request.
pub(super) struct Permit(Arc<Admission>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.inflight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts bytes of buffered bodies.
pub(super) struct Budget {
    used: AtomicU64,
    limit: u64,
    metrics: Arc<Metrics>,
}

impl Budget {
    pub(super) fn new(limit: u64, metrics: Arc<Metrics>) -> Arc<Self> {
        metrics.buffered_bytes_limit.set(signed(limit));
        Arc::new(Self { used: AtomicU64::new(0), limit, metrics })
    }

    /// A reservation of no bytes, to be grown.
    pub(super) fn open(self: &Arc<Self>) -> Reservation {
        Reservation { budget: Arc::clone(self), bytes: 0 }
    }
}

/// Bytes reserved for one body, until it is dropped.
pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), Failure> {
        let budget = &self.budget;
        take(&budget.used, bytes, budget.limit).ok_or(Failure::BufferedTooMuch)?;
        self.bytes += bytes;
        budget.metrics.buffered_bytes.add(signed(bytes));
        Ok(())
    }

    /// Makes it at least so many bytes.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), Failure> {
        match bytes.saturating_sub(self.bytes) {
            0 => Ok(()),
            missing => self.grow(missing),
        }
    }

    /// Takes what is reserved beyond `bytes` out of it.
    pub(super) fn split(&mut self, bytes: u64) -> Self {
        let taken = self.bytes.saturating_sub(bytes);
        self.bytes -= taken;
        Self { budget: Arc::clone(&self.budget), bytes: taken }
    }

    /// Gives back what is reserved beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let back = self.bytes.saturating_sub(bytes);
        self.bytes -= back;
        self.budget.used.fetch_sub(back, Ordering::Relaxed);
        self.budget.metrics.buffered_bytes.sub(signed(back));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

fn take(used: &AtomicU64, more: u64, limit: u64) -> Option<u64> {
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(more).filter(|&sum| sum <= limit))
        .ok()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_given_again_once_it_is_free() {
        let admission = Admission::new(2);
        let (first, _second) = (admission.admit().unwrap(), admission.admit().unwrap());
        assert_eq!(admission.admit().err(), Some(Failure::Overloaded));
        drop(first);
        assert!(admission.admit().is_ok());
    }

    #[test]
    fn a_reservation_that_fails_takes_nothing() {
        let budget = Budget::new(10, Arc::new(Metrics::new()));
        let mut one = budget.open();
        one.grow(6).unwrap();
        let mut other = budget.open();
        assert_eq!(other.grow(5), Err(Failure::BufferedTooMuch));
        other.grow_to(4).unwrap();
        other.grow_to(3).unwrap();
        assert_eq!(budget.metrics.buffered_bytes.get(), 10);
        one.shrink_to(2);
        one.shrink_to(5);
        assert_eq!(budget.metrics.buffered_bytes.get(), 6);
        let (rest, nothing) = (other.split(1), other.split(1));
        assert_eq!(budget.metrics.buffered_bytes.get(), 6);
        drop(rest);
        assert_eq!(budget.metrics.buffered_bytes.get(), 3);
        drop((one, other, nothing));
        assert_eq!(budget.metrics.buffered_bytes.get(), 0);
    }
}
