//! Phone numbers: international ones from their `+` or `00` to the right,
//! North American ones from their last digit to the left.

use super::{
    REACH, before, further_before, in_word, is_code, is_digit, is_mixed_code, number_begins, number_ends, plus_at_line,
    word_before,
};
use crate::validator::phone::{Digits, digit_at, extension_length, separator_at, trunk_at};
use std::ops::Range;

/// Most punctuation characters between two groups, as in `) - (`.
const PUNCTUATION: usize = 4;

/// Digits, `00` among them, that are no group of a longer number.
const UNGROUPED: usize = 8;

/// The international number whose `+` or first `0` of `00` is at `anchor`.
///
/// Groups of digits are read until there are too many; the longest beginning
/// that is a possible number is taken. Where it leaves digits over, there must
/// be white space before them: `+14155550106 2025-01-01` is a number and a
/// date, but no number is cut out of a longer one.
pub(super) fn international(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    let text = text.get(..text.len().min(anchor.checked_add(REACH)?))?;
    let first = match text.get(anchor..)? {
        [b'+', ..] if plus_begins(text, anchor) => anchor + 1,
        [b'0', b'0', ..] if zeros_begin(text, anchor) => anchor + 2,
        _ => return None,
    };
    let mut reader = Reader::new(text, anchor, first);
    while reader.group() && reader.gap() {}
    let (start, end) = reader.best?;
    Some(start..end + extension_length(text, end).unwrap_or(0))
}

/// Not in a word (`1+1`, `a+4930...@`), nor one of many signs.
fn plus_begins(text: &[u8], anchor: usize) -> bool {
    (before(text, anchor) != Some(b'+') || plus_at_line(text, anchor)) && !word_before(text, anchor)
}

/// `00` is weaker than `+`: numbers of many kinds begin so, and groups of four
/// within longer ones do.
fn zeros_begin(text: &[u8], anchor: usize) -> bool {
    match before(text, anchor) {
        Some(b'.' | b'#' | b'$' | b'-') => false,
        Some(b':' | b'/') => !is_digit(further_before(text, anchor, 2)),
        Some(b' ') if is_digit(further_before(text, anchor, 2)) => {
            let rest = text.get(anchor..).unwrap_or_default();
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count() >= UNGROUPED
        }
        _ => number_begins(text, anchor),
    }
}

