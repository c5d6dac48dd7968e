//! Every metric of the process, in one table.
//!
//! Names and labels are a contract: dashboards and alerts build on them. Label
//! values come from the configuration or from closed sets, never from what a
//! client sends.

mod open;
mod process;
mod routes;

use process::Process;
use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use routes::{Forget, Named, Routes, forget};
use std::sync::Arc;
use std::time::Duration;

/// From 50 microseconds, the cost of a small body, to the longest time-outs.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0, 60.0,
];

/// The label of what is told of each route.
const ROUTE: &str = "route";

/// All metrics. Cheap to share behind an `Arc`.
pub struct Metrics {
    registry: Registry,
    /// Requests that ended.
    pub requests: IntCounterVec,
    /// From the request's head to the last byte of both bodies.
    pub request_duration: HistogramVec,
    /// Spent decoding, scanning, redacting and encoding one request.
    pub redaction_duration: HistogramVec,
    /// From sending the request to the response's head.
    pub upstream_duration: HistogramVec,
    /// Request bodies as they came.
    pub received_bytes: IntCounterVec,
    /// Request bodies as they left.
    pub sent_bytes: IntCounterVec,
    /// Bytes that were scanned.
    pub scanned_bytes: IntCounterVec,
    /// Findings.
    pub findings: IntCounterVec,
    /// Candidates that a validator turned down.
    pub validator_rejections: IntCounterVec,
    /// Requests whose body passed unscanned.
    pub passthrough_requests: IntCounterVec,
    /// Requests that were answered by the proxy on purpose.
    pub refused_requests: IntCounterVec,
    /// Requests that broke.
    pub failures: IntCounterVec,
    /// Requests now.
    pub inflight_requests: IntGaugeVec,
    /// Bytes of buffered bodies now.
    pub buffered_bytes: IntGauge,
    /// Their limit.
    pub buffered_bytes_limit: IntGauge,
    /// Requests that wait for room among the buffered bytes now.
    pub buffer_waiting: IntGauge,
    buffer_waits: IntCounterVec,
    /// Bytes received and not yet safe to release, now.
    pub holdback_bytes: IntGauge,
    /// Connections to upstreams now.
    pub upstream_connections: IntGaugeVec,
    /// What went wrong with upstreams.
    pub upstream_errors: IntCounterVec,
    /// Whether upstreams are left alone.
    pub upstream_circuit_open: IntGaugeVec,
    /// Client connections now.
    pub listener_connections: IntGauge,
    /// Client connections that a time-out closed.
    pub connections_closed: IntCounterVec,
    /// Handshakes of clients.
    pub tls_handshakes: IntCounterVec,
    /// Until when the listener's certificate is valid, in Unix time.
    pub tls_certificate_not_after: IntGaugeVec,
    tls_certificate_reloads: IntCounterVec,
    ruleset_info: IntGaugeVec,
    ruleset_reloads: IntCounterVec,
    ruleset_last_reload: Gauge,
    config_reloads: IntCounterVec,
    config_last_reload: Gauge,
    /// Panics caught, and survived.
    pub panics: IntCounter,
    /// Lines of the log that nobody took in time.
    pub log_lines_dropped: IntCounter,
    worker_threads: IntGauge,
    worker_busy_seconds: Counter,
    routes: Arc<Routes>,
}

