//! What escaped text means, unit by unit, whatever the nesting level.
//!
//! A JSON string inside a JSON string doubles its backslashes at every level:
//! a line feed is `\n`, then `\\n`, then `\\\\n`. Rules want to see the line
//! feed. So a run of backslashes with the letter after it is one *unit* that
//! stands for one character, however long the run is; a span never cuts a
//! unit, and so a replacement leaves every level valid.
//!
//! ```text
//! raw      {\"e\":\"a\\u0040b.co\\n\"}
//! units    { " e " : " a @ b . c o LF " }
//! ```
//!
//! Quotes carry the level at which they delimit: of `n` backslashes before a
//! quote every decoding halves what is left, so the level is the number of
//! trailing one bits of `n`: 0 delimits at the top (and also ends every level
//! below), `\"` is level 1, `\\\"` level 2; `\\\\\"` is level 1 behind an
//! escaped backslash. Percent escapes are units too, but for control characters
//! other than white space, since `%40` is how URLs write an `@`. So are the
//! escapes of Python and JavaScript, which agents log within strings: `\x40`,
//! `\u{40}`, `\U00000040` and `\'`.
//!
//! Formats: RFC 8259 section 7, RFC 3986 section 2.1, ECMA-262 section 12.9.4,
//! Python's language reference section 2.4.1.1.

use super::Format;

/// The meaning of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A byte that stands for itself, or an escape that stands for ASCII.
    Byte(u8),
    /// An escape that stands for a character beyond ASCII.
    Char(char),
    /// A quote that delimits strings of this level.
    Quote(u32),
}

/// A unit at some place of the raw bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) meaning: Meaning,
    /// Raw bytes it takes, at least 1.
    pub(crate) len: usize,
    /// Whether it is written with an escape.
    pub(crate) escaped: bool,
}

impl Unit {
    const fn plain(byte: u8) -> Self {
        Self { meaning: Meaning::Byte(byte), len: 1, escaped: false }
    }

    const fn escape(byte: u8, len: usize) -> Self {
        Self { meaning: Meaning::Byte(byte), len, escaped: true }
    }

    /// The character as bytes of decoded text.
    pub(crate) fn bytes(self, buffer: &mut [u8; 4]) -> &[u8] {
        match self.meaning {
            Meaning::Byte(byte) => {
                buffer[0] = byte;
                &buffer[..1]
            }
            Meaning::Quote(_) => b"\"",
            Meaning::Char(char) => char.encode_utf8(buffer).as_bytes(),
        }
    }

    /// White space between JSON tokens, escaped or not.
    pub(crate) fn is_space(self) -> bool {
        matches!(self.meaning, Meaning::Byte(b' ' | b'\t' | b'\n' | b'\r'))
    }
}

/// The unit at `at`, which must be the first byte of one, in `raw`. Where
/// `raw` ends within an escape, its bytes stand for themselves.
#[inline]
pub(crate) fn unit(raw: &[u8], at: usize) -> Unit {
    match raw[at] {
        b'\\' => backslashes(raw, at),
        b'%' => percent(raw, at),
        b'"' => Unit { meaning: Meaning::Quote(0), len: 1, escaped: false },
        byte => Unit::plain(byte),
    }
}

/// The level at which a quote behind `run` backslashes delimits.
pub(crate) const fn quote_level(run: usize) -> u32 {
    run.trailing_ones()
}

/// The backslashes that belong to a quote of `level` itself: 0, 1, 3, 7, ...
pub(crate) const fn quote_escapes(level: u32) -> usize {
    (1 << level) - 1
}

/// The level of a quote written as `%22`: above all that are written with
/// backslashes.
const PERCENT_LEVEL: u32 = 16;

/// Longer runs of backslashes are not followed: those of a quote ten levels
/// deep are as long.
pub(crate) const LONGEST_RUN: usize = 1024;

/// How many backslashes end at `end` (exclusive) in `raw`, not looking before
/// `floor`.
pub(crate) fn run_before(raw: &[u8], floor: usize, end: usize) -> usize {
    raw[floor..end].iter().rev().take_while(|&&byte| byte == b'\\').count()
}

/// The place of the letter behind the backslashes at `at`, when they may be an
/// escape or end before it, depending on how deep the text is nested: `\\npm_...`
/// in a JSON string is text that begins with `npm_`, or a line feed.
pub(crate) fn unclear_letter(raw: &[u8], at: usize, format: Format) -> Option<usize> {
    let run = raw[at..].iter().take_while(|&&byte| byte == b'\\').count();
    let unclear = run > 0 && (run.is_multiple_of(2) || format == Format::Text);
    let letter = raw.get(at + run)?;
    (unclear && matches!(letter, b'n' | b'r' | b't' | b'b' | b'f')).then_some(at + run)
}

