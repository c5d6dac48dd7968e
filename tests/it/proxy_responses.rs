//! Responses on a route that redacts them, and on one that does not.

use crate::codings::CODECS;
use crate::proxy_client::{Client, Reply, request};
use crate::proxy_rig::{Proxy, Rig};
use crate::proxy_sink::{Answer, scripted};

const ROUTE: &str = "[[route]]\nresponses = true";
const BODY: &str = r#"{"id": "a1",  "to": "jane.doe@example.com", "password": "hunter2"}"#;
const REDACTED: &str = r#"{"id": "a1",  "to": "[EMAIL_ADDRESS]", "password": "[PASSWORD]"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

async fn get(rig: &Rig, headers: &[(&str, &str)]) -> Reply {
    rig.client().await.exchange(&request("GET", "/", headers, b"")).await
}

async fn redacting(answer: Answer) -> Rig {
    Rig::with(ROUTE, answer).await
}

#[tokio::test]
async fn a_response_is_redacted_where_the_route_says_so() {
    let answer = Answer::Reply(201, vec![JSON, ("etag", "\"v1\""), ("content-md5", "x"), ("x-id", "7")], BODY);
    let rig = redacting(answer.clone()).await;
    let reply = get(&rig, &[]).await;
    assert_eq!((reply.status, reply.text()), (201, REDACTED));
    assert_eq!(reply.header("content-length"), Some(REDACTED.len().to_string().as_str()));
    assert_eq!((reply.header("etag"), reply.header("content-md5")), (Some("W/\"v1\""), None));
    assert_eq!(reply.header("x-id"), Some("7"));
    rig.proxy.wait_for_metric("scanned_bytes_total{format=\"response\",route=\"default\"}", BODY.len() as u64).await;
    let found = "findings_total{action=\"replace\",entity=\"EMAIL_ADDRESS\",route=\"default\",rule=\"email.address\"}";
    rig.proxy.wait_for_metric(found, 1).await;

    let plain = Rig::with("", answer).await;
    let reply = get(&plain, &[]).await;
    assert_eq!((reply.text(), reply.header("etag")), (BODY, Some("\"v1\"")));
}

#[tokio::test]
async fn errors_are_redacted_as_answers_are() {
    let rig = redacting(Answer::Reply(400, vec![JSON], BODY)).await;
    let reply = rig.post(&[JSON], b"{}").await;
    assert_eq!((reply.status, reply.text()), (400, REDACTED));
}

#[tokio::test]
async fn every_coding_is_undone() {
    for codec in CODECS {
        let encoded = (codec.encode)(BODY.as_bytes());
        let rig = redacting(Answer::Bytes(vec![JSON, codec.header()], encoded)).await;
        let reply = get(&rig, &[("accept-encoding", "gzip;q=0.5, br, x-made-up")]).await;
        assert_eq!((reply.text(), reply.header("content-encoding")), (REDACTED, None), "{}", codec.name);
        assert_eq!(rig.sink.only().await.header("accept-encoding"), Some("gzip;q=0.5, br"));
    }
}

#[tokio::test]
async fn parts_of_a_response_are_not_asked_for() {
    let rig = redacting(Answer::Reply(206, vec![JSON], BODY)).await;
    let reply = get(&rig, &[("range", "bytes=5-"), ("if-range", "\"v1\""), ("accept-encoding", "x-made-up")]).await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "unsupported_response"));
    let seen = rig.sink.only().await;
    assert_eq!((seen.header("range"), seen.header("if-range")), (None, None));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn an_event_leaves_before_the_next_one_comes() {
    let (first, second) = (
        "data: {\"delta\":\"to jane.doe@example.com, \"}\n\ndata: {\"type\":\"done\"}\n\ndata: {\"delta\":\"or bob@exam\"}\n\n",
        "data: {\"delta\":\"ple.com\"}\n\ndata: [DONE]\n\n",
    );
    let rig = redacting(Answer::TypedHalves("text/event-stream", first, second)).await;
    let mut client = rig.client().await;
    client.send(&request("GET", "/", &[], b"")).await;
    let (status, headers) = client.read_head().await;
    assert_eq!(status, 200);
    assert!(headers.contains(&("content-type".to_owned(), "text/event-stream".to_owned())));
    let mut seen = String::new();
    let expected = "data: {\"delta\":\"to [EMAIL_ADDRESS], \"}\n\ndata: {\"type\":\"done\"}\n\n";
    expect(&mut client, &mut seen, expected).await;
    rig.sink.open_gate();
    let expected = "data: {\"delta\":\"or [EMAIL_ADDRESS]\"}\n\ndata: {\"delta\":\"\"}\n\ndata: [DONE]\n\n";
    expect(&mut client, &mut seen, expected).await;
    assert_eq!(client.read_chunk().await, b"");
}

