//! Uploads in pieces: the head says how large the whole is, or where in it the
//! body stands. A body of another size would make that, or what the client says
//! with the next piece, untrue.

use super::respond::Failure;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue};

/// Where a body stands in the whole: RFC 9110 (section 14.4), and of what is
/// older than it.
static RANGES: [HeaderName; 2] = [CONTENT_RANGE, HeaderName::from_static("x-content-range")];

/// Sizes and places: tus (<https://tus.io/protocols/resumable-upload>), the
/// draft of the IETF that came of it, and Google's.
const SIZES: [&str; 6] = [
    "upload-offset",
    "upload-length",
    "upload-defer-length",
    "x-goog-upload-offset",
    "x-upload-offset",
    "x-amz-decoded-content-length",
];
/// Whether it is all that there is, in the draft.
const COMPLETE: HeaderName = HeaderName::from_static("upload-complete");

/// Of Google's: what the whole will have, told by the request that begins it. Its
/// own body tells of the whole and is none of it.
const WHOLE: HeaderName = HeaderName::from_static("x-upload-content-length");
const GOOG_WHOLE: HeaderName = HeaderName::from_static("x-goog-upload-header-content-length");
const GOOG_COMMAND: HeaderName = HeaderName::from_static("x-goog-upload-command");

/// What a request is refused with whose body would change, if the head tells its
/// size in this way.
pub(super) fn bound(headers: &HeaderMap) -> Option<Failure> {
    let ranged = RANGES.iter().any(|name| headers.get_all(name).iter().any(is_of_bytes));
    let sized = SIZES.iter().any(|name| headers.contains_key(*name));
    let unfinished = headers.get(COMPLETE).is_some_and(|value| value != "?1");
    (ranged || sized || unfinished || is_whole(headers)).then_some(Failure::Piece)
}

fn is_of_bytes(range: &HeaderValue) -> bool {
    let unit = range.as_bytes().split(|byte| b" =".contains(byte)).next().unwrap_or_default();
    // Of other things there are as many, however they are written.
    unit.eq_ignore_ascii_case(b"bytes") || unit.iter().any(u8::is_ascii_digit)
}

/// Whether what Google's headers tell the size of may be this body.
fn is_whole(headers: &HeaderMap) -> bool {
    let own = headers.get(CONTENT_LENGTH);
    let is_own = |told: &HeaderValue| own.is_none_or(|own| own == told);
    let begins_only = headers.get(GOOG_COMMAND).is_some_and(|command| command == "start");
    headers.get(WHOLE).is_some_and(is_own) || (headers.contains_key(GOOG_WHOLE) && !begins_only)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_bound(headers: &[(&'static str, &'static str)]) -> bool {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        bound(&pairs.collect()) == Some(Failure::Piece)
    }

    #[test]
    fn what_tells_the_size_of_a_whole_binds_its_pieces() {
        for header in [
            ("content-range", "bytes 0-53/54"),
            ("content-range", "Bytes 0-53/*"),
            ("content-range", "0-53/54"),
            ("x-content-range", "bytes 0-53/54"),
            ("upload-offset", "0"),
            ("upload-length", "54"),
            ("upload-complete", "?0"),
            ("x-upload-content-length", "54"),
            ("x-goog-upload-offset", "0"),
            ("x-goog-upload-header-content-length", "54"),
        ] {
            assert!(is_bound(&[header]), "{header:?}");
        }
        for header in [("content-range", "items 0-9/10"), ("upload-complete", "?1"), ("x-upload-content-type", "a/b")] {
            assert!(!is_bound(&[header]), "{header:?}");
        }
    }

    #[test]
    fn what_begins_an_upload_is_not_the_upload() {
        let (whole, start) = (("x-upload-content-length", "54"), ("x-goog-upload-command", "start"));
        assert!(is_bound(&[whole, ("content-length", "54")]));
        assert!(!is_bound(&[whole, ("content-length", "33")]));
        let sized = ("x-goog-upload-header-content-length", "54");
        assert!(!is_bound(&[sized, start]));
        assert!(is_bound(&[sized, ("x-goog-upload-command", "start, upload, finalize")]));
    }
}
