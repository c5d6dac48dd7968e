//! The texts of a framed format, laid out as JSON for the redactor.
//!
//! A form, a protobuf message or an envelope holds names and texts between
//! bytes of its own. What they say is written as JSON, so that member names,
//! nested JSON and escapes mean what they mean everywhere else; only the
//! redactor sees that JSON. What it changes is carried back into the format's
//! own spelling, and all else leaves byte for byte as it came:
//!
//! ```text
//! raw     to  =  bob%40example.com    & ...      frame: passes unseen
//! JSON  {"to":"bob@example.com"}\n    { ...      syntax: has no raw bytes
//! ```
//!
//! Invariant: the items in the queue cover the JSON from `pos` to what was fed,
//! in order. How the two correspond is recomputed from the raw bytes, so nothing
//! is kept per byte.

use super::ContentError;
use super::output::Output;
use super::spelling::{Spelling, Unescape, escape, escaped_length};
use crate::redact::{Edit, Format, Plan, Redactor, Report};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// What gathers, JSON or raw bytes, before the redactor looks at it.
const BATCH: usize = 16 * 1024;
/// What an item costs beside its bytes.
const ITEM: usize = size_of::<Item>();

/// What comes back, in the order in which it went in.
pub(super) enum Piece {
    /// Bytes of the format's own.
    Frame(Bytes),
    /// Part of the text with this number.
    Text {
        /// As given to [`Projection::text`].
        field: usize,
        /// In the format's spelling.
        bytes: Bytes,
        /// Whether it stands in the place of something else.
        changed: bool,
    },
    /// The place of what was left out.
    Slot {
        /// As given to [`Projection::slot`].
        number: usize,
        /// Whether something else stands in the place of all around it.
        cut: bool,
    },
}

impl Piece {
    /// Its bytes.
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Frame(bytes) | Self::Text { bytes, .. } => bytes,
            Self::Slot { .. } => Bytes::new(),
        }
    }
}

/// One redactor and the texts that it is looking at.
pub(super) struct Projection {
    redactor: Redactor,
    items: VecDeque<Item>,
    /// JSON that the redactor does not have yet.
    batch: Vec<u8>,
    /// Memory of the items that came since the redactor was asked last.
    gathered: usize,
    /// In bytes of JSON: everything before has left.
    pos: u64,
    /// In bytes of JSON: everything before is accounted for in `output`. Behind
    /// `pos` only where an edit ends within an escape.
    passed: u64,
    output: Output,
    /// The text in which the last edit stands, for what is written there.
    target: Option<(usize, Spelling)>,
    unescape: Unescape,
}

enum Item {
    Frame(Bytes),
    Slot(usize),
    Syntax(u64),
    Text(Text),
    Number(Number),
}

/// What changes as a whole or not at all.
struct Number {
    field: usize,
    raw: Bytes,
    instead: Option<Bytes>,
    /// Its length in JSON.
    length: u64,
}

struct Text {
    field: usize,
    raw: Bytes,
    spelling: Spelling,
    /// Its length in JSON.
    length: u64,
}

