//! How a redacted number must be written.
//!
//! A bare number that becomes a label must become a string, or the document
//! is broken; within a string the same digits may be text, or a number of a
//! document within the string, whose quotes are written with backslashes.

use super::Format;
use super::delimiter::Delimiter;
use super::nearby::Context;
use super::resolve::Wrap;
use super::typed::{self, Typed};
use super::unit::{Meaning, run_before, unit};
use super::window::{Window, sync};
use crate::rule::{Detector, Matcher, Rule};
use crate::validator::Validator;
use std::ops::Range;

/// Raw bytes before a number that are looked at.
const LOOK: usize = 512;

/// Where a match stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) raw: &'a [u8],
    pub(super) format: Format,
    /// Fence before and after, or the ends of what may be looked at.
    pub(super) bounds: (usize, usize),
    /// Within a top-level JSON string.
    pub(super) inside: bool,
    /// A top-level quote stands right before the data.
    pub(super) behind_quote: bool,
    /// What stands before `raw`, as far as [`typed::REACH`] at least.
    pub(super) context: &'a Context,
}

/// Digits of the longest number that readers of JSON keep exactly (up to 2^53, RFC 8259
/// section 6). Longer ones are ids of 64 bits, one in eight of which looks like a card.
const LONGEST_CARD: usize = 16;

/// What a rule makes of numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// Bare ones are judged.
    bare: bool,
    /// Digits of the longest that is judged.
    longest: usize,
}

impl Numbers {
    pub(super) fn of(rule: &Rule) -> Self {
        let is_card =
            matches!(rule.matcher, Matcher::Detector(Detector::Card)) || rule.validator == Some(Validator::Card);
        Self { bare: rule.numbers, longest: if is_card { LONGEST_CARD } else { usize::MAX } }
    }
}

/// How to write what replaces the match at `range`; `None` when it is a bare
/// JSON number and the rule does not judge those, or none so long.
pub(super) fn wrap(place: Place<'_>, range: &Range<usize>, numbers: Numbers, window: &mut Window) -> Option<Wrap> {
    let is_between = place.format != Format::Text && !place.inside;
    if !is_number(&place.raw[..range.end], range.start, !is_between) {
        return Some(Wrap::Plain);
    }
    match typed::under(place.context, place.raw, range) {
        Some(Typed::Value) if !is_between || numbers.bare => return Some(Wrap::Zero),
        Some(_) => return None,
        None => {}
    }
    if numbers.longest == LONGEST_CARD && typed::is_no_card(place.context, place.raw, range) {
        return None;
    }
    match is_between {
        true => bare(place, range, numbers),
        false => match nested(place, range, window) {
            // Nobody writes an id with escapes in it.
            Wrap::Quoted(_) if range.len() > numbers.longest && !place.raw[range.clone()].contains(&b'\\') => None,
            wrap => Some(wrap),
        },
    }
}

/// Whether all from `at` on are digits; within a string they may be escaped.
fn is_number(raw: &[u8], mut at: usize, within: bool) -> bool {
    while at < raw.len() {
        let unit = unit(raw, at);
        match unit.meaning {
            Meaning::Byte(b'0'..=b'9') if within || unit.len == 1 => at += unit.len,
            _ => return false,
        }
    }
    true
}

/// A number between strings: of the document itself.
fn bare(place: Place<'_>, range: &Range<usize>, numbers: Numbers) -> Option<Wrap> {
    let closes = |byte: u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
    if opens_value(place, range.start) && place.raw.get(range.end).is_none_or(|&byte| closes(byte)) {
        return (numbers.bare && range.len() <= numbers.longest).then_some(Wrap::Quoted(0));
    }
    // Not JSON: text like any other.
    Some(Wrap::Plain)
}

/// Whether a JSON value can begin at `at`, between strings: behind a member's
/// colon, in an array, or where a document begins. `[info] password: 12345678`
/// is no JSON, whatever its first byte.
fn opens_value(place: Place<'_>, at: usize) -> bool {
    let floor = at.saturating_sub(LOOK);
    let (sign, before) = match before_space(place, floor, at) {
        Some(found) => found,
        // Nothing but white space, or too much of it.
        None => return true,
    };
    match sign {
        // A record begins.
        _ if place.format == Format::Ndjson && place.raw[before..at].contains(&b'\n') => true,
        b',' | b'[' => true,
        b':' => matches!(before_space(place, floor, before), Some((b'"', _))),
        // Documents that follow each other stand on lines of their own.
        b'}' | b']' | b'"' | b'0'..=b'9' | b'e' | b'l' => place.raw[before..at].contains(&b'\n'),
        _ => false,
    }
}

