//! The whole way of one body, sans-IO: coding -> format ->
//! coding.
//!
//! ```text
//! wire --push--> [Decoder] --> BodyStage: by format --> [Encoder] --> out
//! ```
//!
//! Invariant: nothing reaches `out` that the redactor has not released.

use super::SLICE;
use super::body::{BodyFormat, BodyStage, PartRules, Place, Stage};
use super::grpc::Messages;
use super::media::ContentType;
use super::original::Original;
use super::released::{Released, Unchanged};
use crate::coding::{Coding, CodingError, CodingLimits, Decoder, LateEncoder, Level, WireFormat};
use crate::redact::{Plan, RedactError, Report};
use bytes::Bytes;
use std::sync::Arc;

/// Why a body cannot be forwarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The coding is broken or too large.
    #[error("the content coding cannot be undone")]
    Coding(#[from] CodingError),
    /// Text that is not UTF-8, or that holds a NUL, as UTF-16 and UTF-32 do.
    #[error("the text is not UTF-8")]
    Charset,
    /// Neither a known media type nor UTF-8 text.
    #[error("the media type is not supported")]
    Media,
    /// The body is not framed as its format says.
    #[error("the framing of the body is broken")]
    Framing,
    /// A part has a coding of its own.
    #[error("the coding of a part of the body is not supported")]
    PartCoding,
    /// What the format wants held whole is larger than the limit.
    #[error("a part of the body is larger than the limit")]
    Large,
    /// The redactor refused it.
    #[error("the body cannot be redacted")]
    Redact(#[from] RedactError),
}

/// How the output leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing leaves before the end, so the end may still decide. The output
    /// is not encoded.
    Whole,
    /// Bytes leave as they are released, in the coding of the input.
    Streaming(Level),
    /// Bytes leave as soon as they may, which costs more. The output is not
    /// encoded.
    Prompt,
    /// The bytes of the wire leave as they came, once what they mean is settled;
    /// once it would be changed, none. Of a body without a coding, what is released.
    Original,
}

/// One body on its way through.
pub struct Pipeline {
    decoder: Option<Decoder>,
    body: BodyStage,
    /// How what leaves is encoded; `None` where it is not.
    level: Option<Level>,
    /// Made when something leaves: by then it is known how the input is written.
    encoder: LateEncoder,
    /// The bytes of the wire, where those leave.
    original: Option<Original>,
    /// Released by the redactor, not encoded yet; empty between calls.
    released: Vec<Bytes>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Given all of the body.
    Finished,
    /// By an error, or a panic.
    Failed,
}

impl Pipeline {
    /// A pipeline for one body, with the plan that is current now.
    ///
    /// # Errors
    /// When the declared type or charset alone decides.
    pub fn new(
        plan: &Arc<Plan>,
        content: &ContentType,
        coding: Coding,
        limits: CodingLimits,
        delivery: Delivery,
        parts: &PartRules,
    ) -> Result<Self, ContentError> {
        let mut decoder = Decoder::new(coding, limits)?;
        if let (Some(decoder), Delivery::Streaming(_)) = (&mut decoder, delivery) {
            // It is encoded anew in any case.
            decoder.skip_annotations();
        }
        let level = if let Delivery::Streaming(level) = delivery { level } else { Level::default() };
        // Two codings are refused, told or not.
        let decoded = decoder.is_some();
        let place = Place { prompt: matches!(delivery, Delivery::Prompt), decoded, level, ..Place::default() };
        Ok(Self {
            decoder,
            body: BodyStage::new(plan, content, parts, place)?,
            level: match delivery {
                Delivery::Whole | Delivery::Prompt | Delivery::Original => None,
                Delivery::Streaming(level) => Some(level),
            },
            encoder: LateEncoder::default(),
            original: (delivery == Delivery::Original && coding != Coding::Identity).then(Original::default),
            released: Vec::new(),
            state: State::Open,
        })
    }

