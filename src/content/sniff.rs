//! What the first bytes of a body say about it.

use crate::redact::Format;

/// Enough bytes to tell UTF-16 and UTF-32 from UTF-8, and compressed bytes from
/// text.
pub(super) const PREFIX: usize = 6;

/// The first bytes are judged by so many at most: white space is skipped for
/// this long in search of what a body begins with.
pub(super) const MAX_PREFIX: usize = 1024;

/// Bytes that tell UTF-16 and UTF-32 from UTF-8.
const WIDE: usize = 4;

/// Whether `head` is enough to judge a body by.
pub fn suffices(head: &[u8]) -> bool {
    head.len() >= MAX_PREFIX || (head.len() >= PREFIX && begins_json(head).is_some())
}

/// Whether the text is UTF-16 or UTF-32: by its byte order mark, or by a NUL
/// among the first four bytes, which every such text in ASCII has and no JSON
/// or sensible text in UTF-8 does (RFC 4627, section 3). A text that begins in
/// another script shows its first NUL later: at its first space, say.
pub(super) fn is_wide(head: &[u8]) -> bool {
    let head = &head[..head.len().min(WIDE)];
    head.starts_with(&[0xfe, 0xff]) || head.starts_with(&[0xff, 0xfe]) || head.contains(&0)
}

/// Whether the bytes are compressed, whatever the headers say. An upstream that
/// looks for them too would find what a scan of the compressed bytes cannot.
/// What has no mark (deflate), or begins like text by chance, is not UTF-8.
pub(super) fn is_compressed(head: &[u8]) -> bool {
    const MARKS: [&[u8]; 7] = [
        b"\x1f\x8b",             // gzip
        b"\x28\xb5\x2f\xfd",     // zstd
        b"\x04\x22\x4d\x18",     // lz4
        b"\xfd\x37\x7a\x58\x5a", // xz
        b"x\x01",                // zlib, as far as its two bytes are not text
        b"x\x9c",
        b"x\xda",
    ];
    MARKS.iter().any(|mark| head.starts_with(mark)) || is_zlib(head) || is_bzip2(head)
}

/// Whether the bytes are those of a picture, of sound or of a film, and no text
/// that begins like one.
pub(super) fn is_media(head: &[u8]) -> bool {
    // Each at its place; some are of letters only.
    const MARKS: [(usize, &[u8]); 12] = [
        (0, b"\x89PNG\r\n\x1a\n"),
        (0, b"\xff\xd8\xff"), // JPEG
        (0, b"GIF87a"),
        (0, b"GIF89a"),
        (8, b"WEBP"),
        (8, b"WAVE"),
        (8, b"AVI "),
        (0, b"ID3"), // before MP3
        (0, b"OggS"),
        (0, b"fLaC"),
        (4, b"ftyp"),             // MP4 and its kin
        (0, b"\x1a\x45\xdf\xa3"), // WebM
    ];
    let has = |&(at, mark): &(usize, &[u8])| head.get(at..).is_some_and(|head| head.starts_with(mark));
    // A frame of MPEG audio, layers II and III, or AAC. Two bytes more begin UTF-16.
    let is_frame = matches!(head, [0xff, 0xe2 | 0xe3 | 0xf0..=0xf5 | 0xf8..=0xfd, _, ..]);
    let is_text = || std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    (MARKS.iter().any(has) || is_frame) && (head.contains(&0) || !is_text())
}

/// A header whose two bytes may be text: `x^2` is, unless what follows is not
/// (RFC 1950, section 2.2).
pub(super) fn is_zlib(head: &[u8]) -> bool {
    let &[method @ b'x', flags, third, ..] = head else { return false };
    u16::from_be_bytes([method, flags]).is_multiple_of(31) && !third.is_ascii()
}

/// `BZh`, a level, and the first byte of a block's mark or of the end's.
fn is_bzip2(head: &[u8]) -> bool {
    matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', ..] | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, ..])
}

