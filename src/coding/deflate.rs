//! Deflate (RFC 1951), as `deflate` is meant, in zlib's wrapping (RFC 1950),
//! and as many send it, without. The first two bytes tell.

use super::SLICE;
use super::decoder::Decode;
use super::encoder::Encode;
use super::gzip::WINDOW_BITS;
use super::lead::Lead;
use super::{CodingError, Level, WireFormat};
use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Decodes a body with or without wrapping.
#[derive(Default)]
pub(super) struct DeflateDecoder {
    /// None until two bytes are there.
    inner: Option<Decompress>,
    lead: Lead<5>,
    wrapped: bool,
    complete: bool,
}

impl DeflateDecoder {
    /// The decoder that the first byte, if it came before, and `input` ask for.
    fn choose(&mut self, input: &[u8]) -> Result<Option<Decompress>, CodingError> {
        let before = self.lead.bytes().first().copied();
        let mut bytes = before.into_iter().chain(input.iter().copied());
        let (Some(first), Some(second)) = (bytes.next(), bytes.next()) else { return Ok(None) };
        self.wrapped = is_zlib(first, second);
        let mut inner = Decompress::new(self.wrapped);
        if let Some(first) = before {
            // One byte is too little for any output.
            inflate(&mut inner, &[first], &mut Vec::with_capacity(1))?;
        }
        Ok(Some(inner))
    }
}

/// Whether a header of RFC 1950 begins so (section 2.2): its method and the
/// check of its bits. Raw data begin so only where the padding before a stored
/// block is not zero.
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0xf == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

impl Decode for DeflateDecoder {
    fn step(&mut self, input: &[u8], piece: &mut Vec<u8>) -> Result<usize, CodingError> {
        if self.complete && !input.is_empty() {
            return Err(CodingError::Corrupt);
        }
        if self.inner.is_none() {
            self.inner = self.choose(input)?;
        }
        let Some(inner) = &mut self.inner else {
            self.lead.add(input);
            return Ok(input.len());
        };
        let (used, ended) = inflate(inner, input, piece)?;
        self.complete = ended;
        self.lead.add(&input[..used]);
        Ok(used)
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether those who take no notice of the wrapping would read another
    /// body: behind its first byte stands the length of a stored block, and its
    /// complement (RFC 1951, section 3.2.4). By chance one body in 65536 is so.
    fn is_annotated(&self) -> bool {
        matches!(*self.lead.bytes(), [_, low, high, low_again, high_again]
            if self.wrapped && low == !low_again && high == !high_again)
    }

    fn wire_format(&self) -> WireFormat {
        if self.wrapped { WireFormat::Zlib } else { WireFormat::Raw }
    }

    fn window(&self) -> u64 {
        1 << WINDOW_BITS
    }
}

/// Decodes from the front of `input` until it ends or `piece` is full: how much
/// is used, and whether that was the end.
pub(super) fn inflate(inner: &mut Decompress, input: &[u8], piece: &mut Vec<u8>) -> Result<(usize, bool), CodingError> {
    let before = inner.total_in();
    let status = inner.decompress_vec(input, piece, FlushDecompress::None).map_err(|_| CodingError::Corrupt)?;
    let used = usize::try_from(inner.total_in() - before).map_err(|_| CodingError::Corrupt)?;
    Ok((used, status == Status::StreamEnd))
}

/// Encodes a body as one gzip member, zlib stream, or raw.
pub(super) struct DeflateEncoder {
    inner: Compress,
    /// Output not handed out yet; its capacity never grows.
    buffer: Vec<u8>,
}

impl DeflateEncoder {
    pub(super) fn new(form: WireFormat, level: Level) -> Self {
        let level = match level {
            Level::Fast => Compression::fast(),
            Level::Default => Compression::default(),
            Level::Best => Compression::best(),
        };
        let inner = match form {
            WireFormat::Gzip => Compress::new_gzip(level, WINDOW_BITS),
            _ => Compress::new(level, form == WireFormat::Zlib),
        };
        Self { inner, buffer: Vec::with_capacity(SLICE / 2) }
    }

    fn step(&mut self, input: &[u8], flush: FlushCompress, out: &mut Vec<Bytes>) -> Result<Status, CodingError> {
        let status = self.inner.compress_vec(input, &mut self.buffer, flush).map_err(|_| CodingError::Library)?;
        if self.buffer.len() == self.buffer.capacity() {
            let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(SLICE / 2));
            out.push(full.into());
        }
        Ok(status)
    }
}

impl Encode for DeflateEncoder {
    fn push(&mut self, mut input: &[u8], out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        while !input.is_empty() {
            let before = self.inner.total_in();
            self.step(input, FlushCompress::None, out)?;
            let used = usize::try_from(self.inner.total_in() - before).unwrap_or(input.len());
            input = input.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        while self.step(&[], FlushCompress::Finish, out)? != Status::StreamEnd {}
        if !self.buffer.is_empty() {
            out.push(std::mem::take(&mut self.buffer).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{self, decode, encode};
    use super::super::{Coding, CodingError, CodingLimits, Decoder, WireFormat};
    use bytes::Bytes;

    const LIMITS: CodingLimits = CodingLimits { max_decoded: 100_000, max_ratio: 100 };

    #[test]
    fn wrapped_and_raw_bodies_are_told_apart_at_every_split() {
        for form in [WireFormat::Zlib, WireFormat::Raw] {
            let wire = encode(form, b"{\"a\": \"hello hello\"}");
            for at in 0..=wire.len() {
                let mut decoder = Decoder::new(Coding::Deflate, LIMITS).unwrap().unwrap();
                for part in [&wire[..at], &wire[at..]] {
                    decoder.push(Bytes::copy_from_slice(part));
                    while decoder.next_piece().unwrap().is_some() {}
                }
                decoder.finish().unwrap();
                assert_eq!(decoder.wire_format(), form, "split at {at}");
            }
        }
    }

    /// The check of RFC 1950, section 8.2.
    fn adler(text: &[u8]) -> [u8; 4] {
        let (a, b) = text.iter().fold((1, 0), |(a, b), &byte| {
            let a = (a + u32::from(byte)) % 65521;
            (a, (b + a) % 65521)
        });
        (b << 16 | a).to_be_bytes()
    }

    #[test]
    fn a_body_that_means_another_without_its_wrapping_is_annotated() {
        let text = vec![b'x'; 0xfefe];
        // Wrapped: a stored block of 0xfefe bytes. Raw: one of 0x0101.
        let wire = [b"\x78\x01\x01\xfe\xfe\x01\x01", &text[..], &adler(&text)].concat();
        assert!(decode(Coding::Deflate, &[&wire]).as_ref() == Ok(&text));
        for at in 0..10 {
            let mut decoder = Decoder::new(Coding::Deflate, LIMITS).unwrap().unwrap();
            for part in [&wire[..at], &wire[at..]] {
                decoder.push(Bytes::copy_from_slice(part));
                while decoder.next_piece().unwrap().is_some() {}
            }
            assert!(decoder.is_annotated(), "split at {at}");
        }
        rig::assert_annotated(Coding::Deflate, &encode(WireFormat::Zlib, b"hello hello"), false);
        rig::assert_annotated(Coding::Deflate, &encode(WireFormat::Raw, b"hello hello"), false);
    }

    #[test]
    fn a_preset_dictionary_is_corrupt() {
        assert_eq!(decode(Coding::Deflate, &[b"\x78\x20\0\0\0\x01abc"]), Err(CodingError::Corrupt));
    }
}
