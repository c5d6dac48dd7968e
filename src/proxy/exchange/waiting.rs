//! When a request's body moved, and whether it is the client that is waited for.

use super::{Exchange, Permit};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The client does not keep anybody waiting.
pub(super) const NEVER: u64 = u64::MAX;

impl Exchange {
    /// The request's body moved, on its way to the upstream.
    pub(super) fn moved(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }

    /// The request's body moved: the client has sent more of it.
    pub(in crate::proxy) fn touch(&self) {
        self.moved();
        self.waits.store(false, Ordering::Relaxed);
        self.late.store(NEVER, Ordering::Relaxed);
    }

    /// The client is waited for, and has been late since then: until it sends more it
    /// may have to give its place up. Not one that need not hurry.
    pub(in crate::proxy) fn wait_since(self: &Arc<Self>, late: Option<Instant>) {
        let Some(late) = late else { return };
        let late = late.saturating_duration_since(self.started).as_millis();
        self.late.store(u64::try_from(late).unwrap_or(NEVER), Ordering::Relaxed);
        if !self.waited.swap(true, Ordering::Relaxed) {
            // Not under the lock: who looks for the slowest takes it, too.
            let admission = self.state().permit.as_ref().map(Permit::admission);
            if let Some(admission) = admission {
                admission.watch(self);
            }
        }
    }

    /// Since when the client keeps the proxy waiting, and with it those that find no
    /// place. Not one that was answered, and may read that first.
    pub(in crate::proxy) fn late_since(&self) -> Option<Instant> {
        let late = self.since_late()?;
        let state = self.state();
        (state.permit.is_some() && state.status.is_none()).then_some(late)
    }

    pub(super) fn since_late(&self) -> Option<Instant> {
        let late = Some(self.late.load(Ordering::Relaxed)).filter(|&late| late != NEVER)?;
        Some(self.started + Duration::from_millis(late))
    }

    /// The request's body waits for the client, from now on until it moves.
    pub(in crate::proxy) fn wait_for_client(&self) {
        if !self.waits.swap(true, Ordering::Relaxed) {
            self.over.notify_one();
        }
    }

    /// Whether the client is the one that everybody waits for.
    pub(in crate::proxy) fn waits_for_client(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// When the request's body last moved.
    pub(in crate::proxy) fn last_moved(&self) -> Instant {
        self.started + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }
}
