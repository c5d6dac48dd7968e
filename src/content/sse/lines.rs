//! Texts that come in pieces, each on a line of its own:
//!
//! ```text
//! {"model":"m","message":{"content":"jane.d"},"done":false}    Ollama, lines of JSON
//! 0:"jane.d"                                                   Vercel's data streams, labelled
//! ```
//!
//! All lines are one document to the redactor, as they are without this, but for the
//! pieces, which [`join`](super::join) redacts. Lines that have no label, where others
//! have one, are one text.
//!
//! Sources: <https://docs.ollama.com/api/streaming>,
//! <https://ai-sdk.dev/v4/docs/ai-sdk-ui/stream-protocol#data-stream-protocol>.

use super::fragment::Pieces;
use super::join::Joins;
use super::{LONGEST_EVENT, lay_out};
use crate::content::ContentError;
use crate::content::projection::Projection;
use crate::content::spelling::Spelling;
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Labels that there are.
const LABELS: std::ops::RangeInclusive<u8> = b'a'..=b'k';
/// A label, its colon, and what JSON begins with.
const LEAD: usize = 3;
/// Of those, what is no JSON.
const LABEL: usize = 2;

/// Takes lines apart.
pub(in crate::content) struct LineStage {
    projection: Projection,
    joins: Joins,
    /// Whether lines have labels.
    labelled: bool,
    /// The beginning of a line, or all that came of it.
    held: BytesMut,
    line: Line,
    /// A text is open, which the next line may go on with.
    in_text: bool,
    field: usize,
    /// Bytes of the stream so far.
    at: u64,
    /// Somebody waits for each line.
    prompt: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Its first bytes tell what it is.
    Begins,
    /// JSON, held to its end, behind this label.
    Json(Option<u8>),
    /// JSON that is too long for that.
    Long,
    Text,
}

/// So much of the lines of a body tells whether texts come in pieces in it.
pub(in crate::content) const JUDGED: usize = 16 * 1024;
/// What stands in events with a piece of a text, but for those that whole answers have too.
const HINTS: [&[u8]; 4] = [b"elta\"", b"MessageChunk\"", b"\"done\"", b"\"is_finished\""];

/// Whether the lines that `head` begins with hold pieces of texts: those of a stream that
/// was recorded.
pub(in crate::content) fn have_pieces(head: &[u8]) -> bool {
    let head = &head[..head.len().min(JUDGED)];
    HINTS.iter().any(|hint| memchr::memmem::find(head, hint).is_some())
        && head.split(|&byte| byte == b'\n').any(|line| {
            let is_hinted = || HINTS.iter().any(|hint| memchr::memmem::find(line, hint).is_some());
            let has_piece = |line: &str| !Pieces::labelled(None, line).list.is_empty();
            is_hinted() && std::str::from_utf8(line).is_ok_and(has_piece)
        })
}

/// Whether a text begins with a line that has a label.
pub(in crate::content) fn is_labelled(head: &[u8]) -> bool {
    matches!(head, [label, b':', b'"' | b'{' | b'[', ..] if label.is_ascii_digit() || LABELS.contains(label))
}

impl LineStage {
    /// A stage for one stream, in which at most about `limit` bytes wait for a
    /// text that goes on.
    pub(in crate::content) fn new(plan: &Arc<Plan>, limit: usize, labelled: bool) -> Self {
        Self {
            projection: Projection::new(plan),
            joins: Joins::new(plan, limit),
            labelled,
            held: BytesMut::new(),
            line: Line::Begins,
            in_text: false,
            field: 0,
            at: 0,
            prompt: true,
        }
    }

    /// Gathers some lines before they are looked at, if nobody waits for them.
    pub(in crate::content) fn gathering(self, is_prompt: bool) -> Self {
        Self { prompt: is_prompt, ..self }
    }

