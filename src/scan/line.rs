//! Lines of text that belong together.
//!
//! In text a line feed is a fence, which no match crosses. But configuration, code
//! and mail put a value below its name: an indented line belongs to the one before,
//! and so does what stands behind a colon at the end of a line.
//!
//! ```text
//! - name: API_TOKEN        password: |          Phone:
//!   value: ...               ...                0171 ...
//! ```

/// Of the line `feeds` in a block that begins at `start` of `data`, those that are fences.
pub(super) fn ends_among(feeds: u64, data: &[u8], start: usize) -> u64 {
    let (mut left, mut ends) = (feeds, 0);
    while left != 0 {
        let bit = left & left.wrapping_neg();
        left ^= bit;
        if self::ends(data, start + bit.trailing_zeros() as usize) {
            ends |= bit;
        }
    }
    ends
}

/// Whether the line feed at `at` is a fence. The last one of the data is none as long
/// as nobody knows what follows.
pub(super) fn ends(data: &[u8], at: usize) -> bool {
    let line = &data[..at];
    let goes_on = line.strip_suffix(b"\r").unwrap_or(line).ends_with(b":");
    !goes_on && data.get(at + 1).is_some_and(|next| !matches!(next, b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_lines_and_what_stands_behind_a_colon_go_on() {
        for text in ["a\n b", "a\n\tb", "a:\nb", "a:\r\nb", "a\r\n b", "a\n"] {
            assert!(!ends(text.as_bytes(), text.find('\n').unwrap_or_default()), "{text:?}");
        }
        for text in ["a\nb", "a\r\nb", "a: b\nc", "\n\n", "a\n-b"] {
            assert!(ends(text.as_bytes(), text.find('\n').unwrap_or_default()), "{text:?}");
        }
    }

    #[test]
    fn the_fences_of_a_block_are_those_of_its_line_feeds_that_end_a_line() {
        let text = b"a\nb\n c:\nd\n";
        let feeds = (0..text.len()).filter(|&at| text[at] == b'\n').map(|at| 1_u64 << at).sum();
        assert_eq!(ends_among(feeds, text, 0), 1 << 1);
    }
}
