//! Documents kept as files: JSONTestSuite, and golden cases of our own.

use super::redactor_rig::{check_cuts, redact, redact_whole};
use super::redactor_text::Random;
use expurgate::scan::Format;
use serde::Deserialize;

const JSON_TEST_SUITE: &str = include_str!("../corpus/jsontestsuite.jsonl");
const GOLDEN: &str = include_str!("../corpus/redact.toml");

#[derive(Deserialize)]
struct SuiteCase {
    name: String,
    expect: String,
    b64: String,
}

#[test]
fn json_test_suite_comes_out_as_it_went_in() {
    let mut accepted = 0;
    let mut random = Random(7);
    for line in JSON_TEST_SUITE.lines() {
        let case: SuiteCase = serde_json::from_str(line).unwrap();
        let document = base64(&case.b64);
        let whole = redact_whole(Format::Json, &document);
        if case.expect == "accept" {
            accepted += 1;
            assert!(whole == document, "{}", case.name);
        }
        let small = document.len() < 2000;
        let mut cuts: Vec<Vec<usize>> = (0..3).map(|_| random.cuts(document.len(), 5)).collect();
        if small {
            cuts.push((0..=document.len()).collect());
            check_cuts(Format::Json, &document, &cuts);
        }
        let sizes = [1 + random.below(100), 20_000];
        assert!(redact(Format::Json, &document, &sizes) == whole, "{} in chunks", case.name);
    }
    assert!(accepted > 90, "{accepted}");
}

/// The bytes that standard base64 stands for.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("no base64"),
    };
    let digits: Vec<u32> = text.trim_end_matches('=').bytes().map(digit).collect();
    let group = |group: &[u32]| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

#[derive(Deserialize)]
struct Golden {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows.
    note: String,
    /// `json` unless it says otherwise.
    format: Option<String>,
    input: String,
    /// The input, where nothing changes.
    output: Option<String>,
}

#[test]
fn golden_cases_come_out_as_written_whole_and_cut_anywhere() {
    let golden: Golden = toml::from_str(GOLDEN).unwrap();
    assert!(golden.case.len() >= 60, "{}", golden.case.len());
    let mut wrong = Vec::new();
    for case in &golden.case {
        let format = match case.format.as_deref() {
            None | Some("json") => Format::Json,
            Some("ndjson") => Format::Ndjson,
            Some("text") => Format::Text,
            Some(other) => panic!("{}: unknown format {other}", case.note),
        };
        let input = case.input.as_bytes();
        let output = case.output.as_ref().unwrap_or(&case.input);
        let found = String::from_utf8(redact_whole(format, input)).unwrap();
        if found != *output {
            wrong.push(format!("{}\n     in: {}\n wanted: {output}\n    got: {found}", case.note, case.input));
        }
        let mut cuts: Vec<Vec<usize>> = (0..=input.len()).map(|cut| vec![cut]).collect();
        cuts.push((0..=input.len()).collect());
        check_cuts(format, input, &cuts);
    }
    assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n"));
}
