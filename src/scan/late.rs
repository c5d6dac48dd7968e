//! Names that stand behind their values.
//!
//! ```text
//! {"value": "...", "key": "db.password"}
//! {"value": {"stringValue": "..."}, "key": "db.password"}
//! ```
//!
//! From `value` or `val`, the first name of an object, [`name`] looks for the member that says
//! what the value is, up to the end of the object and [`LOOKAHEAD`](super::LOOKAHEAD)
//! bytes at most. What is further on is not seen.

use super::LOOKAHEAD;
use super::delimiter::Delimiter;
use super::key::{LONGEST_NAME, is_in_name, whole_unit};
use super::unit::Meaning;

/// What the literal database looks for.
pub(super) const LITERALS: [&[u8]; 6] = [b"value\"", b"value\\", b"value'", b"val\"", b"val\\", b"val'"];
/// The names that values stand under, in lower case.
const VALUES: [&[u8]; 2] = [b"value", b"val"];
/// The names of members that hold names, in lower case.
const NAMES: &[&[u8]] = &[
    b"key",
    b"name",
    b"k",
    b"n",
    b"id",
    b"type",
    b"field",
    b"label",
    b"header",
    b"attribute",
    b"property",
    b"param",
    b"parameter",
    b"variable",
    b"var",
    b"env",
    b"setting",
];
/// Raw bytes before the name of a value that are looked at.
const REACH: usize = 64;
/// Objects and arrays within each other that a value is made of, at most: those of OTLP
/// lie four deep.
const DEEPEST: u32 = 6;
/// Members between the value and its name, at most.
const MEMBERS: usize = 8;

/// Whether `name` is one that values stand under.
pub(super) fn is_value(name: &[u8]) -> bool {
    VALUES.iter().any(|value| name.eq_ignore_ascii_case(value))
}

/// Whether one of the [`LITERALS`] at `at` of `raw` may be the first name of an object, by
/// a quick look.
pub(super) fn may_open(raw: &[u8], at: usize) -> bool {
    match raw[..at] {
        // Most are the second one.
        [.., b',', b'"' | b'\''] | [.., b',', b' ', b'"' | b'\''] => false,
        [.., b'"' | b'\''] | [] => true,
        _ => false,
    }
}

/// Whether an object begins right before the quote with which `before` ends, or with
/// white space in between.
pub(super) fn opens_object(before: &[u8]) -> bool {
    let before = &before[before.len().saturating_sub(REACH)..];
    let Some((b'"' | b'\'', mut rest)) = before.split_last() else { return false };
    loop {
        rest = match rest {
            [more @ .., b'\\'] => more,
            [more @ .., b'\\', b'n' | b'r' | b't'] => more,
            [more @ .., byte] if byte.is_ascii_whitespace() => more,
            _ => return rest.last() == Some(&b'{'),
        }
    }
}

/// How much of what stands before a name [`opens_object`] looks at.
pub(super) const BEFORE: usize = REACH;

/// What came of looking for the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// It is in the text.
    Name,
    /// There is none.
    None,
    /// More data tells.
    More,
}

/// Where in the object the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Behind a name: a colon follows.
    Colon,
    /// The value begins.
    Value,
    /// In it, or behind it.
    Rest,
    /// Behind a comma: a name follows.
    Name,
}

/// As [`name`], where no more than is looked at need have come.
pub(super) fn name_near(
    raw: &[u8],
    at: usize,
    quote: Delimiter,
    last: bool,
    is_known: impl Fn(&[u8]) -> bool,
    text: &mut Vec<u8>,
) -> Late {
    let limit = raw.len().min(at + LOOKAHEAD);
    match name(&raw[..limit], at, quote, last && limit == raw.len(), is_known, text) {
        Late::More if limit == at + LOOKAHEAD => Late::None,
        found => found,
    }
}

/// Looks from `at` of `raw` on, behind the closing `quote` of `value`, and puts the first
/// name that follows the value and `is_known` into `text`. `last` tells that nothing
/// follows `raw`.
fn name(
    raw: &[u8],
    at: usize,
    quote: Delimiter,
    last: bool,
    is_known: impl Fn(&[u8]) -> bool,
    text: &mut Vec<u8>,
) -> Late {
    let (mut at, mut stage, mut depth, mut members) = (at, Stage::Colon, 0_u32, 0);
    // Whether what follows is the name, and not another member's value.
    let mut is_name = false;
    let end = if last { Late::None } else { Late::More };
    loop {
        let Some(next) = whole_unit(raw, at, last) else { return end };
        let behind = at + next.len;
        if next.is_space() {
            at = behind;
            continue;
        }
        let opening = Delimiter::of(next, raw, at);
        at = behind;
        match (stage, next.meaning) {
            (Stage::Colon, Meaning::Byte(b':')) => stage = Stage::Value,
            (Stage::Name, _) if opening == Some(quote) => {
                match string(raw, at, quote, last, text) {
                    Text::Ends(behind) => at = behind,
                    Text::Broken => return Late::None,
                    Text::More => return end,
                }
                (is_name, members) = (NAMES.iter().any(|name| text.eq_ignore_ascii_case(name)), members + 1);
                stage = Stage::Colon;
            }
            (Stage::Value | Stage::Rest, _) if opening.is_some_and(|opening| may_begin(quote, opening)) => {
                let Some(opening) = opening else { return Late::None };
                match string(raw, at, opening, last, text) {
                    Text::Ends(behind) => at = behind,
                    Text::Broken => return Late::None,
                    Text::More => return end,
                }
                if stage == Stage::Value && is_name && is_known(text) {
                    return Late::Name;
                }
                stage = Stage::Rest;
            }
            (Stage::Rest, Meaning::Byte(b',')) if depth == 0 && members < MEMBERS => stage = Stage::Name,
            (Stage::Value | Stage::Rest, Meaning::Byte(b'{' | b'[')) if depth < DEEPEST => {
                (depth, stage) = (depth + 1, Stage::Rest);
            }
            (Stage::Rest, Meaning::Byte(b'}' | b']')) if depth > 0 => depth -= 1,
            (Stage::Rest, Meaning::Byte(b',' | b':')) if depth > 0 => {}
            // Numbers, `true`, `None`, the letter before a string of Python.
            (Stage::Value | Stage::Rest, Meaning::Byte(byte))
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.') =>
            {
                stage = Stage::Rest;
            }
            _ => return Late::None,
        }
    }
}

