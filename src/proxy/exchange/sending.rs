//! What of a request's body has not left.

use super::Exchange;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Something of the request's body on its way to the upstream: the request is
/// not whole before all of them are done. One that is dropped before cuts it.
pub(in crate::proxy) struct Sending {
    exchange: Arc<Exchange>,
    done: bool,
}

impl Sending {
    pub(in crate::proxy) fn begin(exchange: &Arc<Exchange>) -> Self {
        exchange.unsent.fetch_add(1, Ordering::AcqRel);
        Self { exchange: Arc::clone(exchange), done: false }
    }

    /// It moves, if not by the client's doing.
    pub(in crate::proxy) fn touch(&self) {
        self.exchange.moved();
    }

    /// Nothing of it is missing.
    pub(in crate::proxy) fn done(&mut self) {
        self.done = true;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.done {
            self.exchange.cut.store(true, Ordering::Release);
        }
        self.exchange.unsent.fetch_sub(1, Ordering::AcqRel);
        self.exchange.over.notify_one();
    }
}
