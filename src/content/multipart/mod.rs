//! `multipart/*` (RFC 2046, section 5.1; RFC 7578): each part goes the way of
//! its own type, its head is redacted as well, and what stands outside the parts
//! is text.
//!
//! ```text
//! preamble  --boundary  head, blank line, content  --boundary  ...  --boundary--  epilogue
//! ```
//!
//! Only the boundary frames a part, never a length that it declares. A boundary
//! counts at the beginning of a line, whether that ends with CRLF or with LF
//! alone: what any parser may take for a boundary is one.

mod head;
#[cfg(test)]
mod tests;

use super::ContentError;
use super::body::{BodyFormat, PartRules, Stage};
use super::media::ContentType;
use super::part::Parts;
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use std::sync::Arc;

/// Longest head of a part, with its blank line.
const LONGEST_HEAD: usize = 16 * 1024;
/// Longest white space behind a boundary.
const LONGEST_PADDING: usize = 1024;
/// Longest boundary. RFC 2046 has 70; some clients don't mind.
const LONGEST_BOUNDARY: usize = 200;

/// Takes a multipart body apart as it streams by.
pub(super) struct MultipartStage {
    /// The parts, preamble and epilogue among them.
    parts: Parts,
    /// `--boundary`.
    mark: Finder<'static>,
    place: Place,
    /// Bytes that do not tell yet what they are.
    held: BytesMut,
    begun: bool,
    /// Whether the last boundary's line ended with CRLF.
    crlf: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Preamble,
    /// At the first byte of a part's body.
    Begin,
    /// Within a part's body.
    Content,
    /// Behind the mark, in its line.
    Line,
    Head,
    Epilogue,
}

/// What was found in a text.
enum Found {
    /// The text ends here; behind the mark is there.
    Mark { end: usize, behind: usize },
    /// None so far: from here on it may begin one.
    Perhaps(usize),
}

impl MultipartStage {
    /// A stage for a body in so many others.
    ///
    /// # Errors
    /// When it has no boundary, or is too deep.
    pub(super) fn new(
        plan: &Arc<Plan>,
        content: &ContentType,
        rules: &PartRules,
        depth: u8,
    ) -> Result<Self, ContentError> {
        let parts = Parts::new(plan, rules, depth)?;
        let boundary = content.boundary.as_ref().ok_or(ContentError::Framing)?;
        // Spaces and commas, which RFC 2046 allows within quotes, some parsers take
        // for the end.
        let is_odd = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~()/:=?".contains(byte);
        if boundary.is_empty() || boundary.len() > LONGEST_BOUNDARY || boundary.iter().any(is_odd) {
            return Err(ContentError::Framing);
        }
        let mark = Finder::new(&[b"--", &boundary[..]].concat()).into_owned();
        Ok(Self { parts, mark, place: Place::Preamble, held: BytesMut::new(), begun: false, crlf: false })
    }

    /// Text up to a boundary.
    fn text(&mut self, data: &mut Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let (end, behind) = match self.find(data)? {
            Found::Mark { end, behind } => (end, Some(behind)),
            Found::Perhaps(from) => (from, None),
        };
        let text = data.split_to(end);
        if !text.is_empty() {
            self.parts.push(text, out)?;
            if self.place == Place::Begin {
                self.place = Place::Content;
            }
            // Its end may never come.
            self.begun = true;
        }
        if let Some(behind) = behind {
            self.parts.end(out)?;
            out.push(data.split_to(behind - end));
            self.place = Place::Line;
        }
        Ok(())
    }

