//! JSON that stands in base64: where it begins, and how it is read as it streams by.
//!
//! ```text
//! {"data": "eyJlbWFpbCI6ICJib2JAZXhhbXBsZS5jb20ifQ=="}     {"email": "bob@example.com"}
//! ```
//!
//! Its first characters tell: `eyJ` is `{"`, `W3si` is `[{"`. So nothing is decoded that
//! is a picture, an id or a hash, and whoever looks for tokens finds it on the way.
//! Unlike a text in base64 that a rule looks into (see [`base64`](super::base64)) it has
//! no bound. What dots join is a token, and stays one.
//!
//! Format: RFC 4648, sections 4 and 5; lines as in RFC 2045, section 6.8.

use super::base64::{self, Alphabet, Bits, Encoding, LONGEST_CHARACTER, NONE};
use super::key::whole_unit;
use super::shape::{TOKEN_RUN, is_token_byte, is_word_byte};
use super::unit::{Meaning, Unit, unit};

/// The white space of JSON.
const SPACE: [u8; 4] = *b" \n\r\t";
/// A byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// How many characters encoders write on a line.
const LINES: [u64; 3] = [60, 64, 76];
/// So many characters tell of the whole run how it is written, and whether it is part of a
/// token.
const LEADING: u64 = 16 * 1024;

/// The first two characters of all that [`begins`].
pub(super) fn pairs() -> impl Iterator<Item = [u8; 2]> {
    let after = |first: u8| match first {
        b'{' => [&b"\""[..], &SPACE].concat(),
        b'[' => [&b"\"{["[..], &SPACE].concat(),
        _ => [&b"{["[..], &SPACE].concat(),
    };
    let firsts = [&b"{["[..], &SPACE].concat();
    let pair = |first: u8, second: u8| {
        [base64::character_of(first >> 2), base64::character_of((first & 3) << 4 | second >> 4)]
    };
    let pairs =
        firsts.into_iter().flat_map(move |first| after(first).into_iter().map(move |second| pair(first, second)));
    pairs.chain([pair(MARK[0], MARK[1])])
}

/// Whether base64 of JSON begins at `at` of `raw`, and no part of a token. That a word
/// begins there is not asked.
pub(super) fn begins_at(raw: &[u8], at: usize) -> bool {
    let is_joined = at.checked_sub(1).is_some_and(|before| raw[before] == b'.');
    !is_joined && begins(&raw[at..])
}

/// Whether `raw` begins as base64 of an object or an array does that holds more than
/// numbers.
fn begins(raw: &[u8]) -> bool {
    let Some(lead) = raw.first_chunk::<TOKEN_RUN>() else { return false };
    // Most tokens are told by their first byte.
    let first = lead.first_chunk().copied().and_then(group).map(|[first, ..]| first);
    if !first.is_some_and(|first| matches!(first, b'{' | b'[') || first == MARK[0] || SPACE.contains(&first)) {
        return false;
    }
    let mut text = [0; TOKEN_RUN / 4 * 3];
    for (four, bytes) in lead.chunks_exact(4).zip(text.chunks_exact_mut(3)) {
        let Some(group) = four.try_into().ok().and_then(group) else { return false };
        bytes.copy_from_slice(&group);
    }
    let json = text.strip_prefix(MARK).unwrap_or(&text).trim_ascii_start();
    let Some((first, rest)) = json.split_first() else { return false };
    let next = rest.trim_ascii_start().first();
    matches!((first, next), (b'{', Some(b'"') | None) | (b'[', Some(b'"' | b'{' | b'[') | None))
        && base64::valid(&text).is_some()
}

/// The same, asked the plain way: where a run of so many bytes of a token begins a word or
/// stands behind an escape.
pub(crate) fn begins_plainly(raw: &[u8], at: usize) -> bool {
    let back = |by: usize| at.checked_sub(by).map(|place| raw[place]);
    let begins_word = back(1).is_none_or(|byte| !is_word_byte(byte));
    let is_letter = back(2) == Some(b'\\') && back(1).is_some_and(|byte| b"nrtbf".contains(&byte));
    let is_escaped = is_letter || back(6) == Some(b'\\') && back(5) == Some(b'u');
    let run = raw[at..].first_chunk::<TOKEN_RUN>();
    run.is_some_and(|run| is_word_byte(run[0]) && run.iter().copied().all(is_token_byte))
        && (begins_word || is_escaped)
        && begins_at(raw, at)
}

/// The bytes of four characters, whichever alphabet they are of.
fn group(four: [u8; 4]) -> Option<[u8; 3]> {
    let mut bits = 0;
    for byte in four {
        let value = value_of(byte)?;
        bits = bits << 6 | u32::from(value);
    }
    let [_, first, second, third] = bits.to_be_bytes();
    Some([first, second, third])
}

fn value_of(byte: u8) -> Option<u8> {
    let value = Alphabet::BOTH.into_iter().map(|alphabet| alphabet.value(byte)).min().unwrap_or(NONE);
    (value != NONE).then_some(value)
}

