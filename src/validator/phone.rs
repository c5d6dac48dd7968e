//! Phone numbers: with a country code (ITU-T E.164), of the North American
//! Numbering Plan (`NXX-NXX-XXXX`, <https://www.nanpa.com/numbering>), or as they
//! are dialled within any country.
//!
//! A known country code and a length possible there is enough, assigned range
//! or not: what a user writes after a `+` is a phone number to them. Lengths
//! come from libphonenumber (`phone_table.rs`). The letters of the shape
//! (digits, punctuation, extensions) are shared with the scan layer's detector.

use super::phone_table::{DIALLED, DIALLED_WITH_ZERO, LENGTHS};

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

/// A number as it is dialled within a country: its groups of digits and what
/// separates them.
///
/// Of which country it is cannot be told: at each length from 5 to 12 every
/// beginning belongs to some of them. So it is judged by its length, which
/// libphonenumber's metadata has (`phone_table.rs`), and by how its digits are
/// grouped, which must not be the way of decimals, versions, hosts and years.
#[derive(Clone, Copy, Default)]
pub struct National {
    digits: Digits,
    /// Digits of each group.
    sizes: [u8; MAX_GROUPS],
    groups: usize,
    /// Gaps that are a space, a point, a slash, and nothing else.
    spaces: usize,
    points: usize,
    slashes: usize,
}

/// Most groups of digits of a national number.
const MAX_GROUPS: usize = 8;
/// Most digits of a group that has others beside it.
const LONGEST_GROUP: u8 = 9;

impl National {
    /// Adds a group of digits; false where there are too many.
    pub fn push(&mut self, group: &[u8]) -> bool {
        group.iter().for_each(|digit| self.digits.push(digit.wrapping_sub(b'0')));
        let Some(slot) = self.sizes.get_mut(self.groups) else { return false };
        *slot = u8::try_from(group.len()).unwrap_or(u8::MAX);
        self.groups += 1;
        self.digits.count <= MAX_DIGITS
    }

    /// Adds what stands before the next group.
    pub fn separate(&mut self, gap: &[u8]) {
        self.spaces += usize::from(gap == b" ");
        self.points += usize::from(gap == b".");
        self.slashes += usize::from(gap == b"/");
    }

    /// Whether some country has numbers of that length, and the digits are not
    /// grouped as those of other things are.
    pub fn is_possible(&self) -> bool {
        let lengths = if self.begins_with_zero() { DIALLED_WITH_ZERO } else { DIALLED };
        let digits = self.digits.as_slice();
        lengths >> digits.len() & 1 == 1
            && !digits.starts_with(&[0, 0])
            && !digits.iter().all(|digit| Some(digit) == digits.first())
            && (self.groups == 1 || self.is_grouped())
    }

    /// Whether more than its length speaks for a phone number: groups, or the zero
    /// that is dialled before the area.
    pub fn is_written(&self) -> bool {
        self.groups > 1 || (self.begins_with_zero() && self.digits.count >= 9)
    }

    fn begins_with_zero(&self) -> bool {
        self.digits.as_slice().first() == Some(&0)
    }

    /// Whether the groups are not those of a decimal, a version or a host.
    fn is_grouped(&self) -> bool {
        let sizes = self.sizes.get(..self.groups).unwrap_or_default();
        let [_, rest @ ..] = sizes else { return false };
        // One digit alone: before the others, and once among them (`0800 1 234 567`).
        let singles = rest.iter().filter(|&&size| size < 2).count();
        let single = singles > 1 || rest.last().is_some_and(|&size| size < 2);
        let pointed = self.points + 1 == self.groups;
        let decimal = pointed && (sizes.contains(&1) || (rest.len() == 1 && !self.begins_with_zero()));
        let host = pointed && self.groups == 4 && sizes.iter().all(|&size| size <= 3);
        let listed = self.slashes > 1 && self.slashes + 1 == self.groups;
        let long = sizes.iter().any(|&size| size > LONGEST_GROUP);
        !(single || decimal || host || listed || long)
    }

