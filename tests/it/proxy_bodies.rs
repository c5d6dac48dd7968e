//! Bodies come through whole, with the framing they should have.

use crate::proxy_client::{Client, chunk, head, request};
use crate::proxy_rig::{JSON, Proxy, Rig};
use crate::proxy_sink::{Answer, scripted};

type Headers = &'static [(&'static str, &'static str)];

/// Above the default buffer limit of 256 KiB.
fn large_json() -> Vec<u8> {
    let items: Vec<String> = (0..20_000).map(|n| format!("{{\"n\": {n}}}")).collect();
    let body = format!("[{}]", items.join(",\n"));
    assert!(body.len() > 256 * 1024);
    body.into_bytes()
}

#[tokio::test]
async fn a_small_body_arrives_with_its_exact_length() {
    let rig = Rig::start().await;
    let reply = rig.post(&[JSON], b"{\"a\": 1}").await;
    assert_eq!((reply.status, reply.text()), (200, "ok"));
    let seen = rig.sink.only().await;
    assert_eq!(seen.body, b"{\"a\": 1}");
    assert_eq!(seen.header("content-length"), Some("8"));
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_small_chunked_body_is_given_its_length() {
    let rig = Rig::start().await;
    let mut bytes = head("POST", "/", &[JSON, ("transfer-encoding", "chunked")]);
    for piece in [&b"{\"a\""[..], b": ", b"1}", b""] {
        bytes.extend(chunk(piece));
    }
    assert_eq!(rig.client().await.exchange(&bytes).await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.body, b"{\"a\": 1}");
    assert_eq!(seen.header("content-length"), Some("8"));
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_request_that_arrives_byte_by_byte_is_the_same_request() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    for byte in request("POST", "/", &[JSON], b"{\"a\": \"bc\"}") {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(rig.sink.only().await.body, b"{\"a\": \"bc\"}");
}

#[tokio::test]
async fn a_large_body_streams_in_chunks() {
    let rig = Rig::start().await;
    let body = large_json();
    assert_eq!(rig.post(&[JSON], &body).await.status, 200);
    let seen = rig.sink.only().await;
    assert!(seen.body == body, "the body is the same");
    assert_eq!(seen.header("content-length"), None);
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn a_large_chunked_body_streams_once_it_is_over_the_limit() {
    let rig = Rig::start().await;
    let body = large_json();
    for size in [1000, 64 * 1024, body.len()] {
        let mut bytes = head("POST", "/", &[JSON, ("transfer-encoding", "chunked")]);
        body.chunks(size).for_each(|data| bytes.extend(chunk(data)));
        bytes.extend(chunk(b""));
        assert_eq!(rig.client().await.exchange(&bytes).await.status, 200);
        let seen = rig.sink.seen().pop().unwrap();
        assert!(seen.complete && seen.body == body, "chunks of {size}");
        assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    }
}

#[tokio::test]
async fn the_buffer_limit_itself_is_still_buffered() {
    let rig = Rig::with("[limits]\nbuffer_limit = \"10B\"", Answer::Ok("ok")).await;
    rig.post(&[JSON], b"1234567890").await;
    rig.post(&[JSON], b"12345678901").await;
    let seen = rig.sink.wait("two", |seen| seen.len() == 2).await;
    assert_eq!(seen[0].header("content-length"), Some("10"));
    assert_eq!(seen[1].header("content-length"), None);
    assert_eq!(seen[1].body, b"12345678901");
}

#[tokio::test]
async fn the_upstream_has_the_first_bytes_before_the_last_are_sent() {
    let rig = Rig::start().await;
    let body = large_json();
    let (first, last) = body.split_at(body.len() - 100_000);
    let length = body.len().to_string();
    let mut client = rig.client().await;
    let head = head("POST", "/", &[JSON, ("content-length", &length)]);
    client.send(&head).await;
    client.send(first).await;
    let most = first.len() - 64 * 1024;
    rig.sink.wait("the first bytes", |s| s.len() == 1 && s[0].body.len() > most).await;
    client.send(last).await;
    assert_eq!(client.reply().await.status, 200);
    assert!(rig.sink.only().await.body == body);
}

#[tokio::test]
async fn requests_without_a_body_have_none_at_the_upstream() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let get = request("GET", "/x?a=1", &[("content-encoding", "br")], b"");
    assert_eq!(client.exchange(&get).await.status, 200);
    let post = head("POST", "/", &[("content-length", "0"), JSON]);
    assert_eq!(client.exchange(&post).await.status, 200);
    let seen = rig.sink.wait("two", |s| s.len() == 2 && s[1].complete).await;
    assert_eq!(seen[0].target, "/x?a=1");
    assert_eq!(seen[0].header("content-length"), None);
    assert_eq!(seen[0].header("transfer-encoding"), None);
    assert_eq!(seen[1].header("content-length"), Some("0"));
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let small = request("POST", "/", &[JSON], b"{}");
    let large = request("POST", "/", &[JSON], &large_json());
    for bytes in [&small, &large, &small, &large] {
        assert_eq!(client.exchange(bytes).await.status, 200);
    }
    assert_eq!(rig.sink.seen().len(), 4);
    assert_eq!(rig.sink.connections(), 1);
}

#[tokio::test]
async fn text_and_ndjson_and_sniffed_json_pass() {
    let rig = Rig::start().await;
    let cases: [(Headers, &[u8], &str); 5] = [
        (&[("content-type", "text/plain")], b"hello", "text"),
        (&[("content-type", "text/plain")], b" {\"a\":1}", "json"),
        (&[("content-type", "application/x-ndjson")], b"{}\n{}\n", "ndjson"),
        (&[], b"[1]", "json"),
        (&[("content-type", "application/x-new")], b"hello", "text"),
    ];
    let mut scanned = std::collections::BTreeMap::new();
    for (headers, body, format) in cases {
        assert_eq!(rig.post(headers, body).await.status, 200);
        assert_eq!(rig.sink.seen().pop().unwrap().body, body);
        *scanned.entry(format).or_insert(0) += body.len() as u64;
        let line = format!("scanned_bytes_total{{format=\"{format}\",route=\"default\"}}");
        rig.proxy.wait_for_metric(&line, scanned[format]).await;
    }
}

#[tokio::test]
async fn listed_media_types_pass_unscanned_and_are_counted() {
    let route = "[[route]]\npass = [\"image/png\"]";
    let rig = Rig::with(route, Answer::Ok("ok")).await;
    let body = b"\x89PNG\r\n\0\0".repeat(60_000);
    let headers = [("content-type", "image/png"), ("content-encoding", "br")];
    assert_eq!(rig.post(&headers, &body).await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.header("content-encoding"), Some("br"));
    assert!(seen.body == body);
    assert_eq!(seen.header("content-length"), Some("480000"));
    let line = "passthrough_requests_total{reason=\"media_type\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 1).await;
}

#[tokio::test]
async fn responses_stream_back_as_they_are() {
    let rig = Rig::with("", Answer::Halves("first", "second")).await;
    let mut client = rig.client().await;
    client.send(&request("POST", "/", &[JSON], b"{}")).await;
    let (status, headers) = client.read_head().await;
    assert_eq!(status, 200);
    assert!(headers.contains(&("transfer-encoding".to_owned(), "chunked".to_owned())));
    assert_eq!(client.read_chunk().await, b"first");
    rig.sink.open_gate();
    assert_eq!(client.read_chunk().await, b"second");
    assert_eq!(client.read_chunk().await, b"");
}

#[tokio::test]
async fn responses_without_a_body_keep_the_connection_in_step() {
    for (status, method) in [(204, "POST"), (304, "GET"), (200, "HEAD")] {
        let headers = vec![("etag", "\"x\""), ("x-up", "1")];
        let text = if status == 200 { "unseen" } else { "" };
        let rig = Rig::with("", Answer::Reply(status, headers, text)).await;
        let mut client = rig.client().await;
        for _ in 0..2 {
            client.send(&request(method, "/", &[], b"")).await;
            let reply = client.reply_to(method).await;
            assert_eq!(reply.status, status);
            assert_eq!(reply.header("etag"), Some("\"x\""));
            let length = reply.header("content-length");
            assert_eq!(length, (method == "HEAD").then_some("6"));
        }
        assert_eq!(rig.sink.connections(), 1, "{method}");
    }
}

#[tokio::test]
async fn a_response_with_trailers_is_complete() {
    let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n";
    let proxy = Proxy::start("", &format!("http://{}", scripted(response).await)).await;
    let reply = Client::connect(proxy.address).await.exchange(&request("GET", "/", &[], b"")).await;
    assert_eq!((reply.status, reply.text()), (200, "ok"));
    let labels = "code=\"200\",method=\"GET\",outcome=\"forwarded\",route=\"default\"";
    proxy.wait_for_metric(&format!("requests_total{{{labels}}}"), 1).await;
}

#[tokio::test]
async fn status_and_headers_come_back_untouched() {
    let headers = vec![
        ("x-ratelimit-remaining", "7"),
        ("retry-after", "9"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("connection", "keep-alive"),
    ];
    let rig = Rig::with("", Answer::Reply(429, headers, "slow down")).await;
    let reply = rig.post(&[JSON], b"{}").await;
    assert_eq!((reply.status, reply.text()), (429, "slow down"));
    assert_eq!(reply.header("x-ratelimit-remaining"), Some("7"));
    assert_eq!(reply.header("retry-after"), Some("9"));
    let cookies = reply.headers.iter().filter(|(n, _)| n == "set-cookie");
    assert_eq!(cookies.count(), 2);
    assert_eq!(reply.header("connection"), None);
}

#[tokio::test]
async fn a_refusal_before_the_end_of_the_body_reaches_the_client() {
    let rig = Rig::with("", Answer::Early(413, "enough")).await;
    let mut client = rig.client().await;
    let headers = [JSON, ("content-length", "1000000")];
    client.send(&head("POST", "/", &headers)).await;
    client.send(b"[1,2,3,4").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text()), (413, "enough"));
}

#[tokio::test]
async fn a_success_before_the_end_of_the_body_reaches_the_client_after_it() {
    for pass in ["", "[[route]]\npass = [\"application/json\"]"] {
        let rig = Rig::with(pass, Answer::Early(200, "already")).await;
        let mut client = rig.client().await;
        let body = vec![b'1'; 1_000_000];
        client.send(&head("POST", "/", &[JSON, ("content-length", "1000000")])).await;
        // The sink has answered before it reads. Each piece that reaches it
        // after that went past the answer at every stage of the proxy.
        let mut sent = 0;
        for size in [200_000, 100_000, 100_000, 100_000] {
            client.send(&body[sent..sent + size]).await;
            sent += size;
            let most = sent - 128 * 1024;
            rig.sink.wait("the first part", |seen| seen.len() == 1 && seen[0].body.len() > most).await;
        }
        assert!(client.has_nothing(), "an answer before the request is whole");
        client.send(&body[sent..]).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.text()), (200, "already"));
        assert!(rig.sink.only().await.body == body);
    }
}

