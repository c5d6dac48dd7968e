//! Protocol packs and what they say of bodies: no panic at any file; a statement in the
//! query, or before the rows, is read the same however it is cut, and nothing but
//! findings changes.
//!
//! ```text
//! what | number of cuts | cuts, two bytes each | text
//! ```

#![no_main]

mod input;

use bytes::Bytes;
use expurgate::content::{
    Coding, CodingLimits, ContentType, Delivery, Level, PartRules, Pipeline, Released, named_type,
};
use expurgate::redact::{Plan, Policy};
use expurgate::rule::Ruleset;
use expurgate::rule::protocol::{NamedFormats, Packs};
use expurgate::scan::Engine;
use input::{Input, chunks, cuts};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

const LIMITS: CodingLimits = CodingLimits { max_decoded: 1 << 20, max_ratio: 100 };

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let ruleset = Ruleset::builtin().expect("the packs are right");
    let engine = Arc::new(Engine::compile(Arc::new(ruleset)).expect("the packs are right"));
    Arc::new(Plan::new(engine, &Policy::default()))
});

/// Those of ClickHouse, the only ones there are.
static FORMATS: LazyLock<Arc<NamedFormats>> = LazyLock::new(|| {
    let packs = Packs::builtin().expect("the packs are right");
    let pack = packs.find("clickhouse").expect("it is one of them");
    Arc::clone(pack.body.as_ref().expect("it names formats"))
});

fuzz_target!(init: {
    // Compiled before anything is measured.
    LazyLock::force(&PLAN);
    LazyLock::force(&FORMATS);
}, |bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let what = input.byte() % 3;
    let places = usize::from(input.byte() & 15);
    let places = input.places(places);
    let text = input.rest();
    match what {
        0 => read(&String::from_utf8_lossy(text)),
        1 => name(&String::from_utf8_lossy(text)),
        _ => {
            let whole = redacted(&[text]);
            assert_eq!(whole, redacted(&chunks(text, &cuts(places, text.len()))), "cut or not");
            assert_eq!(whole, redacted(&text.chunks(1).collect::<Vec<_>>()), "byte by byte or not");
            if let Some((out, 0)) = whole {
                assert_eq!(out.escape_ascii().to_string(), text.escape_ascii().to_string(), "nothing was found");
            }
        }
    }
});

/// A file of a pack; mistakes are told.
fn read(text: &str) {
    let files = [("pack.toml".to_owned(), text.to_owned())];
    match Packs::from_texts(&files) {
        Ok(packs) => assert!(packs.iter().all(|pack| !pack.name.is_empty()), "a pack has a name"),
        Err(error) => assert!(!error.to_string().is_empty(), "a mistake is told"),
    }
}

/// A query, and behind a line feed the header that names a format.
fn name(text: &str) {
    let (query, header) = text.split_once('\n').unwrap_or((text, ""));
    let header = (!header.is_empty()).then_some(header.as_bytes());
    let declared = ContentType::parse(Some(b"text/plain"));
    let named = named_type(&FORMATS, query, |_| header, declared.clone());
    assert_eq!(named, named_type(&FORMATS, query, |_| header, declared), "the same twice");
}

/// The redacted body and how much was found; `None` when it is refused.
fn redacted(chunks: &[&[u8]]) -> Option<(Vec<u8>, u64)> {
    let parts = PartRules {
        limit: 1 << 12,
        pass: [].into(),
        media: [].into(),
        formats: Some(Arc::clone(&FORMATS)),
        coding: LIMITS,
    };
    let content = ContentType::parse(Some(b"text/plain"));
    let delivery = Delivery::Streaming(Level::Fast);
    let mut pipeline = Pipeline::new(&PLAN, &content, Coding::Identity, LIMITS, delivery, &parts).ok()?;
    let mut out = Released::default();
    for chunk in chunks {
        pipeline.push(Bytes::copy_from_slice(chunk), &mut out).ok()?;
    }
    pipeline.finish(&mut out).ok()?;
    assert_eq!(pipeline.held(), 0);
    Some((out.concat(), pipeline.report().changed()))
}
