//! Brotli (RFC 7932). Its windows end at 16 MiB; the extension to larger ones
//! is refused.

use super::SLICE;
use super::decoder::Decode;
use super::encoder::Encode;
use super::{CodingError, Level, WireFormat};
use ::brotli::enc::{BrotliEncoderParams, StandardAlloc};
use ::brotli::{BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter};
use bytes::Bytes;
use std::io::Write;

/// What encoders look back, 1 MiB: memory per body, and of who decodes it.
const ENCODER_WINDOW_BITS: i32 = 20;

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Decodes a body, which is one stream.
pub(super) struct BrotliDecoder {
    inner: Box<State>,
    complete: bool,
    annotated: bool,
    /// Whether it is asked if there are metadata (section 9.2). The library
    /// tells only while it is among them, so it is fed byte by byte then, which
    /// takes 45 ns for each.
    watchful: bool,
}

impl Default for BrotliDecoder {
    fn default() -> Self {
        let new = StandardAlloc::default;
        let inner = Box::new(State::new_strict(new(), new(), new()));
        Self { inner, complete: false, annotated: false, watchful: true }
    }
}

impl BrotliDecoder {
    fn run(&mut self, input: &[u8], piece: &mut [u8]) -> Result<(usize, usize), CodingError> {
        let (mut left, mut used) = (input.len(), 0);
        let (mut room, mut filled, mut total) = (piece.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut used,
            input,
            &mut room,
            &mut filled,
            piece,
            &mut total,
            &mut self.inner,
        );
        match result {
            BrotliResult::ResultFailure => return Err(CodingError::Corrupt),
            BrotliResult::ResultSuccess => self.complete = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok((used, filled))
    }
}

impl Decode for BrotliDecoder {
    fn step(&mut self, input: &[u8], piece: &mut Vec<u8>) -> Result<usize, CodingError> {
        if self.complete && !input.is_empty() {
            return Err(CodingError::Corrupt);
        }
        piece.resize(piece.capacity(), 0);
        let (mut used, mut filled) = (0, 0);
        loop {
            let fed = if self.watchful { input.len().min(used + 1) } else { input.len() };
            let (more_used, more_filled) = self.run(&input[used..fed], &mut piece[filled..])?;
            self.annotated |= self.inner.is_metadata != 0;
            used += more_used;
            filled += more_filled;
            if used < fed || used == input.len() || filled == piece.len() || self.complete {
                break;
            }
        }
        piece.truncate(filled);
        Ok(used)
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn is_annotated(&self) -> bool {
        self.annotated || !self.watchful
    }

    fn skip_annotations(&mut self) {
        self.watchful = false;
    }

    fn wire_format(&self) -> WireFormat {
        WireFormat::Brotli
    }

    fn window(&self) -> u64 {
        u64::try_from(self.inner.ringbuffer_size).unwrap_or(0)
    }
}

/// Encodes a body as one stream.
pub(super) struct BrotliEncoder {
    /// None once it has ended.
    inner: Option<CompressorWriter<Vec<u8>>>,
}

impl BrotliEncoder {
    pub(super) fn new(level: Level) -> Self {
        let quality = match level {
            // 1 is slower, and twice as large.
            Level::Fast => 2,
            Level::Default => 5,
            Level::Best => 7,
        };
        let params = BrotliEncoderParams { quality, lgwin: ENCODER_WINDOW_BITS, ..BrotliEncoderParams::default() };
        Self { inner: Some(CompressorWriter::with_params(Vec::new(), SLICE / 2, &params)) }
    }
}

impl Encode for BrotliEncoder {
    fn push(&mut self, input: &[u8], out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        let inner = self.inner.as_mut().ok_or(CodingError::Library)?;
        inner.write_all(input).map_err(|_| CodingError::Library)?;
        let ready = std::mem::take(inner.get_mut());
        if !ready.is_empty() {
            out.push(ready.into());
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        let inner = self.inner.take().ok_or(CodingError::Library)?;
        out.push(inner.into_inner().into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{self, decode, encode};
    use super::super::{Coding, CodingError, WireFormat};

    /// Writes bits from the lowest up (section 1.5.1).
    #[derive(Default)]
    struct Bits {
        bytes: Vec<u8>,
        used: u32,
    }

    impl Bits {
        fn put(&mut self, count: u32, value: u32) {
            for bit in (0..count).map(|at| value >> at & 1) {
                if self.used.is_multiple_of(8) {
                    self.bytes.push(0);
                }
                *self.bytes.last_mut().unwrap() |= u8::try_from(bit << (self.used % 8)).unwrap();
                self.used += 1;
            }
        }

        fn align(&mut self) {
            self.used = self.used.next_multiple_of(8);
        }

        /// A meta-block of metadata (section 9.2).
        fn metadata(&mut self, content: &[u8]) {
            self.put(1, 0);
            self.put(2, 3);
            self.put(1, 0);
            match u32::try_from(content.len()).unwrap() {
                0 => self.put(2, 0),
                length => {
                    self.put(2, 1);
                    self.put(8, length - 1);
                }
            }
            self.align();
            self.bytes.extend_from_slice(content);
            self.used = u32::try_from(self.bytes.len() * 8).unwrap();
        }

        /// A meta-block that is not compressed.
        fn stored(&mut self, content: &[u8]) {
            self.put(1, 0);
            self.put(2, 0);
            self.put(16, u32::try_from(content.len() - 1).unwrap());
            self.put(1, 1);
            self.align();
            self.bytes.extend_from_slice(content);
            self.used = u32::try_from(self.bytes.len() * 8).unwrap();
        }
    }

    /// A stream of 64 KiB window; what `build` writes, and the last meta-block.
    fn stream(build: impl Fn(&mut Bits)) -> Vec<u8> {
        let mut bits = Bits::default();
        bits.put(1, 0);
        build(&mut bits);
        bits.put(2, 3);
        bits.bytes
    }

    #[test]
    fn metadata_are_seen_at_every_split_and_wherever_they_stand() {
        let plain = stream(|bits| bits.stored(b"hello"));
        rig::assert_annotated(Coding::Brotli, &plain, false);
        for note in [&b""[..], b"n", b"bob@example.com"] {
            let builds: [&dyn Fn(&mut Bits); 4] = [
                &|bits| bits.metadata(note),
                &|bits| {
                    bits.metadata(note);
                    bits.stored(b"hello");
                },
                &|bits| {
                    bits.stored(b"hello");
                    bits.metadata(note);
                },
                &|bits| {
                    bits.stored(b"hello");
                    bits.metadata(note);
                    bits.stored(b"hello");
                },
            ];
            for build in builds {
                rig::assert_annotated(Coding::Brotli, &stream(build), true);
            }
        }
    }

    #[test]
    fn metadata_behind_what_is_compressed_are_seen() {
        let mut compressed = ::brotli::enc::BrotliEncoderParams { appendable: true, ..Default::default() };
        compressed.quality = 5;
        compressed.byte_align = true;
        compressed.bare_stream = false;
        let mut wire = Vec::new();
        ::brotli::BrotliCompress(&mut &b"hello hello hello hello hello"[..], &mut wire, &compressed).unwrap();
        rig::assert_annotated(Coding::Brotli, &wire, false);
        // The last byte is the empty last meta-block of an aligned stream.
        assert_eq!(wire.pop(), Some(3));
        let mut bits = Bits { used: u32::try_from(wire.len() * 8).unwrap(), bytes: wire };
        bits.metadata(b"bob@example.com");
        bits.put(2, 3);
        assert_eq!(decode(Coding::Brotli, &[&bits.bytes]).as_deref(), Ok(&b"hello hello hello hello hello"[..]));
        rig::assert_annotated(Coding::Brotli, &bits.bytes, true);
    }

    #[test]
    fn the_extension_to_large_windows_is_refused() {
        let params = ::brotli::enc::BrotliEncoderParams {
            large_window: true,
            lgwin: 26,
            ..::brotli::enc::BrotliEncoderParams::default()
        };
        let mut wire = Vec::new();
        ::brotli::BrotliCompress(&mut &b"hello hello hello"[..], &mut wire, &params).unwrap();
        for at in 0..=wire.len() {
            assert_eq!(decode(Coding::Brotli, &[&wire[..at], &wire[at..]]), Err(CodingError::Corrupt));
        }
    }

    #[test]
    fn a_second_stream_is_garbage() {
        let wire = encode(WireFormat::Brotli, b"hello");
        assert_eq!(decode(Coding::Brotli, &[&wire, &wire]), Err(CodingError::Corrupt));
    }
}
