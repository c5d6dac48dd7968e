//! The admin listener:
//!
//! - `/livez`: 200 while the process runs.
//! - `/readyz`: 200 while it takes requests, 503 before and while it drains.
//! - `/metrics`: Prometheus' text format, or OpenMetrics for who asks for it.
//! - `/version`: version and revision as JSON.
//! - `/`: this list.

use super::timed_io::{Periods, Phase, TimedIo};
use super::{Context, REVISION, VERSION};
use crate::metrics::Metrics;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
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
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";

/// Probes and scrapers are few; more connections than this wait.
const MAX_CONNECTIONS: usize = 64;
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes a second that who asks has to take of an answer.
const LEAST_RATE: u64 = 240;
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
    let periods = Periods { idle: HEAD_TIME, head: HEAD_TIME, write: HEAD_TIME, rate: LEAST_RATE };
    let stream = TimedIo::new(stream, Arc::new(Phase::busy()), periods);
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&context, &request);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    // Whatever goes wrong with a probe's connection is the probe's to tell.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn respond(context: &Context, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let method = request.method();
    if method != Method::GET && method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
        let get = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, get);
        return response;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, TEXT, INDEX),
        "/livez" => text(StatusCode::OK, TEXT, "live\n"),
        "/readyz" if context.ready.load(Ordering::Acquire) => text(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        "/metrics" if takes_open_metrics(request.headers()) => {
            text(StatusCode::OK, OPEN_METRICS, measured(context).render_open())
        }
        "/metrics" => text(StatusCode::OK, PROMETHEUS, measured(context).render()),
        "/version" => {
            let version = serde_json::json!({"version": VERSION, "revision": REVISION});
            text(StatusCode::OK, JSON, version.to_string())
        }
        _ => text(StatusCode::NOT_FOUND, TEXT, INDEX),
    }
}

/// The metrics, once they tell how busy the workers are.
fn measured(context: &Context) -> &Metrics {
    let runtime = tokio::runtime::Handle::current().metrics();
    let threads = runtime.num_workers();
    let busy = (0..threads).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
    context.metrics.set_workers(threads, busy);
    &context.metrics
}

/// Whether a scraper names OpenMetrics among what it takes. Whoever does, such as
/// Prometheus, likes it best.
fn takes_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(is_open_metrics)
}

fn is_open_metrics(accepted: &str) -> bool {
    let mut parts = accepted.split(';').map(str::trim);
    let is_named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
    let refuses = |parameter: &str| {
        let (name, weight) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>() == Ok(0.0)
    };
    is_named && !parts.any(refuses)
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_open_metrics_gets_it() {
        let of_prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
                             q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let cases = [
            (of_prometheus, true),
            ("text/plain, Application/OpenMetrics-Text ; q=0.1", true),
            ("application/openmetrics-text;q=0", false),
            ("text/plain;version=0.0.4", false),
            ("*/*", false),
            ("application/openmetrics-text-2", false),
        ];
        for (accept, takes) in cases {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(takes_open_metrics(&headers), takes, "{accept}");
        }
        assert!(!takes_open_metrics(&HeaderMap::new()));
    }
}
