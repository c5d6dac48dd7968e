//! Characters without width and digits of other forms: what they do not hide.

use super::redactor_paths::overriding;
use super::redactor_rig::{check_cuts_of_long, findings_by, plan, plan_of, redact, redact_by};
use super::redactor_text::Random;
use expurgate::scan::{Format, naive};
use std::sync::Arc;

/// Redacts by the built-in rules and `rules`, as a whole and byte by byte; the
/// oracle must agree.
fn redacted(rules: &str, format: Format, text: &str) -> String {
    let plan = match rules {
        "" => Arc::clone(plan()),
        rules => plan_of(&[("rules.toml".to_owned(), rules.to_owned())]),
    };
    let oracle = naive::findings(plan.engine(), format, text.as_bytes());
    let cuts: Vec<usize> = (0..text.len()).collect();
    for cuts in [&[][..], &cuts] {
        assert_eq!(findings_by(&plan, format, text.as_bytes(), cuts), oracle, "{text}");
    }
    String::from_utf8(redact_by(&plan, format, text.as_bytes(), &[])).unwrap()
}

#[test]
fn a_character_anywhere_in_a_match_hides_nothing() {
    for (text, expected) in [
        ("pass\u{200b}word=hunter2x.", "pass\u{200b}word=[PASSWORD]"),
        ("x Authorization: Be\u{ad}arer q8f1o2m3n4b5v6c7x8z9", "x Authorization: Be\u{ad}arer [BEARER_TOKEN]"),
        ("pho\u{2060}ne 00447700900933", "pho\u{2060}ne [PHONE_NUMBER]"),
        ("{'pass\u{200d}word': 'hunter22x'}", "{'pass\u{200d}word': '[PASSWORD]'}"),
        ("pass\u{e0041}word=hunter2x", "pass\u{e0041}word=[PASSWORD]"),
        ("bob\u{fe0f}@example.com", "[EMAIL_ADDRESS]"),
        ("b\u{2060}ob@exam\u{34f}ple.com", "[EMAIL_ADDRESS]"),
    ] {
        for format in [Format::Json, Format::Text] {
            let found = redacted("", format, &format!("\"{text}\""));
            assert!(found == format!("\"{expected}\"") || found.contains(expected), "{found}");
        }
    }
    let nested = r#"{"log": "{\"pass\u200bword\": \"hunter22x\"}"}"#;
    assert_eq!(redacted("", Format::Json, nested), nested.replace("hunter22x", "[PASSWORD]"));
}

#[test]
fn what_is_read_twice_takes_no_part_of_an_escape() {
    // The end of what is read together falls on every byte of the quote's escapes.
    for length in 1440..1540 {
        for quote in ["\\\"", "\\\\\\\"", "\\u0022"] {
            let filler = "word ".repeat(400);
            let document =
                format!("{{\"log\":\"{{{quote}pass\u{200b}word{quote}:{quote}{}{quote}}}\"}}", &filler[..length]);
            let found = redacted("", Format::Json, &document);
            assert!(serde_json::from_str::<serde_json::Value>(&found).is_ok(), "{found}");
            assert!(found.ends_with(&format!("{quote}}}\"}}")), "{found}");
        }
    }
}

#[test]
fn a_bare_number_under_a_name_that_hides_leaves_the_document_whole() {
    for value in ["-12345678", "12.5345678", "1.5e30", "12345678", "true"] {
        let nested = format!(r#"{{"log": "{{\"pass\u200bword\": {value}}}"}}"#);
        let found: serde_json::Value = serde_json::from_str(&redacted("", Format::Json, &nested)).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(found["log"].as_str().unwrap()).is_ok(), "{found}");
    }
}

