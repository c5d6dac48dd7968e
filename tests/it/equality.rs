//! The equality run: hostile documents, each cut in many ways, through the
//! scanner and the oracle.
//!
//! ```text
//! EQUALITY_CASES=10000000 EQUALITY_SEED=7 cargo test --test it equality -- --nocapture
//! ```
//!
//! A case is a document with one way to cut it. A document that differs is made
//! as small as it can be before it is shown. Some documents are long: the oracle
//! takes seconds for one, so most of those are compared with the whole instead.

use super::redactor_rig::{difference, difference_by_cuts, encoded_difference, encoded_difference_by_cuts};
use super::redactor_text::{Random, quick_encoded_heap, quick_heap, quick_long_encoded_heap, quick_long_heap};
use expurgate::scan::Format;

/// Ways to cut each document.
const CUTS: usize = 25;
/// Long documents are so many times fewer.
const SHORT_PER_LONG: u64 = 40;
/// Of so many long documents one is seen by the oracle.
const ORACLE_OF: u64 = 32;
/// A document so long is not scanned byte by byte: that takes the square of it.
const LONG: usize = 2048;
/// Differences shown at most.
const SHOWN: usize = 20;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn generated_documents_are_found_as_the_oracle_finds_them_however_cut() {
    let told = check("documents", setting("EQUALITY_CASES", 40_000), |random, number| match number % 3 {
        0 => (quick_encoded_heap(random), encoded_difference),
        _ => (quick_heap(random), difference),
    });
    println!("{told}");
}

#[test]
fn long_documents_are_found_alike_however_cut() {
    let told = check("long documents", setting("EQUALITY_CASES", 40_000) / SHORT_PER_LONG, |random, number| {
        match (number % 3, number % ORACLE_OF) {
            (0, 0) => (quick_long_encoded_heap(random), encoded_difference),
            (0, _) => (quick_long_encoded_heap(random), encoded_difference_by_cuts),
            (_, 0) => (quick_long_heap(random), difference),
            (_, _) => (quick_long_heap(random), difference_by_cuts),
        }
    });
    println!("{told}");
}

/// Tells where two ways to look at a document differ.
type Compare = fn(Format, &[u8], &[Vec<usize>]) -> Option<String>;
/// The document of a number, and how it is looked at.
type Generate = fn(&mut Random, u64) -> (Vec<u8>, Compare);

/// What was looked at; fails on a difference.
fn check(what: &str, cases: u64, generate: Generate) -> String {
    let seed = setting("EQUALITY_SEED", 20_261_125);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let documents = cases.div_ceil(CUTS as u64).div_ceil(threads);
    let workers: Vec<_> = (0..threads)
        .map(|thread| seed.wrapping_mul(1000).wrapping_add(thread))
        .map(|seed| std::thread::spawn(move || run(seed, documents, generate)))
        .collect();
    let differences: Vec<String> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    let checked = documents * threads;
    let told =
        format!("equality: {checked} {what}, {} cases, {} differences", checked * CUTS as u64, differences.len());
    assert!(differences.is_empty(), "{told}\n{}", differences.join("\n---\n"));
    told
}

fn run(seed: u64, documents: u64, generate: Generate) -> Vec<String> {
    let mut random = Random(seed);
    let mut differences = Vec::new();
    for number in 0..documents {
        let (document, compare) = generate(&mut random, number);
        let format = [Format::Json, Format::Ndjson, Format::Text][random.below(3)];
        let cuts = cuts(&mut random, document.len());
        if compare(format, &document, &cuts).is_some() {
            differences.push(smallest(format, document, compare));
        }
        if differences.len() >= SHOWN {
            break;
        }
    }
    differences
}

/// The whole document, byte by byte, at one place, at a few, and at many.
fn cuts(random: &mut Random, length: usize) -> Vec<Vec<usize>> {
    let mut cuts = vec![every(length)];
    cuts.extend((0..10).map(|_| vec![random.below(length + 1)]));
    cuts.extend((0..8).map(|_| random.cuts(length, 3)));
    cuts.extend((cuts.len()..CUTS - 1).map(|_| random.cuts(length, 20)));
    cuts
}

/// Every place, or of a long document one in many.
fn every(length: usize) -> Vec<usize> {
    (0..=length).step_by(length / LONG * 61 + 1).collect()
}

/// Takes bytes out as long as scanner and oracle still differ.
fn smallest(format: Format, document: Vec<u8>, compare: Compare) -> String {
    let each = |length: usize| -> Vec<Vec<usize>> {
        let mut cuts: Vec<Vec<usize>> = every(length).into_iter().map(|cut| vec![cut]).collect();
        cuts.push(every(length));
        cuts
    };
    let differs = |document: &[u8]| compare(format, document, &each(document.len()));
    let mut document = document;
    let Some(mut told) = differs(&document) else {
        return format!("only with several cuts, {format:?}: {}", document.escape_ascii());
    };
    let mut size = document.len() / 2;
    // A long document is left when it is short enough to be read.
    while size > document.len() / 512 {
        let mut at = 0;
        while at + size <= document.len() {
            let shorter = [&document[..at], &document[at + size..]].concat();
            match differs(&shorter) {
                Some(difference) => (document, told) = (shorter, difference),
                None => at += size,
            }
        }
        size /= 2;
    }
    format!("{format:?} {told}\nbytes {}", document.escape_ascii())
}

#[test]
fn what_begins_within_a_private_key_is_part_of_it() {
    for value in ["11xe", "a1\u{301}e9fj2k"] {
        let document = format!("-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----password {value}");
        for format in [Format::Json, Format::Ndjson, Format::Text] {
            let document = document.as_bytes();
            assert_eq!(difference(format, document, &[every(document.len())]), None);
        }
    }
}
