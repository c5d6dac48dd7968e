//! The body that goes upstream.
//!
//! A [`RedactedBody`] can only be made in here, by sending a client's body
//! through the pipeline (or, for media types that the route names, by passing
//! it on as configured). Small bodies are redacted whole before the upstream
//! is called, so that they can still be refused; larger ones stream, and a
//! failure then breaks the upstream request off, never ends it cleanly.

mod buffered;
mod gathered;
mod slices;
mod streaming;

use gathered::Gathered;
pub(super) use slices::Slices;

use super::budget::{Budget, Reservation};
use super::digest::Digests;
use super::exchange::{Dialect, Exchange, Sizes};
use super::idle::{Pace, Timer};
use super::respond::Failure;
use crate::config::{Limits, Timeouts};
use crate::content::{Coding, ContentType, Delivery, Level, Messages, PartRules, Passes, Pipeline, SLICE};
use crate::redact::Plan;
use crate::rule::protocol::NamedFormats;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use streaming::StreamingBody;
use tokio::time::Instant;

/// A request body that may be written to an upstream.
pub struct RedactedBody(Repr);

enum Repr {
    Empty,
    Whole(Whole),
    Streaming(Box<StreamingBody>),
}

/// A body redacted before its first byte leaves.
struct Whole {
    frame: Option<Slices>,
    /// Bytes before encoding, for the metrics.
    decoded: u64,
    exchange: Arc<Exchange>,
}

/// The body was broken off; why is known to the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request's body was broken off")]
pub struct BodyBroken;

/// How a prepared body differs from the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is the same, byte for byte.
    Unchanged,
    /// It is another.
    Changed,
    /// Nobody knows yet.
    Streaming,
}

/// What a head has to tell of a body.
pub(super) struct Told {
    pub(super) change: Change,
    /// `None` when it is sent in chunks.
    pub(super) length: Option<u64>,
    /// Made anew for a changed one.
    pub(super) digests: Vec<(HeaderName, HeaderValue)>,
}

/// A body ready to be sent.
pub(super) struct Prepared {
    pub(super) body: RedactedBody,
    pub(super) told: Told,
}

/// All that decides what happens to a body.
pub(super) struct Job<'a> {
    pub(super) plan: &'a Arc<Plan>,
    pub(super) content: &'a ContentType,
    /// Of the body, or of a gRPC call's messages.
    pub(super) coding: Coding,
    /// Of a gRPC call.
    pub(super) messages: Option<Messages>,
    /// At which what changed is encoded again.
    pub(super) level: Level,
    pub(super) limits: &'a Limits,
    pub(super) timeouts: &'a Timeouts,
    /// When the exchange has to be over.
    pub(super) deadline: Option<Instant>,
    pub(super) budget: &'a Arc<Budget>,
    pub(super) exchange: &'a Arc<Exchange>,
    /// What it is refused with if it would change: what signs it, or tells its
    /// size, would be wrong.
    pub(super) bound: Option<Failure>,
    /// To be made anew if it changes.
    pub(super) digests: &'a Digests,
    /// Media types that the route passes unscanned.
    pub(super) pass: &'a Arc<[String]>,
    /// Those of parts that its protocol pack does.
    pub(super) media: &'a Arc<[String]>,
    /// How a statement at the beginning of the body names the format of the rest.
    pub(super) formats: Option<&'a Arc<NamedFormats>>,
}

/// Makes a client's body fit to be sent. On failure what is left of
/// `incoming` stays there, to be drained.
pub(super) async fn prepare(
    job: &Job<'_>,
    incoming: &mut Option<Incoming>,
    timer: &mut Timer,
) -> Result<Prepared, Failure> {
    let Some(body) = incoming.as_mut().filter(|body| !body.is_end_stream()) else {
        return Ok(empty());
    };
    let declared = body.size_hint().exact();
    if declared.is_some_and(|bytes| bytes > job.limits.body) {
        return Err(Failure::BodyTooLarge);
    }
    if let Some(passes) = Passes::of(job.content, job.pass) {
        job.exchange.pass_unscanned("media_type");
        return Ok(streaming::unscanned(job, passes, incoming, declared));
    }
    // Who sends messages may wait for an answer before the body ends.
    if job.messages.is_some() || declared.is_some_and(|bytes| bytes > job.limits.buffer) {
        let nothing = (Bytes::new(), job.budget.open());
        return Box::pin(streaming::start(job, nothing, incoming, timer)).await;
    }
    let (gathered, reservation, ended) = read_up_to_limit(job, body, declared, timer).await?;
    if !ended {
        let head = (gathered.concat(), reservation);
        return Box::pin(streaming::start(job, head, incoming, timer)).await;
    }
    if gathered.is_empty() {
        return Ok(empty());
    }
    buffered::redact(job, gathered.into_pieces(), reservation).await
}

