//! Zstandard (RFC 8878), with the window that RFC 9659 allows as a content
//! coding.

use super::SLICE;
use super::decoder::Decode;
use super::encoder::Encode;
use super::lead::Lead;
use super::{CodingError, Level, WireFormat};
use ::zstd::stream::raw;
use ::zstd::stream::raw::{CParameter, DParameter, InBuffer, Operation, OutBuffer};
use bytes::Bytes;

/// The first bytes of a frame, little-endian (section 3.1.1).
const FRAME: u32 = 0xfd2f_b528;
/// The first bytes of a frame to be skipped, but for its last four bits
/// (section 3.1.2).
const SKIPPED: u32 = 0x184d_2a50;
/// 8 MiB, which every decoder should support (RFC 8878, section 3.1.1.1.2) and
/// no encoder may exceed (RFC 9659, section 3).
const WINDOW_LOG: u32 = 23;
/// What encoders look back at most: memory per body, and of who decodes it.
const ENCODER_WINDOW_LOG: u32 = 20;
/// The longest header: magic number, descriptor, dictionary and content size.
const LONGEST_HEADER: usize = 4 + 1 + 4 + 8;

/// Whether a frame begins here, or one to be skipped.
pub(super) fn is_frame(head: &[u8]) -> bool {
    magic(head).is_some_and(|magic| magic == FRAME || is_skipped(magic))
}

fn magic(head: &[u8]) -> Option<u32> {
    head.first_chunk().copied().map(u32::from_le_bytes)
}

fn is_skipped(magic: u32) -> bool {
    magic & !0xf == SKIPPED
}

/// The window that a frame's header asks for (section 3.1.1.1); none while the
/// header is not there, and for frames to be skipped.
fn window(header: &[u8]) -> Option<u64> {
    if magic(header)? != FRAME {
        return None;
    }
    let (&descriptor, fields) = header.get(4..)?.split_first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let &byte = fields.first()?;
        let base = 1u64 << (10 + (byte >> 3));
        return Some(base + base / 8 * u64::from(byte & 7));
    }
    // The window is the content then.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = fields.get(dictionary..)?;
    match descriptor >> 6 {
        0 => size.first().map(|&byte| u64::from(byte)),
        1 => size.first_chunk().map(|bytes| u64::from(u16::from_le_bytes(*bytes)) + 256),
        2 => size.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
        _ => size.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
    }
}

/// Decodes a body of one or several frames.
pub(super) struct ZstdDecoder {
    inner: raw::Decoder<'static>,
    /// Of the frame.
    lead: Lead<LONGEST_HEADER>,
    /// The largest of all frames.
    window: u64,
    /// Whether the last byte seen was the last of a frame.
    complete: bool,
    /// Whether a frame was skipped.
    annotated: bool,
}

impl ZstdDecoder {
    pub(super) fn new() -> Result<Self, CodingError> {
        let mut inner = raw::Decoder::new().map_err(|_| CodingError::Library)?;
        inner.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| CodingError::Library)?;
        Ok(Self { inner, lead: Lead::default(), window: 0, complete: false, annotated: false })
    }

    /// The library judges the window only where it keeps one: not of a frame
    /// that comes whole and is small. So it is judged here, however it comes.
    fn look_at_header(&mut self) -> Result<(), CodingError> {
        self.annotated |= magic(self.lead.bytes()).is_some_and(is_skipped);
        self.window = self.window.max(window(self.lead.bytes()).unwrap_or(0));
        if self.window > 1 << WINDOW_LOG { Err(CodingError::Window) } else { Ok(()) }
    }
}

impl Decode for ZstdDecoder {
    fn step(&mut self, input: &[u8], piece: &mut Vec<u8>) -> Result<usize, CodingError> {
        if self.complete {
            self.lead = Lead::default();
        }
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(piece));
        let Ok(hint) = self.inner.run(&mut from, &mut to) else {
            self.lead.add(input);
            self.look_at_header()?;
            return Err(CodingError::Corrupt);
        };
        self.complete = hint == 0;
        let used = from.pos();
        self.lead.add(&input[..used]);
        self.look_at_header()?;
        Ok(used)
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn is_annotated(&self) -> bool {
        self.annotated
    }

    fn wire_format(&self) -> WireFormat {
        WireFormat::Zstd
    }

    fn window(&self) -> u64 {
        self.window
    }
}

/// Encodes a body as one frame.
pub(super) struct ZstdEncoder {
    inner: raw::Encoder<'static>,
    /// Output not handed out yet; its capacity never grows.
    buffer: Vec<u8>,
}

impl ZstdEncoder {
    pub(super) fn new(level: Level, size: Option<u64>) -> Result<Self, CodingError> {
        let failed = |_| CodingError::Library;
        let level = match level {
            Level::Fast => 1,
            Level::Default => ::zstd::DEFAULT_COMPRESSION_LEVEL,
            Level::Best => 9,
        };
        let mut inner = raw::Encoder::new(level).map_err(failed)?;
        inner.set_parameter(CParameter::WindowLog(ENCODER_WINDOW_LOG)).map_err(failed)?;
        inner.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
        inner.set_pledged_src_size(size).map_err(failed)?;
        Ok(Self { inner, buffer: Vec::with_capacity(SLICE / 2) })
    }

    fn hand_out_if_full(&mut self, out: &mut Vec<Bytes>) {
        if self.buffer.len() == self.buffer.capacity() {
            let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(SLICE / 2));
            out.push(full.into());
        }
    }
}

