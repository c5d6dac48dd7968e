//! What every action writes: not found again, valid where it stands, the same
//! however the document is cut.

use super::redactor::config;
use super::redactor_rig::{plan, plan_for, redact_by};
use super::redactor_text::{style, text, value};
use super::redactor_tree::Tree;
use expurgate::redact::{HashKey, Mask, Plan, Pseudonym, RedactError, Redactor, Treatment, naive};
use expurgate::scan::Format;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;
use std::sync::{Arc, LazyLock};

const KEY: &[u8] = b"Only for tests: thirty-two bytes";

fn hash(bits: u32) -> Treatment {
    let key = Arc::new(HashKey::new("k1", KEY).unwrap());
    Treatment::Hash(Pseudonym::new(key, bits).unwrap())
}

/// A mask that keeps so many characters at both ends.
fn keeping(first: u32, last: u32) -> Mask {
    Mask::default().keeping(first, last).unwrap()
}

/// Every action that writes, with its options.
static PLANS: LazyLock<Vec<(String, Arc<Plan>)>> = LazyLock::new(|| {
    let mask = Mask::default();
    let treatments = [
        Treatment::Replace("<{entity}>".parse().unwrap()),
        Treatment::Remove,
        hash(64),
        hash(256),
        Treatment::Mask(mask),
        Treatment::Mask(mask.with_character('-').unwrap().of_length(6).unwrap()),
        Treatment::Mask(keeping(1, 4)),
        Treatment::Mask(keeping(2, 2).of_length(8).unwrap()),
    ];
    treatments
        .into_iter()
        .chain(same_length())
        .map(|treatment| (format!("{treatment:?}"), plan_for(treatment)))
        .collect()
});

/// The masks that keep lengths.
fn same_length() -> [Treatment; 2] {
    [Treatment::Mask(Mask::default().of_same_length()), Treatment::Mask(keeping(2, 4).of_same_length())]
}

