//! Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>,
//! section 9.2.5): lines of fields, an event up to each blank line.
//!
//! ```text
//! event: delta               a text
//! data: {"text": "..."}      JSON where it begins as such, else a text
//! data: [DONE]
//! ```
//!
//! All events are one document of lines to the redactor, so that nothing one of
//! them holds changes how the next is read. The `data` lines of an event are one
//! value. Strings that go on in the next event are redacted as one text (see
//! [`join`]). Each event leaves with its last byte, unless something in it may
//! go on.

mod fragment;
mod join;
mod lines;
mod texts;

use super::body::{BodyFormat, Stage};
use super::projection::Projection;
use super::spelling::Spelling;
use super::utf8::Utf8Check;
use super::{ContentError, sniff};
use crate::redact::{Format, Plan, Report};
use bytes::{Buf, Bytes, BytesMut};
use join::Joins;
pub(super) use lines::{JUDGED, LineStage, have_pieces, is_labelled};
use std::ops::Range;
use std::sync::Arc;
use texts::Texts;

/// So much of a line tells what it is.
const LEAD: usize = 64;
/// Of those, `data` with its colon and a space.
const PREFIX: usize = 6;
/// A byte order mark, which clients skip.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Longer lines of data are not searched for pieces of texts.
const LONGEST_EVENT: usize = 64 * 1024;
/// What OpenAI, and many after it, send last.
const DONE: &[u8] = b"[DONE]";

/// Takes a stream of events apart.
pub(super) struct SseStage {
    projection: Projection,
    joins: Joins,
    /// Looks once more at data that is text.
    texts: Texts,
    /// What goes there; empty between calls.
    released: Vec<Bytes>,
    /// The beginning of a line.
    held: BytesMut,
    /// A line of data that is JSON, from its beginning.
    event: Option<BytesMut>,
    /// How the line goes on; `None` at its beginning.
    line: Option<Value>,
    /// The value that the next `data` line of the event goes on with.
    data: Option<Value>,
    /// Another field stands behind the event's data.
    interrupted: bool,
    /// Nothing of the stream has come.
    first: bool,
    /// Bytes of the stream so far.
    at: u64,
    /// Nothing of the line has come.
    blank: bool,
    /// The last byte was a CR, to which an LF belongs.
    returned: bool,
    field: usize,
    utf8: Utf8Check,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Json,
    Text,
}

impl SseStage {
    /// A stage for one stream, in which at most about `limit` bytes wait for a
    /// text that goes on.
    pub(super) fn new(plan: &Arc<Plan>, limit: usize) -> Self {
        Self {
            projection: Projection::new(plan),
            joins: Joins::new(plan, limit),
            texts: Texts::new(plan, limit),
            released: Vec::new(),
            held: BytesMut::new(),
            event: None,
            line: None,
            data: None,
            interrupted: false,
            first: true,
            at: 0,
            blank: true,
            returned: false,
            field: 0,
            utf8: Utf8Check::default(),
        }
    }

    /// Part of a line, and whether it ends with it.
    fn text(&mut self, piece: Bytes, ends: bool) -> Result<(), ContentError> {
        if !piece.is_empty() {
            (self.blank, self.returned) = (false, false);
        }
        if self.line.is_some() {
            self.value(piece);
        } else {
            self.held.extend_from_slice(&piece);
            if ends || self.held.len() >= LEAD {
                self.begin_line()?;
            }
        }
        if ends && let Some(event) = self.event.take() {
            self.whole_line(event.freeze())?;
        }
        if ends && let Some(value) = self.line.take() {
            // A value of `data` may go on in the next line.
            if self.data.is_none() {
                self.close(value);
            }
        }
        Ok(())
    }

