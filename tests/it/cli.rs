//! The commands, as a shell sees them.

use crate::codings::CODECS;
use std::io::Write;
use std::process::{Command, Output, Stdio};

pub(crate) fn expurgate(args: &[&str], input: &[u8]) -> Output {
    expurgate_with(&[], args, input)
}

/// With environment variables.
pub(crate) fn expurgate_with(variables: &[(&str, &str)], args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_expurgate"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that fails early closes its input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// In a directory, with nothing on standard input.
pub(crate) fn expurgate_in(directory: &std::path::Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_expurgate"))
        .args(args)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

const BODY: &[u8] = br#"{"text":"mail: jane@example.com","n":1}"#;
const REDACTED: &str = r#"{"text":"mail: [EMAIL_ADDRESS]","n":1}"#;

#[test]
fn redact_reads_standard_input_and_keeps_the_coding() {
    let plain = expurgate(&["redact"], BODY);
    assert_eq!(String::from_utf8_lossy(&plain.stdout), REDACTED);
    assert_eq!(plain.status.code(), Some(0));
    for codec in CODECS {
        let wire = (codec.encode)(BODY);
        let told = expurgate(&["redact", "--coding", codec.name], &wire).stdout;
        assert_eq!(String::from_utf8((codec.decode)(&told)).unwrap(), REDACTED, "{codec:?}");
        // Raw deflate and br have no mark.
        let recognised = expurgate(&["redact"], &wire);
        match codec.name {
            "Deflate" | "br" => assert_ne!(recognised.status.code(), Some(0), "{codec:?}"),
            _ => assert_eq!(recognised.stdout, told, "{codec:?}"),
        }
    }
    assert_eq!(expurgate(&["redact", "--coding", "lzma"], BODY).status.code(), Some(2));
}

#[test]
fn a_file_of_br_is_known_by_its_name_and_found_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.ndjson.br");
    let br = &CODECS[4];
    std::fs::write(&path, (br.encode)(BODY)).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!((br.decode)(&expurgate(&["redact", path], b"").stdout), REDACTED.as_bytes());
    let found = expurgate(&["scan", "--output", "jsonl", path], b"").stdout;
    assert!(String::from_utf8(found).unwrap().contains("\"pointer\":\"/text\""));
}

#[test]
fn the_level_of_compression_is_the_configured_one() {
    let text = b"abcdefgh ijklmnop ".repeat(3000);
    let gzip = &CODECS[0];
    let length = |level: &str| {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("expurgate.toml");
        std::fs::write(&config, format!("[compression]\nlevel = \"{level}\"")).unwrap();
        expurgate(&["redact", "--config", config.to_str().unwrap()], &(gzip.encode)(&text)).stdout.len()
    };
    assert!(length("best") < length("fast"));
}

#[test]
fn what_only_begins_like_json_is_text() {
    for (before, after) in [
        ("[client]\npassword = \"Xy7pLm2qRt\"\n", "[client]\npassword = \"[PASSWORD]\"\n"),
        ("{ password: \"Xy7pLm2qRt\" }", "{ password: \"[PASSWORD]\" }"),
        ("{'password': \"Xy7pLm2qRt\"}", "{'password': \"[PASSWORD]\"}"),
        ("\"password\" = \"Xy7pLm2qRt\"", "\"password\" = \"[PASSWORD]\""),
        ("[note] call 0171 3920091", "[note] call [PHONE_NUMBER]"),
    ] {
        let output = expurgate(&["redact"], before.as_bytes());
        assert_eq!(String::from_utf8_lossy(&output.stdout), after);
    }
}

#[test]
fn what_is_no_text_is_refused_by_name() {
    let cases: [(&str, &[u8]); 4] = [
        ("this is xz,", b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46"),
        ("this is bzip2,", b"BZh91AY&SYtext"),
        ("this is zip,", b"PK\x03\x04text"),
        ("this is no text in UTF-8", b"\x89PNG\r\n\x1a\n"),
    ];
    for (told, input) in cases {
        for command in ["redact", "scan"] {
            let output = expurgate(&[command], input);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b""[..]), "{command} {told}");
            assert!(error.contains(told), "{error}");
        }
        // Whoever says what it is gets it read as that.
        assert_eq!(expurgate(&["redact", "--format", "text"], input).stdout, input, "{told}");
    }
    let late = [&b"text ".repeat(100_000)[..], b"\xff"].concat();
    assert_eq!(expurgate(&["scan"], &late).status.code(), Some(3));
    assert_eq!(expurgate(&["scan"], "text \u{e9}".as_bytes().split_last().unwrap().1).status.code(), Some(3));
}

#[test]
fn redact_takes_files_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (json, text) = (file("a.json", BODY), file("b.log", b"\nhello bob@example.com\n"));
    let output = expurgate(&["redact", &text, &json, &text], b"");
    let expected = format!("\nhello [EMAIL_ADDRESS]\n{REDACTED}\nhello [EMAIL_ADDRESS]\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_broken_input_ends_with_3() {
    for codec in CODECS {
        let wire = (codec.encode)(BODY);
        let cut = expurgate(&["redact", "--coding", codec.name], &wire[..wire.len() - 1]);
        assert_eq!(cut.status.code(), Some(3), "{codec:?}");
        assert!(String::from_utf8_lossy(&cut.stderr).contains("end too early"), "{codec:?}");
    }
    assert_eq!(expurgate(&["redact", "/no/such/file"], b"").status.code(), Some(3));
    assert_eq!(expurgate(&["scan"], b"\xff\xfe{\0}\0").status.code(), Some(3));
}

