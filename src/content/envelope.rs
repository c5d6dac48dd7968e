//! Sentry envelopes (<https://develop.sentry.dev/sdk/data-model/envelopes/>):
//!
//! ```text
//! {"event_id": ..., "dsn": ..., "trace": {...}}       header of the envelope
//! {"type": "event", "length": 41}                     header of an item
//! {...}                                               41 bytes, then a line feed
//! {"type": "session"}                                 without a length:
//! {...}                                               up to the line feed
//! ```
//!
//! Headers are JSON; payloads go the way of their type. What names the project
//! to the upstream, its DSN and its public key, stays.

use super::ContentError;
use super::body::{BodyFormat, PartRules, Stage};
use super::media::{ContentType, Media};
use super::part::{Head, Parts, Written};
use super::projection::{Piece, Projection};
use crate::coding::Coding;
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;
use std::ops::Range;
use std::sync::Arc;

/// Longest header, with its line feed.
const LONGEST_HEADER: usize = 64 * 1024;
/// So much of a body without a type tells whether it is an envelope.
const LEAD: usize = 8 * 1024;

/// Takes an envelope apart as it streams by.
pub(super) struct EnvelopeStage {
    /// The items.
    parts: Parts,
    place: Place,
    /// The beginning of a header.
    held: BytesMut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    /// Before the header of an item.
    Between,
    /// So many bytes of a payload are to come; `None` when it ends with the line.
    Payload(Option<u64>),
    /// Behind a payload: there must be a line feed, or nothing.
    Behind,
}

impl EnvelopeStage {
    /// A stage for an envelope in so many other bodies.
    ///
    /// # Errors
    /// When that is too deep.
    pub(super) fn new(plan: &Arc<Plan>, rules: &PartRules, depth: u8) -> Result<Self, ContentError> {
        Ok(Self { parts: Parts::new(plan, rules, depth)?, place: Place::Header, held: BytesMut::new() })
    }

    /// A header, once all of its line is there.
    fn line(&mut self, data: &mut Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let room = LONGEST_HEADER - self.held.len();
        let feed = memchr::memchr(b'\n', &data[..data.len().min(room)]);
        let taken = data.split_to(feed.map_or(data.len(), |feed| feed + 1));
        if feed.is_none() && taken.len() >= room {
            return Err(ContentError::Framing);
        }
        self.held.extend_from_slice(&taken);
        match feed {
            Some(_) => {
                let line = self.held.split().freeze();
                self.header(line, out)
            }
            None => Ok(()),
        }
    }

    fn header(&mut self, line: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.place == Place::Between && line.trim_ascii().is_empty() {
            out.push(line);
            return Ok(());
        }
        let facts = Facts::read(&line)?;
        let head = facts.redact(&line, self.parts.plan())?;
        if self.place == Place::Header {
            self.parts.count(&head.report);
            head.write(None, out);
            self.place = Place::Between;
            return Ok(());
        }
        if facts.kind.is_none() {
            self.parts.count(&head.report);
            return Err(ContentError::Framing);
        }
        self.place = Place::Payload(head.lengths.first().copied());
        self.parts.begin(head, out)
    }

    fn payload(&mut self, data: &mut Bytes, left: Option<u64>, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let (end, left) = match left {
            Some(left) => {
                let end = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
                (Some(end), Some(left - end as u64))
            }
            None => (memchr::memchr(b'\n', data), None),
        };
        let piece = data.split_to(end.unwrap_or(data.len()));
        if !piece.is_empty() {
            self.parts.push(piece, out)?;
        }
        self.place = Place::Payload(left);
        if left == Some(0) || (left.is_none() && end.is_some()) {
            self.parts.end(out)?;
            self.place = Place::Behind;
        }
        Ok(())
    }
}

