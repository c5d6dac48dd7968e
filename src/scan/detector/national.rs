//! Phone numbers in the form in which they are dialled within a country. What
//! they look like others do too, so rules ask for a word beside them; what such a
//! word cannot be about is told here: dates, addresses of hosts, decimals, and
//! values that another name stands before (`phone_id: 1234567`).

use super::{before, further_before, in_word, is_digit, number_begins, number_ends};
use crate::validator::phone::{self, National, extension_length, international_prefix};
use std::ops::Range;

/// A number shows where so many bytes are digits and the simplest separators, and one
/// more is, or a group of digits stands before them (`089/654321`).
pub(crate) const WINDOW: usize = 6;
/// Bytes between two groups of digits, as in `) - `.
const PUNCTUATION: usize = 3;
/// A number begins at most so many bytes before the window.
const WIDEST: usize = 20;
/// Together with a parenthesis, a value begins at most so many before its anchor.
pub(crate) const LEAD: usize = WIDEST + 1;
/// How far before a number the name that it has is looked for.
const NAME: usize = 40;
/// Bytes on the left that matter.
pub(super) const LEFT: usize = WIDEST + NAME + 8;
/// Most groups of digits.
const GROUPS: usize = 7;
/// So many digits may be a number, behind which `/` begins another.
const WHOLE: usize = 9;
/// Most digits that stand together, behind a zero one more.
const LONGEST_GROUP: usize = 12;

/// The number that shows at `anchor`, the first digit of [`WINDOW`] digits and
/// separators.
pub(super) fn extent(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    if !shows(text, anchor) {
        return None;
    }
    let earlier = |&start: &usize| {
        let earlier = group_before(text, start)?;
        (anchor - earlier <= WIDEST && !is_date(text, earlier)).then_some(earlier)
    };
    let first = std::iter::successors(Some(anchor), earlier).last()?;
    let later = |&start: &usize| group_behind(text, start).filter(|&later| later <= anchor);
    let read = |start| read(text, start).filter(|number| number.as_ref().is_none_or(|found| found.end > anchor));
    // The longest number is taken: that which begins first.
    let found = std::iter::successors(Some(first), later).find_map(read)?;
    let found = found.map(|number| number.start..number.end + extension_length(text, number.end).unwrap_or(0));
    found.filter(|found| !is_time(&text[found.clone()]) && !belongs_to_other(text, found.clone()))
}

/// Whether a number may show at `anchor`.
fn shows(text: &[u8], anchor: usize) -> bool {
    is_window(text, anchor)
        && !is_date(text, anchor)
        && !goes_on(text, anchor)
        && !is_glued(text, anchor)
        && !is_part(text, anchor)
}

/// Whether what stands before the digits at `anchor` goes on with them, an id or a
/// time: `af4a-000000012345`, `10:15:00.123`.
#[inline]
pub(crate) fn goes_on(text: &[u8], anchor: usize) -> bool {
    let earlier = further_before(text, anchor, 2);
    match before(text, anchor) {
        Some(b'-' | b'.') => in_word(earlier) && !is_digit(earlier),
        Some(b':') => is_digit(earlier),
        _ => false,
    }
}

/// Whether a letter is glued to the digits at `anchor`, but that of an extension.
pub(crate) fn is_glued(text: &[u8], anchor: usize) -> bool {
    let next = text.get(anchor + digits_at(text, anchor)).copied();
    in_word(next) && !is_digit(next) && !matches!(next, Some(b'x' | b'X' | b'e' | b'E'))
}

/// Whether digits and separators begin at `anchor`, some of the digits side by side.
pub(crate) fn is_window(text: &[u8], anchor: usize) -> bool {
    let Some(window) = text.get(anchor..anchor.saturating_add(WINDOW)) else { return false };
    window[0].is_ascii_digit()
        && !is_digit(before(text, anchor))
        && window.iter().all(is_simple)
        && has_pair(window)
        && (text.get(anchor + WINDOW).is_some_and(is_simple) || is_joined(text, anchor))
}

/// Whether two digits stand side by side.
pub(crate) fn has_pair(window: &[u8]) -> bool {
    window.windows(2).any(|pair| pair.iter().all(u8::is_ascii_digit))
}