#[test]
fn a_value_under_a_name_that_hides_is_found_up_to_its_own_quote() {
    for value in ["ab\"cd-rest-of-it", "first\nsecond", "x\\\"y\tz, 7]"] {
        let text = serde_json::json!({ "pass\u{200b}word": value, "n": 1 });
        let found = redacted("", Format::Json, &serde_json::json!({ "log": text.to_string() }).to_string());
        let expected = serde_json::json!({ "pass\u{200b}word": "[PASSWORD]", "n": 1 });
        assert_eq!(found, serde_json::json!({ "log": expected.to_string() }).to_string());
    }
}

#[test]
fn a_document_under_a_name_that_hides_stays_one() {
    // A quote of the document within is none that ends the value.
    let inner = r#"{"count": 1234567, "text": "\"quoted\" @z40://"}"#;
    for value in [serde_json::json!(inner), serde_json::json!([inner]), serde_json::json!([7, inner])] {
        let text = serde_json::json!({ "a": "x", "passwor\u{feff}d": value }).to_string();
        for document in [serde_json::json!(text), serde_json::json!({ "log": [text] })] {
            let found = redacted("", Format::Json, &document.to_string());
            let found: serde_json::Value = serde_json::from_str(&found).unwrap();
            let text = found.as_str().or_else(|| found["log"][0].as_str()).unwrap();
            let text: serde_json::Value = serde_json::from_str(text).unwrap();
            let value = &text["passwor\u{feff}d"];
            let value = value.as_str().or_else(|| value.as_array()?.last()?.as_str()).unwrap();
            assert!(value == "[PASSWORD]" || serde_json::from_str::<serde_json::Value>(value).is_ok(), "{value}");
        }
    }
}

#[test]
fn what_a_key_rule_finds_within_a_value_does_not_end_it() {
    let inner = r#"{"ssn": 536228145, "text": "\"quoted\" @z40://"}"#;
    for value in [serde_json::json!(inner), serde_json::json!([inner]), serde_json::json!([7, inner])] {
        let text = serde_json::json!({ "a": "x", "passwor\u{feff}d": value }).to_string();
        let found = redacted("", Format::Json, &serde_json::json!({ "log": [text] }).to_string());
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let text = found["log"][0].as_str().unwrap();
        assert!(!text.contains("536228145") && (!text.contains("[PASSWORD]") || !text.contains("quoted")), "{text}");
    }
}

