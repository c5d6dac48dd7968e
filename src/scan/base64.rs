//! Text that stands in base64: where a run of it begins, what it means, and how
//! another text is written in its place.
//!
//! ```text
//! "data": {"app.env": "QVBJX0tFWT1xOGYxbzJtM240"}      API_KEY=q8f1o2m3n4
//! ```
//!
//! A *run* is a stretch of units (so `\/` and `%2B` are seen through) of one of
//! the two alphabets, as long as it can be, with its padding. A run that is not
//! text as [`is_text`] has it is left alone: ids, hashes, pictures. So is what a
//! data URL says is a picture, a sound or a font.
//!
//! Format: RFC 4648, sections 4 and 5.

use super::Format;
use super::unit::{Meaning, Unit, unit};
use serde::de::IgnoredAny;

/// Fewest characters of a run.
pub(super) const SHORTEST: usize = 12;
/// Most raw bytes of a run, without its padding. So it is seen whole, with the
/// padding, within the look-ahead.
pub(super) const LONGEST: usize = 8000;
/// No character of a run takes more raw bytes.
pub(super) const LONGEST_CHARACTER: usize = 64;
/// Raw bytes before a run in which a data URL says what it is.
pub(super) const MEDIA_REACH: usize = 96;
/// Bytes of text of which one may be a control character.
const TEXT_PER_CONTROL: usize = 32;

/// The characters for the last two values of six bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alphabet {
    /// `+` and `/`
    Standard,
    /// `-` and `_`
    UrlSafe,
}

impl Alphabet {
    pub(super) const BOTH: [Self; 2] = [Self::Standard, Self::UrlSafe];

    /// The value of a character, below 64; [`NONE`] for others.
    pub(super) fn value(self, byte: u8) -> u8 {
        let values = match self {
            Self::Standard => &VALUES[0],
            Self::UrlSafe => &VALUES[1],
        };
        values[usize::from(byte)]
    }
}

pub(super) const NONE: u8 = 0xff;
static VALUES: [[u8; 256]; 2] = [values(b"+/"), values(b"-_")];
const CHARACTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const fn values(last: &[u8; 2]) -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 64 {
        let byte = if value < 62 { CHARACTERS[value as usize] } else { last[value as usize - 62] };
        values[byte as usize] = value;
        value += 1;
    }
    values
}

/// The character for six bits, in what both alphabets have.
pub(super) fn character_of(value: u8) -> u8 {
    CHARACTERS.get(usize::from(value)).copied().unwrap_or(b'/')
}

/// Bytes that units are made of which may be part of a run: the characters of
/// both alphabets, and what escapes are written with.
static RAW: [bool; 256] = raw_bytes();

const fn raw_bytes() -> [bool; 256] {
    let mut bytes = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = VALUES_OF_EITHER[byte] || matches!(byte, 0x25 | 0x5c | 0x7b | 0x7d);
        byte += 1;
    }
    bytes
}

const VALUES_OF_EITHER: [bool; 256] = {
    let (standard, url_safe) = (values(b"+/"), values(b"-_"));
    let mut either = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        either[byte] = standard[byte] != NONE || url_safe[byte] != NONE;
        byte += 1;
    }
    either
};

/// The unit at `at` of `raw`; one of a long run of backslashes stands for itself.
fn character(raw: &[u8], at: usize) -> Unit {
    let plain = Unit { meaning: Meaning::Byte(raw[at]), len: 1, escaped: false };
    match raw[at] {
        b'%' => unit(raw, at),
        b'\\' => {
            let run = raw[at..].iter().take(LONGEST_CHARACTER + 1).take_while(|&&byte| byte == b'\\').count();
            if run > LONGEST_CHARACTER { Unit { len: run, ..plain } } else { unit(raw, at) }
        }
        _ => plain,
    }
}

/// Tells `found` where runs begin in `raw` that are long enough and may be text, in
/// the order in which that is seen. Where `raw` begins in the middle of a run, so does one.
pub(super) fn runs(raw: &[u8], mut found: impl FnMut(Alphabet, usize)) {
    let mut found = |alphabet, start| {
        if begins_as_text(raw, alphabet, start) {
            found(alphabet, start);
        }
    };
    let mut from = 0;
    while let Some(stretch) = next_stretch(raw, from) {
        from = runs_of_stretch(raw, stretch, &mut found);
    }
}