static SAME_LENGTH: LazyLock<Vec<Arc<Plan>>> = LazyLock::new(|| same_length().map(plan_for).to_vec());

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The words of a label say nothing of what stands behind it: `[PHONE_NUMBER] and 030 1234567`.
#[test]
fn what_stands_behind_a_label_is_found_at_once_or_never() {
    const BETWEEN: [&str; 8] = [": ", "=", " ", ", ", " is ", " and ", "\\\":\\\"", " = \\\""];
    const BEHIND: [&str; 6] =
        ["030 1234567", "(030) 1234567", "hunter22xyz9", "q8F1o2m3N4b5v6c7x8z9", "536228145", "12345678901"];
    let ruleset = plan().engine().ruleset();
    let values = ruleset.rules.iter().filter(|rule| rule.enabled).filter_map(|rule| {
        let example = rule.examples.first()?;
        Some(example.finds.as_deref().unwrap_or(&example.text)).filter(|text| text.len() < 200)
    });
    let mut lines = String::new();
    for value in values {
        let value = serde_json::to_string(value).unwrap();
        for (between, behind) in BETWEEN.iter().flat_map(|between| BEHIND.map(|behind| (between, behind))) {
            lines += &format!("{{\"a\":\"{}{between}{behind} end\"}}\n", value.trim_matches('"'));
        }
    }
    for plan in [plan(), &plan_for(hash(64))] {
        let once = redact_by(plan, Format::Ndjson, lines.as_bytes(), &[1 << 16]);
        let twice = redact_by(plan, Format::Ndjson, &once, &[1 << 16]);
        assert_ne!(once, lines.as_bytes());
        for (once, twice) in once.split(|&byte| byte == b'\n').zip(twice.split(|&byte| byte == b'\n')) {
            assert_eq!(shown(once), shown(twice));
        }
        assert_eq!(once.len(), twice.len());
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn redacting_twice_changes_nothing_whatever_the_action(value in value(), style in style()) {
        let document = value.write(style).into_bytes();
        for (action, plan) in PLANS.iter() {
            let once = redact_by(plan, Format::Json, &document, &[]);
            let twice = redact_by(plan, Format::Json, &once, &[]);
            prop_assert_eq!(shown(&twice), shown(&once), "{}\nwas {}", action, shown(&document));
        }
    }

    #[test]
    fn valid_json_stays_valid_at_every_level_whatever_the_action(value in value(), style in style()) {
        let document = value.write(style);
        let before = Tree::parse(&document).unwrap();
        for (action, plan) in PLANS.iter() {
            let redacted = shown(&redact_by(plan, Format::Json, document.as_bytes(), &[]));
            let after = Tree::parse(&redacted);
            prop_assert!(after.is_some(), "{action}\nno JSON any more: {redacted}\nwas {document}");
            let mistake = after.unwrap().unlike(&before).unwrap_or_default();
            prop_assert!(mistake.is_empty(), "{action}\n{mistake}\nwas {document}\nis  {redacted}");
        }
    }

    #[test]
    fn masks_of_the_same_length_keep_the_length_of_every_document(
        value in value(), text in text(), style in style(),
    ) {
        for plan in SAME_LENGTH.iter() {
            for (format, document) in [(Format::Json, value.write(style)), (Format::Text, text.clone())] {
                let redacted = redact_by(plan, format, document.as_bytes(), &[]);
                prop_assert_eq!(redacted.len(), document.len(), "{}\nis {}", document, shown(&redacted));
            }
        }
    }

    #[test]
    fn every_action_writes_what_the_oracle_writes_however_cut(
        values in prop::collection::vec(value(), 1..4),
        style in style(),
        format in prop::sample::select(&[Format::Json, Format::Text][..]),
        sizes in prop::collection::vec(prop_oneof![1_usize..40, 1_usize..3000], 1..4),
    ) {
        let document: String = values.iter().map(|value| value.write(style) + "\n").collect();
        for (action, plan) in PLANS.iter() {
            let expected = naive::redact(plan, format, document.as_bytes()).unwrap();
            for sizes in [&[][..], &sizes] {
                let redacted = redact_by(plan, format, document.as_bytes(), sizes);
                prop_assert_eq!(shown(&redacted), shown(&expected), "{}\nwas {}", action, document);
            }
        }
    }
}

/// A private key of so many lines, decoded.
fn private_key(lines: usize) -> String {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";
    format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----", line.repeat(lines))
}

fn pseudonym(entity: &str, value: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(value.as_bytes());
    let hash = mac.finalize().into_bytes();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[{entity}:k1:{}]", &hex[..16])
}

#[test]
fn a_secret_of_any_length_is_written_the_same_in_chunks_of_any_size() {
    for lines in [3, 400, 3000] {
        let key = private_key(lines);
        let escaped = key.replace('\n', "\\n");
        let written = |inner: &str| format!("{{\"a\": \"{inner}\", \"b\": \"x\"}}");
        let document = written(&escaped);
        let characters = key.chars().count();
        for (treatment, expected) in [
            (hash(64), pseudonym("PRIVATE_KEY", &key)),
            (Treatment::Mask(Mask::default()), "*".repeat(characters)),
            (Treatment::Mask(Mask::default().of_same_length()), "*".repeat(escaped.len())),
            (Treatment::Mask(keeping(3, 4)), format!("---{}----", "*".repeat(characters - 7))),
            (Treatment::Mask(keeping(0, 2).of_length(5).unwrap()), "*****--".to_owned()),
        ] {
            let plan = plan_for(treatment.clone());
            for sizes in [&[][..], &[1 << 16], &[8192, 1], &[16 << 10, 100, 20_000], &[997]] {
                let redacted = redact_by(&plan, Format::Json, document.as_bytes(), sizes);
                assert!(shown(&redacted) == written(&expected), "{treatment:?} of {lines} lines in {sizes:?}");
            }
        }
    }
}

#[test]
fn what_is_held_of_a_long_secret_does_not_grow() {
    let plan = plan_for(Treatment::Mask(keeping(16, 16)));
    let mut redactor = Redactor::new(&plan, Format::Json);
    let (mut out, mut most) = (Vec::new(), 0);
    redactor.push(r#"{"password": ""#.into(), &mut out).unwrap();
    for _ in 0..500 {
        redactor.push("aZ3kQ9vT\\u00e4".repeat(1000).into(), &mut out).unwrap();
        most = most.max(redactor.held());
        out.clear();
    }
    assert!(most < 64 << 10, "{most}");
}

#[test]
fn one_value_has_one_pseudonym_however_it_is_written() {
    let plan = plan_for(hash(64));
    let mail = pseudonym("EMAIL_ADDRESS", "jane.doe@example.com");
    let card = pseudonym("CREDIT_CARD", "4111111111111111");
    for (format, document, expected) in [
        (Format::Text, "mail jane.doe@example.com now".to_owned(), format!("mail {mail} now")),
        (Format::Json, r#"["jane.doe@example.com"]"#.to_owned(), format!("[\"{mail}\"]")),
        (Format::Json, r#"["jane.doe\u0040example.com"]"#.to_owned(), format!("[\"{mail}\"]")),
        (Format::Json, r#"["jane.doe%40example.com"]"#.to_owned(), format!("[\"{mail}\"]")),
        (
            Format::Json,
            r#"["{\"a\": \"\\njane.doe\\u0040example.com\"}"]"#.to_owned(),
            format!(r#"["{{\"a\": \"\\n{mail}\"}}"]"#),
        ),
        (Format::Json, r#"{"card": "4111111111111111"}"#.to_owned(), format!("{{\"card\": \"{card}\"}}")),
        (Format::Json, r#"{"card": 4111111111111111}"#.to_owned(), format!("{{\"card\": \"{card}\"}}")),
    ] {
        let redacted = redact_by(&plan, format, document.as_bytes(), &[]);
        assert_eq!(shown(&redacted), expected);
    }
}

#[test]
fn what_looks_like_a_value_in_a_pseudonym_is_none() {
    // Hex digits that are a card's number with a right check digit.
    let text = r#"{"a": "x [EMAIL_ADDRESS:k1:4111111111111111] y", "card": "[CREDIT_CARD:k1:4111111111111111]"}"#;
    for format in [Format::Json, Format::Text] {
        assert_eq!(shown(&redact_by(&plan_for(hash(64)), format, text.as_bytes(), &[])), text);
    }
    // Of whoever writes no pseudonyms, it is one.
    let redacted = shown(&redact_by(&plan_for(Treatment::default()), Format::Json, text.as_bytes(), &[]));
    assert!(!redacted.contains("4111"), "{redacted}");
    let card = r#"{"a": "x 4111111111111111 y"}"#;
    let redacted = redact_by(&plan_for(Treatment::default()), Format::Json, card.as_bytes(), &[]);
    assert_eq!(shown(&redacted), r#"{"a": "x [CREDIT_CARD] y"}"#);
}

#[test]
fn a_finding_that_blocks_is_counted() {
    let plan = plan_for(Treatment::Block);
    let mut redactor = Redactor::new(&plan, Format::Text);
    let mut out = Vec::new();
    let result = redactor.push("mail jane.doe@example.com\n".into(), &mut out).and_then(|()| redactor.finish(&mut out));
    let blocked = RedactError::Blocked { entity: "EMAIL_ADDRESS".to_owned(), rule: "email.address".to_owned() };
    assert_eq!(result, Err(blocked));
    assert_eq!(redactor.report().findings.iter().map(|tally| tally.count).sum::<u64>(), 1);
}
