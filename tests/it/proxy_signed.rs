//! Requests that somebody has signed, hashed or cut into pieces: clean ones arrive
//! as they came, others are made true or refused.

use crate::codings::CODECS;
use crate::proxy_client::{chunk, head, request};
use crate::proxy_gzip::{GZIP, large_json};
use crate::proxy_rig::{JSON, Rig};
use crate::proxy_sink::{Answer, Seen};
use sha2::{Digest, Sha256};

const EMAIL: &str = "jane.doe@example.com";
const CLEAN: &[u8] = b"{\"to\": \"nobody\"}";
const SIGNED: (&str, &str) = ("x-acme-signature", "ab12");

fn small() -> Vec<u8> {
    format!("{{\"to\": \"{EMAIL}\"}}").into_bytes()
}

/// JSON that streams even when it is compressed, with or without a finding at its
/// end.
fn large(last: &str) -> Vec<u8> {
    let mut json = large_json();
    json.pop();
    json.extend(format!(",\"{last}\"]").bytes());
    json
}

/// What is told of a body with a finding that must not change; nothing of the
/// finding leaves.
async fn assert_refused(rig: &Rig, target: &str, headers: &[(&str, &str)], code: &str) {
    for (body, begins) in [(small(), 0), (large(EMAIL), 1)] {
        let before = rig.sink.seen().len();
        let headers = [&[JSON], headers].concat();
        let reply = rig.client().await.exchange(&request("POST", target, &headers, &body)).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{target} {headers:?}");
        let is_over = |seen: &[Seen]| seen.len() == before + begins && seen[before..].iter().all(|seen| seen.broken);
        let seen = rig.sink.wait("a break", is_over).await;
        assert!(seen[before..].iter().all(|seen| !seen.complete && !holds(&seen.body, EMAIL.as_bytes())));
    }
}

/// A clean body arrives with all that was told of it.
async fn assert_untouched(rig: &Rig, target: &str, headers: &[(&str, &str)]) {
    for body in [CLEAN.to_vec(), large("x")] {
        let before = rig.sink.seen().len();
        let headers = [&[JSON], headers].concat();
        let reply = rig.client().await.exchange(&request("POST", target, &headers, &body)).await;
        assert_eq!(reply.status, 200, "{target} {headers:?} {}", reply.text());
        let seen = rig.sink.wait("one more", |seen| seen.len() == before + 1 && seen[before].complete).await;
        let seen = &seen[before];
        assert_eq!(seen.target, target);
        assert!(seen.body == body);
        let length = body.len().to_string();
        assert_eq!(seen.header("content-length"), Some(length.as_str()), "{headers:?}");
        assert!(headers.iter().all(|(name, value)| seen.header(name) == Some(value)), "{headers:?}");
    }
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}

#[tokio::test]
async fn a_piece_of_an_upload_is_clean_or_refused() {
    let rig = Rig::start().await;
    for header in [
        ("content-range", "bytes 0-53/54"),
        ("upload-offset", "0"),
        ("upload-length", "54"),
        ("x-goog-upload-offset", "0"),
    ] {
        assert_untouched(&rig, "/upload", &[header]).await;
        assert_refused(&rig, "/upload", &[header], "partial_upload").await;
    }
    rig.proxy.wait_for_metric("refused_requests_total{reason=\"partial_upload\",route=\"default\"}", 8).await;
}

#[tokio::test]
async fn what_begins_an_upload_is_redacted() {
    let rig = Rig::start().await;
    let headers = [JSON, ("x-upload-content-length", "1000"), ("x-goog-upload-header-content-length", "1000")];
    let headers = [&headers[..], &[("x-goog-upload-command", "start")]].concat();
    assert_eq!(rig.post(&headers, &small()).await.status, 200);
    let seen = rig.sink.only().await;
    assert!(!holds(&seen.body, EMAIL.as_bytes()));
    assert_eq!(seen.header("x-upload-content-length"), Some("1000"));
}