/// Where the next stretch of [`RAW`] bytes begins that is long enough for a run,
/// looking from `from` on, where one may begin.
fn next_stretch(raw: &[u8], from: usize) -> Option<usize> {
    let mut start = from;
    loop {
        // No stretch that is long enough ends before the last of these.
        let near = raw.get(start..start + SHORTEST)?;
        match near.iter().rposition(|&byte| !RAW[usize::from(byte)]) {
            Some(last) => start += last + 1,
            None => return Some(start),
        }
    }
}

/// The runs of the stretch at `start`; where it ends.
fn runs_of_stretch(raw: &[u8], start: usize, found: &mut impl FnMut(Alphabet, usize)) -> usize {
    // Where the run of each alphabet begins, and its characters so far.
    let mut open = [(start, 0_usize); 2];
    let mut at = start;
    while at < raw.len() && RAW[usize::from(raw[at])] {
        // Most are of both alphabets.
        let plain = raw[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if plain > 0 {
            for (alphabet, (begin, characters)) in Alphabet::BOTH.into_iter().zip(&mut open) {
                if *characters < SHORTEST && *characters + plain >= SHORTEST {
                    found(alphabet, *begin);
                }
                *characters += plain;
            }
            at += plain;
            continue;
        }
        let unit = character(raw, at);
        let byte = match unit.meaning {
            Meaning::Byte(byte) if unit.len <= LONGEST_CHARACTER => Some(byte),
            _ => None,
        };
        for (alphabet, (begin, characters)) in Alphabet::BOTH.into_iter().zip(&mut open) {
            match byte {
                Some(byte) if alphabet.value(byte) != NONE => {
                    *characters += 1;
                    if *characters == SHORTEST {
                        found(alphabet, *begin);
                    }
                }
                _ => (*begin, *characters) = (at + unit.len, 0),
            }
        }
        at += unit.len;
    }
    at
}

/// Six bits after six bits, made bytes.
#[derive(Debug, Default)]
pub(super) struct Bits {
    held: u32,
    count: u32,
}

impl Bits {
    pub(super) fn push(&mut self, value: u8, text: &mut Vec<u8>) {
        self.held = self.held << 6 | u32::from(value);
        self.count += 6;
        if self.count >= 8 {
            self.count -= 8;
            text.extend((self.held >> self.count).to_be_bytes().last());
            self.held &= (1 << self.count) - 1;
        }
    }
}

/// The bytes of four characters.
fn group(alphabet: Alphabet, characters: [u8; 4]) -> Option<[u8; 3]> {
    let values = characters.map(|byte| alphabet.value(byte));
    if values.contains(&NONE) {
        return None;
    }
    let bits = values.into_iter().fold(0, |bits, value| bits << 6 | u32::from(value));
    let [_, first, second, third] = bits.to_be_bytes();
    Some([first, second, third])
}

/// Whether the run at `at`, which is long enough, may be text: most tell by their
/// first characters that they are none.
fn begins_as_text(raw: &[u8], alphabet: Alphabet, at: usize) -> bool {
    let mut text = [0; SHORTEST / 4 * 3];
    let (characters, _) = raw[at..].as_chunks::<4>();
    for (characters, bytes) in characters.iter().zip(text.chunks_exact_mut(3)) {
        match group(alphabet, *characters) {
            Some(group) => bytes.copy_from_slice(&group),
            // There are escapes among them.
            None => return true,
        }
    }
    valid(&text).is_some()
}

/// A run that was decoded.
pub(super) struct Run {
    /// Where it ends; `None` where it is no text.
    pub(super) end: Option<usize>,
    /// The run that begins there in the other alphabet is the same.
    pub(super) is_of_both: bool,
}

/// Decodes the run of `alphabet` that begins at `start` of `raw` into `text`, if
/// it is text. `is_cut` tells that it may go on behind `raw`.
pub(super) fn decode(raw: &[u8], start: usize, is_cut: bool, alphabet: Alphabet, text: &mut Vec<u8>) -> Run {
    text.clear();
    let (mut at, mut characters) = (start, 0_usize);
    let (mut bits, mut is_number, mut has_signs) = (Bits::default(), true, false);
    let mut take = |byte: u8| {
        is_number &= byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'e' | b'E');
        has_signs |= !byte.is_ascii_alphanumeric();
    };
    let mut ended_by = None;
    while let Some(&first) = raw.get(at) {
        let whole = raw[at..].first_chunk::<4>().filter(|_| characters.is_multiple_of(4));
        if let Some((four, bytes)) = whole.and_then(|four| Some((four, group(alphabet, *four)?))) {
            text.extend_from_slice(&bytes);
            four.iter().for_each(|&byte| take(byte));
            (at, characters) = (at + 4, characters + 4);
        } else {
            let unit = character(raw, at);
            let byte = match unit.meaning {
                Meaning::Byte(_) if unit.len == 1 => first,
                Meaning::Byte(byte) if unit.len <= LONGEST_CHARACTER => byte,
                _ => break,
            };
            let value = alphabet.value(byte);
            if value == NONE {
                ended_by = Some(byte);
                break;
            }
            bits.push(value, text);
            take(byte);
            (at, characters) = (at + unit.len, characters + 1);
        }
        // Many that are none tell so at once.
        let asked = characters.is_multiple_of(SHORTEST) && characters <= 4 * SHORTEST;
        if at - start > LONGEST || asked && valid(text).is_none() {
            return Run { end: None, is_of_both: !has_signs };
        }
    }
    let is_of_both = !has_signs && !ended_by.is_some_and(|byte| b"+/-_".contains(&byte));
    let ends = at < raw.len() || !is_cut;
    // A number of a document would not be one any more.
    let is_read = ends && characters >= SHORTEST && !is_number && is_text(text);
    Run { end: is_read.then(|| padding_end(raw, at, characters)), is_of_both }
}