    /// Decides by the first bytes what the line is.
    fn begin_line(&mut self) -> Result<(), ContentError> {
        let mut line = self.held.split().freeze();
        if std::mem::take(&mut self.first) && line.starts_with(BOM) {
            self.projection.frame(line.split_to(BOM.len()));
        }
        if line.is_empty() {
            return Ok(());
        }
        let is_data = line.starts_with(b"data:") || &line[..] == b"data";
        if is_data && self.interrupted {
            // One value with something else in its middle cannot be laid out.
            return Err(ContentError::Framing);
        }
        if !line.starts_with(b"data:") {
            self.interrupted |= self.data.is_some();
            self.end_data();
            self.open(Value::Text);
            self.value(line);
            return Ok(());
        }
        let space = usize::from(line.get(5) == Some(&b' '));
        self.projection.frame(line.split_to(5 + space));
        match self.data {
            Some(Value::Json) => self.projection.syntax(b" "),
            Some(Value::Text) => self.projection.syntax(b"\\n"),
            None => {
                // However the line is cut into chunks, the same bytes are judged.
                let lead = &line[..line.len().min(LEAD - PREFIX)];
                if line.len() < LEAD - PREFIX && line.trim_ascii().is_empty() {
                    // The next line of the event decides.
                    self.projection.frame(line);
                    return Ok(());
                }
                let is_json = sniff::format(lead) == Format::Json;
                let value = if is_json { Value::Json } else { Value::Text };
                self.open(value);
                if line == DONE {
                    self.joins.end()?;
                } else if is_json {
                    self.event = Some(BytesMut::new());
                }
                self.data = Some(value);
            }
        }
        self.line = self.data;
        self.value(line);
        Ok(())
    }

    fn open(&mut self, value: Value) {
        if value == Value::Text {
            self.projection.syntax(b"\"");
        }
        self.line = Some(value);
        self.field += 1;
    }

    fn value(&mut self, raw: Bytes) {
        match self.line {
            Some(Value::Json) if raw.has_remaining() => self.json(raw),
            Some(Value::Text) if raw.has_remaining() => self.projection.text(self.field, raw, Spelling::Plain),
            _ => {}
        }
    }

    fn json(&mut self, raw: Bytes) {
        if let Some(mut event) = self.event.take() {
            if event.len() + raw.len() <= LONGEST_EVENT {
                event.extend_from_slice(&raw);
                self.event = Some(event);
                return;
            }
            self.projection.json(event.freeze());
        }
        self.projection.json(raw);
    }

    /// A line of data that is JSON, held to its end: what of it goes on in other
    /// events is redacted beside it.
    fn whole_line(&mut self, line: Bytes) -> Result<(), ContentError> {
        let pieces = self.joins.line(&line, None, self.at)?;
        lay_out(&mut self.projection, &line, pieces);
        Ok(())
    }

    /// Appends to `out` what is settled; all of it, at the end of an event.
    fn advance(&mut self, event_ends: bool, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let joins = &mut self.joins;
        let mut sink = |piece| joins.take(piece);
        match event_ends {
            true => self.projection.flush(&mut sink)?,
            false => self.projection.advance(&mut sink)?,
        }
        self.joins.advance_to(self.at)?;
        self.joins.release(&mut self.released);
        self.texts.push(std::mem::take(&mut self.released), out)
    }

    fn close(&mut self, value: Value) {
        self.projection.syntax(if value == Value::Text { b"\"\n" } else { b"\n" });
    }

    /// The event's data is over.
    fn end_data(&mut self) {
        if let Some(value) = self.data.take() {
            self.close(value);
        }
    }

    /// A CR or an LF, behind all of what stands before it. Whether an event ends
    /// with it.
    fn end_line(&mut self, end: Bytes) -> Result<bool, ContentError> {
        let is_second = self.returned && end[0] == b'\n';
        let ends_event = self.blank && !is_second;
        if ends_event {
            self.end_data();
            self.interrupted = false;
            self.joins.end_event()?;
        }
        (self.blank, self.returned) = (true, end[0] == b'\r');
        self.projection.frame(end);
        // The LF behind a CR that ended the event is the rest of it.
        Ok(ends_event || is_second)
    }
}

impl Stage for SseStage {
    fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.utf8.push_text(&chunk)?;
        while !chunk.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', &chunk);
            let piece = chunk.split_to(end.unwrap_or(chunk.len()));
            self.at += piece.len() as u64;
            self.text(piece, end.is_some())?;
            self.at += u64::from(end.is_some());
            let ends_event = end.is_some() && self.end_line(chunk.split_to(1))?;
            self.advance(ends_event, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.utf8.finish_text()?;
        self.text(Bytes::new(), true)?;
        self.end_data();
        self.joins.end()?;
        let joins = &mut self.joins;
        self.projection.finish(&mut |piece| joins.take(piece))?;
        self.joins.release(&mut self.released);
        self.texts.push(std::mem::take(&mut self.released), out)?;
        self.texts.finish(out)
    }

    fn format(&self) -> Option<BodyFormat> {
        Some(BodyFormat::Sse)
    }

    fn report(&self) -> Report {
        let mut report = self.joins.report();
        report.add(self.projection.report());
        report.add(&self.texts.report());
        report
    }

