use super::*;
use crate::coding::rig::{decoded, encoded};
use crate::coding::{Coding, WireFormat};
use crate::content::CodingLimits;
use crate::content::body::DEEPEST;
use crate::redact::rig::PLAN;
use crate::redact::{Format, Redactor};
use proptest::prelude::*;

const LIMIT: usize = 4096;

struct Outcome {
    text: String,
    changed: u64,
    passed: bool,
}

fn run<'a>(kind: &str, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Outcome, ContentError> {
    let content = ContentType::parse(Some(kind.as_bytes()));
    let rules = rules();
    let (mut stage, mut out) = (MultipartStage::new(&PLAN, &content, &rules, 0)?, Vec::new());
    for chunk in chunks {
        stage.push(Bytes::copy_from_slice(chunk), &mut out)?;
    }
    stage.finish(&mut out)?;
    assert_eq!(stage.held(), 0);
    let text = String::from_utf8_lossy(&out.concat()).into_owned();
    Ok(Outcome { text, changed: stage.report().changed(), passed: stage.passed() })
}

fn rules() -> PartRules {
    PartRules {
        limit: LIMIT as u64,
        pass: [String::from("image/png")].into(),
        media: [String::from("audio/wav")].into(),
        formats: None,
        coding: CodingLimits::NONE,
    }
}

const FORM: &str = "multipart/form-data; boundary=xYz";

/// The lines with CRLF, whole and cut in two everywhere.
fn redacted(body: &str) -> Result<String, ContentError> {
    let body = body.replace('\n', "\r\n");
    let whole = run(FORM, [body.as_bytes()]).map(|outcome| outcome.text);
    for at in 0..=body.len() {
        let (one, other) = body.as_bytes().split_at(at);
        assert_eq!(run(FORM, [one, other]).map(|outcome| outcome.text), whole, "cut at {at}");
    }
    whole.map(|text| text.replace("\r\n", "\n"))
}

/// One part with this head and content.
fn part(head: &str, content: &str) -> String {
    format!("--xYz\n{head}\n\n{content}\n--xYz--\n")
}

#[track_caller]
fn check(head: &str, content: &str, new_head: &str, new_content: &str) {
    assert_eq!(redacted(&part(head, content)).unwrap(), part(new_head, new_content));
}

#[test]
fn a_field_is_a_text_under_its_name() {
    let head = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"");
    for (name, content, expected) in [
        ("password", "hunter2 and\nmore", "[PASSWORD]"),
        ("note", "hunter2 and\nbob@example.com\n", "hunter2 and\n[EMAIL_ADDRESS]\n"),
        ("data", "{\"api_key\": \"aZ3kQ9vT6xR1mB8n\", \"n\": 1}", "{\"api_key\": \"[API_KEY]\", \"n\": 1}"),
        ("user[password]", "hunter2 and more", "[PASSWORD]"),
        ("password[]", "hunter2 and more", "[PASSWORD]"),
        ("credentials[api_key][0]", "hunter2 and more", "[API_KEY]"),
        ("[]", "hunter2 and more", "hunter2 and more"),
        ("empty", "", ""),
        ("dashes", "--xY\n-xYz\n --xY\r--xY", "--xY\n-xYz\n --xY\r--xY"),
    ] {
        check(&head(name), content, &head(name), expected);
    }
    check(&head("bob@example.com"), "x", &head("[EMAIL_ADDRESS]"), "x");
    let plain = head("password") + "\nContent-Type: text/plain; charset=utf-8";
    check(&plain, "hunter2", &plain, "[PASSWORD]");
}

#[test]
fn a_part_without_a_file_is_a_field_whatever_text_it_is_said_to_be() {
    let head = "Content-Disposition: form-data; name=\"password\"";
    for rest in
        ["; filename=\"\"", "\nContent-Type: text/html", "\nContent-Type: application/octet-stream", "\nContent-Type:"]
    {
        let head = format!("{head}{rest}");
        check(&head, "hunter2", &head, "[PASSWORD]");
    }
}

