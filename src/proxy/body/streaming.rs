//! Large bodies: pulled from the client, redacted and sent piece by piece, as
//! fast as the upstream takes them.

use super::gathered::LARGE_FRAME;
use super::slices::Slices;
use super::{BodyBroken, Change, Job, Prepared, RedactedBody, Repr, Told, data_until, has_ended, too_late};
use crate::content::{Coding, Delivery, Passes, Pipeline, Released, SLICE};
use crate::proxy::budget::Reservation;
use crate::proxy::exchange::{Exchange, Place, Sending, Sizes};
use crate::proxy::idle::{IdleTimer, Timer};
use crate::proxy::respond::Failure;
use crate::redact::Plan;
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// How long the call of a client that sends no message is kept back.
const FIRST_MESSAGE: Duration = Duration::from_secs(1);

/// Pushes without output before other tasks get their turn.
const MAX_STEPS: usize = 16;

/// A body between client and upstream.
///
/// Invariant: `released` holds only what the pipeline has released (or, for an
/// unscanned body, what the client sent).
pub(super) struct StreamingBody {
    /// `None` once it has ended.
    incoming: Option<Incoming>,
    /// Small frames on their way to become a larger one; not redacted yet.
    gathered: BytesMut,
    /// On its way into the pipeline, step by step.
    unpushed: Bytes,
    step: usize,
    way: Way,
    released: Released,
    /// Whether everything is in `released`, or nothing more will be.
    finished: bool,
    /// Whether it was broken off: then it has no end, however often it is
    /// polled.
    broken: bool,
    /// The exact length of a body that does not change.
    length: Option<u64>,
    plan: Arc<Plan>,
    exchange: Arc<Exchange>,
    /// Done when its end was handed over.
    sending: Sending,
    idle: IdleTimer,
    /// When the whole exchange has to be over.
    deadline: Option<Pin<Box<Sleep>>>,
    /// What it fails with once it would change.
    bound: Option<Failure>,
    /// Bytes that the client may still send.
    allowance: u64,
    /// What the gauge of held bytes holds of ours.
    held: i64,
    sent: u64,
    /// For the bytes read before the upstream is called, and for a slice.
    reservation: Reservation,
    /// For what the coding looks back at, and what is held of a message.
    memory: Reservation,
}

/// Begins to stream, with what was read so far. Reads on until the first bytes
/// have been judged, so that what they decide is still a clean refusal.
pub(super) async fn start(
    job: &Job<'_>,
    (head, mut reservation): (Bytes, Reservation),
    incoming: &mut Option<Incoming>,
    timer: &mut Timer,
) -> Result<Prepared, Failure> {
    let bound = job.bound.clone().or_else(|| job.digests.bound());
    let is_coded = job.coding != Coding::Identity;
    if let Some(failure) = bound.clone().filter(|_| is_coded && job.messages.is_some()) {
        // Messages are encoded again one by one, which changes them whatever is found.
        return Err(failure);
    }
    reservation.grow(SLICE as u64).await?;
    let delivery = if bound.is_some() && is_coded { Delivery::Original } else { Delivery::Streaming(job.level) };
    let mut streaming = StreamingBody::new(job, Way::Redacted(Box::new(job.pipeline(delivery)?)), reservation);
    // What cannot change keeps its length; stores want to know it.
    streaming.length =
        incoming.as_ref().and_then(|body| body.size_hint().exact()).filter(|_| bound.is_some() && head.is_empty());
    streaming.bound = bound;
    streaming.allow(head.len())?;
    streaming.unpushed = head;
    while !streaming.is_decided() {
        if streaming.has_to_push() {
            streaming.push_step()?;
            poll_fn(|cx| streaming.poll_memory(cx)).await?;
            continue;
        }
        let Some(body) = incoming.as_mut() else { break };
        let patience = if job.messages.is_some() { FIRST_MESSAGE } else { Duration::MAX };
        let until = tokio::time::Instant::now() + patience.min(job.timeouts.body_idle);
        let Some(data) = data_until(until, job, body, streaming.idle.pace(), timer).await? else {
            if job.messages.is_some() {
                // The server may be the one to speak first.
                break;
            }
            return Err(Failure::BodyTimeout);
        };
        match data {
            Some(data) => {
                streaming.allow(data.len())?;
                streaming.unpushed = data;
            }
            None => {
                *incoming = None;
                streaming.finish()?;
            }
        }
    }
    streaming.read_on(incoming);
    // Such a body is the same, byte for byte, or has no end: what tells of it
    // stays true.
    let told = match streaming.bound {
        Some(_) => Told::unchanged(streaming.length),
        None => Told { change: Change::Streaming, length: None, digests: Vec::new() },
    };
    Ok(Prepared { body: RedactedBody(Repr::Streaming(Box::new(streaming))), told })
}

