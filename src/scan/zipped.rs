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

/// How they begin there, in lower case; what is no ASCII may be written as it is. Of `x^`
/// the third byte is of a block of deflate (RFC 1951, section 3.2.3).
const SURE: [&[u8]; 4] = [br"\u001f\u008b", b"\\u001f\xc2\x8b", br"x\u009c", b"x\xc2\x9c"];
const UNSURE: [&[u8]; 6] = [br"x\u0001", br"x\u00da", b"x\xc3\x9a", br"x^\", b"x^\xc2", b"x^\xc3"];
const SHORT: &[u8] = b"x^";
/// Characters that are looked at.
const LOOK: usize = 48;

/// What the literal database looks for.
pub(super) fn marks() -> impl Iterator<Item = Vec<u8>> {
    // Of blocks that are compressed, and of the common kind the last one.
    let is_head = |byte: &u8| matches!(byte & 7, 3..=5) && !byte.is_ascii_uppercase() && !b"\"\\".contains(byte);
    let short = (b' '..=b'~').filter(is_head).map(|head| [SHORT, &[head]].concat());
    SURE.into_iter().chain(UNSURE).map(<[u8]>::to_vec).chain(short)
}

/// Whether a string begins at `at` of `raw`, or it may where that is its first byte.
pub(super) fn may_begin(raw: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_none_or(|before| raw[before] == b'"')
}

/// Whether what stands at `at` of `raw`, one of the [`marks`], begins a string of
/// compressed bytes.
pub(super) fn begins_string(raw: &[u8], at: usize, behind_quote: bool) -> bool {
    let is_first = at.checked_sub(1).map_or(behind_quote, |before| raw[before] == b'"');
    let is_sure = || SURE.iter().any(|mark| raw[at..].get(..mark.len()).is_some_and(|lead| is_mark(mark, lead)));
    is_first && (is_sure() || raw[at] == b'x' && holds_control(raw, at + 1))
}

/// Whether a string begins at `at` of `raw` as such do, asked the plain way.
pub(crate) fn begins(raw: &[u8], at: usize) -> bool {
    let is_one = |mark: Vec<u8>| raw[at..].get(..mark.len()).is_some_and(|lead| is_mark(&mark, lead));
    at > 0 && raw[at - 1] == b'"' && marks().any(is_one) && begins_string(raw, at, false)
}

fn is_mark(mark: &[u8], lead: &[u8]) -> bool {
    lead.eq_ignore_ascii_case(mark)
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
            Meaning::Byte(byte) => byte < b' ' && !b"\t\n\r".contains(&byte) || byte == 0x7f,
            Meaning::Char(char) => matches!(char, '\u{80}'..='\u{9f}'),
            Meaning::Quote(_) => return false,
        };
        // The same, written as it is.
        if control || matches!(raw[at..], [0xc2, 0x80..=0x9f, ..]) {
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
            r#"{"a":"x^\u00abV\u0001"}"#,
        ] {
            assert!(zipped(text), "{text}");
        }
        for text in [
            r#"{"a":"x^3 + y^3 = z^3\nfor no n"}"#,
            r#"{"a":"x^- 1", "b": "\u0001"}"#,
            r#"{"a":"x\u00daltimo \u00e9\f\t"}"#,
            "{\"a\":\"xÚltimo día\"}",
            r#"{"a":"ax\u009c"}"#,
            r#"{"a":"x"}"#,
        ] {
            assert!(!zipped(text), "{text}");
        }
    }
}
