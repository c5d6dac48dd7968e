//! US social security numbers: `ddd-dd-dddd`.

use super::{number_begins, number_ends};
use crate::validator::us_ssn;
use std::ops::Range;

const LENGTH: usize = 11;

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
