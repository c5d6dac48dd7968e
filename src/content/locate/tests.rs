use super::*;
use crate::redact::rig::PLAN;
use crate::span::Span;

/// One line per finding: record, pointer, `name` or `value`, offsets.
fn line(located: &Located) -> String {
    let pointer = located.pointer.as_deref().unwrap_or("-");
    let part = if located.in_name { "name" } else { "value" };
    format!("{} {pointer} {part} {}..{}", located.record, located.start, located.end)
}

fn locate(format: Format, chunks: &[&[u8]]) -> Vec<String> {
    locate_by(&PLAN, format, chunks)
}

fn locate_by(plan: &Arc<Plan>, format: Format, chunks: &[&[u8]]) -> Vec<String> {
    let (mut redactor, mut locator) = (Redactor::new(plan, format), Locator::new(plan, format));
    let (mut out, mut found) = (Vec::new(), Vec::new());
    redactor.record();
    for chunk in chunks {
        let chunk = Bytes::copy_from_slice(chunk);
        locator.push(chunk.clone());
        redactor.push(chunk, &mut out).unwrap();
        locator.settle(&mut redactor, &mut found);
    }
    redactor.finish(&mut out).unwrap();
    locator.settle(&mut redactor, &mut found);
    locator.finish(&mut found);
    found.iter().map(line).collect()
}

fn json(text: &str) -> Vec<String> {
    locate(Format::Json, &[text.as_bytes()])
}

/// The places of hand-made spans, without a redactor, with the walk cut into
/// pieces at `cut`.
fn walked(format: Format, raw: &str, spans: &[Span], cut: usize) -> Vec<String> {
    let mut locator = Locator::new(&PLAN, format);
    let mut found = Vec::new();
    let (head, tail) = raw.as_bytes().split_at(cut);
    locator.push(Bytes::copy_from_slice(head));
    locator.push(Bytes::copy_from_slice(tail));
    for &span in spans {
        let applied = Applied { span, rule: 0, action: crate::redact::Action::Replace, base64: false };
        locator.begin(applied, &mut found);
        locator.advance(span.end, &mut found);
        locator.end(applied, &mut found);
    }
    locator.advance(raw.len() as u64, &mut found);
    locator.finish(&mut found);
    found.iter().map(line).collect()
}

/// The place of each `target` in `raw`, the same wherever the walk is cut.
fn places(format: Format, raw: &str, target: &str) -> Vec<String> {
    let spans: Vec<Span> =
        raw.match_indices(target).map(|(at, text)| Span::new(at as u64, (at + text.len()) as u64)).collect();
    let whole = walked(format, raw, &spans, 0);
    for cut in 1..raw.len() {
        if raw.is_char_boundary(cut) {
            assert_eq!(walked(format, raw, &spans, cut), whole, "cut at {cut} of {raw}");
        }
    }
    whole
}