#[test]
fn scan_fails_on_findings_only_when_told() {
    let output = expurgate(&["scan", "--output", "jsonl", "--fail-on-findings"], BODY);
    assert_eq!(output.status.code(), Some(1));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["source"], &line["pointer"]), (&"-".into(), &"/text".into()));
    assert_eq!(expurgate(&["scan"], BODY).status.code(), Some(0));
    assert_eq!(expurgate(&["scan", "--fail-on-findings"], b"nothing here").status.code(), Some(0));
}

/// An OTLP request of one span with this name and `db.password`; all its lengths
/// are below 128.
fn traces(name: &str, password: &str) -> Vec<u8> {
    let field = |number: u8, body: &[u8]| [&[number << 3 | 2, u8::try_from(body.len()).unwrap()], body].concat();
    let attribute = [field(1, b"db.password"), field(2, &field(1, password.as_bytes()))].concat();
    let start = [&[7 << 3 | 1][..], &[0; 8]].concat();
    let span = [field(1, b"sixteen or so 16"), field(5, name.as_bytes()), start, field(9, &attribute)].concat();
    field(1, &field(2, &field(2, &span)))
}

#[test]
fn requests_are_redacted_in_their_framing() {
    let part = |value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n{value}\r\n--b--\r\n");
    let envelope = |length, text: &str| format!("{{}}\n{{\"type\":\"log\",\"length\":{length}}}\n{text}\n");
    let delta = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n").into_bytes()
    };
    let cases = [
        ("form", b"to=bob%40example.com&n=1".to_vec(), b"to=%5BEMAIL_ADDRESS%5D&n=1".to_vec()),
        ("multipart", part("bob@example.com").into_bytes(), part("[EMAIL_ADDRESS]").into_bytes()),
        ("sse", [delta("hi bob@exam"), delta("ple.com")].concat(), [delta("hi [EMAIL_ADDRESS]"), delta("")].concat()),
        ("envelope", envelope(15, "bob@example.com").into_bytes(), envelope(15, "[EMAIL_ADDRESS]").into_bytes()),
        ("otlp", traces("to bob@example.com", "hunter2"), traces("to [EMAIL_ADDRESS]", "[PASSWORD]")),
    ];
    let gzip = &CODECS[0];
    for (format, body, expected) in cases {
        let output = expurgate(&["redact", "--format", format], &body);
        assert_eq!(output.status.code(), Some(0), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&expected), "{format}");
        let coded = expurgate(&["redact", "--format", format], &(gzip.encode)(&body)).stdout;
        assert_eq!((gzip.decode)(&coded), expected, "{format}");
        let scanned = expurgate(&["scan", "--format", format], &body);
        assert_eq!(scanned.status.code(), Some(2), "{format}");
        assert!(String::from_utf8_lossy(&scanned.stderr).contains("redact takes this format too"), "{format}");
    }
}

#[test]
fn a_broken_framing_ends_with_3_and_an_unknown_format_with_2() {
    for (format, body, told) in [
        ("multipart", &b"no boundary\n"[..], "boundary"),
        ("multipart", b"--b\r\n\r\nbob@example.com", "framing"),
        ("envelope", b"{}\n{\"type\":\"log\",\"length\":99}\nbob", "framing"),
    ] {
        let output = expurgate(&["redact", "--format", format], body);
        assert_eq!(output.status.code(), Some(3), "{format}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{format}");
    }
    let output = expurgate(&["redact", "--format", "yaml"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("supported: "));
}

#[test]
fn the_demonstration_shows_everything_and_ends() {
    let output = expurgate(&["demo"], b"");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for part in ["{-", "{+[EMAIL_ADDRESS]+}", "EMAIL_ADDRESS  ", "requests/s", "expurgate_requests_total{", "make run"]
    {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(!told.contains("{-phc_"), "the project's public key must arrive");
}

#[test]
fn rules_profile_tells_what_each_rule_cost_and_no_value() {
    let output = expurgate(&["rules", "profile", "--output", "json"], BODY);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let profile: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules = profile["rules"].as_array().unwrap();
    let mail = rules.iter().find(|rule| rule["id"] == "email.address").unwrap();
    assert_eq!((&mail["candidates"], &mail["confirmed"], &mail["rejected"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(profile["bytes"], BODY.len());
    assert!(profile["nanoseconds"].as_u64().unwrap() > 0, "{profile}");
    let table = expurgate(&["rules", "profile"], BODY);
    let told = String::from_utf8(table.stdout).unwrap();
    assert!(told.contains("\n(literals) ") && told.contains("\nemail.address "), "{told}");
    assert!(!told.contains("jane"), "{told}");
    let summary = String::from_utf8(table.stderr).unwrap();
    assert!(summary.starts_with(&format!("{} bytes in ", BODY.len())), "{summary}");
}
