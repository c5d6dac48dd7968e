//! Shapes that take more than a regular expression: the extent of a value
//! around the byte that hinted at it, in decoded text.
//!
//! Invariants:
//! - A detector looks at a bounded number of bytes around its anchor
//!   ([`reach`]), and at each a bounded number of times.
//! - The ends of the text are boundaries.
//! - Text is bytes: invalid UTF-8 and NUL are characters like others.

mod address;
mod card;
mod email;
mod iban;
pub(super) mod national;
mod phone;
pub mod private_key;
pub(super) mod ssn;

use crate::rule::Detector;
use std::ops::Range;

/// Bytes on either side of the anchor in which a value lies; one more on either
/// side may be looked at, to see a boundary.
pub const REACH: usize = 64;
/// The same for e-mail addresses: 64 of a local part and 255 of a domain
/// (RFC 5321, 4.5.3.1), whichever side.
pub const EMAIL_REACH: usize = 320;

/// How many bytes before and behind its anchor a detector looks at, at most.
pub const fn reach(detector: Detector) -> (usize, usize) {
    match detector {
        Detector::Email => (EMAIL_REACH, EMAIL_REACH),
        Detector::PhoneInternational | Detector::Iban | Detector::PrivateKey => (8, REACH),
        Detector::PhoneNanp => (32, REACH),
        Detector::PhoneNational => (national::LEFT, REACH),
        Detector::Card => (40, 40),
        Detector::UsSsn => (24, 8),
        Detector::IpAddress | Detector::MacAddress => (12, REACH),
    }
}

/// The extent of the value around `anchor`, the index of the byte in `text`
/// that triggered the detector:
///
/// | detector | anchor |
/// |---|---|
/// | e-mail | the `@` |
/// | phone, international | the `+`, or the first `0` of a run of digits that begins with `00` |
/// | phone, North America | the last digit of the last group |
/// | phone, national | the first digit of six digits and separators |
/// | card | any digit |
/// | IBAN | the first letter |
/// | SSN | the last digit |
/// | private key | the first dash |
/// | IP address | the second point, or the first colon |
/// | MAC address | the second separator |
pub fn confirm(detector: Detector, text: &[u8], anchor: usize) -> Option<Range<usize>> {
    match detector {
        Detector::Email => email::extent(text, anchor),
        Detector::PhoneInternational => phone::international(text, anchor),
        Detector::PhoneNanp => phone::nanp(text, anchor),
        Detector::PhoneNational => national::extent(text, anchor),
        Detector::Card => card::extent(text, anchor),
        Detector::Iban => iban::extent(text, anchor),
        Detector::UsSsn => ssn::extent(text, anchor),
        Detector::PrivateKey => private_key::head(text, anchor),
        Detector::IpAddress => address::ip(text, anchor),
        Detector::MacAddress => address::mac(text, anchor),
    }
}

/// Whether a domain stands at the beginning of `text`: see
/// [`email::is_before_domain`].
pub(super) fn is_before_domain(text: &[u8]) -> bool {
    email::is_before_domain(text)
}

/// The byte before `at`, if any.
fn before(text: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).and_then(|index| text.get(index)).copied()
}

/// The byte `back` places before `at`, if any: `before` is one place.
fn further_before(text: &[u8], at: usize, back: usize) -> Option<u8> {
    at.checked_sub(back).and_then(|index| text.get(index)).copied()
}

/// Whether the byte before `at` is the letter of an escape, as in `\\n`: text
/// within text keeps them, and a value may follow directly.
fn escape_before(text: &[u8], at: usize) -> bool {
    matches!(before(text, at), Some(b'n' | b'r' | b't')) && further_before(text, at, 2) == Some(b'\\')
}

/// Whether `at` is inside a word, as far as the byte before it tells.
fn word_before(text: &[u8], at: usize) -> bool {
    in_word(before(text, at)) && !escape_before(text, at)
}

/// Whether the byte is part of a word: a value does not begin or end inside one.
fn in_word(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_digit(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_digit())
}

/// Whether it is a hexadecimal number of four digits, as tables of code points have.
fn is_code(word: &[u8]) -> bool {
    word.len() == 4 && word.iter().all(u8::is_ascii_hexdigit)
}

/// Whether it is such a number with a letter and a digit, as no word or year has.
fn is_mixed_code(word: &[u8]) -> bool {
    is_code(word) && word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic)
}

/// Whether a number may begin at `start`: not in a word, behind another
/// number's dash, point or sign.
fn number_begins(text: &[u8], start: usize) -> bool {
    let earlier = further_before(text, start, 2);
    match before(text, start) {
        Some(b'-') => !in_word(earlier),
        Some(b'.') => !is_digit(earlier),
        Some(b'+') => false,
        _ => !word_before(text, start),
    }
}

/// Whether a plus stands before `at`, and before it another line: one that was added, as
/// `diff` writes it.
fn plus_at_line(text: &[u8], at: usize) -> bool {
    before(text, at) == Some(b'+') && further_before(text, at, 2) == Some(b'\n')
}

/// Whether a number may end before `end`: not in a word or before another
/// number's dash or point.
fn number_ends(text: &[u8], end: usize) -> bool {
    let later = text.get(end + 1).copied();
    match text.get(end) {
        Some(b'-') => !in_word(later),
        Some(b'.') => !is_digit(later),
        byte => !in_word(byte.copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What every detector makes of every anchor.
    fn extents(text: &[u8]) -> Vec<(Detector, usize, Option<Range<usize>>)> {
        Detector::ALL
            .iter()
            .flat_map(|&detector| (0..=text.len() + 1).map(move |anchor| (detector, anchor)))
            .map(|(detector, anchor)| (detector, anchor, confirm(detector, text, anchor)))
            .collect()
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_extent_that_holds_the_anchor(text in proptest::collection::vec(any::<u8>(), 0..120)) {
            for (_, anchor, extent) in extents(&text) {
                if let Some(extent) = extent {
                    prop_assert!(extent.contains(&anchor) && extent.end <= text.len());
                }
            }
        }

        #[test]
        fn likely_bytes_give_an_extent_that_holds_the_anchor(
            text in "([-+@.:/=(), '\"a-cA-F0-9é：\u{a0}]|415-555-0106|4111 1111|DE89|\\+49|a@b\\.co|://|192\\.0|2001:db8|::|00:1a:2b:3c){0,24}",
        ) {
            for (_, anchor, extent) in extents(text.as_bytes()) {
                if let Some(extent) = extent {
                    prop_assert!(extent.contains(&anchor) && extent.end <= text.len());
                }
            }
        }

        #[test]
        fn nothing_out_of_reach_matters(
            text in "([-+@.:=/ab1-4é]|[a-c.+=]{60}|[a-c ]{200}|4111111111111111|\\+4930|415-555-0106|a@b\\.co|://|192\\.0\\.2\\.1|2001:db8::1|00:1a:2b:3c:4d:5e){0,120}",
        ) {
            let text = text.as_bytes();
            for (detector, anchor, extent) in extents(text) {
                // A byte more on either side, so that the cut is no boundary.
                let (left, right) = reach(detector);
                let start = anchor.min(text.len()).saturating_sub(left + 1);
                let end = text.len().min(anchor + right + 2);
                let within = confirm(detector, &text[start..end], anchor - start);
                prop_assert_eq!(within.map(|range| range.start + start..range.end + start), extent);
            }
        }
    }
}
