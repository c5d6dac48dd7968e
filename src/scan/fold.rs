//! Characters that hide a value from who compares bytes: those that have no
//! width, and digits and signs of other forms.
//!
//! ```text
//! bob<U+200B>@example.com    ４１１１ 1111 1111 1111    bob＠example.com
//! ```
//!
//! A text with such characters is read once more, without the former and with
//! ASCII for the latter: see [`again`](super::again).
//!
//! Which characters: Unicode's `Default_Ignorable_Code_Point`, but for those of
//! musical notation and shorthand; its decimal digits (`Nd`) of the scripts in
//! use; full-width forms; and within numbers and beside colons the dashes and
//! spaces that typesetters and language models put there (`4111<U+00A0>1111`,
//! `mot de passe<U+202F>: ...`).

use super::key::whole_unit;
use crate::simd::FOLD_LEADS;

/// A character that is ignored, or read as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Folded {
    /// Bytes of UTF-8.
    length: usize,
    /// What it is read as, if anything.
    byte: Option<u8>,
    within: Within,
}

/// What must stand around such a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Any,
    /// ASCII before it: a variation selector belongs behind other characters.
    Ascii,
    /// Digits or parentheses to either side.
    Number,
    /// The same, or a capital letter on one side (`GB82 WEST`), or a colon or `=`.
    Space,
}

impl Within {
    /// Whether a character that counts within numbers stands between `before` and `next`.
    fn in_number(self, before: u8, next: u8) -> bool {
        let digits = |before: u8, next: u8| {
            (before.is_ascii_digit() || before == b')') && (next.is_ascii_digit() || next == b'(')
        };
        let assigns = |byte| matches!(byte, b':' | b'=');
        let group = |byte: u8| if byte.is_ascii_uppercase() { b'0' } else { byte };
        match self {
            Self::Number => digits(before, next),
            Self::Space => {
                digits(before, next)
                    || digits(group(before), next)
                    || digits(before, group(next))
                    || assigns(before)
                    || assigns(next)
            }
            Self::Any | Self::Ascii => false,
        }
    }
}

/// The character that `text` begins with, if it is one of them.
fn folded(text: &[u8]) -> Option<Folded> {
    let (length, byte, within) = match *text {
        // Soft hyphen, grapheme joiner, Arabic letter mark.
        [0xc2, 0xad, ..] | [0xcd, 0x8f, ..] | [0xd8, 0x9c, ..] => (2, None, Within::Any),
        // Hangul fillers, Khmer inherent vowels, Mongolian selectors.
        [0xe1, 0x85, 0x9f | 0xa0, ..] | [0xe1, 0x9e, 0xb4 | 0xb5, ..] | [0xe1, 0xa0, 0x8b..=0x8f, ..] => {
            (3, None, Within::Any)
        }
        [0xef, 0xbe, 0xa0, ..] => (3, None, Within::Any),
        // Zero-width space, joiners, directional marks; word joiner, isolates.
        [0xe2, 0x80, 0x8b..=0x8f | 0xaa..=0xae, ..] | [0xe2, 0x81, 0xa0..=0xaf, ..] => (3, None, Within::Any),
        // Byte order mark, or zero-width no-break space.
        [0xef, 0xbb, 0xbf, ..] => (3, None, Within::Any),
        // Tags and more variation selectors.
        [0xf3, 0xa0, 0x80..=0xbf, 0x80..=0xbf, ..] => (4, None, Within::Any),
        [0xef, 0xb8, 0x80..=0x8f, ..] => (3, None, Within::Ascii),
        // Hyphens, figure dash, en dash, the sign of minus.
        [0xe2, 0x80, 0x90..=0x93, ..] | [0xe2, 0x88, 0x92, ..] => (3, Some(b'-'), Within::Number),
        // No-break space; figure space, thin space, narrow no-break space.
        [0xc2, 0xa0, ..] => (2, Some(b' '), Within::Space),
        [0xe2, 0x80, 0x87 | 0x89 | 0xaf, ..] => (3, Some(b' '), Within::Space),
        // Full-width plus, hyphen, full stop and at sign.
        [0xef, 0xbc, sign @ (0x8b | 0x8d | 0x8e | 0xa0), ..] => (3, Some(sign - 0x60), Within::Any),
        // Arabic-Indic digits, Eastern and Western.
        [0xd9, digit @ 0xa0..=0xa9, ..] => (2, Some(digit - 0xa0 + b'0'), Within::Any),
        [0xdb, digit @ 0xb0..=0xb9, ..] => (2, Some(digit - 0xb0 + b'0'), Within::Any),
        [first, second, third, ..] => {
            let zero = ZEROS.iter().find(|zero| zero[..2] == [first, second])?[2];
            let digit = third.checked_sub(zero).filter(|&digit| digit < 10)?;
            (3, Some(digit + b'0'), Within::Any)
        }
        _ => return None,
    };
    Some(Folded { length, byte, within })
}

/// Bytes of an escape that stands for ASCII: `\U0000003a`.
const LONGEST_ESCAPE: usize = 10;
/// The longest of them, in bytes.
const LONGEST: usize = 4;