impl Metrics {
    /// The table, with nothing counted.
    pub fn new() -> Self {
        let mut table = Table { registry: Registry::new(), gauges: Vec::new(), counters: Vec::new() };
        let metrics = Self {
            requests: table.counters("requests_total", "Requests that ended.", &["route", "method", "code", "outcome"]),
            request_duration: table
                .seconds("request_duration_seconds", "Time from a request's head to the end of its response."),
            redaction_duration: table
                .seconds("redaction_duration_seconds", "Time spent decoding, redacting and encoding one request."),
            upstream_duration: table
                .seconds("upstream_duration_seconds", "Time from sending a request to the head of its response."),
            received_bytes: table.counters(
                "received_bytes_total",
                "Bytes of request bodies from clients, on the wire and decoded.",
                &["route", "layer"],
            ),
            sent_bytes: table.counters(
                "sent_bytes_total",
                "Bytes of request bodies to upstreams, on the wire and decoded.",
                &["route", "layer"],
            ),
            scanned_bytes: table.counters(
                "scanned_bytes_total",
                "Bytes scanned, by the format they were taken for.",
                &["route", "format"],
            ),
            findings: table.counters(
                "findings_total",
                "Findings, by what was done with them.",
                &["rule", "entity", "action", "route"],
            ),
            validator_rejections: table.counters(
                "validator_rejections_total",
                "Candidates that a rule's validator turned down.",
                &["rule"],
            ),
            passthrough_requests: table.counters(
                "passthrough_requests_total",
                "Requests whose body, or a part of it, passed unscanned because the route says so.",
                &["route", "reason"],
            ),
            refused_requests: table.counters(
                "refused_requests_total",
                "Requests that the proxy refused.",
                &["route", "reason"],
            ),
            failures: table.counters("failures_total", "Requests that could not be completed.", &["route", "reason"]),
            inflight_requests: table.gauges("inflight_requests", "Requests in progress.", &["route"]),
            buffered_bytes: table
                .gauge("buffered_bytes", "Bytes of request bodies buffered before their upstream is called."),
            buffered_bytes_limit: table
                .gauge("buffered_bytes_limit", "Buffered bytes above which requests wait, and are shed."),
            buffer_waiting: table
                .gauge("buffer_waiting_requests", "Requests that wait for room among the buffered bytes."),
            buffer_waits: table.counters(
                "buffer_waits_total",
                "How often a request waited for room among the buffered bytes, by whether it got it.",
                &["outcome"],
            ),
            holdback_bytes: table
                .gauge("holdback_bytes", "Bytes of streaming bodies received but not yet safe to release."),
            upstream_connections: table.gauges(
                "upstream_connections",
                "Connections to upstreams.",
                &["route", "state"],
            ),
            upstream_errors: table.counters("upstream_errors_total", "Failures of upstreams.", &["route", "kind"]),
            upstream_circuit_open: table.gauges(
                "upstream_circuit_open",
                "1 while an upstream that has failed repeatedly is left alone.",
                &["route"],
            ),
            listener_connections: table.gauge("listener_connections", "Client connections."),
            connections_closed: table.counters(
                "connections_closed_total",
                "Client connections that were closed because of a time-out, by which it was.",
                &["reason"],
            ),
            tls_handshakes: table.counters(
                "tls_handshakes_total",
                "TLS handshakes of clients, by what came of them.",
                &["outcome"],
            ),
            tls_certificate_not_after: table.gauges(
                "tls_certificate_not_after_timestamp_seconds",
                "Until when the certificate that clients see is valid, in Unix time.",
                &["listener"],
            ),
            tls_certificate_reloads: table.counters(
                "tls_certificate_reloads_total",
                "How often changed certificates were read, by what came of it.",
                &["outcome"],
            ),
            ruleset_info: table.gauges(
                "ruleset_info",
                "Always 1; the labels tell which rules are in use.",
                &["hash", "rules"],
            ),
            ruleset_reloads: table.counters(
                "ruleset_reloads_total",
                "How often changed rules were read, by what came of it.",
                &["outcome"],
            ),
            ruleset_last_reload: table
                .float_gauge("ruleset_last_reload_timestamp_seconds", "When the rules in use were read, in Unix time."),
            config_reloads: table.counters(
                "config_reloads_total",
                "How often a changed configuration was read, by what came of it.",
                &["outcome"],
            ),
            config_last_reload: table.float_gauge(
                "config_last_reload_timestamp_seconds",
                "When the configuration in use was read, in Unix time.",
            ),
            panics: table.counter("panics_total", "Panics that were caught."),
            log_lines_dropped: table.counter(
                "log_lines_dropped_total",
                "Lines of the log that were dropped because their reader is too slow.",
            ),
            worker_threads: table.gauge("worker_threads", "Threads that do the work."),
            worker_busy_seconds: table
                .float_counter("worker_busy_seconds_total", "Time that all worker threads together were busy."),
            routes: Routes::new(table.gauges, table.counters),
            registry: table.registry,
        };
        for used in [true, false] {
            metrics.ruleset_reloads.with_label_values(&[outcome(used)]).inc_by(0);
            metrics.config_reloads.with_label_values(&[outcome(used)]).inc_by(0);
            metrics.buffer_waits.with_label_values(&[outcome(used)]).inc_by(0);
            metrics.tls_certificate_reloads.with_label_values(&[outcome(used)]).inc_by(0);
        }
        metrics.add_process();
        metrics
    }