/// Each as its vendor's documentation shows it; all keys are made up.
const URLS: [&str; 6] = [
    "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAZ3KQ7VT6XR2MB5NW%2F20261126%2Feu-west-1%2Fs3%2Faws4_request\
     &X-Amz-Date=20261126T120000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
     &X-Amz-Signature=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "/b/k?AWSAccessKeyId=AKIAZ3KQ7VT6XR2MB5NW&Expires=1795000000&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D",
    "/b/k?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=up%40acme-prod.iam.gserviceaccount.com%2F20261126%2Fauto\
     %2Fstorage%2Fgoog4_request&X-Goog-Date=20261126T120000Z&X-Goog-Expires=900&X-Goog-SignedHeaders=host\
     &X-Goog-Signature=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "/b/k?GoogleAccessId=up@acme-prod.iam.gserviceaccount.com&Expires=1795000000&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D",
    "/c/blob?sv=2024-11-04&se=2026-11-26T20%3A00%3A00Z&sr=b&sp=rw&sig=Z%2FRHIX5Xcg0Mq2rqI3OlWTjEg2tYkboXr1P9ZUXDtkk%3D",
    "/f.bin?Policy=eyJTdGF0ZW1lbnQiOlt7IlJlc291cmNlIjoiKiJ9XX0_&Signature=nitfHRCrtziwO2HwPfWw~yYDhUF5EwRunQA-j19DzZr\
     &Key-Pair-Id=K2JCJMDEHXQW5F",
];

#[tokio::test]
async fn a_signed_url_is_not_touched_and_binds_its_body() {
    let rig = Rig::start().await;
    for url in URLS {
        assert_untouched(&rig, url, &[]).await;
        assert_refused(&rig, url, &[], "signed_body").await;
        let with_finding = format!("{url}&to={EMAIL}");
        let reply = rig.client().await.exchange(&request("PUT", &with_finding, &[JSON], CLEAN)).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "signed_body"), "{url}");
    }
    assert!(rig.sink.seen().iter().all(|seen| !seen.target.contains(EMAIL)));
}

#[tokio::test]
async fn what_only_has_the_name_of_a_signatures_parameter_does_not_leave() {
    let rig = Rig::start().await;
    for target in [
        format!("/?GoogleAccessId={EMAIL}&Signature=ab"),
        format!("/?X-Amz-Credential={EMAIL}&X-Amz-Signature=ab"),
        format!("/?X-Amz-Signature={EMAIL}"),
        "/?AWSAccessKeyId=AKIAZ3KQ7VT6XR2MB5NW&sign=ab".to_owned(),
    ] {
        rig.client().await.exchange(&request("GET", &target, &[], b"")).await;
    }
    assert!(rig.sink.seen().iter().all(|seen| !seen.target.contains(EMAIL) && !seen.target.contains("AKIA")));
    rig.proxy.wait_for_metric("refused_requests_total{reason=\"signed_body\",route=\"default\"}", 3).await;
}

#[tokio::test]
async fn a_body_that_a_header_signs_is_clean_or_refused() {
    let rig = Rig::start().await;
    for header in [
        ("authorization", "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg="),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AK/20261126/eu/s3/aws4_request, SignedHeaders=host, Signature=ab",
        ),
        ("authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=ab12"),
        ("webhook-signature", "v1,ab12"),
        ("svix-signature", "v1,ab12"),
        ("x-shopify-hmac-sha256", "ab12"),
        ("x-twilio-signature", "ab12"),
        ("signature-input", "sig1=(\"content-digest\")"),
        SIGNED,
    ] {
        assert_untouched(&rig, "/", &[header]).await;
        assert_refused(&rig, "/", &[header], "signed_body").await;
    }
}

