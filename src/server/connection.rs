//! One client connection: requests one after the other, each with its time.

use super::Context;
use super::timed_io::{Busy, Periods, Phase, TimedIo};
use crate::metrics::Metrics;
use crate::proxy::{Failure, InProgress, ResponseBody, UnreadBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What is thrown away after an answer to a body that nobody wanted.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Serves until the connection ends; after the drain has begun, until the
/// request in flight ends.
pub(super) async fn serve(stream: TcpStream, context: Arc<Context>, mut draining: watch::Receiver<bool>) {
    let _counted = Connected::new(&context.metrics);
    // Small responses must not wait for more to come. A failure shows later.
    let _ = stream.set_nodelay(true);
    let phase = Arc::new(Phase::default());
    let io = TimedIo::new(stream, Arc::clone(&phase), periods(&context));
    let service = service_fn(|request| {
        // Boxed, since the connection has to be movable.
        Box::pin(answer(Arc::clone(&context), Arc::clone(&phase), request))
    });
    let late = *draining.borrow();
    let mut connection = http1::Builder::new()
        // `TimedIo` tells waiting for a request from reading one.
        .header_read_timeout(None)
        // What is a little too large is refused by the proxy, with a reason.
        .max_header_size(context.max_head.saturating_mul(2))
        .max_buf_size(context.max_head.saturating_mul(2).max(MIN_BUFFER))
        .keep_alive(!late)
        .serve_connection(TokioIo::new(io), service);
    let close = async {
        let _ = draining.wait_for(|draining| *draining).await;
        if late {
            // One that comes during the drain has a moment to be answered.
            tokio::time::sleep(context.timeouts.drain_grace).await;
        }
    };
    let (mut close, mut told) = (pin!(close), false);
    let result = loop {
        tokio::select! {
            result = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break result,
            () = phase.ended() => {}
            () = &mut close, if !told => {
                told = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let malformed = result.as_ref().is_err_and(hyper::Error::is_parse);
    if let Err(error) = &result {
        count_malformed(&context.metrics, error);
        tracing::debug!(%error, "a connection broke");
    }
    if malformed || phase.lingers() {
        linger(connection.into_parts().io.into_inner()).await;
    }
}

/// Room for whole slices of a body, however small heads must be.
const MIN_BUFFER: usize = 64 * 1024;

async fn answer(
    context: Arc<Context>,
    phase: Arc<Phase>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let in_progress = InProgress::new(Busy::begin(&phase));
    let mut timer = phase.take_timer();
    let response = context.proxy.handle(request, Some(in_progress), &mut timer).await;
    phase.keep_timer(timer);
    if response.extensions().get::<UnreadBody>().is_some() {
        phase.linger();
    }
    Ok(response)
}

fn periods(context: &Context) -> Periods {
    Periods { idle: context.timeouts.keep_alive, head: context.timeouts.head, write: context.timeouts.client_write }
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
