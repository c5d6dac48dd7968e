//! Connections to the upstream that are kept for later requests.

use crate::proxy_client::{Client, request};
use crate::proxy_rig::{JSON, Proxy, Rig};
use crate::proxy_sink::{Answer, PATIENCE};
use crate::proxy_tls::{authority, proxy_trusting};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const OPEN: &str = "upstream_connections{route=\"default\",state=\"open\"}";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
    }
}

/// A proxy and its upstream.
async fn start() -> (Proxy, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Proxy::start("", &format!("http://{}", listener.local_addr().unwrap())).await, listener)
}

/// A request that is answered on a new connection to the upstream: that.
async fn exchange(client: &mut Client, listener: &TcpListener) -> TcpStream {
    client.send(&request("GET", "/", &[], b"")).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    stream.write_all(OK).await.unwrap();
    assert_eq!(client.reply().await.text(), "ok");
    stream
}

#[tokio::test]
async fn a_kept_connection_that_the_upstream_closes_is_let_go_at_once() {
    let (proxy, listener) = start().await;
    let mut client = Client::connect(proxy.address).await;
    for _ in 0..2 {
        let stream = exchange(&mut client, &listener).await;
        proxy.wait_for_metric(OPEN, 1).await;
        drop(stream);
        proxy.wait_for_metric(OPEN, 0).await;
    }
}

/// They would be taken for the response to the next request.
#[tokio::test]
async fn a_kept_connection_that_says_what_nobody_asked_for_is_let_go_at_once() {
    let (proxy, listener) = start().await;
    let mut client = Client::connect(proxy.address).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = exchange(&mut client, &listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale").await.unwrap();
        proxy.wait_for_metric(OPEN, 0).await;
        streams.push(stream);
    }
}

#[tokio::test]
async fn a_connection_is_used_again_and_closed_when_nobody_has_used_it_for_its_time() {
    let rig = Rig::with("[timeouts]\nupstream_keep_alive = \"2s\"", Answer::Ok("ok")).await;
    for _ in 0..2 {
        assert_eq!(rig.post(&[JSON], b"{}").await.status, 200);
        rig.proxy.wait_for_metric(OPEN, 1).await;
        assert_eq!(rig.sink.connections(), 1);
    }
    rig.proxy.wait_for_metric(OPEN, 0).await;
    assert_eq!(rig.post(&[JSON], b"{}").await.status, 200);
    assert_eq!(rig.sink.connections(), 2);
}

/// The end of a connection that is just cut off could be anybody's doing.
#[tokio::test]
async fn a_kept_connection_over_tls_is_closed_as_tls_wants_it() {
    let (pem, config) = authority();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = proxy_trusting(&pem, "[timeouts]\nupstream_keep_alive = \"100ms\"", port).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(&request("GET", "/", &[], b"")).await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
    read_head(&mut stream).await;
    stream.write_all(OK).await.unwrap();
    assert_eq!(client.reply().await.text(), "ok");
    let end = tokio::time::timeout(PATIENCE, stream.read(&mut [0])).await.expect("an end in time");
    // Without a word before it, it would be an error.
    assert_eq!(end.unwrap(), 0);
}

/// An upstream that answers the first request of its first connection, and ends
/// that behind the second one; it says how many requests have come.
async fn ends_behind_the_second(listener: TcpListener, later: &'static [u8]) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    stream.write_all(OK).await.unwrap();
    read_head(&mut stream).await;
    drop(stream);
    let mut requests = 2;
    while let Ok(accepted) = tokio::time::timeout(QUIET, listener.accept()).await {
        let mut stream = accepted.unwrap().0;
        read_head(&mut stream).await;
        requests += 1;
        stream.write_all(later).await.unwrap();
    }
    requests
}

/// In which nobody comes who does not come at all.
const QUIET: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_request_that_can_do_no_harm_is_sent_again_once_where_its_connection_has_ended() {
    for (method, body, later, status, requests) in [
        ("GET", &b""[..], OK, 200, 3),
        ("DELETE", b"", OK, 200, 3),
        // The new connection ends, too.
        ("GET", b"", b"", 502, 3),
        ("POST", b"", OK, 502, 2),
        ("PUT", b"{}", OK, 502, 2),
    ] {
        let (proxy, listener) = start().await;
        let serving = tokio::spawn(ends_behind_the_second(listener, later));
        let mut client = Client::connect(proxy.address).await;
        assert_eq!(client.exchange(&request("GET", "/", &[], b"")).await.status, 200);
        proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
        let reply = client.exchange(&request(method, "/", &[JSON], body)).await;
        assert_eq!(reply.status, status, "{method}");
        assert_eq!(serving.await.unwrap(), requests, "{method}");
    }
}

#[tokio::test]
async fn a_connection_is_used_until_it_has_its_age() {
    let rig = Rig::with("[timeouts]\nupstream_max_age = \"200ms\"", Answer::Ok("ok")).await;
    let (begin, mut requests) = (Instant::now(), 0);
    while rig.sink.connections() < 3 {
        assert_eq!(rig.post(&[JSON], b"{}").await.status, 200);
        requests += 1;
        assert!(begin.elapsed() < PATIENCE);
    }
    assert!(begin.elapsed() >= Duration::from_millis(400) && requests > 3, "{requests} in {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_request_takes_the_connection_that_comes_first_and_the_other_is_kept() {
    let (pem, config) = authority();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = proxy_trusting(&pem, "[timeouts]\nconnect = \"20s\"", port).await;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (mut one, mut two) = (Client::connect(proxy.address).await, Client::connect(proxy.address).await);
    one.send(&request("GET", "/", &[], b"")).await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    read_head(&mut stream).await;
    two.send(&request("GET", "/", &[], b"")).await;
    // It connects, and the handshake does not go on.
    let (waiting, _) = listener.accept().await.unwrap();
    stream.write_all(OK).await.unwrap();
    assert_eq!(one.reply().await.text(), "ok");
    read_head(&mut stream).await;
    stream.write_all(OK).await.unwrap();
    assert_eq!(two.reply().await.text(), "ok");
    let _late = acceptor.accept(waiting).await.unwrap();
    proxy.wait_for_metric(OPEN, 2).await;
}
