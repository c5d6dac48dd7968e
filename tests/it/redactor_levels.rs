//! Values in JSON within JSON strings, eight levels deep and deeper.

use super::redactor_rig::{check_cuts, redact_whole};
use expurgate::scan::Format;
use serde_json::{Value, json};

/// The depth to which everything is found.
const DEPTH: usize = 8;

/// `text` in so many documents, each a string of the next.
fn nested(text: &str, depth: usize) -> String {
    (0..depth).fold(text.to_owned(), |text, _| json!({ "a": text, "n": 1 }).to_string())
}

/// What `document` holds so many documents deep; panics where one is no JSON.
fn unnested(document: &str, depth: usize) -> String {
    (0..depth).fold(document.to_owned(), |document, level| {
        let tree: Value = serde_json::from_str(&document).unwrap_or_else(|error| panic!("level {level}: {error}"));
        assert_eq!(tree["n"], 1, "level {level}");
        tree["a"].as_str().unwrap().to_owned()
    })
}

/// What becomes of `text` so deep.
fn redacted(text: &str, depth: usize) -> String {
    let document = nested(text, depth);
    unnested(&String::from_utf8(redact_whole(Format::Json, document.as_bytes())).unwrap(), depth)
}

const VALUES: [(&str, &str); 8] = [
    ("bob.miller@example.com", "[EMAIL_ADDRESS]"),
    ("glpat-Vd2RnWb8PtYs4HcJ9qKe", "[GITLAB_TOKEN]"),
    ("AKIAQ3EGUW5XRTJ7MVPA", "[AWS_ACCESS_KEY_ID]"),
    ("+44 20 7946 0129", "[PHONE_NUMBER]"),
    ("617-555-0110", "[PHONE_NUMBER]"),
    ("4111 1111 1111 1111", "[CREDIT_CARD]"),
    ("DE89370400440532013000", "[IBAN_CODE]"),
    ("536-22-8145", "[US_SSN]"),
];

#[test]
fn a_value_is_found_at_every_level_whatever_is_glued_to_it() {
    for depth in 1..=DEPTH {
        for (value, label) in VALUES {
            for glued in ["\n", "\t", "\r", "\u{8}", "\u{c}", "/", "\"", "\u{1f389}", " "] {
                let text = |value: &str| format!("x{glued}{value}{glued}y");
                assert_eq!(redacted(&text(value), depth), text(label), "{value} at {depth}");
            }
        }
    }
}

#[test]
fn a_value_is_found_at_every_level_with_letters_as_code_points() {
    for depth in 0..=DEPTH {
        for (value, label) in VALUES {
            for at in [0, value.len() / 2, value.len() - 1] {
                let code = u32::from(value.as_bytes()[at]);
                for code in [format!("\\u{code:04x}"), format!("\\u{code:04X}"), format!("\\x{code:02x}")] {
                    let text = format!("x {}{code}{} y", &value[..at], &value[at + 1..]);
                    assert_eq!(redacted(&text, depth), format!("x {label} y"), "{text} at {depth}");
                }
            }
        }
    }
}