#[test]
fn what_parsers_read_differently_is_refused() {
    let body = |text: &str| text.replace("KEY", "Content-Disposition: form-data; name=\"password\"");
    for text in ["--xYz\r\nA: b\n\n\r\nKEY\r\n\r\nhunter2\r\n--xYz--", "--xYz\r\nA: b\nKEY\r\n\r\nhunter2\r\n--xYz--"] {
        assert_eq!(run(FORM, [body(text).as_bytes()]).err(), Some(ContentError::Framing));
    }
    for kind in ["boundary=abc,def", "boundary=\"a b\"", "boundary=\"a \"", "boundary=\"a;b\""] {
        let kind = format!("multipart/form-data; {kind}");
        assert_eq!(run(&kind, [&b""[..]]).err(), Some(ContentError::Framing), "{kind}");
    }
    for value in ["utf-7''bob%2BAEA-example.com", "a.txt"] {
        let text = format!("--xYz\r\nContent-Disposition: form-data; name=a; filename*={value}\r\n\r\nx\r\n--xYz--");
        assert_eq!(run(FORM, [text.as_bytes()]).err(), Some(ContentError::Charset), "{value}");
    }
    let quoted = "Content-Disposition: form-data; name=a; filename*=UTF-8''b%6fb%40ex%61mple.com'";
    assert!(!redacted(&part(quoted, "x")).unwrap().contains("mple"));
}

#[test]
fn other_parts_go_the_way_of_their_type() {
    let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\nContent-Type: ";
    for (kind, content, expected) in [
        ("application/json", "{\"password\":\"hunter2\"}", "{\"password\":\"[PASSWORD]\"}"),
        (
            "application/octet-stream",
            "{\"password\":\"hunter2\"}\n{\"b\":1}",
            "{\"password\":\"[PASSWORD]\"}\n{\"b\":1}",
        ),
        ("text/csv", "a,bob@example.com,c", "a,[EMAIL_ADDRESS],c"),
        ("application/x-www-form-urlencoded", "password=hunter2&b=1", "password=%5BPASSWORD%5D&b=1"),
        ("image/png", "bob@example.com", "bob@example.com"),
    ] {
        let head = format!("{file}{kind}");
        check(&head, content, &head, expected);
    }
    let nested = |inner: &str| format!("--In\nContent-Type: application/json\n\n{inner}\n--In--");
    let head = "Content-Type: multipart/mixed; boundary=In";
    check(
        head,
        &nested("{\"pin_code\":\"\",\"password\":\"hunter2\"}"),
        head,
        &nested("{\"pin_code\":\"\",\"password\":\"[PASSWORD]\"}"),
    );
}

#[test]
fn heads_are_redacted_and_stay_heads() {
    let disposition = |rest: &str| format!("Content-Disposition: form-data; name=\"f\"; {rest}\nX-Other: 1");
    for (head, expected) in [
        ("filename=\"bob@example.com.txt\"", "filename=\"[EMAIL_ADDRESS]\""),
        ("filename=\"for \\\"bob@example.com\\\".txt\"", "filename=\"for \\\"[EMAIL_ADDRESS]\\\".txt\""),
        ("filename=bob@example.com; a=b", "filename=\"[EMAIL_ADDRESS]\"; a=b"),
        ("filename*=UTF-8''jos%C3%A9%40example.com", "filename*=UTF-8''%5BEMAIL_ADDRESS%5D"),
        ("bob@example.com; filename=x", "[EMAIL_ADDRESS]; filename=x"),
        ("filename=\"a.txt\" bob@example.com", "filename=\"a.txt\" [EMAIL_ADDRESS]"),
        ("filename=\"bob@example.com", "filename=\"[EMAIL_ADDRESS]"),
        ("password=\"hunter2\"; filename=x", "password=\"[PASSWORD]\"; filename=x"),
    ] {
        check(&disposition(head), "x", &disposition(expected), "x");
    }
    for (head, expected) in [
        ("X-From: Bob <bob@example.com>", "X-From: Bob <[EMAIL_ADDRESS]>"),
        ("Authorization: Basic Ym9iOmh1bnRlcjI=", "Authorization: [AUTHORIZATION]"),
        ("X-Folded: to\n  bob@example.com\n\tand", "X-Folded: to\n  [EMAIL_ADDRESS]\n\tand"),
        (
            "content-type:text/html;  name = \"bob@example.com\" ",
            "content-type:text/html;  name = \"[EMAIL_ADDRESS]\" ",
        ),
        ("Content-Type: bob@example.com", "Content-Type: [EMAIL_ADDRESS]"),
        ("X-Empty:", "X-Empty:"),
    ] {
        let now = redacted(&part(head, "x")).unwrap();
        let expected = part(expected, "x");
        assert!(now == expected || head.starts_with("Auth") && !now.contains("Ym9i"), "{now}");
    }
}

