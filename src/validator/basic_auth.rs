//! Credentials of HTTP basic authentication (RFC 7617): base64 of
//! `user:password`, of which one may be empty.

use super::base64;

/// Most decoded bytes; longer ones are no user's.
const CREDENTIALS: usize = 512;
/// Fewest decoded bytes that are worth a secret's name.
const SHORTEST: usize = 4;

/// Whether `value` decodes to printable text with a colon in it.
pub fn accepts(value: &[u8]) -> bool {
    let Some(decoded) = base64::decode::<CREDENTIALS>(value) else { return false };
    let Ok(text) = std::str::from_utf8(decoded.bytes()) else { return false };
    !decoded.truncated
        && text.len() > SHORTEST
        && text.contains(':')
        && !text.chars().any(char::is_control)
        && !text.trim_matches(':').trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_password_are_accepted() {
        for value in [
            "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Y2hsb2U6SHNxZHp0QjFOcDkwV3c",
            // pk:pässwörd
            "cGs6cMOkc3N3w7ZyZA==",
            // a write key without a password
            "d3JpdGVrZXkxMjM6",
        ] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for value in ["", "password", "realm", "Og==", "Ojo6Ojo6", "cGFzc3dvcmQ=", "AAECOgMEBQ==", "a b:c"] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