impl Projection {
    /// A projection for one body.
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        let mut redactor = Redactor::new(plan, Format::Ndjson);
        redactor.keep_edits();
        // What is small here may be large in raw bytes.
        redactor.scan_every(1);
        Self {
            redactor,
            items: VecDeque::new(),
            batch: Vec::new(),
            gathered: 0,
            pos: 0,
            passed: 0,
            output: Output::default(),
            target: None,
            unescape: Unescape::default(),
        }
    }

    /// Bytes that pass as they are, behind all that was given before.
    pub(super) fn frame(&mut self, raw: Bytes) {
        self.gathered += ITEM + raw.len();
        self.items.push_back(Item::Frame(raw));
    }

    /// JSON around the texts.
    pub(super) fn syntax(&mut self, json: &[u8]) {
        self.batch.extend_from_slice(json);
        let more = json.len() as u64;
        match self.items.back_mut() {
            Some(Item::Syntax(length)) => *length += more,
            _ => self.items.push_back(Item::Syntax(more)),
        }
    }

    /// What is JSON already.
    pub(super) fn json(&mut self, raw: Bytes) {
        self.json_text(0, raw);
    }

    /// Part of the text number `field`, within a string of JSON and written as it
    /// is there.
    pub(super) fn json_text(&mut self, field: usize, raw: Bytes) {
        self.batch.extend_from_slice(&raw);
        let length = raw.len() as u64;
        self.items.push_back(Item::Text(Text { field, raw, spelling: Spelling::Json, length }));
    }

    /// Leaves a place for so many bytes that somebody else redacts.
    pub(super) fn slot(&mut self, number: usize, bytes: usize) {
        self.gathered += ITEM + bytes;
        self.items.push_back(Item::Slot(number));
    }

    /// Part of the text number `field`, cut between units of its spelling (see
    /// [`Spelling::whole`]).
    pub(super) fn text(&mut self, field: usize, raw: Bytes, spelling: Spelling) {
        let from = self.batch.len();
        let mut rest = &raw[..];
        while !rest.is_empty() {
            let (taken, byte) = spelling.unit(rest);
            escape(byte, &mut self.batch);
            rest = &rest[taken..];
        }
        let length = (self.batch.len() - from) as u64;
        self.gathered += ITEM + raw.len();
        self.items.push_back(Item::Text(Text { field, raw, spelling, length }));
    }

    /// A number in `digits`, whose bytes are `raw`. If it is found, `instead`
    /// stands in its place, or else the text that the policy writes.
    pub(super) fn number(&mut self, field: usize, raw: Bytes, digits: &str, instead: Option<Bytes>) {
        self.batch.extend_from_slice(digits.as_bytes());
        self.gathered += ITEM;
        self.items.push_back(Item::Number(Number { field, raw, instead, length: digits.len() as u64 }));
    }

    /// Hands to `sink` what is settled, if enough has come to look at.
    ///
    /// # Errors
    /// As [`Redactor::push`].
    pub(super) fn advance(&mut self, sink: &mut impl FnMut(Piece)) -> Result<(), ContentError> {
        if self.batch.len().max(self.gathered) < BATCH {
            return Ok(());
        }
        self.flush(sink)
    }

    /// As [`Projection::advance`], however little has come.
    ///
    /// # Errors
    /// As [`Redactor::push`].
    pub(super) fn flush(&mut self, sink: &mut impl FnMut(Piece)) -> Result<(), ContentError> {
        self.gathered = 0;
        self.redactor.push(std::mem::take(&mut self.batch).into(), self.output.pieces())?;
        self.settle(sink);
        Ok(())
    }

    /// All texts have come: the rest leaves.
    ///
    /// # Errors
    /// As [`Redactor::finish`].
    pub(super) fn finish(&mut self, sink: &mut impl FnMut(Piece)) -> Result<(), ContentError> {
        self.redactor.push(std::mem::take(&mut self.batch).into(), self.output.pieces())?;
        self.redactor.finish(self.output.pieces())?;
        self.settle(sink);
        self.end_edit(sink);
        while let Some(item) = self.items.pop_front() {
            if let Some(piece) = item.into_piece() {
                sink(piece);
            }
        }
        Ok(())
    }

    /// [`Projection::advance`], where all pieces go the same way.
    pub(super) fn advance_to(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.advance(&mut |piece| out.push(piece.into_bytes()))
    }

    /// [`Projection::finish`], where all pieces go the same way.
    pub(super) fn finish_to(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.finish(&mut |piece| out.push(piece.into_bytes()))
    }

    /// The first text that was not handed out to its end, or into which more may
    /// be written.
    pub(super) fn first_open(&self) -> Option<usize> {
        self.target.map(|(field, _)| field).or_else(|| self.first_waiting())
    }

    /// The first text that was not handed out to its end.
    pub(super) fn first_waiting(&self) -> Option<usize> {
        self.items.iter().find_map(|item| match item {
            Item::Text(text) => Some(text.field),
            _ => None,
        })
    }

    /// Bytes of JSON that the redactor does not have yet.
    pub(super) fn gathered(&self) -> usize {
        self.batch.len()
    }

    /// Bytes of JSON that it has and looks at again with the next ones.
    pub(super) fn looked_at(&self) -> usize {
        self.redactor.held()
    }

    /// The redactor's counters so far.
    pub(super) fn report(&self) -> &Report {
        self.redactor.report()
    }

    /// What waits to leave, by the piece.
    #[cfg(test)]
    pub(super) fn items(&self) -> usize {
        self.items.len()
    }

    /// Raw bytes held back now.
    pub(super) fn held(&self) -> usize {
        self.items.iter().map(Item::held).sum()
    }

    fn settle(&mut self, sink: &mut impl FnMut(Piece)) {
        for Edit { span, at } in self.redactor.take_edits() {
            self.account(span.start, at, sink);
            if span.is_empty() {
                self.aim(sink);
            }
            self.cut(span.end, sink);
            self.passed = self.passed.max(span.end);
        }
        self.account(self.redactor.settled(), self.redactor.emitted(), sink);
        self.output.compact();
        // Whatever was found before them has an end: a text has JSON behind it. A place may
        // have what is written anew around it.
        let is_free = |item: &Item| match item {
            Item::Frame(_) => true,
            Item::Slot(_) => self.target.is_none(),
            _ => false,
        };
        while self.items.front().is_some_and(is_free) {
            let piece = self.items.pop_front().and_then(Item::into_piece);
            piece.into_iter().for_each(&mut *sink);
        }
    }

    /// All up to `json` is known, and up to `written` of what was written: first
    /// the rest of the last edit's replacement, then what passes.
    fn account(&mut self, json: u64, written: u64, sink: &mut impl FnMut(Piece)) {
        let passing = json.saturating_sub(self.passed);
        let replaced = written.saturating_sub(self.output.taken()).saturating_sub(passing);
        for piece in self.output.take(replaced) {
            self.replace(&piece, sink);
        }
        if passing > 0 {
            self.end_edit(sink);
            self.output.skip(passing);
            self.pass(json, sink);
            self.passed = json;
        }
    }

    /// Hands out raw bytes up to the place `until` of the JSON, or to the unit
    /// before it.
    fn pass(&mut self, until: u64, sink: &mut impl FnMut(Piece)) {
        while self.pos < until {
            let Some(item) = self.items.pop_front() else { return };
            let (before, rest) = item.split(until - self.pos, Rounding::Down);
            self.pos += before.as_ref().map_or(0, Item::length);
            let stuck = before.is_none();
            if let Some(rest) = rest {
                self.items.push_front(rest);
            }
            if let Some(piece) = before.and_then(Item::into_piece) {
                sink(piece);
            }
            if stuck {
                return;
            }
        }
    }

    /// Drops raw bytes up to the place `until` of the JSON, or to the end of the
    /// unit around it: something else stands in their place.
    fn cut(&mut self, until: u64, sink: &mut impl FnMut(Piece)) {
        while self.pos < until {
            let Some(item) = self.items.pop_front() else { return };
            let (cut, rest) = item.split(until - self.pos, Rounding::Up);
            if let Some(rest) = rest {
                self.items.push_front(rest);
            }
            self.pos += cut.as_ref().map_or(0, Item::length);
            match cut {
                Some(Item::Text(text)) => {
                    self.target.get_or_insert((text.field, text.spelling));
                    if text.spelling == Spelling::Fixed {
                        let bytes = vec![b'*'; text.raw.len()].into();
                        sink(Piece::Text { field: text.field, bytes, changed: true });
                    }
                }
                Some(Item::Number(Number { field, instead, .. })) => {
                    let spelling = if instead.is_some() { Spelling::Fixed } else { Spelling::Number };
                    self.target.get_or_insert((field, spelling));
                    if let Some(bytes) = instead {
                        sink(Piece::Text { field, bytes, changed: true });
                    }
                }
                Some(Item::Frame(raw)) => sink(Piece::Frame(raw)),
                Some(Item::Slot(number)) => sink(Piece::Slot { number, cut: true }),
                Some(Item::Syntax(_)) | None => {}
            }
        }
    }

    /// What is written stands before the text that comes next, of which nothing is cut
    /// yet: the beginning of a long finding.
    fn aim(&mut self, sink: &mut impl FnMut(Piece)) {
        while self.items.front().is_some_and(|item| item.length() == 0) {
            let piece = self.items.pop_front().and_then(Item::into_piece);
            piece.into_iter().for_each(&mut *sink);
        }
        if let Some(Item::Text(text)) = self.items.front() {
            self.target.get_or_insert((text.field, text.spelling));
        }
    }

    fn replace(&mut self, written: &[u8], sink: &mut impl FnMut(Piece)) {
        if let Some((_, Spelling::Json)) = self.target {
            return self.write(written, sink);
        }
        let text = self.unescape.push(written);
        self.write(&text, sink);
    }

    fn end_edit(&mut self, sink: &mut impl FnMut(Piece)) {
        let text = self.unescape.finish();
        self.write(&text, sink);
        self.target = None;
    }

    fn write(&mut self, text: &[u8], sink: &mut impl FnMut(Piece)) {
        if let Some((field, spelling)) = self.target.filter(|(_, spelling)| *spelling != Spelling::Fixed) {
            // Even of no bytes: something was removed.
            sink(Piece::Text { field, bytes: spelling.write(text).into(), changed: true });
        }
    }
}

