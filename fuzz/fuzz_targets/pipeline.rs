//! A body's whole way: no panic, the same however it is cut, and what has left
//! is always the beginning of what the redactor alone writes, also when the
//! body is refused in the end.
//!
//! ```text
//! media type | coding, delivery, policy | number of cuts | cuts, two bytes each | body
//! ```

#![no_main]

mod input;

use bytes::Bytes;
use expurgate::content::{
    BodyFormat, Coding, CodingLimits, ContentError, ContentType, Delivery, Level, Media, PartRules, Pipeline, Released,
};
use expurgate::redact::{Plan, Policy, RedactError, Redactor, Treatment};
use expurgate::rule::Ruleset;
use expurgate::scan::{Engine, Format};
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use input::{Input, chunks, cuts};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

/// What is taken apart has a target of its own, `content`.
const TYPES: [Option<&str>; 10] = [
    Some("application/json"),
    Some("application/x-ndjson"),
    Some("text/plain"),
    None,
    Some("application/octet-stream"),
    Some("text/html; charset=utf-8"),
    Some("application/vnd.acme+json"),
    Some("application/cbor"),
    Some("text/plain; charset=utf-16"),
    Some("image/png"),
];

const LIMITS: CodingLimits = CodingLimits { max_decoded: 256 << 10, max_ratio: 100 };

/// One that replaces all, one that blocks and removes, and the latter without
/// what it blocks.
static PLANS: LazyLock<[Arc<Plan>; 3]> = LazyLock::new(|| {
    let ruleset = Ruleset::builtin().expect("the packs are right");
    let engine = Arc::new(Engine::compile(Arc::new(ruleset)).expect("the packs are right"));
    let plan = |entities: &[(&str, Treatment)]| {
        let entities: BTreeMap<_, _> =
            entities.iter().map(|(entity, action)| ((*entity).to_owned(), action.clone())).collect();
        Arc::new(Plan::new(Arc::clone(&engine), &Policy { entities, ..Policy::default() }))
    };
    let remove = ("EMAIL_ADDRESS", Treatment::Remove);
    [plan(&[]), plan(&[("PASSWORD", Treatment::Block), remove.clone()]), plan(&[remove])]
});

fuzz_target!(init: {
    // Compiled before anything is measured.
    LazyLock::force(&PLANS);
}, |bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let content = ContentType::parse(TYPES[usize::from(input.byte()) % TYPES.len()].map(str::as_bytes));
    let how = input.byte();
    let places = usize::from(input.byte() & 15);
    let places = input.places(places);
    let body = input.rest();
    let coding = if how & 1 == 0 { Coding::Identity } else { Coding::Gzip };
    // Random bytes are seldom gzip; so most are made so.
    let wire = if coding == Coding::Gzip && how & 6 != 0 { gzip(body, how & 4 != 0) } else { body.to_vec() };
    let body = Body {
        plan: &PLANS[usize::from(how >> 4 & 1)],
        lenient: &PLANS[usize::from(how >> 4 & 1) * 2],
        content: &content,
        coding,
        delivery: if how & 8 == 0 { Delivery::Streaming(Level::Fast) } else { Delivery::Whole },
    };
    let whole = body.check(&[&wire]);
    let cut = body.check(&chunks(&wire, &cuts(places, wire.len())));
    let bytewise = body.check(&wire.chunks(1).collect::<Vec<_>>());
    assert_eq!(whole, cut, "cut or not");
    assert_eq!(whole, bytewise, "byte by byte or not");
});

struct Body<'a> {
    plan: &'a Arc<Plan>,
    /// The same, but that it blocks nothing.
    lenient: &'a Arc<Plan>,
    content: &'a ContentType,
    coding: Coding,
    delivery: Delivery,
}