/// Whether a byte that is known to stand behind the window at `anchor` is none of those
/// that make it a number, nor what stands before.
pub(crate) fn is_short(text: &[u8], anchor: usize) -> bool {
    text.get(anchor + WINDOW).is_some_and(|byte| !is_simple(byte)) && !is_joined(text, anchor)
}

fn is_simple(byte: &u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'.')
}

/// Whether a group of digits stands before those at `at`, and `/` or `)` between them.
fn is_joined(text: &[u8], at: usize) -> bool {
    let signs = [1, 2, 3].map(|by| further_before(text, at, by));
    let joins = |sign: &Option<u8>| matches!(sign, Some(b'/' | b')'));
    signs.iter().any(joins) && group_before(text, at).is_some()
}

/// Whether `number` is most likely a time in seconds, of the years 2017 to 2033.
fn is_time(number: &[u8]) -> bool {
    number.len() == 10 && matches!(number, [b'1', b'5'..=b'9', ..]) && number.iter().all(u8::is_ascii_digit)
}

/// Whether the digits at `anchor` are too many, or before or behind the point of
/// a decimal or a version: `0.1234567`.
pub(crate) fn is_part(text: &[u8], anchor: usize) -> bool {
    let digits = digits_at(text, anchor);
    let one_before = before(text, anchor) == Some(b'.')
        && is_digit(further_before(text, anchor, 2))
        && !is_digit(further_before(text, anchor, 3));
    digits > longest_group(text, anchor) || one_before || (digits == 1 && text.get(anchor + 1) == Some(&b'.'))
}

pub(super) fn digits_at(text: &[u8], at: usize) -> usize {
    text[at..].iter().take(LONGEST_GROUP + 2).take_while(|byte| byte.is_ascii_digit()).count()
}

fn longest_group(text: &[u8], at: usize) -> usize {
    LONGEST_GROUP + usize::from(text.get(at) == Some(&b'0'))
}

/// Whether a day is written at `at`: `2025-01-31`, `2025 01 31`, `31.01.2025`,
/// `20250131` or alike.
#[inline]
pub(crate) fn is_date(text: &[u8], at: usize) -> bool {
    let two = |at: usize| match *text.get(at..)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    };
    let is = |[year, month, day]: [usize; 3], end: usize| {
        matches!(two(at + year), Some(19 | 20))
            && two(at + year + 2).is_some()
            && matches!(two(at + month), Some(1..=12))
            && matches!(two(at + day), Some(1..=31))
            && !is_digit(text.get(at + end).copied())
    };
    let sign = |by: usize| text.get(at + by).copied().filter(|sign| matches!(sign, b'-' | b'.' | b'/' | b' '));
    match (sign(2), sign(4)) {
        (Some(sign), _) => text.get(at + 5) == Some(&sign) && (is([6, 3, 0], 10) || is([6, 0, 3], 10)),
        (_, Some(sign)) => text.get(at + 7) == Some(&sign) && is([0, 5, 8], 10),
        _ => is([0, 4, 6], 8),
    }
}

/// The start of the group of digits before the punctuation before `at`.
pub(super) fn group_before(text: &[u8], at: usize) -> Option<usize> {
    let back = |from: usize, most: usize, is: fn(u8) -> bool| {
        (0..most).take_while(|&by| further_before(text, from, by + 1).is_some_and(is)).count()
    };
    let gap = back(at, PUNCTUATION, |byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')'));
    let digits = back(at - gap, WIDEST, |byte| byte.is_ascii_digit());
    (gap > 0 && digits > 0 && !is_between(text, at - gap..at)).then(|| at - gap - digits)
}

/// Whether one number ends and another begins where this is between two groups:
/// `06 12 34 56 78 / 06 98 76 54 32`, not `030 / 1234567`, nor with an extension.
fn is_between(text: &[u8], gap: Range<usize>) -> bool {
    let is_wide = gap.len() > 1 && text[gap.clone()].contains(&b'/');
    if !is_wide || (digits_at(text, gap.end) < 3 && text.get(gap.end) != Some(&b'0')) {
        return false;
    }
    let widest = &text[gap.start.saturating_sub(WIDEST)..gap.start];
    let number = widest.iter().rev().take_while(|byte| is_simple(byte) || matches!(byte, b'(' | b')'));
    number.filter(|byte| byte.is_ascii_digit()).count() >= WHOLE
}

