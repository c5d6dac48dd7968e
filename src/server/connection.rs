//! One client connection: requests one after the other, or many at a time, each
//! with its time.

use super::Context;
use super::edge::Edge;
use super::preface;
use super::streams::{Streams, Told};
use super::strict::{self, Strict};
use super::timed_io::{Busy, Over, Periods, Phase, TimedIo};
use super::tls::Shaken;
use crate::metrics::Metrics;
use crate::proxy::{Failure, IdleTimer, InProgress, LacksTls, ResponseBody, Tunnel, UnreadBody};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// What is thrown away after an answer to a body that nobody wanted.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// In plain text, or behind TLS.
type Io = TimedIo<Either<TcpStream, Box<TlsStream<TcpStream>>>>;

/// Serves until the connection ends; after the drain has begun, until the
/// requests in flight end.
pub(super) async fn serve(stream: TcpStream, context: Arc<Context>, mut draining: watch::Receiver<bool>) {
    let _counted = Connected::new(&context.metrics);
    // Small responses must not wait for more to come. A failure shows later.
    let _ = stream.set_nodelay(true);
    // Boxed: over soon, and large.
    let edge = context.edge.load_full();
    let Some((stream, way)) = Box::pin(shake_hands(stream, &edge, draining.clone())).await else { return };
    let phase = Arc::new(Phase::new(way == Way::LacksTls));
    let _closed = Closed { phase: Arc::clone(&phase), metrics: Arc::clone(&context.metrics) };
    let mut io = TimedIo::new(stream, Arc::clone(&phase), periods(&edge));
    let late = *draining.borrow();
    let close = async {
        let _ = draining.wait_for(|draining| *draining).await;
        if late {
            // One that comes during the drain has a moment to be answered.
            tokio::time::sleep(edge.timeouts.drain_grace).await;
        }
    };
    let (mut close, mut told) = (pin!(close), false);
    let is_http2 = {
        let mut reading = pin!(preface::is_http2(&mut io));
        loop {
            tokio::select! {
                read = &mut reading => break read,
                () = &mut close, if !told => {
                    told = true;
                    if phase.is_idle() {
                        return;
                    }
                }
            }
        }
    };
    match is_http2.map(|begins_so| if let Way::Tls { is_http2 } = way { is_http2 } else { begins_so }) {
        // Boxed, as what is rare or over soon is: its room would be in every connection.
        Ok(true) => Box::pin(serve_http2(io, (&context, &edge), &phase, close, told)).await,
        Ok(false) => serve_http1(io, (&context, &edge), &phase, close, (late, told)).await,
        Err(error) => tracing::debug!(%error, "a connection broke"),
    }
}

/// How a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    PlainText,
    /// What is spoken was agreed on.
    Tls {
        is_http2: bool,
    },
    /// In plain text, where it should not.
    LacksTls,
}

/// The stream to speak HTTP on. During a drain a handshake has a moment to end.
async fn shake_hands(
    stream: TcpStream,
    edge: &Edge,
    mut draining: watch::Receiver<bool>,
) -> Option<(Either<TcpStream, Box<TlsStream<TcpStream>>>, Way)> {
    let Some(tls) = &edge.tls else { return Some((Either::Left(stream), Way::PlainText)) };
    let over = async {
        let _ = draining.wait_for(|draining| *draining).await;
        tokio::time::sleep(edge.timeouts.drain_grace).await;
    };
    let shaken = tokio::select! {
        shaken = tls.accept(stream, edge.timeouts.head) => shaken?,
        () = over => return None,
    };
    Some(match shaken {
        Shaken::Plain(stream) => (Either::Left(stream), Way::LacksTls),
        Shaken::Tls(stream) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Either::Right(stream), Way::Tls { is_http2 })
        }
    })
}