    /// Says which build this is.
    pub fn set_build(&self, version: &str, revision: &str) {
        Table { registry: self.registry.clone(), gauges: Vec::new(), counters: Vec::new() }
            .gauges("build_info", "Always 1; the labels tell which build this is.", &["version", "revision"])
            .with_label_values(&[version, revision])
            .set(1);
    }

    /// Says which rules are in use now; `read` is when that was, since the Unix epoch.
    pub fn set_ruleset(&self, hash: &str, rules: usize, read: Duration) {
        self.ruleset_info.reset();
        self.ruleset_info.with_label_values(&[hash, &rules.to_string()]).set(1);
        self.ruleset_last_reload.set(read.as_secs_f64());
    }

    /// Counts that rules were read again: they are in use, or refused.
    pub fn count_reload(&self, used: bool) {
        self.ruleset_reloads.with_label_values(&[outcome(used)]).inc();
    }

    /// Says when the configuration in use was read, since the Unix epoch.
    pub fn set_config(&self, read: Duration) {
        self.config_last_reload.set(read.as_secs_f64());
    }

    /// Counts that the configuration was read again: it is in use, or refused.
    pub fn count_config_reload(&self, used: bool) {
        self.config_reloads.with_label_values(&[outcome(used)]).inc();
    }

    /// Counts that certificates were read again: they are in use, or refused.
    pub fn count_certificate_reload(&self, used: bool) {
        self.tls_certificate_reloads.with_label_values(&[outcome(used)]).inc();
    }

    /// Counts that a request waited for room among the buffered bytes, and got it, or
    /// was shed.
    pub fn count_buffer_wait(&self, served: bool) {
        self.buffer_waits.with_label_values(&[outcome(served)]).inc();
    }

    /// Says how busy the worker threads have been since the start.
    pub fn set_workers(&self, threads: usize, busy: Duration) {
        self.worker_threads.set(i64::try_from(threads).unwrap_or(i64::MAX));
        let more = busy.as_secs_f64() - self.worker_busy_seconds.get();
        if more > 0.0 {
            self.worker_busy_seconds.inc_by(more);
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Cannot fail: every family has a name and at least one metric.
        let _ = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text);
        text
    }

    /// Everything in OpenMetrics.
    pub fn render_open(&self) -> String {
        open::open_metrics(&self.render())
    }

    /// The handles of one route. Its gauges are there until the last are dropped.
    pub fn route(&self, name: &str) -> RouteMetrics {
        self.routes.enter(name, |named| self.route_metrics(name, named))
    }

    fn route_metrics(&self, name: &str, named: Named) -> RouteMetrics {
        let layer = |counters: &IntCounterVec, layer| counters.with_label_values(&[name, layer]);
        RouteMetrics {
            request_duration: self.request_duration.with_label_values(&[name]),
            redaction_duration: self.redaction_duration.with_label_values(&[name]),
            upstream_duration: self.upstream_duration.with_label_values(&[name]),
            received_wire: layer(&self.received_bytes, "wire"),
            received_decoded: layer(&self.received_bytes, "decoded"),
            sent_wire: layer(&self.sent_bytes, "wire"),
            sent_decoded: layer(&self.sent_bytes, "decoded"),
            inflight: self.inflight_requests.with_label_values(&[name]),
            connecting: self.upstream_connections.with_label_values(&[name, "connecting"]),
            open: self.upstream_connections.with_label_values(&[name, "open"]),
            circuit_open: self.upstream_circuit_open.with_label_values(&[name]),
            _named: named,
        }
    }