impl Stage for EnvelopeStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let mut data = chunk;
        while !data.is_empty() {
            match self.place {
                Place::Header | Place::Between => self.line(&mut data, out)?,
                Place::Payload(left) => self.payload(&mut data, left, out)?,
                Place::Behind => {
                    let feed = data.split_to(1);
                    if feed[0] != b'\n' {
                        return Err(ContentError::Framing);
                    }
                    out.push(feed);
                    self.place = Place::Between;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if matches!(self.place, Place::Header | Place::Between) {
            let line = self.held.split().freeze();
            self.header(line, out)?;
        }
        match self.place {
            Place::Payload(Some(1..)) => Err(ContentError::Framing),
            _ => self.parts.end(out),
        }
    }

    fn format(&self) -> Option<BodyFormat> {
        (self.place != Place::Header).then_some(BodyFormat::Envelope)
    }

    fn report(&self) -> Report {
        self.parts.report()
    }

    fn passed(&self) -> bool {
        self.parts.passed()
    }

    fn rewrites(&self) -> bool {
        self.parts.rewrites()
    }

    fn held(&self) -> usize {
        self.held.len() + self.parts.held()
    }
}

/// Whether a body that begins so, of no type that tells, is an envelope: a line
/// with nothing but the members of its header, and one with an item's type.
/// `None` when more has to come.
pub(super) fn begins(head: &[u8]) -> Option<bool> {
    const MEMBERS: [&str; 5] = ["event_id", "dsn", "sdk", "sent_at", "trace"];
    if head.first()? != &b'{' {
        return Some(false);
    }
    let near = &head[..head.len().min(LEAD)];
    // Most JSON is known by its first name not to be one.
    if let [b'"', name @ ..] = near[1..].trim_ascii_start()
        && !MEMBERS.iter().any(|member| member.bytes().chain([b'"']).zip(name).all(|(known, byte)| known == *byte))
    {
        return Some(false);
    }
    let too_far = (near.len() == LEAD).then_some(false);
    let mut lines = near.split_inclusive(|&byte| byte == b'\n').map_while(|line| line.strip_suffix(b"\n"));
    let Some(first) = lines.next() else { return too_far };
    let is_header = members(first).is_some_and(|members| members.iter().all(|(name, _)| MEMBERS.contains(&&name[..])));
    if !is_header {
        return Some(false);
    }
    let Some(second) = lines.next() else { return too_far };
    Some(Facts::read(second).is_ok_and(|facts| facts.kind.is_some()))
}

/// What a header says, and what of it is not for the redactor.
struct Facts {
    kind: Option<String>,
    content_type: Option<String>,
    length: Option<(u64, Range<usize>)>,
    /// Texts that stay, in order.
    kept: Vec<Range<usize>>,
}

impl Facts {
    /// # Errors
    /// When it is not an object, or says twice what decides.
    fn read(line: &[u8]) -> Result<Self, ContentError> {
        if std::str::from_utf8(line).is_err() {
            return Err(ContentError::Charset);
        }
        let mut facts = Self { kind: None, content_type: None, length: None, kept: Vec::new() };
        for (name, value) in members(line).ok_or(ContentError::Framing)? {
            let raw = &line[value.clone()];
            let is_new = match &name[..] {
                "type" => facts.kind.replace(text(raw).ok_or(ContentError::Framing)?).is_none(),
                "content_type" if raw == b"null" => true,
                "content_type" => facts.content_type.replace(text(raw).ok_or(ContentError::Framing)?).is_none(),
                "length" if raw == b"null" => true,
                "length" => {
                    let length = serde_json::from_slice(raw).map_err(|_| ContentError::Framing)?;
                    facts.length.replace((length, value)).is_none()
                }
                "dsn" => facts.keep(raw, value.start, is_dsn),
                "trace" => {
                    let keys = members(raw).unwrap_or_default().into_iter().filter(|(name, _)| name == "public_key");
                    keys.for_each(|(_, key)| {
                        facts.keep(&raw[key.clone()], value.start + key.start, is_public_key);
                    });
                    true
                }
                _ => true,
            };
            if !is_new {
                return Err(ContentError::Framing);
            }
        }
        Ok(facts)
    }

    /// A string whose content stays, if it is what is expected there.
    fn keep(&mut self, raw: &[u8], from: usize, is_expected: fn(&str) -> bool) -> bool {
        // Some encoders of JSON escape slashes.
        if text(raw).is_some_and(|text| is_expected(&text)) {
            self.kept.push(from + 1..from + raw.len() - 1);
        }
        true
    }

    fn redact(&self, line: &Bytes, plan: &Arc<Plan>) -> Result<Head, ContentError> {
        let mut projection = Projection::new(plan);
        let length = self.length.as_ref().map(|(_, range)| range.clone());
        let mut frames: Vec<Range<usize>> = self.kept.iter().cloned().chain(length.clone()).collect();
        frames.sort_unstable_by_key(|range| range.start);
        let mut at = 0;
        for range in &frames {
            projection.json(line.slice(at..range.start));
            projection.frame(line.slice(range.clone()));
            if Some(range) == length.as_ref() {
                projection.syntax(b"0");
            }
            at = range.end;
        }
        projection.json(line.slice(at..));
        let (mut written, mut frames) = (Vec::new(), frames.into_iter());
        projection.finish(&mut |piece| {
            let is_length = matches!(piece, Piece::Frame(_)) && frames.next() == length;
            let bytes = piece.into_bytes();
            written.push(if is_length { Written::Length(bytes) } else { Written::Bytes(bytes) });
        })?;
        let mut content = ContentType::parse(self.content_type.as_deref().map(str::as_bytes));
        if content.media == Media::Json {
            // Bytes may follow the JSON, as in recordings of replays.
            content.media = Media::Unknown;
        }
        if self.kind.as_deref() == Some("replay_recording") && self.length.is_some() {
            content.media = Media::Recording;
        }
        Ok(Head {
            content,
            field: None,
            lengths: self.length.iter().map(|(length, _)| *length).collect(),
            named: None,
            coding: Coding::Identity,
            coded: false,
            report: projection.report().clone(),
            written,
        })
    }
}

/// Whether this is a DSN, `https://KEY@HOST/PROJECT`, of old ones with a second
/// key.
fn is_dsn(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some((keys, place)) = rest.and_then(|rest| rest.split_once('@')) else { return false };
    let Some((host, project)) = place.rsplit_once('/') else { return false };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    keys.split(':').all(is_public_key)
        && keys.split(':').count() <= 2
        && host.bytes().all(is_host)
        && !project.is_empty()
        && project.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is the public key of a project.
fn is_public_key(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The members of an object: names, and where their values stand.
fn members(json: &[u8]) -> Option<Vec<(String, Range<usize>)>> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let skip = |at: usize| at + (json.len() - at - json[at..].trim_ascii_start().len());
    let mut at = skip(0);
    if json.get(at) != Some(&b'{') {
        return None;
    }
    let mut members = Vec::new();
    loop {
        at = skip(at + 1);
        if json.get(at)? == &b'}' {
            return Some(members);
        }
        let colon = end_of(json, at)?;
        let name = text(json[at..colon].trim_ascii())?;
        let begin = skip(colon + 1);
        at = end_of(json, begin)?;
        members.push((name, begin..begin + json[begin..at].trim_ascii_end().len()));
        if json[at] == b'}' {
            return Some(members);
        }
    }
}

/// Where the `,`, `:` or closing bracket behind a value of valid JSON stands.
fn end_of(json: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0_usize);
    loop {
        match json.get(at)? {
            b'"' => {
                at += 1;
                while json.get(at)? != &b'"' {
                    at += if json[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => depth += 1,
            b',' | b':' | b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// What a string says.
fn text(json: &[u8]) -> Option<String> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::{Decoder, Encoder, Level, WireFormat};
    use crate::redact::rig::PLAN;
    use crate::redact::{Format, Redactor};
    use proptest::prelude::*;

    const LIMIT: usize = 4096;
    const HEADER: &str = r#"{"event_id":"9ec79c33ec9942ab8353589fcb2e04dc","sent_at":"2026-11-21T07:30:58.319966Z"}"#;

    fn run<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(String, u64), ContentError> {
        let rules = PartRules {
            limit: LIMIT as u64,
            pass: [String::from("image/png")].into(),
            media: Arc::default(),
            formats: None,
            coding: crate::content::CodingLimits::NONE,
        };
        let (mut stage, mut out) = (EnvelopeStage::new(&PLAN, &rules, 0)?, Vec::new());
        for chunk in chunks {
            stage.push(Bytes::copy_from_slice(chunk), &mut out)?;
        }
        stage.finish(&mut out)?;
        assert_eq!(stage.held(), 0);
        Ok((String::from_utf8_lossy(&out.concat()).into_owned(), stage.report().changed()))
    }

    /// Whole, and cut in two everywhere.
    fn redacted(body: &[u8]) -> Result<String, ContentError> {
        let whole = run([body]).map(|(text, _)| text);
        for at in 0..=body.len() {
            let (one, other) = body.split_at(at);
            assert_eq!(run([one, other]).map(|(text, _)| text), whole, "cut at {at}");
        }
        whole
    }

    #[track_caller]
    fn check(items: &str, expected: &str) {
        assert_eq!(redacted(format!("{HEADER}\n{items}").as_bytes()).unwrap(), format!("{HEADER}\n{expected}"));
    }

    #[test]
    fn payloads_are_redacted_with_and_without_a_length() {
        let json = "{\"user\":\"bob@example.com\"}";
        let redacted = "{\"user\":\"[EMAIL_ADDRESS]\"}";
        for end in ["", "\n", "\n\n \n"] {
            check(&format!("{{\"type\":\"event\"}}\n{json}{end}"), &format!("{{\"type\":\"event\"}}\n{redacted}{end}"));
            let item = |payload: &str| {
                format!(
                    "{{ \"length\": {}, \"type\":\"event\",\"content_type\":\"application/json\"}}\n{payload}{end}",
                    payload.len()
                )
            };
            check(&item(json), &item(redacted));
        }
        let text = "for bob@example.com\n\nand so on\n";
        let redacted = "for [EMAIL_ADDRESS]\n\nand so on\n";
        let item = |payload: &str, name: &str| {
            let length = payload.len();
            format!(
                "{{\"type\":\"attachment\",\"length\":{length},\"content_type\":\"text/plain\",\"filename\":\"{name}\"}}\n{payload}\n{{\"type\":\"session\"}}\n{{}}"
            )
        };
        check(&item(text, "of jane@example.com"), &item(redacted, "of [EMAIL_ADDRESS]"));
        check("{\"type\":\"a\",\"length\":0}\n", "{\"type\":\"a\",\"length\":0}\n");
        check("{\"type\":\"a\",\"length\":null}", "{\"type\":\"a\",\"length\":null}");
        check("", "");
    }

    #[test]
    fn what_names_the_project_stays_in_the_header() {
        let header = |name: &str| {
            let key = "0123456789abcdef0123456789abcdef";
            format!(
                "{{\"dsn\":\"https://{key}:{key}@o1.ingest.example.com/42\",\"trace\": {{\"transaction\":\"{name}\",\"public_key\" : \"{key}\"}},\"password\":\"{}\"}}\n",
                if name.contains('[') { "[PASSWORD]" } else { "hunter2" }
            )
        };
        assert_eq!(redacted(header("for bob@example.com").as_bytes()).unwrap(), header("for [EMAIL_ADDRESS]"));
    }

    #[test]
    fn binary_attachments_pass_by_their_type_only() {
        let body = |kind: &str| {
            let item = format!("{HEADER}\n{{\"type\":\"attachment\",\"length\":4,\"content_type\":\"{kind}\"}}\n");
            [item.as_bytes(), b"\x89\n\x01\xff\n"].concat()
        };
        let png = body("image/png");
        assert_eq!(redacted(&png).unwrap(), String::from_utf8_lossy(&png));
        assert_eq!(redacted(&body("image/gif")), Err(ContentError::Media));
        assert_eq!(redacted(&body("application/json")), Err(ContentError::Media));
    }

    /// An item with what `events` are in zlib.
    fn recording(kind: &str, events: &[u8]) -> Vec<u8> {
        let payload = [b"{\"segment_id\":0}\n", events].concat();
        let head = format!("{HEADER}\n{{\"type\":\"{kind}\",\"length\":{}}}\n", payload.len());
        [head.as_bytes(), &payload, b"\n{\"type\":\"session\"}\n{}\n"].concat()
    }

    #[test]
    fn a_recording_is_redacted_in_its_coding() {
        let zlib = |text: &str| {
            let (mut encoder, mut out) = (Encoder::new(WireFormat::Zlib, Level::default(), None).unwrap(), Vec::new());
            encoder.push(text.as_bytes(), &mut out).unwrap();
            encoder.finish(&mut out).unwrap();
            out.concat()
        };
        let bytes = |chunks: [&[u8]; 2]| {
            let rules = PartRules {
                limit: LIMIT as u64,
                pass: Arc::default(),
                media: Arc::default(),
                formats: None,
                coding: crate::content::CodingLimits::NONE,
            };
            let (mut stage, mut out) = (EnvelopeStage::new(&PLAN, &rules, 0)?, Vec::new());
            chunks.into_iter().try_for_each(|chunk| stage.push(Bytes::copy_from_slice(chunk), &mut out))?;
            stage.finish(&mut out)?;
            Ok::<_, ContentError>(out.concat())
        };
        let events = |text: &str| format!(r#"[{{"type":5,"data":{{"tag":"x","payload":{{"email":"{text}"}}}}}}]"#);
        let (dirty, clean) = (events("bob@example.com"), events("nobody"));
        let body = recording("replay_recording", &zlib(&dirty));
        let whole = bytes([&body, b""]).unwrap();
        for at in 0..=body.len() {
            let (one, other) = body.split_at(at);
            assert!(bytes([one, other]).unwrap() == whole, "cut at {at}");
        }
        let begin = memchr::memmem::find(&whole, b":0}\n").unwrap() + 4;
        let end = memchr::memmem::rfind(&whole, b"\n{\"type\":\"session\"}").unwrap();
        // With its length.
        assert!(whole == recording("replay_recording", &whole[begin..end]));
        let mut decoder = Decoder::new(Coding::Deflate, crate::content::CodingLimits::NONE).unwrap().unwrap();
        decoder.push(Bytes::copy_from_slice(&whole[begin..end]));
        let text: Vec<Bytes> = std::iter::from_fn(|| decoder.next_piece().unwrap()).collect();
        decoder.finish().unwrap();
        assert_eq!(text.concat(), events("[EMAIL_ADDRESS]").as_bytes());
        let body = recording("replay_recording", &zlib(&clean));
        assert!(bytes([&body, b""]).unwrap() == body);
        for text in [&dirty, &clean] {
            let body = recording("replay_recording", text.as_bytes());
            let expected = text.replace("bob@example.com", "[EMAIL_ADDRESS]");
            assert!(bytes([&body, b""]).unwrap() == recording("replay_recording", expected.as_bytes()));
        }
        let cut = zlib(&dirty);
        let cut = recording("replay_recording", &cut[..cut.len() - 3]);
        assert!(matches!(redacted(&cut), Err(ContentError::Coding(_))));
        let noise: String = (0..2 * LIMIT).map(|n| char::from(b"abcdefghijklmnopqrstuvwxyz"[n * n / 7 % 26])).collect();
        assert_eq!(run([&recording("replay_recording", &zlib(&noise))[..]]), Err(ContentError::Large));
    }

    #[test]
    fn compressed_bytes_behind_json_are_not_taken_for_json() {
        assert_eq!(redacted(&recording("other", b"x\x9c\xab\x56\x4a\x54\0")), Err(ContentError::Media));
    }

    #[test]
    fn a_payload_too_long_to_be_held_keeps_its_length() {
        let filler = "\"abc\", ".repeat(LIMIT / 6);
        let payload = format!("[{filler}{{\"password\": 123456, \"to\": \"bob@example.com\"}}]");
        let body = format!("{HEADER}\n{{\"type\":\"event\",\"length\":{}}}\n{payload}\n", payload.len());
        let (whole, changed) = run([body.as_bytes()]).unwrap();
        assert_eq!((whole.len(), changed), (body.len(), 2));
        assert!(!whole.contains("bob@") && !whole.contains("123456"));
        serde_json::from_str::<serde_json::Value>(whole.lines().nth(2).unwrap()).unwrap();
        for size in [1, 7, 1000] {
            assert_eq!(run(body.as_bytes().chunks(size)).unwrap().0, whole);
        }
    }

    #[test]
    fn broken_framing_is_refused_at_every_split() {
        for body in [
            "",
            "\n",
            "[1]",
            "text",
            "{\"a\":1",
            "{}\n{\"length\":1}\na",
            "{}\n{\"type\":1}\n{}",
            "{}\nnull\n{}",
            "{}\n{\"type\":\"a\",\"length\":3}\nab",
            "{}\n{\"type\":\"a\",\"length\":3}",
            "{}\n{\"type\":\"a\",\"length\":3}\nabcd\n",
            "{}\n{\"type\":\"a\",\"length\":-1}\nabcd\n",
            "{}\n{\"type\":\"a\",\"length\":\"1\"}\na\n",
            "{}\n{\"type\":\"a\",\"length\":1,\"length\":2}\nab\n",
            "{}\n{\"type\":\"a\",\"type\":\"b\"}\n{}\n",
        ] {
            assert_eq!(redacted(body.as_bytes()), Err(ContentError::Framing), "{body}");
        }
        let long = format!("{{\"a\":\"{}\"}}\n", "a".repeat(LONGEST_HEADER));
        assert_eq!(run([long.as_bytes()]), Err(ContentError::Framing));
        assert_eq!(run(long.as_bytes().chunks(999)), Err(ContentError::Framing));
        assert_eq!(redacted(b"{}\n{\"type\":\"\xff\"}\n{}"), Err(ContentError::Charset));
    }

    #[test]
    fn an_envelope_is_told_from_other_lines_of_json() {
        let item = "{\"type\":\"event\",\"length\":2}\n{}";
        for envelope in
            [format!("{HEADER}\n{item}"), format!("{{}}\n{item}"), format!("{{ \"sdk\": {{}}, \"dsn\":\"\"}}\n{item}")]
        {
            assert_eq!(begins(envelope.as_bytes()), Some(true), "{envelope}");
        }
        for other in [
            "text",
            "{\"event\"",
            "{\"event_id\":1,\"type\":2}\n",
            "{\"event_id\":1}\n{\"kind\":2}\n",
            "{\"event_id\":1}\n\n",
            "{\"event_id\":1}\n[]\n",
            "{\n  \"event_id\": 1}\n",
        ] {
            assert_eq!(begins(other.as_bytes()), Some(false), "{other}");
        }
        assert_eq!(begins(format!("{{\"sdk\":\"{}", "a".repeat(LEAD)).as_bytes()), Some(false));
        for open in ["", "{", "{ \"even", "{\"event_id\":1}", "{\"event_id\":1}\n{\"type\":\"a\"}"] {
            assert_eq!(begins(open.as_bytes()), None, "{open}");
        }
    }

    #[test]
    fn envelopes_in_each_other_are_refused_beyond_a_depth() {
        let nested = |levels: usize| {
            let mut body = "{}\n{\"type\":\"x\"}\n{}".to_owned();
            for _ in 0..levels {
                let length = body.len();
                body = format!(
                    "{{}}\n{{\"type\":\"a\",\"content_type\":\"application/x-sentry-envelope\",\"length\":{length}}}\n{body}"
                );
            }
            body
        };
        assert!(run([nested(3).as_bytes()]).is_ok());
        for levels in [4, 20] {
            assert_eq!(run([nested(levels).as_bytes()]), Err(ContentError::Media));
        }
    }

    #[test]
    fn what_only_stands_where_a_key_does_is_no_key() {
        let body = |secret: &str| {
            format!(
                "{{\"dsn\":\"postgres://u:{secret}@db/1\",\"trace\":{{\"public_key\":\"{secret}\"}}}}\n{{\"type\":\"x\"}}\n{{}}"
            )
        };
        let (out, changed) = run([body("bob@example.com").as_bytes()]).unwrap();
        assert!(!out.contains("bob@") && changed == 2, "{out}");
        let escaped = "{\"dsn\":\"https:\\/\\/a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4@o1.ingest.example.com\\/42\"}\n{\"type\":\"x\"}\n{}";
        assert_eq!(run([escaped.as_bytes()]).unwrap(), (escaped.to_owned(), 0));
    }

    proptest! {
        /// Each payload is redacted as it would be alone, however the body is cut.
        #[test]
        fn an_envelope_is_its_items_redacted(items in prop::collection::vec((any::<bool>(), text()), 0..5), cut in 1usize..40) {
            let (mut body, mut expected) = (format!("{HEADER}\n"), format!("{HEADER}\n"));
            for (has_length, text) in &items {
                let json = serde_json::json!({ "password": text, "is": text }).to_string();
                for (body, json) in [(&mut body, json.clone()), (&mut expected, alone(&json))] {
                    let length = if *has_length { format!(",\"length\":{}", json.len()) } else { String::new() };
                    *body += &format!("{{\"type\":\"event\"{length}}}\n{json}\n");
                }
            }
            let out = run(body.as_bytes().chunks(cut)).unwrap().0;
            prop_assert_eq!(&out, &expected);
            prop_assert_eq!(&run([out.as_bytes()]).unwrap().0, &expected);
        }
    }

    fn alone(json: &str) -> String {
        let (mut redactor, mut out) = (Redactor::new(&PLAN, Format::Json), Vec::new());
        redactor.push(Bytes::copy_from_slice(json.as_bytes()), &mut out).unwrap();
        redactor.finish(&mut out).unwrap();
        String::from_utf8(out.concat()).unwrap()
    }

    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("bob@example.com".to_owned()),
            Just("hunter2".to_owned()),
            Just("\n".to_owned()),
            "[a-z=+\"\\\\é]{1,6}",
        ];
        prop::collection::vec(part, 0..4).prop_map(|parts| parts.join(" "))
    }
}