#[tokio::test]
async fn a_digest_that_cannot_be_made_anew_binds_the_body() {
    let rig = Rig::start().await;
    for header in [
        ("upload-checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
        ("x-ms-blob-content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-ms-content-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        ("x-goog-hash", "crc32c=AAAAAA=="),
    ] {
        assert_untouched(&rig, "/", &[header]).await;
        assert_refused(&rig, "/", &[header], "signed_body").await;
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn digests_of_a_small_body_are_made_anew() {
    let rig = Rig::start().await;
    let was = sha256(&small());
    // Of the body as it is, and of none.
    let (md5, other) = ("XrY7u+Ae7tCTyyK7j1rNww==", "1B2M2Y8AsgTpgAmY7PhCfg==");
    let headers = [JSON, ("x-amz-content-sha256", &was), ("x-checksum-sha256", &was), ("content-md5", other)];
    assert_eq!(rig.post(&headers, &small()).await.status, 200);
    let seen = rig.sink.seen().pop().unwrap();
    assert_eq!(seen.body, b"{\"to\": \"[EMAIL_ADDRESS]\"}");
    let now = sha256(&seen.body);
    assert_ne!(now, was);
    for name in ["x-amz-content-sha256", "x-checksum-sha256"] {
        assert_eq!(seen.header(name), Some(now.as_str()), "{name}");
    }
    assert_eq!(seen.header("content-md5"), None);
    // Of what is compressed it is the wire's.
    let wire = crate::codings::gzip(&small());
    let headers = [JSON, GZIP, ("x-checksum-sha256", &sha256(&wire))];
    assert_eq!(rig.post(&headers, &wire).await.status, 200);
    let seen = rig.sink.seen().pop().unwrap();
    assert_eq!(seen.header("x-checksum-sha256"), Some(sha256(&seen.body).as_str()));
    // A clean body keeps even what is wrong.
    assert_eq!(rig.post(&[JSON, ("content-md5", md5)], CLEAN).await.status, 200);
    assert_eq!(rig.sink.seen().pop().unwrap().header("content-md5"), Some(md5));
}

#[tokio::test]
async fn a_large_signed_body_in_any_coding_arrives_byte_for_byte() {
    let rig = Rig::start().await;
    for codec in CODECS {
        let wire = (codec.encode)(&large("x"));
        assert!(wire.len() > 400_000, "{}", codec.name);
        assert_eq!(rig.post(&[JSON, codec.header(), SIGNED], &wire).await.status, 200, "{}", codec.name);
        let seen = rig.sink.seen().pop().unwrap();
        assert!(seen.body == wire, "{}", codec.name);
        assert_eq!(seen.header("content-length"), Some(wire.len().to_string().as_str()));
        // Cut otherwise, and of a length that nobody knows.
        let mut bytes = head("POST", "/", &[JSON, codec.header(), SIGNED, ("transfer-encoding", "chunked")]);
        wire.chunks(997).for_each(|piece| bytes.extend(chunk(piece)));
        bytes.extend(chunk(b""));
        assert_eq!(rig.client().await.exchange(&bytes).await.status, 200, "{}", codec.name);
        assert!(rig.sink.seen().pop().unwrap().body == wire, "{}", codec.name);
    }
}

/// What the upstream got of the last of so many requests, which was refused.
async fn broken_off(rig: &Rig, requests: usize) -> Seen {
    let seen = rig.sink.wait("a break", |seen| seen.len() == requests && seen[requests - 1].broken).await;
    assert!(!seen[requests - 1].complete);
    seen[requests - 1].clone()
}

#[tokio::test]
async fn a_large_signed_body_with_a_finding_is_broken_off_before_it() {
    let rig = Rig::start().await;
    for (nth, codec) in CODECS.iter().enumerate() {
        let json = large(EMAIL);
        let wire = (codec.encode)(&json);
        let reply = rig.post(&[JSON, codec.header(), SIGNED], &wire).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "signed_body"), "{}", codec.name);
        let seen = broken_off(&rig, nth + 1).await;
        assert!(
            !seen.body.is_empty() && seen.body.len() < wire.len() && wire.starts_with(&seen.body),
            "{}",
            codec.name
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_large_signed_body_keeps_it_from_ending_well() {
    let rig = Rig::start().await;
    let wire = crate::codings::gzip(&large("x"));
    let reply = rig.post(&[JSON, GZIP, SIGNED], &wire[..wire.len() - 1]).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_content_encoding"));
    broken_off(&rig, 1).await;
    // The last byte of a body of known length waits for the verdict on all of it.
    let form = ("content-type", "multipart/form-data; boundary=b");
    let part = format!("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n{}\r\n", "hello ".repeat(100_000));
    let reply = rig.post(&[form, SIGNED], part.as_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_framing"));
    broken_off(&rig, 2).await;
    // A name in the head of gzip is seen by nobody.
    let mut named = wire;
    named[3] |= 0b1000;
    named.splice(10..10, *b"jane.doe@example.com\0");
    let reply = rig.post(&[JSON, GZIP, SIGNED], &named).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "signed_body"));
    assert!(rig.sink.seen()[2..].iter().all(|seen| seen.body.is_empty()));
}

#[tokio::test]
async fn chunks_with_signatures_of_their_own_are_refused() {
    let rig = Rig::start().await;
    for header in [
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    ] {
        let reply = rig.post(&[header], b"2;chunk-signature=ab\r\n{}\r\n0;chunk-signature=ab\r\n\r\n").await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_content_encoding"), "{header:?}");
    }
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn headers_that_a_pack_says_carry_data_are_redacted() {
    let rig = Rig::with("[[route]]\nprotocol = 'helicone'\n", Answer::Ok("ok")).await;
    let headers = [
        JSON,
        ("helicone-user-id", EMAIL),
        ("Helicone-Property-Owner", EMAIL),
        ("helicone-auth", "Bearer sk-helicone-abcdefg-hijklmn"),
        ("referer", "https://a.test/?jane.doe@example.com"),
    ];
    assert_eq!(rig.post(&headers, b"{}").await.status, 200);
    let seen = rig.sink.only().await;
    for name in ["helicone-user-id", "helicone-property-owner"] {
        assert_eq!(seen.header(name), Some("[EMAIL_ADDRESS]"), "{name}");
    }
    assert_eq!(seen.header("helicone-auth"), Some(headers[3].1));
    assert!(!seen.header("referer").unwrap().contains("jane"));
    let rig = Rig::with("[[route]]\nheaders = ['X-Own-*']\n", Answer::Ok("ok")).await;
    assert_eq!(rig.post(&[JSON, ("x-own-user", EMAIL), ("x-other", EMAIL)], b"{}").await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!((seen.header("x-own-user"), seen.header("x-other")), (Some("[EMAIL_ADDRESS]"), Some(EMAIL)));
}

#[tokio::test]
async fn a_pack_passes_sound_and_pictures_that_are_what_they_say() {
    let form = ("content-type", "multipart/form-data; boundary=b");
    let body = |content: &[u8]| {
        let begin = "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nMail jane.doe@example.com\r\n--b\r\n\
                     Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n";
        [begin.as_bytes(), content, b"\r\n--b--\r\n"].concat()
    };
    let redacted = |body: &[u8]| String::from_utf8_lossy(body).replace(EMAIL, "[EMAIL_ADDRESS]");
    let picture = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &[0xff; 300_000]].concat();
    let text = b"no picture: jane.doe@example.com".as_slice();
    for (protocol, content, status) in [
        ("openai", &picture[..], 200),
        ("openai", text, 200),
        ("openai", b"\x89PNG, not", 415),
        ("auto", &picture, 415),
    ] {
        let rig = Rig::with(&format!("[[route]]\nprotocol = '{protocol}'\n"), Answer::Ok("ok")).await;
        assert_eq!(rig.post(&[form], &body(content)).await.status, status, "{protocol}");
        if status == 200 {
            assert!(String::from_utf8_lossy(&rig.sink.only().await.body) == redacted(&body(content)));
        }
    }
}
