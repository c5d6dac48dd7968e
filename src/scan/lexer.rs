//! A lexer of JSON that knows where it is: record, path, offset in the value.
//!
//! Lenient, like all that looks at bodies: broken JSON is walked as well as it goes.

use super::Format;
use super::path::{Paths, States};
use memchr::memchr2;
use std::sync::Arc;

/// Containers deeper than this are counted, not remembered: what they hold is
/// said to stand in the deepest one that is.
const DEEPEST: usize = 512;
/// Bytes of a member name that a pointer shows.
const LONGEST_NAME: usize = 1024;

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// From 1.
    pub record: u64,
    /// `None` for text.
    pub pointer: Option<String>,
    /// Decoded bytes of the string before it.
    pub offset: u64,
    /// Within a member's name.
    pub in_name: bool,
    /// Differs between any two strings or bare words.
    pub value: u64,
}

/// Walks over a body, in pieces cut anywhere.
#[derive(Clone)]
pub struct Lexer {
    format: Format,
    /// Bytes walked.
    at: u64,
    record: u64,
    /// Whether a value of this record has been seen at the top level.
    complete: bool,
    stack: Vec<Frame>,
    /// Open containers beyond [`DEEPEST`].
    deeper: usize,
    lexeme: Lexeme,
    /// Decoded bytes of the current string or word so far.
    offset: u64,
    /// Strings and words begun.
    values: u64,
    /// What a finding in a name is replaced by in pointers is written already.
    hidden: bool,
    paths: Arc<Paths>,
    /// At the top level of a document.
    top: States,
}

