//! What a gRPC client is told: its status stands in trailers, under an HTTP
//! status that is always 200
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use super::exchange::{Exchange, Place};
use super::request_id::RequestId;
use super::respond::Failure;
use super::text;
use crate::redact::{Format, Plan};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How many milliseconds to wait before the next attempt.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// A protobuf message in base64.
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// How the messages are compressed that say that they are.
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// A status of gRPC
/// (<https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

impl Status {
    /// OTLP's exporters send again after `CANCELLED`, `DEADLINE_EXCEEDED`,
    /// `RESOURCE_EXHAUSTED`, `ABORTED`, `OUT_OF_RANGE`, `UNAVAILABLE` and
    /// `DATA_LOSS`: what will never pass must be none of these. So what is too
    /// large is an invalid argument, not an exhausted resource.
    fn of(failure: &Failure) -> Self {
        match (failure, failure.status().as_u16()) {
            (Failure::Blocked { .. }, _) => Self::PermissionDenied,
            (Failure::BodyTimeout | Failure::BodyTooSlow, _) => Self::DeadlineExceeded,
            (Failure::ClientGone, _) => Self::Cancelled,
            _ if failure.may_pass() => Self::Unavailable,
            (Failure::ResponseUnsupported | Failure::ResponseTooLarge | Failure::ResponseFailed, _) => Self::Internal,
            // Nothing here has this name, or takes what is sent.
            (_, 404 | 415) => Self::Unimplemented,
            _ => Self::InvalidArgument,
        }
    }
}

/// The end of an answer for a failure.
pub(super) fn trailers(failure: &Failure, id: RequestId) -> HeaderMap {
    let status = Status::of(failure);
    let mut trailers = HeaderMap::with_capacity(4);
    trailers.insert(STATUS, HeaderValue::from(status as u16));
    let message = encode(&format!("{failure} ({}, request {id})", failure.code()));
    if let Ok(message) = HeaderValue::try_from(message) {
        trailers.insert(MESSAGE, message);
    }
    if status == Status::Unavailable {
        trailers.insert(PUSHBACK, HeaderValue::from_static("1000"));
    }
    if *failure == Failure::Coding {
        trailers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity, gzip, deflate, zstd, br"));
    }
    trailers
}

/// Asks for messages that are not compressed, which can be redacted.
pub(super) fn ask_for_redactable(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Redacts what the end of a call says in words, in trailers or in a head that is
/// all there is; what says it in bytes is left out.
pub(super) fn redact_end(headers: &mut HeaderMap, plan: &Arc<Plan>, exchange: &Exchange) -> Result<(), Failure> {
    headers.remove(DETAILS);
    if headers.get_all(MESSAGE).iter().count() > 1 {
        let all: Vec<&[u8]> = headers.get_all(MESSAGE).iter().map(HeaderValue::as_bytes).collect();
        let one = HeaderValue::try_from(all.join(&b", "[..])).map_err(|_| Failure::Engine)?;
        headers.insert(MESSAGE, one);
    }
    let Some(message) = headers.get(MESSAGE) else { return Ok(()) };
    let text = Bytes::copy_from_slice(message.as_bytes());
    if let Some(redacted) = text::redact(text, Format::Text, plan, Place::Response, exchange)? {
        headers.insert(MESSAGE, HeaderValue::try_from(redacted).map_err(|_| Failure::Engine)?);
    }
    Ok(())
}

/// Whether these end a call.
pub(super) fn has_status(trailers: &HeaderMap) -> bool {
    trailers.contains_key(STATUS)
}

/// Whether these end a call well.
pub(super) fn is_ok(trailers: &HeaderMap) -> bool {
    trailers.get(STATUS).is_some_and(|status| status.as_bytes() == b"0")
}

/// The HTTP status of every answer.
pub(super) const OK: StatusCode = StatusCode::OK;

/// Percent-encodes what may not stand in a message.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::respond::MAY_PASS;

    #[test]
    fn what_will_never_pass_is_nothing_that_exporters_send_again() {
        let sent_again = [1, 4, 8, 10, 11, 14, 15];
        let blocked = Failure::Blocked { entity: "IBAN_CODE".to_owned(), rule: "iban".to_owned() };
        for failure in [
            blocked,
            Failure::Coding,
            Failure::Media,
            Failure::NoRoute,
            Failure::CorruptFraming,
            Failure::CorruptCoding,
            Failure::BodyTooLarge,
            Failure::DecodedTooLarge,
            Failure::PartTooLarge,
            Failure::Window,
            Failure::HeadTooLarge,
            Failure::Signed,
            Failure::Piece,
            Failure::ResponseUnsupported,
            Failure::ResponseTooLarge,
        ] {
            assert!(!sent_again.contains(&(Status::of(&failure) as u16)), "{failure}");
        }
    }

    #[test]
    fn what_may_pass_is_unavailable() {
        for failure in MAY_PASS {
            assert_eq!(Status::of(&failure), Status::Unavailable, "{failure}");
        }
    }

    #[test]
    fn messages_are_printable() {
        assert_eq!(encode("rule a%b\u{e9}\n"), "rule a%25b%C3%A9%0A");
    }
}