impl Told {
    fn unchanged(length: Option<u64>) -> Self {
        Self { change: Change::Unchanged, length, digests: Vec::new() }
    }
}

impl RedactedBody {
    /// Whether it is still being read from the client.
    pub(super) fn is_streaming(&self) -> bool {
        matches!(self.0, Repr::Streaming(_))
    }
}

impl Body for RedactedBody {
    type Data = Slices;
    type Error = BodyBroken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Slices>, BodyBroken>>> {
        match &mut self.0 {
            Repr::Empty => Poll::Ready(None),
            Repr::Whole(whole) => Poll::Ready(whole.send().map(|frame| Ok(Frame::data(frame)))),
            Repr::Streaming(streaming) => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Repr::Empty => true,
            Repr::Whole(whole) => whole.frame.is_none(),
            Repr::Streaming(streaming) => streaming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Repr::Empty => SizeHint::with_exact(0),
            Repr::Whole(whole) => {
                let left = whole.frame.as_ref().map_or(0, Slices::remaining);
                SizeHint::with_exact(left as u64)
            }
            Repr::Streaming(streaming) => streaming.size_hint(),
        }
    }
}

impl Whole {
    fn send(&mut self) -> Option<Slices> {
        let frame = self.frame.take()?;
        self.exchange.touch();
        self.exchange.add_sizes(Sizes {
            sent_wire: frame.remaining() as u64,
            sent_decoded: self.decoded,
            ..Sizes::default()
        });
        Some(frame)
    }
}

/// Encoded bytes pushed per step. What they let out is bounded by the pipeline,
/// what they cost without letting anything out by this.
const ENCODED_SLICE: usize = 4 * 1024;

impl Job<'_> {
    /// Bytes from the wire that are pushed at a time.
    fn step(&self) -> usize {
        match self.coding {
            Coding::Identity => SLICE,
            _ => ENCODED_SLICE,
        }
    }

    /// That the client has to keep. Calls need not have any, read or passed.
    fn pace(&self) -> Pace {
        let rate = if self.exchange.dialect() == Dialect::Grpc { 0 } else { self.timeouts.client_rate };
        Pace::new(self.timeouts.body_idle, rate)
    }

    fn parts(&self) -> PartRules {
        PartRules {
            limit: self.limits.buffer,
            pass: Arc::clone(self.pass),
            media: Arc::clone(self.media),
            formats: self.formats.cloned(),
            coding: self.limits.coding(),
        }
    }

    fn pipeline(&self, delivery: Delivery) -> Result<Pipeline, Failure> {
        let parts = self.parts();
        if let Some(messages) = self.messages {
            return Ok(Pipeline::grpc(self.plan, messages, &parts));
        }
        let limits = self.limits.coding();
        Ok(Pipeline::new(self.plan, self.content, self.coding, limits, delivery, &parts)?)
    }
}

/// For a request without a body.
pub(super) fn empty() -> Prepared {
    Prepared { body: RedactedBody(Repr::Empty), told: Told::unchanged(Some(0)) }
}

/// Reads until the end of the body or until more than the buffer limit has
/// come; tells which by its last field. What is reserved grows with what came:
/// a client that only declares a length takes nothing away from others.
async fn read_up_to_limit(
    job: &Job<'_>,
    body: &mut Incoming,
    declared: Option<u64>,
    timer: &mut Timer,
) -> Result<(Gathered, Reservation, bool), Failure> {
    let mut reservation = job.budget.open();
    let mut gathered = Gathered::new(declared);
    let mut pace = job.pace();
    let mut until = Instant::now() + job.timeouts.small_body;
    loop {
        let Some(data) = data_until(until, job, body, &mut pace, timer).await? else {
            // A stream without a known end, most likely: it need not be small.
            return if declared.is_none() { Ok((gathered, reservation, false)) } else { Err(Failure::BodyTimeout) };
        };
        let Some(data) = data else {
            return Ok((gathered, reservation, true));
        };
        gathered.add(data);
        // Nothing more is read meanwhile: the client waits, too.
        let began = Instant::now();
        reservation.grow_towards(gathered.len(), declared.unwrap_or_default()).await?;
        until += began.elapsed();
        if declared == Some(gathered.len()) {
            return Ok((gathered, reservation, true));
        }
        if gathered.len() > job.limits.buffer {
            return Ok((gathered, reservation, false));
        }
    }
}