/// Whether the first bytes begin a JSON text; `None` when they do not tell yet.
/// A bracket alone does not: `[db]` begins an INI file, `{name}` a template.
pub(super) fn begins_json(head: &[u8]) -> Option<bool> {
    let (first, rest) = skip(head)?;
    let after = skip(rest).map(|(byte, _)| byte);
    let next = rest.first().copied();
    match first {
        b'"' => Some(true),
        b'{' => after.map(|byte| matches!(byte, b'"' | b'}')),
        b'[' => after.map(|byte| matches!(byte, b'"' | b'{' | b'[' | b']' | b'-' | b't' | b'f' | b'n' | b'0'..=b'9')),
        b'-' => next.map(|byte| byte.is_ascii_digit()),
        b'0'..=b'9' => {
            next.map(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace() || matches!(byte, b'.' | b'e' | b'E'))
        }
        b't' => next.map(|byte| byte == b'r'),
        b'f' => next.map(|byte| byte == b'a'),
        b'n' => next.map(|byte| byte == b'u'),
        _ => Some(false),
    }
}

/// The format of a text that begins with `head`, where nothing tells: JSON if it
/// begins as an object or an array.
pub fn format(head: &[u8]) -> Format {
    let has_bracket = matches!(skip(head), Some((b'{' | b'[', _)));
    if has_bracket && begins_json(head).unwrap_or(true) { Format::Json } else { Format::Text }
}

/// Whether what is said to be JSON begins with a mark that its readers skip: a record
/// separator (RFC 7464), or `)]}'`, which keeps browsers from running it.
pub(super) fn is_marked(head: &[u8]) -> bool {
    matches!(skip(head), Some((b'\x1e' | b')', _)))
}

/// The first byte that is neither white space nor part of a UTF-8 byte order
/// mark, and what follows it.
fn skip(head: &[u8]) -> Option<(u8, &[u8])> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let (first, rest) = head.trim_ascii_start().split_first()?;
    Some((*first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_known_by_their_marks_unless_they_are_text() {
        for head in [
            &b"\x89PNG\r\n\x1a\n"[..],
            b"\xff\xd8\xff\xe0\0",
            b"GIF89a\x01\0",
            b"RIFF\x24\0\0\0WAVEfmt ",
            b"RIFF\x24\0\0\0WEBPVP8 ",
            b"ID3\x04\0",
            b"\xff\xfb\x90d",
            b"OggS\0",
            b"fLaC\0",
            b"\0\0\0\x20ftypisom",
            b"\x1a\x45\xdf\xa3\x9fB\x86\x81",
        ] {
            assert!(is_media(head), "{head:?}");
        }
        for head in [
            &b""[..],
            b"GIF89a is a format",
            b"ID3 of bob",
            b"RIFF, and WAVE",
            b"\xff\xfeb\0o\0b\0",
            b"\xfe\xff\0b",
            b"b\0o\0b\0",
            b"\x89PN",
            b"\xc3\xa9t\xc3",
        ] {
            assert!(!is_media(head), "{head:?}");
        }
    }

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
        for head in [
            &b"\x1f\x8b\x08\x08"[..],
            b"\x28\xb5\x2f\xfd",
            b"\x04\x22\x4d\x18",
            b"\xfd7zXZ\0",
            b"x\x01\x4b",
            b"x\x9c\xab\x56",
            b"x\xda\xab\x56",
            b"x^\xab\x56",
            b"BZh91AY&SY",
            b"BZh9\x17rE8P\x90",
        ] {
            assert!(is_compressed(head), "{head:x?}");
        }
        for head in [&b"x^2 + 1"[..], b"{\"a\"", b"BZh is a mark", b"x", b""] {
            assert!(!is_compressed(head), "{head:x?}");
        }
    }

    #[test]
    fn a_bracket_needs_a_token_of_json_after_it() {
        for json in ["{\"a\"", " {\n}", "[ ]", "[[", "[-1", "[true", "\u{feff} [\"", "\"x", "-1", "10", "1 ", "null"] {
            assert_eq!(begins_json(json.as_bytes()), Some(true), "{json}");
        }
        for text in ["[db]\n", "{name}", "{{x}}", "[*]", "hello", "-N", "0N", "5u", "\u{e9}"] {
            assert_eq!(begins_json(text.as_bytes()), Some(false), "{text}");
        }
        for open in ["", "  ", "[", "{ \n", "-", "1", "t"] {
            assert_eq!(begins_json(open.as_bytes()), None, "{open}");
        }
    }
}
