//! Secrets longer than the scanner looks ahead, cut at many places.

use super::redactor_rig::{check_cuts_of_long, difference, redact, redact_whole};
use super::redactor_text::Random;
use expurgate::scan::Format;

/// Places around which a cut may matter, in a secret that begins at `start`.
fn cuts_around(start: usize, length: usize) -> Vec<Vec<usize>> {
    let places = [
        start,
        start + 30,
        start + 4096,
        start + 8191,
        start + 8192,
        start + 8193,
        start + 16_384,
        length - 40,
        length,
    ];
    let places = places.into_iter().filter(|&place| place < length);
    let single = places.flat_map(|place| (place.saturating_sub(2)..(place + 3).min(length)).map(|cut| vec![cut]));
    let mut random = Random(1);
    let every = |step: usize| (0..length).step_by(step).collect();
    let mut cuts: Vec<Vec<usize>> = single.collect();
    cuts.extend((0..4).map(|_| random.cuts(length, 30)));
    cuts.extend([every(997), every(8192)]);
    cuts
}

fn check(format: Format, before: &str, secret: &str, after: &str, redacted: &str) {
    let document = format!("{before}{secret}{after}").into_bytes();
    check_cuts_of_long(format, &document, &cuts_around(before.len(), document.len()));
    for sizes in [&[][..], &[1], &[100], &[8192], &[16 << 10], &[16 << 10, 1], &[64 << 10], &[20_000, 7, 300]] {
        let out = redact(format, &document, sizes);
        assert_eq!(String::from_utf8_lossy(&out), redacted, "in chunks of {sizes:?}");
    }
}

pub(crate) fn base64(length: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = Random(length as u64);
    (0..length).map(|_| char::from(ALPHABET[random.below(ALPHABET.len())])).collect()
}

#[test]
fn a_private_key_of_20_kib_is_one_finding() {
    let body: String =
        base64(20 << 10).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n").collect();
    let block = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----");
    check(Format::Text, "key:\n", &block, "\nmail bob@example.com\n", "key:\n[PRIVATE_KEY]\nmail [EMAIL_ADDRESS]\n");
    let escaped = block.replace('\n', "\\n");
    let tail = r#"\n", "to": "bob@example.com"}"#;
    check(Format::Json, r#"{"key": ""#, &escaped, tail, r#"{"key": "[PRIVATE_KEY]\n", "to": "[EMAIL_ADDRESS]"}"#);
    let deeper = block.replace('\n', "\\\\n");
    let tail = r#"\\n\", \"to\": \"bob@example.com\"}"}"#;
    let redacted = r#"{"a": "{\"key\": \"[PRIVATE_KEY]\\n\", \"to\": \"[EMAIL_ADDRESS]\"}"}"#;
    check(Format::Json, r#"{"a": "{\"key\": \""#, &deeper, tail, redacted);
}

#[test]
fn a_private_key_in_program_text_mail_or_a_comment_is_one_finding() {
    let body = base64(1200);
    let lines = || body.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line));
    let lines: Vec<_> = lines().collect();
    for between in ["\\n\" +\n    \"", "\\n\"\n  \"", "\n> ", "\n# ", "\n//! ", "\n \u{2502} ", "\\n' \\\n'"] {
        let block = format!(
            "-----BEGIN RSA PRIVATE KEY-----{between}{}{between}-----END RSA PRIVATE KEY-----",
            lines.join(between)
        );
        check(Format::Text, "k = '", &block, "'; mail(bob@example.com)", "k = '[PRIVATE_KEY]'; mail([EMAIL_ADDRESS])");
        let escaped = block.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        let tail = r#"'; ", "to": "bob@example.com"}"#;
        check(
            Format::Json,
            r#"{"code": "k = '"#,
            &escaped,
            tail,
            r#"{"code": "k = '[PRIVATE_KEY]'; ", "to": "[EMAIL_ADDRESS]"}"#,
        );
    }
    let list =
        format!("-----BEGIN PRIVATE KEY-----\",\n \"{}\",\n \"-----END PRIVATE KEY-----", lines.join("\",\n \""));
    check(Format::Text, "[\"", &list, "\"].join", "[\"[PRIVATE_KEY]\"].join");
}

