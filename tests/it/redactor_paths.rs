//! Rules that ask where a value stands: the scanner against its oracle, and
//! what comes of it.

use super::redactor_rig::{findings_by, plan_of, redact_by};
use super::redactor_text::{Random, heap, style, value};
use expurgate::redact::Plan;
use expurgate::scan::{Format, naive};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use std::sync::{Arc, LazyLock};

const SCOPED: &str = r#"
[[override]]
id = "email.address"
exclude_paths = ["/0/**", "/*/*", "/**/text"]

[[override]]
id = "key.password"
paths = ["/**/password", "/*/*/**"]

[[override]]
id = "private-key"
exclude_paths = ["/*/*"]

[[allow]]
path = "/*"
entities = ["PHONE_NUMBER", "CREDIT_CARD"]
"#;

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| plan_of(&[("scoped.toml".to_owned(), SCOPED.to_owned())]));

fn config(cases: u32) -> Config {
    let set = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let rng_seed = if set.is_some() { RngSeed::Random } else { RngSeed::Fixed(20_261_126) };
    Config { cases: set.unwrap_or(cases), failure_persistence: None, rng_seed, ..Config::default() }
}

fn agree(format: Format, document: &[u8], seed: u64) -> Result<(), TestCaseError> {
    let oracle = naive::findings(PLAN.engine(), format, document);
    let mut random = Random(seed);
    for cuts in [vec![], random.cuts(document.len(), 3), random.cuts(document.len(), 20)] {
        let found = findings_by(&PLAN, format, document, &cuts);
        prop_assert_eq!(&found, &oracle, "cut at {:?}: {}", cuts, String::from_utf8_lossy(document));
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn values_at_places_are_found_as_the_oracle_finds_them_however_cut(value in value(), style in style()) {
        agree(Format::Json, value.write(style).as_bytes(), style.1)?;
    }
}

proptest! {
    #![proptest_config(config(25))]

    #[test]
    fn hostile_bytes_are_found_at_places_as_the_oracle_finds_them(document in heap(), seed: u64) {
        for format in [Format::Json, Format::Ndjson] {
            agree(format, &document, seed)?;
        }
    }
}

fn redacted(rules: &str, format: Format, text: &str) -> String {
    let plan = plan_of(&[("rules.toml".to_owned(), rules.to_owned())]);
    String::from_utf8(redact_by(&plan, format, text.as_bytes(), &[])).unwrap()
}

pub(crate) fn overriding(id: &str, fields: &str) -> String {
    format!("[[override]]\nid = '{id}'\n{fields}\n")
}

#[test]
fn a_rule_looks_at_its_paths_and_nowhere_else() {
    let rules = overriding("email.address", "paths = ['/messages/*/content']");
    let json = r#"{"from": "a@example.com", "messages": [{"content": "b@example.com", "by": "c@example.com"}]}"#;
    assert_eq!(redacted(&rules, Format::Json, json), json.replace("b@example.com", "[EMAIL_ADDRESS]"));
    // Text has no places.
    assert_eq!(redacted(&rules, Format::Text, "a@example.com"), "a@example.com");
}

#[test]
fn a_rule_does_not_look_where_it_is_excluded() {
    let rules = overriding("email.address", "exclude_paths = ['/trace/**']");
    let json = r#"{"trace": {"a": ["a@example.com"]}, "text": "b@example.com", "trace2": "c@example.com"}"#;
    let expected = r#"{"trace": {"a": ["a@example.com"]}, "text": "[EMAIL_ADDRESS]", "trace2": "[EMAIL_ADDRESS]"}"#;
    assert_eq!(redacted(&rules, Format::Json, json), expected);
    assert_eq!(redacted(&rules, Format::Text, "a@example.com"), "[EMAIL_ADDRESS]");
}

#[test]
fn a_document_in_a_string_stands_where_the_string_does() {
    let rules = overriding("email.address", "exclude_paths = ['/arguments']");
    let json = r#"{"arguments": "{\"to\": \"a@example.com\"}", "b": "{\"arguments\": \"b@example.com\"}"}"#;
    assert_eq!(redacted(&rules, Format::Json, json), json.replace("b@example.com", "[EMAIL_ADDRESS]"));
}

#[test]
fn a_members_name_stands_where_its_object_does() {
    let rules = overriding("email.address", "exclude_paths = ['/users']");
    let json = r#"{"users": {"a@example.com": {"b@example.com": 1}}}"#;
    assert_eq!(redacted(&rules, Format::Json, json), json.replace("b@example.com", "[EMAIL_ADDRESS]"));
}

#[test]
fn a_member_name_rule_with_paths_hides_no_rule_without() {
    let rules = "[[key]]\nid = 'a.key'\nentity = 'ACME'\nnames = ['password']\npaths = ['/acme/**']\n\
                 examples = ['{\"acme\": {\"password\": \"a1\"}}']\nnegative_examples = ['{\"password\": \"a1\"}']\n";
    let json = r#"{"acme": {"password": "hunter2!"}, "password": "hunter2!"}"#;
    assert_eq!(redacted(rules, Format::Json, json), json.replace("hunter2!", "[PASSWORD]"));
}

#[test]
fn long_values_are_judged_by_their_place_too() {
    let rules = overriding("key.password", "exclude_paths = ['/stays/**']");
    let long = "aZ3kQ9".repeat(5000);
    let json = format!(r#"{{"stays": {{"password": "{long}"}}, "goes": {{"password": "{long}"}}}}"#);
    let expected = format!(r#"{{"stays": {{"password": "{long}"}}, "goes": {{"password": "[PASSWORD]"}}}}"#);
    assert!(redacted(&rules, Format::Json, &json) == expected);
}

#[test]
fn an_exception_is_a_value_a_pattern_or_a_place() {
    let rules = overriding(
        "email.address",
        "allow = ['@a\\.example$', { value = 'b@b.example' }, { path = '/by' }, { value = 'c@c.example', path = '/cc' }]",
    );
    let json = r#"{"t": "x@a.example b@b.example bb@b.example", "by": "d@d.example", "c": "c@c.example", "cc": "c@c.example"}"#;
    let expected = json.replace("bb@b.example", "[EMAIL_ADDRESS]").replacen("c@c.example", "[EMAIL_ADDRESS]", 1);
    assert_eq!(redacted(&rules, Format::Json, json), expected);
}
