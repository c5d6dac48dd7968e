//! The commands that tuning rules takes, as a shell sees them.

use crate::cli::{expurgate, expurgate_in};
use serde_json::Value;
use std::process::Output;

const RULE: &str = r#"[[rule]]
id = "acme.key"
entity = "ACME_KEY"
category = "credential"
description = "Acme"
pattern = 'acme_(?P<secret>[a-z0-9]{24})\b'
keywords = ["acme"]
validator = "random"
allow = [{ value = "a7b2k9d4x1f6p3h8c5j0e2g8", reason = "of the manual" }]
examples = ["acme: acme_a7b2k9d4x1f6p3h8c5j0e2g7"]
negative_examples = ["acme: acme_a7b2k9d4x1f6p3h8c5j0e2g8"]
"#;

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn lines(output: &Output) -> Vec<Value> {
    told(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn explain_says_where_the_exception_stands() {
    let allow = "[[override]]\nid = \"email.address\"\nallow = [{ pattern = '^bob@example[.]com$', reason = \"a demo\" }]\n\
                 negative_examples = [\"bob@example.com\"]\n";
    let directory = directory(&[("allow.toml", allow), ("body.json", r#"{"a": "bob@example.com"}"#)]);
    let output = expurgate_in(directory.path(), &["explain", "--rules", "allow.toml", "body.json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("why not: an exception of the rule allows it: "), "{told}");
    assert!(told.contains("; the rule is changed at allow.toml:2:6\n"), "{told}");
}

#[test]
fn explain_says_what_confirmed_a_finding_and_what_turned_others_down() {
    let body = r#"{"a": "acme: acme_q7z9k2x4m1v8b3n6c5t0r9w2", "b": "acme: acme_a7b2k9d4x1f6p3h8c5j0e2g8", "c": "acme: acme_abcdefghijklmnopqrstuvwx",
        "d": "4111 1111 1111 1112", "password": "<password>", "dbPassword": "hunter2!",
        "far": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx acme_q7z9k2x4m1v8b3n6c5t0r9w2"}"#;
    let directory = directory(&[("acme.toml", RULE), ("body.json", body)]);
    let explain = |more: &[&str]| {
        expurgate_in(directory.path(), &[&["explain", "--rules", "acme.toml", "body.json"], more].concat())
    };
    let output = explain(&["--output", "jsonl"]);
    assert_eq!(code(&output), Some(0));
    let all = lines(&output);
    let why = |rule: &str, pointer: &str, found: bool| {
        let is = |one: &&Value| one["rule"] == rule && one["pointer"] == pointer && one["found"] == found;
        let one = all.iter().find(is).unwrap_or_else(|| panic!("{rule} {pointer} {all:#?}"));
        one["why"].as_array().unwrap().iter().map(|why| why.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        why("acme.key", "/a", true),
        [
            "its pattern matches, by the literal `acme_`",
            "the keyword `acme` stands within 40 bytes before it",
            "the validator `random` accepts it"
        ]
    );
    assert_eq!(why("key.password", "/dbPassword", true), ["its member's name `dbPassword` is one of the rule's"]);
    assert_eq!(why("acme.key", "/b", false), ["an exception of the rule allows it: this value (of the manual)"]);
    assert_eq!(why("acme.key", "/c", false), ["the validator `random` turns it down"]);
    assert_eq!(why("acme.key", "/far", false), ["no keyword stands within 40 bytes before it: acme"]);
    assert_eq!(why("key.password", "/password", false), ["it is a placeholder or a label, no value"]);
    assert_eq!(why("payment.card", "/d", false), ["the detector `card` turns it down"]);
    // Values only when asked for.
    let shown = told(&explain(&[]));
    assert!(shown.contains("ACME_KEY by acme.key: q7z9…w2 (24 characters)"), "{shown}");
    for value in ["q7z9k2x4m1v8b3n6c5t0r9w2", "hunter2!", "1111 1112"] {
        assert!(!shown.contains(value), "{shown}");
        assert!(told(&explain(&["--show-values"])).contains(value));
    }
}

#[test]
fn explain_tells_the_record() {
    let body = b"{\"a\": 1}\n\n{\"a\": \"x ada@acme.example\"}\n{\"d\": \"4111 1111 1111 1112\"}\n";
    let directory = directory(&[]);
    std::fs::write(directory.path().join("n.ndjson"), body).unwrap();
    let shown = told(&expurgate_in(directory.path(), &["explain", "n.ndjson"]));
    assert!(shown.contains("  where:   n.ndjson, record 3 at /a, bytes 2-18\n"), "{shown}");
    assert!(shown.contains("  where:   n.ndjson, record 4 at /d, bytes 0-19\n"), "{shown}");
    let all = lines(&expurgate_in(directory.path(), &["explain", "n.ndjson", "--output", "jsonl"]));
    let mut records: Vec<_> = all.iter().map(|one| one["record"].as_u64()).collect();
    records.dedup();
    assert_eq!(records, [Some(3), Some(4)]);
}

#[test]
fn diff_of_a_set_with_itself_is_noted() {
    let directory = directory(&[("acme.toml", RULE), ("n.json", "{}")]);
    let note = "note: both sets are the same; give --rules, --profile or --from\n";
    for (args, is_noted) in [
        (&["diff", "n.json"][..], true),
        (&["diff", "--rules", "acme.toml", "n.json"], false),
        (&["diff", "--profile", "strict", "n.json"], false),
        (&["diff", "--from-profile", "strict", "n.json"], false),
    ] {
        let output = expurgate_in(directory.path(), args);
        assert_eq!(code(&output), Some(0), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains(note), is_noted, "{args:?}");
    }
}

#[test]
fn rules_show_says_what_is_in_force_and_what_made_it_so() {
    let directory = directory(&[("o.toml", "[[override]]\nid = 'us.ssn'\nshadow = true\npaths = ['/a']\n")]);
    let output = expurgate_in(directory.path(), &["rules", "show", "us.ssn", "--rules", "o.toml"]);
    let shown = told(&output);
    assert!(shown.starts_with("# builtin/pii.toml:"), "{shown}");
    for part in
        [", shadow\n# changed at o.toml:2:6\n[[rule]]\nid = \"us.ssn\"\n", "shadow = true\n", "paths = [\"/a\"]\n"]
    {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let output = expurgate_in(directory.path(), &["rules", "show", "us.ssn", "--rules", "o.toml", "--output", "json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&shown["state"], &shown["changed_at"][0]), (&"shadow".into(), &"o.toml:2:6".into()));
    for (command, id, hint) in [
        ("show", "no.such", "`expurgate rules list` lists the ids"),
        ("show", "email.adress", "did you mean `email.address`?"),
    ] {
        let output = expurgate(&["rules", command, id], b"");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((code(&output), &*error), (Some(2), &*format!("error: no rule has the id `{id}`; {hint}\n")));
    }
    let output = expurgate(&["rules", "test", "--rule", "email.adress"], b"");
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `email.address`?"));
}

#[test]
fn rules_test_names_each_example_that_fails_with_its_place() {
    let failing =
        RULE.replace("acme: acme_a7b2k9d4x1f6p3h8c5j0e2g7\"", "acme: acme_a7b2k9d4x1f6p3h8c5j0e2g7\", \"acme_1\"");
    let directory = directory(&[("good.toml", RULE), ("bad.toml", &failing)]);
    let test = |args: &[&str]| expurgate_in(directory.path(), &[&["rules", "test"], args].concat());
    let good = test(&["good.toml"]);
    assert_eq!((told(&good).as_str(), code(&good)), ("1 rule, 2 examples, 0 failed\n", Some(0)));
    let bad = test(&["bad.toml"]);
    assert_eq!(code(&bad), Some(2));
    assert!(
        told(&bad).starts_with("bad.toml:10:52: acme.key: in `acme_1` as text: expected something, "),
        "{}",
        told(&bad)
    );
    assert!(told(&bad).ends_with("1 rule, 3 examples, 1 failed\n"), "{}", told(&bad));
    // The built-in rules, by their ids.
    let one = test(&["--rule", "us.ssn"]);
    assert!(told(&one).starts_with("1 rule, ") && code(&one) == Some(0), "{}", told(&one));
    assert_eq!(code(&test(&["--rule", "no.such"])), Some(2));
}

#[test]
fn an_override_brings_tests_for_what_it_makes_of_a_rule() {
    let file = "[[override]]\nid = 'email.address'\nexclude_paths = ['/trace/**']\n\
                examples = [{ text = 'a@example.com', path = '/text' }]\n\
                negative_examples = [{ text = 'a@example.com', path = '/trace/0/by' }]\n";
    let directory = directory(&[("good.toml", file), ("bad.toml", &file.replace("trace/**", "trace/*"))]);
    for (name, expected) in [("good.toml", 0), ("bad.toml", 2)] {
        for command in [&["rules", "test"][..], &["check", "--rules"]] {
            let output = expurgate_in(directory.path(), &[command, &[name]].concat());
            assert_eq!(code(&output), Some(expected), "{name} {command:?} {}", told(&output));
            assert_eq!(told(&output).contains("bad.toml:5:22: email.address: in"), expected == 2, "{}", told(&output));
        }
    }
}

#[test]
fn an_import_says_what_it_could_not_convert_and_what_it_writes_passes() {
    let output = expurgate(&["rules", "import", "tests/corpus/gitleaks/acme.toml"], b"");
    let notes = String::from_utf8(output.stderr.clone()).unwrap();
    let expected = std::fs::read_to_string("tests/corpus/gitleaks/acme.notes").unwrap();
    assert_eq!(notes, expected);
    assert_eq!(code(&output), Some(1));
    let directory = directory(&[
        ("imported.toml", &told(&output)),
        (
            "body.txt",
            "initech-api = \"9b1f00c27d3e4a5586cf7b2a1d4e8f90\" acme_live_Q7Vd2RnWb8PtYs4HcJ9qKeZx EXAMPLE hooli secret_a1b2c3d4e5f6",
        ),
    ]);
    let check = expurgate_in(directory.path(), &["rules", "test", "imported.toml"]);
    assert_eq!((told(&check).as_str(), code(&check)), ("3 rules, 6 examples, 0 failed\n", Some(0)));
    let redacted = expurgate_in(directory.path(), &["redact", "--rules", "imported.toml", "body.txt"]);
    assert_eq!(told(&redacted), "initech-api = \"[INITECH_TOKEN]\" [ACME_LIVE_KEY] EXAMPLE hooli [HOOLI_SECRET]");
}

#[test]
fn what_is_no_file_of_gitleaks_is_told() {
    let directory = directory(&[("ours.toml", RULE), ("broken.toml", "[[rules]\n")]);
    for (name, expected) in [("ours.toml", "ours.toml:1:1: no [[rules]]"), ("broken.toml", "broken.toml:1:")] {
        let output = expurgate_in(directory.path(), &["rules", "import", name]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(code(&output) == Some(2) && error.contains(expected), "{error}");
    }
    assert_eq!(code(&expurgate(&["rules", "import", "/no/such.toml"], b"")), Some(3));
}

#[test]
fn diff_tells_what_appears_what_vanishes_and_shadow_apart() {
    let shadow = RULE.replace("category", "shadow = true\ncategory");
    let change = "[[override]]\nid = 'email.address'\nallow = ['@acme\\.example$']\n";
    let body =
        "{\"a\":\"acme: acme_q7z9k2x4m1v8b3n6c5t0r9w2\"}\n{\"b\":\"bob@acme.example\",\"c\":\"eve@example.com\"}\n";
    let directory =
        directory(&[("live.toml", RULE), ("shadow.toml", &shadow), ("change.toml", change), ("body.ndjson", body)]);
    let diff = |args: &[&str]| {
        let output = expurgate_in(directory.path(), &[&["diff", "--output", "jsonl", "body.ndjson"], args].concat());
        let short = |one: &Value| {
            let place = &one["samples"][0];
            assert!(!one.to_string().contains("k2x4m1v8") && !one.to_string().contains("bob@"), "{one}");
            format!("{} {} {} {} {}", one["rule"], one["change"], one["shadow"], one["count"], place["pointer"])
        };
        (lines(&output).iter().map(short).collect::<Vec<_>>(), code(&output))
    };
    assert_eq!(diff(&[]), (vec![], Some(0)));
    let (appeared, vanished) = ("\"acme.key\" \"appeared\"", "\"email.address\" \"vanished\"");
    assert_eq!(diff(&["--rules", "live.toml"]), (vec![format!("{appeared} false 1 \"/a\"")], Some(1)));
    assert_eq!(diff(&["--rules", "shadow.toml"]), (vec![format!("{appeared} true 1 \"/a\"")], Some(1)));
    assert_eq!(diff(&["--rules", "change.toml"]), (vec![format!("{vanished} false 1 \"/b\"")], Some(1)));
    let promoted = diff(&["--from", "shadow.toml", "--rules", "live.toml"]).0;
    assert_eq!(promoted, [format!("{appeared} false 1 \"/a\""), "\"acme.key\" \"vanished\" true 1 \"/a\"".to_owned()]);
    let (profile, _) = diff(&["--profile", "credentials-only"]);
    assert_eq!(profile, ["\"email.address\" \"vanished\" false 2 \"/b\""]);
}

#[test]
fn a_profile_chooses_which_rules_are_enabled() {
    let mine = RULE.replace("category", "profiles = [\"strict\"]\ncategory");
    let directory =
        directory(&[("mine.toml", &mine), ("body.txt", "bob@example.com acme: acme_q7z9k2x4m1v8b3n6c5t0r9w2")]);
    let redact = |args: &[&str]| {
        told(&expurgate_in(directory.path(), &[&["redact", "body.txt", "--rules", "mine.toml"], args].concat()))
    };
    assert_eq!(redact(&[]), "[EMAIL_ADDRESS] acme: acme_q7z9k2x4m1v8b3n6c5t0r9w2");
    assert_eq!(redact(&["--profile", "strict"]), "[EMAIL_ADDRESS] acme: acme_[ACME_KEY]");
    assert_eq!(redact(&["--profile", "credentials-only"]), "bob@example.com acme: acme_q7z9k2x4m1v8b3n6c5t0r9w2");
    let wrong = expurgate(&["scan", "--profile", "lax"], b"");
    let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(code(&wrong) == Some(2) && error.contains("use one of default, credentials-only, strict"), "{error}");
}

#[test]
fn scan_and_check_speak_sarif() {
    let output = expurgate(&["scan", "--output", "sarif"], b"line\nbob@example.com");
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let result = &log["runs"][0]["results"][0];
    assert_eq!((&log["version"], &result["ruleId"]), (&"2.1.0".into(), &"email.address".into()));
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startLine"], 2);
    let directory = directory(&[("bad.toml", &RULE.replace("entity", "entty"))]);
    let output = expurgate_in(directory.path(), &["check", "--output", "sarif", "--rules", "bad.toml"]);
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let places: Vec<&Value> = log["runs"][0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["locations"][0]["physicalLocation"])
        .collect();
    assert_eq!(code(&output), Some(2));
    assert_eq!(
        (&places[1]["artifactLocation"]["uri"], &places[1]["region"]["startLine"]),
        (&"bad.toml".into(), &3.into())
    );
}

#[test]
fn the_schema_is_json_and_knows_every_table_and_what_a_file_says() {
    let schema: Value = serde_json::from_slice(&expurgate(&["schema", "rules"], b"").stdout).unwrap();
    let tables: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(tables, ["base64", "rule", "key", "override", "allow"]);
}

#[test]
fn the_schema_of_the_configuration_is_json_and_knows_every_section() {
    let schema: Value = serde_json::from_slice(&expurgate(&["schema", "config"], b"").stdout).unwrap();
    let sections: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        sections,
        ["listener", "admin", "rules", "protocols", "hash", "log", "limits", "compression", "timeouts", "route"]
    );
}

#[test]
fn a_file_of_gitleaks_loads_as_it_is_when_all_of_it_can_be_said() {
    let file = "[[rules]]\nid = 'acme_live'\nregex = '''acme_live_([a-z0-9]{12,})'''\nkeywords = ['acme_live_']\n";
    let directory = directory(&[
        ("good.toml", file),
        ("bad.toml", &(file.to_owned() + "\n[[rules]]\nid = 'greek'\nregex = 'x\\p{Greek}'\n")),
        ("body.txt", "acme_live_a1b2c3d4e5f6"),
    ]);
    let redacted = expurgate_in(directory.path(), &["redact", "--rules", "good.toml", "body.txt"]);
    assert_eq!(told(&redacted), "acme_live_[ACME_LIVE]");
    let output = expurgate_in(directory.path(), &["check", "--rules", "bad.toml"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(code(&output) == Some(2) && error.contains("bad.toml:8:9: the rule greek of gitleaks: "), "{error}");
}