    /// Looks for the mark at the beginning of a line.
    fn find(&self, data: &[u8]) -> Result<Found, ContentError> {
        let mark = self.mark.needle();
        // What is held back begins with the line's end before it.
        let is_first = match self.place {
            Place::Preamble => self.parts.is_between(),
            place => place == Place::Begin,
        };
        if let Some(at) = self.mark.find(data) {
            let end = match data[..at] {
                [] if is_first => at,
                [.., b'\r', b'\n'] => at - 2,
                [.., b'\n'] => at - 1,
                // Some parsers look for the mark anywhere.
                _ => return Err(ContentError::Framing),
            };
            if self.place == Place::Epilogue {
                // And some go on behind the end.
                return Err(ContentError::Framing);
            }
            return Ok(Found::Mark { end, behind: at + mark.len() });
        }
        if is_first && mark.starts_with(data) {
            return Ok(Found::Perhaps(0));
        }
        let near = data.len().saturating_sub(mark.len() + 1);
        let may_begin = |from: usize| {
            let rest = &data[from..];
            let line = rest.strip_prefix(b"\r").unwrap_or(rest);
            let line = line.strip_prefix(b"\n").unwrap_or(line);
            mark.starts_with(rest) || (line.len() < rest.len() && mark.starts_with(line))
        };
        Ok(Found::Perhaps((near..data.len()).find(|&from| may_begin(from)).unwrap_or(data.len())))
    }

    /// What stands behind the mark in its line: white space, or two dashes.
    fn line(&mut self, data: &mut Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let Some(end) = memchr::memchr(b'\n', &data[..data.len().min(LONGEST_PADDING)]) else {
            return if data.len() < LONGEST_PADDING { Ok(()) } else { Err(ContentError::Framing) };
        };
        let is_last = data.starts_with(b"--");
        if !is_padding(&data[if is_last { 2 } else { 0 }..end]) {
            return Err(ContentError::Framing);
        }
        self.crlf = data[..end].ends_with(b"\r");
        out.push(data.split_to(end + 1));
        self.place = if is_last { Place::Epilogue } else { Place::Head };
        self.begun = true;
        Ok(())
    }

    /// A part's head, once all of it is there.
    fn head(&mut self, data: &mut Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let near = &data[..data.len().min(LONGEST_HEAD)];
        let Some(end) = end_of_head(near) else {
            return if near.len() < LONGEST_HEAD { Ok(()) } else { Err(ContentError::Framing) };
        };
        // Parsers differ in which line ends they see where both kinds stand.
        let is_ended = |line: &[u8]| line.ends_with(b"\r\n") == self.crlf;
        if !near[..end].split_inclusive(|&byte| byte == b'\n').all(is_ended) {
            return Err(ContentError::Framing);
        }
        let head = head::read(&data.split_to(end), self.parts.plan())?;
        self.parts.begin(head, out)?;
        self.place = Place::Begin;
        Ok(())
    }
}

impl Stage for MultipartStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let mut data = chunk;
        if !self.held.is_empty() {
            self.held.extend_from_slice(&data);
            data = self.held.split().freeze();
        }
        while !data.is_empty() {
            let before = (data.len(), self.place);
            match self.place {
                Place::Preamble | Place::Begin | Place::Content | Place::Epilogue => self.text(&mut data, out)?,
                Place::Line => self.line(&mut data, out)?,
                Place::Head => self.head(&mut data, out)?,
            }
            if before == (data.len(), self.place) {
                break;
            }
        }
        self.held.extend_from_slice(&data);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.place == Place::Line {
            let line = self.held.split().freeze();
            if !line.starts_with(b"--") || !is_padding(&line[2..]) {
                return Err(ContentError::Framing);
            }
            out.push(line);
            self.place = Place::Epilogue;
        }
        if self.place != Place::Epilogue {
            return Err(ContentError::Framing);
        }
        let rest = self.held.split().freeze();
        if !rest.is_empty() {
            self.parts.push(rest, out)?;
        }
        self.parts.end(out)
    }

    fn format(&self) -> Option<BodyFormat> {
        self.begun.then_some(BodyFormat::Multipart)
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

/// Whether a line's rest is white space.
fn is_padding(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    text.iter().all(|byte| matches!(byte, b' ' | b'\t'))
}

/// Where the blank line ends.
fn end_of_head(data: &[u8]) -> Option<usize> {
    let blank = |at: usize| match data.get(at..)? {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    };
    blank(0).or_else(|| memchr::memchr_iter(b'\n', data).find_map(|feed| blank(feed + 1)))
}
