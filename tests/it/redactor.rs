//! The redactor against its oracle, on documents that proptest makes up.
//!
//! `PROPTEST_CASES` sets the number of cases of each property.

use super::redactor_rig::{check_cuts, expected, findings, redact, redact_whole};
use super::redactor_text::{PLANTED, Random, Value, heap, style, text, value};
use super::redactor_tree::Tree;
use expurgate::scan::Format;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

const FORMATS: &[Format] = &[Format::Json, Format::Ndjson, Format::Text];

/// As many cases as the environment says, else `cases`.
pub(crate) fn config(cases: u32) -> Config {
    let set = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    // The same cases every time, unless more are asked for.
    let rng_seed = if set.is_some() { RngSeed::Random } else { RngSeed::Fixed(20_261_121) };
    Config { cases: set.unwrap_or(cases), failure_persistence: None, rng_seed, ..Config::default() }
}

fn lines(values: &[Value], style: (super::redactor_text::Style, u64)) -> String {
    values.iter().map(|value| value.write(style).replace('\n', " ") + "\n").collect()
}

/// Ways to cut a document: at random, and now and then byte by byte.
fn ways_to_cut(document: &[u8], seed: u64) -> Vec<Vec<usize>> {
    let mut random = Random(seed);
    let mut ways = vec![random.cuts(document.len(), 3), random.cuts(document.len(), 20)];
    if document.len() < 300 {
        ways.push((0..=document.len()).collect());
    }
    ways
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn hostile_bytes_are_found_as_the_oracle_finds_them_however_cut(
        document in heap(), format in prop::sample::select(FORMATS), seed: u64,
    ) {
        check_cuts(format, &document, &ways_to_cut(&document, seed));
        prop_assert_eq!(redact_whole(format, &document), expected(format, &document));
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn documents_are_found_as_the_oracle_finds_them_however_cut(value in value(), style in style()) {
        let document = value.write(style).into_bytes();
        check_cuts(Format::Json, &document, &ways_to_cut(&document, style.1));
        prop_assert_eq!(redact_whole(Format::Json, &document), expected(Format::Json, &document));
    }

    #[test]
    fn redacting_twice_changes_nothing(value in value(), style in style()) {
        let document = value.write(style).into_bytes();
        let once = redact_whole(Format::Json, &document);
        let twice = redact_whole(Format::Json, &once);
        prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
    }

    #[test]
    fn valid_json_stays_valid_at_every_level(value in value(), style in style()) {
        let document = value.write(style);
        let redacted = String::from_utf8(redact_whole(Format::Json, document.as_bytes())).unwrap();
        let before = Tree::parse(&document).unwrap();
        let after = Tree::parse(&redacted);
        prop_assert!(after.is_some(), "no JSON any more: {redacted}\nwas {document}");
        let mistake = after.unwrap().unlike(&before);
        prop_assert!(mistake.is_none(), "{}\nwas {document}\nis  {redacted}", mistake.unwrap_or_default());
    }

    #[test]
    fn planted_values_are_gone_however_they_were_written(value in value(), style in style()) {
        let document = value.write(style);
        let redacted = redact_whole(Format::Json, document.as_bytes());
        let after = Tree::parse(std::str::from_utf8(&redacted).unwrap()).unwrap();
        for planted in PLANTED.iter() {
            prop_assert!(!after.says(planted), "{planted}\nwas {document}\nis  {}", String::from_utf8_lossy(&redacted));
        }
    }

    #[test]
    fn planted_values_are_gone_from_text(text in text()) {
        let redacted = String::from_utf8(redact_whole(Format::Text, text.as_bytes())).unwrap();
        for planted in PLANTED.iter().filter(|planted| !planted.contains('\n')) {
            prop_assert!(!redacted.contains(planted.as_str()), "{planted}\nwas {text}\nis  {redacted}");
        }
    }

    #[test]
    fn what_holds_no_finding_comes_out_as_it_was(document in heap(), format in prop::sample::select(FORMATS)) {
        let redacted = redact_whole(format, &document);
        prop_assert_eq!(redacted == document, findings(format, &document, &[]).is_empty());
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn lines_of_json_are_found_as_the_oracle_finds_them(
        values in prop::collection::vec(value(), 1..4), style in style(),
    ) {
        let document = lines(&values, style).into_bytes();
        check_cuts(Format::Ndjson, &document, &ways_to_cut(&document, style.1));
        let redacted = redact_whole(Format::Ndjson, &document);
        prop_assert_eq!(redacted.iter().filter(|&&byte| byte == b'\n').count(), values.len());
    }

    #[test]
    fn a_short_document_may_be_cut_anywhere(document in heap(), format in prop::sample::select(FORMATS)) {
        let document = &document[..document.len().min(160)];
        let cuts: Vec<Vec<usize>> = (0..=document.len()).map(|cut| vec![cut]).collect();
        check_cuts(format, document, &cuts);
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn long_documents_come_out_the_same_in_chunks_of_any_size(
        values in prop::collection::vec(value(), 30..60),
        heaps in prop::collection::vec(heap(), 0..2),
        style in style(),
        format in prop::sample::select(FORMATS),
        sizes in prop::collection::vec(prop_oneof![1_usize..40, 1_usize..3000, 10_000_usize..70_000], 1..6),
    ) {
        let mut document = lines(&values, style).into_bytes();
        document.extend(heaps.concat());
        document.extend(lines(&values, (style.0, !style.1)).into_bytes());
        while document.len() < 40_000 {
            document.extend_from_within(..);
        }
        document.truncate(120_000);
        let whole = redact_whole(format, &document);
        let cut = redact(format, &document, &sizes);
        prop_assert!(whole == cut, "differs at {:?}", whole.iter().zip(&cut).position(|(a, b)| a != b));
    }
}