/// One request after the other. `late` when it came during the drain, `told` when
/// that began while its first bytes came.
async fn serve_http1(
    io: Io,
    (context, edge): (&Arc<Context>, &Edge),
    phase: &Arc<Phase>,
    mut close: Pin<&mut impl Future<Output = ()>>,
    (late, mut told): (bool, bool),
) {
    let service = service_fn(|request| {
        let reader = phase.reader();
        let read = |body: ResponseBody| body.read_by(Some(reader));
        // Boxed, since the connection has to be movable.
        Box::pin(answer(Arc::clone(context), Arc::clone(phase), request, read))
    });
    let mut connection = http1::Builder::new()
        // `TimedIo` tells waiting for a request from reading one.
        .header_read_timeout(None)
        // What is a little too large is refused by the proxy, with a reason.
        .max_header_size(edge.max_head.saturating_mul(2))
        .max_buf_size(edge.max_head.saturating_mul(2).max(MIN_BUFFER))
        .keep_alive(!late && !told)
        // Who says no more may still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Strict::new(io)), service);
    let result = loop {
        tokio::select! {
            // It flushes what is left, and says that it ends: what is not flushed would
            // be lost without a word.
            result = &mut connection => break result,
            () = phase.ended() => {}
            () = &mut close, if !told => {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let malformed = result.as_ref().is_err_and(hyper::Error::is_parse);
    if let Err(error) = &result {
        count_malformed(&context.metrics, error);
        tracing::debug!(%error, "a connection broke");
    }
    let parts = connection.into_parts();
    let (io, held) = parts.io.into_inner().into_parts();
    if let Some(tunnel) = phase.leads().filter(|_| result.is_ok()) {
        let ahead = [&parts.read_buf[..], &held].concat();
        return Box::pin(tunnel.run(io, ahead.into())).await;
    }
    if malformed || phase.lingers() {
        Box::pin(linger(io)).await;
    }
}

/// Many requests at a time. `told` as for HTTP/1.
async fn serve_http2(
    io: Io,
    (context, edge): (&Arc<Context>, &Edge),
    phase: &Arc<Phase>,
    mut close: Pin<&mut impl Future<Output = ()>>,
    mut told: bool,
) {
    phase.share();
    let service = service_fn(|request| answer(Arc::clone(context), Arc::clone(phase), request, Told::new));
    let mut connection = pin!(http2_builder(edge).serve_connection(TokioIo::new(io), service));
    let mut unused = IdleTimer::new(edge.timeouts.keep_alive);
    let mut closing = false;
    loop {
        if told && !closing {
            closing = true;
            connection.as_mut().graceful_shutdown();
            // It ends once the client has heard of it.
            unused.restart(CLOSING_TIME);
        }
        let serving = poll_fn(|cx| {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            if !phase.is_unused() {
                unused.progress();
                return Poll::Pending;
            }
            unused.poll_wait(cx).map(|()| None)
        });
        tokio::select! {
            served = serving => match served {
                None if !closing => {
                    phase.time_out(Over::KeepAlive);
                    told = true;
                }
                Some(Err(error)) => {
                    if error.is_timeout() {
                        phase.time_out(Over::Ping);
                    }
                    tracing::debug!(%error, "a connection broke");
                    return;
                }
                _ => return,
            },
            () = phase.ended() => {}
            () = &mut close, if !told => told = true,
        }
    }
}

/// With bounds for whatever a client may pile up. Those of the frames themselves
/// (`CONTINUATION`, empty ones, settings) are h2's own.
fn http2_builder(edge: &Edge) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams::new(edge.timeouts.client_write));
    let head = u32::try_from(edge.max_head.saturating_mul(2)).unwrap_or(u32::MAX);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        // What is a little too large is refused by the proxy, with a reason.
        .max_header_list_size(head)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_MISTAKES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIME);
    builder
}

/// Requests at a time on one connection.
const MAX_STREAMS: u32 = 100;
/// What a client may send of one request's body before it is taken.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same of all requests on one connection.
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// What waits to be written of one response.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that the client has reset before we looked at them, until the
/// connection is closed.
const MAX_RESETS: usize = 20;
/// The same of streams that we reset for what the client did; what it had sent
/// before it heard of a refusal may be such a thing.
const MAX_MISTAKES: usize = 1024;
/// How often a client is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// How long it may take to say so.
const PING_TIME: Duration = Duration::from_secs(20);
/// How long a client without requests may take to hear that it has to go.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// Room for whole slices of a body, however small heads must be.
const MIN_BUFFER: usize = 64 * 1024;

/// The answer to a request, its body as `written` makes it. (What awaits a future that
/// it was given has room for it twice: so that is told here, not to who awaits this.)
async fn answer<B>(
    context: Arc<Context>,
    phase: Arc<Phase>,
    mut request: Request<Incoming>,
    written: impl FnOnce(ResponseBody) -> B,
) -> Result<Response<B>, Infallible> {
    if phase.lacks_tls() {
        request.extensions_mut().insert(LacksTls);
    }
    let may_lead = request.headers().get_all(UPGRADE).iter().any(|upgrade| strict::leads(upgrade.as_bytes()));
    let in_progress = InProgress::new(Busy::begin(&phase));
    let mut timer = phase.take_timer();
    let proxy = context.proxy.load_full();
    let mut response = proxy.handle(request, Some(in_progress), &mut timer).await;
    phase.keep_timer(timer);
    if let Some(tunnel) = response.extensions_mut().remove::<Tunnel>() {
        phase.lead(tunnel);
    }
    if response.extensions().get::<UnreadBody>().is_some() {
        phase.linger();
    }
    if may_lead && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // What comes behind it may be none of HTTP's, and is not read.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(written))
}

fn periods(edge: &Edge) -> Periods {
    let timeouts = &edge.timeouts;
    Periods { idle: timeouts.keep_alive, head: timeouts.head, write: timeouts.client_write, rate: timeouts.client_rate }
}

/// hyper has answered these itself, before there was a request to handle: with
/// a status, and without a body.
fn count_malformed(metrics: &Metrics, error: &hyper::Error) {
    let failure = if error.is_parse_too_large() {
        Failure::HeadTooLarge
    } else if error.is_parse() {
        Failure::MalformedHead
    } else {
        return;
    };
    metrics.refused_requests.with_label_values(&["none", failure.code()]).inc();
    metrics.requests.with_label_values(&["none", "other", failure.status().as_str(), "refused"]).inc();
}

/// Says that nothing more will be written, and lets the client finish: a close
/// with unread data would reset the connection, and the answer with it.
async fn linger(mut stream: impl AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let discarding = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; 16 * 1024];
        let mut left = LINGER_BYTES;
        loop {
            let read = stream.read(&mut buffer).await?;
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                return std::io::Result::Ok(());
            }
        }
    };
    // However it ends, the connection is closed then.
    let _ = tokio::time::timeout(LINGER_TIME, discarding).await;
}

/// Counts at its end which time-out has closed a connection, if one has.
struct Closed {
    phase: Arc<Phase>,
    metrics: Arc<Metrics>,
}

impl Drop for Closed {
    fn drop(&mut self) {
        if let Some(over) = self.phase.timed_out() {
            self.metrics.connections_closed.with_label_values(&[over.name()]).inc();
        }
    }
}

/// Counts a connection while it lives.
struct Connected(Arc<Metrics>);

impl Connected {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.listener_connections.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.listener_connections.dec();
    }
}
