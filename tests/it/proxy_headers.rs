//! What happens to heads on their way.

use crate::proxy_client::{Client, chunk, head, request};
use crate::proxy_rig::{JSON, Proxy, Rig};
use crate::proxy_sink::{Answer, Sink};

#[tokio::test]
async fn headers_for_one_connection_stay_behind_and_others_travel() {
    let rig = Rig::start().await;
    let headers = [
        JSON,
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("authorization", "Bearer upstream-key"),
        ("x_langfuse_sdk_name", "python"),
        ("x-api-key", "key"),
        ("cookie", "a=1"),
    ];
    assert_eq!(rig.post(&headers, b"{}").await.status, 200);
    let seen = rig.sink.only().await;
    let mut names: Vec<&str> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let expected =
        ["authorization", "content-length", "content-type", "cookie", "host", "x-api-key", "x_langfuse_sdk_name"];
    assert_eq!(names, expected);
    assert_eq!(seen.header("authorization"), Some("Bearer upstream-key"));
    let host = rig.sink.address.to_string();
    assert_eq!(seen.header("host"), Some(host.as_str()));
}

#[tokio::test]
async fn digests_stay_with_a_clean_body_and_go_with_a_streaming_one() {
    let rig = Rig::start().await;
    let digest = ("content-md5", "abc");
    rig.post(&[JSON, digest], b"{}").await;
    rig.post(&[JSON, digest], &vec![b'1'; 300_000]).await;
    let seen = rig.sink.wait("two", |seen| seen.len() == 2).await;
    assert_eq!(seen[0].header("content-md5"), Some("abc"));
    assert_eq!(seen[1].header("content-md5"), None);
}

#[tokio::test]
async fn the_target_is_kept_and_the_base_path_put_in_front() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let upstream = format!("http://{}/base/", sink.address);
    let proxy = Proxy::start("", &upstream).await;
    let mut client = Client::connect(proxy.address).await;
    for (sent, expected) in
        [("/", "/base/"), ("/v1/x%2Fy?a=%20b&c[]=1", "/base/v1/x%2Fy?a=%20b&c[]=1"), ("/v1?", "/base/v1?")]
    {
        assert_eq!(client.exchange(&request("GET", sent, &[], b"")).await.status, 200);
        assert_eq!(sink.seen().pop().unwrap().target, expected);
    }
}

async fn refused(bytes: &[u8]) -> (u16, String) {
    let rig = Rig::start().await;
    let reply = rig.client().await.exchange(bytes).await;
    assert!(rig.sink.seen().is_empty());
    (reply.status, reply.code())
}

#[tokio::test]
async fn targets_of_a_forward_proxy_are_refused() {
    let target = (400, "unsupported_request_target".to_owned());
    let absolute = request("GET", "http://elsewhere.test/", &[], b"");
    assert_eq!(refused(&absolute).await, target);
    assert_eq!(refused(&request("OPTIONS", "*", &[], b"")).await, target);
    let connect = request("CONNECT", "elsewhere.test:443", &[], b"");
    assert_eq!(refused(&connect).await, target);
}

#[tokio::test]
async fn paths_that_an_upstream_would_resolve_are_refused() {
    for target in ["/a/../b", "/a/%2e%2E/b", "/./b", "/a%2F..%2fb"] {
        let got = refused(&request("GET", target, &[], b"")).await;
        assert_eq!(got, (400, "unsupported_request_target".to_owned()), "{target}");
    }
}

#[tokio::test]
async fn a_path_cannot_pass_by_the_policy_of_its_route() {
    let routes = "[[route]]\nname = \"blocks\"\npath = \"/api\"\nupstream = \"UP\"\npolicy.default = \"block\"\n\
                  [[route]]\nname = \"counts\"\nupstream = \"UP\"\npolicy.default = \"report\"\n";
    let sink = Sink::start(Answer::Ok("ok")).await;
    let upstream = format!("http://{}", sink.address);
    let proxy = Proxy::start(&routes.replace("UP", &upstream), &upstream).await;
    let mut client = Client::connect(proxy.address).await;
    let mail = b"{\"to\": \"canary@example.com\"}";
    assert_eq!(client.exchange(&request("POST", "/api", &[JSON], mail)).await.code(), "blocked");
    for target in ["//api", "/%61pi", "/api;x", "/api%2fx", "/;x/api", "/%2561pi", "/api%5cx"] {
        let mut client = Client::connect(proxy.address).await;
        let reply = client.exchange(&request("POST", target, &[JSON], mail)).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "ambiguous_request_target"), "{target}");
    }
    assert!(sink.seen().is_empty());
    // It is the same route, and what arrives is what was sent.
    let odd = "/v1//x%2Fy;z/%7Ea";
    assert_eq!(Client::connect(proxy.address).await.exchange(&request("POST", odd, &[JSON], mail)).await.status, 200);
    assert_eq!(sink.only().await.target, odd);
}

