//! What the client gets instead of the upstream's response: the one error that a
//! failure maps to. The only place where a failure becomes a status.

use super::exchange::{Dialect, Exchange};
use super::grpc;
use super::relay::ResponseBody;
use crate::content::{CodingError, ContentError};
use crate::redact::RedactError;
use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use std::sync::Arc;

/// Why a request was not, or not wholly, forwarded. Display is fixed text
/// without anything of the payload: it is sent to the client and logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// `CONNECT`, `*`, a path with dot segments, or an absolute URL for a host
    /// we do not serve.
    #[error("the request target is not served here")]
    Target,
    /// A method that is not registered: a word like any other, which nobody scans.
    #[error("the method is not one that is registered for HTTP")]
    Method,
    /// A path that an upstream may take for one of another route.
    #[error("servers may take the path for one of another route; send it without // ; \\ and needless %-escapes")]
    AmbiguousTarget,
    /// More bytes of request line and headers than allowed.
    #[error("the request's head is larger than the limit")]
    HeadTooLarge,
    /// Not HTTP, which hyper has answered, or with names that may be taken for
    /// those of its framing.
    #[error("the request's head is not valid")]
    MalformedHead,
    /// `Connection` names headers that are not the connection's.
    #[error("the Connection header names headers that are not hop-by-hop")]
    Connection,
    /// No `Host`, several, or one that is no host.
    #[error("a request needs exactly one Host header, with one host")]
    Host,
    /// In plain text where TLS is spoken.
    #[error("this port speaks TLS only; use https")]
    LacksTls,
    /// A protocol upgrade.
    #[error("the route allows no upgrade to this protocol; its `upgrades` lists those that pass unredacted")]
    Upgrade,
    /// No route has this host and path.
    #[error("no route is configured for this host and path")]
    NoRoute,
    /// An unknown coding, or more than one.
    #[error("the content coding is not supported; send one of gzip, deflate, zstd, br and snappy, or none")]
    Coding,
    /// An unknown media type.
    #[error(
        "the media type is not supported, or the body is not UTF-8 text; a route passes types that its `pass` lists"
    )]
    Media,
    /// The same on a route whose requests name their format: of those, rows in text are read.
    #[error(
        "the format is not supported, or the body is not UTF-8 text; \
         send FORMAT JSONEachRow, CSV or TSV, without decompress=1"
    )]
    Format,
    /// A charset other than UTF-8.
    #[error("the charset is not supported; send UTF-8")]
    Charset,
    /// Broken compression.
    #[error("the content coding of the body is broken")]
    CorruptCoding,
    /// The body ended before its declared end, or its framing is broken.
    #[error("the body is incomplete")]
    IncompleteBody,
    /// The client stopped sending.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The client sent too little for too long.
    #[error("the body arrived too slowly")]
    BodyTooSlow,
    /// More bytes than allowed.
    #[error("the body is larger than the limit")]
    BodyTooLarge,
    /// More bytes than allowed after decoding, or too many per encoded byte.
    #[error("the decoded body is larger than the limit")]
    DecodedTooLarge,
    /// Lengths or boundaries within the body are wrong.
    #[error("the framing of the body is broken")]
    CorruptFraming,
    /// More bytes than allowed in a part that has to be held whole.
    #[error("a part of the body is larger than the limit")]
    PartTooLarge,
    /// A compressed body that refers back farther than its coding allows.
    #[error("the content coding of the body needs a window above the limit; send zstd with at most 8 MiB")]
    Window,
    /// The policy blocks an entity.
    #[error("the policy of this route blocks {entity} (rule {rule})")]
    Blocked {
        /// What was found.
        entity: String,
        /// By which rule.
        rule: String,
    },
    /// Redaction would break a signature, or a digest that cannot be made anew.
    #[error("the request is signed and holds data to be redacted; redaction would break the signature")]
    Signed,
    /// Redaction would make untrue what the head tells of an upload in pieces.
    #[error(
        "the request is a piece of an upload whose size is told, and holds data to be redacted; the size would be wrong"
    )]
    Piece,
    /// The process is told to stop.
    #[error("the proxy is about to stop; try again")]
    Draining,
    /// Too many requests at a time.
    #[error("too many requests are in progress; try again")]
    Overloaded,
    /// Another request needed its place.
    #[error("another request needed the place of this one, whose client kept the proxy waiting; try again")]
    MadeRoom,
    /// Too many buffered bytes at a time.
    #[error("the memory for buffered bodies is used up; try again")]
    BufferedTooMuch,
    /// The scan engine failed.
    #[error("the body could not be scanned; nothing was forwarded")]
    Engine,
    /// The whole exchange took too long.
    #[error("the request took longer than its limit")]
    Deadline,
    /// A bug of ours.
    #[error("the proxy failed; nothing unredacted was forwarded")]
    Panic,
    /// The upstream could not be reached.
    #[error("the upstream could not be reached")]
    UpstreamUnreachable,
    /// The upstream has failed all the time, and is left alone.
    #[error("the upstream has failed repeatedly and is left alone for a while; try again")]
    UpstreamCircuitOpen,
    /// The upstream could not be reached in time.
    #[error("the upstream could not be reached in time")]
    UpstreamConnectTimeout,
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    UpstreamTimeout,
    /// The upstream began to answer and fell silent.
    #[error("the upstream stopped in the middle of its response")]
    UpstreamIdle,
    /// The upstream broke the connection or the protocol.
    #[error("the upstream broke off")]
    UpstreamBroke,
    /// A response to be redacted is of a type or in a coding that cannot be.
    #[error("the upstream's response cannot be redacted; a route passes the media types that its `pass` lists")]
    ResponseUnsupported,
    /// A response to be redacted has more bytes than allowed when decoded.
    #[error("the upstream's response is larger than the limit")]
    ResponseTooLarge,
    /// A response could not be redacted, by no fault of its own.
    #[error("the upstream's response could not be redacted; the request may have been carried out")]
    ResponseFailed,
    /// A connection that spoke something else broke off, or was silent for too long.
    #[error("the upgraded connection broke off")]
    TunnelBroke,
    /// The same, for silence alone.
    #[error("nothing came over the upgraded connection for too long")]
    TunnelIdle,
    /// The client went away.
    #[error("the client went away")]
    ClientGone,
    /// The client stopped taking its response.
    #[error("the client did not read its response in time")]
    ClientStopped,
    /// The client took too little of its response for too long.
    #[error("the client read its response too slowly")]
    ClientTooSlow,
}

