//! A message that is too long to be held: its fields as they come by.
//!
//! What is found is overwritten byte by byte, a number by zero, so that the
//! lengths that were sent before stay true. Memory is a constant: a frame per
//! level, and the first bytes of a field of which nothing is known.

use super::classify::{self, Looks};
use super::schema::{ANY, Kind, Schema};
use super::tree::{MAX_DEPTH, STRING_VALUE};
use super::wire::varint;
use crate::content::ContentError;
use crate::content::projection::Projection;
use crate::content::spelling::Spelling;
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// So much of a field of which nothing is known is looked at to tell what it is.
const PEEK: usize = 4096;
/// A tag and a length, each of ten bytes at most.
const LONGEST_HEAD: usize = 20;

/// A message on its way through.
pub(super) struct StreamedMessage {
    projection: Projection,
    held: BytesMut,
    frames: Vec<Frame>,
    state: State,
}

/// A message around the place where we are.
struct Frame {
    context: Context,
    /// Bytes of it that have to come; of the outermost nobody knows.
    left: Option<u64>,
}

enum Context {
    Message(&'static Schema),
    /// A name and a value; a member of the object around it, or an object of its
    /// own.
    Pair {
        value: Kind,
        is_member: bool,
        has_name: bool,
        has_value: bool,
    },
    AnyValue {
        has_value: bool,
    },
    /// Of pairs, or of values.
    List {
        is_object: bool,
        is_first: bool,
    },
}

enum State {
    /// At the first byte of a field, or at the end of a message.
    Field,
    /// Within a text, behind which this JSON stands.
    Text { left: u64, after: &'static [u8] },
    /// Within what is not looked at.
    Opaque { left: u64 },
}

/// A field's head.
struct Head {
    number: u32,
    wire: u64,
    /// The value of a varint, the length of what has one.
    value: u64,
    /// Bytes of the head, with the value if it is a varint.
    bytes: usize,
    /// Bytes of the value.
    of_value: usize,
}

impl StreamedMessage {
    pub(super) fn new(plan: &Arc<Plan>, schema: &'static Schema) -> Self {
        let frames = vec![Frame { context: Context::Message(schema), left: None }];
        Self { projection: Projection::new(plan), held: BytesMut::new(), frames, state: State::Field }
    }

    /// Takes the next bytes; appends to `out` what may leave.
    pub(super) fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.held.extend_from_slice(&chunk);
        while self.step(false)? {
            self.projection.advance_to(out)?;
        }
        Ok(())
    }

    /// The message has ended.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        while self.step(true)? {}
        if self.frames.len() > 1 || !self.held.is_empty() || !matches!(self.state, State::Field) {
            return Err(ContentError::Framing);
        }
        self.projection.finish_to(out)
    }

    pub(super) fn report(&self) -> Report {
        self.projection.report().clone()
    }

    pub(super) fn held(&self) -> usize {
        self.held.len() + self.projection.held()
    }

    /// Does one thing; false when more bytes have to come first.
    fn step(&mut self, is_last: bool) -> Result<bool, ContentError> {
        match self.state {
            State::Text { left: 0, after } => {
                self.projection.syntax(after);
                self.state = State::Field;
            }
            State::Opaque { left: 0 } => self.state = State::Field,
            State::Text { left, after } => {
                let Some(text) = self.take(left) else { return Ok(false) };
                self.state = State::Text { left: left - text.len() as u64, after };
                self.projection.text(0, text, Spelling::Fixed);
            }
            State::Opaque { left } => {
                let Some(raw) = self.take(left) else { return Ok(false) };
                self.state = State::Opaque { left: left - raw.len() as u64 };
                self.projection.frame(raw);
            }
            State::Field if self.frames.last().is_some_and(|frame| frame.left == Some(0)) => self.close(),
            State::Field => return self.field(is_last),
        }
        Ok(true)
    }

