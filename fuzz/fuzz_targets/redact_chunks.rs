//! However a document is cut, the scanner finds what the oracle finds, and the
//! redactor writes what the oracle writes.
//!
//! ```text
//! format and number of cuts | cuts, two bytes each | document
//! format has its top bit set: | place and length of a stretch, two bytes each
//! ```
//!
//! A stretch is a byte of the document said again and again: it makes the
//! document longer than the look-ahead, and too long for the oracle. Then the
//! chunks are compared with the whole.

#![no_main]

mod input;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../../tests/it/redactor_rig.rs"]
mod redactor_rig;

use bytes::Bytes;
use expurgate::redact::Redactor;
use expurgate::scan::Format;
use input::{Input, chunks, cuts};
use libfuzzer_sys::fuzz_target;
use redactor_rig::{Outcome, check_cuts, check_cuts_of_long, oracle, outcome, plan, run};

/// The oracle is slow.
const LONGEST: usize = 2048;
/// Beyond the look-ahead, and what the redactor gathers before it scans.
const LONGEST_STRETCH: usize = 24 << 10;

const FORMATS: [Format; 3] = [Format::Json, Format::Ndjson, Format::Text];

fuzz_target!(init: {
    // Compiled before anything is measured, the oracle too.
    oracle(Format::Json, b"").expect("nothing is refused");
}, |bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let head = input.byte();
    let format = FORMATS[usize::from(head & 3) % 3];
    let places = input.places(usize::from(head >> 2 & 15));
    let stretch = (head & 0x80 != 0).then(|| input.places(2));
    let document = input.rest();
    let document = &document[..document.len().min(LONGEST)];
    match stretch {
        None => compare_with_oracle(format, document, &cuts(places, document.len())),
        Some(stretch) => {
            let document = stretched(document, stretch[0], stretch[1]);
            compare_with_whole(format, &document, &cuts(places, document.len()));
        }
    }
});

fn compare_with_oracle(format: Format, document: &[u8], cuts: &[usize]) {
    let every = (0..=document.len()).collect();
    check_cuts(format, document, &[cuts.to_vec(), every]);
    let expected = oracle(format, document);
    assert_same(&outcome(plan(), format, document, &[]), &expected);
    assert_same(&redact_eagerly(format, document, cuts), &expected);
}

fn compare_with_whole(format: Format, document: &[u8], cuts: &[usize]) {
    check_cuts_of_long(format, document, &[cuts.to_vec()]);
    assert_same(&redact_eagerly(format, document, cuts), &outcome(plan(), format, document, &[]));
}

/// As the redactor writes when it scans every chunk instead of gathering them.
fn redact_eagerly(format: Format, document: &[u8], cuts: &[usize]) -> Outcome {
    let mut redactor = Redactor::new(plan(), format);
    redactor.scan_every(1);
    run(redactor, chunks(document, cuts).into_iter().map(Bytes::copy_from_slice))
}

fn stretched(document: &[u8], place: usize, length: usize) -> Vec<u8> {
    let (before, after) = document.split_at(place % (document.len() + 1));
    let byte = after.first().copied().unwrap_or(b' ');
    [before, &vec![byte; length % LONGEST_STRETCH], after].concat()
}

fn assert_same(found: &Outcome, expected: &Outcome) {
    if found != expected {
        let told = |outcome: &Outcome| match outcome {
            Ok(written) => written.escape_ascii().to_string(),
            Err(refused) => format!("({refused})"),
        };
        panic!("redacted to\n{}\ninstead of\n{}", told(found), told(expected));
    }
}