#[derive(Clone, Debug)]
enum Frame {
    Object {
        /// Decoded, at most [`LONGEST_NAME`] bytes.
        name: Vec<u8>,
        /// The next string is a name.
        expects_name: bool,
        /// Of the object, and of its member.
        states: (States, States),
    },
    Array {
        index: u64,
        /// Of the array, and of its element.
        states: (States, States),
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lexeme {
    /// Between tokens.
    Between,
    /// A number, a literal, or what is none of JSON.
    Word,
    Text {
        name: bool,
        escape: Escape,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// Behind the backslash; a high surrogate may stand before it.
    Sign {
        high: Option<u16>,
    },
    /// Behind `\u` and some digits.
    Digits {
        high: Option<u16>,
        count: u8,
        value: u16,
    },
    /// Behind the first half of a surrogate pair.
    High(u16),
}

impl Lexer {
    /// At the first byte of a body.
    pub fn new(format: Format) -> Self {
        Self::following(format, Arc::default())
    }

    /// That also tells which of `paths` lead to where it is.
    pub(super) fn following(format: Format, paths: Arc<Paths>) -> Self {
        Self {
            top: paths.start(),
            paths,
            format,
            at: 0,
            record: 1,
            complete: false,
            stack: Vec::new(),
            deeper: 0,
            lexeme: Lexeme::Between,
            offset: 0,
            values: 0,
            hidden: false,
        }
    }

    /// Bytes walked so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The place before the next byte.
    pub fn mark(&self) -> Mark {
        if self.format == Format::Text {
            return Mark { record: 1, pointer: None, offset: self.at, in_name: false, value: 0 };
        }
        let half = matches!(self.lexeme, Lexeme::Text { escape: Escape::High(_), .. });
        // A value that begins here begins the next record.
        let next = u64::from(self.lexeme == Lexeme::Between && self.begins_record());
        Mark {
            record: self.record + next,
            pointer: self.pointer(),
            offset: match self.lexeme {
                Lexeme::Between => 0,
                _ => self.offset + if half { 3 } else { 0 },
            },
            in_name: self.is_in_name(),
            // A word is told from what is between by its first byte only.
            value: self.values + u64::from(self.lexeme == Lexeme::Between),
        }
    }

    /// Whether the walk is within a member name.
    pub fn is_in_name(&self) -> bool {
        matches!(self.lexeme, Lexeme::Text { name: true, .. })
    }

    /// Whether the walk is within a string that is a value.
    pub(super) fn is_in_value(&self) -> bool {
        matches!(self.lexeme, Lexeme::Text { name: false, .. })
    }

    /// The path to the current value or member.
    pub fn pointer(&self) -> Option<String> {
        if self.format == Format::Text {
            return None;
        }
        let mut pointer = String::new();
        for frame in &self.stack {
            pointer.push('/');
            match frame {
                Frame::Object { name, .. } => {
                    let name = String::from_utf8_lossy(name);
                    pointer += &name.replace('~', "~0").replace('/', "~1");
                }
                Frame::Array { index, .. } => pointer += &index.to_string(),
            }
        }
        Some(pointer)
    }

    /// Which paths lead to the current value; for a member's name, to its object.
    pub(super) fn states(&self) -> States {
        match self.stack.last() {
            Some(Frame::Object { states, .. } | Frame::Array { states, .. }) => states.1,
            None => self.top,
        }
    }

    /// How many strings and words have begun.
    pub(super) fn values(&self) -> u64 {
        self.values
    }

    /// A finding begins: what follows does not appear in pointers, its label
    /// does.
    pub fn hide(&mut self, entity: &str) {
        if self.is_in_name() {
            self.add_to_name(format!("[{entity}]").as_bytes());
        }
        self.hidden = true;
    }

    /// The finding is over.
    pub fn show(&mut self) {
        self.hidden = false;
    }

    /// Walks over `bytes`, or up to the end of the current name if `to_name_end`;
    /// how many bytes it walked.
    pub fn over(&mut self, bytes: &[u8], to_name_end: bool) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            at += self.step(&bytes[at..]);
            if to_name_end && !self.is_in_name() {
                break;
            }
        }
        self.at += at as u64;
        at
    }

    /// Walks over at least one byte of `bytes`, which has one, and begins one
    /// value at most.
    pub(super) fn token_over(&mut self, bytes: &[u8]) {
        self.at += self.step(bytes) as u64;
    }

    /// Walks over at least one byte of `bytes`, which has one; how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.format == Format::Text {
            return bytes.len();
        }
        match self.lexeme {
            // A raw line feed ends the record, whatever it stands in.
            _ if bytes[0] == b'\n' && self.format == Format::Ndjson => {
                self.next_line();
                1
            }
            Lexeme::Text { name, escape: Escape::None } => self.plain_text(bytes, name),
            Lexeme::Text { name, escape } => self.escape(bytes[0], name, escape),
            Lexeme::Between | Lexeme::Word => {
                self.token(bytes[0]);
                1
            }
        }
    }

    fn next_line(&mut self) {
        self.record += 1;
        self.stack.clear();
        self.deeper = 0;
        self.complete = false;
        self.lexeme = Lexeme::Between;
    }

    /// A run of bytes without escapes, or the quote or backslash behind it.
    fn plain_text(&mut self, bytes: &[u8], name: bool) -> usize {
        let mut run = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
        if self.format == Format::Ndjson {
            run = memchr::memchr(b'\n', &bytes[..run]).unwrap_or(run);
        }
        if run > 0 {
            self.decoded(&bytes[..run], name);
            return run;
        }
        match bytes[0] {
            b'"' => self.end_text(name),
            _ => self.lexeme = Lexeme::Text { name, escape: Escape::Sign { high: None } },
        }
        1
    }

    fn end_text(&mut self, name: bool) {
        self.lexeme = Lexeme::Between;
        if let (true, Some(Frame::Object { expects_name, name, states })) = (name, self.stack.last_mut()) {
            *expects_name = false;
            states.1 = self.paths.step(states.0, name);
        }
    }

    /// One byte of an escape, or the byte behind the first half of a pair;
    /// how many bytes it took, none if it must be looked at again.
    fn escape(&mut self, byte: u8, name: bool, escape: Escape) -> usize {
        let next = match (escape, byte) {
            (Escape::High(high), b'\\') => Escape::Sign { high: Some(high) },
            (Escape::Sign { high }, b'u') => Escape::Digits { high, count: 0, value: 0 },
            (Escape::Digits { high, count, value }, digit) if digit.is_ascii_hexdigit() => {
                let digit = char::from(digit).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
                let value = value << 4 | digit.unwrap_or(0);
                if count < 3 {
                    Escape::Digits { high, count: count + 1, value }
                } else {
                    self.code_unit(high, value, name)
                }
            }
            (Escape::Sign { high }, letter) => {
                self.lone(high, name);
                self.decoded(&[unescaped(letter)], name);
                Escape::None
            }
            // Neither an escape nor part of one: broken, or a lone half.
            (Escape::High(high) | Escape::Digits { high: Some(high), .. }, _) => {
                self.lone(Some(high), name);
                self.lexeme = Lexeme::Text { name, escape: Escape::None };
                return self.plain_text(&[byte], name);
            }
            (Escape::Digits { .. } | Escape::None, _) => {
                self.lexeme = Lexeme::Text { name, escape: Escape::None };
                return self.plain_text(&[byte], name);
            }
        };
        self.lexeme = Lexeme::Text { name, escape: next };
        1
    }

    /// A whole `\uXXXX`.
    fn code_unit(&mut self, high: Option<u16>, value: u16, name: bool) -> Escape {
        if let (Some(high), 0xDC00..=0xDFFF) = (high, value) {
            let joined = 0x10000 + ((u32::from(high) - 0xD800) << 10) + (u32::from(value) - 0xDC00);
            self.character(char::from_u32(joined), name);
            return Escape::None;
        }
        self.lone(high, name);
        if (0xD800..=0xDBFF).contains(&value) {
            return Escape::High(value);
        }
        self.character(char::from_u32(u32::from(value)), name);
        Escape::None
    }

    fn lone(&mut self, high: Option<u16>, name: bool) {
        if high.is_some() {
            self.character(None, name);
        }
    }

    fn character(&mut self, character: Option<char>, name: bool) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        self.decoded(character.encode_utf8(&mut [0; 4]).as_bytes(), name);
    }

    fn decoded(&mut self, bytes: &[u8], name: bool) {
        self.offset += bytes.len() as u64;
        if name && !self.hidden {
            self.add_to_name(bytes);
        }
    }

    fn add_to_name(&mut self, bytes: &[u8]) {
        if let Some(Frame::Object { name, .. }) = self.stack.last_mut() {
            let room = LONGEST_NAME.saturating_sub(name.len());
            name.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// A byte outside of strings.
    fn token(&mut self, byte: u8) {
        match byte {
            b'"' => self.begin_text(),
            b'{' => {
                let states = self.states();
                self.open(Frame::Object { name: Vec::new(), expects_name: true, states: (states, states) });
            }
            b'[' => {
                let states = self.states();
                self.open(Frame::Array { index: 0, states: (states, self.paths.step(states, b"0")) });
            }
            b'}' | b']' => self.close(byte),
            b',' => self.comma(),
            b':' | b' ' | b'\t' | b'\n' | b'\r' => self.lexeme = Lexeme::Between,
            _ => {
                if self.lexeme == Lexeme::Between {
                    self.begin_value();
                    self.lexeme = Lexeme::Word;
                }
                self.offset += 1;
            }
        }
    }

    fn begin_text(&mut self) {
        self.begin_value();
        let mut is_name = false;
        if let (0, Some(Frame::Object { name, expects_name: true, states })) = (self.deeper, self.stack.last_mut()) {
            name.clear();
            // A name stands where its object does.
            states.1 = states.0;
            is_name = true;
        }
        self.lexeme = Lexeme::Text { name: is_name, escape: Escape::None };
    }

    fn begins_record(&self) -> bool {
        self.complete && self.stack.is_empty() && self.format == Format::Json
    }

    fn begin_value(&mut self) {
        if self.begins_record() {
            self.record += 1;
        }
        self.complete |= self.stack.is_empty();
        self.offset = 0;
        self.values += 1;
    }

    fn open(&mut self, frame: Frame) {
        self.begin_value();
        self.lexeme = Lexeme::Between;
        if self.stack.len() < DEEPEST {
            self.stack.push(frame);
        } else {
            self.deeper += 1;
        }
    }

    /// Closes the innermost container that `byte` fits.
    fn close(&mut self, byte: u8) {
        self.lexeme = Lexeme::Between;
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        let fits = |frame: &Frame| matches!(frame, Frame::Object { .. }) == (byte == b'}');
        if let Some(depth) = self.stack.iter().rposition(fits) {
            self.stack.truncate(depth);
        }
    }

    fn comma(&mut self) {
        self.lexeme = Lexeme::Between;
        if self.deeper > 0 {
            return;
        }
        match self.stack.last_mut() {
            Some(Frame::Object { expects_name, .. }) => *expects_name = true,
            Some(Frame::Array { index, states }) => {
                *index += 1;
                states.1 = self.paths.step_to(states.0, *index);
            }
            None => {}
        }
    }
}

/// What the letter of an escape stands for.
const fn unescaped(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        other => other,
    }
}