    /// Whether the groups may as well be numbers of their own, or the thousands of
    /// one: `100 200 300`, `1 234 567`, `2024 2025`.
    pub fn is_list(&self) -> bool {
        let sizes = self.sizes.get(..self.groups).unwrap_or_default();
        let [first, rest @ ..] = sizes else { return false };
        let thousands = self.is_spaced() && *first == 1 && rest.len() > 1 && rest.iter().all(|&size| size == 3);
        let round = (rest.len() > 1 || (rest.len() == 1 && self.digits.count < 7)) && self.ends().all(|last| last == 0);
        let years = !rest.is_empty() && sizes.iter().all(|&size| size == 4) && self.are_years();
        !self.begins_with_zero() && (thousands || round || years || sizes == [3, 3, 3, 3])
    }

    /// Whether the groups, of which no zero is the first, stand behind spaces alone.
    pub fn is_spaced(&self) -> bool {
        self.spaces + 1 == self.groups && self.groups > 1 && !self.begins_with_zero()
    }

    /// The last digit of each group.
    fn ends(&self) -> impl Iterator<Item = u8> {
        let mut end = 0;
        let sizes = self.sizes.iter().take(self.groups);
        sizes.filter_map(move |&size| {
            end += usize::from(size);
            self.digits.values.get(end - 1).copied()
        })
    }

    fn are_years(&self) -> bool {
        self.digits.as_slice().chunks(4).all(|year| matches!(year, [1, 9, ..] | [2, 0, ..]))
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

/// Whether `value` is a phone number where a name says that one stands: with a
/// country code or as it is dialled within a country.
pub fn accepts(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    international(value)
        || nanp(value)
        || national_of(value).is_some_and(|number| number.is_possible())
        // With a country code, and nothing that says so: messengers write it that way.
        || digits_of(value).is_some_and(|digits| digits.is_international())
}

/// Whether `value` is a number as it is dialled within a country, and more than
/// its length says so: groups of digits, or the zero before the area.
pub fn written(value: &[u8]) -> bool {
    national_of(value).is_some_and(|number| number.is_possible() && number.is_written())
}

/// The number that `value` is; allows an extension after.
fn national_of(value: &[u8]) -> Option<National> {
    let mut number = National::default();
    let mut at = value.iter().take_while(|&&byte| byte == b'(').count();
    at += international_prefix(value, at);
    loop {
        let size = value.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if size == 0 || !number.push(&value[at..at + size]) {
            return None;
        }
        at += size;
        let rest = value.get(at..)?;
        if matches!(rest, [] | [b')']) || extension_length(value, at) == Some(rest.len()) {
            return Some(number);
        }
        let mut gap = 0;
        while !rest.get(gap)?.is_ascii_digit() {
            gap += separator_at(rest, gap)?;
        }
        number.separate(&rest[..gap]);
        at += gap;
    }
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

/// The length of the prefix of international calls at `at`, with the gap behind it:
/// `00`, `011` (North America) or `0011` (Australia), where the number stands apart
/// from it (ITU-T E.123 writes `+` instead; the prefixes are those of ITU's list of
/// dialling procedures); 0 where there is none.
pub fn international_prefix(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let Some(prefix) = [&b"0011"[..], b"011", b"00"].into_iter().find(|prefix| rest.starts_with(prefix)) else {
        return 0;
    };
    match rest[prefix.len()..] {
        [b' ' | b'-' | b'.', b'1'..=b'9', ..] => prefix.len() + 1,
        _ => 0,
    }
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
    // What stands behind most numbers is told by its first byte.
    if !matches!(rest.get(lead), Some(b';' | b'e' | b'E' | b'x' | b'X')) {
        return None;
    }
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
    fn numbers_under_a_name_need_no_country_code() {
        for value in [
            "0171 3920091",
            "9876543210",
            "(030) 1234567",
            "712345",
            "+49 30 1234567",
            " 617-555-0110 ",
            "030/1234567 ext. 4",
        ] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
        for value in
            ["1234", "2024-01-02 10:15", "10.0.0.1", "3.14159", "call us", "12 ms", "1111111", "12345678901234567"]
        {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn groups_and_a_leading_zero_speak_for_a_number() {
        for value in ["0171 3920091", "01713920091", "612 345 678", "06.12.34.56.78"] {
            assert!(written(value.as_bytes()), "{value}");
        }
        for value in ["9876543210", "0123456", "12.345678", "1 2 3 4 5 6"] {
            assert!(!written(value.as_bytes()), "{value}");
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