/// The last byte before `at` that is no white space, and its place; a quote
/// that stands right before the data has place 0.
fn before_space(place: Place<'_>, floor: usize, at: usize) -> Option<(u8, usize)> {
    let found = place.raw[floor..at].iter().rposition(|byte| !byte.is_ascii_whitespace()).map(|index| floor + index);
    match found {
        Some(index) => Some((place.raw[index], index)),
        None => (floor == 0 && place.behind_quote).then_some((b'"', 0)),
    }
}

/// Digits within text: a number of a nested document when a member's colon or
/// an array stands before them and a comma or bracket after.
fn nested(place: Place<'_>, range: &Range<usize>, window: &mut Window) -> Wrap {
    if !closes_value(place, range.end) {
        return Wrap::Plain;
    }
    let from = range.start.saturating_sub(LOOK).max(place.bounds.0);
    let from = if from == place.bounds.0 { from } else { sync(place.raw, from, range.start) };
    window.decode(place.raw, from..range.start);
    let at_fence = from == place.bounds.0;
    walk_back(place, window, at_fence)
}

fn closes_value(place: Place<'_>, end: usize) -> bool {
    let raw = &place.raw[..place.bounds.1];
    let mut at = end;
    while at < raw.len() {
        let unit = unit(raw, at);
        if !unit.is_space() {
            return matches!(unit.meaning, Meaning::Byte(b',' | b']' | b'}'));
        }
        at += unit.len;
    }
    false
}

/// Reads the text before the number backwards to the quote that tells its level.
fn walk_back(place: Place<'_>, window: &Window, at_fence: bool) -> Wrap {
    let text = window.text();
    let mut index = text.len();
    let mut in_array = false;
    let mut behind = None;
    while index > 0 {
        index -= 1;
        match (text[index], behind) {
            (b' ' | b'\t' | b'\n', _) | (b'0'..=b'9' | b'.' | b'-', Some(_)) => {}
            (byte @ (b'[' | b','), _) => {
                in_array |= byte == b'[';
                behind = Some(byte);
            }
            (b':', _) => return member(place, window, index),
            (b'"', Some(b'[')) => return Delimiter::Double(level_of(place, window, index) + 1).wrap(),
            (b'"', Some(_)) if may_open(text, index) => return Wrap::Zero,
            (b'"', Some(_)) => return Delimiter::Double(level_of(place, window, index)).wrap(),
            // Behind an object or an array, or such signs within a text.
            (b'}' | b']', Some(b',')) => return Wrap::Zero,
            (b'a'..=b'z', Some(b',')) => match word_before(&text[..=index]) {
                Some(length) => index = index + 1 - length,
                None => return Wrap::Plain,
            },
            _ => return Wrap::Plain,
        }
    }
    match (in_array, at_fence) {
        // An array at the very start of a string, or of a line of text.
        (true, true) if place.format == Format::Text => Wrap::Quoted(0),
        (true, true) => Wrap::Quoted(1),
        (false, true) => Wrap::Plain,
        (_, false) => Wrap::Zero,
    }
}

/// Whether the quote at `index` may be one that opens a string, by what stands
/// before it.
fn may_open(text: &[u8], index: usize) -> bool {
    let before = text[..index].iter().rfind(|byte| !matches!(byte, b' ' | b'\t' | b'\n'));
    before.is_none_or(|byte| matches!(byte, b':' | b',' | b'[' | b'{'))
}

/// The length of the JSON word that `text` ends with.
fn word_before(text: &[u8]) -> Option<usize> {
    [&b"null"[..], b"true", b"false"].iter().find(|word| text.ends_with(word)).map(|word| word.len())
}

/// Behind a colon: a member of the level of its name's closing quote.
fn member(place: Place<'_>, window: &Window, colon: usize) -> Wrap {
    let text = window.text();
    let name_end = text[..colon].iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\n'));
    match name_end {
        Some(index) if text[index] == b'"' && may_open(text, index) => Wrap::Zero,
        Some(index) if text[index] == b'"' => Delimiter::Double(level_of(place, window, index)).wrap(),
        _ => Wrap::Plain,
    }
}