#[test]
fn a_declared_length_becomes_that_of_the_redacted_part() {
    let json = "{\"to\":\"bob@example.com\"}";
    let redacted = "{\"to\":\"[EMAIL_ADDRESS]\"}";
    for head in [
        "Content-Type: application/json; length=N",
        "Content-Type: application/json\nContent-Length: N",
        "Content-Length: N\nContent-Type: application/json; length=\"N\"; charset=utf-8",
    ] {
        let with = |length: usize| head.replace('N', &length.to_string());
        check(&with(json.len()), json, &with(redacted.len()), redacted);
        // Counted wrong by the client.
        check(&with(7), json, &with(redacted.len()), redacted);
        check(&with(7), redacted, &with(7), redacted);
    }
    let field = |length: usize| format!("Content-Disposition: form-data; name=password\nContent-Length: {length}");
    check(&field(7), "hunter2", &field(10), "[PASSWORD]");
    let passed = "Content-Type: image/png\nContent-Length: 3";
    check(passed, "bob@example.com", passed, "bob@example.com");
}

#[test]
fn a_part_with_a_length_too_long_to_be_held_keeps_it() {
    let filler = "\"abc\", ".repeat(LIMIT / 6);
    let json =
        format!("[{filler}{{\"password\": 123456, \"pin\": \"bob@example.com\", \"secret\": \"h\\u00e9llo wörld\"}}]");
    let head = |length: usize| format!("Content-Type: application/json; length={length}");
    let body = part(&head(json.len()), &json).replace('\n', "\r\n");
    let whole = run(FORM, [body.as_bytes()]).unwrap();
    assert_eq!((whole.text.len(), whole.changed), (body.len(), 3));
    assert!(!whole.text.contains("bob@") && !whole.text.contains("123456") && !whole.text.contains("llo w"));
    let text = whole.text.split("\r\n").nth(3).unwrap();
    serde_json::from_str::<serde_json::Value>(text).unwrap();
    for size in [1, 7, 1000] {
        assert_eq!(run(FORM, body.as_bytes().chunks(size)).unwrap().text, whole.text);
    }
    let wrong = part(&head(json.len() - 1), &json).replace('\n', "\r\n");
    assert_eq!(run(FORM, [wrong.as_bytes()]).err(), Some(ContentError::Framing));
    // Wrong as before, where nothing changes.
    let clean = part(&head(1), &format!("[{filler}1]")).replace('\n', "\r\n");
    assert_eq!(run(FORM, [clean.as_bytes()]).unwrap().text, clean);
    // A field streams as well, a form does not.
    let text = "bob@example.com ".repeat(LIMIT / 8);
    let field = format!("Content-Disposition: form-data; name=a\nContent-Length: {}", text.len());
    let body = part(&field, &text).replace('\n', "\r\n");
    assert_eq!(run(FORM, [body.as_bytes()]).unwrap().text, body.replace("bob@example.com", "***************"));
    let form = part("Content-Type: application/x-www-form-urlencoded\nContent-Length: 9", &text).replace('\n', "\r\n");
    assert_eq!(run(FORM, [form.as_bytes()]).err(), Some(ContentError::Large));
}

#[test]
fn what_stands_outside_the_parts_is_text() {
    let body = "for bob@example.com\n--xYz \t\n\npart\n--xYz--  \nand jane@example.com";
    let expected = "for [EMAIL_ADDRESS]\n--xYz \t\n\npart\n--xYz--  \nand [EMAIL_ADDRESS]";
    assert_eq!(redacted(body).unwrap(), expected);
    for clean in ["--xYz--", "--xYz--\n", "--xYz\n\n--xYz--\n", "\n--xYz\nA: b\n\n--xYz--", "--xYz\n\n\n--xYz--\n"] {
        assert_eq!(redacted(clean).unwrap(), clean);
    }
}

#[test]
fn line_feeds_alone_end_lines_too() {
    let body = "--xYz\nContent-Disposition: form-data; name=password\n\nhunter2\n--xYz--\n";
    assert_eq!(run(FORM, [body.as_bytes()]).unwrap().text, body.replace("hunter2", "[PASSWORD]"));
}