#[test]
fn a_string_that_is_not_closed_before_such_a_character_ends_with_the_one_around_it() {
    let hidden = "{\u{200b}{ 234-555-0110".repeat(3);
    let text = format!(r#"{{"b"o=bob%25:"{{\"password\":\"1hun\\\"ter4"}}"{hidden}"#);
    let document = serde_json::json!({ "a": text }).to_string();
    let found = redacted("", Format::Json, &document);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let found = found["a"].as_str().unwrap();
    assert!(found.contains(r#"[PASSWORD]"}"{"#) && !found.contains("ter4"), "{found}");
}

#[test]
fn a_pattern_over_such_a_character_ends_with_the_string_that_began_before_it() {
    let card = "5555-5555-5555-4444";
    let text =
        format!("Password='q1{}\"db.pas\u{200b}sword\",\"value\":{{{card}\"i{}x", "l".repeat(60), "l".repeat(33));
    let document = serde_json::json!([text]).to_string();
    for document in [document.clone(), serde_json::json!(document).to_string()] {
        let found = redacted("", Format::Json, &document);
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let inner = found.as_str().map_or_else(|| found.clone(), |text| serde_json::from_str(text).unwrap());
        let text = inner[0].as_str().unwrap();
        assert!(text.starts_with("Password='[PASSWORD]") && !text.contains(card), "{text}");
    }
}

#[test]
fn a_value_between_does_not_hide_what_a_keyword_gave_away() {
    for pin in ["ab12cd34", "ab"] {
        let found = redacted("", Format::Text, &format!("pho\u{2060}ne 'pin': '{pin}' 00447700900933"));
        assert!(found.ends_with("' [PHONE_NUMBER]"), "{found}");
    }
}

#[test]
fn a_token_over_the_border_of_two_cells_is_found_whole() {
    let token = super::redactor_long::base64(800);
    for at in [10, 20, 30] {
        let (head, tail) = token.split_at(at);
        let (middle, tail) = tail.split_at(90);
        let text = format!("{}Bearer {head}\u{200b}{middle}\u{200b}{tail}", "word ".repeat(200));
        let found = redacted("", Format::Text, &text);
        assert!(!found.contains(&tail[tail.len() - 200..]), "{at}: {found}");
    }
}

#[test]
fn hyphens_and_spaces_of_other_forms_join_numbers() {
    for (text, label) in [
        ("call 415\u{2011}555\u{2011}0106 now", "PHONE_NUMBER"),
        ("card 4111\u{2007}1111\u{2007}1111\u{2007}1111 now", "CREDIT_CARD"),
        ("call +44\u{2007}20\u{2010}7946\u{2212}0129 now", "PHONE_NUMBER"),
        ("call (415)\u{2007}555\u{2012}0106 now", "PHONE_NUMBER"),
        ("call 415\u{2013}555\u{2013}0106 now", "PHONE_NUMBER"),
        ("card 4111\u{a0}1111\u{a0}1111\u{a0}1111 now", "CREDIT_CARD"),
        ("card 4111\u{202f}1111\u{202f}1111\u{202f}1111 now", "CREDIT_CARD"),
        ("to DE89\u{a0}3704\u{a0}0044\u{a0}0532\u{a0}0130\u{a0}00 now", "IBAN_CODE"),
        ("to GB82\u{202f}WEST\u{202f}1234\u{202f}5698\u{202f}7654\u{202f}32 now", "IBAN_CODE"),
        ("number 219\u{2013}09\u{2013}9999 now", "US_SSN"),
    ] {
        let (word, number) = text.split_once(' ').unwrap();
        let number = number.strip_suffix(" now").unwrap();
        let expected = format!("\"{word} {} now\"", number.replace(number, &format!("[{label}]")));
        assert_eq!(redacted("", Format::Json, &format!("\"{text}\"")), expected);
    }
    for text in ["2010–2015", "pages 10 – 20", "(see\u{a0}5) 1\u{202f}234\u{202f}567 km"] {
        assert_eq!(redacted("", Format::Json, &format!("\"{text}\"")), format!("\"{text}\""));
    }
}

#[test]
fn typographers_put_spaces_that_do_not_break_before_colons() {
    for (text, expected) in [
        ("mot de passe\u{a0}: Soleil2024xk", "mot de passe\u{a0}: [PASSWORD]"),
        ("mot de passe\u{202f}:\u{202f}Soleil2024xk", "mot de passe\u{202f}:\u{202f}[PASSWORD]"),
        ("password\u{a0}=\u{a0}hunter22xx", "password\u{a0}=\u{a0}[PASSWORD]"),
    ] {
        assert_eq!(redacted("", Format::Text, text), expected);
    }
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIOkLtzqiwn\nj6lBwgcNFFPNsjm2BbgmGiXEoJcwNQ\n-----END PRIVATE KEY-----";

#[test]
fn a_private_key_is_found_whole_wherever_such_a_character_stands_in_it() {
    for (at, _) in KEY.char_indices() {
        for char in ["\u{200b}", "\u{feff}\u{ad}", "\u{fe0f}", "\u{e0020}"] {
            let key = format!("{}{char}{}", &KEY[..at], &KEY[at..]);
            let found = redacted("", Format::Text, &format!("a {key} b"));
            let label = found.trim_start_matches("a ").trim_start_matches(char);
            assert_eq!(label, "[PRIVATE_KEY] b", "{at} {char:?}");
        }
    }
    let escaped = KEY.replace('\n', r"\n").replace("MC4", r"M\u200bC4").replace("EY-----\\", r"EY\u2060-----\");
    let json = format!(r#"{{"key": "{escaped}", "n": 1}}"#);
    assert_eq!(redacted("", Format::Json, &json), r#"{"key": "[PRIVATE_KEY]", "n": 1}"#);
}

#[test]
fn a_long_private_key_is_found_whole_though_its_first_line_hides() {
    let body = "MC4CAQAwBQYDK2VwBCIEIOkLtzqiwn\u{200b}".repeat(1000);
    let text = format!("-----BEGIN\u{200b} PRIVATE KEY-----\n{body}\n-----END PRIVATE K\u{200b}EY-----, b");
    for sizes in [&[][..], &[1000], &[8191, 3]] {
        let found = redact(Format::Text, text.as_bytes(), sizes);
        assert_eq!(String::from_utf8(found).unwrap(), "[PRIVATE_KEY], b");
    }
    let mut random = Random(7);
    let cuts: Vec<Vec<usize>> = (0..20).map(|_| random.cuts(text.len(), 20)).collect();
    check_cuts_of_long(Format::Text, text.as_bytes(), &cuts);
}

#[test]
fn what_a_region_leaves_of_a_finding_is_redacted() {
    // The value under the name takes the first part of the address.
    let text = "\"x 'pin': 'ab'bob\u{200b}@example.com\"";
    let found = redacted("", Format::Json, text);
    assert!(!found.contains("bob"), "{found}");
}

#[test]
fn keywords_are_seen_beyond_the_string() {
    for json in ["{\"mobile\": \"0049171\u{200b}3920091\"}", r#"{"a": "{\"mobile\": \"0049171\\u200b3920091\"}"}"#] {
        assert!(redacted("", Format::Json, json).contains("\"[PHONE_NUMBER]"), "{json}");
        let other = json.replace("mobile", "number_of_id").replace("number_of_", "my");
        assert_eq!(redacted("", Format::Json, &other), other);
    }
}

#[test]
fn a_rule_looks_at_its_paths_and_nowhere_else() {
    let json = "{\"a\": {\"b\": \"bob\u{200b}@example.com\"}, \"c\": \"bob\u{200b}@example.com\"}";
    let only = |first: bool| {
        let mut seen = 0;
        let parts = json.split("bob\u{200b}@example.com").collect::<Vec<_>>();
        parts[1..].iter().fold(parts[0].to_owned(), |text, part| {
            seen += 1;
            text + if (seen == 1) == first { "[EMAIL_ADDRESS]" } else { "bob\u{200b}@example.com" } + part
        })
    };
    for (fields, first) in
        [("paths = ['/a/*']", true), ("exclude_paths = ['/a/**']", false), ("allow = [{ path = '/c' }]", true)]
    {
        assert_eq!(redacted(&overriding("email.address", fields), Format::Json, json), only(first), "{fields}");
    }
    let allowed = overriding("email.address", "allow = ['^bob@']");
    assert_eq!(redacted(&allowed, Format::Json, json), json);
}

#[test]
fn all_rules_of_a_name_are_asked() {
    let rules = "[[key]]\nid = 'a.key'\nentity = 'ACME'\nnames = ['password']\npaths = ['/acme/**']\n\
                 examples = ['{\"acme\": {\"password\": \"a1\"}}']\nnegative_examples = ['{\"password\": \"a1\"}']\n";
    let rules = overriding("key.password", "allow = [{ path = '/acme/**' }, '^keep']") + rules;
    let json =
        r#"{"acme": {"password": ["hunter2!", "keep"], "n": 1}, "password": "hunter2!", "x": {"password": "keep me"}}"#;
    let expected = r#"{"acme": {"password": ["[ACME]", "[ACME]"], "n": 1}, "password": "[PASSWORD]", "x": {"password": "keep me"}}"#;
    assert_eq!(redacted(&rules, Format::Json, json), expected);
}