/// The start of the group of digits behind that at `at`.
pub(super) fn group_behind(text: &[u8], at: usize) -> Option<usize> {
    let behind = |from: usize, is: fn(&u8) -> bool| text[from..].iter().position(|byte| !is(byte)).map(|by| from + by);
    let gap = behind(at, u8::is_ascii_digit)?;
    behind(gap, |byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')'))
}

/// The longest number that begins with the group at `start`, with the parenthesis
/// before it if it is closed within; `Some(None)` where a list of other numbers does.
fn read(text: &[u8], start: usize) -> Option<Option<Range<usize>>> {
    let opened = before(text, start) == Some(b'(');
    if !number_begins(text, start - usize::from(opened)) || before(text, start) == Some(b'$') {
        return None;
    }
    let (mut number, mut at, mut best) = (National::default(), start + international_prefix(text, start), None);
    let mut brackets = Brackets { outer: opened, inner: false, closed: false };
    for _ in 0..GROUPS {
        let size = digits_at(text, at);
        if size == 0 || size > longest_group(text, at) || !number.push(&text[at..at + size]) {
            break;
        }
        at += size;
        let closes = brackets.inner && text.get(at) == Some(&b')');
        let end = at + usize::from(closes);
        // A parenthesis before the number that stays open is not the number's.
        if brackets.inner == closes && may_end(text, end, number.is_spaced()) && number.is_possible() {
            best = Some((!number.is_list()).then(|| start - usize::from(brackets.closed)..end));
        }
        let Some(gap) = gap(text, at, &mut brackets).filter(|gap| !is_between(text, at..at + gap)) else { break };
        number.separate(&text[at..at + gap]);
        at += gap;
    }
    best
}

/// Whether a number may end before `end`: more of the same number stands behind
/// white space only, of one with spaces alone not even there, and no unit of a
/// measure behind it.
fn may_end(text: &[u8], end: usize, spaced: bool) -> bool {
    let next = text.get(end).copied();
    let more = is_digit(text.get(end + 1).copied());
    let goes_on = more && (matches!(next, Some(b':' | b'/' | b',')) || (spaced && next == Some(b' ')));
    (number_ends(text, end) && !goes_on && !is_unit(text, end)) || extension_length(text, end).is_some()
}

/// Whether the unit of a measure stands at `at`, white space before it or not.
fn is_unit(text: &[u8], at: usize) -> bool {
    const UNITS: &[&[u8]] = &[b"ms", b"us", b"ns", b"sec", b"seconds", b"bytes", b"kb", b"mb", b"px", b"tokens", b"%"];
    let rest = text.get(at..).unwrap_or_default();
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    // Most often more digits follow, or nothing.
    if !rest.first().is_some_and(|&byte| byte == b'%' || byte.is_ascii_alphabetic()) {
        return false;
    }
    let word = rest.iter().take(8).take_while(|byte| byte.is_ascii_alphanumeric()).count().max(1);
    UNITS.iter().any(|unit| unit.eq_ignore_ascii_case(&rest[..word]))
}

/// The parentheses of a number.
struct Brackets {
    /// One before the number is open.
    outer: bool,
    /// One within it is.
    inner: bool,
    /// That before the number was closed.
    closed: bool,
}

/// The length of the punctuation before the next group.
fn gap(text: &[u8], at: usize, brackets: &mut Brackets) -> Option<usize> {
    for length in 0..=PUNCTUATION {
        match text.get(at + length)? {
            b'0'..=b'9' => return (length > 0).then_some(length),
            b' ' | b'-' | b'.' | b'/' => {}
            b'(' if !brackets.inner && !brackets.outer => brackets.inner = true,
            b')' if brackets.inner => brackets.inner = false,
            b')' if brackets.outer => (brackets.outer, brackets.closed) = (false, true),
            _ => return None,
        }
    }
    None
}

