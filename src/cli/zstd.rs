//! Zstandard (RFC 8878) for files, streaming in constant memory.

use super::InputError;
use crate::content::SLICE;
use bytes::Bytes;
use std::io::Write;
use zstd::stream::raw::{CParameter, DParameter, Decoder, InBuffer, Operation, OutBuffer};
use zstd::stream::write::Encoder;

/// The first bytes of a frame, little-endian (section 3.1.1).
const FRAME: u32 = 0xfd2f_b528;
/// The first bytes of a frame to be skipped, but for its last four bits
/// (section 3.1.2).
const SKIPPED: u32 = 0x184d_2a50;
/// 8 MiB, which every decoder should support (section 3.1.1.1.2); a larger
/// window is memory of the sender's choice.
const WINDOW_LOG: u32 = 23;

/// Whether a frame begins here.
pub(super) fn is_frame(head: &[u8]) -> bool {
    let magic = head.first_chunk().copied().map(u32::from_le_bytes);
    magic.is_some_and(|magic| magic == FRAME || magic & !0xf == SKIPPED)
}

/// Decodes an input of one or several frames.
pub(super) struct ZstdDecoder {
    inner: Decoder<'static>,
    /// Whether the last byte seen was the last of a frame.
    complete: bool,
}

impl ZstdDecoder {
    pub(super) fn new() -> Result<Self, InputError> {
        let failed = InputError::Zstd;
        let mut inner = Decoder::new().map_err(failed)?;
        inner.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(failed)?;
        Ok(Self { inner, complete: false })
    }

    /// Decodes `input` and hands out pieces of at most [`SLICE`] bytes.
    pub(super) fn push(
        &mut self,
        input: &[u8],
        mut sink: impl FnMut(Bytes) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        let mut input = InBuffer::around(input);
        // A full buffer may not be all that is ready, unless the frame has ended.
        let mut full = false;
        while full || input.pos() < input.src.len() {
            let mut piece = Vec::with_capacity(SLICE);
            let mut output = OutBuffer::around(&mut piece);
            let hint = self.inner.run(&mut input, &mut output).map_err(InputError::Zstd)?;
            self.complete = hint == 0;
            full = output.pos() == SLICE && !self.complete;
            if !piece.is_empty() {
                sink(piece.into())?;
            }
        }
        Ok(())
    }

    /// Whether the input may end here.
    pub(super) fn finish(&self) -> Result<(), InputError> {
        if self.complete { Ok(()) } else { Err(InputError::ZstdTruncated) }
    }
}

/// Encodes an output as one frame.
pub(super) struct ZstdEncoder {
    inner: Encoder<'static, Vec<u8>>,
}

impl ZstdEncoder {
    pub(super) fn new() -> Result<Self, InputError> {
        let failed = InputError::Zstd;
        let mut inner = Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed)?;
        inner.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
        Ok(Self { inner })
    }

    /// Encodes `text`; appends to `out` what is ready.
    pub(super) fn push(&mut self, text: &[u8], out: &mut Vec<Bytes>) -> Result<(), InputError> {
        self.inner.write_all(text).map_err(InputError::Zstd)?;
        let ready = std::mem::take(self.inner.get_mut());
        if !ready.is_empty() {
            out.push(ready.into());
        }
        Ok(())
    }

    /// Appends the end of the frame.
    pub(super) fn finish(self, out: &mut Vec<Bytes>) -> Result<(), InputError> {
        out.push(self.inner.finish().map_err(InputError::Zstd)?.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &[u8]) -> Vec<u8> {
        let (mut encoder, mut out) = (ZstdEncoder::new().unwrap(), Vec::new());
        encoder.push(text, &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        out.concat()
    }

    fn decode(chunks: &[&[u8]]) -> Result<Vec<u8>, String> {
        let (mut decoder, mut out) = (ZstdDecoder::new().unwrap(), Vec::new());
        let decoded = chunks.iter().try_for_each(|chunk| {
            decoder.push(chunk, |piece| {
                assert!(piece.len() <= SLICE);
                out.extend_from_slice(&piece);
                Ok(())
            })
        });
        decoded.and_then(|()| decoder.finish()).map(|()| out).map_err(|error| error.to_string())
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
    fn what_grows_is_handed_out_in_slices() {
        for length in [3 * SLICE + 7, 2 * SLICE] {
            let text = vec![b'x'; length];
            assert!(decode(&[&encode(&text)]).as_deref() == Ok(&text[..]), "{length}");
        }
    }

    #[test]
    fn several_frames_are_one_text_and_skippable_ones_none() {
        let skipped = [&(SKIPPED + 3).to_le_bytes()[..], &5u32.to_le_bytes(), b"bytes"].concat();
        let wire = [skipped.clone(), encode(b"one "), encode(b""), skipped, encode(b"two")].concat();
        assert!(is_frame(&wire));
        for at in 0..=wire.len() {
            assert_eq!(decode(&[&wire[..at], &wire[at..]]).as_deref(), Ok(&b"one two"[..]));
        }
    }

    #[test]
    fn a_cut_input_is_truncated_and_garbage_is_corrupt() {
        let wire = encode(b"hello hello hello");
        for at in 0..wire.len() {
            assert_eq!(decode(&[&wire[..at]]).unwrap_err(), InputError::ZstdTruncated.to_string(), "at {at}");
        }
        assert!(decode(&[&wire, b"garbage"]).is_err());
        let mut wrong = wire;
        *wrong.last_mut().unwrap() ^= 1;
        assert!(decode(&[&wrong]).is_err());
    }

    #[test]
    fn a_window_above_8_mib_is_refused() {
        let with_window = |log: u32| {
            let mut encoder = Encoder::new(Vec::new(), 1).unwrap();
            encoder.set_parameter(CParameter::WindowLog(log)).unwrap();
            encoder.write_all(b"hello").unwrap();
            encoder.flush().unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(decode(&[&with_window(WINDOW_LOG)]).as_deref(), Ok(&b"hello"[..]));
        assert!(decode(&[&with_window(WINDOW_LOG + 1)]).is_err());
    }
}
