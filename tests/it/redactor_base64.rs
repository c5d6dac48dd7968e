//! Text that stands in base64.

use super::redactor_rig::{all_by, all_of_oracle, encoded_plan, plan, plan_of, redact_by};
use super::redactor_text::{PLANTED, Random, base64, quick_encoded_heap};
use expurgate::redact::{
    Action, HashKey, Mask, Plan, Policy, Pseudonym, RedactError, Redactor, Treatment, find, naive,
};
use expurgate::rule::Ruleset;
use expurgate::scan::{Engine, Format};
use std::sync::Arc;

/// Redacts as a whole and byte by byte; the oracle must agree, and nothing is
/// found in what was written.
fn redacted_by(plan: &Arc<Plan>, format: Format, text: &str) -> String {
    let oracle = all_of_oracle(plan, format, text.as_bytes());
    for cuts in [Vec::new(), (0..text.len()).collect()] {
        assert_eq!(all_by(plan, format, text.as_bytes(), &cuts), oracle, "{text}");
    }
    let once = redact_by(plan, format, text.as_bytes(), &[]);
    assert_eq!(redact_by(plan, format, text.as_bytes(), &[1]), once);
    assert_eq!(naive::redact(plan, format, text.as_bytes()).unwrap(), once);
    let once = String::from_utf8(once).unwrap();
    assert_eq!(String::from_utf8(redact_by(plan, format, once.as_bytes(), &[])).unwrap(), once);
    once
}

fn redacted(format: Format, text: &str) -> String {
    redacted_by(encoded_plan(), format, text)
}

/// In base64 as most write it.
fn encoded(text: &str) -> String {
    base64(text.as_bytes(), false, true)
}

const TEXT: &str = "to bob@example.com, now";
const REDACTED: &str = "to [EMAIL_ADDRESS], now";

#[test]
fn a_value_within_is_replaced_and_the_text_encoded_again() {
    for format in [Format::Json, Format::Ndjson, Format::Text] {
        for (url_safe, padded) in [(false, true), (false, false), (true, false)] {
            let written = |text: &str| base64(text.as_bytes(), url_safe, padded);
            for around in
                ["\"x $ y\"", "\"$\"", "{\"a\": [\"$\"]}", "\"?q=$&b=1\"", "\"{\\\"a\\\":\\\"$\\\"}\"", "\"\\n$\\n\""]
            {
                let (before, after) = (around.replace('$', &written(TEXT)), around.replace('$', &written(REDACTED)));
                assert_eq!(redacted(format, &before), after);
            }
        }
    }
}

#[test]
fn without_the_option_nothing_in_base64_is_touched() {
    let text = format!("\"{}\"", encoded(TEXT));
    assert_eq!(redact_by(plan(), Format::Json, text.as_bytes(), &[]), text.as_bytes());
}

