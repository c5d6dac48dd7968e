//! What is refused is answered as the table says, and nothing of it reaches
//! the upstream.

use crate::proxy_client::{chunk, head, request};
use crate::proxy_rig::{JSON, Rig};
use crate::proxy_sink::Answer;

const CANARY: &[u8] = b"{\"email\": \"canary@example.com\"}";

/// (headers, body, status, code)
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

async fn expect(cases: &[Case<'_>]) {
    let rig = Rig::start().await;
    for (headers, body, status, code) in cases {
        let reply = rig.post(headers, body).await;
        let got = (reply.status, reply.code());
        assert_eq!(got, (*status, (*code).to_owned()), "{headers:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert!(!reply.text().contains("canary"));
    }
    assert!(rig.sink.seen().is_empty());
    assert_eq!(rig.sink.connections(), 0);
}

#[tokio::test]
async fn content_codings_that_are_not_understood() {
    let encoding = |value| [JSON, ("content-encoding", value)];
    expect(&[
        (&encoding("compress"), CANARY, 415, "unsupported_content_encoding"),
        (&encoding("dcz"), CANARY, 415, "unsupported_content_encoding"),
        (&encoding("br, zstd"), CANARY, 415, "unsupported_content_encoding"),
        (&encoding("gzip, gzip"), CANARY, 415, "unsupported_content_encoding"),
        (&encoding("aws-chunked"), CANARY, 415, "unsupported_content_encoding"),
    ])
    .await;
}

#[tokio::test]
async fn media_types_that_are_not_understood() {
    let kind = |value| [("content-type", value)];
    let twice = [JSON, ("content-type", "text/plain")];
    let code = "unsupported_media_type";
    expect(&[
        (&kind("application/x-www-form-urlencoded"), b"canary=canary@example.com \xff", 415, "unsupported_charset"),
        (&kind("application/x-protobuf"), CANARY, 400, "corrupt_framing"),
        (&kind("application/grpc"), CANARY, 415, code),
        (&kind("application/msgpack"), b"\x92\xb2canary@example.com", 400, "corrupt_framing"),
        (&kind("application/cbor"), CANARY, 415, code),
        (&kind("image/png"), b"\x89PNG\r\n\x1a\n", 415, code),
        (&[], b"canary@example.com \xff", 415, code),
        (&twice, CANARY, 415, code),
    ])
    .await;
}

#[tokio::test]
async fn charsets_other_than_utf8() {
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let latin = [("content-type", "text/plain; charset=iso-8859-1")];
    let utf16 = [("content-type", "application/json; charset=UTF-16")];
    let code = "unsupported_charset";
    expect(&[
        (&latin, CANARY, 415, code),
        (&utf16, CANARY, 415, code),
        (&[JSON], &wide("{\"a\": \"canary\"}"), 415, code),
        (&[JSON], &wide("\u{feff}{}"), 415, code),
        (&[JSON], b"\xff\xfe\0\0{\0\0\0}\0\0\0", 415, code),
        (&[("content-type", "text/plain")], &wide("\u{4142}\u{4344}\u{4546} canary"), 415, code),
        (&[], &wide("\u{4142}\u{4344}\u{4546} canary"), 415, code),
        (&[("content-type", "text/plain")], b"caf\xe9 canary@example.com", 415, code),
        // Deflate, without its header.
        (&[JSON], b"\xab\x56\x4a\x54\xb2\x52", 415, code),
    ])
    .await;
}

#[tokio::test]
async fn broken_parts_are_refused_before_the_upstream_is_called() {
    let kind = |value| [("content-type", value)];
    let form = kind("multipart/form-data; boundary=x");
    let envelope = kind("application/x-sentry-envelope");
    let code = "corrupt_framing";
    expect(&[
        (&form, CANARY, 400, code),
        (&kind("multipart/mixed"), CANARY, 400, code),
        (&form, b"--x\r\n\r\ncanary@example.com\r\n--x\r\n", 400, code),
        (&form, b"--xcanary@example.com\r\n\r\n--x--", 400, code),
        (&envelope, b"canary@example.com", 400, code),
        (&envelope, b"{}\n{\"type\":\"event\",\"length\":99}\n{\"to\":\"canary@example.com\"}\n", 400, code),
        (&form, b"--x\r\nContent-Encoding: lz4\r\n\r\ncanary\r\n--x--", 415, "unsupported_content_encoding"),
        (&form, b"--x\r\nContent-Encoding: br\r\n\r\ncanary\r\n--x--", 400, "corrupt_content_encoding"),
        (&form, b"--x\r\nContent-Type: image/png\r\n\r\n\xff\r\n--x--", 415, "unsupported_media_type"),
    ])
    .await;
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let rig = Rig::start().await;
    for _ in 0..2 {
        rig.post(&[JSON, ("content-encoding", "compress")], CANARY).await;
    }
    let reason = "reason=\"unsupported_content_encoding\",route=\"default\"";
    let line = format!("refused_requests_total{{{reason}}}");
    rig.proxy.wait_for_metric(&line, 2).await;
    let labels = "code=\"415\",method=\"POST\",outcome=\"refused\",route=\"default\"";
    let line = format!("requests_total{{{labels}}}");
    rig.proxy.wait_for_metric(&line, 2).await;
}

#[tokio::test]
async fn a_large_body_of_an_unknown_type_streams_as_text() {
    let rig = Rig::start().await;
    let body = b"canary@example.com ".repeat(20_000);
    assert_eq!(rig.post(&[], &body).await.status, 200);
    let seen = rig.sink.only().await;
    assert!(seen.body == b"[EMAIL_ADDRESS] ".repeat(20_000));
}

#[tokio::test]
async fn a_large_body_of_an_unknown_type_is_broken_off_where_it_is_not_utf8() {
    let rig = Rig::start().await;
    let mut body = b"canary@example.com ".repeat(20_000);
    let clean = body.len();
    body.extend(b"\xff canary2@example.com".repeat(10_000));
    let reply = rig.post(&[], &body).await;
    assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"));
    let seen = rig.sink.wait("a break", |seen| seen.len() == 1 && seen[0].broken).await;
    assert!(!seen[0].complete && seen[0].body.len() <= clean);
    assert!(!String::from_utf8_lossy(&seen[0].body).contains("canary"));
    // By its first bytes it is refused before the upstream is called.
    let rig = Rig::start().await;
    let reply = rig.post(&[("content-type", "image/png")], &b"\x89PNG\r\n\x1a\n".repeat(50_000)).await;
    assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"));
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn a_declared_size_over_the_limit_is_refused_before_it_is_read() {
    let rig = Rig::with("[limits]\nmax_body = \"1MiB\"", Answer::Ok("ok")).await;
    let body = vec![b'1'; 1024 * 1024 + 1];
    let reply = rig.post(&[JSON], &body).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_broken_off() {
    let rig = Rig::with("[limits]\nmax_body = \"1MiB\"", Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    let head = head("POST", "/", &[JSON, ("transfer-encoding", "chunked")]);
    client.send(&head).await;
    let piece = chunk(&vec![b'1'; 64 * 1024]);
    for _ in 0..17 {
        client.try_send(&piece).await;
    }
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"));
    let seen = rig.sink.wait("a break", |s| s.len() == 1 && s[0].broken).await;
    assert!(seen[0].body.len() <= 1024 * 1024 && !seen[0].complete);
}

/// A client that sends its whole body before it reads must see the status, not
/// a reset: it would retry.
#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_sees_the_refusal() {
    let rig = Rig::start().await;
    let body = vec![b'x'; 20 * 1024 * 1024];
    let bytes = request("POST", "/", &[JSON, ("content-encoding", "compress")], &body);
    let mut client = rig.client().await;
    client.send(&bytes).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 415);
    assert_eq!(reply.header("connection"), Some("close"));
    let rest = client.rest().await;
    assert!(rest.bytes.is_empty() && !rest.broken, "{rest:?}");
}

/// As above, once a part of the body has gone upstream.
#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_sees_the_refusal_of_a_streaming_body() {
    let route = "[[route]]\n[route.policy]\nEMAIL_ADDRESS = \"block\"";
    let filler = "\"abc\",\n".repeat(100_000);
    let body = format!("[{filler}\"canary@example.com\",{}1]", filler.repeat(25));
    let refused_by_us = (Rig::with(route, Answer::Ok("ok")).await, 422);
    let stuck = "[timeouts]\nresponse_head = \"300ms\"";
    let refused_by_the_upstream = (Rig::with(stuck, Answer::EarlyAndStuck(413, "enough")).await, 413);
    for (rig, status) in [refused_by_us, refused_by_the_upstream] {
        for framing in ["content-length", "transfer-encoding"] {
            let mut bytes = request("POST", "/", &[JSON], body.as_bytes());
            if framing == "transfer-encoding" {
                bytes = head("POST", "/", &[JSON, ("transfer-encoding", "chunked")]);
                bytes.extend(chunk(body.as_bytes()));
                bytes.extend(chunk(b""));
            }
            let mut client = rig.client().await;
            client.send(&bytes).await;
            let reply = client.reply().await;
            assert_eq!(reply.status, status, "{framing}");
            assert_eq!(reply.header("connection"), Some("close"));
            let rest = client.rest().await;
            assert!(rest.bytes.is_empty() && !rest.broken, "{rest:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_not_asked_for_a_refused_body() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let headers = [JSON, ("expect", "100-continue"), ("content-encoding", "compress"), ("content-length", "1000000")];
    client.send(&head("POST", "/", &headers)).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 415);
    assert_eq!(reply.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_path_without_a_route_is_not_found() {
    let rig = Rig::with("[[route]]\npath = \"/api\"", Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    let reply = client.exchange(&request("GET", "/other", &[], b"")).await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "no_route"));
    let reply = client.exchange(&request("GET", "/api/x", &[], b"")).await;
    assert_eq!(reply.status, 200);
    let line = "refused_requests_total{reason=\"no_route\",route=\"none\"}";
    rig.proxy.wait_for_metric(line, 1).await;
}

#[tokio::test]
async fn a_clean_signed_body_passes() {
    let rig = Rig::start().await;
    let authorization = ("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/x");
    let hash = ("x-amz-content-sha256", "44136fa355b3678a1146ad16f7e8649e");
    let reply = rig.post(&[JSON, authorization, hash], b"{}").await;
    assert_eq!(reply.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.header("authorization"), Some(authorization.1));
    assert_eq!(seen.header("x-amz-content-sha256"), Some(hash.1));
}

#[tokio::test]
async fn a_clean_body_with_a_webhooks_signature_keeps_all_that_tells_of_it() {
    for signature in ["x-hub-signature-256", "stripe-signature", "signature-input", "x-amz-checksum-crc32"] {
        for body in [b"{}".to_vec(), vec![b'1'; 300_000]] {
            let rig = Rig::start().await;
            let headers = [JSON, (signature, "sha256=ab"), ("content-digest", "sha-256=:ab:")];
            assert_eq!(rig.post(&headers, &body).await.status, 200);
            let seen = rig.sink.only().await;
            assert!(seen.body == body);
            assert_eq!(seen.header(signature), Some("sha256=ab"));
            assert_eq!(seen.header("content-digest"), Some("sha-256=:ab:"));
        }
    }
}
