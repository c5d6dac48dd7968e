//! Responses, redacted where their route says so.
//!
//! ```text
//! upstream --> [decode, redact] --> client
//! ```
//!
//! What is redacted goes on without a coding, which every client takes (RFC
//! 9110, section 12.5.3): the client is near, and events must not wait in an
//! encoder. A response that is short, or that is not what its head says, is
//! judged before its head leaves, and refused whole; one that fails later is
//! broken off, never ended cleanly.

use super::budget::{Budget, Reservation};
use super::exchange::{Dialect, Exchange, Place};
use super::respond::Failure;
use super::{grpc, headers};
use crate::config::Limits;
use crate::content::{
    CodingError, ContentError, Delivery, Level, Media, Messages, PartRules, Pipeline, Released, SLICE,
};
use crate::redact::{Plan, RedactError};
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// What a response is redacted by.
pub(super) struct Rules<'a> {
    pub(super) plan: &'a Arc<Plan>,
    /// Media types that the route passes unscanned.
    pub(super) pass: &'a Arc<[String]>,
    /// Those of parts that its protocol pack does.
    pub(super) media: &'a Arc<[String]>,
    pub(super) limits: &'a Limits,
    pub(super) budget: &'a Arc<Budget>,
    pub(super) exchange: &'a Arc<Exchange>,
}

/// One response's body on its way through the redactor.
///
/// Invariant: `released` holds only what the pipeline has released.
pub(super) struct Redaction {
    pipeline: Pipeline,
    unpushed: Bytes,
    released: VecDeque<Bytes>,
    finished: bool,
    plan: Arc<Plan>,
    exchange: Arc<Exchange>,
    /// For what the coding looks back at.
    memory: Reservation,
    /// What the gauge of held bytes holds of ours.
    held: i64,
}

impl Redaction {
    /// What redacts a body with this head; `None` where its type passes.
    pub(super) fn new(rules: &Rules<'_>, headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let content = headers::content_type(headers);
        if rules.pass.contains(&content.essence) {
            rules.exchange.pass_unscanned("response");
            return Ok(None);
        }
        let coding = |name| headers::coding(headers, name).map_err(|_| Failure::ResponseUnsupported);
        let body_coding = coding(&CONTENT_ENCODING)?;
        let limits = rules.limits.coding();
        let parts = PartRules {
            limit: rules.limits.buffer,
            pass: Arc::clone(rules.pass),
            media: Arc::clone(rules.media),
            formats: None,
            coding: rules.limits.coding(),
        };
        let pipeline = match content.media {
            Media::Grpc(payload) if rules.exchange.dialect() == Dialect::Grpc => {
                let coding = coding(&grpc::ENCODING)?;
                Pipeline::grpc(rules.plan, Messages { payload, coding, limits, level: Level::Fast }, &parts)
            }
            _ => Pipeline::new(rules.plan, &content, body_coding, limits, Delivery::Prompt, &parts).map_err(failed)?,
        };
        Ok(Some(Self {
            pipeline,
            unpushed: Bytes::new(),
            released: VecDeque::new(),
            finished: false,
            plan: Arc::clone(rules.plan),
            exchange: Arc::clone(rules.exchange),
            memory: rules.budget.open(),
            held: 0,
        }))
    }

    /// The next bytes that may leave, if there are some.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.released.pop_front()
    }

    /// Takes back what has not left yet, to stand before all else.
    pub(super) fn give_back(&mut self, pieces: Vec<Bytes>) {
        for piece in pieces.into_iter().rev() {
            self.released.push_front(piece);
        }
    }

    /// Whether everything has left.
    pub(super) fn is_over(&self) -> bool {
        self.finished && self.released.is_empty()
    }

    /// Whether the body is known to be what its head says.
    pub(super) fn is_decided(&self) -> bool {
        self.finished || self.pipeline.decided()
    }

    /// Whether there is something to go on with, without the upstream.
    pub(super) fn has_to_push(&self) -> bool {
        !self.unpushed.is_empty() || self.pipeline.is_pending()
    }

    /// Takes the upstream's next bytes, to be pushed.
    pub(super) fn take(&mut self, data: Bytes) {
        self.unpushed = data;
    }

    /// Bytes that it takes up.
    fn needed(&self) -> u64 {
        let waiting: u64 = self.released.iter().map(|piece| piece.len() as u64).sum();
        self.pipeline.memory() + waiting
    }

    /// Waits until what it takes up is reserved.
    pub(super) fn poll_memory(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.memory.poll_grow_to(self.needed(), cx).map_err(|_| Failure::ResponseFailed)
    }

    /// Does a part of what there is to do.
    pub(super) fn step(&mut self) -> Result<(), Failure> {
        let next = if self.pipeline.is_pending() { 0 } else { self.unpushed.len().min(SLICE) };
        let data = self.unpushed.split_to(next);
        self.run(|pipeline, out| pipeline.push(data, out))
    }

    /// The same for the end of a call.
    pub(super) fn redact_end(&self, trailers: &mut HeaderMap) -> Result<(), Failure> {
        grpc::redact_end(trailers, &self.plan, &self.exchange)
    }

    /// The upstream's body is over: everything held leaves.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.finished = true;
        self.run(Pipeline::finish)
    }

    fn run(
        &mut self,
        work: impl FnOnce(&mut Pipeline, &mut Released) -> Result<(), ContentError>,
    ) -> Result<(), Failure> {
        let (started, mut out) = (Instant::now(), Released::default());
        // Nothing is done with the body after a panic but to drop it.
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut self.pipeline, &mut out)));
        self.exchange.add_redaction(started.elapsed());
        done.map_err(|_| Failure::ResponseFailed)?.map_err(failed)?;
        out.join_small();
        self.released.extend(out.drain());
        let memory = self.needed();
        // If there is not so much, it is waited for before the next step.
        let _ = self.memory.try_grow_to(memory);
        self.memory.shrink_to(memory);
        let held = i64::try_from(self.pipeline.held()).unwrap_or(i64::MAX);
        self.exchange.add_held(held - self.held);
        self.held = held;
        Ok(())
    }
}

impl Drop for Redaction {
    fn drop(&mut self) {
        self.exchange.add_held(-self.held);
        self.exchange.record(Place::Response, &self.pipeline.report(), &self.plan);
        if self.pipeline.passed() {
            self.exchange.pass_unscanned("response_part");
        }
    }
}

/// Whether a body with this head passes unscanned.
pub(super) fn passes(rules: &Rules<'_>, headers: &HeaderMap) -> bool {
    rules.pass.contains(&headers::content_type(headers).essence)
}

/// Whatever is wrong with a response is not the client's fault.
fn failed(error: ContentError) -> Failure {
    match error {
        ContentError::Coding(CodingError::Corrupt | CodingError::Truncated) | ContentError::Framing => {
            Failure::UpstreamBroke
        }
        ContentError::Coding(CodingError::TooLarge | CodingError::Window)
        | ContentError::Large
        | ContentError::Redact(RedactError::Large) => Failure::ResponseTooLarge,
        ContentError::Charset
        | ContentError::Media
        | ContentError::PartCoding
        | ContentError::Redact(RedactError::Zipped) => Failure::ResponseUnsupported,
        ContentError::Redact(RedactError::Blocked { entity, rule }) => Failure::Blocked { entity, rule },
        ContentError::Redact(RedactError::Engine) | ContentError::Coding(CodingError::Library) => {
            Failure::ResponseFailed
        }
    }
}