/// Reads groups of digits and the punctuation between them.
struct Reader<'a> {
    text: &'a [u8],
    anchor: usize,
    at: usize,
    digits: Digits,
    /// An open parenthesis inside the number.
    open: bool,
    /// Where the parenthesis that opened before the anchor was closed.
    outer_closed: bool,
    /// The longest number so far.
    best: Option<(usize, usize)>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], anchor: usize, first: usize) -> Self {
        let open = text.get(first) == Some(&b'(');
        let at = if open { first + 1 } else { first };
        Self { text, anchor, at, digits: Digits::default(), open, outer_closed: false, best: None }
    }

    /// Reads one group of digits; false where there is none.
    fn group(&mut self) -> bool {
        let start = self.at;
        while let Some((digit, length)) = digit_at(self.text, self.at) {
            self.digits.push(digit);
            self.at += length;
        }
        if self.at > start {
            self.note();
        }
        self.at > start
    }

    /// Notes that the number may end here, if it may.
    fn note(&mut self) {
        let closing = self.open && self.text.get(self.at) == Some(&b')');
        let end = if closing { self.at + 1 } else { self.at };
        let extended = extension_length(self.text, end).is_some();
        let number = &self.text[self.anchor..end];
        let odd = is_decimal(number) || is_statistics(number) || is_list_of_codes(self.text, self.anchor..end);
        if self.open != closing || !(extended || self.may_end(end)) || odd || !self.digits.is_international() {
            return;
        }
        let start = if self.outer_closed { self.anchor - 1 } else { self.anchor };
        self.best = Some((start, end));
    }

    /// Not in a word, not before the minutes of a time, and not where more of
    /// the same number follows without white space.
    fn may_end(&self, end: usize) -> bool {
        let next = self.text.get(end).copied();
        if in_word(next) || (next == Some(b':') && is_digit(self.text.get(end + 1).copied())) {
            return false;
        }
        let (after, spaced) = self.punctuation(end);
        spaced || digit_at(self.text, after).is_none()
    }

    /// Where the punctuation from `at` on ends, and whether it holds a space.
    fn punctuation(&self, at: usize) -> (usize, bool) {
        let mut end = at;
        let mut spaced = false;
        for _ in 0..PUNCTUATION {
            let Some(length) = separator_at(self.text, end) else { break };
            spaced |= self.text.get(end) == Some(&b' ') || length > 1 && is_wide_space(self.text, end);
            end += length;
        }
        (end, spaced)
    }

    /// Reads the punctuation before the next group; false where the number
    /// cannot go on.
    fn gap(&mut self) -> bool {
        let mut spaced = false;
        for _ in 0..=PUNCTUATION {
            if digit_at(self.text, self.at).is_some() {
                return !(spaced && is_date(self.text, self.at));
            }
            if let Some(length) = trunk_at(self.text, self.at, &self.digits) {
                self.at += length;
                continue;
            }
            let Some(length) = separator_at(self.text, self.at) else { return false };
            let byte = self.text.get(self.at).copied();
            spaced |= byte == Some(b' ') || length > 1;
            if !self.punctuate(byte) {
                return false;
            }
            self.at += length;
        }
        false
    }

    /// Whether the number may go on behind this punctuation.
    fn punctuate(&mut self, byte: Option<u8>) -> bool {
        match byte {
            Some(b'(') => !std::mem::replace(&mut self.open, true),
            Some(b')') if self.open => {
                self.open = false;
                true
            }
            Some(b')') => {
                let outer = before(self.text, self.anchor) == Some(b'(');
                outer && !std::mem::replace(&mut self.outer_closed, true)
            }
            // A point or slash between digits only: else it ends a sentence.
            Some(b'.' | b'/') => digit_at(self.text, self.at + 1).is_some(),
            _ => true,
        }
    }
}

/// Whether a number in two groups, a point between them, is a decimal with its sign:
/// `+35236450.6`. A country code has three digits at most (RFC 5733, section 2.5:
/// `+352.36450`).
fn is_decimal(number: &[u8]) -> bool {
    let Some(digits) = number.strip_prefix(b"+") else { return false };
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    whole > 5 && matches!(digits[whole..], [b'.', ref rest @ ..] if rest.iter().all(u8::is_ascii_digit))
}