/// Whose decision or fault a failure is; decides in which metric it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The proxy refused the request, as configured.
    Refused,
    /// Something broke.
    Failed,
}

impl Failure {
    /// Stable name: in error bodies and as the `reason` label.
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    /// The status that the client sees.
    pub fn status(&self) -> StatusCode {
        self.row().0
    }

    pub(super) fn kind(&self) -> Kind {
        self.row().2
    }

    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        let is_response = matches!(self, Self::ResponseUnsupported | Self::ResponseTooLarge | Self::ResponseFailed);
        matches!(self.status().as_u16(), 502..=504) && !is_response
    }

    /// The `kind` label of `upstream_errors_total`.
    pub(super) fn upstream_kind(&self) -> Option<&'static str> {
        match self {
            Self::UpstreamUnreachable => Some("connect"),
            Self::UpstreamConnectTimeout => Some("connect_timeout"),
            Self::UpstreamTimeout => Some("timeout"),
            Self::UpstreamIdle => Some("idle_timeout"),
            Self::UpstreamBroke => Some("broken"),
            _ => None,
        }
    }

    /// The table of all failures. SDKs retry 502, 503 and 504, and drop the
    /// data on any other: what may pass must be one of these. 500 is not used.
    fn row(&self) -> (StatusCode, &'static str, Kind) {
        use Kind::{Failed, Refused};
        use StatusCode as S;
        match self {
            Self::Target => (S::BAD_REQUEST, "unsupported_request_target", Refused),
            Self::Method => (S::NOT_IMPLEMENTED, "unsupported_method", Refused),
            Self::AmbiguousTarget => (S::BAD_REQUEST, "ambiguous_request_target", Refused),
            Self::HeadTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", Refused),
            Self::MalformedHead => (S::BAD_REQUEST, "malformed_head", Refused),
            Self::Connection => (S::BAD_REQUEST, "bad_connection_header", Refused),
            Self::Host => (S::BAD_REQUEST, "bad_host", Refused),
            Self::LacksTls => (S::BAD_REQUEST, "tls_required", Refused),
            Self::Upgrade => (S::BAD_REQUEST, "unsupported_upgrade", Refused),
            Self::NoRoute => (S::NOT_FOUND, "no_route", Refused),
            Self::Coding => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", Refused),
            Self::Media | Self::Format => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", Refused),
            Self::Charset => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_charset", Refused),
            Self::CorruptCoding => (S::BAD_REQUEST, "corrupt_content_encoding", Refused),
            Self::IncompleteBody => (S::BAD_REQUEST, "incomplete_body", Failed),
            Self::BodyTimeout => (S::REQUEST_TIMEOUT, "body_timeout", Failed),
            Self::BodyTooSlow => (S::REQUEST_TIMEOUT, "body_too_slow", Failed),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", Refused),
            Self::DecodedTooLarge => (S::PAYLOAD_TOO_LARGE, "decoded_body_too_large", Refused),
            Self::CorruptFraming => (S::BAD_REQUEST, "corrupt_framing", Refused),
            Self::PartTooLarge => (S::PAYLOAD_TOO_LARGE, "part_too_large", Refused),
            Self::Window => (S::PAYLOAD_TOO_LARGE, "window_too_large", Refused),
            Self::Blocked { .. } => (S::UNPROCESSABLE_ENTITY, "blocked", Refused),
            Self::Signed => (S::UNPROCESSABLE_ENTITY, "signed_body", Refused),
            Self::Piece => (S::UNPROCESSABLE_ENTITY, "partial_upload", Refused),
            Self::Draining => (S::SERVICE_UNAVAILABLE, "draining", Refused),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", Refused),
            Self::MadeRoom => (S::SERVICE_UNAVAILABLE, "made_room", Refused),
            Self::BufferedTooMuch => (S::SERVICE_UNAVAILABLE, "memory_budget", Refused),
            Self::UpstreamCircuitOpen => (S::SERVICE_UNAVAILABLE, "upstream_circuit_open", Refused),
            Self::Engine => (S::SERVICE_UNAVAILABLE, "engine_failed", Failed),
            Self::Deadline => (S::SERVICE_UNAVAILABLE, "deadline", Failed),
            Self::Panic => (S::SERVICE_UNAVAILABLE, "panic", Failed),
            Self::UpstreamUnreachable => (S::BAD_GATEWAY, "upstream_unreachable", Failed),
            Self::UpstreamConnectTimeout => (S::GATEWAY_TIMEOUT, "upstream_connect_timeout", Failed),
            Self::UpstreamTimeout => (S::GATEWAY_TIMEOUT, "upstream_timeout", Failed),
            Self::UpstreamIdle => (S::GATEWAY_TIMEOUT, "upstream_idle_timeout", Failed),
            Self::UpstreamBroke => (S::BAD_GATEWAY, "upstream_broke", Failed),
            Self::ResponseUnsupported => (S::BAD_GATEWAY, "unsupported_response", Refused),
            Self::ResponseTooLarge => (S::BAD_GATEWAY, "response_too_large", Refused),
            Self::ResponseFailed => (S::BAD_GATEWAY, "response_failed", Failed),
            // Told nobody: the response was long ago.
            Self::TunnelBroke => (S::BAD_GATEWAY, "tunnel_broke", Failed),
            Self::TunnelIdle => (S::GATEWAY_TIMEOUT, "tunnel_idle_timeout", Failed),
            // Nobody is there to read it; the number is nginx's, for the logs.
            Self::ClientGone => (client_closed_request(), "client_gone", Failed),
            Self::ClientStopped => (client_closed_request(), "response_not_read", Failed),
            Self::ClientTooSlow => (client_closed_request(), "response_too_slow", Failed),
        }
    }
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Coding(CodingError::TooLarge) => Self::DecodedTooLarge,
            ContentError::Coding(CodingError::Window) => Self::Window,
            ContentError::Coding(CodingError::Corrupt | CodingError::Truncated) => Self::CorruptCoding,
            ContentError::Coding(CodingError::Library) => Self::Engine,
            ContentError::Charset => Self::Charset,
            ContentError::Media => Self::Media,
            ContentError::Framing => Self::CorruptFraming,
            ContentError::PartCoding => Self::Coding,
            ContentError::Large => Self::PartTooLarge,
            ContentError::Redact(error) => error.into(),
        }
    }
}

