//! Data that is text, of which each event has a piece:
//!
//! ```text
//! data: to jane.d              data: to [EMAIL_ADDRESS]
//! data: oe@example.com, or     data: , or
//! ```
//!
//! So are strings of JSON, as LangServe sends them (`data: "to jane.d"`).
//! Each event may be a text of its own as well. So this looks at what was redacted event
//! by event, and finds what only several of them make. Events of one name are one text, up
//! to one with other data, or where [`join`](super::join) says that a text is over.

use super::fragment::Key;
use super::join::Joins;
use super::{DONE, LEAD, LONGEST_EVENT, PREFIX};
use crate::content::ContentError;
use crate::content::projection::Piece;
use crate::content::sniff;
use crate::content::spelling::Spelling;
use crate::redact::{Format, Plan, Report};
use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Looks at texts in pieces.
pub(super) struct Texts {
    joins: Joins,
    /// The line so far.
    held: BytesMut,
    /// It is no piece, or too long to be one.
    passes: bool,
    /// Nothing of it has come.
    blank: bool,
    /// The last byte was a CR, to which an LF belongs.
    returned: bool,
    /// The event has a piece already.
    goes_on: bool,
    /// The name of the event.
    name: Arc<str>,
    /// Bytes so far.
    at: u64,
}

impl Texts {
    pub(super) fn new(plan: &Arc<Plan>, limit: usize) -> Self {
        Self {
            joins: Joins::new(plan, limit),
            held: BytesMut::new(),
            passes: false,
            blank: true,
            returned: false,
            goes_on: false,
            name: Arc::default(),
            at: 0,
        }
    }

    /// Takes what was redacted, and appends to `out` what may leave.
    pub(super) fn push(&mut self, pieces: Vec<Bytes>, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        pieces.into_iter().try_for_each(|piece| self.lines(piece))?;
        self.joins.release(out);
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.whole_line()?;
        self.joins.end()?;
        self.joins.release(out);
        Ok(())
    }

    pub(super) fn held(&self) -> usize {
        self.held.len() + self.joins.held()
    }

    pub(super) fn report(&self) -> Report {
        // It was counted before.
        Report { scanned: 0, ..self.joins.report() }
    }

    fn lines(&mut self, mut rest: Bytes) -> Result<(), ContentError> {
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', &rest);
            let piece = rest.split_to(end.unwrap_or(rest.len()));
            self.at += piece.len() as u64 + u64::from(end.is_some());
            if !piece.is_empty() {
                (self.blank, self.returned) = (false, false);
                self.part(piece)?;
            }
            if end.is_some() {
                self.whole_line()?;
                self.end_line(rest.split_to(1))?;
            }
        }
        Ok(())
    }

    fn part(&mut self, mut piece: Bytes) -> Result<(), ContentError> {
        if !self.passes {
            // However the line is cut, the same bytes are judged.
            let lead = LEAD.saturating_sub(self.held.len()).min(piece.len());
            self.held.extend_from_slice(&piece.split_to(lead));
            let is_over = self.held.len() + piece.len() > LONGEST_EVENT;
            if self.held.len() < LEAD || (!is_over && self.may_be_wanted()) {
                self.held.extend_from_slice(&piece);
                return Ok(());
            }
            if self.held.starts_with(b"data:") {
                self.joins.end()?;
            }
            let held = self.held.split().freeze();
            self.frame(held);
            self.passes = true;
        }
        self.frame(piece);
        Ok(())
    }

    /// Whether the line whose first bytes have come is a piece or a name.
    fn may_be_wanted(&self) -> bool {
        let lead = &self.held[..LEAD];
        let data = lead.strip_prefix(b"data:").map(|data| data.strip_prefix(b" ").unwrap_or(data));
        data.map_or(lead.starts_with(b"event:"), is_text)
    }

    /// The line has ended.
    fn whole_line(&mut self) -> Result<(), ContentError> {
        self.passes = false;
        let mut line = self.held.split().freeze();
        if let Some(name) = line.strip_prefix(b"event:") {
            self.name = String::from_utf8_lossy(name).into();
        }
        if line.starts_with(b"data:") {
            let space = usize::from(line.get(5) == Some(&b' '));
            let lead = line.split_to(5 + space);
            self.frame(lead);
            if line != DONE && is_text(&line) {
                return self.piece(line);
            }
            self.joins.end()?;
        }
        self.frame(line);
        Ok(())
    }

    /// Data that is text, or a string of JSON.
    fn piece(&mut self, line: Bytes) -> Result<(), ContentError> {
        let goes_on = std::mem::replace(&mut self.goes_on, true);
        if line.len() > 2 && !goes_on && serde_json::from_slice::<&RawValue>(&line).is_ok_and(is_string) {
            let (from, to) = (line.len() - line.trim_ascii_start().len() + 1, line.trim_ascii_end().len() - 1);
            self.frame(line.slice(..from));
            let piece = (line.slice(from..to), Spelling::Json);
            self.joins.piece(Key::of_text(&self.name, true), piece, false, self.at)?;
            self.frame(line.slice(to..));
        } else if !line.is_empty() {
            self.joins.piece(Key::of_text(&self.name, false), (line, Spelling::Plain), goes_on, self.at)?;
        }
        Ok(())
    }

    fn end_line(&mut self, end: Bytes) -> Result<(), ContentError> {
        let is_second = self.returned && end[0] == b'\n';
        if self.blank && !is_second {
            (self.goes_on, self.name) = (false, Arc::default());
            self.joins.end_event()?;
        }
        (self.blank, self.returned) = (true, end[0] == b'\r');
        self.frame(end);
        self.joins.advance_to(self.at)
    }

    fn frame(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.joins.take(Piece::Frame(bytes));
        }
    }
}

/// Whether data that begins with `lead` is text.
fn is_text(lead: &[u8]) -> bool {
    sniff::format(&lead[..lead.len().min(LEAD - PREFIX)]) != Format::Json
}

fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}
