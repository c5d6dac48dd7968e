//! MessagePack, as Datadog's tracers send it: texts between heads that count
//! them.
//!
//! Arrays and maps count values, not bytes, so all streams; only a text is held
//! until its length is known. One that is longer than the limit is overwritten
//! byte by byte where something is found, behind the head that it came with.

mod head;
#[cfg(test)]
mod tests;

use super::ContentError;
use super::body::{BodyFormat, Stage};
use super::projection::{Piece, Projection};
use super::spelling::Spelling;
use crate::redact::{Plan, Report};
use bytes::{Buf, Bytes, BytesMut};
use head::{Head, Kind};
use std::collections::VecDeque;
use std::sync::Arc;

/// Arrays and maps in each other.
const MAX_DEPTH: usize = 128;
/// MessagePack in the bytes of MessagePack.
const MAX_NESTED: u32 = 4;
/// Shorter ones hold nothing.
const SHORTEST_NESTED: usize = 4;
/// Longest head.
const LONGEST_HEAD: usize = 9;

/// Takes values apart as they stream by.
pub(super) struct MsgpackStage {
    plan: Arc<Plan>,
    projection: Projection,
    held: BytesMut,
    frames: Vec<Frame>,
    state: State,
    /// The most that is held of a text.
    limit: usize,
    /// How deep this is nested in bytes of others.
    nested: u32,
    fields: usize,
    writer: Writer,
    /// Of what is nested.
    inner: Report,
    /// Outermost values so far.
    values: u64,
    /// Whether all of them have come.
    ended: bool,
}

#[derive(Clone, Copy)]
enum Frame {
    Array {
        left: u64,
        is_first: bool,
    },
    /// `left` counts names and values.
    Map {
        left: u64,
        is_first: bool,
    },
}

#[derive(Clone, Copy)]
enum State {
    Value,
    Text { left: u64, spelling: Spelling },
}

impl MsgpackStage {
    /// A stage that holds texts of up to `limit` bytes.
    pub(super) fn new(plan: &Arc<Plan>, limit: usize) -> Self {
        Self::at(plan, limit, 0)
    }

    fn at(plan: &Arc<Plan>, limit: usize, nested: u32) -> Self {
        Self {
            plan: Arc::clone(plan),
            projection: Projection::new(plan),
            held: BytesMut::new(),
            frames: Vec::new(),
            state: State::Value,
            limit,
            nested,
            fields: 0,
            writer: Writer::default(),
            inner: Report::default(),
            values: 0,
            ended: false,
        }
    }

    /// Does one thing; false when more bytes have to come first.
    fn step(&mut self) -> Result<bool, ContentError> {
        let State::Text { left, spelling } = self.state else { return self.value() };
        if left == 0 {
            self.projection.syntax(b"\"");
            self.state = State::Value;
            self.end_value();
            return Ok(true);
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.held.len());
        if length == 0 {
            return Ok(false);
        }
        let text = self.held.split_to(length).freeze();
        self.state = State::Text { left: left - length as u64, spelling };
        self.projection.text(self.fields, text, spelling);
        Ok(true)
    }

    fn value(&mut self) -> Result<bool, ContentError> {
        let Some(head) = Head::read(&self.held).map_err(|_| ContentError::Framing)? else {
            return if self.held.len() < LONGEST_HEAD { Ok(false) } else { Err(ContentError::Framing) };
        };
        if let Kind::Bin(length) = head.kind
            && let Some(length) = usize::try_from(length).ok().filter(|length| *length <= self.limit)
            && self.held.len() < head.bytes + length
        {
            return Ok(false);
        }
        // Any text in ASCII is a row of small numbers: only what has a structure is
        // believed to be what it says.
        if self.frames.is_empty() && !matches!(head.kind, Kind::Array(_) | Kind::Map(_)) {
            return Err(ContentError::Framing);
        }
        self.fields += 1;
        self.values += u64::from(self.frames.is_empty());
        let is_name = self.begin_value();
        let raw = self.held.split_to(head.bytes).freeze();
        match head.kind {
            Kind::Array(left) => self.open(raw, is_name, Frame::Array { left, is_first: true })?,
            Kind::Map(pairs) => {
                let left = pairs.checked_mul(2).ok_or(ContentError::Framing)?;
                self.open(raw, is_name, Frame::Map { left, is_first: true })?;
            }
            Kind::Str(length) => self.text(raw, length),
            Kind::Bin(length) => self.bin(raw, length)?,
            Kind::Ext(length) => self.fixed(raw, length),
            Kind::Unsigned(number) => self.number(raw, is_name, &number.to_string()),
            Kind::Signed(number) => self.number(raw, is_name, &number.to_string()),
            Kind::Float(number) if number.is_finite() => self.number(raw, is_name, &number.to_string()),
            Kind::Float(_) | Kind::Simple => {
                self.projection.frame(raw);
                self.projection.syntax(if is_name { b"\"\"" } else { b"null" });
                self.end_value();
            }
        }
        Ok(true)
    }

