//! Whether all of a request has left.
//!
//! hyper takes a connection for idle once the response has ended and the end of
//! the request is queued. What is queued may stay for as long as the upstream
//! pleases: in hyper's buffer, or in TLS, which takes more than it writes. So
//! the end of a request counts only when it was flushed: then it is the
//! system's to deliver.

use crate::proxy::body::{BodyBroken, RedactedBody, Slices};
use crate::proxy::exchange::{Exchange, Sending};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// What a connection still holds of its request, whose body has ended.
///
/// Invariant: set only between the moment that the end was handed over and the
/// next flush that is complete.
#[derive(Default)]
pub(super) struct Unflushed(Mutex<Option<Sending>>);

impl Unflushed {
    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.sending().is_none()
    }

    /// Everything that was written has left.
    pub(super) fn flushed(&self) {
        let sending = self.sending().take();
        if let Some(mut sending) = sending {
            sending.done();
        }
    }

    /// Nothing more leaves.
    pub(super) fn cut(&self) {
        let sending = self.sending().take();
        drop(sending);
    }

    fn hold(&self, sending: Option<Sending>) {
        *self.sending() = sending;
    }

    /// A panic elsewhere leaves it whole.
    fn sending(&self) -> MutexGuard<'_, Option<Sending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's body on its way into a connection, which hears of its end.
pub(super) struct Outgoing {
    body: RedactedBody,
    end: End,
}

/// hyper drops a body when it has queued the end, and before it flushes.
struct End {
    /// Whether the body has told it.
    told: bool,
    /// `None` when the body was taken back.
    sending: Option<Sending>,
    unflushed: Arc<Unflushed>,
}

impl Outgoing {
    pub(super) fn new(body: RedactedBody, exchange: &Arc<Exchange>, unflushed: &Arc<Unflushed>) -> Self {
        let (told, sending) = (body.is_end_stream(), Some(Sending::begin(exchange)));
        Self { body, end: End { told, sending, unflushed: Arc::clone(unflushed) } }
    }

    /// Nothing of it was sent: it may be sent elsewhere.
    pub(super) fn take_back(mut self) -> RedactedBody {
        if let Some(mut sending) = self.end.sending.take() {
            sending.done();
        }
        self.body
    }
}

impl Body for Outgoing {
    type Data = Slices;
    type Error = BodyBroken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Slices>, BodyBroken>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.end.told = frame.is_none() || self.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.told && self.sending.is_some() {
            self.unflushed.hold(self.sending.take());
        }
    }
}
