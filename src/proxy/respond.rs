//! What the client gets: the upstream's response, or the one error that a
//! failure maps to. The only place where a failure becomes a status.

use super::admission::{Budget, Reservation};
use super::exchange::Exchange;
use super::idle::IdleTimer;
use super::response::Redaction;
use super::upstream::Driver;
use crate::content::{CodingError, ContentError};
use crate::redact::RedactError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Why a request was not, or not wholly, forwarded. Display is fixed text
/// without anything of the payload: it is sent to the client and logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// `CONNECT`, `*`, a path with dot segments, or an absolute URL for a host
    /// we do not serve.
    #[error("the request target is not served here")]
    Target,
    /// More bytes of request line and headers than allowed.
    #[error("the request's head is larger than the limit")]
    HeadTooLarge,
    /// Not HTTP; hyper has answered it.
    #[error("the request's head is not valid")]
    MalformedHead,
    /// `Connection` names headers that are not the connection's.
    #[error("the Connection header names headers that are not hop-by-hop")]
    Connection,
    /// No `Host`, or several.
    #[error("a request needs exactly one Host header")]
    Host,
    /// A protocol upgrade.
    #[error("protocol upgrades are not supported")]
    Upgrade,
    /// No route has this host and path.
    #[error("no route is configured for this host and path")]
    NoRoute,
    /// An unknown coding, or more than one.
    #[error("the content coding is not supported; send gzip, deflate, zstd or br, or none")]
    Coding,
    /// An unknown media type.
    #[error("the media type is not supported, and the body is not UTF-8 text")]
    Media,
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
    /// Redaction would break a signature.
    #[error("the request is signed and holds data to be redacted; redaction would break the signature")]
    Signed,
    /// The process is told to stop.
    #[error("the proxy is about to stop; try again")]
    Draining,
    /// Too many requests at a time.
    #[error("too many requests are in progress; try again")]
    Overloaded,
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
    /// The upstream could not be reached in time.
    #[error("the upstream could not be reached in time")]
    UpstreamConnectTimeout,
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    UpstreamTimeout,
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
    /// The client went away.
    #[error("the client went away")]
    ClientGone,
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
    fn may_pass(&self) -> bool {
        let is_response = matches!(self, Self::ResponseUnsupported | Self::ResponseTooLarge | Self::ResponseFailed);
        matches!(self.status().as_u16(), 502..=504) && !is_response
    }

    /// The `kind` label of `upstream_errors_total`.
    pub(super) fn upstream_kind(&self) -> Option<&'static str> {
        match self {
            Self::UpstreamUnreachable => Some("connect"),
            Self::UpstreamConnectTimeout => Some("connect_timeout"),
            Self::UpstreamTimeout => Some("timeout"),
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
            Self::HeadTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", Refused),
            Self::MalformedHead => (S::BAD_REQUEST, "malformed_head", Refused),
            Self::Connection => (S::BAD_REQUEST, "bad_connection_header", Refused),
            Self::Host => (S::BAD_REQUEST, "bad_host", Refused),
            Self::Upgrade => (S::BAD_REQUEST, "unsupported_upgrade", Refused),
            Self::NoRoute => (S::NOT_FOUND, "no_route", Refused),
            Self::Coding => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", Refused),
            Self::Media => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", Refused),
            Self::Charset => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_charset", Refused),
            Self::CorruptCoding => (S::BAD_REQUEST, "corrupt_content_encoding", Refused),
            Self::IncompleteBody => (S::BAD_REQUEST, "incomplete_body", Failed),
            Self::BodyTimeout => (S::REQUEST_TIMEOUT, "body_timeout", Failed),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", Refused),
            Self::DecodedTooLarge => (S::PAYLOAD_TOO_LARGE, "decoded_body_too_large", Refused),
            Self::CorruptFraming => (S::BAD_REQUEST, "corrupt_framing", Refused),
            Self::PartTooLarge => (S::PAYLOAD_TOO_LARGE, "part_too_large", Refused),
            Self::Window => (S::PAYLOAD_TOO_LARGE, "window_too_large", Refused),
            Self::Blocked { .. } => (S::UNPROCESSABLE_ENTITY, "blocked", Refused),
            Self::Signed => (S::UNPROCESSABLE_ENTITY, "signed_body", Refused),
            Self::Draining => (S::SERVICE_UNAVAILABLE, "draining", Refused),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", Refused),
            Self::BufferedTooMuch => (S::SERVICE_UNAVAILABLE, "memory_budget", Refused),
            Self::Engine => (S::SERVICE_UNAVAILABLE, "engine_failed", Failed),
            Self::Deadline => (S::SERVICE_UNAVAILABLE, "deadline", Failed),
            Self::Panic => (S::SERVICE_UNAVAILABLE, "panic", Failed),
            Self::UpstreamUnreachable => (S::BAD_GATEWAY, "upstream_unreachable", Failed),
            Self::UpstreamConnectTimeout => (S::GATEWAY_TIMEOUT, "upstream_connect_timeout", Failed),
            Self::UpstreamTimeout => (S::GATEWAY_TIMEOUT, "upstream_timeout", Failed),
            Self::UpstreamBroke => (S::BAD_GATEWAY, "upstream_broke", Failed),
            Self::ResponseUnsupported => (S::BAD_GATEWAY, "unsupported_response", Refused),
            Self::ResponseTooLarge => (S::BAD_GATEWAY, "response_too_large", Refused),
            Self::ResponseFailed => (S::BAD_GATEWAY, "response_failed", Failed),
            // Nobody is there to read it; the number is nginx's, for the logs.
            Self::ClientGone => (client_closed_request(), "client_gone", Failed),
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
            RedactError::Engine => Self::Engine,
        }
    }
}