    /// Takes the next bytes; appends to `out` what may leave.
    ///
    /// # Errors
    /// After an error nothing more may leave.
    pub(in crate::content) fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        while !chunk.is_empty() {
            let end = memchr::memchr(b'\n', &chunk);
            let piece = chunk.split_to(end.unwrap_or(chunk.len()));
            self.at += piece.len() as u64;
            self.text(piece, end.is_some())?;
            self.at += u64::from(end.is_some());
            if end.is_some() {
                self.end_line(chunk.split_to(1));
            }
            self.advance(end.is_some(), out)?;
        }
        Ok(())
    }

    /// The stream has ended: everything held leaves.
    ///
    /// # Errors
    /// As [`LineStage::push`].
    pub(in crate::content) fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.text(Bytes::new(), true)?;
        self.end_text();
        self.joins.end()?;
        let joins = &mut self.joins;
        self.projection.finish(&mut |piece| joins.take(piece))?;
        self.joins.release(out);
        self.joins.finish()
    }

    /// All counters so far.
    pub(in crate::content) fn report(&self) -> Report {
        let mut report = self.joins.report();
        report.add(self.projection.report());
        report
    }

    /// Bytes held back now.
    pub(in crate::content) fn held(&self) -> usize {
        self.projection.held() + self.joins.held() + self.held.len()
    }

    /// Part of a line, and whether it ends with it.
    fn text(&mut self, piece: Bytes, ends: bool) -> Result<(), ContentError> {
        match self.line {
            Line::Long => self.projection.json(piece),
            Line::Text => self.plain(piece),
            Line::Begins | Line::Json(_) => self.held.extend_from_slice(&piece),
        }
        if self.line == Line::Begins && (ends || !self.labelled || self.held.len() >= LEAD) {
            self.begin();
        }
        let Line::Json(label) = self.line else { return Ok(()) };
        if self.held.len() > LONGEST_EVENT {
            self.projection.json(self.held.split().freeze());
            self.line = Line::Long;
        } else if ends {
            let line = self.held.split().freeze();
            let pieces = self.joins.line(&line, label, self.at)?;
            lay_out(&mut self.projection, &line, pieces);
            self.joins.end_event()?;
        }
        Ok(())
    }

    /// Decides by the first bytes what the line is.
    fn begin(&mut self) {
        if !self.labelled {
            self.line = Line::Json(None);
        } else if is_labelled(&self.held) {
            self.end_text();
            let label = self.held.split_to(LABEL).freeze();
            self.line = Line::Json(label.first().copied());
            self.projection.frame(label);
        } else {
            self.projection.syntax(if self.in_text { b"\\n" } else { b"\"" });
            self.field += usize::from(!self.in_text);
            (self.line, self.in_text) = (Line::Text, true);
            let begun = self.held.split().freeze();
            self.plain(begun);
        }
    }

    fn plain(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.projection.text(self.field, piece, Spelling::Plain);
        }
    }

    /// A line feed, behind all of what stands before it.
    fn end_line(&mut self, end: Bytes) {
        match (self.labelled, self.line) {
            (false, _) => self.projection.json(end),
            (true, Line::Text) => self.projection.frame(end),
            (true, _) => {
                self.projection.syntax(b"\n");
                self.projection.frame(end);
            }
        }
        self.line = Line::Begins;
    }

    fn end_text(&mut self) {
        if std::mem::take(&mut self.in_text) {
            self.projection.syntax(b"\"\n");
        }
    }

    /// Appends to `out` what is settled; all of it, at the end of a line.
    fn advance(&mut self, line_ends: bool, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let joins = &mut self.joins;
        let mut sink = |piece| joins.take(piece);
        match line_ends && self.prompt {
            true => self.projection.flush(&mut sink)?,
            false => self.projection.advance(&mut sink)?,
        }
        self.joins.advance_to(self.at)?;
        self.joins.release(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::rig::PLAN;
    use crate::redact::{Format, Redactor};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const LIMIT: usize = 1 << 18;

    fn run<'a>(labelled: bool, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let (mut stage, mut out) = (LineStage::new(&PLAN, LIMIT, labelled), Vec::new());
        for chunk in chunks {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        }
        stage.finish(&mut out).unwrap();
        assert_eq!(stage.held(), 0);
        String::from_utf8(out.concat()).unwrap()
    }

    /// Whole, and cut in two everywhere.
    fn redacted(labelled: bool, stream: &str) -> String {
        let whole = run(labelled, [stream.as_bytes()]);
        for at in 0..=stream.len() {
            let (one, other) = stream.as_bytes().split_at(at);
            assert_eq!(run(labelled, [one, other]), whole, "cut at {at}");
        }
        assert_eq!(run(labelled, stream.as_bytes().chunks(1)), whole);
        assert_eq!(run(labelled, [whole.as_bytes()]), whole, "twice");
        whole
    }

    #[test]
    fn recorded_streams_are_told_from_other_lines() {
        for lines in [
            "{\"delta\":\"a\"}",
            "{\"type\":\"message_start\"}\n{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n{",
            "{\"model\":\"m\",\"response\":\"a\",\"done\":false}\n",
        ] {
            assert!(have_pieces(lines.as_bytes()), "{lines}");
        }
        for lines in [
            "",
            "{\"prompt\":\"a\",\"completion\":\"b\"}\n",
            "{\"task\":\"a\",\"done\":false}\n",
            "{\"delta\":1}\n{\"a\":\"delta\"}\n",
            "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}\n",
        ] {
            assert!(!have_pieces(lines.as_bytes()), "{lines}");
        }
    }

    /// How each vendor writes a piece on a line, and what stands behind all of them.
    type Frame = (bool, fn(&str) -> String, &'static str);

    const FRAMES: [Frame; 5] = [
        (
            false,
            |piece| {
                json!({"model": "m", "message": {"role": "assistant", "content": piece}, "done": false}).to_string()
            },
            r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"eval_count":5}"#,
        ),
        (
            false,
            |piece| json!({"model": "m", "response": piece, "done": false}).to_string(),
            r#"{"model":"m","response":"","done":true,"context":[1,2]}"#,
        ),
        (
            false,
            |piece| json!({"is_finished": false, "event_type": "text-generation", "text": piece}).to_string(),
            r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE"}"#,
        ),
        (true, |piece| format!("0:{}", json!(piece)), r#"d:{"finishReason":"stop","usage":{"promptTokens":1}}"#),
        (
            true,
            |piece| format!("c:{}", json!({"toolCallId": "t", "argsTextDelta": piece})),
            r#"9:{"toolCallId":"t","toolName":"n","args":{}}"#,
        ),
    ];

    /// What the pieces say.
    fn said(stream: &str) -> String {
        let line = |line: &str| -> String {
            let json = line.strip_prefix("0:").or(line.strip_prefix("c:")).unwrap_or(line);
            let value: Value = serde_json::from_str(json).unwrap();
            let places = ["", "/message/content", "/response", "/text", "/argsTextDelta"];
            places.iter().find_map(|place| Some(value.pointer(place)?.as_str()?.to_owned())).unwrap_or_default()
        };
        stream.lines().filter(|line| !line.starts_with(['d', '9'])).map(line).collect()
    }

    #[test]
    fn a_match_in_two_pieces_is_found_wherever_it_is_cut() {
        for (labelled, frame, end) in FRAMES {
            for (text, expected) in [
                ("write to jane.doe@example.com, or", "write to [EMAIL_ADDRESS], or"),
                ("call +44 20 7946 0958 now", "call [PHONE_NUMBER] now"),
                (r#"{"password": "hunter2-é\n", "n": 1}"#, r#"{"password": "[PASSWORD]", "n": 1}"#),
            ] {
                for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
                    let (one, other) = text.split_at(at);
                    let stream = format!("{}\n{}\n{end}\n", frame(one), frame(other));
                    let out = run(labelled, [stream.as_bytes()]);
                    assert_eq!(said(&out), expected, "{stream}");
                    assert!(out.ends_with(&format!("{end}\n")));
                }
            }
        }
    }

    #[test]
    fn lines_are_redacted_alike_at_every_split() {
        for (labelled, frame, end) in FRAMES {
            for line_end in ["\n", "\r\n"] {
                let lines = [frame("to jane.d"), frame("oe@example.com, \u{e9}"), frame(""), end.to_owned()];
                let out = redacted(labelled, &lines.join(line_end));
                assert!(out.contains("to [EMAIL_ADDRESS]") && !out.contains("jane"), "{out}");
            }
        }
    }

    #[test]
    fn lines_leave_as_they_come() {
        for (labelled, frame, end) in FRAMES {
            let (mut stage, mut out) = (LineStage::new(&PLAN, LIMIT, labelled), Vec::new());
            let mut given = String::new();
            let first = if labelled { "2:[{\"a\":1}]" } else { "{\"event_type\":\"stream-start\",\"model\":\"m\"}" };
            for (line, held) in [(first.to_owned(), false), (frame("Hello"), true), (frame(" to"), true)] {
                stage.push(format!("{line}\n").into(), &mut out).unwrap();
                given += &format!("{line}\n");
                assert_eq!(out.concat() == given.as_bytes(), !held, "{line}");
            }
            stage.push(format!("{end}\n").into(), &mut out).unwrap();
            given += &format!("{end}\n");
            // A call of a tool does not say that its text is over.
            assert_eq!(out.concat() == given.as_bytes(), !end.starts_with('9'), "{end}");
            stage.finish(&mut out).unwrap();
            assert_eq!(out.concat(), given.as_bytes());
        }
    }

    #[test]
    fn what_has_no_label_is_one_text_of_lines() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----";
        let stream =
            format!("f:{{\"messageId\":\"m\"}}\n{key}\n\n0:bob@example.com\n0:\"to bob@exam\"\nx\n0:\"ple.com\"");
        let expected =
            "f:{\"messageId\":\"m\"}\n[PRIVATE_KEY]\n\n\n\n0:[EMAIL_ADDRESS]\n0:\"to [EMAIL_ADDRESS]\"\nx\n0:\"\"";
        assert_eq!(redacted(true, &stream), expected);
    }

    #[test]
    fn damaged_lines_are_redacted_as_they_stand() {
        for (labelled, stream, expected) in [
            (
                true,
                "0:\"to bob@example.com\n0:\"bob@example.com\"\n",
                "0:\"to [EMAIL_ADDRESS]\n0:\"[EMAIL_ADDRESS]\"\n",
            ),
            (true, "0:\"a\" \"bob@example.com\"\n0", "0:\"a\" \"[EMAIL_ADDRESS]\"\n0"),
            (
                false,
                "{\"model\":\"m\",\"response\":\"bob@example.com\n{\"password\":\"hunter2\"}\n",
                "{\"model\":\"m\",\"response\":\"[EMAIL_ADDRESS]\n{\"password\":\"[PASSWORD]\"}\n",
            ),
            (false, "bob@example.com\n\n1\n\"bob@example.com\"", "[EMAIL_ADDRESS]\n\n1\n\"[EMAIL_ADDRESS]\""),
            (false, "\n\n", "\n\n"),
            (false, "", ""),
            (true, "0:", "0:"),
        ] {
            assert_eq!(redacted(labelled, stream), expected);
        }
    }

    #[test]
    fn a_long_line_streams() {
        for (labelled, lead) in [(false, "{\"a\":"), (true, "2:[")] {
            let end = if labelled { "]" } else { "}" };
            let stream = format!("{lead}\"{}\"{end}\n", "to bob@example.com ".repeat(20_000));
            let (mut stage, mut out, mut most) = (LineStage::new(&PLAN, LIMIT, labelled), Vec::new(), 0);
            for chunk in stream.as_bytes().chunks(1 << 12) {
                stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
                most = most.max(stage.held());
            }
            stage.finish(&mut out).unwrap();
            assert!(out.concat() == stream.replace("bob@example.com", "[EMAIL_ADDRESS]").as_bytes());
            assert!(most < 100 << 10, "{most}");
        }
    }

    proptest! {
        /// Without pieces, lines are redacted as by one redactor of lines.
        #[test]
        fn lines_without_pieces_are_redacted_as_ever(
            lines in prop::collection::vec("(bob@example.com|\"password\": *|hunter2|[a-z\"\\\\{}:, é\r]){0,9}", 0..6),
            cut in 1usize..40,
        ) {
            let stream = lines.join("\n");
            let (mut redactor, mut out) = (Redactor::new(&PLAN, Format::Ndjson), Vec::new());
            redactor.push(stream.clone().into(), &mut out).unwrap();
            redactor.finish(&mut out).unwrap();
            prop_assert_eq!(run(false, stream.as_bytes().chunks(cut)).into_bytes(), out.concat());
        }
    }
}
