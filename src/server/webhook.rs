//! The admission webhook: `POST /inject` over TLS, and `/livez` and `/readyz` beside.
//!
//! The API server waits while it is asked, and creates no pod without an answer: so
//! each body has its size and its time, and so have connections.

use super::certificates::Certificates;
use super::hints::apart;
use super::tls::{Shaken, Tls};
use super::{ServerError, listen};
use crate::config::ListenerTls;
use crate::metrics::Metrics;
use crate::proxy::Certified;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// The API server takes objects of 3 MiB at most, and sends one, as it is created.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// For a handshake, a head, a body. The API server waits for 10 s unless told.
const TIME: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 256;
const MAX_STREAMS: u32 = 64;
/// How long connections are still accepted when the process is told to stop: until
/// that is known everywhere.
const GRACE: Duration = Duration::from_secs(2);
/// For reviews in flight behind that.
const DRAIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

type Review = dyn Fn(&str) -> Result<String, String> + Send + Sync;

/// A webhook that has its address and has not begun to serve.
pub struct Webhook {
    listener: TcpListener,
    certificates: Certificates,
    context: Arc<Context>,
}

struct Context {
    tls: Arc<Tls>,
    review: Arc<Review>,
    ready: AtomicBool,
}

impl Webhook {
    /// Takes the address and reads the certificate. `review` makes the answer of what
    /// the API server sends, or tells why that is no review.
    ///
    /// # Errors
    /// When the address is not free, or the certificate cannot be used.
    pub async fn bind(
        address: SocketAddr,
        files: &ListenerTls,
        metrics: &Arc<Metrics>,
        review: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static,
    ) -> Result<Self, ServerError> {
        let tls = Tls::new(files, address.to_string(), Arc::clone(metrics)).map_err(ServerError::Tls)?;
        let tls = Arc::new(tls);
        let certified = vec![Arc::<Tls>::clone(&tls) as Arc<dyn Certified>];
        let certificates = Certificates::new(certified, metrics).map_err(ServerError::Signal)?;
        let context = Arc::new(Context { tls, review: Arc::new(review), ready: AtomicBool::new(true) });
        Ok(Self { listener: listen(address, "--listen").await?, certificates, context })
    }

    /// Where it listens; tells the port where the address said 0.
    ///
    /// # Errors
    /// When the system does not know its own socket.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the first message on `stop`, then lets reviews in flight end; a
    /// second message cuts that short.
    pub async fn run(self, mut stop: mpsc::Receiver<()>) {
        let (drain, draining) = watch::channel(false);
        // There are no others.
        let (_others, none) = mpsc::channel(1);
        let renewing = tokio::spawn(self.certificates.serve(none));
        let context = Arc::clone(&self.context);
        let mut accepting = tokio::spawn(accept(self.listener, self.context, draining));
        stop.recv().await;
        tracing::info!("draining");
        context.ready.store(false, Ordering::Release);
        tokio::select! {
            () = tokio::time::sleep(GRACE) => {}
            _ = stop.recv() => {}
        }
        let _ = drain.send(true);
        tokio::select! {
            _ = &mut accepting => tracing::info!("drained"),
            () = tokio::time::sleep(DRAIN) => tracing::warn!("reviews in flight are aborted"),
            Some(()) = stop.recv() => tracing::warn!("told again; reviews in flight are aborted"),
        }
        accepting.abort();
        renewing.abort();
    }
}

/// Ends when the drain has begun and all connections have ended.
async fn accept(listener: TcpListener, context: Arc<Context>, draining: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (mut connections, mut told) = (JoinSet::new(), draining.clone());
    let accepted = async || {
        // The semaphore is never closed.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        (listener.accept().await, place)
    };
    let over = async {
        let _ = told.wait_for(|draining| *draining).await;
    };
    let mut over = pin!(over);
    loop {
        tokio::select! {
            biased;
            () = &mut over => break,
            Some(_) = connections.join_next() => {}
            (accepted, place) = accepted() => match accepted {
                Ok((stream, _)) => {
                    let serving = serve(stream, Arc::clone(&context), draining.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, context: Arc<Context>, mut draining: watch::Receiver<bool>) {
    // A failure shows later.
    let _ = stream.set_nodelay(true);
    // Plain text is not answered: nobody who belongs here speaks it.
    let Some(Shaken::Tls(stream)) = context.tls.accept(stream, TIME).await else { return };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| answer(Arc::clone(&context), request));
    let io = TokioIo::new(stream);
    let over = async {
        let _ = draining.wait_for(|draining| *draining).await;
    };
    let mut over = pin!(over);
    // Whatever goes wrong with a connection is its client's to tell.
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
        builder.keep_alive_interval(Some(TIME)).keep_alive_timeout(TIME);
        let mut connection = pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = &mut over => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(TIME);
        let mut connection = pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = &mut over => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

async fn answer(context: Arc<Context>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    Ok(match request.uri().path() {
        "/livez" if is_read => text(StatusCode::OK, "live\n"),
        "/readyz" if is_read && context.ready.load(Ordering::Acquire) => text(StatusCode::OK, "ready\n"),
        "/readyz" if is_read => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        "/inject" if request.method() == Method::POST => reviewed(&context, request.into_body()).await,
        "/livez" | "/readyz" => not_allowed("GET, HEAD"),
        "/inject" => not_allowed("POST"),
        _ => text(StatusCode::NOT_FOUND, "POST /inject, GET /livez, GET /readyz\n"),
    })
}

async fn reviewed(context: &Context, body: Incoming) -> Response<Full<Bytes>> {
    let body = match tokio::time::timeout(TIME, Limited::new(body, MAX_BODY).collect()).await {
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, "more than 4 MiB");
        }
        Ok(Err(_)) => return refused(StatusCode::BAD_REQUEST, "the body broke off"),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let review = Arc::clone(&context.review);
    let answer = apart(move || match std::str::from_utf8(&body) {
        Ok(text) => review(text),
        Err(_) => Err("not UTF-8".to_owned()),
    });
    match answer.await {
        Ok(Ok(answer)) => typed(StatusCode::OK, JSON, answer),
        Ok(Err(why)) => refused(StatusCode::BAD_REQUEST, &why),
        Err(failure) => refused(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string()),
    }
}

fn refused(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    tracing::warn!(status = status.as_u16(), why, "a review is not answered");
    text(status, format!("{why}\n"))
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("{methods} only\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, TEXT, body)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