/// Words that say of the digits behind them that they are no phone number.
const OTHERS: &[&[u8]] = &[
    b"id",
    b"ids",
    b"uid",
    b"uuid",
    b"guid",
    b"pid",
    b"tid",
    b"sid",
    b"ts",
    b"time",
    b"timestamp",
    b"date",
    b"order",
    b"ticket",
    b"invoice",
    b"ref",
    b"reference",
    b"case",
    b"code",
    b"count",
    b"counter",
    b"total",
    b"sum",
    b"session",
    b"build",
    b"version",
    b"port",
    b"size",
    b"length",
    b"len",
    b"duration",
    b"offset",
    b"index",
    b"line",
    b"row",
    b"seq",
    b"hash",
    b"zip",
    b"pin",
    b"otp",
    b"price",
    b"amount",
    b"score",
    b"epoch",
    b"error",
    b"key",
    b"token",
    b"block",
    b"revision",
    b"commit",
    b"balance",
    b"budget",
    b"limit",
    b"imei",
    b"serial",
    b"stamp",
    b"ms",
    b"since",
    b"until",
    b"took",
    b"job",
    b"set",
    b"log",
    b"bug",
    b"tag",
    b"run",
    b"lot",
    b"sku",
    b"part",
    b"model",
    b"step",
];

/// What names of phone numbers, and words for them, begin or end with.
const STEMS: &[&[u8]] = &[
    b"phone",
    b"tel",
    b"fax",
    b"mobil",
    b"cel",
    b"numb",
    b"numm",
    b"numer",
    b"whatsapp",
    b"msisdn",
    b"handy",
    b"movil",
    b"landline",
    b"puhelin",
    b"ponsel",
    b"home",
    b"work",
    b"office",
    b"private",
    b"business",
];
/// Words so short join the number to what it is: `is`, `nr`, `al`, `ist`.
const JOINT: usize = 3;

/// Whether the name or word before `number` says that it is another thing:
/// `"n": "1234567"`, `phone_id=1234567`, `order 1234567`. Bare digits without a
/// leading zero have a word for phone right before them: no `fax sent 1234567`.
fn belongs_to_other(text: &[u8], number: Range<usize>) -> bool {
    let written = phone::written(&text[number.clone()]);
    let head = &text[number.start.saturating_sub(NAME)..number.start];
    let head = without(head, b" \t\"'(`#,");
    let named = matches!(head.last(), Some(b':' | b'='));
    let head = without(head, b" \t:=>.");
    // Of members key rules know the names.
    if named && matches!(head.last(), Some(b'"' | b'\'')) {
        return true;
    }
    let mut name = word_at_end(head);
    if matches!(name, b"is" | b"was") {
        name = word_at_end(without(&head[..head.len() - name.len()], b" "));
    }
    let last = name.iter().rposition(|byte| *byte == b'_').map_or(0, |at| at + 1);
    let rises = |pair: &[u8]| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase();
    let camel = name.windows(2).rposition(rises).filter(|_| !name.eq_ignore_ascii_case(b"whatsapp"));
    let compound = &name[last.max(camel.map_or(0, |at| at + 1))..];
    let is_phone = |word: &[u8]| STEMS.iter().any(|stem| begins_or_ends(word, stem));
    let is_other = OTHERS.iter().any(|other| other.eq_ignore_ascii_case(compound));
    let joint = compound.len() <= JOINT && (compound.len() == name.len() || matches!(compound, b"no" | b"nr" | b"num"));
    is_other || !(is_phone(compound) || joint || (compound.len() == name.len() && written))
}

/// `head` without the `signs` at its end.
fn without<'a>(head: &'a [u8], signs: &[u8]) -> &'a [u8] {
    let last = head.iter().rposition(|byte| !signs.contains(byte));
    &head[..last.map_or(0, |last| last + 1)]
}

/// The word that `head` ends with; none if letters beyond ASCII are a part of it.
fn word_at_end(head: &[u8]) -> &[u8] {
    let size = head.iter().rev().take_while(|&&byte| in_word(Some(byte))).count();
    let start = head.len() - size;
    if before(head, start).is_some_and(|byte| byte >= 0x80) { &[] } else { &head[start..] }
}