    fn held(&self) -> usize {
        let line = self.held.len() + self.event.as_ref().map_or(0, BytesMut::len);
        self.projection.held() + self.joins.held() + self.texts.held() + line
    }
}

/// Gives JSON to `projection`, with places for the pieces that are redacted beside it.
fn lay_out(projection: &mut Projection, line: &Bytes, pieces: Vec<(Range<usize>, usize)>) {
    let mut from = 0;
    for (span, number) in pieces {
        projection.json(line.slice(from..span.start));
        projection.slot(number);
        from = span.end;
    }
    projection.json(line.slice(from..));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::rig::PLAN;
    use crate::redact::{Format, Redactor};
    use proptest::prelude::*;

    pub(super) fn run<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<String, ContentError> {
        let (mut stage, mut out) = (SseStage::new(&PLAN, 1 << 18), Vec::new());
        for chunk in chunks {
            stage.push(Bytes::copy_from_slice(chunk), &mut out)?;
        }
        stage.finish(&mut out)?;
        assert_eq!(stage.held(), 0);
        Ok(String::from_utf8(out.concat()).unwrap())
    }

    #[track_caller]
    fn check(stream: &str, expected: &str) {
        for end in ["\n", "\r\n", "\r"] {
            let (stream, expected) = (stream.replace('\n', end), expected.replace('\n', end));
            for at in 0..=stream.len() {
                let (one, other) = stream.as_bytes().split_at(at);
                assert_eq!(run([one, other]).unwrap(), expected, "cut at {at}");
            }
        }
    }

    #[test]
    fn data_is_redacted_as_json_or_as_text() {
        check(
            "event: message\ndata: {\"password\": \"hunter2\", \"n\": 1}\n\ndata: to bob@example.com\n\ndata: [DONE]\n\n",
            "event: message\ndata: {\"password\": \"[PASSWORD]\", \"n\": 1}\n\ndata: to [EMAIL_ADDRESS]\n\ndata: [DONE]\n\n",
        );
        check("data:{\"password\":\"hunter2\"}", "data:{\"password\":\"[PASSWORD]\"}");
        check(
            "data: {\"password\":\ndata: \"hunter2\",\ndata:  \"n\": 1}\n\n",
            "data: {\"password\":\ndata: \"[PASSWORD]\",\ndata:  \"n\": 1}\n\n",
        );
    }

    #[test]
    fn texts_in_pieces_are_redacted_as_the_whole_they_are() {
        check(
            "data: to kate@ex\n\ndata: ample.com, or\n\n: ping\n\ndata:  \"bob@exam\n\nid: 7\ndata: ple.com\ndata: x\n\ndata: [DONE]\n\n",
            "data: to [EMAIL_ADDRESS]\n\ndata: , or\n\n: ping\n\ndata:  \"[EMAIL_ADDRESS]\n\nid: 7\ndata: \ndata: x\n\ndata: [DONE]\n\n",
        );
        check(
            "event: data\ndata: \"to kate@ex\"\n\nevent: data\ndata:  \"ample\\u002ecom, \\\"\\n\" \n\nevent: end\n\n",
            "event: data\ndata: \"to [EMAIL_ADDRESS]\"\n\nevent: data\ndata:  \", \\\"\\n\" \n\nevent: end\n\n",
        );
        check("data: \"\"\n\ndata: \"\n\ndata: \"a\n\n", "data: \"\"\n\ndata: \"\n\ndata: \"a\n\n");
        // Each is one of its own, too.
        check(
            "data: 4111111111111111\n\ndata: 22\n\ndata: jane@example.com\n\ndata: b\n\n",
            "data: [CREDIT_CARD]\n\ndata: 22\n\ndata: [EMAIL_ADDRESS]\n\ndata: b\n\n",
        );
        for between in ["data: {}\n\n", "data: [DONE]\n\n", "event: b\n"] {
            let stream = format!("event: a\ndata: to kate@ex\n\n{between}data: ample.com\n\n");
            check(&stream, &stream);
        }
        check(
            "event: a\ndata: to kate@ex\n\nevent: a\ndata: ample.com\n\n",
            "event: a\ndata: to [EMAIL_ADDRESS]\n\nevent: a\ndata: \n\n",
        );
        check(
            "data: {\"a\":1}\n\ndata: kate@ex\n\ndata: ample.com",
            "data: {\"a\":1}\n\ndata: [EMAIL_ADDRESS]\n\ndata: ",
        );
        let far = format!("data: kate@ex\n\n{}data: ample.com\n\n", ": ping\n\n".repeat(3000));
        assert_eq!(run([far.as_bytes()]).unwrap(), far);
        assert_eq!(run(far.as_bytes().chunks(7)).unwrap(), far);
    }

    #[test]
    fn a_value_with_another_field_in_its_middle_is_refused() {
        for stream in
            ["data: {\"password\":\n:\ndata: \"hunter2\"}\n\n", "data: {\"password\":\nid: 1\ndata\ndata: 1}\n\n"]
        {
            assert_eq!(run([stream.as_bytes()]), Err(ContentError::Framing));
        }
        check(
            "data: {\"password\":\"hunter2\"}\nid: 1\n\ndata: 1\n\n",
            "data: {\"password\":\"[PASSWORD]\"}\nid: 1\n\ndata: 1\n\n",
        );
    }

    #[test]
    fn what_stands_before_the_first_bracket_decides_nothing() {
        for lead in ["\u{feff}data: ", "data:\ndata: ", "data: \ndata: ", "data: ", "\n\ndata:    "] {
            check(&format!("{lead}{{\"password\":481516}}\n\n"), &format!("{lead}{{\"password\":\"[PASSWORD]\"}}\n\n"));
        }
        for spaces in 50..70 {
            let stream = format!("data: {}{{\"a\":\"bob@example.com\"}}\n\n", " ".repeat(spaces));
            check(&stream, &stream.replace("bob@example.com", "[EMAIL_ADDRESS]"));
            let number = stream.replace("\"bob@example.com\"", "4111111111111111");
            let whole = run([number.as_bytes()]);
            assert_eq!(run(number.as_bytes().chunks(1)), whole, "{spaces}");
        }
    }

    #[test]
    fn other_fields_are_texts() {
        check(
            "id: bob@example.com\nretry: 10\n: for jane@example.com\njoe@example.com\ndata\n\n\n",
            "id: [EMAIL_ADDRESS]\nretry: 10\n: for [EMAIL_ADDRESS]\n[EMAIL_ADDRESS]\ndata\n\n\n",
        );
    }

    #[test]
    fn broken_json_changes_nothing_behind_its_event() {
        check(
            "data: {\"a\": \"open\n\ndata: {\"password\":\"hunter2\"}\n\n",
            "data: {\"a\": \"open\n\ndata: {\"password\":\"[PASSWORD]\"}\n\n",
        );
    }

    #[test]
    fn other_charsets_are_refused() {
        for stream in [&b"data: \xe9"[..], b"d\0a\0", b"data: \xc3"] {
            assert_eq!(run([stream]), Err(ContentError::Charset));
        }
    }

    #[test]
    fn a_long_line_streams() {
        let stream = format!("data: {{\"a\": \"{}\"}}\n\n", "to bob@example.com ".repeat(20_000));
        let (mut stage, mut out, mut most) = (SseStage::new(&PLAN, 1 << 18), Vec::new(), 0);
        for chunk in stream.as_bytes().chunks(1 << 12) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            most = most.max(stage.held());
        }
        stage.finish(&mut out).unwrap();
        assert!(out.concat() == stream.replace("bob@example.com", "[EMAIL_ADDRESS]").as_bytes());
        assert!(most < 80 << 10, "{most}");
    }

    proptest! {
        /// Each event is redacted as its JSON would be alone, however it is cut.
        #[test]
        fn a_stream_is_its_events_redacted(texts in prop::collection::vec("(bob@example.com|hunter2|[a-z\"\\\\ é]){0,9}", 0..5), cut in 1usize..40) {
            let (mut stream, mut expected) = (String::new(), String::new());
            for text in &texts {
                let json = serde_json::json!({ "password": text, "is": text }).to_string();
                let (mut redactor, mut out) = (Redactor::new(&PLAN, Format::Json), Vec::new());
                redactor.push(json.clone().into(), &mut out).unwrap();
                redactor.finish(&mut out).unwrap();
                stream += &format!("event: a\ndata: {json}\n\n");
                expected += &format!("event: a\ndata: {}\n\n", String::from_utf8(out.concat()).unwrap());
            }
            let out = run(stream.as_bytes().chunks(cut)).unwrap();
            prop_assert_eq!(&out, &expected);
            prop_assert_eq!(&run([out.as_bytes()]).unwrap(), &expected);
        }
    }
}
