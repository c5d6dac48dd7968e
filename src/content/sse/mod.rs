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
mod secret;
mod slot;
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
use serde::de::IgnoredAny;
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
/// Lines of text come in pieces of so many bytes.
const LONGEST_PIECE: usize = 4 * 1024;
/// What OpenAI, and many after it, send last.
const DONE: &[u8] = b"[DONE]";

/// Takes a stream of events apart.
pub(super) struct SseStage {
    projection: Projection,
    joins: Joins,
    texts: Texts,
    /// The beginning of a line.
    held: BytesMut,
    /// A line of data, from its beginning.
    event: Option<BytesMut>,
    /// The event's first line, which begins as JSON and is none, and the end of that line:
    /// unless another line goes on with it, it is text.
    doubt: Option<(Bytes, BytesMut)>,
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
            texts: Texts::default(),
            held: BytesMut::new(),
            event: None,
            doubt: None,
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
            self.value(piece)?;
        } else {
            self.held.extend_from_slice(&piece);
            if ends || self.held.len() >= self.lead() {
                self.begin_line()?;
            }
        }
        if ends && let Some(event) = self.event.take() {
            match self.line {
                Some(Value::Text) => self.end_of_line(event)?,
                _ => self.whole_line(event.freeze())?,
            }
        }
        if ends {
            self.texts.end_name();
        }
        if ends && let Some(value) = self.line.take() {
            // A value of `data` may go on in the next line.
            if self.data.is_none() {
                self.close(value);
            }
        }
        Ok(())
    }

    /// Bytes of a line that tell what it is; the first of the stream may have a mark before.
    fn lead(&self) -> usize {
        if self.first { LEAD + BOM.len() } else { LEAD }
    }

    /// Decides by the first bytes what the line is.
    fn begin_line(&mut self) -> Result<(), ContentError> {
        let mut line = self.held.split().freeze();
        // So many bytes of the stream, and no fewer, tell what it is.
        let at = self.at - line.len().saturating_sub(self.lead()) as u64;
        if std::mem::take(&mut self.first) && line.starts_with(BOM) {
            self.projection.frame(line.split_to(BOM.len()));
        }
        if line.is_empty() {
            return Ok(());
        }
        let is_data = line.starts_with(b"data:") || &line[..] == b"data";
        self.end_doubt(is_data, at)?;
        if is_data && self.interrupted {
            // One value with something else in its middle cannot be laid out.
            return Err(ContentError::Framing);
        }
        if !is_data {
            self.interrupted |= self.data.is_some();
            self.end_data(at)?;
            self.open(Value::Text);
            if line.starts_with(b"event:") {
                self.texts.begin_name();
            }
            return self.value(line);
        }
        // A line of the name alone is an empty one.
        let name = line.len().min(5) + usize::from(line.get(5) == Some(&b' '));
        self.projection.frame(line.split_to(name));
        match self.data {
            Some(Value::Json) => self.projection.syntax(b" "),
            Some(Value::Text) => self.event = Some(BytesMut::new()),
            None => {
                // However the line is cut into chunks, the same bytes are judged.
                let lead = &line[..line.len().min(LEAD - PREFIX)];
                if line.len() < LEAD - PREFIX && line.trim_ascii().is_empty() {
                    // The next line of the event decides.
                    self.blank_line(line);
                    return Ok(());
                }
                self.event = Some(BytesMut::new());
                self.data = Some(match sniff::format(lead) {
                    Format::Json => Value::Json,
                    _ => Value::Text,
                });
                if self.data == Some(Value::Text) {
                    self.take_blanks(at)?;
                }
            }
        }
        self.line = self.data;
        self.value(line)
    }

    fn open(&mut self, value: Value) {
        if value == Value::Text {
            self.projection.syntax(b"\"");
        }
        self.line = Some(value);
        self.field += 1;
    }

    fn value(&mut self, raw: Bytes) -> Result<(), ContentError> {
        if self.is_in_text() {
            return self.part_of_line(&raw);
        }
        match self.line {
            Some(Value::Json) if raw.has_remaining() => self.json(raw)?,
            Some(Value::Text) if raw.has_remaining() => {
                self.texts.see(&raw);
                self.projection.text(self.field, raw, Spelling::Plain);
            }
            _ => {}
        }
        Ok(())
    }

    fn json(&mut self, raw: Bytes) -> Result<(), ContentError> {
        if let Some(mut event) = self.event.take() {
            if event.len() + raw.len() <= LONGEST_EVENT {
                event.extend_from_slice(&raw);
                self.event = Some(event);
                return Ok(());
            }
            self.begin_json()?;
            self.projection.json(event.freeze());
        }
        self.projection.json(raw);
        Ok(())
    }

    /// A line of data that begins as JSON, held to its end.
    fn whole_line(&mut self, line: Bytes) -> Result<(), ContentError> {
        if serde_json::from_slice::<IgnoredAny>(&line).is_ok() {
            return self.lay_json(&line, self.at);
        }
        self.doubt = Some((line, BytesMut::new()));
        Ok(())
    }

    /// It is known what the event's first line is, if that was in doubt: JSON if another
    /// one `goes_on` with it.
    fn end_doubt(&mut self, goes_on: bool, at: u64) -> Result<(), ContentError> {
        let Some((line, end)) = self.doubt.take() else { return Ok(()) };
        if goes_on {
            self.lay_json(&line, at)?;
        } else {
            self.data = Some(Value::Text);
            self.take_blanks(at)?;
            self.lay_text(line, false, at)?;
        }
        self.projection.frame(end.freeze());
        Ok(())
    }

    /// The event is JSON: text goes on behind none.
    fn begin_json(&mut self) -> Result<(), ContentError> {
        self.keep_blanks();
        self.field += 1;
        self.joins.end_plain_texts()
    }

    /// A line of JSON: what of it goes on in other events is redacted beside it.
    fn lay_json(&mut self, line: &Bytes, at: u64) -> Result<(), ContentError> {
        self.begin_json()?;
        let pieces = self.joins.line(line, None, at)?;
        lay_out(&mut self.projection, line, pieces);
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
        self.joins.release(out);
        Ok(())
    }

    fn close(&mut self, value: Value) {
        self.projection.syntax(if value == Value::Text { b"\"\n" } else { b"\n" });
    }

    /// The event's data is over.
    fn end_data(&mut self, at: u64) -> Result<(), ContentError> {
        match self.data.take() {
            Some(Value::Json) => self.close(Value::Json),
            Some(Value::Text) | None => self.end_text(at)?,
        }
        Ok(())
    }

    /// A CR or an LF, behind all of what stands before it. Whether an event ends
    /// with it.
    fn end_line(&mut self, end: Bytes) -> Result<bool, ContentError> {
        let is_second = self.returned && end[0] == b'\n';
        let ends_event = self.blank && !is_second;
        if ends_event {
            self.end_doubt(false, self.at)?;
            self.end_data(self.at)?;
            if self.texts.is_whole() {
                self.joins.end_plain_texts()?;
            }
            self.texts.end_event();
            self.interrupted = false;
            self.joins.end_event()?;
        }
        (self.blank, self.returned) = (true, end[0] == b'\r');
        match &mut self.doubt {
            Some((_, behind)) => behind.extend_from_slice(&end),
            None => self.projection.frame(end),
        }
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
        self.end_doubt(false, self.at)?;
        self.end_data(self.at)?;
        self.joins.end()?;
        let joins = &mut self.joins;
        self.projection.finish(&mut |piece| joins.take(piece))?;
        self.joins.release(out);
        self.joins.finish()
    }

    fn format(&self) -> Option<BodyFormat> {
        Some(BodyFormat::Sse)
    }

    fn report(&self) -> Report {
        let mut report = self.joins.report();
        report.add(self.projection.report());
        report
    }

    fn held(&self) -> usize {
        let doubt = self.doubt.as_ref().map_or(0, |(line, end)| line.len() + end.len());
        let line = self.held.len() + self.event.as_ref().map_or(0, BytesMut::len) + doubt;
        self.projection.held() + self.joins.held() + line
    }
}

