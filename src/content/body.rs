//! A body without its coding: which format it has, and what takes that apart.

use super::envelope::{self, EnvelopeStage};
use super::form::FormStage;
use super::media::{ContentType, Media};
use super::msgpack::MsgpackStage;
use super::multipart::MultipartStage;
use super::protobuf::ProtobufStage;
use super::sse::SseStage;
use super::text::TextStage;
use super::{ContentError, sniff};
use crate::redact::{Format, Plan, Report};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// What a body turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// JSON, one document or several.
    Json,
    /// JSON, one document per line.
    Ndjson,
    /// Plain text.
    Text,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Protocol Buffers: OTLP, mostly.
    Protobuf,
    /// MessagePack.
    Msgpack,
    /// Parts between boundaries.
    Multipart,
    /// A Sentry envelope.
    Envelope,
    /// Server-sent events.
    Sse,
}

impl BodyFormat {
    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Text => "text",
            Self::Form => "form",
            Self::Protobuf => "protobuf",
            Self::Msgpack => "msgpack",
            Self::Multipart => "multipart",
            Self::Envelope => "envelope",
            Self::Sse => "sse",
        }
    }
}

impl From<Format> for BodyFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Ndjson => Self::Ndjson,
            Format::Text => Self::Text,
        }
    }
}

/// Bodies in parts of each other.
pub(super) const DEEPEST: u8 = 4;

/// What a route says about the parts of a body.
#[derive(Clone, Debug)]
pub struct PartRules {
    /// The most bytes of what has to be held whole.
    pub limit: u64,
    /// Media types that pass unscanned, in lower case.
    pub pass: Arc<[String]>,
}

impl PartRules {
    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Whether a part of this type passes unscanned.
    pub(super) fn pass(&self, content: &ContentType) -> bool {
        self.pass.contains(&content.essence)
    }
}

/// Where a body stands within others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// In so many.
    pub(super) depth: u8,
    /// Its length has left already, so that it must not change.
    pub(super) same_length: bool,
}

/// A body on its way through what its format asks for.
pub(super) struct BodyStage {
    plan: Arc<Plan>,
    stage: Stage,
    rules: PartRules,
    taken: u64,
    released: u64,
    /// Whether all of it has come.
    ended: bool,
}

/// One variant per way to take a body apart.
enum Stage {
    /// Said to be a form, as much is that some client did not say what it is.
    /// Holds the first bytes.
    MaybeForm(BytesMut),
    /// Of no type that tells. Holds the first bytes.
    MaybeEnvelope(BytesMut, Media),
    Text(Box<TextStage>),
    Form(Box<FormStage>),
    Protobuf(Box<ProtobufStage>),
    Msgpack(Box<MsgpackStage>),
    Multipart(Box<MultipartStage>),
    Envelope(Box<EnvelopeStage>),
    Sse(Box<SseStage>),
}

impl BodyStage {
    /// A stage for a whole body, or for one within others.
    ///
    /// # Errors
    /// When the declared type or charset alone decides.
    pub(super) fn new(
        plan: &Arc<Plan>,
        content: &ContentType,
        rules: &PartRules,
        place: Place,
    ) -> Result<Self, ContentError> {
        if !content.utf8 {
            return Err(ContentError::Charset);
        }
        let text_plan = if place.same_length { plan.of_same_length() } else { plan };
        // What is framed by lengths keeps them all beyond its limit.
        let limit = if place.same_length { 0 } else { rules.limit() };
        let stage = match content.media {
            Media::Unsupported => return Err(ContentError::Media),
            // What these hold is not written byte for byte.
            Media::Form | Media::Multipart | Media::Envelope | Media::Sse if place.same_length => {
                return Err(ContentError::Large);
            }
            Media::Form => Stage::MaybeForm(BytesMut::new()),
            Media::Protobuf(message) => Stage::Protobuf(Box::new(ProtobufStage::new(plan, message, limit))),
            Media::Msgpack => Stage::Msgpack(Box::new(MsgpackStage::new(plan, limit))),
            Media::Multipart => Stage::Multipart(Box::new(MultipartStage::new(plan, content, rules, place.depth)?)),
            Media::Sse => Stage::Sse(Box::new(SseStage::new(plan))),
            Media::Envelope => Stage::Envelope(Box::new(EnvelopeStage::new(plan, rules, place.depth)?)),
            // Sentry's SDKs for JavaScript do not say what they send.
            media @ (Media::Unknown | Media::Text) if place.depth == 0 => Stage::MaybeEnvelope(BytesMut::new(), media),
            media => Stage::Text(Box::new(TextStage::new(text_plan, media))),
        };
        Ok(Self { plan: Arc::clone(plan), stage, rules: rules.clone(), taken: 0, released: 0, ended: false })
    }

