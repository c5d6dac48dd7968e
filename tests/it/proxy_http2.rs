//! HTTP/2 clients, whose requests go upstream over HTTP/1.1 but for gRPC calls.

use crate::grpc_rig::{H2Client, read, send};
use crate::proxy_rig::{JSON, Rig};
use crate::proxy_sink::{Answer, PATIENCE, Seen};
use bytes::Bytes;
use h2::Reason;

#[tokio::test]
async fn requests_over_one_connection_arrive_redacted() {
    let rig = Rig::start().await;
    let client = H2Client::connect(rig.proxy.address).await;
    let body = b"{\"to\": \"bob@example.com\"}";
    let headers = [JSON, ("cookie", "a=1"), ("cookie", "b=2")];
    let frames = [&body[..]];
    let sending = || client.exchange("/x?to=bob%40example.com", &headers, &frames);
    let (one, two) = tokio::join!(sending(), sending());
    for ended in [one, two] {
        assert_eq!((ended.status, &ended.body[..]), (200, &b"ok"[..]));
    }
    let seen = rig.sink.wait("two requests", |seen| seen.len() == 2 && seen.iter().all(|seen| seen.complete)).await;
    for seen in seen {
        assert_eq!(seen.body, b"{\"to\": \"[EMAIL_ADDRESS]\"}");
        assert_eq!(seen.header("content-length"), Some("25"));
        assert_eq!(seen.target, "/x?to=%5BEMAIL_ADDRESS%5D");
        assert_eq!(seen.header("host"), Some(rig.sink.address.to_string().as_str()));
        assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
    }
}

#[tokio::test]
async fn a_long_body_streams_and_its_break_is_a_break() {
    let rig = Rig::start().await;
    let client = H2Client::connect(rig.proxy.address).await;
    let long = format!("{{\"pad\": \"{}\", \"to\": \"bob@example.com\"}}", "x".repeat(1 << 20));
    let ended = client.exchange("/", &[JSON], &[long.as_bytes()]).await;
    assert_eq!(ended.status, 200);
    // hyper takes NO_ERROR for an end.
    for (number, reason) in [(1, Reason::CANCEL), (2, Reason::NO_ERROR)] {
        let (_response, mut stream) = client.begin("/", &[JSON]).await;
        send(&mut stream, &long.as_bytes()[..800_000]).await.unwrap();
        let begun = |seen: &[Seen]| seen.len() > number && !seen[number].body.is_empty();
        rig.sink.wait("the first bytes", begun).await;
        stream.send_reset(reason);
        let seen = rig.sink.wait("the break", |seen| seen[number].broken).await;
        assert_eq!(String::from_utf8_lossy(&seen[0].body), long.replace("bob@example.com", "[EMAIL_ADDRESS]"));
        assert!(!seen[number].complete);
    }
}

#[tokio::test]
async fn a_short_body_that_is_reset_is_not_sent() {
    for reason in [Reason::CANCEL, Reason::NO_ERROR] {
        let rig = Rig::start().await;
        let client = H2Client::connect(rig.proxy.address).await;
        // So that there is a connection to the upstream, on which it could leave at once.
        assert_eq!(client.exchange("/first", &[JSON], &[b"{}"]).await.status, 200);
        rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
        let (_response, mut stream) = client.begin("/reset", &[JSON]).await;
        send(&mut stream, b"{\"to\": 1}").await.unwrap();
        rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 1).await;
        stream.send_reset(reason);
        rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
        assert_eq!(client.exchange("/last", &[JSON], &[b"{}"]).await.status, 200);
        let targets: Vec<String> = rig.sink.seen().into_iter().map(|seen| seen.target).collect();
        assert_eq!(targets, ["/first", "/last"], "{reason:?}");
    }
}

#[tokio::test]
async fn a_refusal_has_its_reason_and_leaves_the_connection_as_it_is() {
    let rig = Rig::with("[limits]\nmax_head = \"1KiB\"", Answer::Ok("ok")).await;
    let client = H2Client::connect(rig.proxy.address).await;
    let long = "x".repeat(1100);
    for (headers, status, code) in [
        (&[("x-long", long.as_str())][..], 431, "head_too_large"),
        (&[("host", "other.example")], 400, "bad_host"),
        (&[("content-type", "application/cbor")], 415, "unsupported_media_type"),
    ] {
        let ended = client.exchange("/", headers, &[b"{}"]).await;
        let body: serde_json::Value = serde_json::from_slice(&ended.body).unwrap();
        assert_eq!((ended.status, body["error"]["code"].as_str()), (status, Some(code)));
        assert!(ended.headers.get("connection").is_none());
    }
    assert_eq!(client.exchange("/", &[JSON], &[b"{}"]).await.status, 200);
    assert_eq!(rig.sink.seen().len(), 1);
}

#[tokio::test]
async fn a_drain_says_goaway_and_ends_what_has_begun() {
    let rig = Rig::with("[timeouts]\ndrain_grace = \"1ms\"", Answer::Gated("done")).await;
    let client = H2Client::connect(rig.proxy.address).await;
    let (response, mut stream) = client.begin("/", &[JSON]).await;
    stream.send_data(Bytes::from_static(b"{}"), true).unwrap();
    rig.sink.wait("the request", |seen| seen.len() == 1 && seen[0].complete).await;
    rig.proxy.stop.send(()).await.unwrap();
    let refused = async {
        while client.try_begin("/", &[JSON]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the client hears of it in time");
    rig.sink.open_gate();
    let ended = tokio::time::timeout(PATIENCE, read(response)).await.unwrap();
    assert_eq!((ended.status, &ended.body[..]), (200, &b"done"[..]));
    tokio::time::timeout(PATIENCE, client.connection).await.unwrap().unwrap().unwrap();
    tokio::time::timeout(PATIENCE, rig.proxy.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_unused_connection_is_closed_in_good_order() {
    let rig = Rig::with("[timeouts]\nkeep_alive = \"100ms\"", Answer::Ok("ok")).await;
    let client = H2Client::connect(rig.proxy.address).await;
    assert_eq!(client.exchange("/", &[JSON], &[b"{}"]).await.status, 200);
    let end = tokio::time::timeout(PATIENCE, client.connection).await.expect("an end in time");
    assert!(end.unwrap().is_ok());
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_response_loses_the_stream() {
    let rig = Rig::with("[timeouts]\nclient_write = \"100ms\"", Answer::Ok("ok")).await;
    let client = H2Client::connect_as(rig.proxy.address, h2::client::Builder::new().initial_window_size(0)).await;
    let ended = client.exchange("/", &[JSON], &[b"{}"]).await;
    assert_eq!((ended.status, ended.reset), (200, Some(Reason::CANCEL)));
    assert!(!client.connection.is_finished(), "others go on");
}

#[tokio::test]
async fn a_response_without_an_end_is_reset() {
    let rig = Rig::with("", Answer::Half("half")).await;
    let client = H2Client::connect(rig.proxy.address).await;
    let (response, mut stream) = client.begin("/", &[JSON]).await;
    stream.send_data(Bytes::from_static(b"{}"), true).unwrap();
    let mut body = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "half");
    rig.sink.open_gate();
    let end = tokio::time::timeout(PATIENCE, body.data()).await.unwrap();
    assert_eq!(end.unwrap().unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
}
