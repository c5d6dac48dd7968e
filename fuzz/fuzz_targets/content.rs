//! Bodies that are taken apart: no panic, the same however they are cut, and
//! nothing but findings changes.
//!
//! ```text
//! media type | plan and delivery | number of cuts | cuts, two bytes each | body
//! ```

#![no_main]

mod input;

use bytes::Bytes;
use expurgate::content::{
    Coding, CodingLimits, ContentType, Decoder, Delivery, Level, Media, Messages, PartRules, Pipeline, Released,
};
use expurgate::redact::{Mask, Plan, Policy, Treatment};
use expurgate::rule::Ruleset;
use expurgate::scan::Engine;
use input::{Input, chunks, cuts};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

const TYPES: [Option<&str>; 15] = [
    Some("multipart/form-data; boundary=xYz"),
    Some("multipart/mixed; boundary=\"-\""),
    Some("application/x-sentry-envelope"),
    None,
    Some("text/event-stream"),
    Some("application/x-www-form-urlencoded"),
    Some("text/plain"),
    Some("application/x-protobuf"),
    Some("application/msgpack"),
    Some("application/json"),
    Some("application/grpc"),
    Some("application/grpc+json"),
    Some("text/csv"),
    Some("text/tab-separated-values"),
    Some("application/x-ndjson"),
];

const LIMITS: CodingLimits = CodingLimits { max_decoded: 1 << 20, max_ratio: 100 };
/// Small, so that some parts are longer.
const HELD: u64 = 200;

/// One that writes labels, and one that removes.
static PLANS: LazyLock<[Arc<Plan>; 3]> = LazyLock::new(|| {
    let ruleset = Ruleset::builtin().expect("the packs are right");
    let engine = Arc::new(Engine::compile(Arc::new(ruleset)).expect("the packs are right"));
    let mask = Mask::default().keeping(2, 2).expect("few are kept");
    [Treatment::default(), Treatment::Remove, Treatment::Mask(mask)]
        .map(|treatment| Arc::new(Plan::new(Arc::clone(&engine), &Policy::always(treatment))))
});

fuzz_target!(init: {
    // Compiled before anything is measured.
    LazyLock::force(&PLANS);
}, |bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let kind = usize::from(input.byte());
    let content = ContentType::parse(TYPES[kind % TYPES.len()].map(str::as_bytes));
    let coding = CODINGS[kind / TYPES.len() % CODINGS.len()];
    let how = usize::from(input.byte());
    let plan = &PLANS[how % PLANS.len()];
    let delivery = if how / PLANS.len() % 2 == 0 { Delivery::Streaming(Level::Fast) } else { Delivery::Prompt };
    let places = usize::from(input.byte() & 15);
    let places = input.places(places);
    let body = input.rest();
    let whole = redacted((plan, delivery), &content, coding, &[body]);
    assert_eq!(whole, redacted((plan, delivery), &content, coding, &chunks(body, &cuts(places, body.len()))), "cut or not");
    assert_eq!(whole, redacted((plan, delivery), &content, coding, &body.chunks(1).collect::<Vec<_>>()), "byte by byte or not");
    if let Some((out, 0)) = whole {
        let body = if matches!(content.media, Media::Grpc(_)) { messages(body, coding) } else { body.to_vec() };
        assert_eq!(out.escape_ascii().to_string(), body.escape_ascii().to_string(), "nothing was found");
    }
});

/// Of the messages of a gRPC call.
const CODINGS: [Coding; 4] = [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Zstd];

/// The messages of a gRPC call that was let pass, not compressed: how they are may
/// depend on the chunks.
fn messages(body: &[u8], coding: Coding) -> Vec<u8> {
    let (mut rest, mut out) = (body, Vec::new());
    while let Some((&[flag, a, b, c, d], after)) = rest.split_first_chunk::<5>() {
        let (message, after) = after.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        out.push(flag);
        if flag == 1 && !message.is_empty() {
            let mut decoder = Decoder::new(coding, LIMITS).expect("the library works").expect("a coding");
            decoder.push(Bytes::copy_from_slice(message));
            while let Some(piece) = decoder.next_piece().expect("it was let pass") {
                out.extend_from_slice(&piece);
            }
            decoder.finish().expect("it was let pass");
        } else {
            out.extend_from_slice(message);
        }
        rest = after;
    }
    assert!(rest.is_empty(), "whole messages");
    out
}

/// The redacted body and how much was found; `None` when it is refused. Which of
/// several reasons to refuse it is met first may depend on the chunks.
fn redacted(
    (plan, delivery): (&Arc<Plan>, Delivery),
    content: &ContentType,
    coding: Coding,
    chunks: &[&[u8]],
) -> Option<(Vec<u8>, u64)> {
    let parts = PartRules {
        limit: HELD,
        pass: [String::from("image/png")].into(),
        media: [String::from("audio/wav")].into(),
        formats: None,
        coding: LIMITS,
    };
    let is_call = matches!(content.media, Media::Grpc(_));
    let mut pipeline = match content.media {
        Media::Grpc(payload) => {
            let messages = Messages { payload, coding, limits: LIMITS, level: Level::Fast };
            Pipeline::grpc(plan, messages, &parts)
        }
        _ => Pipeline::new(plan, content, Coding::Identity, LIMITS, delivery, &parts).ok()?,
    };
    let mut out = Released::default();
    for chunk in chunks {
        pipeline.push(Bytes::copy_from_slice(chunk), &mut out).ok()?;
    }
    pipeline.finish(&mut out).ok()?;
    assert_eq!(pipeline.held(), 0);
    let out = out.concat();
    let out = if is_call { messages(&out, coding) } else { out };
    Some((out, pipeline.report().changed()))
}