    /// What stands before a value in JSON; whether it is a name.
    fn begin_value(&mut self) -> bool {
        let (syntax, is_name): (&[u8], bool) = match self.frames.last_mut() {
            None => (b"\n", false),
            Some(Frame::Array { left, is_first }) => {
                *left -= 1;
                (if std::mem::take(is_first) { b"" } else { b"," }, false)
            }
            Some(Frame::Map { left, is_first }) => {
                *left -= 1;
                let is_name = *left % 2 == 1;
                match (is_name, std::mem::take(is_first)) {
                    (true, false) => (b",", true),
                    (true, true) => (b"", true),
                    (false, _) => (b":", false),
                }
            }
        };
        self.projection.syntax(syntax);
        is_name
    }

    /// A value has ended, and so may those around it have.
    fn end_value(&mut self) {
        while let Some(Frame::Array { left: 0, .. } | Frame::Map { left: 0, .. }) = self.frames.last() {
            let is_array = matches!(self.frames.pop(), Some(Frame::Array { .. }));
            self.projection.syntax(if is_array { b"]" } else { b"}" });
        }
    }

    /// A name that is an array or a map has no counterpart in JSON, nor in any
    /// SDK that we know of.
    fn open(&mut self, raw: Bytes, is_name: bool, frame: Frame) -> Result<(), ContentError> {
        if is_name || self.frames.len() >= MAX_DEPTH {
            return Err(ContentError::Framing);
        }
        self.projection.frame(raw);
        self.projection.syntax(if matches!(frame, Frame::Array { .. }) { b"[" } else { b"{" });
        self.frames.push(frame);
        self.end_value();
        Ok(())
    }

    fn text(&mut self, raw: Bytes, length: u64) {
        if length > self.limit as u64 {
            return self.fixed(raw, length);
        }
        self.begin_text(raw, length, Form::Str);
    }

    /// A text with a head of its own, which is written when its length is known.
    fn begin_text(&mut self, raw: Bytes, length: u64, form: Form) {
        self.projection.syntax(b"\"");
        if length == 0 {
            self.projection.frame(raw);
        } else {
            self.writer.heads.push_back(Pending { field: self.fields, raw, form });
        }
        self.state = State::Text { left: length, spelling: Spelling::Plain };
    }

    /// What keeps its length, whatever is found in it.
    fn fixed(&mut self, raw: Bytes, length: u64) {
        self.projection.frame(raw);
        self.projection.syntax(b"\"");
        self.state = State::Text { left: length, spelling: Spelling::Fixed };
    }