impl From<RedactError> for Failure {
    fn from(error: RedactError) -> Self {
        match error {
            RedactError::Blocked { entity, rule } => Self::Blocked { entity, rule },
            RedactError::Large => Self::PartTooLarge,
            RedactError::Zipped => Self::Coding,
            RedactError::Engine => Self::Engine,
        }
    }
}

/// Marks a response to a request whose body was not read to its end: the
/// connection must linger, else the client sees a reset instead of the status.
#[derive(Clone, Copy, Debug)]
pub struct UnreadBody;

/// Marks a request that came in plain text where TLS is spoken.
#[derive(Clone, Copy, Debug)]
pub struct LacksTls;

/// The answer for a failure; `unread` when the connection cannot be reused.
pub(super) fn refuse(failure: &Failure, exchange: &Arc<Exchange>, unread: bool) -> Response<ResponseBody> {
    if exchange.dialect() == Dialect::Grpc {
        return refuse_call(failure, exchange);
    }
    let body = serde_json::json!({"error": {
        "code": failure.code(),
        "message": failure.to_string(),
        "request_id": exchange.id().to_string(),
    }});
    let body = Bytes::from(body.to_string());
    let mut response = Response::new(ResponseBody::fixed(Some(body), exchange));
    *response.status_mut() = failure.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if failure.may_pass() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if unread {
        close_unread(&mut response, exchange);
    }
    response
}