#[test]
fn binary_parts_pass_by_their_type_only() {
    let body = |kind: &str| {
        let head =
            format!("--xYz\r\nContent-Disposition: form-data; name=i; filename=i\r\nContent-Type: {kind}\r\n\r\n");
        [head.as_bytes(), b"\x89PNG\r\n\x1a\n\0\xff\r\n--xYz--\r\n"].concat()
    };
    let png = body("image/png");
    for chunks in [&[&png[..]][..], &png.chunks(1).collect::<Vec<_>>()] {
        let outcome = run(FORM, chunks.iter().copied()).unwrap();
        assert_eq!((outcome.text, outcome.passed), (String::from_utf8_lossy(&png).into_owned(), true));
    }
    assert_eq!(run(FORM, [&body("image/gif")[..]]).err(), Some(ContentError::Media));
    assert_eq!(run(FORM, [&body("text/plain; charset=latin1")[..]]).err(), Some(ContentError::Charset));
    assert_eq!(run(FORM, [&body("application/cbor")[..]]).err(), Some(ContentError::Media));
}

#[test]
fn broken_framing_is_refused_at_every_split() {
    let long = format!("--xYz\nX: {}\n\nx\n--xYz--", "a".repeat(LONGEST_HEAD));
    for body in [
        "",
        "text",
        "--xYz",
        "--xYz\n",
        "--xYz\nA: b\n",
        "--xYz\nA: b\n\ntext",
        "--xYz\nA: b\n\ntext\n--xYz",
        "--xYz\nA: b\n\ntext\n--xYz-",
        "--xYz\nA: b\n\ntext\n--xYz\n",
        "--xYzabc\nA: b\n\ntext\n--xYz--",
        "--xYz--abc",
        "--xYz\nA: b\n\ntext\r--xYz--",
        "--xYz\nno header\n\ntext\n--xYz--",
        "--xYz\nA b: c\n\ntext\n--xYz--",
        "--xYz\n folded\n\ntext\n--xYz--",
        "--xYz\nA: b\n--xYz--\n\n",
        "--xYz\nContent-Type: a/b\nContent-Type: text/plain\n\ntext\n--xYz--",
        "--xYz\nContent-Disposition: a\nContent-Disposition: b\n\ntext\n--xYz--",
        "--xYz\nContent-Disposition: form-data; name=a; filename*0=\"a\"; filename*1=\"b\"\n\ntext\n--xYz--",
        // What some parsers take for a boundary: in the middle of a line, behind the end.
        "--xYz\nA: b\n\nx--xYz\nA: b\n\ntext\n--xYz--",
        "junk--xYz\nA: b\n\ntext\n--xYz--",
        "--xYz\nA: b\n\ntext\n--xYz--\n--xYz\nA: b\n\ntext\n--xYz--",
        "--xYz\nA: b\n\ntext\n--xYz--\nand x--xYz",
        // Two names, of which each parser takes another.
        "--xYz\nContent-Disposition: form-data; name=\"a\"; name=\"password\"\n\ntext\n--xYz--",
        "--xYz\nContent-Disposition: form-data; name*=UTF-8''password\n\ntext\n--xYz--",
        "--xYz\nContent-Length: many\n\ntext\n--xYz--",
        "--xYz\nContent-Type: multipart/mixed\n\ntext\n--xYz--",
        "--xYz\nContent-Type: multipart/mixed; boundary=In\n\n--In\n\ntext\n--xYz--",
    ] {
        assert_eq!(redacted(body), Err(ContentError::Framing), "{body}");
    }
    assert_eq!(run(FORM, [long.as_bytes()]).err(), Some(ContentError::Framing));
    assert_eq!(run(FORM, long.as_bytes().chunks(999)).err(), Some(ContentError::Framing));
    for kind in ["multipart/form-data", "multipart/mixed; boundary=\"\"", "multipart/mixed; boundary=a; boundary=b"] {
        assert_eq!(run(kind, []).err(), Some(ContentError::Framing));
    }
}

#[test]
fn what_hides_its_text_is_refused() {
    for (head, error) in [
        ("Content-Encoding: lz4", ContentError::PartCoding),
        ("Content-Encoding: gzip, br", ContentError::PartCoding),
        ("Content-Encoding: gzip\nContent-Encoding: br", ContentError::PartCoding),
        ("Content-Transfer-Encoding: base64", ContentError::PartCoding),
        (
            "Content-Disposition: form-data; name=a\nContent-Transfer-Encoding: quoted-printable",
            ContentError::PartCoding,
        ),
        ("Subject: =?utf-8?B?Ym9iQGV4YW1wbGUuY29t?=", ContentError::Charset),
        ("Content-Type: text/plain; charset=utf-16", ContentError::Charset),
    ] {
        assert_eq!(redacted(&part(head, "x")), Err(error), "{head}");
    }
    let plain = "Content-Transfer-Encoding: Binary\nContent-Encoding: identity";
    check(plain, "x", plain, "x");
}

