//! US social security numbers: `ddd-dd-dddd`.

use super::national::{digits_at, group_before, group_behind};
use super::{number_begins, number_ends};
use crate::validator::us_ssn;
use std::ops::Range;

const LENGTH: usize = 11;
/// The groups in which [`us_ssn::accepts`] takes a number, some of them nobody's.
const GROUPS: [&[usize]; 4] = [&[3, 2, 4], &[3, 6], &[5, 4], &[9]];
/// Bytes of a number in groups that stand before one of them or from it on, and more.
const NEAR: usize = 16;

/// The number whose last digit is at `anchor`.
pub(super) fn extent(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    let end = anchor.checked_add(1)?;
    let start = end.checked_sub(LENGTH)?;
    let value = text.get(start..end)?;
    let shaped = value.iter().enumerate().all(|(index, byte)| match index {
        3 | 6 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    (shaped && number_begins(text, start) && number_ends(text, end) && us_ssn::accepts(value)).then_some(start..end)
}

/// Whether a number that [`us_ssn::accepts`] may have a group that begins at `anchor` of
/// `raw`, however the groups are parted: a quick look, which takes whatever has escapes.
pub(crate) fn may_surround(raw: &[u8], anchor: usize) -> bool {
    let Some(near) = anchor.checked_sub(NEAR).and_then(|from| raw.get(from..anchor + NEAR)) else { return true };
    let size = digits_at(near, NEAR);
    let is_grouped = |groups: &[usize], index: usize| {
        let first = (0..index).try_fold(NEAR, |at, _| group_before(near, at));
        let behind = |first| std::iter::successors(Some(first), |&at| group_behind(near, at));
        first.is_some_and(|first| {
            behind(first).take(groups.len()).map(|at| digits_at(near, at)).eq(groups.iter().copied())
        })
    };
    let places = |groups: &&[usize]| (0..groups.len()).any(|index| groups[index] == size && is_grouped(groups, index));
    GROUPS.iter().any(places) || memchr::memchr2(b'\\', b'%', near).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number found with its last digit at the last digit of `text`.
    fn found(text: &str) -> Option<&str> {
        let anchor = text.rfind(|character: char| character.is_ascii_digit()).unwrap_or_default();
        extent(text.as_bytes(), anchor).map(|range| &text[range])
    }

    #[test]
    fn numbers_are_found_whole() {
        for text in ["078-05-1123", "ssn:078-05-1123.", "(900-69-5311)", "SSN=078-05-1123;", "é078-05-1123é"] {
            assert!(found(text).is_some_and(|value| value.len() == LENGTH), "{text}");
        }
    }

    #[test]
    fn a_quick_look_rules_out_nothing_that_is_accepted() {
        let mut seen = 0;
        for gaps in [["", ""], [" ", ""], ["", " "], [" ", " "], ["  ", ""], ["", ".. "], ["-", "   "], [" - ", ". ."]]
        {
            let number = format!("457{}55{}5462", gaps[0], gaps[1]);
            let text = format!("{} x {number}, {}", "lorem ipsum ".repeat(9), "dolor ".repeat(9));
            let text = text.as_bytes();
            for anchor in 1..text.len() {
                let begins = text[anchor].is_ascii_digit() && !text[anchor - 1].is_ascii_digit();
                let found = if begins { super::super::national::extent(text, anchor) } else { None };
                if found.is_some_and(|found| us_ssn::accepts(&text[found])) {
                    assert!(may_surround(text, anchor), "{number} from {anchor}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 8, "{seen}");
    }

    #[test]
    fn parts_of_longer_numbers_and_invalid_ones_stay() {
        for text in [
            "1078-05-1123",
            "1-078-05-1123",
            "a078-05-1123",
            "078-05-11234",
            "078-05-1123-4",
            "078-05-1123x",
            "078-05-1123.5",
            "666-00-0201",
            "078-0511-23",
            "-05-1123",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
