//! Payment card numbers: 13 to 19 digits, contiguous or grouped by single
//! spaces or dashes as printed (4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4).
//!
//! Any digit may be the anchor, and every digit of a number gives the same
//! extent: the first start of a group to the left from which a number reaches
//! over the anchor decides. Groups of four among others of hexadecimal digits,
//! or each one more than the one before, are a table of code points.

use super::{iban, is_code, is_mixed_code, number_begins, number_ends, plus_at_line};
use crate::validator::card;
use std::ops::Range;

/// Fewest and most digits.
const DIGITS: (usize, usize) = (13, 19);
/// Longest number with its separators: 4-4-4-4-3.
const LONGEST: usize = 23;
/// Digits of most groups, as of those of IBANs and of code points.
const GROUP: usize = 4;
/// The group lengths in print, the longest first.
const GROUPINGS: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];

/// The number that holds the digit at `anchor`.
pub(super) fn extent(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    text.get(anchor).filter(|byte| byte.is_ascii_digit())?;
    let leftmost = anchor.saturating_sub(LONGEST - 1);
    let mut run = anchor;
    while run > leftmost && text.get(run - 1).is_some_and(|byte| matches!(byte, b'0'..=b'9' | b' ' | b'-')) {
        run -= 1;
    }
    (run..=anchor)
        .filter(|&start| text.get(start).is_some_and(u8::is_ascii_digit))
        .filter(|&start| (number_begins(text, start) || plus_at_line(text, start)) && !is_in_iban(text, start))
        .find_map(|start| number_at(text, start).filter(|range| range.contains(&anchor)))
}

/// Whether `start` lies behind the first group of an IBAN, `DE89 `.
fn is_in_iban(text: &[u8], start: usize) -> bool {
    start.checked_sub(GROUP + 1).is_some_and(|head| iban::extent(text, head).is_some_and(|iban| iban.end > start))
}

/// The number that begins at `start`.
fn number_at(text: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = text.get(start..)?;
    let digits = rest.iter().take(DIGITS.1 + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let valid = |length: usize| {
        let end = start + length;
        let value = text.get(start..end)?;
        (number_ends(text, end) && card::accepts(value) && !is_tabular(text, start..end)).then_some(start..end)
    };
    if digits > GROUP {
        return (DIGITS.0..=DIGITS.1).contains(&digits).then(|| valid(digits))?;
    }
    GROUPINGS.iter().find_map(|groups| grouped(rest, groups).and_then(valid))
}

/// Whether the groups of four stand in a table of hexadecimal numbers: beside one with a
/// letter and a digit, with others or nothing beyond, or as numbers that count up.
fn is_tabular(text: &[u8], number: Range<usize>) -> bool {
    let groups: Vec<&[u8]> = text.get(number.clone()).unwrap_or_default().split(|&byte| byte == b' ').collect();
    if groups.len() != GROUP || !groups.iter().all(|group| is_code(group)) {
        return false;
    }
    let value = |group: &&[u8]| std::str::from_utf8(group).ok().and_then(|text| text.parse::<u16>().ok());
    let values: Vec<u16> = groups.iter().filter_map(value).collect();
    let (before, behind) = (text.get(..number.start), text.get(number.end..));
    let before = before.and_then(|before| before.strip_suffix(b" "));
    let behind = behind.and_then(|behind| behind.strip_prefix(b" "));
    values.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]))
        || before.is_some_and(|before| is_row(before.rsplit(u8::is_ascii_whitespace)))
        || behind.is_some_and(|behind| is_row(behind.split(u8::is_ascii_whitespace)))
}

/// Whether `words`, the nearest first, go on with what only a table has.
fn is_row<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> bool {
    words.next().is_some_and(is_mixed_code) && words.next().is_none_or(|word| word.is_empty() || is_code(word))
}

/// The length of the number at the start of `text`, grouped so by one kind of
/// separator.
fn grouped(text: &[u8], groups: &[usize]) -> Option<usize> {
    let separator = text.get(groups.first().copied()?).filter(|byte| matches!(byte, b' ' | b'-'))?;
    let mut at = 0;
    for (index, &size) in groups.iter().enumerate() {
        if index > 0 {
            text.get(at).filter(|&byte| byte == separator)?;
            at += 1;
        }
        let group = text.get(at..at + size)?;
        if !group.iter().all(u8::is_ascii_digit) {
            return None;
        }
        at += size;
    }
    text.get(at).is_none_or(|byte| !byte.is_ascii_digit()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found from every digit of `text`, each extent once.
    fn found(text: &str) -> Vec<&str> {
        let mut ranges: Vec<_> = (0..text.len()).filter_map(|anchor| extent(text.as_bytes(), anchor)).collect();
        ranges.dedup();
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn every_digit_of_a_number_gives_its_extent() {
        for value in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "3782 822463 10005",
            "378282246310005",
            "3056 930902 5904",
            "6200000000000005",
        ] {
            for text in [
                value.to_owned(),
                format!("card:{value}."),
                format!("({value}) 12/27"),
                format!("2 {value} 123"),
                format!("-1\n+{value}"),
            ] {
                let digits: Vec<usize> = text.match_indices(value).flat_map(|(at, _)| at..at + value.len()).collect();
                for anchor in digits.into_iter().filter(|&at| text.as_bytes()[at].is_ascii_digit()) {
                    let range = extent(text.as_bytes(), anchor);
                    assert_eq!(range.map(|range| text[range].to_owned()).as_deref(), Some(value), "{text} at {anchor}");
                }
            }
        }
    }

    #[test]
    fn two_numbers_are_two_findings() {
        assert_eq!(
            found("4111111111111111,5555555555554444 4242 4242 4242 4242"),
            ["4111111111111111", "5555555555554444", "4242 4242 4242 4242"]
        );
    }

    #[test]
    fn words_beside_a_number_do_not_hide_it() {
        for text in [
            "card added 4111 1111 1111 1111 ok",
            "uploaded 4111111111111111 today",
            "12ab 4111111111111111",
            "pay 4111 1111 1111 1111 deeds",
            "room 12ab 4111 1111 1111 1111",
            "face 4111 1111 1111 1111 feed",
            "4111 1111 1111 1111 12abc",
            "4111-1111-1111-1111 12ab",
            "3782 822463 10005 12ab",
            "FY24 4111111111111111",
            "FY24 4111 1111 1111 1111",
            "AT42 4111 1111 1111 1111",
            "REF42 4111-1111-1111-1111",
        ] {
            assert_eq!(found(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn look_alikes_stay() {
        for text in [
            "4111111111111112",
            "4383 4200 4562 0152",
            "41111111111111111",
            "14111111111111111",
            "x4111111111111111",
            "4111111111111111x",
            "4111111111111111_",
            "0.4111111111111111",
            "4111111111111111.5",
            "12-4111-1111-1111-1111",
            "4111-1111-1111-1111-22",
            "4111 1111-1111 1111",
            "4111  1111  1111  1111",
            "411 1111 1111 1111 1",
            "629417824651511376",
            "+4111111111111111",
            "RS35 2600 0560 1001 6113 79",
            "54E8 5546 5531 5617 5968 59be",
            "5546 5531 5617 5968 59BE",
            "5424 5425 5426 5427",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }
}
