//! International bank account numbers: contiguous, or in groups of four with
//! single spaces (ISO 13616's print format) or dashes.

use super::{in_word, word_before};
use crate::validator::iban;
use std::ops::Range;

const GROUP: usize = 4;

/// The number whose first letter is at `anchor`.
pub(super) fn extent(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    if word_before(text, anchor) {
        return None;
    }
    let rest = text.get(anchor..)?;
    let country = [*rest.first()?, *rest.get(1)?];
    let length = iban::length(country)?;
    let size = match rest.get(GROUP) {
        Some(b' ' | b'-') => length + (length - 1) / GROUP,
        _ => length,
    };
    let value = rest.get(..size)?;
    let end = anchor + size;
    (grouped(value, length) && !in_word(text.get(end).copied()) && iban::accepts(value)).then_some(anchor..end)
}

/// Whether separators stand after every fourth character or nowhere, all alike.
fn grouped(value: &[u8], length: usize) -> bool {
    if value.len() == length {
        return value.iter().all(u8::is_ascii_alphanumeric);
    }
    let separator = value.get(GROUP);
    value.chunks(GROUP + 1).all(|chunk| {
        let (group, after) = chunk.split_at(chunk.len().min(GROUP));
        group.iter().all(u8::is_ascii_alphanumeric) && after.iter().all(|byte| Some(byte) == separator)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, anchor: usize) -> Option<&str> {
        extent(text.as_bytes(), anchor).map(|range| &text[range])
    }

    #[test]
    fn both_formats_are_found_whole() {
        for value in [
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "DE89-3704-0044-0532-0130-00",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
        ] {
            assert_eq!(found(value, 0), Some(value));
            assert_eq!(found(&format!("IBAN:{value}, please"), 5), Some(value));
            assert_eq!(found(&format!("({value}) or"), 1), Some(value));
        }
    }

    #[test]
    fn text_around_a_number_is_left_alone() {
        let text = "to DE89 3704 0044 0532 0130 00 by noon";
        assert_eq!(found(text, 3), Some("DE89 3704 0044 0532 0130 00"));
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "DE99054706699090905883",
            "DE893704004405320130001",
            "DE89370400440532013000X",
            "DE89370400440532013000_",
            "DE89 3704 00440532 0130 00",
            "DE89 3704-0044 0532 0130 00",
            "DE8937040044053201300",
            "ZZ89370400440532013000",
            "DE",
            "",
        ] {
            assert_eq!(found(text, 0), None, "{text}");
        }
        assert_eq!(found("XDE89370400440532013000", 1), None);
    }
}
