//! Private keys in pieces that are longer than what may wait.

/// Whether a private key goes on, by the last bytes of a text: where the text has to end
/// before the key does, the next one begins within it.
#[derive(Default)]
pub(super) struct Secret {
    tail: Vec<u8>,
    /// The last mark was one of a beginning.
    begun: bool,
    pub(super) is_open: bool,
}

impl Secret {
    /// Takes what comes next of the text.
    pub(super) fn see(&mut self, raw: &[u8]) {
        let seen = self.tail.len();
        self.tail.extend_from_slice(raw);
        for end in seen + 1..=self.tail.len() {
            let text = &self.tail[..end];
            if text.ends_with(BEGIN) {
                self.begun = true;
            } else if text.ends_with(END) {
                (self.begun, self.is_open) = (false, false);
            } else if text.ends_with(KEY) {
                self.is_open |= self.begun;
            }
        }
        self.tail.drain(..self.tail.len().saturating_sub(BEGIN.len()));
    }
}

/// What the first lines of all private keys have in common (RFC 7468), and their last.
const BEGIN: &[u8] = b"-----BEGIN ";
const KEY: &[u8] = b"PRIVATE KEY";
const END: &[u8] = b"-----END ";
/// What a text begins with that goes on with such a key.
pub(super) const KEY_BEFORE: &str = "-----BEGIN PRIVATE KEY-----\\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_to_go_on_however_it_is_cut() {
        let begun = "to\\n-----BEGIN RSA PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B";
        for cut in 1..40 {
            let mut secret = Secret::default();
            begun.as_bytes().chunks(cut).for_each(|piece| secret.see(piece));
            assert!(secret.is_open, "{cut}");
            b"AQEF\\n-----END RSA PRIVATE KEY-----\\nbye".chunks(cut).for_each(|piece| secret.see(piece));
            assert!(!secret.is_open, "{cut}");
        }
    }
}