/// Gives JSON to `projection`, with places for the pieces that are redacted beside it.
fn lay_out(projection: &mut Projection, line: &Bytes, pieces: Vec<(Range<usize>, usize)>) {
    let mut from = 0;
    for (span, number) in pieces {
        projection.json(line.slice(from..span.start));
        projection.slot(number, span.len());
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
            "data: 4111111111111111\n\ndata: 22\n\ndata:  jane@example.com\n\ndata:  b\n\n",
            "data: [CREDIT_CARD]\n\ndata: 22\n\ndata:  [EMAIL_ADDRESS]\n\ndata:  b\n\n",
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
    fn a_finding_of_the_first_piece_hides_nothing_of_the_next() {
        check(
            "data: -----BEGIN PRIVATE KEY-----\n\ndata: MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n\ndata: AgEAAoIBAQC7VJTUt9Us8cKj\n\ndata: -----END PRIVATE KEY-----\n\ndata:  bye\n\n",
            "data: [PRIVATE_KEY]\n\ndata: \n\ndata: \n\ndata: \n\ndata:  bye\n\n",
        );
        for between in ["\n\nevent:a\n", "\n\n: ping\n\nevent: a\nid: 1\n"] {
            check(
                &format!("event: a\ndata: password: hunt{between}data: er22\ndata: x\n\n"),
                &format!("event: a\ndata: password: [PASSWORD]{between}data: \ndata: x\n\n"),
            );
        }
        check(
            "data: \"password: hunt\"\n\ndata: \"er22, bob@exam\"\n\ndata: \"ple.com\"\n\n",
            "data: \"password: [PASSWORD]\"\n\ndata: \", [EMAIL_ADDRESS]\"\n\ndata: \"\"\n\n",
        );
        check(
            "data: Authorization: Bearer aZ3kQ9vT6xR1mB8nW4yU7c\n\ndata: E2sD5fG0hJ9kL3mN\n\ndata:  ok\n\n",
            "data: Authorization: Bearer [BEARER_TOKEN]\n\ndata: \n\ndata:  ok\n\n",
        );
    }

    #[test]
    fn text_that_begins_as_json_is_a_piece_of_text() {
        check(
            "data: {\"pass\n\ndata: word\": \"Zx9h\n\ndata: unter22Qk\"}\n\ndata: [\n\ndata: 1, \"bob@exam\n\ndata: ple.com\"]\n\n",
            "data: {\"pass\n\ndata: word\": \"[PASSWORD]\n\ndata: \"}\n\ndata: [\n\ndata: 1, \"[EMAIL_ADDRESS]\n\ndata: \"]\n\n",
        );
        // Another line of the event makes it JSON, another field does not.
        check(
            "data: to bob@exam\n\ndata: {\ndata: \"password\": 481516}\n\ndata: ple.com\n\n",
            "data: to bob@exam\n\ndata: {\ndata: \"password\": \"[PASSWORD]\"}\n\ndata: ple.com\n\n",
        );
        check(
            "data: {\"to\": \"bob@exam\nid: 1\n\ndata: ple.com\"}\n\n",
            "data: {\"to\": \"[EMAIL_ADDRESS]\nid: 1\n\ndata: \"}\n\n",
        );
        check(
            "data: {'password': 'hunter2'}\n\ndata: {\"password\":\"hunter2\"",
            "data: {'password': '[PASSWORD]'}\n\ndata: {\"password\":\"[PASSWORD]\"",
        );
        check("data: {\"password\": 481516, \"n\": NaN}\n\n", "data: {\"password\": \"[PASSWORD]\", \"n\": NaN}\n\n");
    }

    #[test]
    fn each_event_is_a_text_of_its_own_as_well() {
        check(
            "data: password: hunt\n\ndata: er22, 4111111111111111\n\ndata: 22\n\n",
            "data: password: [PASSWORD]\n\ndata: , [CREDIT_CARD]\n\ndata: 22\n\n",
        );
        let key = "-----BEGIN PRIVATE KEY-----\ndata: MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\ndata: -----END PRIVATE KEY-----";
        check(&format!("data: a\n\ndata: {key}\n\n"), "data: a\n\ndata: [PRIVATE_KEY]\ndata: \ndata: \n\n");
    }

    #[test]
    fn lines_of_white_space_are_part_of_the_text() {
        // Two empty lines are a line feed.
        check(
            "data: password: hunter22\n\ndata:\ndata: \n\ndata: user\n\n",
            "data: password: [PASSWORD]\n\ndata:\ndata: \n\ndata: user\n\n",
        );
        check(
            "data: password: hunter22\n\ndata:\ndata: user\n\n",
            "data: password: [PASSWORD]\n\ndata:\ndata: user\n\n",
        );
        check("data: +44 20\n\ndata:   \n\ndata: 7946 0958,\n\n", "data: [PHONE_NUMBER]\n\ndata: \n\ndata: ,\n\n");
        check(
            "data: {\"password\":\ndata:\ndata: \"x\"}\n\n",
            "data: {\"password\":\ndata:\ndata: \"[PASSWORD]\"}\n\n",
        );
        check("data: {\"password\":\ndata\ndata: \"x\"}\n\n", "data: {\"password\":\ndata\ndata: \"[PASSWORD]\"}\n\n");
        let blanks = "data: \ndata:  \n".repeat(200);
        for (last, redacted) in
            [("{\"password\":1234}", "{\"password\":\"[PASSWORD]\"}"), ("bob@example.com", "[EMAIL_ADDRESS]")]
        {
            let stream = format!("{blanks}data: {last}\n\n");
            assert_eq!(run(stream.as_bytes().chunks(7)).unwrap(), format!("{blanks}data: {redacted}\n\n"));
        }
    }

    #[test]
    fn a_mark_of_the_byte_order_is_skipped() {
        for (field, between) in [("event: a\ndata: to ", "event:a\n"), ("data: to ", "")] {
            check(
                &format!("\u{feff}{field}kate@ex\n\n{between}data: ample.com\n\n"),
                &format!("\u{feff}{field}[EMAIL_ADDRESS]\n\n{between}data: \n\n"),
            );
        }
    }

    #[test]
    fn a_finding_longer_than_what_may_wait_is_gone_to_its_end() {
        let line = |number: usize| format!("{}{number:04}", "aZ3kQ9vT6xR1mB8n".repeat(100));
        let event: String = (0..300).map(|number| format!("data: {}\n", line(number))).collect();
        let events: String = (0..300).map(|number| format!("data: {}\n\n", line(number))).collect();
        let long = format!("data: {}\n\n", (0..300).map(line).collect::<String>());
        let key = "-----BEGIN PRIVATE KEY-----\n";
        for (stream, end) in [(event, ""), (events, "\n"), (long, "\n")] {
            let stream = format!("data: {key}{end}{stream}data: -----END PRIVATE KEY-----\n\ndata:  bye\n\n");
            let (mut stage, mut out, mut most) = (SseStage::new(&PLAN, 1 << 16), Vec::new(), 0);
            for chunk in stream.as_bytes().chunks(4096) {
                stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
                most = most.max(stage.held());
            }
            stage.finish(&mut out).unwrap();
            let out = String::from_utf8(out.concat()).unwrap();
            assert!(out.starts_with("data: [PRIVATE_KEY]\n") && out.ends_with("data:  bye\n\n"), "{}", &out[..100]);
            assert!(!out.contains("aZ3"), "{end:?} {}", out.find("aZ3").unwrap());
            assert_eq!(out.lines().count(), stream.lines().count());
            assert!(most < 300 << 10, "{most}");
        }
    }

    #[test]
    fn long_lines_of_text_are_redacted_alike_however_they_are_cut() {
        let long = "a b ".repeat(5000);
        let longer = "a b ".repeat(20_000);
        for line in [
            format!("{long}to bob@example.com"),
            format!("\"{long}to bob@example.com\""),
            format!("\"{longer}to bob@exam"),
            format!("{}\"to bob@exam", " ".repeat(5000)),
            format!("{}to bob@exam", &long[..4091]),
        ] {
            let stream = format!("data: {line}\n\ndata: ple.com and\n\ndata: x{line}\ndata: {line}\n\n");
            for limit in [4096, 1 << 18] {
                let redacted = |cut: usize| {
                    let (mut stage, mut out) = (SseStage::new(&PLAN, limit), Vec::new());
                    for chunk in stream.as_bytes().chunks(cut) {
                        stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
                    }
                    stage.finish(&mut out).unwrap();
                    assert_eq!(stage.held(), 0);
                    String::from_utf8(out.concat()).unwrap()
                };
                let whole = redacted(stream.len());
                assert!(limit == 4096 || whole.contains("[EMAIL_ADDRESS]"));
                for cut in [7, 64, 1000, 4096, 65_536] {
                    assert!(redacted(cut) == whole, "{limit} {cut}");
                }
            }
        }
    }

    #[test]
    fn a_finding_counts_once() {
        let stream =
            "data: to bob@example.com and +44 20 79\n\ndata: 46 0958.\n\ndata: {\"a\":\"bob@example.com\"}\n\n";
        let (mut stage, mut out) = (SseStage::new(&PLAN, 1 << 18), Vec::new());
        stage.push(stream.into(), &mut out).unwrap();
        stage.finish(&mut out).unwrap();
        assert_eq!(stage.report().changed(), 3);
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
    fn what_an_event_ends_with_leaves() {
        for (stream, expected) in [
            (
                "data: {\"token\": \"x1y2z3\\u003d\n\ndata: {}\n\ndata: [DONE]\n\n",
                "data: {\"token\": \"[SECRET]\n\ndata: {}\n\ndata: [DONE]\n\n",
            ),
            ("data: 'password': 'x1y2\\u00e9'\n\ndata: {}\n\n", "data: 'password': '[PASSWORD]'\n\ndata: {}\n\n"),
            ("data: a\\u00e9\n\ndata: b\\\n\ndata: {}\n\n", "data: a\\u00e9\n\ndata: b\\\n\ndata: {}\n\n"),
        ] {
            check(stream, expected);
        }
        let key = "data: -----BEGIN PRIVATE KEY-----\\u00e9\n\ndata: {}\n\n";
        assert_eq!(run([key.as_bytes()]).unwrap(), "data: [PRIVATE_KEY]\\u00e9\n\ndata: {}\n\n");
    }

    #[test]
    fn a_key_in_small_pieces_is_gone_to_its_end() {
        let key = format!(
            "here:\n-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\nbye",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(40)
        );
        for size in [1, 3, 7] {
            let event = |piece: &[u8]| {
                let text = String::from_utf8_lossy(piece);
                let json = serde_json::json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]});
                format!("data: {json}\n\n")
            };
            let stream: String = key.as_bytes().chunks(size).map(event).collect();
            let (mut stage, mut out) = (SseStage::new(&PLAN, 1 << 14), Vec::new());
            for chunk in stream.as_bytes().chunks(1000) {
                stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            }
            stage.finish(&mut out).unwrap();
            let out = String::from_utf8(out.concat()).unwrap();
            assert_eq!(out.matches("data: ").count(), stream.matches("data: ").count());
            let contents = out.lines().filter_map(|line| line.strip_prefix("data: "));
            let told = |line: &str| {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                event["choices"][0]["delta"]["content"].as_str().unwrap().to_owned()
            };
            let text: String = contents.map(told).collect();
            let rest = text.replace("[PRIVATE_KEY]", "");
            assert!(text.starts_with("here:\n[PRIVATE_KEY]") && rest.len() < 20, "{size}: {text}");
            assert!(rest.ends_with("bye"), "{size}: {rest}");
        }
    }

    #[test]
    fn an_endpoint_of_mcp_does_not_wait_for_another_event() {
        let (mut stage, mut out) = (SseStage::new(&PLAN, 1 << 18), Vec::new());
        let event = "event: endpoint\ndata: /messages/?session_id=7f3a\n\n";
        stage.push(Bytes::from(event), &mut out).unwrap();
        assert_eq!(out.concat(), event.as_bytes());
        stage.push(Bytes::from_static(b"event: message\ndata: refresh\n\n"), &mut out).unwrap();
        assert_eq!(out.concat(), format!("{event}event: message\ndata: ").as_bytes());
    }

    #[test]
    fn a_mark_of_the_byte_order_does_not_count_in_a_long_line() {
        for spaces in 45..70 {
            let stream = format!("\u{feff}data: {}jane@ex\n\ndata: ample.com\n\n", " ".repeat(spaces));
            let whole = run([stream.as_bytes()]).unwrap();
            assert!(!whole.contains("jane"), "{spaces}");
            for at in 0..stream.len() {
                let (one, other) = stream.as_bytes().split_at(at);
                assert_eq!(run([one, other]).unwrap(), whole, "{spaces} cut at {at}");
            }
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
