//! A body without its coding: which format it has, and what takes that apart.

use super::coded::CodedStage;
use super::envelope::{self, EnvelopeStage};
use super::form::FormStage;
use super::grpc::{GrpcStage, Messages};
use super::media::{ContentType, Media};
use super::msgpack::MsgpackStage;
use super::multipart::MultipartStage;
use super::protobuf::ProtobufStage;
use super::recording::RecordingStage;
use super::rows::RowsStage;
use super::snappy::{self, SnappyStage};
use super::sse::SseStage;
use super::statement::{self, StatementStage};
use super::table::TableStage;
use super::text::TextStage;
use super::values::ValuesStage;
use super::{ContentError, sniff};
use crate::coding::{Coding, CodingLimits, Level};
use crate::redact::{Format, Plan, Report};
use crate::rule::protocol::NamedFormats;
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
    /// The messages of a gRPC call.
    Grpc,
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
            Self::Grpc => "grpc",
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
    /// The same of pictures, sound and films, in parts that are what they are said
    /// to be.
    pub media: Arc<[String]>,
    /// How a statement at the beginning of a body names the format of the rest.
    pub formats: Option<Arc<NamedFormats>>,
    /// What is compressed without a word of it may grow to so much.
    pub coding: CodingLimits,
}

impl PartRules {
    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Whether a part of this type passes unscanned.
    pub(super) fn pass(&self, content: &ContentType) -> bool {
        self.pass.contains(&content.essence)
    }

    /// Whether a part of this type passes if it is no text.
    pub(super) fn is_media(&self, content: &ContentType) -> bool {
        self.media.contains(&content.essence)
    }

    /// Whether what is called so passes, if its bytes say the same.
    pub(super) fn may_be_media(&self, essence: &str) -> bool {
        self.media.iter().chain(&self.pass[..]).any(|known| known == essence)
    }
}

/// Where a body stands within others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// In so many.
    pub(super) depth: u8,
    /// Its length has left already, so that it must not change.
    pub(super) same_length: bool,
    /// Somebody waits for each byte.
    pub(super) prompt: bool,
    /// It was compressed: what it is now is not.
    pub(super) decoded: bool,
    /// For what is compressed again.
    pub(super) level: Level,
}

/// One way to take a body apart.
pub(super) trait Stage: Send {
    /// Takes the next bytes; appends to `out` what may leave.
    ///
    /// # Errors
    /// After an error nothing more may leave.
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError>;

    /// The body has ended: everything held leaves.
    ///
    /// # Errors
    /// As [`Stage::push`].
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError>;

    /// The format, once the first bytes are seen to be what they are said to be.
    fn format(&self) -> Option<BodyFormat>;

    /// All counters so far.
    fn report(&self) -> Report;

    /// Bytes held back now.
    fn held(&self) -> usize;

    /// Whether a part passed unscanned.
    fn passed(&self) -> bool {
        false
    }

    /// Whether there is more to do with what was pushed: pushing nothing goes on.
    fn is_pending(&self) -> bool {
        false
    }

    /// Memory that it takes, where that is more than a constant.
    fn memory(&self) -> u64 {
        0
    }

    /// Whether it does not leave byte for byte, though nothing may be found.
    fn rewrites(&self) -> bool {
        false
    }
}

/// A body on its way through what its format asks for.
pub(super) struct BodyStage {
    plan: Arc<Plan>,
    way: Way,
    /// What it is said to be, and how it goes on if it is not compressed.
    said: Option<Box<(ContentType, Place, Way)>>,
    rules: PartRules,
    prompt: bool,
    taken: u64,
    released: u64,
}

enum Way {
    /// The first bytes, until they tell which of two it is.
    Undecided(BytesMut, Doubt),
    Known(Box<dyn Stage>),
}

