//! One request and its response, as they are counted and logged.
//!
//! Everything that takes part in an exchange holds an `Arc` of it; when the
//! last one lets go, both bodies are done, and the metrics and the access line
//! are written. So nothing is counted twice and nothing is forgotten, in
//! whatever order the two bodies end.

mod sending;
mod waiting;

pub(super) use sending::Sending;

use super::admission::Permit;
use super::request_id::RequestId;
use super::respond::{Failure, Kind};
use super::route::Route;
use crate::content::BodyFormat;
use crate::metrics::Metrics;
use crate::redact::{Plan, Report};
use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How a client is to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    /// HTTP/1: a request that was not read to its end costs the connection.
    #[default]
    Http1,
    /// HTTP/2: it costs nothing.
    Http2,
    /// gRPC, over HTTP/2: with a status in trailers.
    Grpc,
}

/// Where something was scanned: the `format` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Body(BodyFormat),
    Header,
    Query,
    Path,
    Response,
}

impl Place {
    const fn label(self) -> &'static str {
        match self {
            Self::Body(format) => format.name(),
            Self::Header => "header",
            Self::Query => "query",
            Self::Path => "path",
            Self::Response => "response",
        }
    }
}

/// Bytes of a request's body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    pub(super) received_wire: u64,
    pub(super) received_decoded: u64,
    pub(super) sent_wire: u64,
    pub(super) sent_decoded: u64,
}

/// What a server gives along with a request to be told, by its drop, when both
/// bodies of the exchange are done.
pub struct InProgress {
    _held: Box<dyn Any + Send>,
}