/// Where the padding ends of a run of so many characters that ends at `at`: as
/// much as belongs there.
fn padding_end(raw: &[u8], mut at: usize, characters: usize) -> usize {
    let most = match characters % 4 {
        2 => 2,
        3 => 1,
        _ => 0,
    };
    for _ in 0..most {
        match raw.get(at).map(|_| character(raw, at)) {
            Some(Unit { meaning: Meaning::Byte(b'='), len, .. }) if len <= LONGEST_CHARACTER => at += len,
            _ => break,
        }
    }
    at
}

/// `text` as UTF-8, but for a last character that is cut off.
pub(super) fn valid(text: &[u8]) -> Option<&str> {
    match std::str::from_utf8(text) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&text[..error.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

/// Whether this is text: UTF-8, a last character that is cut off aside, with
/// hardly any control characters.
fn is_text(text: &[u8]) -> bool {
    let is_control = |char: &char| char.is_control() && !matches!(char, '\t' | '\n' | '\r');
    valid(text).is_some_and(|valid| valid.chars().filter(is_control).count() * TEXT_PER_CONTROL <= text.len())
}

/// Whether a data URL says of what stands behind `before` that it is a picture, a
/// sound, a film or a font.
pub(super) fn is_media(before: &[u8]) -> bool {
    const KINDS: [&[u8]; 4] = [b"image/", b"audio/", b"video/", b"font/"];
    let before: Vec<u8> = before[before.len().saturating_sub(MEDIA_REACH)..]
        .iter()
        .filter(|&&byte| byte != b'\\')
        .map(u8::to_ascii_lowercase)
        .collect();
    let Some(before) = before.strip_suffix(b";base64,") else { return false };
    let begins = memchr::memmem::rfind(before, b"data:").map(|at| &before[at + 5..]);
    begins.is_some_and(|kind| KINDS.iter().any(|known| kind.starts_with(known)))
}

/// How a decoded text is framed: as JSON, if it is one document or several.
pub(super) fn format_of(text: &[u8]) -> Format {
    let is_json = matches!(text.first(), Some(b'{' | b'[' | b'"')) && {
        let mut documents = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
        documents.all(|document| document.is_ok())
    };
    if is_json { Format::Json } else { Format::Text }
}

/// How a run is written.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    url_safe: bool,
    padded: bool,
    /// What stands before the two hex digits of its percent escapes, if it has any.
    escape: Option<Vec<u8>>,
}

impl Encoding {
    /// What the run that is all of `raw` means, and how to write another text in
    /// its place.
    pub fn read(raw: &[u8]) -> (Vec<u8>, Self) {
        let mut encoding = Self::default();
        let (mut text, mut bits) = (Vec::with_capacity(raw.len()), Bits::default());
        let (mut at, mut characters, mut standard) = (0_usize, 0_usize, false);
        while at < raw.len() {
            let unit = character(raw, at);
            encoding.note_escape(&raw[at..at + unit.len]);
            match unit.meaning {
                Meaning::Byte(b'=') => encoding.note_padding(),
                Meaning::Byte(byte) => {
                    encoding.note_character(byte);
                    standard |= matches!(byte, b'+' | b'/');
                    let value = Alphabet::BOTH.into_iter().map(|alphabet| alphabet.value(byte)).min().unwrap_or(NONE);
                    if value != NONE {
                        bits.push(value, &mut text);
                        characters += 1;
                    }
                }
                Meaning::Char(_) | Meaning::Quote(_) => {}
            }
            at += unit.len;
        }
        (text, encoding.completed(characters as u64, standard))
    }

    /// A character of the run.
    pub(super) fn note_character(&mut self, byte: u8) {
        self.url_safe |= matches!(byte, b'-' | b'_');
    }

    /// A sign of padding.
    pub(super) fn note_padding(&mut self) {
        self.padded = true;
    }

    /// How a character of the run is spelled.
    pub(super) fn note_escape(&mut self, raw: &[u8]) {
        if raw.first() == Some(&b'%') && self.escape.is_none() {
            self.escape = Some(raw[..raw.len().saturating_sub(2)].to_vec());
        }
    }

    /// The same of a run of so many characters, and whether one of them is of the standard
    /// alphabet only.
    pub(super) fn completed(mut self, characters: u64, has_standard: bool) -> Self {
        // Without padding where there would be some, it is the way of URLs.
        self.url_safe |= !self.padded && !characters.is_multiple_of(4) && !has_standard;
        self.padded |= !self.url_safe && characters.is_multiple_of(4);
        self
    }

    /// `text` written so.
    pub fn write(&self, text: &[u8]) -> Vec<u8> {
        let last: &[u8; 2] = if self.url_safe { b"-_" } else { b"+/" };
        let mut out = Vec::with_capacity(text.len().div_ceil(3) * 4);
        for group in text.chunks(3) {
            let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for index in 0..4 {
                let value = (bits >> (18 - 6 * index) & 63) as usize;
                match value {
                    _ if index > group.len() && self.padded => self.push_sign(b'=', &mut out),
                    _ if index > group.len() => {}
                    62.. => self.push_sign(last[value - 62], &mut out),
                    _ => out.push(CHARACTERS[value]),
                }
            }
        }
        out
    }

    /// Signs are written as the others were: a `+` in a URL's query is a space.
    fn push_sign(&self, sign: u8, out: &mut Vec<u8>) {
        match &self.escape {
            Some(escape) => {
                out.extend_from_slice(escape);
                out.extend_from_slice(format!("{sign:02X}").as_bytes());
            }
            None => out.push(sign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(raw: &str) -> Vec<(Alphabet, usize)> {
        let mut begins = Vec::new();
        runs(raw.as_bytes(), |alphabet, at| begins.push((alphabet, at)));
        begins
    }

    fn decoded(raw: &str, alphabet: Alphabet) -> Option<(String, &str)> {
        let mut text = Vec::new();
        let end = decode(raw.as_bytes(), 0, false, alphabet, &mut text).end?;
        Some((String::from_utf8_lossy(&text).into_owned(), &raw[..end]))
    }

    #[test]
    fn runs_begin_behind_what_is_of_no_alphabet() {
        use Alphabet::{Standard, UrlSafe};
        assert_eq!(begins("a: Ym9iQGFjbWUuaW8= b"), [(Standard, 3), (UrlSafe, 3)]);
        assert_eq!(begins(r"\nYm9iQGFjbWUuaW8"), [(Standard, 2), (UrlSafe, 2)]);
        assert_eq!(begins(r"x\u000aYm9iQGFjbWUuaW8"), [(Standard, 7), (UrlSafe, 7)]);
        assert_eq!(begins("abc-Ym9iQGFjbWUuaW8"), [(Standard, 4)]);
        assert_eq!(begins("YT8-YWFhYWFh"), [(UrlSafe, 0)]);
        assert_eq!(begins("YT8-YWFhYWFhYWFh"), [(Standard, 4), (UrlSafe, 0)]);
        assert_eq!(begins("/v1/Ym9iQGFjbWUuaW8"), [(UrlSafe, 4)]);
        for none in ["YWFhYWFhYWF", "éYWFhYWFhYWFé", "internationalization", "0192ead066b477b2af4a"] {
            assert_eq!(begins(none), [], "{none}");
        }
    }

    #[test]
    fn what_is_text_is_decoded_with_its_padding() {
        let text = |text: &str, raw| Some((text.to_owned(), raw));
        for alphabet in Alphabet::BOTH {
            assert_eq!(decoded("Ym9iQGFjbWUuaW8=", alphabet), text("bob@acme.io", "Ym9iQGFjbWUuaW8="));
            assert_eq!(decoded("Ym9iQGFjbWUuaW8 x", alphabet), text("bob@acme.io", "Ym9iQGFjbWUuaW8"));
            assert_eq!(decoded("Ym9iQGFjbWUuaW8==", alphabet), text("bob@acme.io", "Ym9iQGFjbWUuaW8="));
            assert_eq!(decoded("Ym9iQGFjbWUuaW8%3D", alphabet), text("bob@acme.io", "Ym9iQGFjbWUuaW8%3D"));
            assert_eq!(
                decoded(r"Ym9iQGFj\u0062WUuaW8\u003d", alphabet),
                text("bob@acme.io", r"Ym9iQGFj\u0062WUuaW8\u003d")
            );
            assert_eq!(decoded("Ym9iQGFjbWUuaW", alphabet), text("bob@acme.i", "Ym9iQGFjbWUuaW"));
            for raw in
                ["internationalization", "0192ead066b477b2af4a", "AAECAwQFBgcICQoL", "Ym9iQGFjbWU", "4343434343434343"]
            {
                assert_eq!(decoded(raw, alphabet), None, "{raw}");
            }
        }
        assert_eq!(decoded(r"8J+YgA8J\/fn5+fm4", Alphabet::Standard), None);
        assert_eq!(
            decoded(r"YT8\/Pz8\/Pz8\/Pz8=", Alphabet::Standard),
            text("a???????????".get(..11).unwrap(), r"YT8\/Pz8\/Pz8\/Pz8=")
        );
    }

    #[test]
    fn a_run_of_unknown_end_or_beyond_the_bound_is_none() {
        let long = "YWJj".repeat(LONGEST / 4);
        assert!(decoded(&long, Alphabet::Standard).is_some());
        assert_eq!(decoded(&format!("{long}YWJj"), Alphabet::Standard), None);
        let mut text = Vec::new();
        assert_eq!(decode(b"Ym9iQGFjbWUuaW8", 0, true, Alphabet::Standard, &mut text).end, None);
    }

    #[test]
    fn another_text_is_written_as_the_run_was() {
        let written =
            |raw: &str, text: &str| String::from_utf8(Encoding::read(raw.as_bytes()).1.write(text.as_bytes())).unwrap();
        assert_eq!(written("Ym9iQGFjbWUuaW8=", "a"), "YQ==");
        assert_eq!(written("Ym9iQGFjbWUuaW8", "a"), "YQ");
        assert_eq!(written("Ym9iQGFjbWUuaW8x", "a?>~"), "YT8+fg==");
        assert_eq!(written("YT8-fm9iQGFjbWUu", "a?>~"), "YT8-fg");
        assert_eq!(written("Ym9iQGFjbWUuaW8%3D", "a?>~"), "YT8%2Bfg%3D%3D");
        assert_eq!(written("YT8%252Bfm9iQGFjbWU%253D", "a?>"), "YT8%252B");
        assert_eq!(written(r"YT8\u002bfm9iQGFjbWU\u003d", "a?>~"), "YT8+fg==");
    }

    #[test]
    fn every_text_is_read_as_it_was_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..bytes.len() {
            for raw in ["Ym9iQGFjbWUuaW8=", "Ym9iQGFjbWUuaW8", "Ym9iQGFjbWUuaW8%3D"] {
                let encoding = Encoding::read(raw.as_bytes()).1;
                assert_eq!(Encoding::read(&encoding.write(&bytes[..length])).0, &bytes[..length]);
            }
        }
    }

    #[test]
    fn a_data_url_says_what_is_a_picture() {
        for before in
            ["data:image/svg+xml;base64,", r"url(data:IMAGE\/png;charset=x;base64,", "data: data:font/woff;base64,"]
        {
            assert!(is_media(before.as_bytes()), "{before}");
        }
        for before in
            ["data:text/plain;base64,", "data:image/png,", "image/png;base64,", "", "data:application/json;base64,"]
        {
            assert!(!is_media(before.as_bytes()), "{before}");
        }
    }

    #[test]
    fn json_is_known_by_its_first_byte_and_its_end() {
        for text in [r#"{"a": 1}"#, "[1]\n[2]\n", "\"a\"", "{} "] {
            assert_eq!(format_of(text.as_bytes()), Format::Json, "{text}");
        }
        for text in ["", " {}", r#"{"a": 1"#, "[info] x", "12"] {
            assert_eq!(format_of(text.as_bytes()), Format::Text, "{text}");
        }
    }
}
