//! Streaming gzip (RFC 1952): a decoder that bounds what it lets out, and an
//! encoder for speed.

use super::SLICE;
use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// zlib's largest window; every encoder's output can be read with it.
const WINDOW_BITS: u8 = 15;
/// The byte of a member's header that says which optional fields it has, and
/// the bits for those that hold bytes of the sender's choice: extra field, file
/// name, comment (RFC 1952, section 2.3.1).
const FLAGS_AT: u64 = 3;
const FREE_FIELDS: u8 = 0b1_1100;
/// Below this size the ratio says nothing.
const RATIO_GRACE: u64 = 1024 * 1024;

/// What a compressed body may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GzipLimits {
    /// Bytes after decoding.
    pub max_decoded: u64,
    /// Decoded bytes per encoded byte, judged above 1 MiB.
    pub max_ratio: u64,
}

/// Why a gzip body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GzipError {
    /// A header, block or checksum is wrong, or something follows the end.
    #[error("the gzip data are corrupt")]
    Corrupt,
    /// It ends in the middle.
    #[error("the gzip data end too early")]
    Truncated,
    /// It grows beyond its [`GzipLimits`].
    #[error("the gzip data decode to more than the limit")]
    TooLarge,
}

/// Decodes a gzip body of one or several members.
pub struct GzipDecoder {
    inner: Decompress,
    limits: GzipLimits,
    /// Over all members.
    consumed: u64,
    /// Over all members.
    produced: u64,
    /// Whether the last byte seen was the last of a member.
    complete: bool,
    /// Whether a member's header holds more than numbers.
    annotated: bool,
}

impl GzipDecoder {
    /// A decoder at the first byte of a body.
    pub fn new(limits: GzipLimits) -> Self {
        Self {
            inner: Decompress::new_gzip(WINDOW_BITS),
            limits,
            consumed: 0,
            produced: 0,
            complete: false,
            annotated: false,
        }
    }

    /// Whether a header has a file name, a comment or an extra field: bytes
    /// that are not part of the decoded body, so that nobody looks into them.
    pub fn annotated(&self) -> bool {
        self.annotated
    }

