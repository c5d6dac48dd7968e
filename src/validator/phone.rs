//! Phone numbers: with a country code (ITU-T E.164), or of the North American
//! Numbering Plan (`NXX-NXX-XXXX`, <https://www.nanpa.com/numbering>).
//!
//! A known country code and a length possible there is enough, assigned range
//! or not: what a user writes after a `+` is a phone number to them. Lengths
//! come from libphonenumber (`phone_table.rs`). The letters of the shape
//! (digits, punctuation, extensions) are shared with the scan layer's detector.

use super::phone_table::LENGTHS;

/// Most digits of a number, country code included (E.164, 6.2.1).
pub const MAX_DIGITS: usize = 15;
/// Fewest, so that `+5 (3)` or `+49-49` stay: Niue and Saint Helena reach it.
const MIN_DIGITS: usize = 7;
/// Digits of an extension (RFC 3966 has no limit; libphonenumber takes 7 to 20).
const EXTENSION_DIGITS: usize = 7;

/// The digits of a number as values, at most one more than it may have.
#[derive(Clone, Copy, Default)]
pub struct Digits {
    values: [u8; MAX_DIGITS + 1],
    count: usize,
}

impl Digits {
    /// Adds a digit; those beyond the limit only count as "too many".
    pub fn push(&mut self, value: u8) {
        if let Some(slot) = self.values.get_mut(self.count) {
            *slot = value;
            self.count += 1;
        }
    }

    /// The digits so far.
    pub fn as_slice(&self) -> &[u8] {
        self.values.get(..self.count).unwrap_or_default()
    }

    /// Whether they are a country code and a national number of a length
    /// possible there, with or without a trunk prefix `0` left in.
    pub fn is_international(&self) -> bool {
        if !(MIN_DIGITS..=MAX_DIGITS).contains(&self.count) {
            return false;
        }
        let Some((code, lengths, national)) = split_country(self.as_slice()) else { return false };
        let possible = |count: usize| lengths >> count & 1 == 1;
        match code {
            // The plan is closed; the table's 7 digits lack the area.
            1 => national.len() == 10,
            _ => possible(national.len()) || (national.first() == Some(&0) && possible(national.len() - 1)),
        }
    }

    /// Whether they are ten digits of the North American plan, or eleven with
    /// its country code.
    pub fn is_nanp(&self) -> bool {
        let number = match self.as_slice() {
            [1, number @ ..] if number.len() == 10 => number,
            number => number,
        };
        match *number {
            [area, a, b, exchange, x, y, _, _, _, _] => {
                area >= 2 && (a, b) != (1, 1) && exchange >= 2 && (x, y) != (1, 1)
            }
            _ => false,
        }
    }
}

/// (calling code, mask of its national lengths, national number). No calling
/// code is the beginning of another, so the first that fits is the longest.
fn split_country(digits: &[u8]) -> Option<(u16, u32, &[u8])> {
    let mut code = 0_u16;
    for (index, &digit) in digits.iter().take(3).enumerate() {
        // No code begins with zero, which the arithmetic would not notice.
        if digit == 0 && index == 0 {
            return None;
        }
        code = code * 10 + u16::from(digit);
        if let Ok(row) = LENGTHS.binary_search_by_key(&code, |&(code, _)| code) {
            let &(_, lengths) = LENGTHS.get(row)?;
            return Some((code, lengths, digits.get(index + 1..)?));
        }
    }
    None
}

/// Whether `value` is a number with `+` or `00`, a known country code and a
/// length possible there. Allows `tel:` before, `(0)` inside, an extension after.
pub fn international(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"tel:").unwrap_or(value);
    let value = value.strip_prefix(b"(").unwrap_or(value);
    let Some(rest) = value.strip_prefix(b"+").or_else(|| value.strip_prefix(b"00")) else { return false };
    digits_of(rest).is_some_and(|digits| digits.is_international())
}

/// Whether `value` is a number of the North American plan, `1` or `+1` before
/// it or not. Allows an extension after.
pub fn nanp(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"+").unwrap_or(value);
    digits_of(value).is_some_and(|digits| digits.is_nanp())
}

/// The digits of a value that is all digits, punctuation and extension.
fn digits_of(value: &[u8]) -> Option<Digits> {
    let mut digits = Digits::default();
    let mut at = 0;
    while at < value.len() {
        if let Some(length) = trunk_at(value, at, &digits) {
            at += length;
        } else if let Some((digit, length)) = digit_at(value, at) {
            digits.push(digit);
            at += length;
        } else if extension_length(value, at).is_some_and(|length| at + length == value.len()) {
            break;
        } else {
            at += separator_at(value, at)?;
        }
    }
    Some(digits)
}

/// The length of a trunk prefix `(0)` at `at`, which is not dialled from abroad
/// and stands right after the country code.
pub fn trunk_at(text: &[u8], at: usize, before: &Digits) -> Option<usize> {
    ((1..=3).contains(&before.count) && text.get(at..)?.starts_with(b"(0)")).then_some(3)
}