#[test]
fn documents_and_environments_are_read_as_what_they_are() {
    for (text, expected) in [
        (r#"{"password": "hunter22x", "n": 1}"#, r#"{"password": "[PASSWORD]", "n": 1}"#),
        (r#"{"card": 4111111111111111}"#, r#"{"card": "[CREDIT_CARD]"}"#),
        (r#"{"a": "{\"password\": \"hunter22x\"}"}"#, r#"{"a": "{\"password\": \"[PASSWORD]\"}"}"#),
        ("HOST=a\nDB_PASSWORD=q8f1o2m3n4b5\nPORT=1\n", "HOST=a\nDB_PASSWORD=[PASSWORD]\nPORT=1\n"),
        ("mail: bob\u{200b}@example.com\n", "mail: [EMAIL_ADDRESS]\n"),
    ] {
        let document = format!(r#"{{"data": {{"app": "{}"}}, "n": 1}}"#, encoded(text));
        let expected = document.replace(&encoded(text), &encoded(expected));
        assert_eq!(redacted(Format::Json, &document), expected, "{text}");
    }
}

#[test]
fn escapes_of_a_run_are_seen_through_and_signs_written_as_they_were() {
    let text = "\u{3ff}\u{3fe}>>>??? to bob@example.com?????";
    let (run, after) = (encoded(text), encoded(&text.replace("bob@example.com", "[EMAIL_ADDRESS]")));
    assert!(run.contains('/') && run.contains('+') && run.ends_with('=') && after.contains('/'), "{run} {after}");
    let json = run.replace('/', "\\/").replace('+', "\\u002b").replace('=', "\\u003d");
    assert_eq!(redacted(Format::Json, &format!("[\"{json}\"]")), format!("[\"{after}\"]"));
    let percent = |text: &str| text.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    let query = format!("\"?a={}&b\"", percent(&run));
    assert_eq!(redacted(Format::Json, &query), format!("\"?a={}&b\"", percent(&after)));
    let escaped: String = encoded(TEXT).bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    assert_eq!(redacted(Format::Json, &format!("\"{escaped}\"")), format!("\"{}\"", encoded(REDACTED)));
}

#[test]
fn what_is_no_text_or_holds_nothing_stays_as_it_is() {
    let picture =
        base64(&(0_u16..900).flat_map(|byte| byte.wrapping_mul(7919).to_be_bytes()).collect::<Vec<u8>>(), false, true);
    let svg = encoded("<svg><!-- bob@example.com --></svg>");
    for text in [
        format!("\"data:image/png;base64,{picture}\""),
        format!("\"data:image\\/svg+xml;base64,{svg}\""),
        format!("\"data:audio/x;a=b;base64,{svg}\""),
        format!("\"{}\"", encoded("the agent ran and found nothing at all")),
        // Not canonical: bits that mean nothing, padding that is not all there.
        "\"dGhlIGFnZW50IHJhbiBhbmQgZm91bmQgbm90aGluZ3==\"".to_owned(),
        "\"internationalization /usr/local/lib/python/site-packages/app.py\"".to_owned(),
    ] {
        for format in [Format::Json, Format::Text] {
            assert_eq!(redacted(format, &text), text);
        }
    }
    let plain = format!("\"data:text/plain;base64,{}\"", encoded(TEXT));
    assert_eq!(redacted(Format::Json, &plain), plain.replace(&encoded(TEXT), &encoded(REDACTED)));
}

#[test]
fn one_level_of_base64_is_read() {
    let twice = encoded(&encoded(TEXT));
    assert_eq!(redacted(Format::Text, &twice), twice);
}

#[test]
fn runs_as_long_as_the_bound_are_read_and_longer_ones_are_not() {
    let filler = "all is well, ".repeat(700);
    for (length, is_read) in [(6000 - TEXT.len(), true), (6003 - TEXT.len(), false)] {
        let text = format!("{}{TEXT}", &filler[..length]);
        for before in ["", "x ", &"y ".repeat(5000)] {
            let document = format!("\"{before}{}\"", encoded(&text));
            let found = redact_by(encoded_plan(), Format::Json, document.as_bytes(), &[]);
            let changed = found != document.as_bytes();
            assert_eq!(changed, is_read, "{length} {}", before.len());
            for size in [1, 7, 100, 8191, 8192, 8193] {
                assert!(redact_by(encoded_plan(), Format::Json, document.as_bytes(), &[size]) == found, "{size}");
            }
        }
    }
}

#[test]
fn a_rule_that_takes_the_run_itself_wins() {
    let key = format!(r#"{{"password": "{}"}}"#, encoded(TEXT));
    assert_eq!(redacted(Format::Json, &key), r#"{"password": "[PASSWORD]"}"#);
    let basic = format!("Authorization: Basic {}", encoded("bob@example.com:hunter22x"));
    assert_eq!(redacted(Format::Text, &basic), "Authorization: Basic [BASIC_CREDENTIALS]");
}

const EMAIL: &str = "[[override]]\nid = 'email.address'\nbase64 = true\n";

fn plan_with(rules: &str, policy: &Policy) -> Arc<Plan> {
    let ruleset = Ruleset::from_texts(&[("rules.toml".to_owned(), rules.to_owned())]).unwrap();
    Arc::new(Plan::new(Arc::new(Engine::compile(Arc::new(ruleset)).unwrap()), policy))
}

#[test]
fn only_rules_that_have_the_option_look_into_base64() {
    let plan = plan_of(&[("rules.toml".to_owned(), EMAIL.to_owned())]);
    let text = encoded("bob@example.com, card 4111 1111 1111 1111");
    assert_eq!(redacted_by(&plan, Format::Text, &text), encoded("[EMAIL_ADDRESS], card 4111 1111 1111 1111"));
}

#[test]
fn a_file_says_it_for_its_rules_and_a_rule_for_itself() {
    let rule = |id: &str, more: &str| {
        format!(
            "[[rule]]\nid = 'acme.{id}'\nentity = 'ACME'\ncategory = 'credential'\ndescription = 'Acme'\n\
             pattern = '\\bacme_{id}_[a-z0-9]{{8}}\\b'\nexamples = ['acme_{id}_a1b2c3d4']\n\
             negative_examples = ['acme_']\n{more}\n"
        )
    };
    let file = format!("base64 = true\n{}{}", rule("on", ""), rule("off", "base64 = false"));
    let plan = plan_of(&[("acme.toml".to_owned(), file)]);
    let text = encoded("acme_on_a1b2c3d4 acme_off_a1b2c3d4");
    assert_eq!(redacted_by(&plan, Format::Text, &text), encoded("[ACME] acme_off_a1b2c3d4"));
}

#[test]
fn actions_apply_to_what_is_within() {
    let text = format!("\"{}\"", encoded(TEXT));
    let key = Arc::new(HashKey::new("k1", b"Only for tests: thirty-two bytes").unwrap());
    for (treatment, expected) in [
        (Treatment::Mask(Mask::default().keeping(0, 4).unwrap().of_same_length()), "to ***********.com, now"),
        (Treatment::Remove, "to , now"),
        (Treatment::Hash(Pseudonym::new(key, 64).unwrap()), "to [EMAIL_ADDRESS:k1:"),
        (Treatment::Replace("<{entity}>".parse().unwrap()), "to <EMAIL_ADDRESS>, now"),
        (Treatment::Report, TEXT),
    ] {
        let plan = plan_with(EMAIL, &Policy::always(treatment.clone()));
        let found = redact_by(&plan, Format::Json, text.as_bytes(), &[]);
        let found = String::from_utf8(found).unwrap();
        let prefix = encoded(&expected[..expected.len() / 3 * 3]);
        assert!(found.starts_with(&format!("\"{prefix}")), "{treatment:?} {found}");
        let applied = find(&plan, Format::Json, text.as_bytes()).unwrap();
        assert_eq!((applied.len(), applied[0].action, applied[0].base64), (1, treatment.action(), true));
        assert_eq!(redact_by(&plan, Format::Json, found.as_bytes(), &[]), found.as_bytes());
    }
}

#[test]
fn a_policy_that_blocks_blocks_what_is_within() {
    let plan = plan_with(EMAIL, &Policy::always(Treatment::Block));
    let document = format!("\"{}\"", encoded(TEXT));
    let blocked = find(&plan, Format::Json, document.as_bytes()).unwrap_err();
    let expected = RedactError::Blocked { entity: "EMAIL_ADDRESS".into(), rule: "email.address".into() };
    assert_eq!(blocked, expected);
    assert_eq!(naive::find(&plan, Format::Json, document.as_bytes()).unwrap_err(), expected);
}

#[test]
fn every_finding_within_counts_by_its_rule() {
    let mut policy = Policy::default();
    policy.entities.insert("CREDIT_CARD".into(), Treatment::Report);
    let plan = plan_with("[[override]]\nid = '*'\nbase64 = true\n", &policy);
    let text = "a@example.com 4111 1111 1111 1111 b@example.com";
    let document = format!("\"{}\"", encoded(text));
    let mut redactor = Redactor::new(&plan, Format::Json);
    let mut out = Vec::new();
    redactor.push(document.clone().into(), &mut out).unwrap();
    redactor.finish(&mut out).unwrap();
    let expected = encoded("[EMAIL_ADDRESS] 4111 1111 1111 1111 [EMAIL_ADDRESS]");
    assert_eq!(out.concat(), format!("\"{expected}\"").as_bytes());
    let mut counts: Vec<(&str, Action, u64)> = redactor
        .report()
        .findings
        .iter()
        .map(|tally| (plan.engine().ruleset().rules[tally.rule].id.as_str(), tally.action, tally.count))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [("email.address", Action::Replace, 2), ("payment.card-grouped", Action::Report, 1)]);
}

#[test]
fn what_is_only_counted_is_counted_once_however_it_comes() {
    let plan = plan_with("[[override]]\nid = 'email.address'\nbase64 = true\nshadow = true\n", &Policy::default());
    let run = |number: usize| encoded(&format!("{}bob{number}@example.com", "z ".repeat(2704)));
    let document: String = (0..8).map(|number| format!("{}{} ", "y ".repeat(6000), run(number))).collect();
    for size in [usize::MAX, 64 << 10, 16 << 10, 5000, 1000] {
        let mut redactor = Redactor::new(&plan, Format::Text);
        let mut out = Vec::new();
        for piece in document.as_bytes().chunks(size.min(document.len())) {
            redactor.push(piece.to_vec().into(), &mut out).unwrap();
        }
        redactor.finish(&mut out).unwrap();
        assert_eq!(out.concat(), document.as_bytes());
        let counted: u64 = redactor.report().findings.iter().map(|tally| tally.count).sum();
        assert_eq!(counted, 8, "in pieces of {size}");
    }
}

#[test]
fn a_text_stands_where_its_run_does() {
    let rules = format!("{EMAIL}exclude_paths = ['/trace/**']\nallow = [{{ path = '/to' }}, '^root@']\n");
    let plan = plan_of(&[("rules.toml".to_owned(), rules)]);
    let text = r#"{"to": "bob@example.com", "from": "root@example.com"}"#;
    let document = |a: &str, b: &str, c: &str| {
        let [a, b, c] = [a, b, c].map(encoded);
        format!(r#"{{"trace": {{"x": "{a}"}}, "to": "{b}", "body": ["{c}"]}}"#)
    };
    let after = text.replace("bob@example.com", "[EMAIL_ADDRESS]");
    assert_eq!(redacted_by(&plan, Format::Json, &document(text, text, text)), document(text, text, &after));
}

#[test]
fn what_is_written_is_what_the_oracle_writes_however_it_comes() {
    let mut random = Random(20_261_126);
    let (mut texts, mut findings) = (0, 0);
    for number in 0..600 {
        let document = quick_encoded_heap(&mut random);
        let format = [Format::Json, Format::Ndjson, Format::Text][number % 3];
        let (_, opened) = all_by(encoded_plan(), format, &document, &[]);
        texts += opened.len();
        findings += opened.iter().map(|opened| opened.findings.len()).sum::<usize>();
        let expected = naive::redact(encoded_plan(), format, &document).unwrap();
        for sizes in [&[][..], &[1], &[7, 300]] {
            let found = redact_by(encoded_plan(), format, &document, sizes);
            assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{format:?}");
        }
    }
    // Or the equality run shows little.
    assert!(texts > 200 && findings > texts, "{texts} texts, {findings} findings");
}

#[test]
fn a_text_at_any_chunk_border_is_found_whole() {
    let document = format!("{{\"a\": \"{}\", \"b\": \"x {}\"}}", encoded(TEXT), encoded(&"long text. ".repeat(40)));
    let expected = document.replace(&encoded(TEXT), &encoded(REDACTED));
    for format in [Format::Json, Format::Ndjson, Format::Text] {
        for at in 0..document.len() {
            let found = redact_by(encoded_plan(), format, document.as_bytes(), &[at.max(1), document.len()]);
            assert_eq!(String::from_utf8(found).unwrap(), expected, "{at}");
            assert_eq!(
                all_by(encoded_plan(), format, document.as_bytes(), &[at]),
                all_of_oracle(encoded_plan(), format, document.as_bytes())
            );
        }
    }
}

/// Each on its own, so that no other shape hides that its is not looked for.
#[test]
fn every_value_that_is_found_alone_is_found_in_base64() {
    for value in PLANTED.iter() {
        let text = format!("value: {value} ");
        let is_found = |text: &str| !all_by(encoded_plan(), Format::Text, text.as_bytes(), &[]).0.is_empty();
        assert!(is_found(&text) && is_found(&format!("x {} ", encoded(&text))), "{value}");
    }
}