#[test]
fn the_example_of_the_contract_holds() {
    assert_eq!(json(r#"{"text":"mail  jane.doe@example.com"}"#), ["1 /text value 6..26"]);
}

#[test]
fn paths_lead_through_objects_and_arrays() {
    let raw = r#"{"a":[1,{"b":[[],["x","HIT"]]},{"c":{"d":"HIT"}}],"e":"HIT"}"#;
    assert_eq!(
        places(Format::Json, raw, "HIT"),
        ["1 /a/1/b/1/1 value 0..3", "1 /a/2/c/d value 0..3", "1 /e value 0..3"]
    );
}

#[test]
fn names_are_decoded_and_escaped_for_the_pointer() {
    let raw = r#"{"a\/b~c":{"\u00e9\ud83d\ude00":"HIT"},"":"HIT"}"#;
    assert_eq!(places(Format::Json, raw, "HIT"), ["1 /a~1b~0c/é😀 value 0..3", "1 / value 0..3"]);
}

#[test]
fn offsets_count_the_bytes_of_the_decoded_string() {
    assert_eq!(places(Format::Json, r#""\n\t\"\\HIT""#, "HIT"), ["1  value 4..7"]);
    assert_eq!(places(Format::Json, r#""\u00e9\u20ac\u0041HIT""#, "HIT"), ["1  value 6..9"]);
    assert_eq!(places(Format::Json, r#""\ud83d\ude00HIT""#, "HIT"), ["1  value 4..7"]);
    assert_eq!(places(Format::Json, r#""é€HIT""#, "HIT"), ["1  value 5..8"]);
    // Halves of pairs decode to a replacement character each.
    assert_eq!(places(Format::Json, r#""\ud83dHIT""#, "HIT"), ["1  value 3..6"]);
    assert_eq!(places(Format::Json, r#""\ud83d\ud83d\ude00\ude00\nHIT""#, "HIT"), ["1  value 11..14"]);
    // Escapes within the finding.
    assert_eq!(places(Format::Json, r#""x\u0048IT""#, r"\u0048IT"), ["1  value 1..4"]);
}

#[test]
fn a_string_in_a_string_is_decoded_once() {
    let raw = r#"{"arguments":"{\"to\": \"HIT\", \"x\": \"\\u00e9HIT\"}"}"#;
    assert_eq!(places(Format::Json, raw, "HIT"), ["1 /arguments value 8..11", "1 /arguments value 26..29"]);
}

#[test]
fn findings_in_a_name_point_to_its_member_without_showing_it() {
    let raw = r#"{"a":{"to HIT, HIT":{"b":"HIT"}}}"#;
    let entity = &PLAN.engine().ruleset().rules[0].entity;
    assert_eq!(
        places(Format::Json, raw, "HIT"),
        [
            format!("1 /a/to [{entity}], [{entity}] name 3..6"),
            format!("1 /a/to [{entity}], [{entity}] name 8..11"),
            format!("1 /a/to [{entity}], [{entity}]/b value 0..3"),
        ]
    );
}

#[test]
fn records_are_documents_or_lines() {
    let raw = "{\"a\":\"HIT\"}{\"a\":\"HIT\"} \"HIT\"\n[\"HIT\"]\n\n\"HIT\"";
    assert_eq!(
        places(Format::Json, raw, "HIT"),
        ["1 /a value 0..3", "2 /a value 0..3", "3  value 0..3", "4 /0 value 0..3", "5  value 0..3"]
    );
    let raw = "{\"a\":\"HIT\"}\n\n{\"a\":[\"HIT\n{\"b\":\"HIT\"}\n";
    assert_eq!(places(Format::Ndjson, raw, "HIT"), ["1 /a value 0..3", "3 /a/0 value 0..3", "4 /b value 0..3"]);
}

#[test]
fn numbers_are_measured_by_their_text() {
    assert_eq!(places(Format::Json, "[1, 77123, 8]", "7123"), ["1 /1 value 1..5"]);
    assert_eq!(places(Format::Json, "{\"a\": 7123}", "7123"), ["1 /a value 0..4"]);
    assert_eq!(places(Format::Json, "{} 7123 7123", "7123"), ["2  value 0..4", "3  value 0..4"]);
}

#[test]
fn text_has_offsets_only() {
    assert_eq!(places(Format::Text, "one\nHIT \"HIT\"", "HIT"), ["1 - value 4..7", "1 - value 9..12"]);
}

#[test]
fn broken_json_is_placed_as_well_as_it_goes() {
    assert_eq!(places(Format::Json, r#"{"a":[1,2}, {"b":"HIT"}"#, "HIT"), ["2 /b value 0..3"]);
    assert_eq!(places(Format::Json, r#"]]}{"a" "HIT", HIT]"#, "HIT"), ["1 /a value 0..3", "1 /a value 0..3"]);
    assert_eq!(places(Format::Json, r#"["\uZZHIT", "HIT"#, "HIT"), ["1 /0 value 2..5", "1 /1 value 0..3"]);
    assert_eq!(places(Format::Json, "[1 2 3]", "1 2 3"), ["1 /0 value 0..5"]);
}

#[test]
fn depth_is_bounded() {
    let raw = format!("{}\"HIT\"{},\"HIT\"]", "[".repeat(5000), "]".repeat(4999));
    let spans: Vec<Span> = raw.match_indices("HIT").map(|(at, _)| Span::new(at as u64, at as u64 + 3)).collect();
    let found = walked(Format::Json, &raw, &spans, 0);
    assert!(found[0].ends_with("/0/0 value 0..3"), "{}", found[0]);
    assert_eq!(found[1], "1 /1 value 0..3");
}

#[test]
fn findings_of_the_redactor_are_placed_the_same_at_every_split() {
    let text = concat!(
        r#"{"to":["\ud83d\ude00 bob@example.com\n"],"bob@example.com":{"card":4242424242424242,"#,
        r#""args":"{\"password\": \"Violet!3325Harbor\"}"}}"#,
    );
    let whole = json(text);
    assert_eq!(
        whole,
        [
            "1 /to/0 value 5..20",
            "1 /[EMAIL_ADDRESS] name 0..15",
            "1 /[EMAIL_ADDRESS]/card value 0..16",
            "1 /[EMAIL_ADDRESS]/args value 14..31",
        ]
    );
    for at in 0..=text.len() {
        let (head, tail) = text.as_bytes().split_at(at);
        assert_eq!(locate(Format::Json, &[head, tail]), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(locate(Format::Json, &bytes), whole);
}

#[test]
fn a_finding_of_many_chunks_is_placed_once() {
    let text = format!(r#"[0, {{"password": "{}", "to": "bob@example.com"}}]"#, "aZ3kQ9".repeat(50_000));
    let chunks: Vec<&[u8]> = text.as_bytes().chunks(7_000).collect();
    assert_eq!(locate(Format::Json, &chunks), ["1 /1/password value 0..300000", "1 /1/to value 0..15"]);
}

#[test]
fn what_begins_within_another_finding_stands_where_it_does() {
    let shadow = r#"
[[rule]]
id = "a.shadow"
entity = "ACME"
category = "pii"
description = "Words"
pattern = '''examp[a-z.]+'''
shadow = true
examples = ["example"]
negative_examples = ["x"]
"#;
    let ruleset = crate::rule::Ruleset::from_texts(&[("user.toml".into(), shadow.into())]).unwrap();
    let engine = Arc::new(crate::scan::Engine::compile(Arc::new(ruleset)).unwrap());
    let plan = Arc::new(Plan::new(engine, &crate::redact::Policy::default()));
    let body = r#"{"a": "é\n to jane@example.com, example", "jane@example.org": 1}"#;
    for cut in 0..body.len() {
        let mut lines = locate_by(&plan, Format::Json, &[&body.as_bytes()[..cut], &body.as_bytes()[cut..]]);
        lines.sort();
        let expected = [
            "1 /[EMAIL_ADDRESS] name 0..16",
            "1 /[EMAIL_ADDRESS] name 5..16",
            "1 /a value 12..23",
            "1 /a value 25..32",
            "1 /a value 7..23",
        ];
        assert_eq!(lines, expected, "cut at {cut}");
    }
}
