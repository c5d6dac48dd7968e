//! Content codings (RFC 9110, section 8.4): gzip, deflate, zstd and br, undone
//! piece by piece within limits, and done again.
//!
//! One file per format; what is the same for all, limits and slices, is in
//! [`Decoder`] and [`Encoder`].

mod brotli;
mod decoder;
mod deflate;
mod encoder;
mod gzip;
mod lead;
mod zstd;

pub use decoder::{CodingLimits, Decoder};
pub(crate) use encoder::LateEncoder;
pub use encoder::{Encoder, Level};

/// The most that is decoded, redacted or encoded in one step: small enough to
/// stay in the second-level cache and to share a worker fairly.
pub const SLICE: usize = 64 * 1024;

/// A content coding that can be undone and redone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The bytes as they are.
    Identity,
    /// RFC 1952, one or several members.
    Gzip,
    /// RFC 1950, and RFC 1951 without it, as some clients send.
    Deflate,
    /// RFC 8878 with the window of RFC 9659, one or several frames.
    Zstd,
    /// RFC 7932.
    Brotli,
}

/// How encoded bytes are written: what an encoder must know to write the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFormat {
    /// RFC 1952.
    Gzip,
    /// Deflate in its wrapping of RFC 1950.
    Zlib,
    /// Deflate without one.
    Raw,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
}

/// A coding that is not known, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content coding is not supported")]
pub struct UnsupportedCoding;

/// Why an encoded body cannot be decoded, or a decoded one encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    /// A header, block or checksum is wrong, or something follows the end.
    #[error("the compressed data are corrupt")]
    Corrupt,
    /// They end in the middle.
    #[error("the compressed data end too early")]
    Truncated,
    /// They grow beyond their [`CodingLimits`].
    #[error("the compressed data decode to more than the limit")]
    TooLarge,
    /// They refer back farther than their coding allows, which is memory of the
    /// sender's choice.
    #[error("the compressed data need a larger window than is allowed")]
    Window,
    /// The library cannot be used; no body is to blame.
    #[error("the compression library failed")]
    Library,
}

impl Coding {
    /// The coding that the values of all `Content-Encoding` headers amount to.
    ///
    /// # Errors
    /// Anything but `identity` and at most one other that is known.
    pub fn from_headers<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, UnsupportedCoding> {
        let mut coding = Self::Identity;
        for name in values.into_iter().flat_map(|value| value.split(|&byte| byte == b',')) {
            let name = name.trim_ascii();
            if name.is_empty() {
                continue;
            }
            coding = match (coding, Self::from_name(name).ok_or(UnsupportedCoding)?) {
                (known, Self::Identity) | (Self::Identity, known) => known,
                _ => return Err(UnsupportedCoding),
            };
        }
        Ok(coding)
    }

    /// The coding of this name, in any case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        const NAMES: [(&str, Coding); 6] = [
            ("identity", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("zstd", Coding::Zstd),
            ("br", Coding::Brotli),
        ];
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(_, coding)| *coding)
    }

    /// What the first bytes of a file say, four of them if there are so many:
    /// raw deflate and br have no mark, and where zlib's is text it is text.
    pub fn from_mark(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'x', 0x01 | 0x9c | 0xda, ..] => Self::Deflate,
            _ if zstd::is_frame(head) => Self::Zstd,
            _ => Self::Identity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Coding, UnsupportedCoding> {
        Coding::from_headers(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn codings_are_known_by_name_in_any_case() {
        assert_eq!(parse(&[]), Ok(Coding::Identity));
        assert_eq!(parse(&["", "identity"]), Ok(Coding::Identity));
        assert_eq!(parse(&["GZip"]), Ok(Coding::Gzip));
        assert_eq!(parse(&["x-gzip, identity"]), Ok(Coding::Gzip));
        assert_eq!(parse(&["identity", "Deflate"]), Ok(Coding::Deflate));
        assert_eq!(parse(&["ZSTD"]), Ok(Coding::Zstd));
        assert_eq!(parse(&[" br "]), Ok(Coding::Brotli));
    }

    #[test]
    fn unknown_and_repeated_codings_are_refused() {
        for values in [
            &["compress"][..],
            &["gzip, br"],
            &["gzip, gzip"],
            &["gzip", "gzip"],
            &["zstd", "identity", "br"],
            &["gzipp"],
            &["dcz"],
            &["\u{1}"],
        ] {
            assert_eq!(parse(values), Err(UnsupportedCoding), "{values:?}");
        }
    }

    #[test]
    fn files_are_known_by_their_first_bytes() {
        assert_eq!(Coding::from_mark(b"\x1f\x8b\x08\0"), Coding::Gzip);
        assert_eq!(Coding::from_mark(b"x\x9c\xab\x56"), Coding::Deflate);
        assert_eq!(Coding::from_mark(b"\x28\xb5\x2f\xfd"), Coding::Zstd);
        assert_eq!(Coding::from_mark(b"\x50\x2a\x4d\x18"), Coding::Zstd);
        for text in [&b"{\"a\""[..], b"x^2 + 1", b"x", b""] {
            assert_eq!(Coding::from_mark(text), Coding::Identity);
        }
    }
}

#[cfg(test)]
pub(crate) mod rig;