/// Whether `byte` is a character of base64, of either alphabet.
pub(crate) fn is_character(byte: u8) -> bool {
    value_of(byte).is_some()
}

/// Whether what stands behind a run joins it to more of a token.
pub(crate) fn is_joint(behind: &[u8]) -> bool {
    matches!(behind, [b'.', next, ..] if is_character(*next))
}

/// The character that a unit is, if it is one of ASCII.
fn character_of(unit: Unit) -> Option<u8> {
    match unit.meaning {
        Meaning::Byte(byte) if unit.len <= LONGEST_CHARACTER => Some(byte),
        _ => None,
    }
}

/// Raw bytes in which `characters` of a run stand, and breaks of lines before them.
pub(crate) fn length_of(raw: &[u8], characters: u64) -> usize {
    let (mut at, mut left) = (0, characters);
    while left > 0 && at < raw.len() {
        let unit = unit(raw, at);
        left -= u64::from(character_of(unit).is_some_and(is_character));
        at += unit.len;
    }
    at
}

/// `characters`, each where one stands in `raw`; what has an escape has no room for
/// another character, and becomes a mask.
pub(crate) fn laid_out(raw: &[u8], characters: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(raw.len()), 0);
    let mut characters = characters.iter();
    while at < raw.len() {
        let unit = unit(raw, at);
        let is_one = character_of(unit).is_some_and(|byte| is_character(byte) || byte == b'=');
        match is_one.then(|| characters.next()).flatten() {
            Some(&character) if unit.len == 1 => out.push(character),
            Some(_) => out.resize(out.len() + unit.len, b'*'),
            None => out.extend_from_slice(&raw[at..at + unit.len]),
        }
        at += unit.len;
    }
    out
}

/// Reads a run as it streams by.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bits: Bits,
    /// As far as is seen.
    encoding: Encoding,
    has_standard: bool,
    characters: u64,
    /// Padding so far.
    signs: u64,
    /// Characters of the line so far, and of each before.
    line: u64,
    line_length: u64,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Bytes that belong to the run.
    pub(crate) raw: usize,
    /// It ends there.
    pub(crate) ends: bool,
}

impl Reader {
    /// Reads what `raw` begins with, and appends to `text` what it means. What is left may
    /// belong to the run when more has come, unless it ends there. `last` tells that no
    /// more comes.
    pub(crate) fn read(&mut self, raw: &[u8], last: bool, text: &mut Vec<u8>) -> Taken {
        let mut at = 0;
        while at < raw.len() {
            if let Some(four) = raw[at..].first_chunk::<4>().filter(|_| self.is_at_group())
                && let Some(bytes) = group(*four)
            {
                text.extend_from_slice(&bytes);
                four.iter().for_each(|&byte| self.count(byte));
                at += 4;
                continue;
            }
            let Some(unit) = whole_unit(raw, at, last) else { return Taken { raw: at, ends: false } };
            match character_of(unit) {
                Some(b'=') if self.signs < self.padding() => {
                    self.signs += 1;
                    self.encoding.note_padding();
                }
                Some(byte)
                    if self.signs == 0
                        && let Some(value) = value_of(byte) =>
                {
                    self.bits.push(value, text);
                    self.count(byte);
                }
                Some(b'\r' | b'\n') if self.may_break() => match self.behind_break(raw, at, last) {
                    Some(Some(behind)) => {
                        (self.line_length, self.line) = (self.line, 0);
                        at = behind;
                        continue;
                    }
                    Some(None) => return Taken { raw: at, ends: true },
                    None => return Taken { raw: at, ends: false },
                },
                _ => return Taken { raw: at, ends: true },
            }
            if self.is_leading() {
                self.encoding.note_escape(&raw[at..at + unit.len]);
            }
            at += unit.len;
        }
        Taken { raw: at, ends: last }
    }

    /// Whether what was read is so little that what is to come may tell what it is.
    pub(crate) fn is_leading(&self) -> bool {
        self.characters <= LEADING
    }

    /// How the run is written, as far as it is known; all of it at its end.
    pub(crate) fn encoding(&self) -> Encoding {
        // What has left of a long one was in the alphabet of its first characters.
        self.encoding.clone().completed(self.characters, self.has_standard || !self.is_leading())
    }

    fn is_at_group(&self) -> bool {
        self.characters.is_multiple_of(4) && self.signs == 0
    }

    fn count(&mut self, byte: u8) {
        self.characters += 1;
        self.line += 1;
        if self.is_leading() {
            self.has_standard |= matches!(byte, b'+' | b'/');
            self.encoding.note_character(byte);
        }
    }

    /// Signs of padding that belong behind what was read.
    fn padding(&self) -> u64 {
        match self.characters % 4 {
            2 => 2,
            3 => 1,
            _ => 0,
        }
    }

    fn may_break(&self) -> bool {
        let is_full = if self.line_length == 0 { LINES.contains(&self.line) } else { self.line == self.line_length };
        self.signs == 0 && is_full
    }