/// Whether a string in the object whose names stand between `name` may begin with `quote`.
fn may_begin(name: Delimiter, quote: Delimiter) -> bool {
    match (name, quote) {
        (Delimiter::Double(_), Delimiter::Double(_)) | (Delimiter::Single(_), Delimiter::Single(_)) => name == quote,
        _ => true,
    }
}

enum Text {
    Ends(usize),
    /// It ends with what is around it.
    Broken,
    More,
}

/// Where a string ends whose content begins at `at`, with the content in `text`, if it may
/// be a name, else nothing.
fn string(raw: &[u8], at: usize, quote: Delimiter, last: bool, text: &mut Vec<u8>) -> Text {
    text.clear();
    let (mut at, mut is_name) = (at, true);
    loop {
        if !is_name {
            text.clear();
            // Nothing else begins a unit that a quote may be.
            let rest = &raw[at..];
            at += memchr::memchr3(b'"', b'\\', b'\'', rest).unwrap_or(rest.len());
        }
        let Some(next) = whole_unit(raw, at, last) else { return Text::More };
        let closing = Delimiter::of(next, raw, at);
        at += next.len;
        match closing {
            Some(closing) if closing == quote => return Text::Ends(at),
            Some(closing) if quote.ends_before(closing) => return Text::Broken,
            _ => {}
        }
        is_name &= closing.is_none() && is_in_name(next.meaning) && text.len() < LONGEST_NAME;
        if is_name {
            text.extend_from_slice(next.bytes(&mut [0; 4]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name behind the value that begins at the `|` of `raw`, wherever that is cut.
    #[track_caller]
    fn found(raw: &str, quote: Delimiter) -> Option<String> {
        let at = raw.find('|').unwrap();
        let raw = raw.replacen('|', "", 1).into_bytes();
        let mut text = Vec::new();
        let whole = name_near(&raw, at, quote, true, |name| name == b"p", &mut text);
        let expected = text.clone();
        for cut in at..raw.len() {
            let part = name_near(&raw[..cut], at, quote, false, |name| name == b"p", &mut text);
            assert!(part == Late::More || (part == whole && (whole != Late::Name || text == expected)), "cut at {cut}");
        }
        (whole == Late::Name).then(|| String::from_utf8(expected).unwrap())
    }

    #[test]
    fn the_member_that_names_a_value_is_found_behind_it() {
        const TOP: Delimiter = Delimiter::Double(0);
        for (raw, quote) in [
            (r#"{"value"|:"v","key":"p"}"#, TOP),
            (r#"{"value"| : [1, "a{", {"b": [null]}] , "Name" : "p" }"#, TOP),
            (r#"{"value"|:{"arrayValue":{"values":[{"stringValue":"v\"}"}]}},"key":"p"}"#, TOP),
            (r#"{"value"|:-1.5e3,"type":true,"a":{},"key":"p"}"#, TOP),
            (r#"{"value"|:"v","type":"string","id":"7","key":"p"}"#, TOP),
            (r#"{\"value\"|:\"it's \\\" v\",\"key\":\"p\"}"#, Delimiter::Double(1)),
            (r"{'value'|: b'v', 'key': 'p'}", Delimiter::Single(0)),
            (r#"{'value'|: "v", 'key': "p"}"#, Delimiter::Single(0)),
        ] {
            assert_eq!(found(raw, quote).as_deref(), Some("p"), "{raw}");
        }
        let long = format!(r#"{{"value"|:"{}","key":"p"}}"#, "v".repeat(LOOKAHEAD));
        let deep = format!(r#"{{"value"|:{}1{},"key":"p"}}"#, "[".repeat(9), "]".repeat(9));
        for raw in [
            r#"{"value"|:"v"}"#,
            r#"{"value"|:"v"},{"key":"p"}"#,
            r#"{"value"|:"v","text":"p"}"#,
            r#"{"value"|:"v","key":""}"#,
            r#"{"value"|:"v","key":1}"#,
            r#"{"value"|:"v","key":["p"]}"#,
            r#"{"value"|:"v" "key":"p"}"#,
            r#"{"value"|"#,
            r#"{"value"|:"v","key":"p"#,
            &long,
            &deep,
        ] {
            assert_eq!(found(raw, TOP), None, "{raw}");
        }
        assert_eq!(found(r#"{\"value\"|:\"v", "key":"p"}"#, Delimiter::Double(1)), None);
    }

    #[test]
    fn an_object_begins_before_its_first_name() {
        for before in [r#"{""#, "{ \n\t\"", r#"{\""#, r#"{\n  \""#, r#"{\\n \\\""#, "{'", "[{\\'"] {
            assert!(opens_object(before.as_bytes()), "{before}");
        }
        for before in [r#","#, r#"{"#, r#", ""#, r#"["#, r#"[""#, r#"{x""#, r#"""#, ""] {
            assert!(!opens_object(before.as_bytes()), "{before}");
        }
    }
}