/// The same for a gRPC client: trailers alone.
fn refuse_call(failure: &Failure, exchange: &Arc<Exchange>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::fixed(None, exchange));
    *response.status_mut() = grpc::OK;
    *response.headers_mut() = grpc::trailers(failure, exchange.id());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Has a connection closed whose client may have more to send; one of HTTP/2 can
/// do without the rest.
pub(super) fn close_unread(response: &mut Response<ResponseBody>, exchange: &Exchange) {
    if exchange.dialect() != Dialect::Http1 {
        return;
    }
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.extensions_mut().insert(UnreadBody);
}

fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

/// After which the same request may succeed.
#[cfg(test)]
pub(super) const MAY_PASS: [Failure; 12] = [
    Failure::Draining,
    Failure::Overloaded,
    Failure::MadeRoom,
    Failure::BufferedTooMuch,
    Failure::Engine,
    Failure::Deadline,
    Failure::Panic,
    Failure::UpstreamCircuitOpen,
    Failure::UpstreamUnreachable,
    Failure::UpstreamConnectTimeout,
    Failure::UpstreamTimeout,
    Failure::UpstreamBroke,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_a_status_that_clients_retry() {
        for failure in MAY_PASS {
            assert!(matches!(failure.status().as_u16(), 502..=504), "{failure}");
        }
    }

    #[test]
    fn the_errors_of_lower_layers_keep_their_meaning() {
        let status = |error: ContentError| Failure::from(error).status().as_u16();
        assert_eq!(status(ContentError::Coding(CodingError::TooLarge)), 413);
        assert_eq!(status(ContentError::Coding(CodingError::Truncated)), 400);
        assert_eq!(status(ContentError::Charset), 415);
        assert_eq!(status(ContentError::Media), 415);
        assert_eq!(status(ContentError::Framing), 400);
        assert_eq!(status(ContentError::Redact(RedactError::Engine)), 503);
        let blocked = RedactError::Blocked { entity: "IBAN_CODE".to_owned(), rule: "iban".to_owned() };
        assert_eq!(status(ContentError::Redact(blocked)), 422);
    }
}