#[tokio::test]
async fn the_end_of_a_longer_body_does_not_leave_as_a_method() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let upstream = format!("http://{}", sink.address);
    let proxy = Proxy::start("", &upstream).await;
    let mut client = Client::connect(proxy.address).await;
    // Its last ten bytes are beyond the length that it says.
    let [body, rest] = ["{\"key\": \"", "AKIAZ3KQ7V"];
    assert_eq!(client.exchange(&request("POST", "/", &[JSON], body.as_bytes())).await.status, 200);
    let reply = client.exchange(&request(&format!("{rest}POST"), "/", &[JSON], b"{}")).await;
    assert_eq!((reply.status, reply.code().as_str()), (501, "unsupported_method"));
    assert_eq!(Client::connect(proxy.address).await.exchange(&request("PROPFIND", "/", &[], b"")).await.status, 200);
    assert_eq!(sink.seen().len(), 2);
}

#[tokio::test]
async fn a_connection_header_cannot_name_what_is_end_to_end() {
    for name in ["content-encoding", "Content-Type", "close, authorization", "host", "cookie"] {
        let got = refused(&request("POST", "/", &[JSON, ("connection", name)], b"{}")).await;
        assert_eq!(got, (400, "bad_connection_header".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn an_absolute_target_for_a_host_of_ours_is_served() {
    let rig = Rig::with("[[route]]\nhost = \"ours.test\"", Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    let ours = request("GET", "http://ours.test/x", &[("host", "other")], b"");
    assert_eq!(client.exchange(&ours).await.status, 200);
    assert_eq!(rig.sink.only().await.target, "/x");
    let by_header = request("GET", "/", &[("host", "other.test")], b"");
    assert_eq!(client.exchange(&by_header).await.status, 404);
}

#[tokio::test]
async fn upgrades_are_refused() {
    let headers = [("connection", "upgrade"), ("upgrade", "websocket")];
    let got = refused(&request("GET", "/", &headers, b"")).await;
    assert_eq!(got, (400, "unsupported_upgrade".to_owned()));
}

#[tokio::test]
async fn codings_before_chunked_are_refused() {
    let mut bytes = head("POST", "/", &[JSON, ("transfer-encoding", "gzip, chunked")]);
    bytes.extend(chunk(b"{}"));
    bytes.extend(chunk(b""));
    let got = refused(&bytes).await;
    assert_eq!(got, (415, "unsupported_content_encoding".to_owned()));
}

/// hyper refuses these before there is a request to handle.
#[tokio::test]
async fn lengths_that_disagree_are_refused() {
    let rig = Rig::start().await;
    let headers = [JSON, ("content-length", "2"), ("content-length", "3")];
    let mut client = rig.client().await;
    client.send(&head("POST", "/", &headers)).await;
    assert_eq!(client.read_head().await.0, 400);
    assert!(rig.sink.seen().is_empty());
    let line = "refused_requests_total{reason=\"malformed_head\",route=\"none\"}";
    rig.proxy.wait_for_metric(line, 1).await;
}

/// As RFC 9112, section 6.3 says: the chunks count, and the connection, which
/// somebody may understand otherwise, is not used again.
#[tokio::test]
async fn a_length_beside_chunks_is_refused() {
    for headers in [
        [JSON, ("content-length", "4"), ("transfer-encoding", "chunked")],
        [JSON, ("transfer-encoding", "chunked"), ("content-length", "4")],
    ] {
        let rig = Rig::start().await;
        let mut bytes = head("POST", "/", &headers);
        bytes.extend(chunk(b"[1, 2]"));
        bytes.extend(chunk(b""));
        bytes.extend(request("GET", "/smuggled", &[], b""));
        let mut client = rig.client().await;
        let reply = client.exchange(&bytes).await;
        assert_eq!((reply.status, reply.header("connection")), (400, Some("close")));
        assert_eq!(client.rest().await.bytes, b"");
        let refused = "refused_requests_total{reason=\"malformed_head\",route=\"none\"}";
        rig.proxy.wait_for_metric(refused, 1).await;
        assert!(rig.sink.seen().is_empty());
    }
}

/// Some clients offer HTTP/2 with every request.
#[tokio::test]
async fn only_an_offer_of_http2_leaves_the_connection_open() {
    let rig = Rig::start().await;
    for (upgrade, status, connection) in [("h2c", 200, None), ("h2c, other/1", 400, Some("close"))] {
        let offer = request("POST", "/", &[JSON, ("connection", "upgrade"), ("upgrade", upgrade)], b"{}");
        let mut client = rig.client().await;
        let reply = client.exchange(&offer).await;
        assert_eq!((reply.status, reply.header("connection")), (status, connection), "{upgrade}");
        let mut next = head("POST", "/", &[JSON, ("content-length", "4"), ("transfer-encoding", "chunked")]);
        next.extend(chunk(b""));
        client.try_send(&next).await;
        let rest = client.rest().await.bytes;
        assert_eq!(rest.starts_with(b"HTTP/1.1 400"), status == 200, "{upgrade}: {}", rest.escape_ascii());
    }
}

#[tokio::test]
async fn a_request_needs_exactly_one_host() {
    let two = head("GET", "/", &[("host", "a"), ("host", "b")]);
    assert_eq!(refused(&two).await, (400, "bad_host".to_owned()));
    let none = b"GET / HTTP/1.1\r\n\r\n";
    assert_eq!(refused(none).await, (400, "bad_host".to_owned()));
}

#[tokio::test]
async fn trailers_do_not_travel() {
    let rig = Rig::start().await;
    let mut bytes = head("POST", "/", &[JSON, ("transfer-encoding", "chunked")]);
    bytes.extend(chunk(b"{}"));
    bytes.extend(b"0\r\nx-trailer: canary@example.com\r\n\r\n");
    let mut client = rig.client().await;
    let reply = client.exchange(&bytes).await;
    assert_eq!((reply.status, reply.header("connection")), (200, None));
    let seen = rig.sink.only().await;
    assert_eq!(seen.body, b"{}");
    assert_eq!(seen.header("x-trailer"), None);
}

#[tokio::test]
async fn an_http_1_0_client_is_served() {
    let rig = Rig::with("", Answer::Halves("first", "second")).await;
    rig.sink.open_gate();
    let mut client = rig.client().await;
    client.send(b"GET / HTTP/1.0\r\n\r\n").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text()), (200, "firstsecond"));
    assert_eq!(reply.header("transfer-encoding"), None);
}

#[tokio::test]
async fn metadata_in_headers_is_redacted_and_what_authenticates_stays() {
    let rig = Rig::start().await;
    let headers = [
        JSON,
        ("x-amz-meta-owner", "jane.doe@example.com"),
        ("x-portkey-metadata", "{\"_user\": \"jane.doe@example.com\", \"env\": \"dev\"}"),
        ("helicone-property-user", "jane.doe@example.com"),
        // `filename` of "a b.txt", `user` of "jane.doe@example.com", `password` of "hunter22x".
        ("upload-metadata", "filename YSBiLnR4dA==,user amFuZS5kb2VAZXhhbXBsZS5jb20=, password aHVudGVyMjJ4,is_draft"),
        ("x-goog-meta-clean", "team 7"),
        ("authorization", "Bearer jane.doe@example.com"),
        ("x-api-key", "jane.doe@example.com"),
        ("x-ms-metadata-key", "jane.doe@example.com"),
    ];
    assert_eq!(rig.post(&headers, b"{}").await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.header("x-amz-meta-owner"), Some("[EMAIL_ADDRESS]"));
    assert_eq!(seen.header("x-portkey-metadata"), Some("{\"_user\": \"[EMAIL_ADDRESS]\", \"env\": \"dev\"}"));
    assert_eq!(seen.header("helicone-property-user"), Some("[EMAIL_ADDRESS]"));
    // `[EMAIL_ADDRESS]` and `[PASSWORD]`.
    let expected = "filename YSBiLnR4dA==,user W0VNQUlMX0FERFJFU1Nd,password W1BBU1NXT1JEXQ==,is_draft";
    assert_eq!(seen.header("upload-metadata"), Some(expected));
    for (name, value) in &headers[5..] {
        assert_eq!(seen.header(name), Some(*value));
    }
}