#[tokio::test]
async fn what_is_said_to_be_json_and_begins_otherwise_is_redacted_as_text() {
    for (body, expected) in [
        ("[client]\npassword = \"Xy7pLm2qRt\"\n", "[client]\npassword = \"[PASSWORD]\"\n"),
        ("{ password: \"Xy7pLm2qRt\" }", "{ password: \"[PASSWORD]\" }"),
        ("{'password': \"Xy7pLm2qRt\"}", "{'password': \"[PASSWORD]\"}"),
        // Marks that readers of JSON skip.
        ("\x1e{\"password\": \"Xy7 pLm\"}\n", "\x1e{\"password\": \"[PASSWORD]\"}\n"),
        (")]}'\n{\"password\": \"Xy7 pLm\"}", ")]}'\n{\"password\": \"[PASSWORD]\"}"),
    ] {
        let rig = Rig::start().await;
        assert_eq!(rig.post(&[JSON], body.as_bytes()).await.status, 200);
        assert_eq!(String::from_utf8_lossy(&rig.sink.only().await.body), expected);
    }
}

#[tokio::test]
async fn a_client_may_wait_for_100_continue() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let headers = [JSON, ("expect", "100-continue"), ("content-length", "2")];
    client.send(&head("POST", "/", &headers)).await;
    assert_eq!(client.read_head().await.0, 100);
    client.send(b"{}").await;
    assert_eq!(client.reply().await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.header("expect"), None);
}
