//! Payment card numbers: 13 to 19 digits, contiguous or grouped by single
//! spaces or dashes as printed (4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4).
//!
//! Any digit may be the anchor, and every digit of a number gives the same
//! extent: the first start of a group to the left from which a number reaches
//! over the anchor decides. Groups of four among others of hexadecimal digits,
//! or each one more than the one before, are a table of code points.

use super::{number_begins, number_ends};
use crate::validator::card;
use std::ops::Range;

/// Fewest and most digits.
const DIGITS: (usize, usize) = (13, 19);
/// Longest number with its separators: 4-4-4-4-3.
const LONGEST: usize = 23;
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
        .filter(|&start| number_begins(text, start) && !follows_iban_head(text, start))
        .find_map(|start| number_at(text, start).filter(|range| range.contains(&anchor)))
}

/// Whether the first group of an IBAN, `DE89 `, stands before `start`.
fn follows_iban_head(text: &[u8], start: usize) -> bool {
    match start.checked_sub(5).and_then(|head| text.get(head..start)) {
        Some([country @ .., check, digit, b' ']) => {
            country.iter().all(u8::is_ascii_uppercase) && check.is_ascii_digit() && digit.is_ascii_digit()
        }
        _ => false,
    }
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
    if digits > GROUPINGS[0][0] {
        return (DIGITS.0..=DIGITS.1).contains(&digits).then(|| valid(digits))?;
    }
    GROUPINGS.iter().find_map(|groups| grouped(rest, groups).and_then(valid))
}

/// Whether the groups of four stand in a table of hexadecimal numbers: beside
/// one with a letter, or as numbers that count up.
fn is_tabular(text: &[u8], number: Range<usize>) -> bool {
    const GROUP: usize = 4;
    let hexadecimal = |group: Option<&[u8]>| {
        group.is_some_and(|group| group.iter().all(u8::is_ascii_hexdigit) && group.iter().any(u8::is_ascii_alphabetic))
    };
    let beside = |at: usize, separator: Option<usize>| {
        separator.and_then(|at| text.get(at)) == Some(&b' ') && hexadecimal(text.get(at..at + GROUP))
    };
    let left = number.start.checked_sub(GROUP + 1).is_some_and(|at| beside(at, number.start.checked_sub(1)));
    let groups = text.get(number.clone()).unwrap_or_default().split(|&byte| byte == b' ');
    let values: Vec<u16> =
        groups.filter_map(|group| std::str::from_utf8(group).ok().and_then(|text| text.parse().ok())).collect();
    let counts_up = values.len() == GROUP && values.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    left || beside(number.end + 1, Some(number.end)) || counts_up
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
            for text in
                [value.to_owned(), format!("card:{value}."), format!("({value}) 12/27"), format!("2 {value} 123")]
            {
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