impl Body<'_> {
    /// The redacted body, decoded; `None` when it is refused. Which of several
    /// reasons to refuse it is met first may depend on the chunks.
    fn check(&self, chunks: &[&[u8]]) -> Option<Vec<u8>> {
        let parts =
            PartRules { limit: 64 << 10, pass: Arc::default(), media: Arc::default(), formats: None, coding: LIMITS };
        let pipeline = Pipeline::new(self.plan, self.content, self.coding, LIMITS, self.delivery, &parts);
        let mut pipeline = match pipeline {
            Ok(pipeline) => pipeline,
            Err(error) => {
                let declared = self.content.media == Media::Unsupported || !self.content.utf8;
                assert!(declared, "refused by its type: {error}");
                return None;
            }
        };
        let mut out = Released::default();
        let pushed = chunks.iter().try_for_each(|chunk| pipeline.push(Bytes::copy_from_slice(chunk), &mut out));
        let result = pushed.and_then(|()| pipeline.finish(&mut out));
        let wire = out.concat();
        let encoded = self.coding == Coding::Gzip && self.delivery != Delivery::Whole;
        let (left, ended) = if encoded { gunzip(&wire) } else { (wire, true) };
        let (text, _) = match self.coding {
            Coding::Identity => (chunks.concat(), true),
            _ => gunzip(&chunks.concat()),
        };
        if pipeline.format() == Some(BodyFormat::Envelope) {
            return result.is_ok().then_some(left);
        }
        let Some(format) = pipeline.format().and_then(format) else {
            assert!(left.is_empty(), "something left before the format was known");
            return result.is_ok().then_some(left);
        };
        let Err(error) = result else {
            assert!(ended, "the output is not gzip");
            assert_same(&left, &redact(self.plan, format, &text).expect("what the policy blocks was forwarded"));
            assert_eq!(pipeline.held(), 0);
            return Some(left);
        };
        assert_ne!(error, ContentError::Redact(RedactError::Engine));
        let redacted = redact(self.lenient, format, &text).unwrap_or_else(|error| {
            assert_eq!(error, RedactError::Zipped, "nothing is blocked");
            before_refusal(self.lenient, format, &text)
        });
        assert!(redacted.starts_with(&left), "more left than was redacted");
        None
    }
}

fn format(body: BodyFormat) -> Option<Format> {
    match body {
        BodyFormat::Json => Some(Format::Json),
        BodyFormat::Ndjson => Some(Format::Ndjson),
        BodyFormat::Text => Some(Format::Text),
        _ => None,
    }
}

/// What the redactor writes for the whole text.
fn redact(plan: &Arc<Plan>, format: Format, text: &[u8]) -> Result<Vec<u8>, RedactError> {
    let mut redactor = Redactor::new(plan, format);
    let mut out = Vec::new();
    redactor.push(Bytes::copy_from_slice(text), &mut out)?;
    redactor.finish(&mut out)?;
    Ok(out.concat())
}

/// What may leave of a text that the redactor refuses: what leaves of its longest
/// beginning that is not refused yet.
fn before_refusal(plan: &Arc<Plan>, format: Format, text: &[u8]) -> Vec<u8> {
    let pushed = |length: usize| {
        let mut redactor = Redactor::new(plan, format);
        redactor.scan_every(1);
        let mut out = Vec::new();
        redactor.push(Bytes::copy_from_slice(&text[..length]), &mut out).map(|()| out.concat())
    };
    let lengths: Vec<usize> = (1..=text.len()).collect();
    let longest = lengths.partition_point(|&length| pushed(length).is_ok());
    pushed(longest).expect("it is not refused")
}

/// One member, or one for each half.
fn gzip(body: &[u8], halves: bool) -> Vec<u8> {
    let member = |part: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).and_then(|()| encoder.finish()).expect("memory suffices")
    };
    let (first, second) = body.split_at(if halves { body.len() / 2 } else { body.len() });
    if halves { [member(first), member(second)].concat() } else { member(first) }
}

/// As far as it can be decoded, and whether that is to the end.
fn gunzip(wire: &[u8]) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    // Twice the limit: the pipeline refuses what is longer than the limit.
    let ended = MultiGzDecoder::new(wire).take(2 * LIMITS.max_decoded).read_to_end(&mut text).is_ok();
    (text, ended)
}

fn assert_same(found: &[u8], expected: &[u8]) {
    if found != expected {
        panic!("{}\nleft instead of\n{}", found.escape_ascii(), expected.escape_ascii());
    }
}
