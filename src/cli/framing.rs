//! Formats that only `redact` takes apart: those with a framing of their own,
//! by which a proxy's requests come.

use super::input::InputError;
use crate::content::{ContentType, Message};

/// Bytes at the beginning of an input that tell what is in it.
pub(super) const HEAD: usize = 64 * 1024;

/// A framing, as `--format` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data` and alike.
    Multipart,
    /// Server-sent events.
    Sse,
    /// A Sentry envelope.
    Envelope,
    /// An OTLP request in Protocol Buffers.
    Otlp,
}

impl Framing {
    /// All names.
    pub(super) const NAMES: &str = "form, multipart, sse, envelope, otlp";

    /// The framing of this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "form" => Self::Form,
            "multipart" => Self::Multipart,
            "sse" => Self::Sse,
            "envelope" => Self::Envelope,
            "otlp" => Self::Otlp,
            _ => return None,
        })
    }

    /// Whether `head` is enough to tell the content's type by.
    pub(super) fn suffices(self, head: &[u8]) -> bool {
        match self {
            Self::Form | Self::Sse | Self::Envelope => true,
            Self::Multipart => head.len() >= HEAD || boundary(head).is_some(),
            Self::Otlp => head.len() >= HEAD,
        }
    }

    /// What a request would say of an input that begins with `head`, or is it.
    ///
    /// # Errors
    /// When no line of it can be a boundary.
    pub(super) fn content(self, head: &[u8]) -> Result<ContentType, InputError> {
        let named = |name: &str| ContentType::parse(Some(name.as_bytes()));
        Ok(match self {
            Self::Form => named("application/x-www-form-urlencoded"),
            Self::Sse => named("text/event-stream"),
            Self::Envelope => named("application/x-sentry-envelope"),
            Self::Otlp => named("application/x-protobuf").holding(Message::guess(head)),
            Self::Multipart => {
                let boundary = boundary(head).ok_or(InputError::Boundary)?.to_vec();
                ContentType { boundary: Some(boundary), ..named("multipart/form-data") }
            }
        })
    }
}

/// The boundary of parts, without a header that says it: what stands behind `--`
/// on the first line that begins so (RFC 2046, section 5.1.1).
fn boundary(head: &[u8]) -> Option<&[u8]> {
    let whole = memchr::memrchr(b'\n', head)?;
    let mut lines = head[..whole].split(|&byte| byte == b'\n');
    lines.find_map(|line| line.strip_prefix(b"--")).map(<[u8]>::trim_ascii_end).filter(|boundary| !boundary.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_read_off_its_first_whole_line() {
        for (head, expected) in [
            (&b"--b\r\nContent-Type: a/b\r\n\r\nx"[..], Some(&b"b"[..])),
            (b"a preamble\n-- not \n--b\n", Some(b" not")),
            (b"--b", None),
            (b"no line\nbegins so\n", None),
            (b"--\n", None),
        ] {
            assert_eq!(boundary(head), expected, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn every_name_that_is_told_is_known() {
        assert!(Framing::NAMES.split(", ").all(|name| Framing::from_name(name).is_some()));
    }
}