/// The digit at `at` and its length in bytes: ASCII, full-width or Arabic.
pub fn digit_at(text: &[u8], at: usize) -> Option<(u8, usize)> {
    match *text.get(at..)? {
        [digit @ b'0'..=b'9', ..] => Some((digit - b'0', 1)),
        [0xef, 0xbc, digit @ 0x90..=0x99, ..] => Some((digit - 0x90, 3)),
        [0xd9, digit @ 0xa0..=0xa9, ..] => Some((digit - 0xa0, 2)),
        [0xdb, digit @ 0xb0..=0xb9, ..] => Some((digit - 0xb0, 2)),
        _ => None,
    }
}

/// The length in bytes of the one punctuation character at `at`.
pub fn separator_at(text: &[u8], at: usize) -> Option<usize> {
    match *text.get(at..)? {
        [b' ' | b'-' | b'.' | b'/' | b'(' | b')', ..] => Some(1),
        // No-break space.
        [0xc2, 0xa0, ..] => Some(2),
        // Thin space, hyphens and dashes, narrow no-break space, minus.
        [0xe2, 0x80, 0x89 | 0x90..=0x95 | 0xaf, ..] | [0xe2, 0x88, 0x92, ..] => Some(3),
        // Ideographic space; full-width parentheses, hyphen, full stop, slash.
        [0xe3, 0x80, 0x80, ..] | [0xef, 0xbc, 0x88 | 0x89 | 0x8d..=0x8f, ..] => Some(3),
        _ => None,
    }
}

/// The length of an extension that begins at `at`, right behind the number:
/// ` ext. 392`, `x392`, `, extension 12`, `;ext=12`.
pub fn extension_length(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let lead = rest.iter().take(2).take_while(|&&byte| matches!(byte, b' ' | b',')).count();
    let (marker, digits) = [";ext=", "extension", "extn", "ext", "x"].iter().find_map(|marker| {
        let named = rest.get(lead..lead + marker.len())?;
        named.eq_ignore_ascii_case(marker.as_bytes()).then(|| (marker.len(), rest.get(lead + marker.len()..)))
    })?;
    let digits = digits?;
    let gap = digits.iter().take(2).take_while(|&&byte| matches!(byte, b' ' | b'.' | b':')).count();
    let number = digits.get(gap..)?;
    let count = number.iter().take(EXTENSION_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let ends = number.get(count).is_none_or(|&next| !next.is_ascii_alphanumeric() && next != b'_');
    ((1..=EXTENSION_DIGITS).contains(&count) && ends).then_some(lead + marker + gap + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn international_numbers_of_many_countries_are_accepted() {
        for value in [
            "+14155550106",
            "+1 (415) 555-0106",
            "+49 (0) 171 3920011",
            "+49(0)1713920011",
            "+380 44 123 15 25",
            "00447700900196",
            "+46 70-174 06 41",
            "+55 (11) 91234-9383",
            "tel:+247-62889",
            "+44 020 7946 0183",
            "+39 06 12345678",
            "+33\u{a0}6\u{a0}12\u{a0}34\u{a0}56\u{a0}78",
            "+49\u{2011}30\u{2011}1234567",
            "+81 ３ １２３４ ５６７８",
            "+44 20 7031 3000 x 3456",
            "(+44) 20 7031 3000",
            "+8001 2345678",
        ] {
            assert!(international(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn unknown_codes_and_impossible_lengths_are_refused() {
        for value in [
            "+",
            "+00:00",
            "+0530",
            "000-98-8837123",
            "+5 (3)",
            "+123456",
            "+12345678",
            "+1 415 555 010",
            "+999 123456789",
            "+210 1234567",
            "+1234567890123456",
            "14155550106",
            "+49 30 abc",
            "+1 415 555 0106 and more",
        ] {
            assert!(!international(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn north_american_numbers_are_accepted() {
        for value in ["(202) 555-0109", "212.555.0149", "1-415-555-0148 ext. 392", "+1 617 555 0150", "8005550199x7"] {
            assert!(nanp(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn numbers_outside_the_plan_are_refused() {
        for value in [
            "(102) 555-0109",
            "(911) 555-0109",
            "(202) 155-0109",
            "(202) 411-0109",
            "202-555-010",
            "2-202-555-0109",
            "",
        ] {
            assert!(!nanp(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn extensions_are_measured_to_their_last_digit() {
        for (text, length) in [
            (" ext. 392", Some(9)),
            ("x392", Some(4)),
            (", extension 12.", Some(14)),
            (";ext=7", Some(6)),
            (" EXT 12 or", Some(7)),
            (" x 12345678", None),
            (" x12a", None),
            (" exit 12", None),
            ("", None),
        ] {
            assert_eq!(extension_length(text.as_bytes(), 0), length, "{text}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_free_of_prefixes() {
        assert!(LENGTHS.is_sorted_by(|left, right| left.0 < right.0));
        for &(code, _) in LENGTHS {
            assert!(LENGTHS.iter().all(|&(other, _)| other != code / 10 && other != code / 100), "{code}");
        }
    }
}
