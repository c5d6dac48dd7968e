//! Requests of all clients over HTTP/2, where a route says so.

use crate::grpc_rig::{CallSink, H2Client, Reply, framed};
use crate::proxy_client::{Client, chunk, head, request};
use crate::proxy_rig::{JSON, Proxy};
use crate::proxy_tls::{authority, proxy_trusting};
use h2::Reason;
use hyper::http::HeaderValue;

const BODY: &[u8] = b"{\"to\": \"bob@example.com\"}";
const REDACTED: &[u8] = b"{\"to\": \"[EMAIL_ADDRESS]\"}";

async fn start(configuration: &str, reply: Reply) -> (CallSink, Proxy) {
    let sink = CallSink::start(reply).await;
    let configuration = format!("{configuration}\n[[route]]\nhttp2 = true");
    let proxy = Proxy::start(&configuration, &format!("http://{}", sink.address)).await;
    (sink, proxy)
}

#[tokio::test]
async fn all_clients_share_a_connection() {
    let (sink, proxy) = start("", Reply::Ok).await;
    let mut client = Client::connect(proxy.address).await;
    let over_http2 = H2Client::connect(proxy.address).await;
    for _ in 0..3 {
        let reply = client.exchange(&request("POST", "/x?to=bob%40example.com", &[JSON], BODY)).await;
        assert_eq!((reply.status, &reply.body[..]), (200, &framed(0, b"\x0a\x02hi")[..]));
        let frames = [BODY];
        let sending = || over_http2.exchange("/y", &[JSON, ("cookie", "a=1")], &frames);
        let (one, two) = tokio::join!(sending(), sending());
        assert_eq!((one.status, two.status), (200, 200));
        assert_eq!(one.body, framed(0, b"\x0a\x02hi"));
    }
    let reply = client.exchange(&request("GET", "/z", &[], b"")).await;
    assert_eq!(reply.status, 200);
    let calls = sink.wait("ten requests", |calls| calls.iter().filter(|call| call.complete).count() == 10).await;
    for call in &calls[..9] {
        assert_eq!(call.body, REDACTED);
        assert_eq!(call.headers.get("content-length"), Some(&HeaderValue::from_static("25")));
        for absent in ["host", "te", "connection", "transfer-encoding"] {
            assert!(call.headers.get(absent).is_none(), "{absent}");
        }
    }
    assert_eq!((calls[9].path.as_str(), calls[9].body.len()), ("/z", 0));
    assert_eq!(sink.connections(), 1, "it is shared");
}

#[tokio::test]
async fn a_long_body_streams_and_its_break_is_a_break() {
    let (sink, proxy) = start("", Reply::Ok).await;
    let long = format!("{{\"pad\": \"{}\", \"to\": \"bob@example.com\"}}", "x".repeat(1 << 20));
    let mut client = Client::connect(proxy.address).await;
    let reply = client.exchange(&request("POST", "/", &[JSON], long.as_bytes())).await;
    assert_eq!(reply.status, 200);
    let calls = sink.wait("all of it", |calls| calls[0].complete).await;
    assert_eq!(calls[0].body, long.replace("bob@example.com", "[EMAIL_ADDRESS]").as_bytes());
    let mut broken = Client::connect(proxy.address).await;
    broken.send(&head("POST", "/", &[JSON, ("transfer-encoding", "chunked")])).await;
    broken.send(&chunk(&long.as_bytes()[..500_000])).await;
    sink.wait("the first bytes", |calls| calls.len() == 2 && !calls[1].body.is_empty()).await;
    drop(broken);
    let calls = sink.wait("the break", |calls| calls[1].reset.is_some()).await;
    assert!(!calls[1].complete);
    assert_eq!(sink.connections(), 1, "others go on");
}

#[tokio::test]
async fn no_success_is_told_before_the_upstream_has_all() {
    let (_sink, proxy) = start("[timeouts]\nresponse_head = \"300ms\"", Reply::Shut).await;
    let mut client = Client::connect(proxy.address).await;
    // What the first connection begins with may leave before the window is told.
    client.exchange(&request("POST", "/", &[JSON], BODY)).await;
    let reply = client.exchange(&request("POST", "/", &[JSON], BODY)).await;
    assert_eq!((reply.status, reply.code().as_str()), (504, "upstream_timeout"));
}

#[tokio::test]
async fn failures_of_the_upstream_are_told() {
    let (_sink, proxy) = start("[timeouts]\nresponse_head = \"300ms\"", Reply::Never).await;
    let mut client = Client::connect(proxy.address).await;
    let reply = client.exchange(&request("POST", "/", &[JSON], BODY)).await;
    assert_eq!((reply.status, reply.code().as_str()), (504, "upstream_timeout"));
}

#[tokio::test]
async fn a_response_that_is_reset_is_not_told_as_whole() {
    // hyper takes NO_ERROR for an end.
    for reason in [Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
        let (_sink, proxy) = start("", Reply::Break(reason)).await;
        let mut client = Client::connect(proxy.address).await;
        client.send(&request("POST", "/", &[JSON, ("connection", "close")], BODY)).await;
        let rest = client.rest().await.bytes;
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{reason:?}: {}", String::from_utf8_lossy(&rest));
        proxy.wait_for_metric("failures_total{reason=\"upstream_broke\",route=\"default\"}", 1).await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_after_a_request_is_followed_by_another() {
    let (sink, proxy) = start("", Reply::Once).await;
    let mut client = Client::connect(proxy.address).await;
    for number in 1..=5 {
        assert_eq!(client.exchange(&request("POST", "/", &[JSON], BODY)).await.status, 200);
        assert_eq!(sink.calls().len(), number);
    }
    assert!(sink.connections() > 1);
}

#[tokio::test]
async fn over_tls_it_has_to_be_agreed_on() {
    for (protocols, status) in [(&["h2", "http/1.1"][..], 200), (&["http/1.1"], 502), (&[], 502)] {
        let (pem, mut config) = authority();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let sink = CallSink::start_tls(Reply::Ok, Some(config)).await;
        let proxy = proxy_trusting(&pem, "[[route]]\nhttp2 = true", sink.address.port()).await;
        let mut client = Client::connect(proxy.address).await;
        let reply = client.exchange(&request("POST", "/", &[JSON], BODY)).await;
        assert_eq!(reply.status, status, "{protocols:?}");
        assert_eq!(sink.calls().len(), usize::from(status == 200));
    }
}
