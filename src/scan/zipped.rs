//! Compressed bytes written as a text of JSON, a character for each, as rrweb's are in
//! PostHog's recordings: whoever decodes them finds what cannot be seen here.
//!
//! ```text
//! {"cv": "2024-10", "data": "\u001f\u008b\b\u0000..."}
//! ```
//!
//! gzip and the common level of zlib begin as no text does. Of the other levels of zlib the
//! second character is one of text, or may be, so what follows counts: compressed bytes have
//! a control character among any few, text has none.

use super::unit::{Meaning, unit};

/// How they begin in raw bytes, in lower case; what is no ASCII may be written as it is.
const MARKS: [&[u8]; 8] =
    [br"\u001f\u008b", b"\\u001f\xc2\x8b", br"x\u009c", b"x\xc2\x9c", br"x\u0001", br"x\u00da", b"x\xc3\x9a", br"x^\"];
/// How they do as text, which counts, in the levels of JSON within JSON, too. A third byte
/// that is not here is one that a block of deflate begins with, see [`is_head`].
const GZIP: &[u8] = b"\x1f\xc2\x8b";
const ZLIB: [&[u8]; 2] = [b"x\xc2\x9c", b"x\xc3\x9a"];
const SHORT: [&[u8]; 2] = [b"x\x01", b"x^"];
const ESCAPE: u8 = 0x1b;
/// A line's end on some machines.
const NEXT_LINE: char = '\u{85}';
/// Characters that are looked at.
const LOOK: usize = 48;

/// What the literal database looks for.
pub(super) fn marks() -> impl Iterator<Item = Vec<u8>> {
    let heads = || (0..=u8::MAX).filter(|&byte| is_head(byte) && !byte.is_ascii_uppercase());
    let short = SHORT.into_iter().flat_map(move |lead| heads().map(move |head| [lead, &[head]].concat()));
    let whole = MARKS.into_iter().chain(ZLIB.into_iter().chain([GZIP])).map(<[u8]>::to_vec);
    let mut marks: Vec<Vec<u8>> = whole.chain(short).collect();
    marks.sort();
    marks.dedup();
    marks.into_iter()
}

/// Whether a block of deflate may begin with `byte`, or with a character that does: those
/// that are compressed (RFC 1951, section 3.2.3), of the common kind the last one, and such
/// as are stored.
fn is_head(byte: u8) -> bool {
    let is_block = matches!(byte & 7, 3..=5) && byte < 0x7f && !b"\"\\".contains(&byte);
    is_block || byte <= 1 || matches!(byte, 0xc2 | 0xc3)
}

/// Whether a string begins at `at` of `raw`, or it may where that is its first byte.
pub(super) fn may_begin(raw: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_none_or(|before| raw[before] == b'"')
}

/// Whether what stands at `at` of `raw`, one of the [`marks`], begins a string of
/// compressed bytes.
pub(super) fn begins_string(raw: &[u8], at: usize, behind_quote: bool) -> bool {
    let is_first = at.checked_sub(1).map_or(behind_quote, |before| raw[before] == b'"');
    is_first && is_zipped(raw, at)
}

fn is_zipped(raw: &[u8], at: usize) -> bool {
    let lead = lead(raw, at);
    let lead = lead.as_slice();
    let short =
        || matches!(lead, [_, _, head, ..] if is_head(*head)) && SHORT.iter().any(|short| lead.starts_with(short));
    lead.starts_with(GZIP)
        || lead.starts_with(ZLIB[0])
        || (lead.starts_with(ZLIB[1]) || short()) && holds_control(raw, at + 1)
}

/// The first three bytes of the text at `at`, and maybe more.
fn lead(raw: &[u8], mut at: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(8);
    while text.len() < 3 && at < raw.len() {
        let next = unit(raw, at);
        match next.meaning {
            Meaning::Byte(byte) => text.push(byte),
            Meaning::Char(char) => text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Meaning::Quote(_) => break,
        }
        at += next.len;
    }
    text
}

/// Whether a string begins at `at` of `raw` as such do, asked the plain way.
pub(crate) fn begins(raw: &[u8], at: usize) -> bool {
    at > 0 && raw[at - 1] == b'"' && is_zipped(raw, at)
}

/// Whether a control character, but for white space, stands among the next ones of a string
/// or line.
fn holds_control(raw: &[u8], mut at: usize) -> bool {
    for _ in 0..LOOK {
        if at >= raw.len() {
            return false;
        }
        let next = unit(raw, at);
        if raw[at] == b'\n' {
            return false;
        }
        let control = match next.meaning {
            Meaning::Byte(b'\x0c') if next.escaped => false,
            // A terminal's colours.
            Meaning::Byte(ESCAPE) if raw.get(at + next.len) == Some(&b'[') => false,
            Meaning::Byte(byte) => byte < b' ' && !b"\t\n\r".contains(&byte) || byte == 0x7f,
            Meaning::Char(char) => matches!(char, '\u{80}'..='\u{9f}') && char != NEXT_LINE,
            Meaning::Quote(_) => return false,
        };
        // The same, written as it is.
        if control || matches!(raw[at..], [0xc2, 0x80..=0x84 | 0x86..=0x9f, ..]) {
            return true;
        }
        at += next.len;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zipped(body: &str) -> bool {
        let starts = 0..body.len();
        starts.into_iter().any(|at| begins(body.as_bytes(), at))
    }

    #[test]
    fn compressed_bytes_are_told_from_text() {
        for text in [
            r#"{"a":"\u001f\u008b\b"}"#,
            r#"{"a":"x\u009c"}"#,
            r#"{"a":"x\u0001+\u00ceHL+.\u00ccM\u0001\u0000"}"#,
            r#"{"a":"x\u00DA\u00ab\u0056\u0002\u008a"}"#,
            "{\"a\":\"x\u{da}abc\u{84}\"}",
            r#"{"a":"x^%\u0002"}"#,
            r#"{"a":"x^\u000bH,.."}"#,
            r#"{"d":"{\"a\":\"x^\\u0005\\u00c1\"}"}"#,
            r#"{"a":"x^\u00abV\u0001"}"#,
            r#"{"d":"{\"a\":\"\\u001f\\u008b\\b\"}"}"#,
            r#"{"d":"{\"a\":\"x\\u0001+\\u00ceHL\"}"}"#,
            r#"{"d":"{\"a\":\"x\\u00da\\u00ab\\u008a\"}"}"#,
            r#"{"e":"{\"d\":\"{\\\"a\\\":\\\"\\\\u001f\\\\u008b\\\"}\"}"}"#,
        ] {
            assert!(zipped(text), "{text}");
        }
        for text in [
            r#"{"a":"x^3 + y^3 = z^3\nfor no n"}"#,
            r#"{"a":"x^- 1", "b": "\u0001"}"#,
            r#"{"a":"x^3 + 2x \u001b[31mred\u001b[0m"}"#,
            r#"{"a":"xÚltimo\u0085"}"#,
            r#"{"d":"say \\u001f\\u008b or x\\u009c"}"#,
            r#"{"a":"x\u00daltimo \u00e9\f\t"}"#,
            "{\"a\":\"xÚltimo día\"}",
            r#"{"a":"ax\u009c"}"#,
            r#"{"a":"x"}"#,
        ] {
            assert!(!zipped(text), "{text}");
        }
    }
}