impl Encode for ZstdEncoder {
    fn push(&mut self, input: &[u8], out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        let mut from = InBuffer::around(input);
        while from.pos() < input.len() {
            let filled = self.buffer.len();
            let mut to = OutBuffer::around_pos(&mut self.buffer, filled);
            self.inner.run(&mut from, &mut to).map_err(|_| CodingError::Library)?;
            self.hand_out_if_full(out);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        loop {
            let filled = self.buffer.len();
            let mut to = OutBuffer::around_pos(&mut self.buffer, filled);
            let left = self.inner.finish(&mut to, true).map_err(|_| CodingError::Library)?;
            if left == 0 {
                break;
            }
            self.hand_out_if_full(out);
        }
        if !self.buffer.is_empty() {
            out.push(std::mem::take(&mut self.buffer).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{self, decode, encode};
    use super::super::{Coding, Encoder};
    use super::*;
    use std::io::Write;

    fn skipped(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap();
        [&(SKIPPED + 3).to_le_bytes()[..], &length.to_le_bytes(), content].concat()
    }

    /// A frame of a window of so many bits, of a content whose size is told or not.
    fn with_window(log: u32, size: Option<u64>) -> Vec<u8> {
        let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_parameter(CParameter::WindowLog(log)).unwrap();
        encoder.set_pledged_src_size(size).unwrap();
        encoder.write_all(b"hello").unwrap();
        if size.is_none() {
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn several_frames_are_one_body_and_skipped_ones_are_none() {
        let wire = [
            skipped(b"bytes"),
            encode(WireFormat::Zstd, b"one "),
            encode(WireFormat::Zstd, b""),
            skipped(b""),
            encode(WireFormat::Zstd, b"two"),
        ]
        .concat();
        assert!(is_frame(&wire));
        for at in 0..=wire.len() {
            assert_eq!(decode(Coding::Zstd, &[&wire[..at], &wire[at..]]).as_deref(), Ok(&b"one two"[..]));
        }
    }

    #[test]
    fn a_skipped_frame_is_seen_at_every_split_and_wherever_it_stands() {
        let frame = encode(WireFormat::Zstd, b"hello hello");
        let note = skipped(b"bob@example.com");
        rig::assert_annotated(Coding::Zstd, &frame, false);
        rig::assert_annotated(Coding::Zstd, &[&note[..], &frame].concat(), true);
        rig::assert_annotated(Coding::Zstd, &[&frame[..], &note].concat(), true);
        rig::assert_annotated(Coding::Zstd, &[&frame[..], &note, &frame].concat(), true);
    }

    #[test]
    fn a_window_above_8_mib_is_refused_at_every_split() {
        let fits = with_window(WINDOW_LOG, None);
        assert_eq!(decode(Coding::Zstd, &[&fits]).as_deref(), Ok(&b"hello"[..]));
        let wire = with_window(WINDOW_LOG + 1, None);
        for at in 0..=wire.len() {
            assert_eq!(decode(Coding::Zstd, &[&wire[..at], &wire[at..]]), Err(CodingError::Window), "{at}");
        }
    }

    #[test]
    fn a_window_is_judged_where_the_size_shows_that_it_is_not_needed() {
        // The window's byte, beside a size of five.
        let frame = encode(WireFormat::Zstd, b"hello");
        let (size, rest) = (frame[5], &frame[6..]);
        let wire = [&FRAME.to_le_bytes()[..], &[0x84, 0x78, size, 0, 0, 0], rest].concat();
        for at in 0..=wire.len() {
            assert_eq!(decode(Coding::Zstd, &[&wire[..at], &wire[at..]]), Err(CodingError::Window), "{at}");
        }
    }

    #[test]
    fn a_known_size_is_written_down_and_an_unknown_is_not() {
        for size in [Some(5), None] {
            let (mut encoder, mut out) = (Encoder::new(WireFormat::Zstd, Level::Fast, size).unwrap(), Vec::new());
            encoder.push(b"hello", &mut out).unwrap();
            encoder.finish(&mut out).unwrap();
            let told = ::zstd::zstd_safe::get_frame_content_size(&out.concat()).unwrap();
            assert_eq!(told, size);
        }
        let mut encoder = Encoder::new(WireFormat::Zstd, Level::Fast, Some(6)).unwrap();
        encoder.push(b"hello", &mut Vec::new()).unwrap();
        assert_eq!(encoder.finish(&mut Vec::new()), Err(CodingError::Library), "no frame tells a wrong size");
    }

    #[test]
    fn windows_are_read_as_the_format_has_them() {
        let header = |rest: &[u8]| window(&[&FRAME.to_le_bytes()[..], rest].concat());
        assert_eq!(header(&[0x00, 0x00]), Some(1024));
        assert_eq!(header(&[0x04, 0x69]), Some((1 << 23) + (1 << 20)));
        assert_eq!(header(&[0x20, 5]), Some(5));
        assert_eq!(header(&[0x61, 9, 0, 1]), Some(512));
        assert_eq!(header(&[0xa0, 0, 0, 0, 1]), Some(1 << 24));
        assert_eq!(header(&[0xe0, 0, 0, 0, 0, 1, 0, 0, 0]), Some(1 << 32));
        for short in [&[][..], &[0x00], &[0x20], &[0x61, 9, 0]] {
            assert_eq!(header(short), None);
        }
    }
}
