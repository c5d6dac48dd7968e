//! The head of a part: what it says about the part's body, and itself redacted.
//!
//! Header values, and each parameter of `Content-Disposition` and
//! `Content-Type`, are texts under their names, as in JSON:
//!
//! ```text
//! Content-Disposition: form-data; name="to"; filename="bob@example.com.txt"
//! {"Content-Disposition":"form-data"} {"name":"to"} {"filename":"bob@example.com.txt"}
//! ```

use crate::coding::Coding;
use crate::content::ContentError;
use crate::content::media::{self, ContentType, Media};
use crate::content::parameter::{self, Parameter, trim};
use crate::content::part::{Head, Written};
use crate::content::projection::{Piece, Projection};
use crate::content::spelling::Spelling;
use crate::redact::Plan;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// Reads and redacts a whole head, up to and with its blank line.
///
/// # Errors
/// When it is broken, not UTF-8, says something twice, hides text in a coding,
/// or holds what the policy blocks.
pub(super) fn read(raw: &Bytes, plan: &Arc<Plan>) -> Result<Head, ContentError> {
    if std::str::from_utf8(raw).is_err() || memchr::memchr(0, raw).is_some() {
        return Err(ContentError::Charset);
    }
    let mut reader = Reader {
        raw,
        projection: Projection::new(plan),
        at: 0,
        frames: 0,
        lengths: Vec::new(),
        tokens: Vec::new(),
        kind: None,
        disposition: None,
        coding: Coding::Identity,
        coded: false,
    };
    for line in lines(raw)? {
        reader.line(&line)?;
    }
    reader.finish()
}

/// A header, in places of the head: folded lines are one.
struct Line {
    name: Range<usize>,
    /// Without the white space around it.
    value: Range<usize>,
}

fn lines(raw: &[u8]) -> Result<Vec<Line>, ContentError> {
    let (mut lines, mut at) = (Vec::<Line>::new(), 0);
    while let Some(end) = memchr::memchr(b'\n', &raw[at..]).map(|feed| at + feed) {
        let stop = if raw[at..end].ends_with(b"\r") { end - 1 } else { end };
        let text = &raw[at..stop];
        if memchr::memchr(b'\r', text).is_some() {
            return Err(ContentError::Framing);
        }
        match (text.first(), lines.last_mut()) {
            (None, _) => break,
            (Some(b' ' | b'\t'), last) => {
                let last = last.ok_or(ContentError::Framing)?;
                last.value = trim(raw, last.value.start..stop);
            }
            (Some(_), _) => {
                let colon = memchr::memchr(b':', text).ok_or(ContentError::Framing)?;
                if colon == 0 || !text[..colon].iter().all(|&byte| is_token(byte)) {
                    return Err(ContentError::Framing);
                }
                lines.push(Line { name: at..at + colon, value: trim(raw, at + colon + 1..stop) });
            }
        }
        at = end + 1;
    }
    Ok(lines)
}

/// As in the names of headers (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Lays a head out for the redactor, and notes what it says.
struct Reader<'a> {
    raw: &'a Bytes,
    projection: Projection,
    /// All before is laid out.
    at: usize,
    /// How many frames were laid out.
    frames: usize,
    /// Declared lengths, and the frame that each is.
    lengths: Vec<(usize, u64)>,
    /// By text: whether it needs quotes once it is changed.
    tokens: Vec<bool>,
    kind: Option<ContentType>,
    disposition: Option<Disposition>,
    /// The one that is declared.
    coding: Coding,
    /// There is another, which is not undone.
    coded: bool,
}

#[derive(Default)]
struct Disposition {
    /// The number of the text, and whether it is quoted.
    name: Option<(usize, bool)>,
    is_file: bool,
    /// What the name of its file says that it is.
    named: Option<&'static str>,
}

