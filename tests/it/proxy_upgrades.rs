//! Connections that speak something else than HTTP after a while: only where their
//! route says so.

use crate::proxy_client::{Client, head, request};
use crate::proxy_rig::{JSON, Proxy, Rig};
use crate::proxy_sink::{Answer, PATIENCE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROUTE: &str = "[[route]]\nupgrades = [\"websocket\"]";
const ASK: [(&str, &str); 2] = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];

/// A proxy and its upstream.
async fn start(configuration: &str) -> (Proxy, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Proxy::start(configuration, &format!("http://{}", listener.local_addr().unwrap())).await, listener)
}

/// The upstream's end, and the head of the request that came there.
async fn asked(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
    }
    (stream, String::from_utf8(head).unwrap())
}

async fn read_exactly(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut read = vec![0; length];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut read)).await.expect("bytes in time").unwrap();
    read
}

const AGREED: &[u8] = b"HTTP/1.1 101 Switching\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-id: 7\r\n\r\nfirst";

#[tokio::test]
async fn what_the_route_allows_passes_both_ways_as_it_is_and_is_counted() {
    let (proxy, listener) = start(ROUTE).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(&head("GET", "/live?to=bob%40example.com", &ASK)).await;
    let (mut upstream, head) = asked(&listener).await;
    assert!(head.starts_with("GET /live?to=%5BEMAIL_ADDRESS%5D HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
    upstream.write_all(AGREED).await.unwrap();
    let (status, headers) = client.read_head().await;
    assert_eq!(status, 101);
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket"), ("x-id", "7")] {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())), "{headers:?}");
    }
    proxy.wait_for_metric("inflight_requests{route=\"default\"}", 1).await;
    let talk = b"ask bob@example.com".repeat(10_000);
    client.send(&talk).await;
    assert!(read_exactly(&mut upstream, talk.len()).await == talk);
    upstream.write_all(b"\x81\x05hello").await.unwrap();
    // The other side may still speak.
    upstream.shutdown().await.unwrap();
    assert_eq!(client.rest().await.bytes, b"first\x81\x05hello");
    client.send(b"bye").await;
    assert_eq!(read_exactly(&mut upstream, 3).await, b"bye");
    client.stream.shutdown().await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, upstream.read(&mut [0])).await.unwrap().unwrap(), 0);
    proxy.wait_for_metric("passthrough_requests_total{reason=\"upgrade\",route=\"default\"}", 1).await;
    let labels = "code=\"101\",method=\"GET\",outcome=\"forwarded\",route=\"default\"";
    proxy.wait_for_metric(&format!("requests_total{{{labels}}}"), 1).await;
    for gauge in ["inflight_requests{route=\"default\"}", "listener_connections"] {
        proxy.wait_for_metric(gauge, 0).await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_agree_answers_as_to_any_request() {
    let (proxy, listener) = start(ROUTE).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(&[head("GET", "/", &ASK), head("GET", "/next", &[])].concat()).await;
    let (mut upstream, _) = asked(&listener).await;
    upstream.write_all(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text(), reply.header("connection")), (403, "no", Some("close")));
    // What was sent ahead is not taken for a request.
    assert_eq!(client.rest().await.bytes, b"");
}

#[tokio::test]
async fn an_upstream_that_agrees_to_something_else_is_broken() {
    for (configuration, headers) in [(ROUTE, &ASK[..]), (ROUTE, &[]), ("", &[])] {
        let (proxy, listener) = start(configuration).await;
        let mut client = Client::connect(proxy.address).await;
        client.send(&head("GET", "/", headers)).await;
        let (mut upstream, _) = asked(&listener).await;
        upstream.write_all(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nx").await.unwrap();
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_broke"));
    }
}

#[tokio::test]
async fn what_the_route_does_not_name_is_refused() {
    let rig = Rig::with(ROUTE, Answer::Ok("ok")).await;
    let with = |connection, upgrade| request("GET", "/", &[("connection", connection), ("upgrade", upgrade)], b"");
    let body = request("POST", "/", &[ASK[0], ASK[1], JSON], b"{}");
    let refused = [with("upgrade", "other"), with("upgrade", "websocket, other"), with("close", "websocket"), body];
    for bytes in refused {
        let reply = rig.client().await.exchange(&bytes).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "unsupported_upgrade"));
    }
    assert_eq!(rig.sink.connections(), 0);
}

#[tokio::test]
async fn a_silent_tunnel_ends_in_time() {
    let (proxy, listener) = start(&format!("[timeouts]\nresponse_idle = \"200ms\"\n{ROUTE}")).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(&head("GET", "/", &ASK)).await;
    let (mut upstream, _) = asked(&listener).await;
    upstream.write_all(AGREED).await.unwrap();
    assert_eq!(client.read_head().await.0, 101);
    assert_eq!(client.rest().await.bytes, b"first");
    proxy.wait_for_metric("failures_total{reason=\"tunnel_idle_timeout\",route=\"default\"}", 1).await;
    proxy.wait_for_metric("listener_connections", 0).await;
}