    /// Decodes `input` and hands out pieces of at most [`SLICE`] bytes.
    ///
    /// # Errors
    /// What is wrong with the data, or what `sink` answers.
    pub fn push<E: From<GzipError>>(
        &mut self,
        mut input: &[u8],
        mut sink: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        while !input.is_empty() {
            if self.complete {
                self.inner = Decompress::new_gzip(WINDOW_BITS);
                self.complete = false;
            }
            let (rest, piece, more) = self.step(input)?;
            input = rest;
            if !piece.is_empty() {
                sink(piece.into())?;
            }
            // Without input left the decoder may still hold output.
            while more && input.is_empty() && !self.complete {
                let (_, piece, again) = self.step(input)?;
                if !piece.is_empty() {
                    sink(piece.into())?;
                }
                if !again {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// When it may not end here.
    pub fn finish(&self) -> Result<(), GzipError> {
        if self.complete { Ok(()) } else { Err(GzipError::Truncated) }
    }

    /// One call of the decoder: the input left, the output, and whether the
    /// output was full, so that more may wait.
    fn step<'a>(&mut self, input: &'a [u8]) -> Result<(&'a [u8], Vec<u8>, bool), GzipError> {
        let mut piece = Vec::with_capacity(input.len().saturating_mul(8).clamp(4096, SLICE));
        let before = self.inner.total_in();
        self.look_at_flags(before, input);
        let status =
            self.inner.decompress_vec(input, &mut piece, FlushDecompress::None).map_err(|_| GzipError::Corrupt)?;
        let used = self.inner.total_in() - before;
        self.consumed += used;
        self.produced += piece.len() as u64;
        self.judge_size()?;
        self.complete = status == Status::StreamEnd;
        let stuck = used == 0 && piece.is_empty() && !self.complete;
        if stuck && !input.is_empty() {
            return Err(GzipError::Corrupt);
        }
        let rest = usize::try_from(used).ok().and_then(|used| input.get(used..)).unwrap_or_default();
        let full = piece.len() == piece.capacity();
        Ok((rest, piece, full))
    }

    /// `input` begins at the byte `at` of a member.
    fn look_at_flags(&mut self, at: u64, input: &[u8]) {
        let index = FLAGS_AT.checked_sub(at).and_then(|index| usize::try_from(index).ok());
        let flags = index.and_then(|index| input.get(index));
        self.annotated |= flags.is_some_and(|flags| flags & FREE_FIELDS != 0);
    }

    fn judge_size(&self) -> Result<(), GzipError> {
        let ratio_broken =
            self.produced > RATIO_GRACE && self.produced > self.consumed.saturating_mul(self.limits.max_ratio);
        if self.produced > self.limits.max_decoded || ratio_broken {
            return Err(GzipError::TooLarge);
        }
        Ok(())
    }
}

/// Encodes a body as one gzip member, fast rather than small.
pub struct GzipEncoder {
    inner: Compress,
    /// Output not handed out yet; its capacity never grows.
    buffer: Vec<u8>,
}

impl Default for GzipEncoder {
    fn default() -> Self {
        Self { inner: Compress::new_gzip(Compression::fast(), WINDOW_BITS), buffer: Vec::with_capacity(SLICE / 2) }
    }
}

impl GzipEncoder {
    /// Encodes `input`; appends to `out` what is ready.
    ///
    /// # Errors
    /// Never for a valid encoder; the library's type says otherwise.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<Bytes>) -> Result<(), GzipError> {
        while !input.is_empty() {
            let before = self.inner.total_in();
            self.step(input, FlushCompress::None, out)?;
            let used = usize::try_from(self.inner.total_in() - before).unwrap_or(input.len());
            input = input.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes the end of the member.
    ///
    /// # Errors
    /// As [`GzipEncoder::push`].
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), GzipError> {
        while self.step(&[], FlushCompress::Finish, out)? != Status::StreamEnd {}
        if !self.buffer.is_empty() {
            out.push(std::mem::take(&mut self.buffer).into());
        }
        Ok(())
    }

    fn step(&mut self, input: &[u8], flush: FlushCompress, out: &mut Vec<Bytes>) -> Result<Status, GzipError> {
        let status = self.inner.compress_vec(input, &mut self.buffer, flush).map_err(|_| GzipError::Corrupt)?;
        if self.buffer.len() == self.buffer.capacity() {
            let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(SLICE / 2));
            out.push(full.into());
        }
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GzipLimits = GzipLimits { max_decoded: 8 * 1024 * 1024, max_ratio: 100 };

    fn encode(text: &[u8]) -> Vec<u8> {
        let (mut encoder, mut out) = (GzipEncoder::default(), Vec::new());
        encoder.push(text, &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        out.concat()
    }

    fn decode(chunks: &[&[u8]]) -> Result<Vec<u8>, GzipError> {
        let (mut decoder, mut out) = (GzipDecoder::new(LIMITS), Vec::new());
        for chunk in chunks {
            decoder.push(chunk, |piece| -> Result<(), GzipError> {
                assert!(piece.len() <= SLICE);
                out.extend_from_slice(&piece);
                Ok(())
            })?;
        }
        decoder.finish().map(|()| out)
    }

    /// Text that compresses badly, so that it spans many buffers.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_is_encoded_decodes_to_itself_at_every_split() {
        let text = b"{\"a\":\"hello hello hello hello\"}".repeat(4);
        let wire = encode(&text);
        for at in 0..=wire.len() {
            assert_eq!(decode(&[&wire[..at], &wire[at..]]).as_deref(), Ok(&text[..]));
        }
        assert_eq!(decode(&wire.chunks(1).collect::<Vec<_>>()).as_deref(), Ok(&text[..]));
    }

    #[test]
    fn large_bodies_keep_every_byte() {
        let mut text = noise(300_000);
        text.extend(std::iter::repeat_n(b'x', 500_000));
        assert_eq!(decode(&[&encode(&text)]), Ok(text));
    }

    #[test]
    fn several_members_are_one_body() {
        let wire = [encode(b"one "), encode(b""), encode(b"two")].concat();
        for at in 0..=wire.len() {
            assert_eq!(decode(&[&wire[..at], &wire[at..]]).as_deref(), Ok(&b"one two"[..]));
        }
    }

    #[test]
    fn a_file_name_is_seen_at_every_split_and_in_every_member() {
        let plain = encode(b"hello hello");
        let mut named = plain.clone();
        named[3] |= 0b1000;
        named.splice(10..10, *b"bob@example.com\0");
        for (wire, expected) in [(&plain, false), (&named, true), (&[&plain[..], &named].concat(), true)] {
            for at in 0..=wire.len() {
                let mut decoder = GzipDecoder::new(LIMITS);
                for part in [&wire[..at], &wire[at..]] {
                    decoder.push(part, |_| Ok::<(), GzipError>(())).unwrap();
                }
                decoder.finish().unwrap();
                assert_eq!(decoder.annotated(), expected, "split at {at}");
            }
        }
    }

    #[test]
    fn a_cut_body_is_truncated_wherever_it_is_cut() {
        let wire = encode(b"hello hello hello");
        for at in 0..wire.len() {
            assert_eq!(decode(&[&wire[..at]]), Err(GzipError::Truncated), "at {at}");
        }
    }

    #[test]
    fn garbage_and_wrong_checksums_are_corrupt() {
        let mut wire = encode(b"hello hello hello");
        assert_eq!(decode(&[b"not gzip at all"]), Err(GzipError::Corrupt));
        assert_eq!(decode(&[&wire, b"garbage after it"]), Err(GzipError::Corrupt));
        let end = wire.len();
        wire[end - 6] ^= 1;
        assert_eq!(decode(&[&wire]), Err(GzipError::Corrupt));
    }

    #[test]
    fn a_bomb_is_stopped_by_ratio_and_by_size() {
        let wire = encode(&vec![0; 4 * 1024 * 1024]);
        assert_eq!(decode(&[&wire]), Err(GzipError::TooLarge));
        let wire = encode(&noise(9 * 1024 * 1024));
        assert_eq!(decode(&[&wire]), Err(GzipError::TooLarge));
    }
}
