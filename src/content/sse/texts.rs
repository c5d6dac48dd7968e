//! Data that is text, of which each event may have a piece:
//!
//! ```text
//! data: to jane.d              data: to [EMAIL_ADDRESS]
//! data: oe@example.com, or     data: , or
//! ```
//!
//! So are strings of JSON, as LangServe sends them (`data: "to jane.d"`). Each event may be
//! a text of its own as well, so what is found in either goes (see [`slot`](super::slot)).
//! Events of one name are one text, up to one with other data, or where
//! [`join`](super::join) says that a text is over.

use super::fragment::Key;
use super::join::Before;
use super::{DONE, LONGEST_EVENT, LONGEST_PIECE, SseStage, Value};
use crate::content::ContentError;
use crate::content::spelling::Spelling;
use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Lines of white space that may wait for what their event is.
const MOST_BLANKS: usize = 64;
/// Of the line that names an event so much counts.
const LONGEST_NAME: usize = 256;

/// What is known of the event and its text.
#[derive(Default)]
pub(super) struct Texts {
    /// The name of the event.
    name: Arc<str>,
    /// The line that tells it, so far.
    naming: Option<Vec<u8>>,
    /// Lines of white space before all else, and the place of each that is not empty.
    blanks: Vec<Option<(usize, Bytes)>>,
    /// A line of text has come.
    begun: bool,
    /// A piece of the line has come.
    is_long: bool,
}

impl Texts {
    /// A line begins that names the event.
    pub(super) fn begin_name(&mut self) {
        self.naming = Some(Vec::new());
    }

    /// Part of a line that is no data.
    pub(super) fn see(&mut self, part: &[u8]) {
        if let Some(naming) = &mut self.naming {
            let room = LONGEST_NAME - naming.len();
            naming.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    /// That line has ended.
    pub(super) fn end_name(&mut self) {
        let Some(line) = self.naming.take() else { return };
        let name = line.strip_prefix(b"event:").unwrap_or_default();
        self.name = String::from_utf8_lossy(name.strip_prefix(b" ").unwrap_or(name)).into();
    }

    /// Whether its name says that the text of the event is a whole one. Clients of MCP wait for
    /// the first before they send anything, which another could follow
    /// (<https://modelcontextprotocol.io/specification/2024-11-05/basic/transports>).
    pub(super) fn is_whole(&self) -> bool {
        &*self.name == "endpoint"
    }

    /// The event is over.
    pub(super) fn end_event(&mut self) {
        self.name = Arc::default();
    }

    fn key(&self) -> Key {
        Key::of_text(&self.name, false)
    }

    /// Where the next line of text stands.
    fn before(&mut self) -> Before {
        if std::mem::replace(&mut self.begun, true) { Before::Line } else { Before::Event }
    }
}

impl SseStage {
    /// A line of data that is white space, before the event is known to be text or JSON.
    pub(super) fn blank_line(&mut self, line: Bytes) {
        if self.texts.blanks.len() == MOST_BLANKS {
            self.keep_blanks();
        }
        let place = (!line.is_empty()).then(|| {
            let number = self.joins.reserve(line.clone());
            self.projection.slot(number, line.len());
            (number, line)
        });
        self.texts.blanks.push(place);
    }

    /// The event is no text: its first lines say nothing.
    pub(super) fn keep_blanks(&mut self) {
        self.texts.blanks.drain(..).flatten().for_each(|(number, _)| self.joins.keep(number));
    }

    /// The event is text: so are its first lines.
    pub(super) fn take_blanks(&mut self, at: u64) -> Result<(), ContentError> {
        for blank in std::mem::take(&mut self.texts.blanks) {
            let (key, before) = (self.texts.key(), self.texts.before());
            let piece = blank.map(|(number, raw)| (number, raw, Spelling::Plain));
            self.joins.plain(key, before, piece, at)?;
        }
        Ok(())
    }

    /// Part of a line of text: gathers the line, or as much of it as one piece may have.
    pub(super) fn part_of_line(&mut self, raw: &[u8]) -> Result<(), ContentError> {
        let mut line = self.event.take().unwrap_or_default();
        line.extend_from_slice(raw);
        // However it is cut, the same pieces are made, and when so many bytes of the stream
        // have come.
        let known = self.at - line.len() as u64 + self.longest_piece(&line) as u64 + 1;
        while line.len() > self.longest_piece(&line) {
            let piece = line.split_to(LONGEST_PIECE).freeze();
            let behind = self.at - line.len() as u64 + 1;
            self.lay_text(piece, self.texts.is_long, behind.max(known))?;
            self.texts.is_long = true;
        }
        self.event = Some(line);
        Ok(())
    }

    /// A line of text has ended.
    pub(super) fn end_of_line(&mut self, line: BytesMut) -> Result<(), ContentError> {
        let (line, goes_on) = (line.freeze(), std::mem::take(&mut self.texts.is_long));
        if line == DONE && !goes_on {
            self.joins.end()?;
            self.projection.frame(line);
            return Ok(());
        }
        let is_string = |line: &Bytes| serde_json::from_slice::<&RawValue>(line).is_ok_and(is_string);
        if line.len() > 2 && !goes_on && !self.texts.begun && is_string(&line) {
            let (from, to) = (line.len() - line.trim_ascii_start().len() + 1, line.trim_ascii_end().len() - 1);
            self.projection.frame(line.slice(..from));
            let (key, before) = (Key::of_text(&self.texts.name, true), self.texts.before());
            self.lay(key, before, (line.slice(from..to), Spelling::Json), self.at)?;
            self.projection.frame(line.slice(to..));
            return Ok(());
        }
        self.lay_text(line, goes_on, self.at)
    }

    /// So much of a line waits for its end: of one that may be a string of JSON, more.
    fn longest_piece(&self, line: &[u8]) -> usize {
        let lead = &line[..line.len().min(LONGEST_PIECE)];
        let may_be_string = !self.texts.begun && lead.trim_ascii_start().starts_with(b"\"");
        if may_be_string { LONGEST_EVENT } else { LONGEST_PIECE }
    }

    /// The event's text is over, if it has one.
    pub(super) fn end_text(&mut self, at: u64) -> Result<(), ContentError> {
        self.take_blanks(at)?;
        if std::mem::take(&mut self.texts.begun) {
            self.joins.end_plain()?;
        }
        Ok(())
    }

    pub(super) fn lay_text(&mut self, raw: Bytes, goes_on: bool, at: u64) -> Result<(), ContentError> {
        let before = if goes_on { Before::Nothing } else { self.texts.before() };
        self.lay(self.texts.key(), before, (raw, Spelling::Plain), at)
    }

    fn lay(
        &mut self,
        key: Key,
        before: Before,
        (raw, spelling): (Bytes, Spelling),
        at: u64,
    ) -> Result<(), ContentError> {
        let piece = (!raw.is_empty()).then(|| {
            let number = self.joins.reserve(raw.clone());
            self.projection.slot(number, raw.len());
            (number, raw, spelling)
        });
        self.joins.plain(key, before, piece, at)
    }

    /// Whether the line is data that is text.
    pub(super) fn is_in_text(&self) -> bool {
        self.line == Some(Value::Text) && self.data == Some(Value::Text)
    }
}

fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}