/// What leaves for one part, as bytes: whole, and cut in two everywhere.
fn redacted_bytes(head: &str, content: &[u8]) -> Result<Vec<u8>, ContentError> {
    let lead = format!("--xYz\r\n{}\r\n\r\n", head.replace('\n', "\r\n"));
    let body = [lead.as_bytes(), content, b"\r\n--xYz--\r\n"].concat();
    let run = |chunks: [&[u8]; 2]| {
        let content = ContentType::parse(Some(FORM.as_bytes()));
        let rules = rules();
        let (mut stage, mut out) = (MultipartStage::new(&PLAN, &content, &rules, 0)?, Vec::new());
        chunks.into_iter().try_for_each(|chunk| stage.push(Bytes::copy_from_slice(chunk), &mut out))?;
        stage.finish(&mut out)?;
        let out = out.concat();
        assert_eq!(stage.report().changed() > 0 || stage.rewrites(), out != body);
        Ok(out)
    };
    let whole = run([&body, b""]);
    for at in 0..=body.len() {
        let (one, other) = body.split_at(at);
        assert_eq!(run([one, other]), whole, "cut at {at}");
    }
    whole
}

#[test]
fn a_part_in_a_coding_is_redacted_in_it() {
    for (name, coding, form) in [
        ("gzip", Coding::Gzip, WireFormat::Gzip),
        ("X-Gzip", Coding::Gzip, WireFormat::Gzip),
        ("deflate", Coding::Deflate, WireFormat::Zlib),
        ("zstd", Coding::Zstd, WireFormat::Zstd),
        ("br", Coding::Brotli, WireFormat::Brotli),
    ] {
        for (length, text, expected) in [
            (false, "name,password\nbob,hunter2x\n", "name,password\nbob,[PASSWORD]\n"),
            (true, "name,password\nbob,hunter2x\n", "name,password\nbob,[PASSWORD]\n"),
            (true, "name,colour\nbob,blue\n", "name,colour\nbob,blue\n"),
        ] {
            let wire = encoded(form, text.as_bytes());
            let head = |length: Option<usize>| {
                let length = length.map_or_else(String::new, |length| format!("\nContent-Length: {length}"));
                format!(
                    "Content-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\nContent-Type: text/csv\nContent-Encoding: {name}{length}"
                )
            };
            let out = redacted_bytes(&head(length.then_some(wire.len())), &wire).unwrap();
            let begin = memchr::memmem::find(&out, b"\r\n\r\n").unwrap() + 4;
            let content = &out[begin..out.len() - b"\r\n--xYz--\r\n".len()];
            assert_eq!(decoded(coding, content), expected.as_bytes(), "{name}");
            let lead = format!("--xYz\r\n{}\r\n\r\n", head(length.then_some(content.len())).replace('\n', "\r\n"));
            assert_eq!(&out[..begin], lead.as_bytes(), "{name}");
            assert!(text != expected || content == wire, "{name}");
        }
        let head = format!("Content-Type: text/csv\nContent-Encoding: {name}");
        assert!(matches!(redacted_bytes(&head, b"x"), Err(ContentError::Coding(_))), "{name}");
    }
}

#[test]
fn a_file_without_a_type_is_what_its_name_and_its_bytes_say() {
    let head = |name: &str| format!("Content-Disposition: form-data; name=\"file\"; filename={name}");
    let picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff bob@example.com";
    let sound = b"RIFF\x24\0\0\0WAVEfmt bob@example.com";
    for (name, content) in [
        ("image.png", &picture[..]),
        ("\"a b.PNG\"", picture),
        ("a.wav", sound),
        ("a.png\nContent-Type: application/octet-stream", picture),
    ] {
        let body = [head(name).as_bytes(), content].concat();
        let out = redacted_bytes(&head(name), content).unwrap();
        assert!(body.iter().all(|byte| out.contains(byte)) && memchr::memmem::find(&out, content).is_some(), "{name}");
    }
    for (name, content) in
        [("image.gif", &picture[..]), ("image", picture), ("image.png", &picture[4..]), ("a.txt", sound)]
    {
        let error = redacted_bytes(&head(name), content).unwrap_err();
        assert!(matches!(error, ContentError::Media | ContentError::Charset), "{name} {error:?}");
    }
    check(&head("\"notes.png\""), "to bob@example.com", &head("\"notes.png\""), "to [EMAIL_ADDRESS]");
}