#[tokio::test]
async fn a_line_of_ndjson_leaves_before_the_next_one_comes() {
    let rig =
        redacting(Answer::TypedHalves("application/x-ndjson", "{\"to\":\"bob@example.com\"}\n{\"to\":\"bo", "b\"}\n"))
            .await;
    let mut client = rig.client().await;
    client.send(&request("GET", "/", &[], b"")).await;
    assert_eq!(client.read_head().await.0, 200);
    let mut seen = String::new();
    expect(&mut client, &mut seen, "{\"to\":\"[EMAIL_ADDRESS]\"}\n").await;
    rig.sink.open_gate();
    expect(&mut client, &mut seen, "{\"to\":\"bob\"}\n").await;
}

#[tokio::test]
async fn a_text_that_comes_by_the_line_is_read_as_a_whole() {
    let chat = |piece: &str, done: bool| {
        format!("{{\"model\":\"m\",\"message\":{{\"content\":\"{piece}\"}},\"done\":{done}}}\n")
    };
    let chats = |pieces: [&str; 3]| pieces.map(|piece| chat(piece, false)).concat() + &chat("", true);
    let words =
        |pieces: [&str; 3]| pieces.map(|piece| format!("0:\"{piece}\"\n")).concat() + "d:{\"finishReason\":\"stop\"}\n";
    let (given, expected) = (["to jane.d", "oe@example", ".com, "], ["to [EMAIL_ADDRESS]", "", ", "]);
    for (kind, given, expected) in [
        ("application/x-ndjson", chats(given), chats(expected)),
        ("application/stream+json", chats(given), chats(expected)),
        ("text/plain; charset=utf-8", words(given), words(expected)),
    ] {
        let rig = redacting(Answer::Bytes(vec![("content-type", kind)], given.into_bytes())).await;
        assert_eq!(get(&rig, &[]).await.text(), expected, "{kind}");
    }
}

/// Reads chunks until `seen` has as many bytes as `expected`, which it must be.
async fn expect(client: &mut Client, seen: &mut String, expected: &str) {
    while seen.len() < expected.len() {
        seen.push_str(std::str::from_utf8(&client.read_chunk().await).unwrap());
    }
    assert_eq!(&seen[..expected.len()], expected);
    seen.drain(..expected.len());
}

#[tokio::test]
async fn what_cannot_be_redacted_is_refused() {
    for (headers, bytes, code) in [
        (vec![("content-type", "image/png")], &b"\x89PNG\r\n\x1a\n\xff\xff"[..], "unsupported_response"),
        (vec![("content-type", "application/octet-stream")], b"\xff\xfe\x01", "unsupported_response"),
        (vec![JSON, ("content-encoding", "x-made-up")], b"{}", "unsupported_response"),
        (vec![JSON, ("content-encoding", "gzip")], b"{}", "upstream_broke"),
        (vec![("content-type", "text/plain; charset=utf-16")], b"a", "unsupported_response"),
    ] {
        let rig = redacting(Answer::Bytes(headers, bytes.to_vec())).await;
        let reply = get(&rig, &[]).await;
        assert_eq!((reply.status, reply.code().as_str()), (502, code), "{bytes:?}");
        assert_eq!(reply.header("retry-after").is_some(), code == "upstream_broke");
    }
}

#[tokio::test]
async fn what_the_policy_blocks_does_not_arrive() {
    let policy = format!("{ROUTE}\n[route.policy]\nEMAIL_ADDRESS = \"block\"");
    let rig = Rig::with(&policy, Answer::Reply(200, vec![JSON], BODY)).await;
    let reply = get(&rig, &[]).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "blocked"));
    rig.proxy.wait_for_metric("refused_requests_total{reason=\"blocked\",route=\"default\"}", 1).await;
}

