//! How an input is compressed. Gzip and zstd are decoded, and encoded again
//! where there is output; other compressions are named and refused, since a
//! scan of compressed bytes finds nothing in them.

use super::zstd::{ZstdDecoder, ZstdEncoder};
use super::{InputError, zstd};
use crate::content::{GzipDecoder, GzipEncoder, GzipLimits};
use bytes::Bytes;

/// Bytes that tell a coding.
pub(super) const MARK: usize = 4;

/// The first bytes of every gzip member (RFC 1952, section 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Compressions that are not understood, by their first bytes: xz (its file
/// format, section 2.1.1.1), bzip2 with its block size, zip (APPNOTE.TXT,
/// section 4.3.7), and zlib as far as its two bytes (RFC 1950, section 2.2)
/// are not text.
const FOREIGN: [(&[u8], &str); 6] = [
    (b"\xfd7zX", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"x\x01", "zlib"),
    (b"x\x9c", "zlib"),
    (b"x\xda", "zlib"),
    (b"BZh", "bzip2"),
];

/// A file of one's own may grow as much as it likes: it streams.
const NO_LIMITS: GzipLimits = GzipLimits { max_decoded: u64::MAX, max_ratio: u64::MAX };

/// A compression that is understood, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
    Zstd,
}

impl Coding {
    /// What the first [`MARK`] bytes say.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            _ if head.starts_with(GZIP) => Self::Gzip,
            _ if zstd::is_frame(head) => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// The name of a compression that is not understood, by the first [`MARK`] bytes.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    let is_block_size = |byte: Option<&u8>| byte.is_some_and(|byte| (b'1'..=b'9').contains(byte));
    let found = FOREIGN.iter().find(|(mark, _)| head.starts_with(mark));
    // A text may begin with these letters, but hardly with a digit behind them.
    found.map(|(_, name)| *name).filter(|name| *name != "bzip2" || is_block_size(head.get(3)))
}

/// From an input's bytes to its text.
pub(super) enum Decoder {
    Plain,
    Gzip(Box<GzipDecoder>),
    Zstd(ZstdDecoder),
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Result<Self, InputError> {
        Ok(match coding {
            Coding::Plain => Self::Plain,
            Coding::Gzip => Self::Gzip(Box::new(GzipDecoder::new(NO_LIMITS))),
            Coding::Zstd => Self::Zstd(ZstdDecoder::new()?),
        })
    }

    /// Hands the text of `bytes` to `sink`, in small pieces if it grows.
    pub(super) fn push(
        &mut self,
        bytes: Bytes,
        mut sink: impl FnMut(Bytes) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        match self {
            Self::Plain => sink(bytes),
            Self::Gzip(decoder) => decoder.push(&bytes, sink),
            Self::Zstd(decoder) => decoder.push(&bytes, sink),
        }
    }

    /// The input has ended: may it end here?
    pub(super) fn finish(&self) -> Result<(), InputError> {
        match self {
            Self::Plain => Ok(()),
            Self::Gzip(decoder) => Ok(decoder.finish()?),
            Self::Zstd(decoder) => decoder.finish(),
        }
    }
}

/// From redacted text back to bytes as they came.
pub(super) enum Encoder {
    Plain,
    Gzip(Box<GzipEncoder>),
    Zstd(ZstdEncoder),
}

impl Encoder {
    pub(super) fn new(coding: Coding) -> Result<Self, InputError> {
        Ok(match coding {
            Coding::Plain => Self::Plain,
            Coding::Gzip => Self::Gzip(Box::default()),
            Coding::Zstd => Self::Zstd(ZstdEncoder::new()?),
        })
    }

    /// Encodes `text`; appends to `out` what is ready.
    pub(super) fn push(&mut self, text: Bytes, out: &mut Vec<Bytes>) -> Result<(), InputError> {
        match self {
            Self::Plain => out.push(text),
            Self::Gzip(encoder) => encoder.push(&text, out)?,
            Self::Zstd(encoder) => encoder.push(&text, out)?,
        }
        Ok(())
    }

    /// Appends what still has to come.
    pub(super) fn finish(self, out: &mut Vec<Bytes>) -> Result<(), InputError> {
        match self {
            Self::Plain => Ok(()),
            Self::Gzip(mut encoder) => Ok(encoder.finish(out)?),
            Self::Zstd(encoder) => encoder.finish(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_known_by_their_first_bytes() {
        assert_eq!(Coding::of(b"\x1f\x8b\x08\0"), Coding::Gzip);
        assert_eq!(Coding::of(b"\x28\xb5\x2f\xfd"), Coding::Zstd);
        assert_eq!(Coding::of(b"\x50\x2a\x4d\x18"), Coding::Zstd);
        assert_eq!(Coding::of(b"{\"a\""), Coding::Plain);
        assert_eq!(Coding::of(b""), Coding::Plain);
    }

    #[test]
    fn foreign_compressions_are_named() {
        for (head, name) in
            [(&b"\xfd7zXZ\0"[..], "xz"), (b"BZh91AY", "bzip2"), (b"PK\x03\x04\x14", "zip"), (b"x\x9c\xab", "zlib")]
        {
            assert_eq!(foreign(head), Some(name));
        }
        for text in [&b"BZhang said"[..], b"PK is here", b"x^2 + 1", b"BZh", b""] {
            assert_eq!(foreign(text), None);
        }
    }
}