#[cold]
fn backslashes(raw: &[u8], at: usize) -> Unit {
    let run = raw[at..].iter().take_while(|&&byte| byte == b'\\').count();
    let after = at + run;
    let all = Unit { meaning: Meaning::Byte(b'\\'), len: run, escaped: run > 1 };
    match raw.get(after) {
        Some(b'"') => before_quote(run, all),
        Some(b'n' | b'r') => Unit::escape(b'\n', run + 1),
        Some(b't') => Unit::escape(b'\t', run + 1),
        Some(b'b' | b'f') => Unit::escape(0x0c, run + 1),
        Some(b'/') => Unit::escape(b'/', run + 1),
        Some(b'\'') => Unit::escape(b'\'', run + 1),
        Some(b'u') => code_point(raw, after, run).unwrap_or(all),
        Some(b'x' | b'U') => wide_or_byte(raw, after, run).unwrap_or(all),
        _ => all,
    }
}

/// The backslashes that are data first, then the quote with its own.
fn before_quote(run: usize, all: Unit) -> Unit {
    let level = quote_level(run);
    let own = quote_escapes(level);
    if own == run {
        Unit { meaning: Meaning::Quote(level), len: run + 1, escaped: true }
    } else {
        Unit { len: run - own, ..all }
    }
}

/// `\uXXXX`, with its second half where it is the first of a surrogate pair, or
/// `\u{X}`. `letter` is the place of the `u`.
fn code_point(raw: &[u8], letter: usize, run: usize) -> Option<Unit> {
    if raw.get(letter + 1) == Some(&b'{') {
        return braced(raw, letter + 2, run);
    }
    let first = hex4(raw, letter + 1)?;
    let len = run + 5;
    if first < 0x80 {
        return Some(written(u32::from(first), run, len));
    }
    let (char, len) = match (first, second_half(raw, letter + 5, run)) {
        (0xD800..=0xDBFF, Some(second)) => {
            let joined = 0x10000 + ((u32::from(first) - 0xD800) << 10) + (u32::from(second) - 0xDC00);
            (char::from_u32(joined), 2 * len)
        }
        _ => (char::from_u32(u32::from(first)), len),
    };
    let char = char.unwrap_or(char::REPLACEMENT_CHARACTER);
    Some(Unit { meaning: Meaning::Char(char), len, escaped: true })
}

/// `\u{1f389}`, whose first digit is at `digits`.
fn braced(raw: &[u8], digits: usize, run: usize) -> Option<Unit> {
    let length = raw.get(digits..)?.iter().take(7).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let closed = (1..=6).contains(&length) && raw.get(digits + length) == Some(&b'}');
    closed.then(|| written(number(&raw[digits..digits + length]), run, run + length + 3))
}

/// `\xXX`, a byte, or `\UXXXXXXXX`, whose letter is at `letter`.
fn wide_or_byte(raw: &[u8], letter: usize, run: usize) -> Option<Unit> {
    if raw[letter] == b'U' {
        let digits = raw.get(letter + 1..letter + 9).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        return Some(written(number(digits), run, run + 9));
    }
    let byte = hex2(raw, letter + 1)?;
    match byte {
        0..0x80 => Some(written(u32::from(byte), run, run + 3)),
        // One of several of a character, in `repr(b"...")`.
        _ => Some(Unit::escape(byte, run + 3)),
    }
}

/// The value of hex digits.
fn number(digits: &[u8]) -> u32 {
    digits.iter().filter_map(|&digit| hex(digit)).fold(0, |number, digit| number << 4 | u32::from(digit))
}

/// The character of this number, written with `len` bytes behind `run`
/// backslashes among them.
fn written(number: u32, run: usize, len: usize) -> Unit {
    let meaning = match u8::try_from(number) {
        Ok(b'"') => Meaning::Quote(code_point_level(run)),
        Ok(ascii) if ascii.is_ascii() => Meaning::Byte(ascii),
        _ => Meaning::Char(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)),
    };
    Unit { meaning, len, escaped: true }
}

/// The second of a surrogate pair, written behind as many backslashes.
fn second_half(raw: &[u8], at: usize, run: usize) -> Option<u16> {
    let escapes = raw.get(at..at + run)?;
    if escapes.iter().any(|&byte| byte != b'\\') || raw.get(at + run) != Some(&b'u') {
        return None;
    }
    hex4(raw, at + run + 1).filter(|half| (0xDC00..=0xDFFF).contains(half))
}

/// The level of a quote written as `\u0022`, as some encoders do: decoding
/// once turns an odd run into an escaped quote, an even one into half the run.
const fn code_point_level(run: usize) -> u32 {
    let mut run = run;
    let mut level = 1;
    while run > 0 && run.is_multiple_of(2) {
        run /= 2;
        level += 1;
    }
    level + quote_level(run / 2)
}

