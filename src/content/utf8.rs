//! Whether a body that arrives in pieces is valid UTF-8.

use super::ContentError;

/// Checks UTF-8 across chunk borders.
#[derive(Debug, Default)]
pub struct Utf8Check {
    /// The first bytes of a character that the last chunk cut: at most 3.
    cut: Vec<u8>,
}

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid UTF-8")]
pub struct NotUtf8;

impl Utf8Check {
    /// Checks the next bytes.
    ///
    /// # Errors
    /// As soon as no continuation could make the text valid.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), NotUtf8> {
        while let (false, [next, rest @ ..]) = (self.cut.is_empty(), chunk) {
            self.cut.push(*next);
            chunk = rest;
            match std::str::from_utf8(&self.cut) {
                Ok(_) => self.cut.clear(),
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(chunk) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(NotUtf8),
            Err(error) => {
                self.cut.extend_from_slice(&chunk[error.valid_up_to()..]);
                Ok(())
            }
        }
    }

    /// The same, for text in which a NUL tells that it is none: every text in
    /// UTF-16 and UTF-32 has one.
    ///
    /// # Errors
    /// [`ContentError::Charset`].
    pub(super) fn push_text(&mut self, chunk: &[u8]) -> Result<(), ContentError> {
        let is_text = self.push(chunk).is_ok() && memchr::memchr(0, chunk).is_none();
        if is_text { Ok(()) } else { Err(ContentError::Charset) }
    }

    /// The end of such a text.
    ///
    /// # Errors
    /// [`ContentError::Charset`].
    pub(super) fn finish_text(&self) -> Result<(), ContentError> {
        self.finish().map_err(|_| ContentError::Charset)
    }

    /// The text has ended.
    ///
    /// # Errors
    /// When it ends within a character.
    pub fn finish(&self) -> Result<(), NotUtf8> {
        if self.cut.is_empty() { Ok(()) } else { Err(NotUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]]) -> Result<(), NotUtf8> {
        let mut check = Utf8Check::default();
        chunks.iter().try_for_each(|chunk| check.push(chunk))?;
        check.finish()
    }

    #[test]
    fn the_verdict_is_the_same_at_every_split() {
        let samples: [&[u8]; 6] =
            ["aé€😀z".as_bytes(), b"plain", b"a\xff", b"\xe2\x82", b"\xf0\x9f\x98\x80\xc0\x80", b"\xed\xa0\x80"];
        for sample in samples {
            let whole = std::str::from_utf8(sample).map(|_| ()).map_err(|_| NotUtf8);
            for at in 0..=sample.len() {
                assert_eq!(check(&[&sample[..at], &sample[at..]]), whole, "{sample:x?} at {at}");
            }
            let bytes: Vec<&[u8]> = sample.chunks(1).collect();
            assert_eq!(check(&bytes), whole);
        }
    }
}