#[test]
fn a_private_key_without_an_end_leaves_json_in_a_string_whole() {
    let name = base64(40);
    let json = format!(r#"{{"a": "{{\"k\": \"-----BEGIN PRIVATE KEY-----\\nMC4C\", \"{name}\": 1}}"}}"#);
    let expected = format!(r#"{{"a": "{{\"k\": \"[PRIVATE_KEY]\", \"{name}\": 1}}"}}"#);
    assert_eq!(redact_whole(Format::Json, json.as_bytes()), expected.as_bytes());
}

#[test]
fn a_token_of_20_kb_is_one_finding() {
    let head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    let token = format!("{head}.{}.{}", base64(20_000), base64(43));
    check(Format::Text, "jwt ", &token, " end", "jwt [JSON_WEB_TOKEN] end");
    check(Format::Json, r#"{"x": "a "#, &token, r#" b"}"#, r#"{"x": "a [JSON_WEB_TOKEN] b"}"#);
}

#[test]
fn an_escape_where_the_look_ahead_ends_does_not_end_a_long_token() {
    let head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    for shift in 0..14 {
        let fill = base64(8192 - head.len() - 1 - shift);
        for escape in [r"\u0041", r"\\u0041", "%41"] {
            let token = format!("{head}.{fill}{escape}{}", base64(3000));
            let document = format!(r#"{{"x": "a {token} b"}}"#).into_bytes();
            check_cuts_of_long(Format::Json, &document, &[vec![8192 + 9], vec![5000, 8200, 8210]]);
            let out = redact_whole(Format::Json, &document);
            assert_eq!(String::from_utf8_lossy(&out), r#"{"x": "a [JSON_WEB_TOKEN] b"}"#, "{escape} {shift}");
        }
    }
}

#[test]
fn a_password_of_30_kb_is_one_finding() {
    let value = base64(30_000);
    check(Format::Json, r#"{"password": ""#, &value, r#"", "n": 1}"#, r#"{"password": "[PASSWORD]", "n": 1}"#);
    let nested = format!("{}\\\\\\\"{}\\\\n", &value[..15_000], &value[15_000..]);
    let (before, after) = (r#"{"a": "{\"db_password\": \""#, r#"\", \"mail\": \"bob@example.com\"}"}"#);
    let redacted = r#"{"a": "{\"db_password\": \"[PASSWORD]\", \"mail\": \"[EMAIL_ADDRESS]\"}"}"#;
    check(Format::Json, before, &nested, after, redacted);
}

#[test]
fn a_long_password_without_a_closing_quote_ends_with_its_string() {
    let value = base64(20_000);
    check(
        Format::Json,
        r#"{"a": "{\"log\": \"password='"#,
        &value,
        r#"\", \"n\": \"it's\"}"}"#,
        r#"{"a": "{\"log\": \"password='[PASSWORD]\", \"n\": \"it's\"}"}"#,
    );
}

#[test]
fn a_long_secret_that_two_rules_take_is_one_finding() {
    for length in [8171, 8190] {
        let document = format!(r#"{{\\\"token\\\":\\\"{}\\\"}}"#, base64(length));
        assert_eq!(difference(Format::Ndjson, document.as_bytes(), &[vec![100], vec![8185]]), None);
    }
}

#[test]
fn secrets_as_long_as_the_look_ahead_are_found_whole() {
    for length in 8189..8196 {
        let value = base64(length);
        let password = format!(r#"{{"password": "{value}"}}"#);
        assert_eq!(redact_whole(Format::Json, password.as_bytes()), br#"{"password": "[PASSWORD]"}"#);
        let token = format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{}", &value[37..]);
        for (before, after) in [("", ""), ("x ", " y"), ("x ", "")] {
            let document = format!("{before}{token}{after}");
            assert_eq!(
                redact_whole(Format::Text, document.as_bytes()),
                format!("{before}[JSON_WEB_TOKEN]{after}").as_bytes()
            );
            check_cuts_of_long(
                Format::Text,
                document.as_bytes(),
                &[vec![8192], vec![document.len()], vec![8191, document.len()]],
            );
        }
    }
}