    /// The next bytes, at most `most`; `None` if none are there.
    fn take(&mut self, most: u64) -> Option<Bytes> {
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.held.len());
        (length > 0).then(|| self.held.split_to(length).freeze())
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        self.projection.syntax(match frame.context {
            Context::Message(_) => b"",
            Context::Pair { has_value: true, is_member, .. } => {
                if is_member {
                    b""
                } else {
                    b"}"
                }
            }
            Context::Pair { has_name: true, is_member, .. } => {
                if is_member {
                    b"null"
                } else {
                    b"null}"
                }
            }
            Context::Pair { is_member, .. } => {
                if is_member {
                    b"\"\":null"
                } else {
                    b"\"\":null}"
                }
            }
            Context::AnyValue { has_value: true } => b"",
            Context::AnyValue { .. } => b"null",
            Context::List { is_object: true, .. } => b"}",
            Context::List { .. } => b"]",
        });
        if let Some(Frame { context: Context::Message(_), .. }) = self.frames.last() {
            self.projection.syntax(b"\n");
        }
    }

    /// The head of a field.
    fn field(&mut self, is_last: bool) -> Result<bool, ContentError> {
        let left = self.frames.last().and_then(|frame| frame.left);
        let known = self.held.len().min(left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX)));
        let is_whole = is_last || left.is_some_and(|left| known as u64 == left) || known >= LONGEST_HEAD;
        let Some(head) = head(&self.held[..known])? else {
            return if is_whole && known > 0 { Err(ContentError::Framing) } else { Ok(false) };
        };
        let body = match head.wire {
            1 => 8,
            2 => head.value,
            5 => 4,
            _ => 0,
        };
        if left.is_some_and(|left| body > left - head.bytes as u64) {
            return Err(ContentError::Framing);
        }
        let kind = self.kind(&head).of_length(body);
        let peek = usize::try_from(body).unwrap_or(usize::MAX).min(PEEK);
        let wants = if matches!(kind, Kind::Unknown) && head.wire == 2 { peek } else { body_of_number(&head, body) };
        if known < head.bytes + wants {
            return if is_last { Err(ContentError::Framing) } else { Ok(false) };
        }
        let of_body = self.held[head.bytes..head.bytes + wants].to_vec();
        self.enter(&head, body, kind, &of_body)?;
        Ok(true)
    }

    /// What a field is by its number, where it stands.
    fn kind(&self, head: &Head) -> Kind {
        let Some(frame) = self.frames.last() else { return Kind::Unknown };
        match (&frame.context, head.number) {
            (Context::Message(schema), number) => schema.kind(number),
            (Context::Pair { .. }, 1) | (Context::AnyValue { .. }, STRING_VALUE) => Kind::Text,
            (Context::Pair { value, .. }, 2) => *value,
            (Context::List { is_object: true, .. }, 1) => Kind::KeyValue,
            (Context::List { .. }, 1) => Kind::AnyValue,
            _ => Kind::Unknown,
        }
    }

    /// Begins what the head promises: its head passes, its body is still to come.
    fn enter(&mut self, head: &Head, body: u64, kind: Kind, peek: &[u8]) -> Result<(), ContentError> {
        if let Some(left) = self.frames.last_mut().and_then(|frame| frame.left.as_mut()) {
            *left = left.saturating_sub(head.bytes as u64 + body);
        }
        if head.wire != 2 {
            return self.number(head, peek);
        }
        let raw = self.held.split_to(head.bytes).freeze();
        let is_pair_name =
            head.number == 1 && matches!(self.frames.last(), Some(Frame { context: Context::Pair { .. }, .. }));
        self.before(head.number)?;
        self.projection.frame(raw);
        if is_pair_name {
            self.projection.syntax(b"\"");
            self.state = State::Text { left: body, after: b"\":" };
            return Ok(());
        }
        let is_line = matches!(self.frames.last(), Some(Frame { context: Context::Message(_), .. }));
        self.value(head.number, body, kind, peek, if is_line { b"\"\n" } else { b"\"" })
    }

    /// What stands before a field in JSON. A pair whose value comes first, or
    /// which has several, has no meaning that streams.
    fn before(&mut self, number: u32) -> Result<(), ContentError> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let syntax: &[u8] = match (&mut frame.context, number) {
            (Context::Message(_), _) => b"",
            (Context::Pair { has_name: has_name @ false, .. }, 1) => {
                *has_name = true;
                b""
            }
            (Context::Pair { has_name: true, has_value: has_value @ false, .. }, 2) => {
                *has_value = true;
                b""
            }
            (Context::AnyValue { has_value: has_value @ false }, _) => {
                *has_value = true;
                b""
            }
            (Context::Pair { has_value: true, .. }, 3..) => b",\"\":",
            (Context::Pair { .. } | Context::AnyValue { .. }, _) => return Err(ContentError::Framing),
            (Context::List { is_first, .. }, _) => {
                if std::mem::take(is_first) {
                    b""
                } else {
                    b","
                }
            }
        };
        self.projection.syntax(syntax);
        Ok(())
    }

    fn value(
        &mut self,
        number: u32,
        body: u64,
        kind: Kind,
        peek: &[u8],
        after: &'static [u8],
    ) -> Result<(), ContentError> {
        let in_any_value = matches!(self.frames.last(), Some(Frame { context: Context::AnyValue { .. }, .. }));
        let is_member =
            matches!(self.frames.last(), Some(Frame { context: Context::List { is_object: true, .. }, .. }));
        match (kind, number) {
            (Kind::Opaque | Kind::Id, _) => self.state = State::Opaque { left: body },
            (Kind::Text, _) => self.begin_text(body, after),
            (Kind::Message(schema), _) => self.open(Context::Message(schema), body)?,
            (Kind::KeyValue, _) => {
                self.open_pair(Kind::AnyValue, is_member, body)?;
            }
            (Kind::AnyValue, _) => self.open(Context::AnyValue { has_value: false }, body)?,
            (Kind::Unknown, 5 | 6) if in_any_value => {
                let is_object = number == 6;
                self.projection.syntax(if is_object { b"{" } else { b"[" });
                self.open(Context::List { is_object, is_first: true }, body)?;
            }
            (Kind::Unknown, _) => {
                if is_member {
                    self.projection.syntax(b"\"\":");
                }
                match looks(peek, body) {
                    Looks::Message if classify::begins_entry(peek, body) => {
                        self.open_pair(Kind::Unknown, false, body)?;
                    }
                    Looks::Message if self.frames.len() < MAX_DEPTH as usize => {
                        self.open(Context::Message(&ANY), body)?
                    }
                    _ => self.begin_text(body, after),
                }
            }
        }
        Ok(())
    }

    fn begin_text(&mut self, left: u64, after: &'static [u8]) {
        self.projection.syntax(b"\"");
        self.state = State::Text { left, after };
    }

    fn open_pair(&mut self, value: Kind, is_member: bool, left: u64) -> Result<(), ContentError> {
        self.projection.syntax(if is_member { b"" } else { b"{" });
        self.open(Context::Pair { value, is_member, has_name: false, has_value: false }, left)
    }

    fn open(&mut self, context: Context, left: u64) -> Result<(), ContentError> {
        if self.frames.len() > MAX_DEPTH as usize {
            return Err(ContentError::Framing);
        }
        // The one around it has it accounted for already.
        self.frames.push(Frame { context, left: Some(left) });
        Ok(())
    }

    /// A number; `rest` is what of it stands behind its head.
    fn number(&mut self, head: &Head, rest: &[u8]) -> Result<(), ContentError> {
        let raw = self.held.split_to(head.bytes + rest.len()).freeze();
        let is_value = matches!(self.frames.last(), Some(Frame { context: Context::AnyValue { .. }, .. }));
        if is_value {
            self.before(head.number)?;
        }
        let (digits, zero) = match (is_value, head.number, head.wire) {
            (true, 3, 0) => (Some(head.value.cast_signed().to_string()), zero(head.of_value)),
            (true, 4, 1) => {
                let bits = rest.first_chunk().copied().map(u64::from_le_bytes).unwrap_or_default();
                let number = Some(f64::from_bits(bits)).filter(|number| number.is_finite());
                (number.map(|number| number.to_string()), vec![0; 8])
            }
            _ => (None, Vec::new()),
        };
        let Some(digits) = digits else {
            if is_value {
                self.projection.syntax(b"null");
            }
            self.projection.frame(raw);
            return Ok(());
        };
        let mut instead = raw[..raw.len() - zero.len()].to_vec();
        instead.extend_from_slice(&zero);
        self.projection.number(0, raw, &digits, Some(instead.into()));
        Ok(())
    }
}