#[test]
fn a_key_rule_holds_at_every_level_and_the_document_stays_valid() {
    let values = ["hunter22x", "hun\"ter22x", "hun\\ter22x", "h\nunter22x", "a/b/hunter22\u{1f389}", "it's hunter22"];
    for depth in 0..=DEPTH {
        for value in values {
            let text = json!({ "password": value, "n": 1 }).to_string();
            let found: Value = serde_json::from_str(&redacted(&text, depth)).unwrap();
            assert_eq!(found, json!({ "password": "[PASSWORD]", "n": 1 }), "{value} at {depth}");
        }
        let found = redacted(r#"{"p\u0061ssword":20240607,"n":1}"#, depth);
        assert_eq!(found, r#"{"p\u0061ssword":"[PASSWORD]","n":1}"#, "at {depth}");
    }
}

#[test]
fn a_dictionary_of_python_is_understood_at_every_level() {
    // A JSON document itself has no single quotes.
    for depth in 1..=DEPTH {
        for (text, expected) in [
            ("{'password': 'hunter22x', 'n': 1}", "{'password': '[PASSWORD]', 'n': 1}"),
            (r#"{'password': "it's hunter22", 'n': 1}"#, r#"{'password': "[PASSWORD]", 'n': 1}"#),
            (r#"{'password': 'hun\'t"er22'}"#, "{'password': '[PASSWORD]'}"),
            (r"'{\'password\': \'hunter22x\'}'", r"'{\'password\': \'[PASSWORD]\'}'"),
            ("{'password': 12345678}", "{'password': '[PASSWORD]'}"),
            ("{'password': b'hunter22\\xff'}", "{'password': b'[PASSWORD]'}"),
        ] {
            assert_eq!(redacted(text, depth), expected, "at {depth}");
        }
    }
}

#[test]
fn a_quote_that_is_not_closed_takes_no_more_than_its_string() {
    for depth in 1..=DEPTH {
        for (log, expected) in [
            ("password='hunter22x", "password='[PASSWORD]"),
            ("password='hunter22x at 9", "password='[PASSWORD]"),
            ("password='hun\"ter22x", "password='[PASSWORD]"),
        ] {
            for (document, expected) in [
                (json!(log), json!(expected)),
                (json!([log]), json!([expected])),
                (json!({ "log": log, "n": 7 }), json!({ "log": expected, "n": 7 })),
                (json!({ "log": log, "quoted": "it's" }), json!({ "log": expected, "quoted": "it's" })),
                (json!({ log: "it's" }), json!({ expected: "it's" })),
            ] {
                assert_eq!(redacted(&document.to_string(), depth), expected.to_string(), "at {depth}");
            }
        }
    }
}

#[test]
fn what_follows_a_name_that_ends_like_an_assignment_is_no_password() {
    for document in [r#"{"a=\"pass=":411}"#, r#"{"a=\"pass=":true,"b":"x"}"#, r#"["a=\"pass=","hunter22"]"#] {
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        for depth in 1..=DEPTH {
            assert_eq!(redacted(&document.to_string(), depth), document.to_string(), "at {depth}");
        }
    }
}

#[test]
fn a_token_with_a_slash_is_found_however_many_writers_escape_it() {
    let token = format!("4/0A{}", "q8f1o2m3n4b5".repeat(4));
    for escapes in 0..=7 {
        let written = token.replace('/', &format!("{}/", r"\".repeat(escapes)));
        let found = redact_whole(Format::Json, format!(r#"{{"code": "x {written} y"}}"#).as_bytes());
        let found = String::from_utf8(found).unwrap();
        assert!(!found.contains("q8f1o2m3n4b5"), "{found}");
    }
}

#[test]
fn a_number_with_an_escaped_digit_becomes_a_string_within_a_string() {
    let document = r#"{"a": "[4111\u0031111\u0031\u0031111111]"}"#;
    let found: Value = serde_json::from_slice(&redact_whole(Format::Json, document.as_bytes())).unwrap();
    assert_eq!(found["a"], r#"["[CREDIT_CARD]"]"#);
}

#[test]
fn no_plain_value_leaks_however_deep_it_is() {
    for depth in DEPTH + 1..=12 {
        for (value, label) in VALUES {
            for glued in [" ", "\n", "\t", "\u{1f389}"] {
                let document = nested(&format!("x{glued}{value}{glued}y"), depth);
                let found = String::from_utf8(redact_whole(Format::Json, document.as_bytes())).unwrap();
                assert!(found.contains(label) && !found.contains(value), "{value:?} at {depth}");
            }
        }
    }
}

#[test]
fn deep_documents_are_found_as_the_oracle_finds_them_however_cut() {
    for depth in [3, 7, 8] {
        let text = json!({ "password": "hun\"ter22x", "log": "{'token': 'q8f1o2m3n4b5'}\nbob@example.com" });
        let document = nested(&text.to_string(), depth);
        let cuts: Vec<Vec<usize>> = (0..=document.len()).step_by(17).map(|cut| vec![cut]).collect();
        check_cuts(Format::Json, document.as_bytes(), &cuts);
    }
}
