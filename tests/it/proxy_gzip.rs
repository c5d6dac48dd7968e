//! Compressed bodies.

use crate::codings::{gunzip, gzip};
use crate::proxy_client::{chunk, head, request};
use crate::proxy_rig::{JSON, Rig};
use crate::proxy_sink::Answer;

pub(crate) const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// JSON that stays above the buffer limit when it is compressed.
pub(crate) fn large_json() -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 20
    };
    let items: Vec<String> = (0..80_000).map(|_| format!("{:x}", next())).collect();
    format!("[\"{}\"]", items.join("\",\"")).into_bytes()
}

#[tokio::test]
async fn a_small_clean_body_arrives_as_it_came() {
    let rig = Rig::start().await;
    let body = gzip(b"{\"a\": \"hello hello hello\"}");
    assert_eq!(rig.post(&[JSON, GZIP], &body).await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.body, body);
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    let length = body.len().to_string();
    assert_eq!(seen.header("content-length"), Some(length.as_str()));
    let line = "received_bytes_total{layer=\"decoded\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 26).await;
}

#[tokio::test]
async fn a_file_name_in_the_gzip_header_stays_behind() {
    let text = b"{\"a\": \"hello hello hello\"}";
    let mut named = gzip(text);
    named[3] |= 0b1000;
    named.splice(10..10, *b"jane.doe@example.com\0");
    let rig = Rig::start().await;
    assert_eq!(rig.post(&[JSON, GZIP], &named).await.status, 200);
    let seen = rig.sink.only().await;
    assert!(!seen.body.windows(8).any(|window| window == b"jane.doe"));
    assert_eq!(gunzip(&seen.body), text);
}

#[tokio::test]
async fn a_body_of_several_members_arrives_as_it_came() {
    let rig = Rig::start().await;
    let body = [gzip(b"{\"a\":"), gzip(b""), gzip(b" 1}")].concat();
    assert_eq!(rig.post(&[JSON, GZIP], &body).await.status, 200);
    assert_eq!(rig.sink.only().await.body, body);
}

#[tokio::test]
async fn a_large_body_streams_and_means_the_same() {
    let rig = Rig::start().await;
    let json = large_json();
    let body = gzip(&json);
    assert!(body.len() > 256 * 1024);
    assert_eq!(rig.post(&[JSON, GZIP], &body).await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    assert!(gunzip(&seen.body) == json);
}

#[tokio::test]
async fn a_gzip_header_in_a_chunk_of_its_own_is_no_trouble() {
    let rig = Rig::start().await;
    let body = gzip(b"{\"a\": 1}");
    let mut bytes = head("POST", "/", &[JSON, GZIP, ("transfer-encoding", "chunked")]);
    bytes.extend(chunk(&body[..10]));
    bytes.extend(chunk(&body[10..]));
    bytes.extend(chunk(b""));
    assert_eq!(rig.client().await.exchange(&bytes).await.status, 200);
    assert_eq!(rig.sink.only().await.body, body);
}

#[tokio::test]
async fn a_small_broken_body_is_refused_and_never_reaches_the_upstream() {
    let rig = Rig::start().await;
    let good = gzip(b"{\"a\": \"hello\"}");
    let mut wrong_checksum = good.clone();
    let end = wrong_checksum.len();
    wrong_checksum[end - 5] ^= 1;
    let broken = [
        good[..good.len() - 1].to_vec(),
        good[..12].to_vec(),
        [good.clone(), b"garbage".to_vec()].concat(),
        wrong_checksum,
        b"{\"a\": \"not compressed\"}".to_vec(),
    ];
    let mut client = rig.client().await;
    for body in broken {
        // The body was read whole, so the connection stays usable.
        let reply = client.exchange(&request("POST", "/", &[JSON, GZIP], &body)).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_content_encoding"));
    }
    assert!(rig.sink.seen().is_empty());
    let line = "refused_requests_total{reason=\"corrupt_content_encoding\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 5).await;
}

#[tokio::test]
async fn a_large_body_that_breaks_is_broken_off_at_the_upstream() {
    let rig = Rig::start().await;
    let mut body = gzip(&large_json());
    let end = body.len();
    body[end - 5] ^= 1;
    let reply = rig.post(&[JSON, GZIP], &body).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_content_encoding"));
    let seen = rig.sink.wait("a break", |s| s.len() == 1 && s[0].broken).await;
    assert!(!seen[0].complete);
}

#[tokio::test]
async fn a_bomb_is_refused() {
    let rig = Rig::start().await;
    let body = gzip(&vec![b' '; 32 * 1024 * 1024]);
    assert!(body.len() < 256 * 1024);
    let reply = rig.post(&[JSON, GZIP], &body).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "decoded_body_too_large"));
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn the_decoded_size_is_limited() {
    let rig = Rig::with("[limits]\nmax_decoded = \"20B\"", Answer::Ok("ok")).await;
    assert_eq!(rig.post(&[JSON, GZIP], &gzip(b"[1,2,3,4,5]")).await.status, 200);
    let reply = rig.post(&[JSON, GZIP], &gzip(b"[1,2,3,4,5,6,7,8,9,10]")).await;
    assert_eq!(reply.status, 413);
    assert_eq!(rig.sink.seen().len(), 1);
}

#[tokio::test]
async fn the_charset_is_judged_after_decoding() {
    let rig = Rig::start().await;
    let wide: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let reply = rig.post(&[JSON, GZIP], &gzip(&wide)).await;
    assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_charset"));
    assert!(rig.sink.seen().is_empty());
}