    /// Where the run goes on behind the break of a line at `at`, if it does; `None` where
    /// that is not known yet.
    fn behind_break(&self, raw: &[u8], at: usize, last: bool) -> Option<Option<usize>> {
        let mut at = at;
        for _ in 0..3 {
            if at >= raw.len() {
                return last.then_some(None);
            }
            let unit = whole_unit(raw, at, last)?;
            match character_of(unit) {
                Some(b'\r' | b'\n') => at += unit.len,
                Some(byte) if is_character(byte) => return Some(Some(at)),
                _ => return Some(None),
            }
        }
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let bytes = Encoding::read(b"Ym9iQGFjbWUuaW8=").1.write(text.as_bytes());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_known_by_its_first_characters() {
        for text in [
            r#"{"a": "bob@x.io"}"#,
            r#"{ "a": "bob@x.io"}"#,
            "{\n  \"a\": \"bob@x.io\"}",
            "{\r\n\t\"a\": \"bob@x.io\"}",
            r#"[{"a": "bob@x.io"}]"#,
            r#"["bob@example.com"]"#,
            r#"[["bob@example.com"]]"#,
            "\n {\"a\": \"bob@x.io\"}",
            "\t[\"bob@example.com\"]",
            "\u{feff}{\"a\": \"bob@x.io\"}",
            "{                    \"a\": \"bob@x.io\"}",
        ] {
            let raw = written(text);
            assert!(begins(raw.as_bytes()), "{text}");
            let pair = raw.as_bytes().first_chunk::<2>().unwrap();
            assert!(pairs().any(|known| known == *pair), "{text}");
        }
        for text in [
            "{bob@example.com}",
            "[1, 2, 3, 4, 5, 6]",
            "bob@example.com, too",
            "{} {} {} {} {} {}",
            "{\"\u{0}\u{ff}\u{ff}aaaaaaaaaaa",
        ] {
            let begins = begins(written(text).as_bytes());
            assert_eq!(begins, text.starts_with("{\""), "{text}");
        }
        assert!(!begins(b"eyJhIjoxfQ"));
        assert!(!begins_at(b"x.eyJhIjoiYm9iQHguaW8ifQ", 2));
    }

    /// What is read of `raw`, whole and cut in two everywhere.
    fn read(raw: &str) -> (String, String) {
        let whole = {
            let (mut reader, mut text) = (Reader::default(), Vec::new());
            let taken = reader.read(raw.as_bytes(), true, &mut text);
            assert!(taken.ends);
            (String::from_utf8_lossy(&text).into_owned(), raw[..taken.raw].to_owned())
        };
        for cut in 0..raw.len() {
            let (mut reader, mut text) = (Reader::default(), Vec::new());
            let first = reader.read(&raw.as_bytes()[..cut], false, &mut text);
            let taken = if first.ends { 0 } else { reader.read(&raw.as_bytes()[first.raw..], true, &mut text).raw };
            assert_eq!(
                (String::from_utf8_lossy(&text).into_owned(), raw[..first.raw + taken].to_owned()),
                whole,
                "at {cut}"
            );
        }
        whole
    }

    #[test]
    fn a_run_is_read_to_its_end() {
        let taken = |raw: &str| read(raw).1;
        assert_eq!(read("eyJhIjoiYm9iQHguaW8ifQ==\"}").0, r#"{"a":"bob@x.io"}"#);
        assert_eq!(taken("eyJhIjoiYm9iQHguaW8ifQ==\"}"), "eyJhIjoiYm9iQHguaW8ifQ==");
        assert_eq!(taken("eyJhIjoiYm9iQHguaW8ifQ=, b"), "eyJhIjoiYm9iQHguaW8ifQ=");
        assert_eq!(taken("eyJhIjoiYm9iQHguaW8ifQ\\\"}"), "eyJhIjoiYm9iQHguaW8ifQ");
        assert_eq!(taken("eyJhIjoiYm9iQHguaW8ifQ%3D%3D&b"), "eyJhIjoiYm9iQHguaW8ifQ%3D%3D");
        assert_eq!(taken("eyJh\\/joi\\u002b9iQ x"), "eyJh\\/joi\\u002b9iQ");
    }

    #[test]
    fn a_run_goes_on_behind_the_break_of_a_full_line() {
        let line = "eyJh".repeat(19);
        for broken in ["\\n", "\\r\\n", "\n", "\\\\n"] {
            let raw = format!("{line}{broken}{line}{broken}eyJh");
            assert_eq!(read(&format!("{raw}{broken}\"")).1, raw, "{broken}");
            let other = format!("eyJh{broken}eyJh");
            assert_eq!(read(&other).1, "eyJh", "{broken}");
        }
    }

    #[test]
    fn raw_bytes_are_counted_by_their_characters() {
        assert_eq!(length_of(b"eyJh\\/a", 5), 6);
        assert_eq!(length_of(b"eyJh\\neyJh", 4), 4);
        assert_eq!(length_of(b"eyJh\\neyJh", 5), 7);
        assert_eq!(laid_out(b"ab\\/\\n%3D=", b"xyz+="), b"xy**\\n***=");
    }
}