/// The digit zero of scripts whose digits take three bytes: full-width,
/// Devanagari, Bengali, Gurmukhi, Gujarati, Oriya, Tamil, Telugu, Kannada,
/// Malayalam, Thai, Lao, Myanmar and Khmer.
const ZEROS: [[u8; 3]; 14] = [
    [0xef, 0xbc, 0x90],
    [0xe0, 0xa5, 0xa6],
    [0xe0, 0xa7, 0xa6],
    [0xe0, 0xa9, 0xa6],
    [0xe0, 0xab, 0xa6],
    [0xe0, 0xad, 0xa6],
    [0xe0, 0xaf, 0xa6],
    [0xe0, 0xb1, 0xa6],
    [0xe0, 0xb3, 0xa6],
    [0xe0, 0xb5, 0xa6],
    [0xe0, 0xb9, 0x90],
    [0xe0, 0xbb, 0x90],
    [0xe1, 0x81, 0x80],
    [0xe1, 0x9f, 0xa0],
];

/// The ignored or folded character that `text` begins with, behind `before` of
/// what was read so far: its length, and the byte that it is read as, if any.
pub(super) fn at(text: &[u8], before: Option<u8>) -> Option<(usize, Option<u8>)> {
    if text.first().is_none_or(u8::is_ascii) {
        return None;
    }
    let found = folded(text)?;
    let fits = match found.within {
        Within::Any => true,
        Within::Ascii => before.is_some_and(|before| before.is_ascii()),
        Within::Number | Within::Space => {
            let next = text.get(found.length);
            before.zip(next).is_some_and(|(before, &next)| found.within.in_number(before, next))
        }
    };
    fits.then_some((found.length, found.byte))
}

/// Whether such a character, escaped or not, begins with the unit at `start`:
/// what is written with escapes around it is taken to fit.
pub(super) fn begins(raw: &[u8], start: usize) -> bool {
    let Written::Here { end, within, .. } = written(raw, start, true) else { return false };
    let before = start.checked_sub(1).map(|at| raw[at]);
    match within {
        Within::Any => true,
        Within::Ascii => {
            let behind_another = |length| {
                let text = start.checked_sub(length).map(|from| &raw[from..start]);
                text.and_then(folded).is_some_and(|found| found.length == length)
            };
            before.is_some_and(|before| before.is_ascii()) || (2..=LONGEST).any(behind_another)
        }
        Within::Number | Within::Space => {
            let is_sign = |byte: &u8| matches!(byte, b'\\' | b'%');
            let escapes = raw[start.saturating_sub(LONGEST_ESCAPE)..start].iter().chain(raw.get(end)).any(is_sign);
            // Digits end the escapes of digits.
            let before = before.map(|byte| if matches!(byte, b'}' | 0x80..) { b')' } else { byte });
            let next = raw.get(end).map(|byte| if is_sign(byte) { b'(' } else { *byte });
            (within == Within::Space && escapes)
                || before.zip(next).is_some_and(|(before, next)| within.in_number(before, next))
        }
    }
}

/// Such a character in raw bytes.
enum Written {
    /// Where it ends, and what it is read as.
    Here { end: usize, byte: Option<u8>, within: Within },
    /// There is none.
    Other,
    /// More data tells.
    Cut,
}

/// What begins with the unit at `start`, escaped or not.
fn written(raw: &[u8], start: usize, last: bool) -> Written {
    // Most are written as they are.
    let plain = &raw[start..raw.len().min(start + LONGEST)];
    if plain.iter().all(|&byte| byte >= 0x80) && plain.len() == LONGEST {
        let here = |found: Folded| (start + found.length, found.byte, found.within);
        let found = folded(plain).map(here);
        return found.map_or(Written::Other, |(end, byte, within)| Written::Here { end, byte, within });
    }
    let mut text = [0; 2 * LONGEST];
    let (mut length, mut end) = (0, start);
    while length < LONGEST {
        let unit = match raw.get(end) {
            None if last => break,
            None => return Written::Cut,
            Some(_) => match whole_unit(raw, end, last) {
                Some(unit) => unit,
                None => return Written::Cut,
            },
        };
        let mut buffer = [0; 4];
        let bytes = unit.bytes(&mut buffer);
        if bytes[0].is_ascii() {
            break;
        }
        text[length..length + bytes.len()].copy_from_slice(bytes);
        (length, end) = (length + bytes.len(), end + unit.len);
        if let Some(found) = folded(&text[..length]) {
            return Written::Here { end, byte: found.byte, within: found.within };
        }
        if !FOLD_LEADS.contains(&text[0]) {
            break;
        }
    }
    Written::Other
}

/// What is read in place of the character that begins with the unit at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It ends here, and is ignored or read as this byte.
    Over(usize, Option<u8>),
    /// It is read as it is.
    None,
    /// More data tells.
    Cut,
}

