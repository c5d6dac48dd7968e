//! Compressed bytes written as a text of JSON, a character for each, as rrweb's are in
//! PostHog's recordings: whoever decodes them finds what cannot be seen here.
//!
//! ```text
//! {"cv": "2024-10", "data": "\u001f\u008b\b\u0000..."}
//! ```

/// How gzip and zlib begin there, in lower case; what is no ASCII may be written as it is.
pub(super) const MARKS: [&[u8]; 4] = [br"\u001f\u008b", b"\\u001f\xc2\x8b", br"x\u009c", b"x\xc2\x9c"];

/// Whether what stands at `at` of `raw`, one of the [`MARKS`], begins a string.
pub(super) fn begins_string(raw: &[u8], at: usize, behind_quote: bool) -> bool {
    at.checked_sub(1).map_or(behind_quote, |before| raw[before] == b'"')
}

/// Whether a string begins at `at` of `raw` as such do, asked the plain way.
pub(crate) fn begins(raw: &[u8], at: usize) -> bool {
    let is_mark = |mark: &[u8]| raw[at..].get(..mark.len()).is_some_and(|lead| lead.eq_ignore_ascii_case(mark));
    begins_string(raw, at, false) && MARKS.into_iter().any(is_mark)
}
