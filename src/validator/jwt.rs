//! JSON web tokens (RFC 7519), judged by their header alone (RFC 7515, 4.1;
//! RFC 7516, 4.1), since the rest may be encrypted or cut off.

use super::base64;
use memchr::memmem;

/// Longest header looked into; those with a certificate chain are longer, and
/// begin with their algorithm or type all the same.
const HEADER: usize = 1024;

/// Whether the first segment of `token` is a JOSE header: a JSON object with
/// an `alg`, `enc` or `typ` member.
pub fn accepts(token: &[u8]) -> bool {
    let end = memchr::memchr(b'.', token);
    let segment = token.get(..end.unwrap_or(token.len())).unwrap_or_default();
    let Some(header) = base64::decode::<HEADER>(segment) else { return false };
    let json = header.bytes().trim_ascii();
    let whole = end.is_none() || header.truncated || json.ends_with(b"}");
    json.starts_with(b"{") && whole && [r#""alg""#, r#""enc""#, r#""typ""#].iter().any(|name| has_member(json, name))
}

/// Whether `name`, in its quotes, stands before a colon.
fn has_member(json: &[u8], name: &str) -> bool {
    memmem::find_iter(json, name).any(|at| {
        let after = json.get(at + name.len()..).unwrap_or_default();
        after.trim_ascii_start().first() == Some(&b':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_signed_and_encrypted_tokens_are_accepted() {
        for token in [
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe.48V1_ALb6US04U3b",
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "eyAiYWxnIiA6ICJub25lIiB9.e30.",
            // Cut off in the header.
            "eyJhbGciOiJIUzI1NiIsInR5",
        ] {
            assert!(accepts(token.as_bytes()), "{token}");
        }
    }

    #[test]
    fn other_segments_are_refused() {
        for token in [
            "",
            "eyJ",
            // {"foo":"alg"}
            "eyJmb28iOiJhbGcifQ.e30.x",
            // ["alg":1]
            "WyJhbGciOjFd.e30.x",
            // {"alg":"none" without its end
            "eyJhbGciOiJub25lIg.e30.x",
            "not base64!.e30.x",
            "eyJ-eyJ-eyJ-eyJ-",
        ] {
            assert!(!accepts(token.as_bytes()), "{token}");
        }
    }
}