/// A step over what is read otherwise wherever it stands, for who goes through
/// the raw bytes unit by unit.
pub(super) fn step(raw: &[u8], at: usize, last: bool) -> Step {
    if raw.get(at).is_none_or(|&byte| byte.is_ascii() && !matches!(byte, b'\\' | b'%')) {
        return Step::None;
    }
    match written(raw, at, last) {
        Written::Here { end, byte, within } if !matches!(within, Within::Number | Within::Space) => {
            Step::Over(end, byte)
        }
        Written::Here { .. } | Written::Other => Step::None,
        Written::Cut => Step::Cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_other_scripts_are_read_as_ascii() {
        for (text, digit) in
            [("０", b'0'), ("９", b'9'), ("٤", b'4'), ("۷", b'7'), ("५", b'5'), ("๓", b'3'), ("៩", b'9')]
        {
            assert_eq!(at(text.as_bytes(), None), Some((text.len(), Some(digit))), "{text}");
        }
        for (text, sign) in [("＠", b'@'), ("＋", b'+'), ("－", b'-'), ("．", b'.')] {
            assert_eq!(at(text.as_bytes(), None), Some((3, Some(sign))), "{text}");
        }
        for text in ["1", "é", "、", "，", "क", "์", "—", "\u{2028}", "ａ"] {
            assert_eq!(at(text.as_bytes(), None), None, "{text}");
        }
    }

    #[test]
    fn what_shows_nothing_is_ignored() {
        for char in "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180e}\u{200b}\u{202e}\u{2060}\u{206f}\u{feff}\u{ffa0}\u{e0000}\u{e007f}\u{e01ef}".chars() {
            let text = char.to_string();
            assert_eq!(at(text.as_bytes(), None), Some((text.len(), None)), "{char:?}");
            assert_eq!(step(text.as_bytes(), 0, true), Step::Over(text.len(), None), "{char:?}");
        }
    }

    #[test]
    fn a_selector_counts_behind_ascii_and_a_dash_between_digits() {
        for (text, before, byte) in [
            ("\u{fe0f}x", Some(b'b'), Some(None)),
            ("\u{fe00}x", Some(0xa4), None),
            ("\u{fe00}x", None, None),
            ("\u{2012}5", Some(b'7'), Some(Some(b'-'))),
            ("–5", Some(b'7'), Some(Some(b'-'))),
            ("–5", Some(b'A'), None),
            ("\u{a0}5", Some(b'7'), Some(Some(b' '))),
            ("\u{a0}W", Some(b'7'), Some(Some(b' '))),
            ("\u{a0}5", Some(b'W'), Some(Some(b' '))),
            ("\u{a0}W", Some(b'W'), None),
            ("\u{a0}w", Some(b'7'), None),
            ("\u{202f}: x", Some(b'e'), Some(Some(b' '))),
            ("\u{a0}x", Some(b':'), Some(Some(b' '))),
            ("\u{2212}5", Some(b')'), Some(Some(b'-'))),
            ("\u{2007}(", Some(b'7'), Some(Some(b' '))),
            ("\u{202f}5", Some(b'7'), Some(Some(b' '))),
            ("\u{202f}5", Some(b'e'), None),
            ("\u{2011} 5", Some(b'7'), None),
            ("\u{2011}5", Some(b' '), None),
            ("\u{2011}x", Some(b'7'), None),
            ("—5", Some(b'7'), None),
        ] {
            assert_eq!(at(text.as_bytes(), before).map(|(_, byte)| byte), byte, "{text:?} {before:?}");
        }
    }

    #[test]
    fn what_is_cut_off_in_the_middle_is_unclear() {
        let raw = "\u{200b}".as_bytes();
        assert_eq!(step(&raw[..2], 0, false), Step::Cut);
        assert_eq!(step(&raw[..2], 0, true), Step::None);
        assert_eq!(step(br"\u200", 0, false), Step::Cut);
        assert_eq!(step("é".as_bytes(), 0, false), Step::None);
    }

    #[test]
    fn such_a_character_is_seen_in_any_spelling() {
        for raw in [
            "\u{200b}",
            r"\u200b",
            r"\\u200B",
            r"\u{200b}",
            r"\U0000200b",
            r"\xe2\x80\x8b",
            "%E2%80%8B",
            r"\uff10",
            r"\\udb40\\udc20",
        ] {
            assert!(begins(raw.as_bytes(), 0), "{raw}");
        }
        for raw in [r"\u2028", "%E2%80", r"\xe2", "x", "%41", "\u{fe0f}", "–5"] {
            assert!(!begins(raw.as_bytes(), 0), "{raw}");
        }
        for (raw, start, is) in [
            ("7\u{2011}5", 1, true),
            ("7–5", 1, true),
            ("é–5", 2, true),
            ("e–5", 1, false),
            ("g\u{a0}5", 1, false),
            ("g\u{a0}: ", 1, true),
            (r"\u003a\u00a0x", 6, true),
            ("7\u{2011} 5", 1, false),
            ("a\u{2011}5", 1, false),
            (r"7\u2011\u0035", 1, true),
            ("x\u{fe0f}", 1, true),
            ("\u{200b}\u{fe0f}", 3, true),
            ("❤\u{fe0f}", 3, false),
        ] {
            assert_eq!(begins(raw.as_bytes(), start), is, "{raw}");
        }
    }
}