/// Marks a response to a request whose body was not read to its end: the
/// connection must linger, else the client sees a reset instead of the status.
#[derive(Clone, Copy, Debug)]
pub struct UnreadBody;

/// The answer for a failure; `unread` when the connection cannot be reused.
pub(super) fn refuse(failure: &Failure, exchange: &Arc<Exchange>, unread: bool) -> Response<ResponseBody> {
    let body = serde_json::json!({"error": {
        "code": failure.code(),
        "message": failure.to_string(),
        "request_id": exchange.id().to_string(),
    }});
    let body = ResponseBody {
        inner: Inner::Fixed(Some(Bytes::from(body.to_string()))),
        redaction: None,
        _reservation: None,
        idle: IdleTimer::new(Duration::MAX),
        deadline: None,
        exchange: Some(Arc::clone(exchange)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = failure.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if failure.may_pass() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if unread {
        close_unread(&mut response);
    }
    response
}

/// The upstream's response on its way back, untouched but for what `redaction`
/// does to its body.
pub(super) fn relay(
    response: Response<Incoming>,
    driver: Driver,
    redaction: Option<Redaction>,
    idle: Duration,
    deadline: Option<Instant>,
    exchange: &Arc<Exchange>,
) -> Response<ResponseBody> {
    let mut response = response.map(|incoming| ResponseBody {
        inner: Inner::Upstream(Upstream { incoming, driver, ahead: None }),
        redaction: redaction.map(Box::new),
        _reservation: None,
        idle: IdleTimer::new(idle),
        deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at))),
        exchange: Some(Arc::clone(exchange)),
    });
    if exchange.is_unread() {
        // Whether the upstream will take the rest is not known.
        close_unread(&mut response);
    }
    response
}

fn close_unread(response: &mut Response<ResponseBody>) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.extensions_mut().insert(UnreadBody);
}

/// The body of every response.
pub struct ResponseBody {
    inner: Inner,
    redaction: Option<Box<Redaction>>,
    /// For what is held whole.
    _reservation: Option<Reservation>,
    idle: IdleTimer,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Kept until the body is done, so that the exchange ends with it.
    exchange: Option<Arc<Exchange>>,
}

