//! What the first bytes of a body say about it.

/// Enough bytes to tell UTF-16 and UTF-32 from UTF-8.
pub(super) const PREFIX: usize = 4;

/// Whether the text is UTF-16 or UTF-32: by its byte order mark, or by a NUL
/// among the first four bytes, which every such text in ASCII has and no JSON
/// or sensible text in UTF-8 does (RFC 4627, section 3).
pub(super) fn is_wide(head: &[u8]) -> bool {
    let head = &head[..head.len().min(PREFIX)];
    head.starts_with(&[0xfe, 0xff]) || head.starts_with(&[0xff, 0xfe]) || head.contains(&0)
}

/// Whether the bytes are compressed, whatever the headers say: gzip, zstd, or
/// zlib as far as its two bytes are not text. An upstream that looks for them
/// too would find what a scan of the compressed bytes cannot.
pub(super) fn is_compressed(head: &[u8]) -> bool {
    const MARKS: [&[u8]; 5] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"x\x01", b"x\x9c", b"x\xda"];
    MARKS.iter().any(|mark| head.starts_with(mark))
}

/// The first byte that is neither white space nor part of a UTF-8 byte order
/// mark.
pub(super) fn first_byte(head: &[u8]) -> Option<u8> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_encodings_are_seen_with_and_without_a_mark() {
        let wide = |text: &str, big: bool| -> Vec<u8> {
            let unit = |unit: u16| {
                if big { unit.to_be_bytes() } else { unit.to_le_bytes() }
            };
            text.encode_utf16().flat_map(unit).collect()
        };
        for text in ["{\"a\"", "\u{feff}{}", "[1]"] {
            assert!(is_wide(&wide(text, true)) && is_wide(&wide(text, false)));
        }
        assert!(is_wide(b"\0\0\0{"));
        assert!(!is_wide(b"{\"a\""));
        assert!(!is_wide("\u{feff}{}".as_bytes()));
    }

    #[test]
    fn compressed_bytes_are_no_text() {
        for head in [&b"\x1f\x8b\x08\x08"[..], b"\x28\xb5\x2f\xfd", b"x\x9c\xab\x56", b"x\xda\xab\x56"] {
            assert!(is_compressed(head), "{head:x?}");
        }
        assert!(!is_compressed(b"x^2 + 1") && !is_compressed(b"{\"a\""));
    }

    #[test]
    fn white_space_and_the_mark_are_skipped() {
        assert_eq!(first_byte(b" \r\n\t{"), Some(b'{'));
        assert_eq!(first_byte(b"\xef\xbb\xbf ["), Some(b'['));
        assert_eq!(first_byte(b"  "), None);
    }
}