/// The level of the quote at `index` of the window.
fn level_of(place: Place<'_>, window: &Window, index: usize) -> u32 {
    let start = window.raw_start(index);
    match unit(place.raw, start).meaning {
        Meaning::Quote(level) => level,
        _ => run_before(place.raw, place.bounds.0, start).trailing_ones(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUDGED: Numbers = Numbers { bare: true, longest: LONGEST_CARD };

    fn wrap_in(raw: &str, format: Format, inside: bool) -> Option<Wrap> {
        let start = raw.find("4111").unwrap();
        let end = start + 16;
        // The content of the string that holds the number, as fences would tell.
        let bounds = if inside { (1, raw.len() - 1) } else { (0, raw.len()) };
        let place =
            Place { raw: raw.as_bytes(), format, bounds, inside, behind_quote: false, context: &Context::at_start() };
        wrap(place, &(start..end), JUDGED, &mut Window::default())
    }

    #[test]
    fn a_bare_number_becomes_a_string() {
        assert_eq!(wrap_in(r#""card": 4111111111111111}"#, Format::Json, false), Some(Wrap::Quoted(0)));
        assert_eq!(wrap_in("4111111111111111", Format::Json, false), Some(Wrap::Quoted(0)));
        assert_eq!(wrap_in("x 4111111111111111 y", Format::Json, true), Some(Wrap::Plain));
    }

    #[test]
    fn a_number_that_json_cannot_hold_exactly_is_no_card() {
        let wrap = |raw: &str, inside, longest| {
            let start = raw.find("6234").unwrap();
            let bounds = if inside { (1, raw.len() - 1) } else { (0, raw.len()) };
            let place = Place {
                raw: raw.as_bytes(),
                format: Format::Json,
                bounds,
                inside,
                behind_quote: false,
                context: &Context::at_start(),
            };
            let end = start + raw[start..].bytes().take_while(u8::is_ascii_digit).count();
            super::wrap(place, &(start..end), Numbers { bare: true, longest }, &mut Window::default())
        };
        for (raw, inside) in [
            ("[6234505549529662657]", false),
            (r#""id": 6234505549529662657}"#, false),
            (r#""{\"id\": 6234505549529662657}""#, true),
        ] {
            assert_eq!(wrap(raw, inside, LONGEST_CARD), None, "{raw}");
            assert!(matches!(wrap(raw, inside, usize::MAX), Some(Wrap::Quoted(_))), "{raw}");
        }
        assert_eq!(wrap(r#""6234505549529662657""#, true, LONGEST_CARD), Some(Wrap::Plain));
        assert_eq!(wrap(r#""card 6234505549529662657, thanks""#, true, LONGEST_CARD), Some(Wrap::Plain));
    }

    #[test]
    fn digits_that_are_no_json_number_are_text() {
        for raw in ["[info] card: 4111111111111111, x", "[db]\ncard = 4111111111111111\n", "{ 4111111111111111 }"] {
            assert_eq!(wrap_in(raw, Format::Json, false), Some(Wrap::Plain), "{raw}");
        }
        for raw in ["\"card\" :\n 4111111111111111 }", "[1, 4111111111111111]", "{}\n4111111111111111\n"] {
            assert_eq!(wrap_in(raw, Format::Json, false), Some(Wrap::Quoted(0)), "{raw}");
        }
    }

    #[test]
    fn a_number_of_a_nested_document_gets_quotes_of_its_level() {
        let quoted = |raw: &str| wrap_in(raw, Format::Json, true);
        assert_eq!(quoted(r#""{\"card\": 4111111111111111}""#), Some(Wrap::Quoted(1)));
        assert_eq!(quoted(r#""{\\\"card\\\":4111111111111111, 1}""#), Some(Wrap::Quoted(2)));
        assert_eq!(quoted(r#""{\"cards\": [1, 4111111111111111]}""#), Some(Wrap::Quoted(1)));
        for before in [r#"\"x\","#, r#"\"x\", null, true, 1, "#, r#"\"x\", ["#] {
            let raw = format!(r#""{{\"a\": [1, {before}4111111111111111]}}""#);
            assert_eq!(quoted(&raw), Some(Wrap::Quoted(1)), "{raw}");
        }
        // A number, or text behind such signs: a zero is right for both.
        for before in [r#"{\"b\": 1}, "#, r#"[\"b\"], "#, r#"\", "#, r#"\": "#] {
            let raw = format!(r#""{{\"a\": [1, {before}4111111111111111, 1]}}""#);
            assert_eq!(quoted(&raw), Some(Wrap::Zero), "{raw}");
        }
        assert_eq!(quoted(r#""[4111111111111111, 5]""#), Some(Wrap::Quoted(1)));
        assert_eq!(quoted(r#""{\"a\": \"[4111111111111111]\"}""#), Some(Wrap::Quoted(2)));
        assert_eq!(quoted(r#""card: 4111111111111111, thanks""#), Some(Wrap::Plain));
        assert_eq!(quoted(r#""4111111111111111""#), Some(Wrap::Plain));
    }
}
