//! The wrapper over libhs finds what a slow search finds, whatever the
//! literals, the data and where in memory these lie.
//!
//! ```text
//! number of literals | number of cuts | place in memory | limit of the buffer
//! | literals: case and length, bytes | cuts, two bytes each | data
//! ```
//!
//! Each chunk between the cuts is a scan of its own with one scratch: matches
//! across chunks are the scanner's work, not the wrapper's.

#![no_main]

mod input;

use expurgate::hyperscan::{Database, Hit, Hits, HyperscanError, Literal, Outcome, Scratch};
use input::{Input, chunks, cuts};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const MOST_LITERALS: usize = 32;
const LONGEST_LITERAL: usize = 31;
const LONGEST: usize = 4096;

/// In every database beside the literals under test, as in the scanner's own
/// (see `SENTINELS` in `src/scan/engine.rs`, which says what for).
const SENTINELS: [&[u8]; 4] = [b"\x01\x02\x03\x04", b"\x02\x04\x01\x03", b"\x05\x01\x06\x02", b"\x06\x05\x04\x03"];

static OTHER: LazyLock<Database> = LazyLock::new(|| {
    let literals = [Literal { bytes: b"other", caseless: true }, Literal { bytes: b"\xff\0", caseless: false }];
    Database::literals(&literals).expect("libhs is there")
});

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let (count, cut) = (usize::from(input.byte()) % (MOST_LITERALS + 1), usize::from(input.byte() & 7));
    let (shift, limit) = (usize::from(input.byte() & 63), usize::from(input.byte()));
    let mut literals: Vec<Literal<'_>> = (0..count).map(|_| literal(&mut input)).collect();
    let places = input.places(cut);
    let data = input.rest();
    let data = &data[..data.len().min(LONGEST)];
    literals.extend(SENTINELS.iter().map(|bytes| Literal { bytes, caseless: false }));
    let unusable = literals.iter().position(|literal| matches!(literal.bytes.first(), None | Some(0)));
    let database = match Database::literals(&literals) {
        Err(HyperscanError::Compile { index, .. }) => return assert_eq!(index, unusable),
        other => other.expect("only a literal is refused"),
    };
    assert_eq!(unusable, None);
    check_foreign_scratch(&database, data);
    let mut scratch = Scratch::new(&[&OTHER, &database]).expect("memory suffices");
    for chunk in chunks(data, &cuts(places, data.len())) {
        // Elsewhere in memory, for the ways of the library that depend on it.
        let moved = [&vec![0xaa; shift], chunk].concat();
        check(&database, &literals, &moved[shift..], &mut scratch, limit);
        check(&OTHER, &[], b"", &mut scratch, limit);
    }
});

fn literal<'a>(input: &mut Input<'a>) -> Literal<'a> {
    let head = input.byte();
    Literal { bytes: input.bytes(usize::from(head) % (LONGEST_LITERAL + 1)), caseless: head & 0x80 != 0 }
}

fn check(database: &Database, literals: &[Literal<'_>], data: &[u8], scratch: &mut Scratch, limit: usize) {
    let expected = search_slowly(literals, data);
    let mut hits = Hits::with_limit(literals.len() * data.len() * 2 + 1);
    assert_eq!(database.scan(data, scratch, &mut hits), Ok(Outcome::Complete));
    let mut found = hits.as_slice().to_vec();
    assert!(found.is_sorted_by_key(|hit| hit.end), "not in the order of the ends: {found:?}");
    let all = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, expected, "{literals:?} in {:?}", data.escape_ascii().to_string());
    check_limited(database, &expected, data, scratch, (limit, all));
}

/// A buffer for `limit` hits, of `all` that there are, holds the first of them.
fn check_limited(
    database: &Database,
    expected: &[Hit],
    data: &[u8],
    scratch: &mut Scratch,
    (limit, all): (usize, usize),
) {
    let mut hits = Hits::with_limit(limit);
    let outcome = database.scan(data, scratch, &mut hits).expect("it is the scratch of this database");
    assert_eq!(outcome, if all > limit { Outcome::Full } else { Outcome::Complete });
    assert_eq!(hits.as_slice().len(), all.min(limit));
    assert!(hits.as_slice().iter().all(|hit| expected.contains(hit)));
}

fn check_foreign_scratch(database: &Database, data: &[u8]) {
    let mut hits = Hits::with_limit(1);
    let mut own = Scratch::new(&[database]).expect("memory suffices");
    let mut foreign = Scratch::new(&[&OTHER]).expect("memory suffices");
    assert_eq!(OTHER.scan(data, &mut own, &mut hits), Err(HyperscanError::WrongScratch));
    assert_eq!(database.scan(data, &mut foreign, &mut hits), Err(HyperscanError::WrongScratch));
    assert!(hits.as_slice().is_empty());
}

/// In the order of the ends.
fn search_slowly(literals: &[Literal<'_>], data: &[u8]) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (id, literal) in literals.iter().enumerate() {
        let same = |seen: &[u8]| match literal.caseless {
            true => seen.eq_ignore_ascii_case(literal.bytes),
            false => seen == literal.bytes,
        };
        let found = data.windows(literal.bytes.len()).enumerate().filter(|(_, seen)| same(seen));
        let number = |number: usize| u32::try_from(number).expect("the data are short");
        hits.extend(found.map(|(start, seen)| Hit { end: number(start + seen.len()), id: number(id) }));
    }
    hits.sort_unstable();
    hits
}
