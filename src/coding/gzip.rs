//! Gzip (RFC 1952): a decoder of any number of members.

use super::decoder::Decode;
use super::deflate::inflate;
use super::lead::Lead;
use super::{CodingError, WireFormat};
use flate2::Decompress;

/// zlib's largest window; every encoder's output can be read with it.
pub(super) const WINDOW_BITS: u8 = 15;
/// The byte of a member's header that says which optional fields it has, and
/// the bits for those that hold bytes of the sender's choice: extra field, file
/// name, comment (section 2.3.1).
const FLAGS_AT: usize = 3;
const FREE_FIELDS: u8 = 0b1_1100;

/// Decodes a body of one or several members.
pub(super) struct GzipDecoder {
    inner: Decompress,
    /// Of the member.
    lead: Lead<{ FLAGS_AT + 1 }>,
    /// Whether the last byte seen was the last of a member.
    complete: bool,
    /// Whether a member's header holds more than numbers.
    annotated: bool,
}

impl Default for GzipDecoder {
    fn default() -> Self {
        Self { inner: Decompress::new_gzip(WINDOW_BITS), lead: Lead::default(), complete: false, annotated: false }
    }
}

impl Decode for GzipDecoder {
    fn step(&mut self, input: &[u8], piece: &mut Vec<u8>) -> Result<usize, CodingError> {
        if self.complete {
            *self = Self { annotated: self.annotated, ..Self::default() };
        }
        let (used, ended) = inflate(&mut self.inner, input, piece)?;
        self.complete = ended;
        self.lead.add(&input[..used]);
        self.annotated |= self.lead.bytes().get(FLAGS_AT).is_some_and(|flags| flags & FREE_FIELDS != 0);
        Ok(used)
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn is_annotated(&self) -> bool {
        self.annotated
    }

    fn wire_format(&self) -> WireFormat {
        WireFormat::Gzip
    }

    fn window(&self) -> u64 {
        1 << WINDOW_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{self, decode, encode};
    use super::super::{Coding, CodingError, WireFormat};

    #[test]
    fn several_members_are_one_body() {
        let wire = [encode(WireFormat::Gzip, b"one "), encode(WireFormat::Gzip, b""), encode(WireFormat::Gzip, b"two")]
            .concat();
        for at in 0..=wire.len() {
            assert_eq!(decode(Coding::Gzip, &[&wire[..at], &wire[at..]]).as_deref(), Ok(&b"one two"[..]));
        }
    }

    #[test]
    fn a_file_name_is_seen_at_every_split_and_in_every_member() {
        let plain = encode(WireFormat::Gzip, b"hello hello");
        let mut named = plain.clone();
        named[3] |= 0b1000;
        named.splice(10..10, *b"bob@example.com\0");
        for (wire, expected) in [(&plain, false), (&named, true), (&[&plain[..], &named].concat(), true)] {
            rig::assert_annotated(Coding::Gzip, wire, expected);
        }
    }

    #[test]
    fn a_wrong_length_is_corrupt() {
        let mut wire = encode(WireFormat::Gzip, b"hello hello hello");
        *wire.last_mut().unwrap() ^= 1;
        assert_eq!(decode(Coding::Gzip, &[&wire]), Err(CodingError::Corrupt));
    }
}