    /// A pipeline for the body of a gRPC call, whose messages have codings of
    /// their own.
    pub fn grpc(plan: &Arc<Plan>, messages: Messages, parts: &PartRules) -> Self {
        let body = BodyStage::grpc(plan, messages, parts);
        Self {
            decoder: None,
            body,
            level: None,
            encoder: LateEncoder::default(),
            original: None,
            released: Vec::new(),
            state: State::Open,
        }
    }

    /// Takes the next bytes from the wire and appends to `out` what may leave.
    /// Of encoded bytes, which may grow to any size, no more than some [`SLICE`]
    /// of decoded ones is done at once: while it [`is_pending`], pushing nothing
    /// goes on.
    ///
    /// # Errors
    /// After an error nothing more leaves: all that follows is one, too.
    ///
    /// [`is_pending`]: Pipeline::is_pending
    pub fn push(&mut self, wire: Bytes, out: &mut Released) -> Result<(), ContentError> {
        self.go_on(State::Open, |pipeline| pipeline.take(wire, out.pieces()))
    }

    /// Does what is to be done unless something went wrong before.
    fn go_on(
        &mut self,
        then: State,
        work: impl FnOnce(&mut Self) -> Result<(), ContentError>,
    ) -> Result<(), ContentError> {
        // It stays so if it panics.
        if std::mem::replace(&mut self.state, State::Failed) != State::Open {
            return Err(ContentError::Redact(RedactError::Engine));
        }
        work(self)?;
        self.state = then;
        Ok(())
    }

    fn take(&mut self, wire: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.decoder.is_none() {
            let mut wire = wire;
            while !wire.is_empty() || self.body.is_pending() {
                self.body.push(wire.split_to(wire.len().min(SLICE)), &mut self.released)?;
                if wire.is_empty() {
                    break;
                }
            }
            out.append(&mut self.released);
            return Ok(());
        }
        if !wire.is_empty() {
            self.catch_up(out)?;
        }
        if let Some(decoder) = self.decoder.as_mut().filter(|_| !wire.is_empty()) {
            if let Some(original) = &mut self.original {
                original.take(&wire);
            }
            decoder.push(wire);
        }
        self.advance(out)
    }