/// Passes a body on as it is, since the route lists its media type.
pub(super) fn unscanned(
    job: &Job<'_>,
    passes: Passes,
    incoming: &mut Option<Incoming>,
    length: Option<u64>,
) -> Prepared {
    let mut streaming = StreamingBody::new(job, Way::Passed(passes), job.budget.open());
    streaming.read_on(incoming);
    streaming.length = length;
    Prepared { body: RedactedBody(Repr::Streaming(Box::new(streaming))), told: Told::unchanged(length) }
}

/// What a body goes through.
enum Way {
    Redacted(Box<Pipeline>),
    /// Nothing, since its type may pass.
    Passed(Passes),
}

impl Way {
    fn pipeline(&self) -> Option<&Pipeline> {
        match self {
            Self::Redacted(pipeline) => Some(pipeline),
            Self::Passed(_) => None,
        }
    }
}

impl StreamingBody {
    fn new(job: &Job<'_>, way: Way, reservation: Reservation) -> Self {
        Self {
            incoming: None,
            gathered: BytesMut::new(),
            unpushed: Bytes::new(),
            step: job.step(),
            way,
            released: Released::default(),
            finished: false,
            broken: false,
            length: None,
            plan: Arc::clone(job.plan),
            exchange: Arc::clone(job.exchange),
            sending: Sending::begin(job.exchange),
            idle: IdleTimer::paced(job.pace()),
            deadline: job.deadline.map(|at| Box::pin(tokio::time::sleep_until(at))),
            bound: None,
            allowance: job.limits.body,
            held: 0,
            sent: 0,
            reservation,
            memory: job.budget.open(),
        }
    }