enum Inner {
    Upstream(Upstream),
    Fixed(Option<Bytes>),
}

/// The response could not be completed; the client's connection breaks.
#[derive(Debug, thiserror::Error)]
#[error("the response was broken off")]
pub struct ResponseBroken;

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseBroken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBroken>>> {
        let this = &mut *self;
        if let Inner::Fixed(bytes) = &mut this.inner {
            return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
        }
        let polled = match this.redaction {
            None => ready!(this.poll_upstream(cx)),
            Some(_) => ready!(this.poll_redacted(cx)).map(|redacted| redacted.map(Frame::data)),
        };
        match polled {
            Some(Ok(frame)) => {
                if let (Some(exchange), Some(data)) = (&this.exchange, frame.data_ref()) {
                    exchange.add_response(data.len());
                }
                if frame.is_trailers() {
                    // Nothing follows, and nobody asks for it.
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(failure)) => Poll::Ready(Some(Err(this.fail(failure)))),
            None => {
                this.complete();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match (&self.inner, &self.redaction) {
            (Inner::Fixed(bytes), _) => bytes.is_none(),
            (Inner::Upstream(_), Some(redaction)) => redaction.is_over(),
            (Inner::Upstream(upstream), None) => upstream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Upstream(_) if self.redaction.is_some() => SizeHint::default(),
            Inner::Upstream(upstream) => upstream.incoming.size_hint(),
            Inner::Fixed(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// A response's body, and what brings it.
struct Upstream {
    incoming: Incoming,
    driver: Driver,
    /// What follows the frame that was told last, if it is there: an end that
    /// is known with the last frame leaves with it, in one write.
    ahead: Option<Option<Result<Frame<Bytes>, hyper::Error>>>,
}

impl Upstream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = match self.ahead.take() {
            Some(ahead) => ahead,
            None => ready!(self.poll_next(cx)),
        };
        let is_data = matches!(&polled, Some(Ok(frame)) if frame.is_data());
        if is_data
            && !self.incoming.is_end_stream()
            && let Poll::Ready(next) = self.poll_next(cx)
        {
            self.ahead = Some(next);
        }
        Poll::Ready(polled)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(polled) = Pin::new(&mut self.incoming).poll_frame(cx) {
            return Poll::Ready(polled);
        }
        self.driver.drive(cx);
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        match &self.ahead {
            Some(ahead) => ahead.is_none(),
            None => self.incoming.is_end_stream(),
        }
    }
}

/// Steps without output before other tasks get their turn.
const MAX_STEPS: usize = 16;

/// What came of going on.
enum Step {
    /// Nothing that may leave.
    Went,
    /// These bytes, next.
    Released(Bytes),
    /// The body is over.
    Over,
}

impl ResponseBody {
    /// The upstream's next frame, unless it takes too long.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Inner::Upstream(upstream) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let Poll::Ready(polled) = upstream.poll_frame(cx) else {
            return self.poll_too_late(cx).map(|failure| Some(Err(failure)));
        };
        self.idle.progress();
        Poll::Ready(polled.map(|frame| frame.map_err(|_| Failure::UpstreamBroke)))
    }

    /// The next redacted bytes.
    fn poll_redacted(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        for _ in 0..MAX_STEPS {
            match ready!(self.poll_step(cx)) {
                Ok(Step::Went) => {}
                Ok(Step::Released(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(Step::Over) => return Poll::Ready(None),
                Err(failure) => return Poll::Ready(Some(Err(failure))),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Goes on with the redaction. Trailers, which nobody redacts, end with us.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, Failure>> {
        let Some(redaction) = &mut self.redaction else {
            return Poll::Ready(Ok(Step::Over));
        };
        if let Some(piece) = redaction.next() {
            return Poll::Ready(Ok(Step::Released(piece)));
        }
        if redaction.is_over() {
            return Poll::Ready(Ok(Step::Over));
        }
        let step = match redaction.has_to_push() {
            true => redaction.step(),
            false => match ready!(self.poll_upstream(cx)) {
                Some(frame) => frame.map(|frame| self.redact(frame)),
                None => self.redaction.as_mut().map_or(Ok(()), |redaction| redaction.finish()),
            },
        };
        Poll::Ready(step.map(|()| Step::Went))
    }

    fn redact(&mut self, frame: Frame<Bytes>) {
        if let (Some(redaction), Ok(data)) = (&mut self.redaction, frame.into_data()) {
            redaction.take(data);
        }
    }

    /// Redacts what can still be refused: a body that says it has at most
    /// `whole` bytes, as long as it has no more when redacted, and of others what
    /// tells that they are what they are said to be. The length, if it is whole.
    ///
    /// # Errors
    /// Why nothing of it may be told.
    pub(super) async fn redact_ahead(&mut self, whole: u64, budget: &Arc<Budget>) -> Result<Option<u64>, Failure> {
        let mut reservation = budget.open();
        let mut is_short = self.upstream_length().is_some_and(|length| length <= whole);
        let (mut pieces, mut length) = (Vec::new(), 0);
        while let Some(redaction) = &self.redaction {
            is_short &= length <= whole && reservation.grow_to(length).is_ok();
            if redaction.is_decided() && !is_short {
                break;
            }
            match std::future::poll_fn(|cx| self.poll_step(cx)).await {
                Ok(Step::Went) => tokio::task::consume_budget().await,
                Ok(Step::Released(piece)) => {
                    length += piece.len() as u64;
                    pieces.push(piece);
                }
                Ok(Step::Over) => {
                    self.make_fixed(pieces.concat().into(), reservation);
                    return Ok(Some(length));
                }
                Err(failure) => {
                    self.fail(failure.clone());
                    return Err(failure);
                }
            }
        }
        if let Some(redaction) = &mut self.redaction {
            redaction.give_back(pieces);
        }
        Ok(None)
    }

    fn upstream_length(&self) -> Option<u64> {
        match &self.inner {
            Inner::Upstream(upstream) => upstream.incoming.size_hint().exact(),
            Inner::Fixed(_) => None,
        }
    }

    /// All of the upstream's body is there, in `bytes`.
    fn make_fixed(&mut self, bytes: Bytes, reservation: Reservation) {
        if let Inner::Upstream(upstream) = &mut self.inner {
            upstream.driver.finish();
        }
        self.redaction = None;
        if let Some(exchange) = &self.exchange {
            exchange.add_response(bytes.len());
        }
        self.inner = Inner::Fixed((!bytes.is_empty()).then_some(bytes));
        self._reservation = Some(reservation);
    }

    fn poll_too_late(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Failure::Deadline);
        }
        self.idle.poll_wait(cx).map(|()| Failure::UpstreamTimeout)
    }

    fn fail(&mut self, failure: Failure) -> ResponseBroken {
        // Whatever the upstream still has is not asked for.
        self.inner = Inner::Fixed(None);
        self.redaction = None;
        if let Some(exchange) = self.exchange.take() {
            exchange.fail(failure);
        }
        ResponseBroken
    }

    /// Lets go of the exchange and of the connection: no more can go wrong.
    fn complete(&mut self) {
        self.redaction = None;
        self.exchange = None;
        if let Inner::Upstream(upstream) = &mut self.inner {
            upstream.driver.finish();
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.complete();
        } else if let Some(exchange) = &self.exchange {
            exchange.fail(Failure::ClientGone);
        }
    }
}

fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_a_status_that_clients_retry() {
        for failure in [
            Failure::Draining,
            Failure::Overloaded,
            Failure::BufferedTooMuch,
            Failure::Engine,
            Failure::Deadline,
            Failure::Panic,
            Failure::UpstreamUnreachable,
            Failure::UpstreamConnectTimeout,
            Failure::UpstreamTimeout,
            Failure::UpstreamBroke,
        ] {
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