/// What the declared type leaves open.
#[derive(Clone, Copy)]
enum Doubt {
    /// Perhaps compressed, though nothing says so.
    Coding,
    /// Said to be a form, as much is that some client did not say what it is:
    /// `curl --data` calls a form what is JSON, and so do some SDKs.
    Form,
    /// Perhaps a statement with what it is about: if not, it is what it would be else.
    Statement(Media),
    /// Of no type that tells: Sentry's SDKs for JavaScript do not say what they
    /// send, and others call it JSON, which each line of it is.
    Envelope(Media),
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
        if content.snappy && !place.decoded {
            let way = Way::known(SnappyStage::new(plan, content, rules, place, true)?);
            return Ok(Self::of(plan, way, None, rules, place));
        }
        let way = Self::way(plan, content, rules, place)?;
        if place.decoded || place.same_length || !may_be_coded(content.media) {
            return Ok(Self::of(plan, way, None, rules, place));
        }
        let said = Some(Box::new((content.clone(), place, way)));
        Ok(Self::of(plan, Way::Undecided(BytesMut::new(), Doubt::Coding), said, rules, place))
    }

    /// A stage for one whose head says that it is in `coding`.
    ///
    /// # Errors
    /// As [`BodyStage::new`], and where its length has left.
    pub(super) fn coded(
        plan: &Arc<Plan>,
        content: &ContentType,
        coding: Coding,
        rules: &PartRules,
        place: Place,
    ) -> Result<Self, ContentError> {
        if place.same_length {
            return Err(ContentError::Large);
        }
        let way = Way::known(CodedStage::new(plan, content, coding, rules, place)?);
        Ok(Self::of(plan, way, None, rules, place))
    }

    fn of(
        plan: &Arc<Plan>,
        way: Way,
        said: Option<Box<(ContentType, Place, Way)>>,
        rules: &PartRules,
        place: Place,
    ) -> Self {
        let (plan, rules) = (Arc::clone(plan), rules.clone());
        Self { plan, way, said, rules, prompt: place.prompt, taken: 0, released: 0 }
    }

    /// The way of what is not compressed.
    fn way(plan: &Arc<Plan>, content: &ContentType, rules: &PartRules, place: Place) -> Result<Way, ContentError> {
        let text_plan = if place.same_length { plan.of_same_length() } else { plan };
        // What is framed by lengths keeps them all beyond its limit.
        let limit = if place.same_length { 0 } else { rules.limit() };
        let undecided = |doubt| Way::Undecided(BytesMut::new(), doubt);
        Ok(match content.media {
            // Only whole bodies are gRPC's: `BodyStage::grpc`.
            Media::Unsupported | Media::Grpc(_) => return Err(ContentError::Media),
            // What these hold is not written byte for byte.
            Media::Form | Media::Multipart | Media::Envelope | Media::Sse if place.same_length => {
                return Err(ContentError::Large);
            }
            media @ (Media::Unknown | Media::Text | Media::Form) if place.depth == 0 && rules.formats.is_some() => {
                undecided(Doubt::Statement(media))
            }
            Media::Form => undecided(Doubt::Form),
            Media::Protobuf(message) => Way::known(ProtobufStage::new(plan, message, limit)),
            Media::Msgpack => Way::known(MsgpackStage::new(plan, limit)),
            Media::Multipart => Way::known(MultipartStage::new(plan, content, rules, place.depth)?),
            Media::Sse => Way::known(SseStage::new(plan, limit)),
            Media::Recording => Way::known(RecordingStage::new(plan, rules, place)?),
            Media::Envelope => Way::known(EnvelopeStage::new(plan, rules, place.depth)?),
            Media::Table(_) | Media::Tabs(_) => {
                let text = TextStage::new(text_plan, Media::Text).prompt(place.prompt, limit);
                Way::known(TableStage::new(plan, content, text, place))
            }
            Media::Values => {
                let text = TextStage::new(text_plan, Media::Text).prompt(place.prompt, limit);
                Way::known(ValuesStage::new(text_plan, content.columns.clone(), text))
            }
            Media::Rows(is_typed) => {
                let text = TextStage::new(text_plan, Media::Ndjson).prompt(place.prompt, 0);
                Way::known(RowsStage::new(text_plan, content, is_typed, text, place.prompt))
            }
            media if place.depth == 0 => undecided(Doubt::Envelope(media)),
            media => Way::known(TextStage::new(text_plan, media).prompt(place.prompt, limit)),
        })
    }

    /// A stage for the messages of a gRPC call.
    pub(super) fn grpc(plan: &Arc<Plan>, messages: Messages, rules: &PartRules) -> Self {
        let way = Way::known(GrpcStage::new(plan, messages, rules.limit()));
        Self::of(plan, way, None, rules, Place::default())
    }

    /// Decides by the first bytes, which then go on.
    fn decide(&mut self, head: Bytes, doubt: Doubt, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.way = match doubt {
            Doubt::Coding => self.coded_or_said(&head)?,
            Doubt::Statement(media) => self.statement_or(media, &head),
            Doubt::Form if is_form(&head) => Way::known(FormStage::new(&self.plan, self.rules.limit())),
            Doubt::Form => Way::known(TextStage::new(&self.plan, Media::Text).prompt(self.prompt, self.rules.limit())),
            Doubt::Envelope(_) if envelope::begins(&head) == Some(true) => {
                Way::known(EnvelopeStage::new(&self.plan, &self.rules, 0)?)
            }
            Doubt::Envelope(media) => {
                Way::known(TextStage::new(&self.plan, media).prompt(self.prompt, self.rules.limit()))
            }
        };
        self.pass(head, out)
    }

    /// What its first bytes say to be compressed is that.
    fn coded_or_said(&mut self, head: &[u8]) -> Result<Way, ContentError> {
        let Some(said) = self.said.take() else { return Err(ContentError::Media) };
        let (content, place, way) = *said;
        let is_message = matches!(content.media, Media::Protobuf(_));
        let coding = match Coding::from_mark(head) {
            Coding::Identity if sniff::is_zlib(head) => Coding::Deflate,
            coding => coding,
        };
        Ok(match coding {
            // Other marks may begin a message.
            Coding::Gzip => Way::known(CodedStage::new(&self.plan, &content, Coding::Gzip, &self.rules, place)?),
            _ if is_message && place.depth == 0 && snappy::may_begin(head) == Some(true) => {
                Way::known(SnappyStage::new(&self.plan, &content, &self.rules, place, false)?)
            }
            coding @ (Coding::Deflate | Coding::Zstd) if !is_message => {
                Way::known(CodedStage::new(&self.plan, &content, coding, &self.rules, place)?)
            }
            _ => way,
        })
    }

    /// What begins as a statement is one; else nothing is decided yet.
    fn statement_or(&self, media: Media, head: &[u8]) -> Way {
        match &self.rules.formats {
            Some(formats) if statement::begins_with_verb(head, formats) == Some(true) => {
                Way::known(StatementStage::new(&self.plan, &self.rules, formats))
            }
            _ if media == Media::Form => Way::Undecided(BytesMut::new(), Doubt::Form),
            _ => Way::Undecided(BytesMut::new(), Doubt::Envelope(media)),
        }
    }

    fn pass(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        match &mut self.way {
            Way::Known(stage) => stage.push(chunk, out),
            Way::Undecided(head, doubt) => {
                let doubt = *doubt;
                // The usual case: the first chunk has all that is needed.
                let head = if head.is_empty() {
                    chunk
                } else {
                    head.extend_from_slice(&chunk);
                    head.split().freeze()
                };
                if self.suffices(&head, doubt) {
                    return self.decide(head, doubt, out);
                }
                self.way = Way::Undecided(head.into(), doubt);
                Ok(())
            }
        }
    }

    /// Whether the first bytes tell what the declared type leaves open.
    fn suffices(&self, head: &[u8], doubt: Doubt) -> bool {
        match doubt {
            Doubt::Coding => {
                let is_message =
                    matches!(self.said.as_deref(), Some((ContentType { media: Media::Protobuf(_), .. }, ..)));
                head.len() >= MARK && (!is_message || snappy::may_begin(head).is_some())
                    || head.first().is_some_and(|first| !is_message && b"{[\"\n ".contains(first))
            }
            Doubt::Form => sniff::suffices(head),
            Doubt::Statement(_) => {
                let formats = self.rules.formats.as_ref();
                formats.is_none_or(|formats| statement::begins_with_verb(head, formats).is_some())
            }
            Doubt::Envelope(_) => envelope::begins(head).is_some(),
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

impl Stage for BodyStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.taken += chunk.len() as u64;
        let from = out.len();
        self.pass(chunk, out)?;
        self.count_released(&out[from..]);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let from = out.len();
        while let Way::Undecided(head, doubt) = &mut self.way {
            let (head, doubt) = (head.split().freeze(), *doubt);
            self.decide(head, doubt, out)?;
        }
        if let Way::Known(stage) = &mut self.way {
            stage.finish(out)?;
        }
        self.count_released(&out[from..]);
        Ok(())
    }

    fn format(&self) -> Option<BodyFormat> {
        self.way.stage().and_then(Stage::format)
    }

    fn report(&self) -> Report {
        self.way.stage().map_or_else(Report::default, Stage::report)
    }

    fn held(&self) -> usize {
        match &self.way {
            Way::Undecided(head, _) => head.len(),
            Way::Known(stage) => stage.held(),
        }
    }

    fn passed(&self) -> bool {
        self.way.stage().is_some_and(Stage::passed)
    }

    fn is_pending(&self) -> bool {
        self.way.stage().is_some_and(Stage::is_pending)
    }

    fn memory(&self) -> u64 {
        self.way.stage().map_or(0, Stage::memory)
    }

    fn rewrites(&self) -> bool {
        self.way.stage().is_some_and(Stage::rewrites)
    }
}

impl Way {
    fn known(stage: impl Stage + 'static) -> Self {
        Self::Known(Box::new(stage))
    }

    fn stage(&self) -> Option<&dyn Stage> {
        match self {
            Self::Undecided(..) => None,
            Self::Known(stage) => Some(&**stage),
        }
    }
}

/// So many bytes tell whether what follows is compressed.
const MARK: usize = 4;

/// Whether what is said to be this may be compressed without a word of it.
fn may_be_coded(media: Media) -> bool {
    use Media::{Envelope, Form, Json, Ndjson, Protobuf, Rows, Table, Tabs, Text, Unknown, Values};
    matches!(
        media,
        Json | Ndjson | Rows(_) | Text | Table(_) | Tabs(_) | Values | Form | Envelope | Unknown | Protobuf(_)
    )
}

/// Whether what is said to be a form is one, and not JSON. White space alone does
/// not tell.
fn is_form(head: &[u8]) -> bool {
    sniff::begins_json(head).map_or(head.is_empty(), |_| sniff::format(head) == Format::Text)
}