    /// Bytes: of MessagePack, as in Datadog's `meta_struct`, of text, or of
    /// anything else.
    fn bin(&mut self, raw: Bytes, length: u64) -> Result<(), ContentError> {
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= self.limit) else {
            self.fixed(raw, length);
            return Ok(());
        };
        let body = &self.held[..length];
        let may_nest = self.nested < MAX_NESTED && length >= SHORTEST_NESTED;
        if may_nest && matches!(body, [0x80..=0x9f | 0xdc..=0xdf, ..]) {
            let body = Bytes::copy_from_slice(body);
            if let Some((redacted, report)) = self.nested(body)? {
                let bytes = redacted.concat();
                self.held.advance(length);
                let head = if report.changed() > 0 { head::of_bin(bytes.len()).into() } else { raw };
                self.inner.add(&report);
                // As a text too: its name may say what it is.
                self.fixed(head, 0);
                self.projection.text(self.fields, bytes.into(), Spelling::Fixed);
                return Ok(());
            }
        }
        if std::str::from_utf8(&self.held[..length]).is_ok() {
            self.begin_text(raw, length as u64, Form::Bin);
        } else {
            self.fixed(raw, length as u64);
        }
        Ok(())
    }

    /// `body` redacted, if it is MessagePack throughout.
    fn nested(&self, body: Bytes) -> Result<Option<(Vec<Bytes>, Report)>, ContentError> {
        let (mut stage, mut out) = (Box::new(Self::at(&self.plan, self.limit, self.nested + 1)), Vec::new());
        match stage.push(body, &mut out).and_then(|()| stage.finish(&mut out)) {
            Ok(()) if stage.values == 1 => Ok(Some((out, stage.report()))),
            Ok(()) => Ok(None),
            Err(ContentError::Framing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A number, which becomes a text where it is found.
    fn number(&mut self, raw: Bytes, is_name: bool, digits: &str) {
        if is_name {
            self.projection.frame(raw);
            self.projection.syntax(b"\"\"");
        } else {
            let pending = Pending { field: self.fields, raw: Bytes::new(), form: Form::Number };
            self.writer.heads.push_back(pending);
            self.projection.number(self.fields, raw, digits, None);
        }
        self.end_value();
    }
}

impl Stage for MsgpackStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.held.extend_from_slice(&chunk);
        while self.step()? {
            let writer = &mut self.writer;
            self.projection.advance(&mut |piece| writer.take(piece, out))?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.ended = true;
        if !self.frames.is_empty() || !self.held.is_empty() || !matches!(self.state, State::Value) {
            return Err(ContentError::Framing);
        }
        let writer = &mut self.writer;
        self.projection.finish(&mut |piece| writer.take(piece, out))?;
        writer.end(out);
        Ok(())
    }

    fn format(&self) -> Option<BodyFormat> {
        (self.ended || self.values > 0).then_some(BodyFormat::Msgpack)
    }

    fn report(&self) -> Report {
        let mut report = self.projection.report().clone();
        report.add(&self.inner);
        report
    }

    fn held(&self) -> usize {
        self.held.len() + self.projection.held() + self.writer.held()
    }
}

/// Writes the head of each text before it, once it is whole.
#[derive(Default)]
struct Writer {
    /// The heads of the texts that have not come yet, as they were.
    heads: VecDeque<Pending>,
    text: Option<WrittenText>,
}

struct Pending {
    field: usize,
    raw: Bytes,
    form: Form,
}

/// What a text is, or was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Str,
    Bin,
    /// Has no head but what it is.
    Number,
}

struct WrittenText {
    field: usize,
    pieces: Vec<Bytes>,
    changed: bool,
}

impl Writer {
    fn take(&mut self, piece: Piece, out: &mut Vec<Bytes>) {
        let Piece::Text { field, bytes, changed } = piece else {
            self.end(out);
            return out.push(piece.into_bytes());
        };
        let is_known = self.text.as_ref().is_some_and(|text| text.field == field);
        if !is_known {
            self.end(out);
        }
        let text = self.text.get_or_insert_with(|| WrittenText { field, pieces: Vec::new(), changed: false });
        text.pieces.push(bytes);
        text.changed |= changed;
    }

    /// The text that was being written has ended.
    fn end(&mut self, out: &mut Vec<Bytes>) {
        let Some(text) = self.text.take() else { return };
        let is_next = self.heads.front().is_some_and(|head| head.field == text.field);
        let length: usize = text.pieces.iter().map(Bytes::len).sum();
        let head = if is_next { self.heads.pop_front() } else { None };
        match head {
            Some(Pending { raw, .. }) if !text.changed => out.push(raw),
            Some(Pending { form: Form::Bin, .. }) => out.push(head::of_bin(length).into()),
            Some(_) => out.push(head::of_str(length).into()),
            None => {}
        }
        out.extend(text.pieces);
    }

    fn held(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.pieces.iter().map(Bytes::len).sum())
    }
}