#[test]
fn parts_nest_to_a_depth() {
    let nested = |depth: u8| {
        let mut body = "bob@example.com".to_owned();
        for level in (1..depth).rev() {
            body = format!(
                "--L{level}\nContent-Type: {}\n\n{body}\n--L{level}--\n",
                if level + 1 == depth {
                    "text/plain".to_owned()
                } else {
                    format!("multipart/mixed; boundary=L{}", level + 1)
                }
            );
        }
        let kind = if depth == 1 { "text/plain" } else { "multipart/mixed; boundary=L1" };
        part(&format!("Content-Type: {kind}"), &body)
    };
    for depth in 1..=DEEPEST {
        let body = nested(depth);
        let out = run(FORM, [body.as_bytes()]).unwrap().text;
        assert_eq!(out, body.replace("bob@example.com", "[EMAIL_ADDRESS]"));
    }
    assert_eq!(run(FORM, [nested(DEEPEST + 1).as_bytes()]).err(), Some(ContentError::Media));
}

#[test]
fn long_parts_stream() {
    let content = ContentType::parse(Some(FORM.as_bytes()));
    let rules = PartRules {
        limit: LIMIT as u64,
        pass: Arc::default(),
        media: Arc::default(),
        formats: None,
        coding: CodingLimits::NONE,
    };
    let (mut stage, mut out, mut most) = (MultipartStage::new(&PLAN, &content, &rules, 0).unwrap(), Vec::new(), 0);
    let text = "hello bob@example.com\r\n-- and --xY\r\n--xY".repeat(20_000);
    let body = format!(
        "{text}\r\n--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n{text}\r\n--xYz\r\n\r\n{text}\r\n--xYz--{}",
        " ".repeat(900)
    );
    for chunk in body.as_bytes().chunks(1 << 12) {
        stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        most = most.max(stage.held());
    }
    stage.finish(&mut out).unwrap();
    assert!(out.concat() == body.replace("bob@example.com", "[EMAIL_ADDRESS]").as_bytes());
    assert!(most < 80 << 10, "{most}");
}

proptest! {
    /// Each part is redacted as it would be alone, however the body is cut.
    #[test]
    fn a_body_is_its_parts_redacted(parts in prop::collection::vec((0..4usize, text()), 0..5), cut in 1usize..40) {
        const HEADS: [&str; 4] = [
            "Content-Disposition: form-data; name=\"password\"",
            "Content-Type: application/json",
            "Content-Disposition: form-data; name=a; filename=b\r\nContent-Type: text/plain",
            "Content-Type: application/json\r\nContent-Length: ",
        ];
        let (mut body, mut expected) = (String::new(), String::new());
        for (kind, text) in &parts {
            let json = serde_json::json!({ "password": text }).to_string();
            let (text, alone) = match kind {
                0 => (text.clone(), field(text)),
                2 => (text.clone(), alone(text, Format::Text)),
                _ => (json.clone(), alone(&json, Format::Json)),
            };
            for (body, text) in [(&mut body, text), (&mut expected, alone)] {
                let length = if *kind == 3 { text.len().to_string() } else { String::new() };
                *body += &format!("--xYz\r\n{}{length}\r\n\r\n{text}\r\n", HEADS[*kind]);
            }
        }
        body += "--xYz--\r\n";
        expected += "--xYz--\r\n";
        let out = run(FORM, body.as_bytes().chunks(cut)).unwrap().text;
        prop_assert_eq!(&out, &expected);
        prop_assert_eq!(&run(FORM, [out.as_bytes()]).unwrap().text, &expected);
    }
}

fn alone(text: &str, format: Format) -> String {
    let (mut redactor, mut out) = (Redactor::new(&PLAN, format), Vec::new());
    redactor.push(Bytes::copy_from_slice(text.as_bytes()), &mut out).unwrap();
    redactor.finish(&mut out).unwrap();
    String::from_utf8(out.concat()).unwrap()
}

/// As the member of an object.
fn field(text: &str) -> String {
    let json = alone(&serde_json::json!({ "password": text }).to_string(), Format::Ndjson);
    serde_json::from_str::<serde_json::Value>(&json).unwrap()["password"].as_str().unwrap().to_owned()
}

fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("bob@example.com".to_owned()),
        Just("+14155552671".to_owned()),
        Just("hunter2".to_owned()),
        Just("\r\n".to_owned()),
        Just("--xY".to_owned()),
        "[a-z=+\"\\\\é]{1,6}",
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.join(" "))
}