#[tokio::test]
async fn a_response_that_turns_out_broken_has_no_end() {
    let rig = redacting(Answer::TypedHalves("text/plain", "all is well, and so it is for a while. ", "\0")).await;
    let mut client = rig.client().await;
    client.send(&request("GET", "/", &[], b"")).await;
    assert_eq!(client.read_head().await.0, 200);
    rig.sink.open_gate();
    let rest = client.rest().await.bytes;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    rig.proxy.wait_for_metric("refused_requests_total{reason=\"unsupported_response\",route=\"default\"}", 1).await;
}

#[tokio::test]
async fn types_that_the_route_passes_pass_and_are_counted() {
    let png = b"\x89PNG\r\n\x1a\n\xff\xff".to_vec();
    let route = format!("{ROUTE}\npass = [\"image/png\"]");
    let rig = Rig::with(&route, Answer::Bytes(vec![("content-type", "image/png")], png.clone())).await;
    assert_eq!(get(&rig, &[]).await.body, png);
    rig.proxy.wait_for_metric("passthrough_requests_total{reason=\"response\",route=\"default\"}", 1).await;
}

#[tokio::test]
async fn responses_without_a_body_stay_so() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let body = if method == "HEAD" { BODY } else { "" };
        let rig = redacting(Answer::Reply(
            status,
            vec![("content-type", "image/png"), ("x-id", "7"), ("etag", "\"1\"")],
            body,
        ))
        .await;
        let mut client = rig.client().await;
        client.send(&request(method, "/", &[], b"")).await;
        let reply = client.reply_to(method).await;
        assert_eq!((reply.status, reply.header("x-id")), (status, Some("7")), "{method}");
        assert_eq!(reply.header("content-length").filter(|_| method == "HEAD"), None);
        assert_eq!(reply.header("etag"), Some(if status == 204 { "\"1\"" } else { "W/\"1\"" }));
    }
}

#[tokio::test]
async fn two_lengths_of_a_body_that_there_is_not_are_told_nobody() {
    let lengths = "content-length: 5\r\ntransfer-encoding: chunked\r\nx-id: 7\r\n\r\n";
    for (method, status, expected) in [("HEAD", 200, 200), ("GET", 204, 204), ("GET", 304, 304), ("GET", 200, 502)] {
        let answer: &'static str = Box::leak(format!("HTTP/1.1 {status} X\r\n{lengths}").into_boxed_str());
        let proxy = Proxy::start("", &format!("http://{}", scripted(answer).await)).await;
        let mut client = Client::connect(proxy.address).await;
        client.send(&request(method, "/", &[("connection", "close")], b"")).await;
        let reply = client.reply_to(method).await;
        assert_eq!(reply.status, expected, "{method} {status}");
        if expected != 502 {
            assert_eq!(reply.header("x-id"), Some("7"));
            assert_eq!((reply.header("content-length"), reply.header("transfer-encoding")), (None, None));
            assert_eq!(client.rest().await.bytes, b"");
        }
    }
}

#[tokio::test]
async fn a_signed_request_is_not_asked_otherwise() {
    let rig = redacting(Answer::Reply(200, vec![JSON], BODY)).await;
    let signed = ("authorization", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host;range, Signature=y");
    assert_eq!(get(&rig, &[signed, ("accept-encoding", "gzip, br")]).await.text(), REDACTED);
    let reply = get(&rig, &[signed, ("range", "bytes=0-5")]).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "signed_body"));
}

#[tokio::test]
async fn a_bomb_is_refused() {
    let zeros = vec![b'0'; 2 << 20];
    for codec in CODECS {
        let limit = format!("[limits]\nmax_decoded = \"1MiB\"\n{ROUTE}");
        let rig = Rig::with(&limit, Answer::Bytes(vec![JSON, codec.header()], (codec.encode)(&zeros))).await;
        let client = &mut rig.client().await;
        client.send(&request("GET", "/", &[], b"")).await;
        let rest = client.rest().await;
        assert!(rest.bytes.len() < 2 << 20, "{}", codec.name);
        rig.proxy.wait_for_metric("refused_requests_total{reason=\"response_too_large\",route=\"default\"}", 1).await;
    }
}