/// Whether it is the lines that a change adds and those that it removes: `+612 -9278`.
fn is_statistics(number: &[u8]) -> bool {
    /// Digits of so many lines; subscribers of countries have more.
    const MOST: usize = 5;
    let mut words = number.split(|&byte| byte == b' ');
    let signed = |word: Option<&[u8]>, sign: u8| match word {
        Some([first, digits @ ..]) => *first == sign && digits.len() <= MOST && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    signed(words.next(), b'+') && signed(words.next(), b'-') && words.next().is_none()
}

/// Whether a number that begins with zeros is a part of a list of hexadecimal numbers
/// of four digits: `0061 0308 0061 030A`.
fn is_list_of_codes(text: &[u8], number: Range<usize>) -> bool {
    let is_other = |code: &[u8]| is_mixed_code(code) || is_code(code) && code[0] == b'0';
    let next = text.get(number.end..number.end + 5).is_some_and(|next| next[0] == b' ' && is_other(&next[1..]))
        && !in_word(text.get(number.end + 5).copied());
    let last = number.start.checked_sub(5).filter(|&at| !in_word(before(text, at))).map(|at| &text[at..number.start]);
    let last = last.is_some_and(|last| last[4] == b' ' && is_other(&last[..4]));
    // No country has numbers of so many such groups.
    let long = number.len() > 14;
    text[number.start] == b'0' && (next || last || long) && text[number].split(|&byte| byte == b' ').all(is_code)
}

/// No-break and ideographic spaces separate as spaces do.
fn is_wide_space(text: &[u8], at: usize) -> bool {
    text.get(at..).is_some_and(|rest| {
        [&[0xc2, 0xa0][..], &[0xe2, 0x80, 0x89], &[0xe2, 0x80, 0xaf], &[0xe3, 0x80, 0x80]]
            .iter()
            .any(|space| rest.starts_with(space))
    })
}

/// Whether a date begins at `at`: `2025-01-31`, `31.01.2025` or alike.
fn is_date(text: &[u8], at: usize) -> bool {
    let date = |sizes: [usize; 3]| {
        let mut at = at;
        let mut separator = None;
        for (index, size) in sizes.into_iter().enumerate() {
            if index > 0 {
                let byte = text.get(at).copied();
                if !matches!(byte, Some(b'-' | b'.' | b'/')) || (index == 2 && byte != separator) {
                    return false;
                }
                separator = byte;
                at += 1;
            }
            let year = size != 4 || matches!(text.get(at..at + 2), Some(b"19" | b"20"));
            if !year || !text.get(at..at + size).is_some_and(|group| group.iter().all(u8::is_ascii_digit)) {
                return false;
            }
            at += size;
        }
        !is_digit(text.get(at).copied())
    };
    date([4, 2, 2]) || date([2, 2, 4])
}

/// The North American number whose last digit is at `anchor`:
/// `(ddd) ddd-dddd`, `ddd-ddd-dddd`, with `.` or spaces likewise, `1` or `+1`
/// before it, an extension behind it.
pub(super) fn nanp(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    let end = anchor.checked_add(1)?;
    let line = group_before(text, end, 4)?;
    let second = separator_before(text, line)?;
    let exchange = group_before(text, line - 1, 3)?;
    let (area, enclosed, first) = area_before(text, exchange)?;
    let agree = enclosed || first == second || (matches!(first, b' ' | b'/') && second != b'/');
    let digits = [area..area + 3, exchange..exchange + 3, line..end];
    let opening = if enclosed { area - 1 } else { area };
    if !agree || !is_nanp(text, digits) || !ends(text, end, first == b' ' && second == b' ') {
        return None;
    }
    let start = begin(text, opening, first == b' ' && second == b' ' && !enclosed)?;
    Some(start..end + extension_length(text, end).unwrap_or(0))
}

/// The start of exactly `size` digits that end before `end`.
fn group_before(text: &[u8], end: usize, size: usize) -> Option<usize> {
    let start = end.checked_sub(size)?;
    let digits = text.get(start..end)?.iter().all(u8::is_ascii_digit);
    (digits && !is_digit(before(text, start))).then_some(start)
}

fn separator_before(text: &[u8], at: usize) -> Option<u8> {
    before(text, at).filter(|byte| matches!(byte, b'-' | b'.' | b' ' | b'/'))
}

/// The area code before the exchange: its start, whether in parentheses, and
/// the separator behind it (`)` where there is no other).
fn area_before(text: &[u8], exchange: usize) -> Option<(usize, bool, u8)> {
    let separator = before(text, exchange)?;
    let outer = if separator == b')' { exchange } else { exchange - 1 };
    if before(text, outer) == Some(b')') {
        let area = group_before(text, outer - 1, 3)?;
        let known = matches!(separator, b')' | b' ' | b'-' | b'.') && before(text, area) == Some(b'(');
        return known.then_some((area, true, separator));
    }
    let separator = separator_before(text, exchange)?;
    Some((group_before(text, outer, 3)?, false, separator))
}

fn is_nanp(text: &[u8], groups: [Range<usize>; 3]) -> bool {
    let mut digits = Digits::default();
    for byte in groups.into_iter().filter_map(|group| text.get(group)).flatten() {
        digits.push(byte.wrapping_sub(b'0'));
    }
    digits.is_nanp()
}

/// Whether a number may end before `end`; one with spaces alone not before
/// more digits, since lists of numbers look the same.
fn ends(text: &[u8], end: usize, spaces: bool) -> bool {
    let next = text.get(end).copied();
    let listed = spaces && next == Some(b' ') && is_digit(text.get(end + 1).copied());
    let extended = extension_length(text, end).is_some();
    extended || (number_ends(text, end) && !listed && next != Some(b'%'))
}

/// Where the number begins, the country code included; `None` inside
/// something longer.
fn begin(text: &[u8], opening: usize, spaces: bool) -> Option<usize> {
    if let Some(start) = country_before(text, opening) {
        return Some(start);
    }
    let byte = before(text, opening);
    let listed = spaces && byte == Some(b' ') && is_digit(further_before(text, opening, 2));
    // Parts of ids: a dash after a hex digit or a capital.
    let id = byte == Some(b'-')
        && further_before(text, opening, 2).is_some_and(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_uppercase());
    let dashed = byte == Some(b'-') && !id;
    (!listed && byte != Some(b'$') && (dashed || number_begins(text, opening))).then_some(opening)
}

/// The start of `1` or `+1` before `opening`, a separator between them.
fn country_before(text: &[u8], opening: usize) -> Option<usize> {
    let one = match before(text, opening)? {
        b'1' => opening - 1,
        b'-' | b'.' | b' ' if further_before(text, opening, 2) == Some(b'1') => opening - 2,
        _ => return None,
    };
    if text.get(opening) != Some(&b'(') && one + 1 == opening {
        return None;
    }
    match before(text, one) {
        Some(b'+') => plus_begins(text, one - 1).then_some(one - 1),
        _ => number_begins(text, one).then_some(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found from the first `+` or, without one, the first `00`.
    fn found(text: &str) -> Option<&str> {
        let anchor = text.find('+').or_else(|| text.find("00"))?;
        international(text.as_bytes(), anchor).map(|range| &text[range])
    }

    /// What is found from any digit.
    fn found_nanp(text: &str) -> Option<&str> {
        (0..text.len()).find_map(|anchor| nanp(text.as_bytes(), anchor)).map(|range| &text[range])
    }

    #[test]
    fn a_plus_of_an_added_line_hides_no_number_and_statistics_are_none() {
        for (text, value) in [("x\n++4915112345678", "+4915112345678"), ("x\n++49 151 12345678 y", "+49 151 12345678")]
        {
            let anchor = text.find("++").map(|at| at + 1).unwrap();
            assert_eq!(international(text.as_bytes(), anchor).map(|range| &text[range]), Some(value), "{text}");
        }
        assert_eq!(international(b"a ++4915112345678", 3), None);
        for text in ["+612 -9278", "x +612 -9278 y", "+49301 -12345"] {
            assert_eq!(found(text), None, "{text}");
        }
        for text in ["+49 - 30 - 12345678", "+91 -9876543210", "+1 -4155550106", "+4930 -12345678"] {
            assert_eq!(found(text), Some(text));
        }
    }

    #[test]
    fn international_numbers_are_found_whole_between_words() {
        for value in [
            "+14155550106",
            "+1 (415) 555-0106",
            "+1.415.555.0106",
            "+49 (0) 171 3920011",
            "+49(0)171/3920011",
            "+380 44 123 15 25",
            "00447700900196",
            "+352.36450678",
            "0065 6123 4567",
            "0049 171 3920011",
            "+46 70-174 06 41",
            "+55 (11) 91234-9383",
            "+(49) 171 3920011",
            "+33\u{a0}6\u{a0}12\u{a0}34\u{a0}56\u{a0}78",
            "+49\u{2011}30\u{2011}1234567",
            "+81 ３-１２３４-５６７８",
            "+44 20 7031 3000 x 3456",
            "+44 20 7031 3000 ext. 12",
            "+49 171 (3920011)",
        ] {
            for (before, after) in [
                ("", ""),
                ("call ", " now"),
                ("tel:", "."),
                ("\"", "\""),
                ("phone=", "&x=1"),
                ("，", "，"),
                ("(", ")"),
                ("<", ">"),
            ] {
                let text = format!("{before}{value}{after}");
                assert_eq!(found(&text), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn what_follows_a_number_is_left_alone() {
        for (text, value) in [
            ("+14155550106 2025-01-01", "+14155550106"),
            ("+49 30 2312542 2025-01-01", "+49 30 2312542"),
            ("+49 30 23125423 12:30", "+49 30 23125423"),
            ("+49 30 23125423 31.01.2025", "+49 30 23125423"),
            ("+14155550106. 45 days", "+14155550106"),
            ("+14155550106, 45 days", "+14155550106"),
            ("+12025550001 +12025550002", "+12025550001"),
            ("+1 650-253-0000/x12 more", "+1 650-253-0000"),
            ("+44 20 7946 0183 2nd floor", "+44 20 7946 0183"),
            ("2025-01-01 00447700900196 ok", "00447700900196"),
            ("(+44) 20 7946 0183", "(+44) 20 7946 0183"),
            ("(+44 20 7946 0183)", "+44 20 7946 0183"),
            ("+49 30 123456 (2 people)", "+49 30 123456"),
            ("added 0065 6123 4567 today", "0065 6123 4567"),
            ("phone 0065 6123 4567 2024", "0065 6123 4567"),
        ] {
            assert_eq!(found(text), Some(value), "{text}");
        }
    }

    #[test]
    fn other_signs_and_zeros_stay() {
        for text in [
            "1+1",
            "+5 (3)",
            "2025-11-13T05:30:14+00:00",
            "[06/Jun/2020:03:38:47 +0000]",
            "x=+123456",
            "abc+14156667777",
            "+14156667777def",
            "11.43.204+20130313144700",
            "6.998328327975e+00",
            "++14155550106",
            "+1415555010612345",
            "+14155550106-2025-01-01",
            "00-59baab3c01117e30cd94fe7e331601ac-cecb23dbe5be781d-01",
            "00:1d:55:c1:42:f8",
            "0.00447700900196",
            "1-00447700900196",
            "100447700900196",
            "0000000000",
            "00123",
            "HR12 1001 0051 8630 0016 0",
            "Decimal('+35236450.6')",
            "0061 0308 0061 030A",
            "0041 0061 0308 0061",
            "+",
            "00",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn north_american_numbers_are_found_whole_between_words() {
        for value in [
            "(202) 555-0109",
            "(202)555-0109",
            "(202)-555-0109",
            "(202) 555 0109",
            "202-555-0149",
            "212.555.0149",
            "212 555 0149",
            "212 555-0149",
            "212/555-0149",
            "1-415-555-0148 ext. 392",
            "1 415 666 7777 x 123",
            "1 (800) 555-0199",
            "+1 (415) 555-0106",
            "+1-415-555-0106",
            "415-555-0106x392",
        ] {
            for (before, after) in
                [("", ""), ("call ", " now"), ("tel:", "."), ("\"", "\""), ("phone=", "&x=1"), ("，", "，"), ("[", "]")]
            {
                let text = format!("{before}{value}{after}");
                assert_eq!(found_nanp(&text), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn numbers_behind_a_dash_of_prose_are_found() {
        assert_eq!(found_nanp("My number-415-666-7777"), Some("415-666-7777"));
        assert_eq!(found_nanp("$20 415-666-7777"), Some("415-666-7777"));
    }

    #[test]
    fn other_groups_of_digits_stay() {
        for text in [
            "224-2945 ms",
            "12.14.248",
            "978-3-16-222291-4",
            "ORD-4507-810933",
            "ORD-415-555-0106",
            "00-415-555-0106",
            "a268aa87-415-555-0106",
            "1234-415-555-0106",
            "415-555-0106-22",
            "415-555-0106.5",
            "abc415-666-7777",
            "415-666-7777def",
            "415-666-7777%",
            "$415-666-7777",
            "(912) * 199 - 6864 = x",
            "115-666-7777",
            "911-666-7777",
            "415-166-7777",
            "293 736 205 487",
            "293 736 2054 487",
            "12 293 736 2054",
            "293-736 2054",
            "192.168.103.161",
            "2415.555.0106",
            "12.415.555.0106",
        ] {
            assert_eq!(found_nanp(text), None, "{text}");
        }
    }
}