#[derive(Clone, Copy)]
enum Rounding {
    Down,
    Up,
}

impl Item {
    fn length(&self) -> u64 {
        match self {
            Self::Frame(_) | Self::Slot(_) => 0,
            Self::Syntax(length) => *length,
            Self::Text(text) => text.length,
            Self::Number(number) => number.length,
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Frame(raw) => raw.len(),
            Self::Syntax(_) | Self::Slot(_) => 0,
            Self::Text(text) => text.raw.len(),
            Self::Number(number) => number.raw.len(),
        }
    }

    fn into_piece(self) -> Option<Piece> {
        match self {
            Self::Frame(raw) => Some(Piece::Frame(raw)),
            Self::Slot(number) => Some(Piece::Slot { number, cut: false }),
            Self::Text(Text { field, raw, .. }) | Self::Number(Number { field, raw, .. }) => {
                Some(Piece::Text { field, bytes: raw, changed: false })
            }
            Self::Syntax(_) => None,
        }
    }

    /// The first `length` bytes of JSON, which are not none, and the rest.
    fn split(self, length: u64, rounding: Rounding) -> (Option<Self>, Option<Self>) {
        match self {
            item if item.length() <= length => (Some(item), None),
            Self::Syntax(all) => (Some(Self::Syntax(length)), Some(Self::Syntax(all - length))),
            Self::Text(text) => text.split(length, rounding),
            Self::Number(_) if matches!(rounding, Rounding::Down) => (None, Some(self)),
            item @ (Self::Frame(_) | Self::Slot(_) | Self::Number(_)) => (Some(item), None),
        }
    }
}

impl Text {
    fn split(mut self, length: u64, rounding: Rounding) -> (Option<Item>, Option<Item>) {
        let (mut raw, mut json) = (0, 0);
        let is_plain = matches!(self.spelling, Spelling::Plain | Spelling::Fixed | Spelling::Number | Spelling::Json);
        if self.raw.len() as u64 == self.length && is_plain {
            // No byte has an escape.
            (raw, json) = (usize::try_from(length).unwrap_or(usize::MAX).min(self.raw.len()), length);
        }
        while json < length && raw < self.raw.len() {
            let (taken, byte) = self.spelling.unit(&self.raw[raw..]);
            let more = escaped_length(byte);
            if json + more > length && matches!(rounding, Rounding::Down) {
                break;
            }
            (raw, json) = (raw + taken, json + more);
        }
        let before = Self { field: self.field, raw: self.raw.split_to(raw), spelling: self.spelling, length: json };
        self.length = self.length.saturating_sub(json);
        let some = |text: Self| (!text.raw.is_empty()).then_some(Item::Text(text));
        (some(before), some(self))
    }
}