impl Reader<'_> {
    fn line(&mut self, line: &Line) -> Result<(), ContentError> {
        let raw = self.raw;
        let value = &raw[line.value.clone()];
        if has_encoded_word(value) {
            return Err(ContentError::Charset);
        }
        match &raw[line.name.clone()].to_ascii_lowercase()[..] {
            b"content-length" => {
                let length = number(value).ok_or(ContentError::Framing)?;
                self.length(line.value.clone(), length);
                return Ok(());
            }
            b"content-type" if self.kind.is_some() => return Err(ContentError::Framing),
            b"content-type" => {
                let kind = ContentType::parse(Some(value));
                let is_multipart = kind.media == Media::Multipart;
                self.kind = Some(kind);
                return self.structured(line, |name| Role::of_type(name, is_multipart));
            }
            b"content-disposition" if self.disposition.is_some() => return Err(ContentError::Framing),
            b"content-disposition" => {
                self.disposition = Some(Disposition::default());
                return self.structured(line, Role::of_disposition);
            }
            b"content-transfer-encoding" => {
                let is_plain = ["7bit", "8bit", "binary", "identity"];
                self.coded |= !is_plain.iter().any(|plain| value.eq_ignore_ascii_case(plain.as_bytes()));
            }
            b"content-encoding" => match (self.coding, Coding::from_headers([value])) {
                (Coding::Identity, Ok(coding)) => self.coding = coding,
                (_, Ok(Coding::Identity)) => {}
                _ => self.coded = true,
            },
            _ => {}
        }
        self.member(line.name.clone(), line.value.clone(), Spelling::Plain, false);
        Ok(())
    }

    fn structured(&mut self, line: &Line, role: impl Fn(&[u8]) -> Role) -> Result<(), ContentError> {
        let (from, raw) = (line.value.start, self.raw);
        let shift = |range: Range<usize>| from + range.start..from + range.end;
        let (first, parameters) = parameter::split(&raw[line.value.clone()]);
        self.member(line.name.clone(), shift(first), Spelling::Plain, false);
        for parameter in parameters {
            let parameter =
                Parameter { name: shift(parameter.name), value: parameter.value.map(shift), quoted: parameter.quoted };
            let name = raw[parameter.name.clone()].to_ascii_lowercase();
            self.parameter(&parameter, &name, role(&name))?;
        }
        self.gap(line.value.end);
        Ok(())
    }

    fn parameter(&mut self, parameter: &Parameter, name: &[u8], role: Role) -> Result<(), ContentError> {
        let raw = self.raw;
        self.gap(parameter.name.start);
        let Some(value) = parameter.value.clone() else {
            self.string(parameter.name.clone());
            return Ok(());
        };
        let text = &raw[value.clone()];
        let is_empty = text.is_empty();
        match name.iter().position(|&byte| byte == b'*') {
            // A value in pieces (RFC 2231, section 3).
            Some(star) if star + 1 < name.len() => return Err(ContentError::Framing),
            Some(_) => {
                let prefix = charset_length(text).ok_or(ContentError::Charset)?;
                let prefix = value.start..value.start + prefix;
                self.member(parameter.name.clone(), prefix.clone(), Spelling::Plain, false);
                self.projection.syntax(b"\"");
                self.text(prefix.end..value.end, Spelling::Extended, false);
                self.projection.syntax(b"\"\n");
            }
            None => match (role, number(text)) {
                (Role::Boundary, _) => {
                    self.string(parameter.name.clone());
                    self.frame(value.end);
                }
                (Role::Length, Some(length)) => self.length(value, length),
                _ => {
                    // Not a token, nor within quotes: it stays as it is written.
                    let odd = !parameter.quoted && memchr::memchr2(b'"', b'\\', text).is_some();
                    let spelling = if odd { Spelling::Plain } else { Spelling::Quoted };
                    self.member(parameter.name.clone(), value, spelling, !odd && !parameter.quoted);
                }
            },
        }
        if let Some(disposition) = &mut self.disposition {
            match role {
                // Which one counts, parsers do not agree on.
                Role::Name if disposition.name.is_some() || name.ends_with(b"*") => return Err(ContentError::Framing),
                Role::Name => disposition.name = Some((self.tokens.len() - 1, parameter.quoted)),
                Role::File => {
                    disposition.is_file |= !is_empty;
                    disposition.named = disposition.named.or_else(|| media::of_file(text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What stands between parameters, up to `end`: scanned as well, unless it
    /// is what belongs there.
    fn gap(&mut self, end: usize) {
        let gap = self.at..end.max(self.at);
        if !self.raw[gap.clone()].iter().all(|byte| b"; \t\r\n=\"".contains(byte)) {
            self.string(gap);
        }
    }

    /// A text without a name.
    fn string(&mut self, range: Range<usize>) {
        self.projection.syntax(b"\"");
        self.text(range, Spelling::Plain, false);
        self.projection.syntax(b"\"\n");
    }

    fn member(&mut self, name: Range<usize>, value: Range<usize>, spelling: Spelling, token: bool) {
        self.projection.syntax(b"{\"");
        self.text(name, Spelling::Plain, false);
        self.projection.syntax(b"\":\"");
        self.text(value, spelling, token);
        self.projection.syntax(b"\"}\n");
    }

    fn text(&mut self, range: Range<usize>, spelling: Spelling, token: bool) {
        self.frame(range.start);
        self.at = range.end;
        if !range.is_empty() {
            self.projection.text(self.tokens.len(), self.raw.slice(range), spelling);
        }
        self.tokens.push(token);
    }

    fn length(&mut self, range: Range<usize>, length: u64) {
        self.frame(range.start);
        self.lengths.push((self.frames, length));
        self.frame(range.end);
    }

    /// All up to `end` passes as it is.
    fn frame(&mut self, end: usize) {
        if end > self.at {
            self.projection.frame(self.raw.slice(self.at..end));
            self.frames += 1;
            self.at = end;
        }
    }

    fn finish(mut self) -> Result<Head, ContentError> {
        self.frame(self.raw.len());
        let mut pieces = Vec::new();
        self.projection.finish(&mut |piece| pieces.push(piece))?;
        let disposition = self.disposition.take().unwrap_or_default();
        let is_field = |kind: &ContentType| {
            let is_bare = matches!(&kind.essence[..], "" | "application/octet-stream");
            kind.utf8 && (matches!(kind.media, Media::Text | Media::Table(_) | Media::Tabs(_)) || is_bare)
        };
        let is_text = self.kind.as_ref().is_none_or(is_field);
        let name = disposition.name.filter(|_| is_text && !disposition.is_file && self.coding == Coding::Identity);
        let says_nothing = |kind: &ContentType| matches!(&kind.essence[..], "" | "application/octet-stream");
        let named = disposition.named.filter(|_| self.kind.as_ref().is_none_or(says_nothing));
        let report = self.projection.report().clone();
        Ok(Head {
            field: name.map(|(number, quoted)| name_of(&pieces, number, quoted)),
            lengths: self.lengths.iter().map(|(_, length)| *length).collect(),
            content: self.kind.take().unwrap_or_else(|| ContentType::parse(None)),
            named,
            coding: self.coding,
            coded: self.coded,
            report,
            written: self.write(pieces),
        })
    }

    fn write(&self, pieces: Vec<Piece>) -> Vec<Written> {
        let mut quoted = vec![false; self.tokens.len()];
        for piece in &pieces {
            if let Piece::Text { field, changed: true, .. } = piece {
                quoted[*field] = self.tokens[*field];
            }
        }
        let (mut written, mut open, mut frames) = (Vec::with_capacity(pieces.len()), None, 0);
        for piece in pieces {
            let number = match &piece {
                Piece::Text { field, .. } if quoted[*field] => Some(*field),
                _ => None,
            };
            if number != open {
                written.push(Written::Bytes(Bytes::from_static(b"\"")));
                open = number;
            }
            let is_frame = matches!(piece, Piece::Frame(_));
            let is_length = is_frame && self.lengths.iter().any(|(frame, _)| *frame == frames);
            frames += usize::from(is_frame);
            let bytes = piece.into_bytes();
            written.push(if is_length { Written::Length(bytes) } else { Written::Bytes(bytes) });
        }
        written
    }
}

/// What a parameter is to us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Name,
    File,
    Boundary,
    Length,
    Other,
}

impl Role {
    fn of_type(name: &[u8], is_multipart: bool) -> Self {
        match name {
            b"boundary" if is_multipart => Self::Boundary,
            b"length" => Self::Length,
            _ => Self::Other,
        }
    }

    fn of_disposition(name: &[u8]) -> Self {
        match name {
            b"name" | b"name*" => Self::Name,
            b"filename" | b"filename*" => Self::File,
            _ => Self::Other,
        }
    }
}

/// The text with this number, as far as it was not redacted.
fn name_of(pieces: &[Piece], number: usize, quoted: bool) -> Vec<u8> {
    let mut name = Vec::new();
    for piece in pieces {
        if let Piece::Text { field, bytes, .. } = piece
            && *field == number
        {
            name.extend_from_slice(bytes);
        }
    }
    if quoted { parameter::unquoted(&name) } else { name }
}

/// How long charset and language are before an extended value, with their quotes
/// (RFC 5987, section 3.2.1), of a charset that is read here.
fn charset_length(text: &[u8]) -> Option<usize> {
    let mut quotes = memchr::memchr_iter(b'\'', text);
    let (first, second) = (quotes.next()?, quotes.next()?);
    let charset = text[..first].to_ascii_lowercase();
    matches!(&charset[..], b"" | b"utf-8" | b"us-ascii").then_some(second + 1)
}

fn number(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Text in base64 or the like, as mail has it (RFC 2047): `=?utf-8?B?...?=`.
fn has_encoded_word(value: &[u8]) -> bool {
    memchr::memmem::find(value, b"=?").is_some_and(|at| memchr::memmem::find(&value[at + 2..], b"?=").is_some())
}
