//! The admin listener.

use crate::proxy_client::{Client, Reply, request};
use crate::proxy_rig::{JSON, Rig};
use crate::proxy_sink::Answer;

async fn ask(rig: &Rig, method: &str, path: &str) -> Reply {
    let mut client = Client::connect(rig.proxy.admin).await;
    client.send(&request(method, path, &[], b"")).await;
    client.reply_to(method).await
}

#[tokio::test]
async fn the_index_lists_every_endpoint_and_each_answers() {
    let rig = Rig::start().await;
    let index = ask(&rig, "GET", "/").await;
    assert_eq!(index.status, 200);
    let paths: Vec<&str> = index.text().lines().filter_map(|l| l.split(' ').next()).collect();
    assert_eq!(paths, ["/livez", "/readyz", "/metrics", "/version"]);
    for path in paths {
        assert_eq!(ask(&rig, "GET", path).await.status, 200, "{path}");
    }
    assert_eq!(ask(&rig, "GET", "/nowhere").await.status, 404);
    assert_eq!(ask(&rig, "POST", "/metrics").await.status, 405);
    assert_eq!(ask(&rig, "HEAD", "/livez").await.status, 200);
}

#[tokio::test]
async fn metrics_tell_of_requests() {
    let rig = Rig::start().await;
    rig.post(&[JSON], b"{\"a\": 1}").await;
    let labels = "code=\"200\",method=\"POST\",outcome=\"forwarded\",route=\"default\"";
    let line = format!("requests_total{{{labels}}}");
    rig.proxy.wait_for_metric(&line, 1).await;
    let reply = ask(&rig, "GET", "/metrics").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "expurgate_received_bytes_total{layer=\"wire\",route=\"default\"} 8",
        "expurgate_sent_bytes_total{layer=\"decoded\",route=\"default\"} 8",
        "expurgate_scanned_bytes_total{format=\"json\",route=\"default\"} 8",
        "expurgate_request_duration_seconds_count{route=\"default\"} 1",
        "expurgate_redaction_duration_seconds_count{route=\"default\"} 1",
        "expurgate_upstream_duration_seconds_count{route=\"default\"} 1",
        "expurgate_inflight_requests{route=\"default\"} 0",
        "expurgate_upstream_connections{route=\"default\",state=\"open\"} 1",
        "expurgate_buffered_bytes 0",
        "expurgate_panics_total 0",
    ] {
        assert!(reply.text().contains(&format!("\n{line}\n")), "{line} is not in\n{}", reply.text());
    }
}

#[tokio::test]
async fn the_time_for_a_query_is_measured_and_nothing_is_where_nothing_was_looked_at() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    assert_eq!(client.exchange(&request("GET", "/x?a=1", &[], b"")).await.status, 200);
    rig.proxy.wait_for_metric("redaction_duration_seconds_count{route=\"default\"}", 1).await;
    let text = rig.proxy.metrics.render();
    assert!(!text.contains("redaction_duration_seconds_sum{route=\"default\"} 0\n"), "{text}");
}

#[tokio::test]
async fn labels_hold_nothing_of_what_a_client_sends() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let headers = [("host", "canary-host"), ("x-canary", "canary-value")];
    let bytes = request("CANARY", "/canary?canary=1", &headers, b"");
    assert_eq!(client.exchange(&bytes).await.status, 501);
    let labels = "code=\"501\",method=\"other\",outcome=\"refused\",route=\"none\"";
    let line = format!("requests_total{{{labels}}}");
    rig.proxy.wait_for_metric(&line, 1).await;
    let text = rig.proxy.metrics.render();
    assert!(!text.to_lowercase().contains("canary"));
}

#[tokio::test]
async fn readiness_ends_when_the_drain_begins() {
    let rig = Rig::with("[timeouts]\ndrain_grace = \"1ms\"", Answer::Gated("ok")).await;
    let mut client = rig.client().await;
    client.send(&request("POST", "/", &[JSON], b"{}")).await;
    rig.sink.only().await;
    assert_eq!(ask(&rig, "GET", "/readyz").await.status, 200);
    rig.proxy.stop.send(()).await.unwrap();
    while ask(&rig, "GET", "/readyz").await.status == 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&rig, "GET", "/readyz").await.status, 503);
    assert_eq!(ask(&rig, "GET", "/livez").await.status, 200);
    rig.sink.open_gate();
    let reply = client.reply().await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("connection"), Some("close"));
    rig.proxy.running.await.unwrap();
}