/// A zero of so many bytes.
fn zero(length: usize) -> Vec<u8> {
    let mut zero = vec![0x80; length];
    if let Some(last) = zero.last_mut() {
        *last = 0;
    }
    zero
}

/// How many bytes of the body a number needs to be read.
fn body_of_number(head: &Head, body: u64) -> usize {
    if head.wire == 2 { 0 } else { usize::try_from(body).unwrap_or_default() }
}

/// The head of the field that `bytes` begin with; `None` if it is cut.
fn head(bytes: &[u8]) -> Result<Option<Head>, ContentError> {
    let too_long = |bytes: &[u8]| if bytes.len() >= 10 { Err(ContentError::Framing) } else { Ok(None) };
    let Some((tag, length)) = varint(bytes) else { return too_long(bytes) };
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
    let (number, wire) = (number.ok_or(ContentError::Framing)?, tag & 7);
    if matches!(wire, 3 | 4 | 6 | 7) {
        return Err(ContentError::Framing);
    }
    if !matches!(wire, 0 | 2) {
        return Ok(Some(Head { number, wire, value: 0, bytes: length, of_value: 0 }));
    }
    match varint(&bytes[length..]) {
        Some((value, more)) => Ok(Some(Head { number, wire, value, bytes: length + more, of_value: more })),
        None => too_long(&bytes[length..]),
    }
}

/// What a field of `length` bytes holds, of which these are the first ones.
fn looks(peek: &[u8], length: u64) -> Looks {
    if peek.len() as u64 == length {
        return classify::looks(peek, &(0..peek.len()));
    }
    classify::begins(peek, length)
}
