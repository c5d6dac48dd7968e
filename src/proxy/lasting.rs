//! What outlives a configuration: a proxy that takes another's place goes on with it.

use super::admission::Admission;
use super::budget::Budget;
use super::request_id::RequestIds;
use crate::config::{Limits, Timeouts};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The requests in flight and the bytes that they hold, whatever configuration
/// they began with.
pub(super) struct Lasting {
    pub(super) admission: Arc<Admission>,
    pub(super) budget: Arc<Budget>,
    pub(super) ids: RequestIds,
    pub(super) metrics: Arc<Metrics>,
    draining: AtomicBool,
}

impl Lasting {
    pub(super) fn new(limits: &Limits, timeouts: &Timeouts, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            admission: Admission::new(limits.requests),
            budget: Budget::new(limits.buffered, timeouts.buffer_wait, Arc::clone(&metrics)),
            ids: RequestIds::new(),
            metrics,
            draining: AtomicBool::new(false),
        })
    }

    /// From now on these are the limits. What is beyond them already goes on.
    pub(super) fn limit(&self, limits: &Limits, timeouts: &Timeouts) {
        self.admission.limit(limits.requests);
        self.budget.limit(limits.buffered, timeouts.buffer_wait);
    }

    /// From now on new requests are refused.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