fn begins_or_ends(word: &[u8], stem: &[u8]) -> bool {
    let same = |part: Option<&[u8]>| part.is_some_and(|part| part.eq_ignore_ascii_case(stem));
    same(word.get(..stem.len())) || same(word.len().checked_sub(stem.len()).and_then(|at| word.get(at..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found from any digit, the earliest first.
    fn found(text: &str) -> Option<&str> {
        (0..text.len()).find_map(|anchor| extent(text.as_bytes(), anchor)).map(|range| &text[range])
    }

    #[test]
    fn numbers_are_found_whole_between_words() {
        for value in [
            "0171 3920091",
            "0171/3920091",
            "(030) 1234567",
            "030-1234567",
            "06 12 34 56 78",
            "06.12.34.56.78",
            "612 345 678",
            "612345678",
            "8 (912) 345-67-89",
            "(06 1) 234 5678",
            "(11) 91234-9383",
            "090-1234-5678",
            "0800 1 234 567",
            "900 2 34567",
            "12 34 56 78",
            "030 1234567 ext. 12",
            "01234567890",
            "011 44 20 7946 0958",
            "00 49 171 2345678",
            "0011-61-2-9876-5432",
            "089/654321",
            "(089) 654321",
            "06221/123456",
            "030 / 1234567",
        ] {
            for (before, after) in
                [("", ""), ("phone: ", "."), ("(tel ", ")"), ("\"", "\""), ("phone=", "&x"), ("tel. ", ", ok")]
            {
                let text = format!("{before}{value}{after}");
                assert_eq!(found(&text), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn two_numbers_beside_each_other_are_two() {
        for (text, second) in [
            ("06 12 34 56 78 / 06 98 76 54 32", "06 98 76 54 32"),
            ("030 1234567 / 040 7654321", "040 7654321"),
            ("(030) 1234567 / (040) 7654321", "(040) 7654321"),
        ] {
            let start = text.len() - second.len();
            let from = |anchor| extent(text.as_bytes(), anchor).map(|range| &text[range]);
            let found: Vec<&str> = (start..text.len()).filter_map(from).collect();
            assert!(!found.is_empty() && found.iter().all(|&found| found == second), "{text}: {found:?}");
        }
    }

    #[test]
    fn dates_times_decimals_versions_hosts_and_lists_stay() {
        for text in [
            "2024-01-02",
            "2024 01 02",
            "31.01.2025",
            "20240102",
            "2024-01-02 10:15:00",
            "1700000000",
            "1700000000123",
            "0.1234567",
            "12.3456789",
            "1.234.567",
            "10.0.19041.3803",
            "192.168.204.119",
            "1 234 567",
            "100 200 300",
            "2023 2024 2025",
            "404 500 502 503",
            "12/34/56/78",
            "1234567 ms",
            "1234567%",
            "00000000",
            "0033612345678",
            "x1234567",
            "1234567x",
            "$1234567",
            "12 34",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn another_name_or_word_before_a_number_says_what_it_is() {
        for text in [
            "phone_id: 0171 3920091",
            "phone_verified_at=1234567",
            "callId: 0171 3920091",
            "order 0171 3920091",
            "\"n\": \"0171 3920091\"",
            "fax sent 1234567",
            "phone job is 1234567",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        for text in [
            "phone_no: 1234567",
            "homePhone: 1234567",
            "phone is 1234567",
            "Telefon-Nr. 1234567",
            "fax sent 0171 3920091",
        ] {
            assert!(found(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_follows_a_number_is_left_alone() {
        for (text, value) in [
            ("0171 3920091 2025-01-01", "0171 3920091"),
            ("(06 12 34 56 78)", "06 12 34 56 78"),
            ("2025-01-01 0171 3920091", "0171 3920091"),
            ("030 1234567, 45 days", "030 1234567"),
            ("06 12 34 56 78 / 06 98 76 54 32", "06 12 34 56 78"),
            ("020 7946 0958 / 020 7946 0959", "020 7946 0958"),
            ("030 1234567 / 22", "030 1234567 / 22"),
        ] {
            assert_eq!(found(text), Some(value), "{text}");
        }
    }
}