/// Whether the client has ended a body that yields no more. hyper also takes a
/// stream of HTTP/2 for ended that was reset with `NO_ERROR`, as all are when a
/// ping stays unanswered.
fn has_ended(body: &Incoming, exchange: &Exchange) -> bool {
    exchange.dialect() == Dialect::Http1 || body.is_end_stream()
}

/// The next bytes of the client's body, or its end; `None` when `until` is over
/// before the client is too slow.
async fn data_until(
    until: Instant,
    job: &Job<'_>,
    body: &mut Incoming,
    pace: &mut Pace,
    timer: &mut Timer,
) -> Result<Option<Option<Bytes>>, Failure> {
    let late = pace.wait();
    match timer.limit(late.min(until), next_data(job, body, pace.late_since())).await {
        Some(data) => {
            let data = data?;
            pace.progress(data.as_ref().map_or(0, Bytes::len));
            Ok(Some(data))
        }
        None if until <= late => Ok(None),
        None => Err(too_late(pace)),
    }
}

/// Why a client is not waited for any more.
fn too_late(pace: &Pace) -> Failure {
    if pace.is_slow() { Failure::BodyTooSlow } else { Failure::BodyTimeout }
}

/// The next bytes of the client's body, which has been late since then; trailers are
/// dropped, since nobody looks into them.
async fn next_data(job: &Job<'_>, body: &mut Incoming, late: Option<Instant>) -> Result<Option<Bytes>, Failure> {
    loop {
        if body.is_end_stream() {
            return Ok(None);
        }
        let frame = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => {
                job.exchange.wait_since(late);
                job.exchange.failed(cx.waker()).map_or(Poll::Pending, |failure| Poll::Ready(Err(failure)))
            }
        });
        let frame = match frame.await? {
            None if has_ended(body, job.exchange) => return Ok(None),
            None | Some(Err(_)) => return Err(Failure::IncompleteBody),
            Some(Ok(frame)) => frame,
        };
        if let Ok(data) = frame.into_data() {
            job.exchange.touch();
            job.exchange.add_sizes(Sizes { received_wire: data.len() as u64, ..Sizes::default() });
            return Ok(Some(data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::proxy::request_id::RequestIds;
    use http_body_util::{BodyExt, Empty};
    use hyper::server::conn::http2;
    use hyper::service::service_fn;
    use hyper::{Method, Request, Response};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use std::convert::Infallible;
    use std::future::pending;

    #[tokio::test]
    async fn a_stream_that_is_reset_without_an_error_has_not_ended() {
        let (near, far) = tokio::io::duplex(4096);
        let (hand, mut handed) = tokio::sync::mpsc::unbounded_channel();
        let service = service_fn(move |request: Request<Incoming>| {
            let _ = hand.send(request.into_body());
            pending::<Result<Response<Empty<Bytes>>, Infallible>>()
        });
        tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(far), service));
        let (client, connection) = h2::client::handshake(near).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let exchange = Exchange::begin(RequestIds::new().next(), &Method::POST, &Arc::new(Metrics::new()));
        exchange.speak(Dialect::Http2);
        for ends in [false, true] {
            let request = Request::post("http://a.example/").body(()).unwrap();
            let (_response, mut stream) = client.send_request(request, false).unwrap();
            stream.send_data(Bytes::from_static(b"half"), ends).unwrap();
            let mut body = handed.recv().await.unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
            if !ends {
                stream.send_reset(h2::Reason::NO_ERROR);
            }
            assert!(body.frame().await.is_none(), "hyper tells no error");
            assert_eq!(has_ended(&body, &exchange), ends);
        }
    }
}
