//! The admin listener:
//!
//! - `/livez`: 200 while the process runs.
//! - `/readyz`: 200 while it takes requests, 503 before and while it drains.
//! - `/metrics`: Prometheus' text format.
//! - `/version`: version and revision as JSON.
//! - `/`: this list.

use super::timed_io::{Periods, Phase, TimedIo};
use super::{Context, REVISION, VERSION};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const INDEX: &str = "\
/livez    200 while the process runs
/readyz   200 while it takes requests, 503 before and while it drains
/metrics  Prometheus metrics
/version  version and revision
";
const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Probes and scrapers are few; more connections than this wait.
const MAX_CONNECTIONS: usize = 64;
const HEAD_TIME: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until the future is dropped.
pub(super) async fn serve(listener: TcpListener, context: Arc<Context>) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_one(stream, Arc::clone(&context)));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

async fn serve_one(stream: TcpStream, context: Arc<Context>) {
    // hyper times the heads; who does not read an answer must not keep a place.
    let stream =
        TimedIo::new(stream, Arc::new(Phase::busy()), Periods { idle: HEAD_TIME, head: HEAD_TIME, write: HEAD_TIME });
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&context, request.method(), request.uri().path());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    // Whatever goes wrong with a probe's connection is the probe's to tell.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn respond(context: &Context, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
        let get = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, get);
        return response;
    }
    match path {
        "/" => text(StatusCode::OK, TEXT, INDEX),
        "/livez" => text(StatusCode::OK, TEXT, "live\n"),
        "/readyz" if context.ready.load(Ordering::Acquire) => text(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        "/metrics" => text(StatusCode::OK, PROMETHEUS, render_metrics(context)),
        "/version" => {
            let version = serde_json::json!({"version": VERSION, "revision": REVISION});
            text(StatusCode::OK, JSON, version.to_string())
        }
        _ => text(StatusCode::NOT_FOUND, TEXT, INDEX),
    }
}

fn render_metrics(context: &Context) -> String {
    let runtime = tokio::runtime::Handle::current().metrics();
    let threads = runtime.num_workers();
    let busy = (0..threads).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
    context.metrics.set_workers(threads, busy);
    context.metrics.render()
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
