//! What all decoders have in common: pieces of bounded size, and limits.

use super::SLICE;
use super::brotli::BrotliDecoder;
use super::deflate::DeflateDecoder;
use super::gzip::GzipDecoder;
use super::zstd::ZstdDecoder;
use super::{Coding, CodingError, WireFormat};
use bytes::{Buf, Bytes};

/// Below this size the ratio says nothing.
const RATIO_GRACE: u64 = 1024 * 1024;

/// What a compressed body may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodingLimits {
    /// Bytes after decoding.
    pub max_decoded: u64,
    /// Decoded bytes per encoded byte, judged above 1 MiB.
    pub max_ratio: u64,
}

impl CodingLimits {
    /// For what is bounded otherwise, or need not be.
    pub const NONE: Self = Self { max_decoded: u64::MAX, max_ratio: u64::MAX };

    /// Whether so many encoded bytes may be so many when they are decoded.
    pub(crate) fn check(self, (encoded, decoded): (u64, u64)) -> Result<(), CodingError> {
        let ratio_broken = decoded > RATIO_GRACE && decoded > encoded.saturating_mul(self.max_ratio);
        if decoded > self.max_decoded || ratio_broken { Err(CodingError::TooLarge) } else { Ok(()) }
    }
}

/// One format's way from encoded bytes to decoded ones.
pub(super) trait Decode: Send {
    /// Decodes from the front of `input` into the free capacity of `piece`, and
    /// tells how many bytes of `input` are done with. Stops where `piece` is
    /// full.
    fn step(&mut self, input: &[u8], piece: &mut Vec<u8>) -> Result<usize, CodingError>;

    /// Whether the body may end here, with all of its output handed out.
    fn is_complete(&self) -> bool;

    /// Whether bytes were passed over that are not part of the decoded body.
    fn is_annotated(&self) -> bool;

    /// Nobody will ask for that; where it costs something to know, it is said of
    /// every body then.
    fn skip_annotations(&mut self) {}

    fn wire_format(&self) -> WireFormat;

    /// The most that it keeps of what it has decoded, as far as that is known.
    fn window(&self) -> u64;
}

/// Decodes a body of any coding but `identity`.
pub struct Decoder {
    inner: Box<dyn Decode>,
    /// Pushed and not decoded yet.
    input: Bytes,
    /// Whether the last piece was full, so that more may come without input.
    full: bool,
    limits: CodingLimits,
    consumed: u64,
    produced: u64,
    /// What was decoded before something was wrong.
    salvaged: Bytes,
}

impl Decoder {
    /// A decoder at the first byte of a body; none where there is nothing to
    /// decode.
    ///
    /// # Errors
    /// When the library cannot be used.
    pub fn new(coding: Coding, limits: CodingLimits) -> Result<Option<Self>, CodingError> {
        let inner: Box<dyn Decode> = match coding {
            Coding::Identity => return Ok(None),
            Coding::Gzip => Box::new(GzipDecoder::default()),
            Coding::Deflate => Box::new(DeflateDecoder::default()),
            Coding::Zstd => Box::new(ZstdDecoder::new()?),
            Coding::Brotli => Box::new(BrotliDecoder::default()),
        };
        Ok(Some(Self {
            inner,
            input: Bytes::new(),
            full: false,
            limits,
            consumed: 0,
            produced: 0,
            salvaged: Bytes::new(),
        }))
    }

    /// Takes the next bytes, to be had decoded by [`Decoder::next_piece`]. What was
    /// taken before is decoded by then.
    pub fn push(&mut self, input: Bytes) {
        debug_assert!(!self.is_pending(), "what was pushed before is decoded");
        self.input = input;
    }

    /// The next piece of the body, at most [`SLICE`] bytes; none until more
    /// bytes are pushed.
    ///
    /// # Errors
    /// What is wrong with the data. After it nothing more is to be had.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, CodingError> {
        while self.is_pending() {
            let mut piece = Vec::with_capacity(self.room());
            let used = match self.inner.step(&self.input, &mut piece) {
                Ok(used) => used,
                Err(error) => {
                    self.salvaged = piece.into();
                    return Err(error);
                }
            };
            if used == 0 && piece.is_empty() && !self.input.is_empty() {
                return Err(CodingError::Corrupt);
            }
            self.full = piece.len() == piece.capacity();
            self.input.advance(used);
            self.consumed += used as u64;
            self.produced += piece.len() as u64;
            self.judge_size()?;
            if !piece.is_empty() {
                return Ok(Some(piece.into()));
            }
        }
        Ok(None)
    }

    /// What was decoded before the error of the last [`Decoder::next_piece`], which is
    /// worth a look where damage is none of ours.
    pub(crate) fn salvage(&mut self) -> Bytes {
        std::mem::take(&mut self.salvaged)
    }

    /// Whether [`Decoder::next_piece`] may have something without more input.
    pub fn is_pending(&self) -> bool {
        !self.input.is_empty() || (self.full && !self.inner.is_complete())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// When it may not end here.
    pub fn finish(&self) -> Result<(), CodingError> {
        if self.inner.is_complete() && !self.is_pending() { Ok(()) } else { Err(CodingError::Truncated) }
    }

    /// Whether there are bytes beside the decoded body, so that nobody looks
    /// into them: names, comments, frames to be skipped.
    pub fn is_annotated(&self) -> bool {
        self.inner.is_annotated()
    }

    /// Says that nobody will ask [`Decoder::is_annotated`], which is answered with
    /// yes then where it costs something to know.
    pub fn skip_annotations(&mut self) {
        self.inner.skip_annotations();
    }

    /// How the body is written. Settled when the first piece is there, or the
    /// body has ended.
    pub fn wire_format(&self) -> WireFormat {
        self.inner.wire_format()
    }

    /// Bytes so far: taken, and decoded.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (self.consumed, self.produced)
    }

    /// Memory that the window takes: no more than was decoded.
    pub fn memory(&self) -> u64 {
        self.inner.window().min(self.produced)
    }

    /// How large the next piece may be. No piece crosses a multiple of
    /// [`SLICE`], so that the ratio is judged at the same places however the
    /// input is cut.
    fn room(&self) -> usize {
        let slice = SLICE as u64;
        let to_border = usize::try_from(slice - self.produced % slice).unwrap_or(SLICE);
        self.input.len().saturating_mul(8).clamp(4096, SLICE).min(to_border)
    }

    fn judge_size(&self) -> Result<(), CodingError> {
        let at_border = self.produced.is_multiple_of(SLICE as u64);
        let encoded = if at_border { self.consumed } else { u64::MAX };
        self.limits.check((encoded, self.produced))
    }
}