    /// From now on the body is in nobody else's hands.
    fn read_on(&mut self, incoming: &mut Option<Incoming>) {
        self.incoming = incoming.take();
        self.exchange.set_unread(self.incoming.is_some());
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Slices>, BodyBroken>>> {
        if self.broken {
            return Poll::Ready(Some(Err(BodyBroken)));
        }
        if let Some(failure) = self.poll_stop(cx) {
            return Poll::Ready(Some(Err(self.fail(failure))));
        }
        for _ in 0..MAX_STEPS {
            if !self.released.is_empty() && !self.is_last_unjudged() {
                let needed = self.way.pipeline().map_or(0, Pipeline::memory);
                let frame = Slices::take(&mut self.released).holding(self.memory.split(needed)).of(&self.exchange);
                if frame.has_remaining() {
                    self.sent += frame.remaining() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(frame))));
                }
            }
            if self.finished {
                self.sending.done();
                return Poll::Ready(None);
            }
            if !self.has_to_push() {
                // What was read before the upstream was called has left.
                self.reservation.shrink_to(SLICE as u64);
            }
            // Nothing is done with the body after a panic but to drop it.
            let step = catch_unwind(AssertUnwindSafe(|| self.poll_step(cx)));
            if let Err(failure) = ready!(step.unwrap_or(Poll::Ready(Err(Failure::Panic)))) {
                return Poll::Ready(Some(Err(self.fail(failure))));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Why not to go on, though nothing is wrong with the body itself: nobody
    /// waits for its upstream's answer any more.
    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Some(Failure::Deadline);
        }
        self.exchange.failed(cx.waker())
    }

    /// Whether the body would be whole with what is released, though nobody has
    /// said yet that it may end so.
    fn is_last_unjudged(&self) -> bool {
        let Some(length) = self.length.filter(|_| self.way.pipeline().is_some() && !self.finished) else {
            return false;
        };
        self.sent + self.released.bytes() >= length
    }

    /// Whether all of a body of known length was handed over.
    pub(super) fn is_end_stream(&self) -> bool {
        !self.broken && self.length == Some(self.sent)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let left = self.length.map(|length| length.saturating_sub(self.sent));
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    fn is_decided(&self) -> bool {
        self.finished || self.way.pipeline().is_none_or(Pipeline::decided)
    }

    /// Takes the next bytes from the client, or its end, through the pipeline.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.poll_memory(cx))?;
        if !self.has_to_push() {
            match ready!(self.poll_gather(cx))? {
                Some(data) => self.unpushed = data,
                None => return Poll::Ready(self.finish()),
            }
        }
        Poll::Ready(self.push_step())
    }

    /// The next bytes from the client: as many as there are without waiting,
    /// up to a slice, since each push costs something.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        while let Some(incoming) = &mut self.incoming {
            if incoming.is_end_stream() {
                // It is not told otherwise when the response has ended before.
                self.read_to_end();
                break;
            }
            let frame = match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Pending if self.gathered.is_empty() => {
                    // The wait may be long: its capacity is not kept.
                    self.gathered = BytesMut::new();
                    self.exchange.wait_for_client();
                    let waited = self.idle.poll_wait(cx);
                    self.exchange.wait_since(self.idle.pace().late_since());
                    ready!(waited);
                    return Poll::Ready(Err(too_late(self.idle.pace())));
                }
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(None) if has_ended(incoming, &self.exchange) => {
                    self.read_to_end();
                    break;
                }
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(Err(Failure::IncompleteBody)),
            };
            let Ok(data) = frame.into_data() else { continue };
            self.received(data.len())?;
            if self.gathered.is_empty() && data.len() >= LARGE_FRAME {
                return Poll::Ready(Ok(Some(data)));
            }
            self.gathered.extend_from_slice(&data);
            if self.gathered.len() >= SLICE {
                break;
            }
        }
        let gathered = self.gathered.split().freeze();
        Poll::Ready(Ok((!gathered.is_empty()).then_some(gathered)))
    }

    fn read_to_end(&mut self) {
        self.incoming = None;
        self.exchange.set_unread(false);
    }

    fn received(&mut self, bytes: usize) -> Result<(), Failure> {
        self.idle.advance(bytes);
        self.exchange.touch();
        self.exchange.add_sizes(Sizes { received_wire: bytes as u64, ..Sizes::default() });
        self.allow(bytes)
    }

    fn allow(&mut self, bytes: usize) -> Result<(), Failure> {
        let left = self.allowance.checked_sub(bytes as u64);
        self.allowance = left.ok_or(Failure::BodyTooLarge)?;
        Ok(())
    }

    /// Whether there is something to go on with, without the client.
    fn has_to_push(&self) -> bool {
        !self.unpushed.is_empty() || self.is_pending()
    }

    /// Whether the pipeline has not yet done with what was pushed.
    fn is_pending(&self) -> bool {
        self.way.pipeline().is_some_and(Pipeline::is_pending)
    }

    fn push_step(&mut self) -> Result<(), Failure> {
        let next = if self.is_pending() { 0 } else { self.unpushed.len().min(self.step) };
        let data = self.unpushed.split_to(next);
        let pipeline = match &mut self.way {
            Way::Redacted(pipeline) => pipeline,
            Way::Passed(passes) => {
                self.released.pass(data, passes);
                return Ok(());
            }
        };
        let started = Instant::now();
        let pushed = pipeline.push(data, &mut self.released);
        self.exchange.add_redaction(started.elapsed());
        pushed?;
        self.after_step()
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.exchange.touch();
        self.finished = true;
        let Way::Redacted(pipeline) = &mut self.way else {
            return Ok(());
        };
        let started = Instant::now();
        let finished = pipeline.finish(&mut self.released);
        self.exchange.add_redaction(started.elapsed());
        finished?;
        self.after_step()
    }

    fn after_step(&mut self) -> Result<(), Failure> {
        let Some(pipeline) = self.way.pipeline() else {
            return Ok(());
        };
        if let Some(failure) = self.bound.as_ref().filter(|_| pipeline.changes()) {
            return Err(failure.clone());
        }
        // If there is not so much, it is waited for before the next step.
        let _ = self.memory.try_grow_to(pipeline.memory());
        let held = i64::try_from(pipeline.held()).unwrap_or(i64::MAX);
        self.exchange.add_held(held - self.held);
        self.held = held;
        Ok(())
    }

    /// Waits until what the last step took is reserved. Nothing is read meanwhile.
    fn poll_memory(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let needed = self.way.pipeline().map_or(0, Pipeline::memory);
        self.memory.stands_beside(self.reservation.bytes());
        self.memory.poll_grow_to(needed, cx)
    }

    /// Nothing more leaves, and the end of the body is never sent.
    fn fail(&mut self, failure: Failure) -> BodyBroken {
        self.leave_rest();
        self.exchange.fail(failure);
        self.broken = true;
        self.released.clear();
        self.unpushed = Bytes::new();
        BodyBroken
    }

    /// The client may be sending still: whoever answers it decides what happens
    /// to the rest.
    fn leave_rest(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.exchange.leave(incoming);
        }
    }
}

impl Drop for StreamingBody {
    fn drop(&mut self) {
        if self.incoming.as_ref().is_some_and(Body::is_end_stream) {
            self.read_to_end();
        }
        self.leave_rest();
        self.exchange.add_held(-self.held);
        let mut sizes = Sizes { sent_wire: self.sent, ..Sizes::default() };
        if let Some(pipeline) = self.way.pipeline() {
            (sizes.received_decoded, sizes.sent_decoded) = pipeline.decoded();
            if let Some(format) = pipeline.format() {
                let place = Place::Body(format);
                self.exchange.record(place, &pipeline.report(), &self.plan);
            }
            if pipeline.passed() {
                self.exchange.pass_unscanned("part");
            }
        }
        self.exchange.add_sizes(sizes);
        // A body of known length is not asked for its end.
        if self.is_end_stream() {
            self.sending.done();
        }
    }
}