impl InProgress {
    /// Keeps `held` until then.
    pub fn new(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// One request and its response.
pub(super) struct Exchange {
    id: RequestId,
    method: &'static str,
    metrics: Arc<Metrics>,
    started: Instant,
    /// Milliseconds since `started` when the request's body last moved.
    moved: AtomicU64,
    /// Whether it waits for the client now.
    waits: AtomicBool,
    /// Milliseconds from the beginning until the client began to be late with the
    /// request's body, or [`waiting::NEVER`].
    late: AtomicU64,
    /// Whether the client was waited for.
    waited: AtomicBool,
    /// How many [`Sending`]s there are.
    unsent: AtomicUsize,
    /// Whether one of them was dropped before it was done.
    cut: AtomicBool,
    /// Told when one of them ends.
    over: Notify,
    /// Whether the client may have more of the request's body to send.
    unread: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    dialect: Dialect,
    route: Option<Arc<Route>>,
    permit: Option<Permit>,
    status: Option<StatusCode>,
    /// The first one; later ones follow from it.
    failure: Option<Failure>,
    sizes: Sizes,
    response: u64,
    /// `None` when nothing was looked at.
    redaction: Option<Duration>,
    upstream: Option<Duration>,
    findings: u64,
    /// Wakes the streaming body, which has to stop when the exchange fails.
    streaming: Option<Waker>,
    /// What is left of a body that was broken off.
    rest: Option<Incoming>,
    _in_progress: Option<InProgress>,
}

impl Exchange {
    pub(super) fn begin(id: RequestId, method: &Method, metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            id,
            method: method_label(method),
            metrics: Arc::clone(metrics),
            started: Instant::now(),
            moved: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            late: AtomicU64::new(waiting::NEVER),
            waited: AtomicBool::new(false),
            unsent: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
            over: Notify::new(),
            unread: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    pub(super) fn id(&self) -> RequestId {
        self.id
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The client is to be answered in this way.
    pub(super) fn speak(&self, dialect: Dialect) {
        self.state().dialect = dialect;
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.state().dialect
    }

    /// The request belongs to `route` and is in flight there.
    pub(super) fn enter(&self, route: &Arc<Route>) {
        route.metrics.inflight.inc();
        self.state().route = Some(Arc::clone(route));
    }

    /// Keeps the place among the requests in flight until the end.
    pub(super) fn keep(&self, permit: Permit) {
        self.state().permit = Some(permit);
    }

    /// Nobody waits for the exchange any more, though not all that takes part in it
    /// may have noticed: it counts no longer.
    pub(super) fn let_go(&self) {
        let mut state = self.state();
        let held = (state.permit.take(), state._in_progress.take());
        drop(state);
        drop(held);
    }

    /// Keeps it until the end.
    pub(super) fn hold(&self, in_progress: Option<InProgress>) {
        self.state()._in_progress = in_progress;
    }

    /// What went wrong; the first counts. A body that streams stops.
    pub(super) fn fail(&self, failure: Failure) {
        let mut state = self.state();
        state.failure.get_or_insert(failure);
        let waker = state.streaming.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What went wrong already, if anything; else `waker` is told when
    /// something does.
    pub(super) fn failed(&self, waker: &Waker) -> Option<Failure> {
        let mut state = self.state();
        match &mut state.streaming {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        state.failure.clone()
    }

    /// Has it make room, unless it has gone on or was answered since it was late: its
    /// place, which is somebody else's then.
    pub(super) fn evict(&self, late: Instant) -> Option<Permit> {
        let mut state = self.state();
        if state.status.is_some() || state.failure.is_some() || self.since_late() != Some(late) {
            return None;
        }
        let permit = state.permit.take()?;
        state.failure = Some(Failure::MadeRoom);
        let waker = state.streaming.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(permit)
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.state().failure.clone()
    }

    pub(super) fn answer(&self, status: StatusCode) {
        self.state().status = Some(status);
    }

    pub(super) fn add_sizes(&self, more: Sizes) {
        let mut state = self.state();
        state.sizes.received_wire += more.received_wire;
        state.sizes.received_decoded += more.received_decoded;
        state.sizes.sent_wire += more.sent_wire;
        state.sizes.sent_decoded += more.sent_decoded;
    }

    pub(super) fn add_response(&self, bytes: usize) {
        self.state().response += bytes as u64;
    }

    pub(super) fn add_redaction(&self, time: Duration) {
        *self.state().redaction.get_or_insert_default() += time;
    }

    pub(super) fn set_upstream(&self, time: Duration) {
        self.state().upstream = Some(time);
    }

    /// Whether any of the request's body was read.
    pub(super) fn has_received(&self) -> bool {
        self.state().sizes.received_wire > 0
    }

    /// More, or less, bytes of the request's body are held back.
    pub(super) fn add_held(&self, bytes: i64) {
        self.metrics.holdback_bytes.add(bytes);
    }

    /// Whether the client may have more of the request's body to send.
    pub(super) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Release);
    }

    /// Whether the connection of HTTP/1 cannot be used again, since what the client sent
    /// or may yet send on it is not all read as requests.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// Leaves what nobody wants of the request's body any more, to be drained.
    pub(super) fn leave(&self, rest: Incoming) {
        self.state().rest = Some(rest);
    }

    /// What was left, once.
    pub(super) fn take_rest(&self) -> Option<Incoming> {
        self.state().rest.take()
    }

    /// Whether some of the request's body has not left.
    pub(super) fn is_sending(&self) -> bool {
        self.unsent.load(Ordering::Acquire) > 0
    }

    /// What was cut off is sent anew.
    pub(super) fn begin_again(&self) {
        self.cut.store(false, Ordering::Release);
    }

    /// Waits until all of the request's body has left.
    pub(super) async fn request_is_whole(&self) -> Result<(), Failure> {
        loop {
            if self.cut.load(Ordering::Acquire) {
                return Err(self.failure().unwrap_or(Failure::UpstreamBroke));
            }
            if self.unsent.load(Ordering::Acquire) == 0 {
                return Ok(());
            }
            // The permit of a notification that came before is kept.
            self.over.notified().await;
        }
    }

    /// Waits until the upstream has been given all that the client has sent. In
    /// a call that goes both ways the client may wait for the end before it sends
    /// more; an upstream that breaks the request off has decided without it.
    pub(super) async fn is_settled(&self) -> Result<(), Failure> {
        loop {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            // What waits for the client is the body itself; pieces of it that have
            // not left count apart.
            let waits = || self.waits_for_client() && self.unsent.load(Ordering::Acquire) <= 1;
            if !self.is_sending() || self.cut.load(Ordering::Acquire) || waits() {
                return Ok(());
            }
            self.over.notified().await;
        }
    }

    /// The body passed unscanned.
    pub(super) fn pass_unscanned(&self, reason: &'static str) {
        let route = self.state().route.clone();
        self.metrics.passthrough_requests.with_label_values(&[name_of(route.as_ref()), reason]).inc();
    }

    /// Adds up what a redactor found.
    pub(super) fn record(&self, place: Place, report: &Report, plan: &Plan) {
        let metrics = &self.metrics;
        let route = self.state().route.clone();
        let route = name_of(route.as_ref());
        let rules = &plan.engine().ruleset().rules;
        metrics.scanned_bytes.with_label_values(&[route, place.label()]).inc_by(report.scanned);
        for tally in &report.findings {
            let Some(rule) = rules.get(tally.rule) else {
                continue;
            };
            let labels = [&rule.id, &rule.entity, tally.action.name(), route];
            metrics.findings.with_label_values(&labels).inc_by(tally.count);
        }
        for &(rule, count) in &report.rejections {
            if let Some(rule) = rules.get(rule) {
                metrics.validator_rejections.with_label_values(&[&rule.id]).inc_by(count);
            }
        }
        self.state().findings += report.findings.iter().map(|tally| tally.count).sum::<u64>();
    }

    /// A panic elsewhere leaves plain counters behind: still good to add up.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.status.is_none() {
            // hyper drops a request that nobody waits for any more.
            state.failure.get_or_insert(Failure::ClientGone);
        }
        let took = self.started.elapsed();
        count(&self.metrics, self.method, state, took);
        // With microseconds, and no more digits than that.
        let millis = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        tracing::info!(
            target: "expurgate::access",
            request_id = %self.id,
            method = self.method,
            route = name_of(state.route.as_ref()),
            status = status_of(state).as_u16(),
            outcome = outcome_of(state),
            reason = state.failure.as_ref().map(Failure::code),
            received_bytes = state.sizes.received_wire,
            sent_bytes = state.sizes.sent_wire,
            response_bytes = state.response,
            findings = state.findings,
            redaction_ms = state.redaction.map(millis),
            upstream_ms = state.upstream.map(millis),
            duration_ms = millis(took),
            "request"
        );
    }
}

fn count(metrics: &Metrics, method: &str, state: &State, took: Duration) {
    let route = name_of(state.route.as_ref());
    let outcome = outcome_of(state);
    let code = status_of(state);
    metrics.requests.with_label_values(&[route, method, code.as_str(), outcome]).inc();
    if let Some(failure) = &state.failure {
        let counter = match failure.kind() {
            Kind::Refused => &metrics.refused_requests,
            Kind::Failed => &metrics.failures,
        };
        counter.with_label_values(&[route, failure.code()]).inc();
        if let Some(kind) = failure.upstream_kind() {
            metrics.upstream_errors.with_label_values(&[route, kind]).inc();
        }
    }
    if let Some(route) = &state.route {
        let (to, sizes) = (&route.metrics, &state.sizes);
        to.inflight.dec();
        to.request_duration.observe(took.as_secs_f64());
        if let Some(time) = state.redaction {
            to.redaction_duration.observe(time.as_secs_f64());
        }
        if let Some(time) = state.upstream {
            to.upstream_duration.observe(time.as_secs_f64());
        }
        to.received_wire.inc_by(sizes.received_wire);
        to.received_decoded.inc_by(sizes.received_decoded);
        to.sent_wire.inc_by(sizes.sent_wire);
        to.sent_decoded.inc_by(sizes.sent_decoded);
    }
}

fn name_of(route: Option<&Arc<Route>>) -> &str {
    route.map_or("none", |route| &route.name)
}

fn outcome_of(state: &State) -> &'static str {
    match state.failure.as_ref().map(Failure::kind) {
        None => "forwarded",
        Some(Kind::Refused) => "refused",
        Some(Kind::Failed) => "failed",
    }
}

/// What the client saw; a client that left before an answer saw none.
fn status_of(state: &State) -> StatusCode {
    state.status.unwrap_or_else(|| Failure::ClientGone.status())
}

/// A closed set: the method is the client's to choose.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"];
    let known = KNOWN.iter().find(|known| **known == method.as_str());
    known.copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::request_id::RequestIds;