#[cold]
fn percent(raw: &[u8], at: usize) -> Unit {
    // `%2540` is `%40` escaped once more; four levels are more than URLs nest.
    let mut digits = at + 1;
    let mut level = PERCENT_LEVEL;
    for _ in 0..4 {
        let nested = raw.get(digits..digits + 2) == Some(b"25") && hex2(raw, digits + 2).is_some();
        if !nested {
            break;
        }
        digits += 2;
        level += 1;
    }
    match hex2(raw, digits) {
        // Of text that is escaped as a whole, and so within all that is around.
        Some(b'"') => Unit { meaning: Meaning::Quote(level), len: digits + 2 - at, escaped: true },
        Some(byte @ (b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..)) => Unit::escape(byte, digits + 2 - at),
        _ => Unit::plain(b'%'),
    }
}

fn hex2(raw: &[u8], at: usize) -> Option<u8> {
    let digits = raw.get(at..at + 2)?;
    Some(hex(digits[0])? << 4 | hex(digits[1])?)
}

fn hex4(raw: &[u8], at: usize) -> Option<u16> {
    Some(u16::from(hex2(raw, at)?) << 8 | u16::from(hex2(raw, at + 2)?))
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(raw: &[u8]) -> String {
        let mut at = 0;
        let mut text = Vec::new();
        while at < raw.len() {
            let unit = unit(raw, at);
            text.extend_from_slice(unit.bytes(&mut [0; 4]));
            at += unit.len;
        }
        String::from_utf8(text).unwrap()
    }

    fn levels(raw: &[u8]) -> Vec<u32> {
        let mut at = 0;
        let mut levels = Vec::new();
        while at < raw.len() {
            let unit = unit(raw, at);
            if let Meaning::Quote(level) = unit.meaning {
                levels.push(level);
            }
            at += unit.len;
        }
        levels
    }

    #[test]
    fn escapes_of_every_level_mean_the_same() {
        for raw in [r"a\u0040b\n", r"a\\u0040b\\n", r"a\\\\u0040b\\\\n"] {
            assert_eq!(decode(raw.as_bytes()), "a@b\n");
        }
        for raw in [r"a\x40b\n", r"a\\x40b\\n", r"a\u{40}b\n", r"a\u{000040}b\n", r"a\U00000040b\n"] {
            assert_eq!(decode(raw.as_bytes()), "a@b\n");
        }
        assert_eq!(decode(br"\u{1f389}\U0001F389\xc3\xa9 it\'s \\'"), "\u{1f389}\u{1f389}\u{e9} it's '");
        assert_eq!(decode(br"\U0040 \u{} \u{1234567} \x4 \xg0"), r"\U0040 \u{} \u{1234567} \x4 \xg0");
        assert_eq!(decode(br"\/\/ \\\/"), "// /");
        assert_eq!(decode(br"\ud83c\udf89"), "\u{1f389}");
        assert_eq!(decode(br"\\ud83c\\udf89"), "\u{1f389}");
        assert_eq!(decode(br"\ud83cx"), "\u{fffd}x");
        assert_eq!(decode(br"\u00e9"), "\u{e9}");
    }

    #[test]
    fn percent_escapes_of_text_are_units() {
        assert_eq!(decode(b"a%40b"), "a@b");
        assert_eq!(decode(b"a%2540b%252540c"), "a@b@c");
        assert_eq!(decode(b"jos%C3%A9 100% %0a%00"), "jos\u{e9} 100% \n%00");
        assert_eq!(decode(b"%2"), "%2");
    }

    #[test]
    fn quotes_carry_the_level_at_which_they_delimit() {
        assert_eq!(levels(br#""a\"b\\\"c\\\\\\\"d"#), [0, 1, 2, 3]);
        // An escaped backslash before a delimiter.
        assert_eq!(levels(br#"C:\\""#), [0]);
        assert_eq!(levels(br#"{\"path\": \"C:\\\\\"}"#), [1, 1, 1, 1]);
        assert_eq!(levels(br"\u0022 \\u0022 \\\u0022 \\\\u0022"), [1, 2, 2, 3]);
        assert_eq!(levels(b"%22 %2522"), [16, 17]);
        assert_eq!(levels(br"\x22 \u{22} \\U00000022"), [1, 1, 2]);
    }

    #[test]
    fn truncated_escapes_stand_for_themselves() {
        for raw in [&br"\"[..], br"\u", br"\u00", br"\u004", br"\\\u004", br"\x4", br"\u{40", br"\U0000004"] {
            let mut at = 0;
            while at < raw.len() {
                at += unit(raw, at).len;
            }
            assert_eq!(at, raw.len());
        }
    }
}
