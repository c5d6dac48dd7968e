//! Compressed bodies of every coding through a running proxy.

use crate::codings::{CODECS, Codec, bomb};
use crate::proxy_client::{chunk, head, request};
use crate::proxy_gzip::large_json;
use crate::proxy_rig::{JSON, Rig};
use crate::proxy_sink::Answer;

const EMAIL: &str = "jane.doe@example.com";

fn small() -> Vec<u8> {
    format!("{{\"to\": \"{EMAIL}\", \"n\": [1, 2.50], \"again\": \"\\n{EMAIL}\"}}").into_bytes()
}

/// Above the buffer limit when it is compressed, with findings at both ends.
fn large() -> Vec<u8> {
    format!("[\"{EMAIL}\",{},\"{EMAIL}\"]", String::from_utf8(large_json()).unwrap()).into_bytes()
}

fn redacted(text: &[u8]) -> Vec<u8> {
    String::from_utf8(text.to_vec()).unwrap().replace(EMAIL, "[EMAIL_ADDRESS]").into_bytes()
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The body in chunks of so many bytes.
fn chunked(headers: &[(&str, &str)], body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = head("POST", "/", &[headers, &[("transfer-encoding", "chunked")]].concat());
    body.chunks(size).for_each(|part| bytes.extend(chunk(part)));
    bytes.extend(chunk(b""));
    bytes
}

#[tokio::test]
async fn a_small_clean_body_arrives_as_it_came() {
    for codec in CODECS {
        let rig = Rig::start().await;
        let body = (codec.encode)(b"{\"a\": \"hello hello hello\"}");
        assert_eq!(rig.post(&[JSON, codec.header()], &body).await.status, 200);
        let seen = rig.sink.only().await;
        assert_eq!(seen.body, body, "{codec:?}");
        assert_eq!(seen.header("content-encoding"), Some(codec.name));
        assert_eq!(seen.header("content-length"), Some(body.len().to_string().as_str()));
    }
}

#[tokio::test]
async fn what_is_found_is_redacted_and_encoded_as_it_came() {
    for (text, is_small) in [(small(), true), (large(), false)] {
        for codec in CODECS {
            let rig = Rig::start().await;
            let body = (codec.encode)(&text);
            assert_eq!(body.len() < 256 * 1024, is_small);
            assert_eq!(rig.post(&[JSON, codec.header()], &body).await.status, 200);
            let seen = rig.sink.only().await;
            assert!((codec.decode)(&seen.body) == redacted(&text), "{codec:?}");
            assert_eq!(seen.header("content-encoding"), Some(codec.name));
            let length = seen.body.len().to_string();
            assert_eq!(seen.header("content-length"), is_small.then_some(length.as_str()));
        }
    }
}

#[tokio::test]
async fn a_body_in_chunks_of_any_size_means_the_same() {
    for (text, size) in [(small(), 1), (small(), 7), (large(), 1000), (large(), 100_000)] {
        for codec in CODECS {
            let rig = Rig::start().await;
            let bytes = chunked(&[JSON, codec.header()], &(codec.encode)(&text), size);
            assert_eq!(rig.client().await.exchange(&bytes).await.status, 200, "{codec:?}");
            assert!((codec.decode)(&rig.sink.only().await.body) == redacted(&text), "{codec:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_grows_beyond_what_is_kept_is_redacted_once_more_and_encoded() {
    let filler = "\"abc\",\n".repeat(300_000);
    let text = format!("[{filler}\"{EMAIL}\"]").into_bytes();
    for codec in CODECS {
        let rig = Rig::with("[limits]\nmax_ratio = 100000", Answer::Ok("ok")).await;
        assert_eq!(rig.post(&[JSON, codec.header()], &(codec.encode)(&text)).await.status, 200);
        let seen = rig.sink.only().await;
        assert!((codec.decode)(&seen.body) == redacted(&text), "{codec:?}");
        assert!(seen.header("content-length").is_some());
    }
}

#[tokio::test]
async fn every_level_writes_what_can_be_read() {
    for level in ["fast", "default", "best"] {
        let rig = Rig::with(&format!("[compression]\nlevel = \"{level}\""), Answer::Ok("ok")).await;
        for (nth, codec) in CODECS.iter().enumerate() {
            assert_eq!(rig.post(&[JSON, codec.header()], &(codec.encode)(&small())).await.status, 200);
            let seen = rig.sink.wait("one more", |seen| seen.len() == nth + 1 && seen[nth].complete).await;
            assert_eq!((codec.decode)(&seen[nth].body), redacted(&small()), "{codec:?} {level}");
        }
    }
}

/// Each broken in another way: cut, followed by something, or nothing of it.
fn broken(codec: &Codec, text: &[u8]) -> Vec<Vec<u8>> {
    let good = (codec.encode)(text);
    let mut bodies = vec![
        good[..good.len() - 1].to_vec(),
        good[..good.len() / 2].to_vec(),
        good[..1].to_vec(),
        [&good[..], b"garbage"].concat(),
        text.to_vec(),
    ];
    if matches!(codec.name, "gzip" | "deflate" | "zstd") {
        let mut wrong = good;
        *wrong.last_mut().unwrap() ^= 1;
        bodies.push(wrong);
    }
    bodies
}

#[tokio::test]
async fn a_small_broken_body_is_refused_and_never_reaches_the_upstream() {
    let rig = Rig::start().await;
    for codec in CODECS {
        let mut client = rig.client().await;
        for body in broken(&codec, &small()) {
            let reply = client.exchange(&request("POST", "/", &[JSON, codec.header()], &body)).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_content_encoding"), "{codec:?}");
        }
    }
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn a_large_broken_body_never_ends_cleanly() {
    let rig = Rig::start().await;
    for codec in CODECS {
        for body in broken(&codec, &large()).into_iter().filter(|body| body.len() > 256 * 1024) {
            let reply = rig.post(&[JSON, codec.header()], &body).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_content_encoding"), "{codec:?}");
        }
    }
    let seen = rig.sink.wait("all broken off", |seen| seen.iter().all(|seen| seen.broken)).await;
    assert!(seen.iter().all(|seen| !seen.complete && !holds(&seen.body, EMAIL)));
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_is_decoded() {
    for codec in CODECS {
        let rig = Rig::start().await;
        let body = bomb(&codec, b' ');
        assert!(body.len() < 600_000, "{codec:?}: {}", body.len());
        let reply = rig.post(&[JSON, codec.header()], &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (413, "decoded_body_too_large"), "{codec:?}");
        // Which are no text, as the first of them shows.
        let reply = rig.post(&[JSON, codec.header()], &bomb(&codec, 0)).await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_charset"), "{codec:?}");
        assert!(rig.sink.seen().is_empty());
    }
}

#[tokio::test]
async fn the_decoded_size_is_limited_whatever_the_ratio() {
    for codec in CODECS {
        let rig = Rig::with("[limits]\nmax_decoded = \"20B\"", Answer::Ok("ok")).await;
        let (fits, is_too_large) = (&b"[1,2,3,4,5]"[..], &b"[1,2,3,4,5,6,7,8,9,10]"[..]);
        assert_eq!(rig.post(&[JSON, codec.header()], &(codec.encode)(fits)).await.status, 200);
        assert_eq!(rig.post(&[JSON, codec.header()], &(codec.encode)(is_too_large)).await.status, 413, "{codec:?}");
        assert_eq!(rig.sink.seen().len(), 1);
    }
}

#[tokio::test]
async fn what_stands_beside_the_text_stays_behind() {
    let text = b"{\"a\": \"hello hello hello\"}";
    let skippable = [&0x184d_2a53u32.to_le_bytes()[..], &20u32.to_le_bytes(), EMAIL.as_bytes()].concat();
    // Bits from the lowest up: a window of 64 KiB (0); meta-block 0 11 0 01 of
    // as many bytes of metadata as the next eight bits say, less one; then
    // 0 00, sixteen bits of a length less one, 1 for what is not compressed.
    let metadata = [&[0b1010_1100, 0b0000_1001][..], EMAIL.as_bytes()].concat();
    let length = u8::try_from(text.len() - 1).unwrap();
    let stored = [&[length << 3, length >> 5, 0b1000], &text[..]].concat();
    let (zstd, br) = (&CODECS[3], &CODECS[4]);
    for (codec, body) in [
        (zstd, [&skippable[..], &(zstd.encode)(text)].concat()),
        (zstd, [&(zstd.encode)(text)[..], &skippable].concat()),
        (br, [&metadata[..], &stored, &[3]].concat()),
    ] {
        assert_eq!((codec.decode)(&body), text);
        let rig = Rig::start().await;
        assert_eq!(rig.post(&[JSON, codec.header()], &body).await.status, 200);
        let seen = rig.sink.only().await;
        assert!(!holds(&seen.body, EMAIL));
        assert_eq!((codec.decode)(&seen.body), text);
    }
}

#[tokio::test]
async fn a_zstd_window_above_8_mib_is_refused() {
    let rig = Rig::start().await;
    // An empty last block of a frame with a window of 16 MiB.
    let body = [0x28, 0xb5, 0x2f, 0xfd, 0, 14 << 3, 1, 0, 0];
    let reply = rig.post(&[JSON, ("content-encoding", "zstd")], &body).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "window_too_large"));
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn sizes_told_beside_the_body_are_true_or_gone() {
    let told = [("x-pre-compressed-size", "60"), ("x-post-compressed-size", "70")];
    let zstd = &CODECS[3];
    let headers = [&[JSON, zstd.header()], &told[..]].concat();
    for (text, is_small) in [(small(), true), (large(), false)] {
        let rig = Rig::start().await;
        assert_eq!(rig.post(&headers, &(zstd.encode)(&text)).await.status, 200);
        let seen = rig.sink.only().await;
        let length = seen.body.len().to_string();
        assert_eq!(seen.header("x-post-compressed-size"), is_small.then_some(length.as_str()));
        assert_eq!(seen.header("x-pre-compressed-size"), None);
    }
    let rig = Rig::start().await;
    assert_eq!(rig.post(&headers, &(zstd.encode)(b"{}")).await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.header("x-pre-compressed-size"), Some("60"));
    assert_eq!(seen.header("x-post-compressed-size"), Some("70"));
}

/// As the rest of the world calls it; by the crate, since nothing else here writes it.
fn packed(text: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(text).unwrap()
}

#[tokio::test]
async fn a_block_of_snappy_is_redacted_and_packed_again() {
    let rig = Rig::start().await;
    let headers = [JSON, ("content-encoding", "snappy")];
    assert_eq!(rig.post(&headers, &packed(&small())).await.status, 200);
    let seen = rig.sink.only().await;
    let text = snap::raw::Decoder::new().decompress_vec(&seen.body).unwrap();
    assert!(text == redacted(&small()));
    assert_eq!(seen.header("content-encoding"), Some("snappy"));
    assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));

    let rig = Rig::start().await;
    let clean = packed(b"{\"a\": \"hello hello hello\"}");
    assert_eq!(rig.post(&headers, &clean).await.status, 200);
    assert_eq!(rig.sink.only().await.body, clean);
    for (body, told) in [
        (&b"\xff\xff\xff\xff\x0f\0a"[..], (400, "corrupt_content_encoding")),
        (&packed(&vec![b' '; 64 << 20]), (413, "part_too_large")),
    ] {
        let reply = Rig::start().await.post(&headers, body).await;
        assert_eq!((reply.status, reply.code().as_str()), told);
    }
}

#[tokio::test]
async fn what_is_compressed_without_a_word_of_it_is_redacted() {
    for codec in CODECS.iter().filter(|codec| ["gzip", "zstd"].contains(&codec.name)) {
        for text in [small(), large()] {
            for kind in ["text/plain", "application/json", "application/octet-stream"] {
                let rig = Rig::start().await;
                let body = (codec.encode)(&text);
                assert_eq!(rig.post(&[("content-type", kind)], &body).await.status, 200, "{codec:?} {kind}");
                assert!((codec.decode)(&rig.sink.only().await.body) == redacted(&text), "{codec:?} {kind}");
            }
        }
        let rig = Rig::start().await;
        let clean = (codec.encode)(b"{\"a\": \"hello hello hello\"}");
        assert_eq!(rig.post(&[JSON], &clean).await.status, 200);
        assert_eq!(rig.sink.only().await.body, clean);
        let reply = Rig::start().await.post(&[JSON], &clean[..clean.len() - 3]).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_content_encoding"), "{codec:?}");
    }
}

/// A store that is asked to check what it gets would find it changed.
#[tokio::test]
async fn a_signed_body_that_is_compressed_without_a_word_of_it_stays_or_is_refused() {
    let signature = ("x-hub-signature-256", "sha256=00");
    for codec in CODECS.iter().filter(|codec| codec.name == "gzip") {
        let rig = Rig::start().await;
        let clean = (codec.encode)(b"{\"a\": \"hello hello hello\"}");
        assert_eq!(rig.post(&[JSON, signature], &clean).await.status, 200);
        assert_eq!(rig.sink.only().await.body, clean);
        for text in [small(), large_json()] {
            let rig = Rig::start().await;
            let reply = rig.post(&[JSON, signature], &(codec.encode)(&text)).await;
            assert_eq!((reply.status, reply.code().as_str()), (422, "signed_body"));
            // Of one that streams the head has left.
            assert!(rig.sink.seen().iter().all(|seen| seen.body.is_empty()));
        }
    }
}