    #[test]
    fn methods_outside_of_the_closed_set_are_other() {
        assert_eq!(method_label(&Method::PATCH), "PATCH");
        let made_up = Method::from_bytes(b"SECRET").unwrap();
        assert_eq!(method_label(&made_up), "other");
    }

    #[tokio::test]
    async fn the_end_of_a_call_waits_for_what_was_sent_and_not_for_what_may_be() {
        let metrics = Arc::new(Metrics::new());
        let exchange = Exchange::begin(RequestIds::new().next(), &Method::POST, &metrics);
        let is_settled = || {
            use std::future::Future;
            let mut settled = std::pin::pin!(exchange.is_settled());
            settled.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop()))
        };
        let (mut piece, body) = (Sending::begin(&exchange), Sending::begin(&exchange));
        assert!(is_settled().is_pending());
        exchange.wait_for_client();
        // The piece has not left.
        assert!(is_settled().is_pending());
        piece.touch();
        piece.done();
        drop(piece);
        assert!(is_settled().is_ready());
        exchange.touch();
        assert!(is_settled().is_pending());
        // By the upstream, which has answered.
        drop(body);
        assert_eq!(is_settled(), std::task::Poll::Ready(Ok(())));
        exchange.fail(Failure::CorruptFraming);
        assert_eq!(is_settled(), std::task::Poll::Ready(Err(Failure::CorruptFraming)));
    }

    #[test]
    fn the_first_failure_is_the_one_that_counts() {
        let metrics = Arc::new(Metrics::new());
        let exchange = Exchange::begin(RequestIds::new().next(), &Method::POST, &metrics);
        exchange.fail(Failure::Media);
        exchange.fail(Failure::ClientGone);
        exchange.answer(Failure::Media.status());
        drop(exchange);
        let text = metrics.render();
        let line = "expurgate_requests_total{code=\"415\",method=\"POST\",outcome=\"refused\",route=\"none\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("refused_requests_total{reason=\"unsupported_media_type\""));
    }
}