    fn add_process(&self) {
        self.registry.register(Box::new(Process::new())).expect("the process metrics are registered once");
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The metrics of one route that every request touches, looked up once.
pub struct RouteMetrics {
    /// See [`Metrics::request_duration`].
    pub request_duration: Histogram,
    /// See [`Metrics::redaction_duration`].
    pub redaction_duration: Histogram,
    /// See [`Metrics::upstream_duration`].
    pub upstream_duration: Histogram,
    /// See [`Metrics::received_bytes`].
    pub received_wire: IntCounter,
    /// See [`Metrics::received_bytes`].
    pub received_decoded: IntCounter,
    /// See [`Metrics::sent_bytes`].
    pub sent_wire: IntCounter,
    /// See [`Metrics::sent_bytes`].
    pub sent_decoded: IntCounter,
    /// See [`Metrics::inflight_requests`].
    pub inflight: IntGauge,
    /// Upstream connections being made.
    pub connecting: IntGauge,
    /// Upstream connections in use or idle.
    pub open: IntGauge,
    /// See [`Metrics::upstream_circuit_open`].
    pub circuit_open: IntGauge,
    _named: Named,
}

/// Makes metrics with our prefix and registers them. Names are literals above,
/// so a wrong or repeated one fails every test.
struct Table {
    registry: Registry,
    /// What lets go of gauges of a route.
    gauges: Vec<Forget>,
    /// The same of all else.
    counters: Vec<Forget>,
}

impl Table {
    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let made = self.add(IntCounterVec::new(options(name, help), labels));
        if labels.contains(&ROUTE) {
            self.counters.push(forget(&made));
        }
        made
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(options(name, help)))
    }

    fn float_counter(&self, name: &str, help: &str) -> Counter {
        self.add(Counter::with_opts(options(name, help)))
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let made = self.add(IntGaugeVec::new(options(name, help), labels));
        if labels.contains(&ROUTE) {
            self.gauges.push(forget(&made));
        }
        made
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::with_opts(options(name, help)))
    }

    fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::with_opts(options(name, help)))
    }

    fn seconds(&mut self, name: &str, help: &str) -> HistogramVec {
        let buckets = HistogramOpts::from(options(name, help)).buckets(SECONDS.to_vec());
        let made = self.add(HistogramVec::new(buckets, &[ROUTE]));
        self.counters.push(forget(&made));
        made
    }

    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("the names in the table are valid");
        self.registry.register(Box::new(collector.clone())).expect("the names in the table are unique");
        collector
    }
}

/// What came of it, as a label.
const fn outcome(used: bool) -> &'static str {
    if used { "success" } else { "failure" }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("expurgate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_rendered_with_prefix_help_and_type() {
        let metrics = Metrics::new();
        metrics.set_build("1.2.3", "abc");
        metrics.set_ruleset("00ff", 7, Duration::from_secs(1));
        metrics.set_ruleset("11ff", 8, Duration::from_secs(2));
        metrics.set_workers(2, Duration::from_millis(1500));
        metrics.route("default").received_wire.inc_by(3);
        let text = metrics.render();
        for line in [
            "expurgate_build_info{revision=\"abc\",version=\"1.2.3\"} 1",
            "expurgate_ruleset_info{hash=\"11ff\",rules=\"8\"} 1",
            "expurgate_ruleset_last_reload_timestamp_seconds 2",
            "expurgate_worker_busy_seconds_total 1.5",
            "expurgate_received_bytes_total{layer=\"wire\",route=\"default\"} 3",
            "# TYPE expurgate_request_duration_seconds histogram",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("00ff"), "the old rule set is gone");
        assert!(text.contains("\nprocess_resident_memory_bytes "));
    }
}