    /// Whether bytes that were pushed wait to be decoded.
    pub fn is_pending(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::is_pending) || self.body.is_pending()
    }

    /// The body has ended: everything held leaves.
    ///
    /// # Errors
    /// As [`Pipeline::push`].
    pub fn finish(&mut self, out: &mut Released) -> Result<(), ContentError> {
        self.go_on(State::Finished, |pipeline| pipeline.end(out.pieces()))
    }

    fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.catch_up(out)?;
        if let Some(decoder) = &self.decoder {
            decoder.finish()?;
        }
        self.body.finish(&mut self.released)?;
        self.encode(out)?;
        if self.level.is_some() && self.decoder.is_some() {
            self.encoder.finish(self.how(), out)?;
        }
        let changes = self.changes();
        if let Some(original) = self.original.as_mut().filter(|_| !changes) {
            original.finish(out);
        }
        Ok(())
    }

    /// Decodes all that was pushed.
    fn catch_up(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        while self.decoder.as_ref().is_some_and(Decoder::is_pending) {
            self.advance(out)?;
        }
        Ok(())
    }

    /// Decodes, redacts and encodes about a [`SLICE`], piece by piece, so that no
    /// more than one is there decoded.
    fn advance(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let mut done = 0;
        while done < SLICE {
            let Some(piece) = self.decoder.as_mut().map_or(Ok(None), Decoder::next_piece)? else { break };
            done += piece.len();
            self.body.push(piece, &mut self.released)?;
            self.encode(out)?;
        }
        self.release_original(out);
        Ok(())
    }

    /// Moves the bytes of the wire to `out` whose meaning is settled.
    fn release_original(&mut self, out: &mut Vec<Bytes>) {
        let (changes, (_, released)) = (self.changes(), self.body.sizes());
        let (Some(original), Some(decoder)) = (&mut self.original, &self.decoder) else { return };
        if !decoder.is_pending() {
            original.mark(decoder.sizes());
        }
        if !changes {
            original.release(released, out);
        }
    }

    /// Moves what is released to `out`, encoded where it has to be.
    fn encode(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.original.is_some() {
            self.released.clear();
        }
        if self.level.is_none() || self.decoder.is_none() {
            out.append(&mut self.released);
        }
        Ok(self.encoder.push(self.how(), &mut self.released, out)?)
    }

    /// How what is encoded is written.
    fn how(&self) -> (WireFormat, Level) {
        (self.wire_format().unwrap_or(WireFormat::Gzip), self.level.unwrap_or_default())
    }

    /// Whether the first bytes have been judged: from then on only the coding,
    /// the policy and the engine can refuse.
    pub fn decided(&self) -> bool {
        self.body.format().is_some()
    }

    /// The format that the body turned out to have, once [`decided`].
    ///
    /// [`decided`]: Pipeline::decided
    pub fn format(&self) -> Option<BodyFormat> {
        self.body.format()
    }

    /// The redactor's counters so far.
    pub fn report(&self) -> Report {
        self.body.report()
    }

    /// Whether a part of the body passed unscanned, as its type may.
    pub fn passed(&self) -> bool {
        self.body.passed()
    }

    /// Whether the coding carries bytes beside the body, which were not looked
    /// at: then the body must not be forwarded as it came.
    pub fn annotated(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::is_annotated)
    }

    /// Whether the body must not be forwarded as it came.
    pub fn changes(&self) -> bool {
        self.report().changed() > 0 || self.annotated() || self.body.rewrites()
    }

    /// That the body may be forwarded as it came, once it is finished.
    pub fn unchanged(&self) -> Option<Unchanged> {
        (self.state == State::Finished && !self.changes()).then_some(Unchanged(()))
    }

    /// How the input is encoded, once something of it is decoded; `None` where
    /// it is not.
    pub fn wire_format(&self) -> Option<WireFormat> {
        self.decoder.as_ref().map(Decoder::wire_format)
    }

    /// Memory that is more than a constant: what the coding looks back at, the
    /// encoder, a message of gRPC.
    pub fn memory(&self) -> u64 {
        let coding = self.decoder.as_ref().map_or(0, Decoder::memory) + self.encoder.memory();
        coding + self.original.as_ref().map_or(0, Original::memory) + self.body.memory()
    }

    /// Bytes held back now.
    pub fn held(&self) -> usize {
        self.body.held()
    }

    /// Bytes after decoding so far: taken in, and released.
    pub fn decoded(&self) -> (u64, u64) {
        self.body.sizes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::Encoder;
    use crate::coding::rig::FORMS;
    use crate::redact::Policy;
    use crate::rule::{Rule, Ruleset};
    use crate::scan::Engine;

    const LIMITS: CodingLimits = CodingLimits { max_decoded: 1 << 20, max_ratio: 100 };

    fn parts() -> PartRules {
        PartRules { limit: 1 << 16, pass: Arc::default(), media: Arc::default(), formats: None, coding: LIMITS }
    }

    fn plan() -> Arc<Plan> {
        let ruleset = Ruleset { rules: Vec::<Rule>::new(), hash: String::new() };
        let engine = Engine::compile(Arc::new(ruleset)).unwrap();
        Arc::new(Plan::new(Arc::new(engine), &Policy::default()))
    }

    fn run(
        kind: Option<&str>,
        coding: Coding,
        delivery: Delivery,
        chunks: &[&[u8]],
    ) -> Result<(BodyFormat, Vec<u8>), ContentError> {
        let content = ContentType::parse(kind.map(str::as_bytes));
        let mut pipeline = Pipeline::new(&plan(), &content, coding, LIMITS, delivery, &parts())?;
        let mut out = Released::default();
        for chunk in chunks {
            pipeline.push(Bytes::copy_from_slice(chunk), &mut out)?;
        }
        pipeline.finish(&mut out)?;
        Ok((pipeline.format().unwrap(), out.concat()))
    }

    fn whole(kind: Option<&str>, body: &[u8]) -> Result<BodyFormat, ContentError> {
        let identity = Coding::Identity;
        run(kind, identity, Delivery::Whole, &[body]).map(|(format, _)| format)
    }

    #[test]
    fn json_is_seen_under_a_text_type_and_without_a_type() {
        for kind in [None, Some("text/plain"), Some("text/html"), Some("application/x-new")] {
            assert_eq!(whole(kind, b" \n{\"a\":1}"), Ok(BodyFormat::Json), "{kind:?}");
        }
        assert_eq!(whole(Some("text/plain"), b"hello"), Ok(BodyFormat::Text));
        assert_eq!(whole(None, b"hello"), Ok(BodyFormat::Text));
        assert_eq!(whole(Some("application/json"), b"\"x\""), Ok(BodyFormat::Json));
    }

    #[test]
    fn an_unknown_type_must_be_utf8_to_the_last_byte() {
        assert_eq!(whole(Some("image/png"), b"\x89PNG\r\n"), Err(ContentError::Media));
        assert_eq!(whole(Some("application/octet-stream"), b"\xff\xfe\x80{}"), Err(ContentError::Media));
        assert_eq!(whole(None, b"\xff\xfe{\0}\0"), Err(ContentError::Charset));
        assert_eq!(whole(None, b"a fine text until \xe2\x82"), Err(ContentError::Media));
    }

    #[test]
    fn an_unknown_type_streams_as_text_up_to_the_first_byte_that_is_not_utf8() {
        let stream = |chunks: &[&[u8]]| {
            run(None, Coding::Identity, Delivery::Streaming(Level::Fast), chunks).map(|(format, _)| format)
        };
        assert_eq!(stream(&[b"hello"]), Ok(BodyFormat::Text));
        assert_eq!(stream(&[b"[1, 2]"]), Ok(BodyFormat::Json));
        assert_eq!(stream(&[b"hello hello ", b"\xff"]), Err(ContentError::Media));
        assert_eq!(stream(&[b"hello hello \xc3"]), Err(ContentError::Media));
    }

    #[test]
    fn a_bracket_that_begins_no_json_begins_text_at_every_split() {
        for body in [&b"[db]\npassword = 4815162342"[..], b"[   section]\nx", b"{{name}}, hello", b" {x}"] {
            for at in 0..=body.len() {
                for kind in [Some("text/plain"), None] {
                    let parts = [&body[..at], &body[at..]];
                    let format = run(kind, Coding::Identity, Delivery::Whole, &parts).map(|(format, _)| format);
                    assert_eq!(format, Ok(BodyFormat::Text), "at {at}");
                }
            }
        }
        for body in [&b"[ ]     "[..], b"{ \"a\": 1}", b"[\n-1, 2]", b"[[1]]  ", b"[null] "] {
            assert_eq!(whole(Some("text/plain"), body), Ok(BodyFormat::Json));
        }
    }

    #[test]
    fn wide_text_in_another_script_is_refused_at_its_first_nul() {
        let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
        // The bytes of the first word are valid UTF-8.
        let body = wide("\u{4142}\u{4344}\u{4546}\u{4748} bob@example.com");
        for kind in [Some("text/plain"), None, Some("application/json")] {
            assert_eq!(whole(kind, &body), Err(ContentError::Charset), "{kind:?}");
        }
    }

    #[test]
    fn wide_text_is_refused_at_every_split() {
        let body = b"{\0\"\0a\0\"\0}\0";
        for at in 0..=body.len() {
            let chunks = [&body[..at], &body[at..]];
            let json = Some("application/json");
            assert_eq!(run(json, Coding::Identity, Delivery::Whole, &chunks), Err(ContentError::Charset));
        }
        assert_eq!(whole(Some("text/plain; charset=utf-16"), b"x"), Err(ContentError::Charset));
    }

    #[test]
    fn compressed_bytes_without_their_header_are_decoded_or_refused() {
        for kind in ["application/json", "text/plain"] {
            for body in [&b"\x1f\x8b\x08\x08name\0"[..], b"x\x9c\xab\x56\x4a\x54", b"x^\xab\x56\x4a\x54"] {
                assert_eq!(whole(Some(kind), body), Err(ContentError::Coding(CodingError::Truncated)), "{kind}");
            }
            for body in [&b"\xfd7zXZ\0\0\x04"[..], b"BZh91AY&SY", b"\x04\x22\x4d\x18\x64\x40"] {
                assert_eq!(whole(Some(kind), body), Err(ContentError::Media), "{kind}");
            }
            // Deflate has no mark, and zlib's may be text.
            for body in [&b"\xab\x56\x4a\x54\xb2\x52"[..], b"x^5\xca\x31\x0d", b"5\xca\x31\x0d\x80 "] {
                assert_eq!(whole(Some(kind), body), Err(ContentError::Charset), "{kind}");
            }
        }
    }

    #[test]
    fn messages_that_are_utf8_by_chance_are_not_rewritten_as_text() {
        // A text of 31 bytes behind its length, and one of 5.
        let message = b"\n\x1fcanary.person@corp-mail.example\x12\x05hello";
        for kind in [None, Some("application/octet-stream"), Some("application/x-unknown"), Some("avro/binary")] {
            assert_eq!(whole(kind, message), Err(ContentError::Media), "{kind:?}");
            for at in 0..=message.len() {
                let chunks = [&message[..at], &message[at..]];
                assert_eq!(run(kind, Coding::Identity, Delivery::Whole, &chunks), Err(ContentError::Media), "{kind:?}");
            }
        }
        for kind in ["application/proto", "application/x-proto"] {
            assert!(matches!(whole(Some(kind), message), Ok(BodyFormat::Protobuf)), "{kind}");
        }
        for text in [&b"\x1b[1mred\x1b[0m \x07\x08\ta\r\nb\x0c"[..], b"\x1e{\"a\": 1}\n"] {
            assert!(whole(None, text).is_ok(), "{}", text.escape_ascii());
        }
        assert_eq!(whole(Some("text/plain"), b"a\x01b"), Ok(BodyFormat::Text));
    }

    #[test]
    fn bodies_shorter_than_the_prefix_pass() {
        for body in [&b""[..], b"1", b"{}", b"   "] {
            let json = Some("application/json");
            let (_, out) = run(json, Coding::Identity, Delivery::Streaming(Level::Fast), &[body]).unwrap();
            assert_eq!(out, body);
        }
    }

    fn encode(form: WireFormat, text: &[u8]) -> Vec<u8> {
        let (mut encoder, mut wire) = (Encoder::new(form, Level::Fast, None).unwrap(), Vec::new());
        encoder.push(text, &mut wire).unwrap();
        encoder.finish(&mut wire).unwrap();
        wire.concat()
    }

    fn decode(coding: Coding, wire: Vec<u8>) -> (WireFormat, Vec<u8>) {
        let (mut decoder, mut text) = (Decoder::new(coding, LIMITS).unwrap().unwrap(), Vec::new());
        decoder.push(wire.into());
        while let Some(piece) = decoder.next_piece().unwrap() {
            text.extend_from_slice(&piece);
        }
        decoder.finish().unwrap();
        (decoder.wire_format(), text)
    }

    #[test]
    fn what_is_encoded_streams_as_it_came_and_is_delivered_whole_as_text() {
        for (coding, form) in FORMS {
            for text in [br#"{"a":"hello hello"}"#.repeat(3000), Vec::new()] {
                let wire = encode(form, &text);
                let chunks: Vec<&[u8]> = wire.chunks(100).collect();
                let json = Some("application/json");
                let (_, plain) = run(json, coding, Delivery::Whole, &chunks).unwrap();
                assert_eq!(plain, text, "{form:?}");
                let (_, again) = run(json, coding, Delivery::Streaming(Level::Fast), &chunks).unwrap();
                assert_eq!(decode(coding, again), (form, text), "{form:?}");
            }
        }
    }

    #[test]
    fn a_push_lets_out_about_a_slice_however_much_it_stands_for() {
        let limits = CodingLimits::NONE;
        let content = ContentType::parse(Some(b"application/json"));
        for (coding, form) in FORMS {
            let wire = encode(form, &vec![b' '; 40 * SLICE]);
            let mut pipeline = Pipeline::new(&plan(), &content, coding, limits, Delivery::Whole, &parts()).unwrap();
            let (mut out, mut pushes) = (Released::default(), 0);
            pipeline.push(wire.into(), &mut out).unwrap();
            let mut before = 0;
            while pipeline.is_pending() {
                let (taken, _) = pipeline.decoded();
                assert!(taken - before < 2 * SLICE as u64, "{form:?}");
                before = taken;
                pipeline.push(Bytes::new(), &mut out).unwrap();
                pushes += 1;
            }
            pipeline.finish(&mut out).unwrap();
            assert!(pushes >= 30, "{form:?}: {pushes}");
            assert_eq!(pipeline.decoded().0, 40 * SLICE as u64);
        }
    }

    #[test]
    fn what_is_still_to_be_decoded_is_before_what_is_pushed_next() {
        for (coding, form) in FORMS {
            let text = [b"[\"".to_vec(), vec![b'x'; 20 * SLICE], b"\"]".to_vec()].concat();
            let wire = encode(form, &text);
            let (first, second) = wire.split_at(wire.len() - 3);
            let limits = CodingLimits::NONE;
            let content = ContentType::parse(Some(b"application/json"));
            let mut pipeline = Pipeline::new(&plan(), &content, coding, limits, Delivery::Whole, &parts()).unwrap();
            let mut out = Released::default();
            for part in [first, second] {
                pipeline.push(Bytes::copy_from_slice(part), &mut out).unwrap();
            }
            pipeline.finish(&mut out).unwrap();
            assert!(out.concat() == text, "{form:?}");
        }
    }

    #[test]
    fn after_an_error_nothing_leaves_and_no_body_is_said_to_be_the_same() {
        let content = ContentType::parse(Some(b"text/plain"));
        let pipeline =
            || Pipeline::new(&plan(), &content, Coding::Identity, LIMITS, Delivery::Whole, &parts()).unwrap();
        let engine = Err(ContentError::Redact(RedactError::Engine));
        let (mut broken, mut out) = (pipeline(), Released::default());
        assert_eq!(broken.push(Bytes::from_static(b"\xff\xfe bob@"), &mut out), Err(ContentError::Charset));
        assert_eq!(broken.push(Bytes::from_static(b"example.com"), &mut out), engine);
        assert_eq!(broken.finish(&mut out), engine);
        assert!(!broken.changes() && broken.unchanged().is_none() && out.is_empty());
        let mut clean = pipeline();
        clean.push(Bytes::from_static(b"nothing"), &mut out).unwrap();
        assert!(clean.unchanged().is_none(), "the rest may change");
        clean.finish(&mut out).unwrap();
        assert!(clean.unchanged().is_some());
        assert_eq!(clean.push(Bytes::from_static(b"more"), &mut out), engine);
        assert!(clean.unchanged().is_none());
    }

    #[test]
    fn formats_not_understood_are_refused_before_the_first_byte() {
        assert_eq!(whole(Some("application/cbor"), b""), Err(ContentError::Media));
    }
}
