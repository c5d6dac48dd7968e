//! What all encoders have in common.

use super::brotli::BrotliEncoder;
use super::deflate::DeflateEncoder;
use super::zstd::ZstdEncoder;
use super::{CodingError, WireFormat};
use bytes::Bytes;

/// How much time is spent to save bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// The fastest that still saves most: gzip and deflate 1, zstd 1, br 2.
    #[default]
    Fast,
    /// What the formats' own tools use: gzip and deflate 6, zstd 3, and br 5.
    Default,
    /// Small, at a price: gzip and deflate 9, zstd 9, br 7.
    Best,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Default, Self::Best];

    /// As it is configured.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Default => "default",
            Self::Best => "best",
        }
    }
}

/// One format's way from decoded bytes to encoded ones.
pub(super) trait Encode: Send {
    fn push(&mut self, input: &[u8], out: &mut Vec<Bytes>) -> Result<(), CodingError>;

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), CodingError>;
}

/// Encodes a body as one gzip member, one frame, or what else the form calls it.
pub struct Encoder {
    inner: Box<dyn Encode>,
    memory: u64,
}

impl Encoder {
    /// An encoder at the first byte of a body, whose `size` it writes down
    /// where it is known and the form has a place for it.
    ///
    /// # Errors
    /// When the library cannot be used.
    pub fn new(form: WireFormat, level: Level, size: Option<u64>) -> Result<Self, CodingError> {
        let inner: Box<dyn Encode> = match form {
            WireFormat::Gzip | WireFormat::Zlib | WireFormat::Raw => Box::new(DeflateEncoder::new(form, level)),
            WireFormat::Zstd => Box::new(ZstdEncoder::new(level, size)?),
            WireFormat::Brotli => Box::new(BrotliEncoder::new(level)),
        };
        Ok(Self { inner, memory: memory(form, level) })
    }

    /// Memory that it takes at most.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Encodes `input`; appends to `out` what is ready.
    ///
    /// # Errors
    /// Never for a valid encoder; the libraries' types say otherwise.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        self.inner.push(input, out)
    }

    /// Appends what still has to come.
    ///
    /// # Errors
    /// As [`Encoder::push`], and when the size was wrong.
    pub fn finish(mut self, out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        self.inner.finish(out)
    }
}

/// An encoder that is made when there is something to encode.
#[derive(Default)]
pub(crate) struct LateEncoder(Option<Encoder>);

impl LateEncoder {
    /// Encodes `pieces`, all of them, if there are any, in the form and at the level of
    /// `how`, which is the same every time.
    ///
    /// # Errors
    /// As [`Encoder::new`] and [`Encoder::push`].
    pub(crate) fn push(
        &mut self,
        how: (WireFormat, Level),
        pieces: &mut Vec<Bytes>,
        out: &mut Vec<Bytes>,
    ) -> Result<(), CodingError> {
        if pieces.is_empty() {
            return Ok(());
        }
        let mut encoder = self.take(how)?;
        for piece in pieces.drain(..) {
            encoder.push(&piece, out)?;
        }
        self.0 = Some(encoder);
        Ok(())
    }

    /// Appends what still has to come, of nothing if nothing was pushed.
    ///
    /// # Errors
    /// As [`Encoder::new`] and [`Encoder::finish`].
    pub(crate) fn finish(&mut self, how: (WireFormat, Level), out: &mut Vec<Bytes>) -> Result<(), CodingError> {
        self.take(how)?.finish(out)
    }

    /// As [`Encoder::memory`]; nothing before it is made.
    pub(crate) fn memory(&self) -> u64 {
        self.0.as_ref().map_or(0, Encoder::memory)
    }

    fn take(&mut self, (form, level): (WireFormat, Level)) -> Result<Encoder, CodingError> {
        self.0.take().map_or_else(|| Encoder::new(form, level, None), Ok)
    }
}

/// What encoders were seen to take, rounded up.
fn memory(form: WireFormat, level: Level) -> u64 {
    const KIB: u64 = 1024;
    match (form, level) {
        (WireFormat::Gzip | WireFormat::Zlib | WireFormat::Raw, _) => 512 * KIB,
        (WireFormat::Zstd, Level::Fast | Level::Default) => 3 * 1024 * KIB,
        (WireFormat::Brotli, Level::Fast | Level::Default) => 7 * 1024 * KIB,
        (WireFormat::Zstd | WireFormat::Brotli, Level::Best) => 14 * 1024 * KIB,
    }
}