    /// Takes the next bytes; appends to `out` what may leave.
    pub(super) fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.taken += chunk.len() as u64;
        let from = out.len();
        self.pass(chunk, out)?;
        self.count_released(&out[from..]);
        Ok(())
    }

    /// The body has ended: everything held leaves.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let from = out.len();
        self.ended = true;
        if let Stage::MaybeForm(_) | Stage::MaybeEnvelope(..) = self.stage {
            self.decide(out)?;
        }
        match &mut self.stage {
            Stage::MaybeForm(_) | Stage::MaybeEnvelope(..) => {}
            Stage::Text(text) => text.finish(out)?,
            Stage::Form(form) => form.finish(out)?,
            Stage::Protobuf(message) => message.finish(out)?,
            Stage::Msgpack(values) => values.finish(out)?,
            Stage::Multipart(multipart) => multipart.finish(out)?,
            Stage::Envelope(envelope) => envelope.finish(out)?,
            Stage::Sse(events) => events.finish(out)?,
        }
        self.count_released(&out[from..]);
        Ok(())
    }

    fn pass(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        match &mut self.stage {
            Stage::MaybeForm(head) => {
                head.extend_from_slice(&chunk);
                if sniff::suffices(head) { self.decide(out) } else { Ok(()) }
            }
            Stage::MaybeEnvelope(head, _) => {
                head.extend_from_slice(&chunk);
                if envelope::begins(head).is_some() { self.decide(out) } else { Ok(()) }
            }
            Stage::Text(text) => text.push(chunk, out),
            Stage::Form(form) => form.push(chunk, out),
            Stage::Protobuf(message) => message.push(chunk, out),
            Stage::Msgpack(values) => values.push(chunk, out),
            Stage::Multipart(multipart) => multipart.push(chunk, out),
            Stage::Envelope(envelope) => envelope.push(chunk, out),
            Stage::Sse(events) => events.push(chunk, out),
        }
    }

    /// `curl --data` calls a form what is JSON, and so do some SDKs.
    fn decide(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let (head, stage) = match &mut self.stage {
            Stage::MaybeForm(head) => {
                // White space alone does not tell.
                let is_form =
                    sniff::begins_json(head).map_or(head.is_empty(), |is_json| !is_json || !sniff::has_bracket(head));
                let stage = if !is_form {
                    Stage::Text(Box::new(TextStage::new(&self.plan, Media::Text)))
                } else {
                    Stage::Form(Box::new(FormStage::new(&self.plan, self.rules.limit())))
                };
                (head.split(), stage)
            }
            Stage::MaybeEnvelope(head, media) => {
                let stage = if envelope::begins(head) == Some(true) {
                    Stage::Envelope(Box::new(EnvelopeStage::new(&self.plan, &self.rules, 0)?))
                } else {
                    Stage::Text(Box::new(TextStage::new(&self.plan, *media)))
                };
                (head.split(), stage)
            }
            _ => return Ok(()),
        };
        self.stage = stage;
        self.pass(head.freeze(), out)
    }

    /// The format, once the first bytes have been judged.
    pub(super) fn format(&self) -> Option<BodyFormat> {
        match &self.stage {
            Stage::MaybeForm(_) | Stage::MaybeEnvelope(..) => None,
            Stage::Text(text) => text.format(),
            Stage::Form(_) => Some(BodyFormat::Form),
            Stage::Protobuf(message) => (self.ended || message.begun()).then_some(BodyFormat::Protobuf),
            Stage::Msgpack(values) => (self.ended || values.begun()).then_some(BodyFormat::Msgpack),
            Stage::Multipart(multipart) => multipart.begun().then_some(BodyFormat::Multipart),
            Stage::Envelope(envelope) => envelope.begun().then_some(BodyFormat::Envelope),
            Stage::Sse(_) => Some(BodyFormat::Sse),
        }
    }

    /// All counters so far.
    pub(super) fn report(&self) -> Report {
        match &self.stage {
            Stage::MaybeForm(_) | Stage::MaybeEnvelope(..) => Report::default(),
            Stage::Text(text) => text.report(),
            Stage::Form(form) => form.report(),
            Stage::Protobuf(message) => message.report(),
            Stage::Msgpack(values) => values.report(),
            Stage::Multipart(multipart) => multipart.report(),
            Stage::Envelope(envelope) => envelope.report(),
            Stage::Sse(events) => events.report(),
        }
    }

    /// Bytes held back now.
    pub(super) fn held(&self) -> usize {
        match &self.stage {
            Stage::MaybeForm(head) | Stage::MaybeEnvelope(head, _) => head.len(),
            Stage::Text(text) => text.held(),
            Stage::Form(form) => form.held(),
            Stage::Protobuf(message) => message.held(),
            Stage::Msgpack(values) => values.held(),
            Stage::Multipart(multipart) => multipart.held(),
            Stage::Envelope(envelope) => envelope.held(),
            Stage::Sse(events) => events.held(),
        }
    }

    /// Whether a part passed unscanned.
    pub(super) fn passed(&self) -> bool {
        match &self.stage {
            Stage::Multipart(multipart) => multipart.passed(),
            Stage::Envelope(envelope) => envelope.passed(),
            _ => false,
        }
    }

    /// Bytes so far: taken in, and released.
    pub(super) fn sizes(&self) -> (u64, u64) {
        (self.taken, self.released)
    }

    fn count_released(&mut self, pieces: &[Bytes]) {
        self.released += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    }
}
