//! From a member name to its value.
//!
//! From the name's closing quote on, [`Walk`] reads what follows, unit by unit and
//! across chunk borders, until it is at the value or knows that none follows:
//!
//! ```text
//! "password": "..."                                     a member
//! {\"password\": 1234}                                  nested, a number
//! "api_keys": ["...", "..."]                            an array of values
//! {"key": "db.password", "value": {"stringValue": "..."}}   OTLP, split up
//! {"key": "db.password", "type": "string", "value": "..."}  the same, in forms
//! {"password": {"S": "..."}}                            in a wrapper: DynamoDB
//! ["--password", "..."]                                 arguments of programs
//! ["X-Api-Key", "q8f1o2m3"]                             a pair, as of headers
//! {'password': b'...', 'token': "..."}        as Python and JavaScript write it
//! ```
//!
//! Of arrays all values are read, `null` and the like passed over. Other objects stay
//! (their members are judged by their own names; JSON Schemas put objects there), so
//! do `true`, `false` and `null`.

use super::base64::Encoding;
use super::delimiter::Delimiter;
use super::key::{Claimants, whole_unit};
use super::resolve::Wrap;
use super::unit::{Meaning, unit};
use crate::validator::is_placeholder;
use std::ops::Range;

/// Where in the text behind a member name the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Behind the closing quote of the name.
    Name,
    /// Behind a comma: `"value"` may follow.
    Comma,
    /// Behind `"value"` or `"stringValue"`.
    ValueName,
    /// Behind a colon: the value follows. `split` allows an OTLP wrapper.
    Colon { split: bool },
    /// Behind the brace of an OTLP wrapper: `"stringValue"` may follow.
    Wrapper,
    /// Behind the brace of a value that is an object: `"S"` may follow.
    Object,
    /// Behind a value in an array.
    Element,
    /// Behind `"arrayValue"`: `"values"` and a bracket follow.
    List,
    /// In an OTLP array: the brace of a wrapper follows.
    Item,
}

/// What a value of OTLP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Text,
    Number,
    /// In base64.
    Bytes,
}

/// Reads from a member name to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// The key rules.
    pub(crate) rules: Claimants,
    /// What the name stands between.
    pub(crate) quote: Delimiter,
    /// Where the name begins, in bytes of the body.
    pub(crate) begins: u64,
    /// What the last value that is a string stands between.
    pub(crate) value: Delimiter,
    stage: Stage,
    /// Arrays around the value.
    depth: u8,
    /// Within an OTLP array, whose elements have wrappers.
    list: bool,
    /// What the wrapper says that the value is.
    holds: Holds,
    /// It is within a string that holds JSON.
    encoded: bool,
    /// The name is an option of a program (`--password`): its value may be the
    /// next string.
    option: bool,
}

/// What a [`Walk`] came to; places are relative to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The data ends at or behind this place, from where to go on.
    More(usize),
    /// No (further) value: go on scanning here.
    Over(usize),
    /// A string whose content begins here.
    Text(usize),
    /// A number begins here.
    Number(usize),
}

impl Walk {
    /// A walk that begins behind the closing quote of `name`.
    pub(crate) fn new(rules: Claimants, quote: Delimiter, begins: u64, name: &[u8]) -> Self {
        let option = name.starts_with(b"--");
        Self {
            rules,
            quote,
            begins,
            value: quote,
            stage: Stage::Name,
            depth: 0,
            list: false,
            holds: Holds::Text,
            encoded: false,
            option,
        }
    }

    /// A walk that begins behind the closing quote of `value`, where `rules` claim a name
    /// that stands behind the value.
    pub(crate) fn to_value(rules: Claimants, quote: Delimiter, begins: u64) -> Self {
        Self { stage: Stage::ValueName, ..Self::new(rules, quote, begins, b"") }
    }

    /// How to write what stands in the place of a `number`. Readers of OTLP want one where
    /// the wrapper says so.
    pub(crate) fn wrap(&self) -> Wrap {
        if self.holds == Holds::Number { Wrap::Zero } else { self.quote.wrap() }
    }

    /// The same of a string that holds `text`, if it is known.
    pub(crate) fn wrap_text(&self, text: Option<&[u8]>) -> Wrap {
        let is_all = |is_part: fn(&u8) -> bool| text.is_some_and(|text| text.iter().all(is_part));
        match self.holds {
            Holds::Number if is_all(|byte| byte.is_ascii_digit() || b"-+.eE".contains(byte)) => Wrap::Zero,
            Holds::Bytes if is_all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte)) => Wrap::Encoded,
            _ => Wrap::Plain,
        }
    }

    /// Whether `value` is what such a number or such bytes become, or were.
    pub(crate) fn is_written(&self, value: &[u8]) -> bool {
        match self.holds {
            Holds::Text => false,
            Holds::Number => value == b"0",
            Holds::Bytes => is_placeholder(&Encoding::read(value).0),
        }
    }

    /// A walk over the strings in JSON that the string `range` of `raw` holds, which this has
    /// come to, if that is what it holds: one, or a list of them.
    ///
    /// ```text
    /// {"support_phone": "\"01 99 00 52 87\"", "pins": "[\"4815\", \"1623\"]"}
    /// ```
    pub(crate) fn within(&self, raw: &[u8], range: Range<usize>) -> Option<Self> {
        let Delimiter::Double(outer) = self.value else { return None };
        // Most values begin with neither a bracket nor an escape.
        let may_be = matches!(raw[range.clone()].first()?, b'[' | b'\\' | b' ' | b'%');
        let level = if may_be && !self.encoded {
            level_of_strings(&raw[..range.end], range.start, outer)?
        } else {
            return None;
        };
        let quote = Delimiter::Double(level);
        let stage = Stage::Colon { split: false };
        Some(Self { quote, value: quote, stage, depth: 0, list: false, holds: Holds::Text, encoded: true, ..*self })
    }

    /// Whether the values of an array are being read.
    pub(crate) fn in_array(&self) -> bool {
        self.depth > 0
    }

    /// Reads on from `at`. `last` tells that nothing follows `raw`.
    pub(crate) fn advance(&mut self, raw: &[u8], at: usize, last: bool) -> Step {
        let mut at = at;
        loop {
            let Some(unit) = whole_unit(raw, at, last) else {
                return if last && at >= raw.len() { Step::Over(at) } else { Step::More(at) };
            };
            let after = at + unit.len;
            if unit.is_space() {
                at = after;
                continue;
            }
            let quote = Delimiter::of(unit, raw, at);
            match (self.stage, unit.meaning) {
                (Stage::Name | Stage::ValueName, Meaning::Byte(b':')) => {
                    self.stage = Stage::Colon { split: self.stage == Stage::ValueName && self.depth == 0 };
                }
                (Stage::Name, Meaning::Byte(b',')) => self.stage = Stage::Comma,
                (Stage::Comma | Stage::Wrapper | Stage::Object | Stage::List, _) if quote == Some(self.quote) => {
                    match self.value_name(raw, after, last) {
                        Named::Yes(behind) => {
                            at = behind;
                            continue;
                        }
                        Named::No => return self.argument(raw, (at, after), last),
                        Named::More => return Step::More(at),
                    }
                }
                (Stage::Colon { .. }, _) if quote.is_some_and(|quote| self.may_open(quote)) => {
                    self.value = quote.unwrap_or(self.quote);
                    self.stage = Stage::Element;
                    return Step::Text(after);
                }
                // `b'...'`, `u'...'`
                (Stage::Colon { .. }, Meaning::Byte(b'b' | b'u' | b'r' | b'f')) if before_quote(raw, after, last) => {
                    if after >= raw.len() {
                        return Step::More(at);
                    }
                }
                (Stage::Colon { .. }, Meaning::Byte(b'-' | b'0'..=b'9')) if !unit.escaped => {
                    self.stage = Stage::Element;
                    return Step::Number(at);
                }
                (Stage::Colon { split: true }, Meaning::Byte(b'{')) => self.stage = Stage::Wrapper,
                (Stage::Colon { split: false }, Meaning::Byte(b'{')) if self.depth == 0 => self.stage = Stage::Object,
                (Stage::Colon { .. }, Meaning::Byte(b'[' | b'(')) if self.depth < u8::MAX => {
                    self.depth += 1;
                    self.stage = Stage::Colon { split: false };
                }
                (Stage::Colon { .. }, Meaning::Byte(b'a'..=b'z' | b'N' | b'T' | b'F')) if self.depth > 0 => {
                    // `null`, `true` and `false` between others.
                    match over_word(raw, at, last) {
                        Ok(behind) => at = behind,
                        Err(step) => return step,
                    }
                    continue;
                }
                (_, Meaning::Byte(byte)) if self.passes(byte) => {}
                (Stage::Colon { .. } | Stage::Element, Meaning::Byte(b']' | b')')) if self.depth > 1 => {
                    self.depth -= 1;
                    self.stage = Stage::Element;
                }
                (Stage::Element, Meaning::Byte(b',')) if self.depth > 0 => {
                    self.stage = if self.list { Stage::Item } else { Stage::Colon { split: false } };
                }
                (Stage::List, Meaning::Byte(b'[')) => {
                    (self.depth, self.list, self.stage) = (1, true, Stage::Item);
                }
                (Stage::Item, Meaning::Byte(b'{')) => self.stage = Stage::Wrapper,
                _ => return Step::Over(at),
            }
            at = after;
        }
    }

    /// Whether `byte` stands between what is walked to, and tells nothing.
    fn passes(&self, byte: u8) -> bool {
        match self.stage {
            Stage::Colon { .. } => byte == b',' && self.depth > 0,
            Stage::Element => byte == b'}' && self.list,
            Stage::List => matches!(byte, b':' | b'{'),
            _ => false,
        }
    }

    /// The string that begins at `at`, its text at `text`, if it may be what the
    /// option before it is given, no option itself; or what goes with the name before
    /// it in a list: `["X-Api-Key", "q8f1..."]`.
    fn argument(&mut self, raw: &[u8], (at, text): (usize, usize), last: bool) -> Step {
        let is_value = match self.stage {
            Stage::Comma if self.option => begins_option(raw, text, last).map(|option| !option),
            Stage::Comma => self.ends_list(raw, text, last),
            _ => Some(false),
        };
        match is_value {
            None => Step::More(at),
            Some(false) => Step::Over(at),
            Some(true) => {
                self.stage = Stage::Element;
                Step::Text(text)
            }
        }
    }

    /// Whether the string at `text` is the last of a list and looks like no name, as
    /// `sha256_sum_2024` does, and no prose: what stands in the list before it is a
    /// name. `None` if more data tells.
    fn ends_list(&self, raw: &[u8], text: usize, last: bool) -> Option<bool> {
        let (mut at, mut length, mut digits, mut is_over) = (text, 0, 0, false);
        let (mut joined, mut capital) = (false, false);
        while length <= LONGEST_LISTED {
            let Some(unit) = whole_unit(raw, at, last) else { return last.then_some(false) };
            let is_quote = Delimiter::of(unit, raw, at) == Some(self.quote);
            at += unit.len;
            match unit.meaning {
                _ if is_over && unit.is_space() => {}
                Meaning::Byte(byte) if is_over => return Some(matches!(byte, b']' | b')')),
                _ if is_quote && !is_over && length >= SHORTEST_LISTED && digits >= 2 && (capital || !joined) => {
                    is_over = true;
                }
                Meaning::Byte(byte) if !is_quote && !is_over && byte != b' ' => {
                    digits += usize::from(byte.is_ascii_digit());
                    (joined, capital) = (joined || byte == b'_', capital || byte.is_ascii_uppercase());
                }
                _ => return Some(false),
            }
            length += 1;
        }
        Some(false)
    }

    /// Whether a value may begin with `quote`: the kind that the name stands
    /// between, or, as Python chooses what need not be escaped, the other.
    fn may_open(&self, quote: Delimiter) -> bool {
        match (self.quote, quote) {
            (Delimiter::Double(_), Delimiter::Single(_)) | (Delimiter::Single(_), Delimiter::Double(_)) => true,
            (name, value) => name == value,
        }
    }

    /// Whether what follows is the name of a split member's value and its
    /// closing quote.
    fn value_name(&mut self, raw: &[u8], at: usize, last: bool) -> Named {
        let wanted: &[&[u8]] = match self.stage {
            Stage::Wrapper => &[
                b"stringValue",
                b"string_value",
                b"intValue",
                b"int_value",
                b"bytesValue",
                b"bytes_value",
                b"doubleValue",
                b"double_value",
                b"arrayValue",
                b"array_value",
            ],
            Stage::List => &[b"values"],
            Stage::Object => &[b"S", b"value", b"Value", b"stringValue", b"string_value", b"string"],
            _ => &[b"value", b"Value", b"VALUE", b"val", b"Val", b"v", b"vStr", b"v_str"],
        };
        let may_wait = matches!(self.stage, Stage::Comma | Stage::Object);
        let mut text = Vec::with_capacity(16);
        let mut at = at;
        while text.len() <= 12 {
            let Some(unit) = whole_unit(raw, at, last) else {
                return if last { Named::No } else { Named::More };
            };
            let place = at;
            at += unit.len;
            let is_quote = Delimiter::of(unit, raw, place) == Some(self.quote);
            match unit.meaning {
                _ if is_quote && wanted.contains(&text.as_slice()) => {
                    self.stage = match self.stage {
                        Stage::Object => Stage::Name,
                        Stage::Wrapper if !text.starts_with(b"array") => {
                            self.holds = match text.first() {
                                Some(b'i' | b'd') => Holds::Number,
                                Some(b'b') => Holds::Bytes,
                                _ => Holds::Text,
                            };
                            Stage::Name
                        }
                        // One array only.
                        Stage::Wrapper if self.list => return Named::No,
                        Stage::Wrapper | Stage::List => Stage::List,
                        _ => Stage::ValueName,
                    };
                    return Named::Yes(at);
                }
                _ if is_quote && may_wait && WORDS.contains(&text.as_slice()) => {
                    return self.behind_word(raw, at, last);
                }
                Meaning::Byte(byte) => text.push(byte),
                _ => return Named::No,
            }
        }
        Named::No
    }

    /// Goes from the end of one of the [`WORDS`] over its value and a comma: a few
    /// letters, in which nothing hides, or `true` and the like.
    fn behind_word(&self, raw: &[u8], at: usize, last: bool) -> Named {
        let (mut at, mut place) = (at, InWord::Name);
        for _ in 0..LONGEST_WORD {
            let Some(unit) = whole_unit(raw, at, last) else {
                return if last { Named::No } else { Named::More };
            };
            let is_quote = Delimiter::of(unit, raw, at) == Some(self.quote);
            at += unit.len;
            place = match (place, unit.meaning) {
                (InWord::Bare, _) if unit.is_space() => InWord::Behind,
                (InWord::Name | InWord::Colon | InWord::Behind, _) if unit.is_space() => place,
                (InWord::Name, Meaning::Byte(b':')) => InWord::Colon,
                (InWord::Colon, _) if is_quote => InWord::Text,
                (InWord::Text, _) if is_quote => InWord::Behind,
                (InWord::Text, Meaning::Byte(b'a'..=b'z' | b'A'..=b'Z' | b'_')) => InWord::Text,
                (InWord::Colon | InWord::Bare, Meaning::Byte(b'a'..=b'z')) => InWord::Bare,
                (InWord::Bare | InWord::Behind, Meaning::Byte(b',')) => return Named::Yes(at),
                _ => return Named::No,
            };
        }
        Named::No
    }
}

/// Units of a value that goes with a name in a list; shorter ones may be names, and
/// are in lists of required members.
const SHORTEST_LISTED: usize = 6;
const LONGEST_LISTED: usize = 512;
/// Members that may stand before a value and tell about it.
const WORDS: &[&[u8]] =
    &[b"type", b"vType", b"valueType", b"kind", b"in", b"required", b"enabled", b"disabled", b"sensitive", b"hidden"];
/// Units that such a member has behind its name, at most.
const LONGEST_WORD: usize = 40;

/// Where in such a member the reader is.
#[derive(Clone, Copy)]
enum InWord {
    /// Behind its name.
    Name,
    /// Behind its colon.
    Colon,
    Text,
    /// In `true`, `false` or `null`.
    Bare,
    /// Behind its value.
    Behind,
}

enum Named {
    Yes(usize),
    No,
    More,
}

/// The level of the quotes between which strings stand, if all that is in `raw` from `at` on
/// is one of them, or a list, in a string of the level `outer`.
fn level_of_strings(raw: &[u8], mut at: usize, outer: u32) -> Option<u32> {
    let (mut place, mut level, mut is_list) = (InStrings::Start, None, false);
    while at < raw.len() {
        let unit = unit(raw, at);
        at += unit.len;
        place = match (place, unit.meaning) {
            (InStrings::Text, Meaning::Quote(found)) if Some(found) == level => InStrings::Behind,
            (InStrings::Text, Meaning::Quote(found)) if Some(found) < level => return None,
            (InStrings::Text, _) => InStrings::Text,
            _ if unit.is_space() => place,
            (InStrings::Start, Meaning::Byte(b'[')) if !is_list => {
                is_list = true;
                InStrings::Start
            }
            (InStrings::Start, Meaning::Quote(found)) if found > outer && level.is_none_or(|level| level == found) => {
                level = Some(found);
                InStrings::Text
            }
            (InStrings::Behind, Meaning::Byte(b',')) if is_list => InStrings::Start,
            (InStrings::Behind, Meaning::Byte(b']')) if is_list => InStrings::End,
            _ => return None,
        };
    }
    level.filter(|_| place == if is_list { InStrings::End } else { InStrings::Behind })
}

/// Where among strings in JSON the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InStrings {
    Start,
    Text,
    /// Behind a string.
    Behind,
    /// Behind the list.
    End,
}

/// Whether a quote may stand at `at`, or its data is still to come.
fn before_quote(raw: &[u8], at: usize, last: bool) -> bool {
    raw.get(at).map_or(!last, |byte| matches!(byte, b'"' | b'\'' | b'\\'))
}

/// Whether the text at `at` begins with two dashes, as options do; tokens may begin
/// with one. `None` if more data tells.
fn begins_option(raw: &[u8], at: usize, last: bool) -> Option<bool> {
    let mut at = at;
    for _ in 0..2 {
        match whole_unit(raw, at, last) {
            None if !last => return None,
            Some(unit) if unit.meaning == Meaning::Byte(b'-') => at += unit.len,
            _ => return Some(false),
        }
    }
    Some(true)
}

/// Where the word of JSON or Python at `at` ends; else what the walk came to.
fn over_word(raw: &[u8], at: usize, last: bool) -> Result<usize, Step> {
    let rest = &raw[at..];
    for word in [&b"null"[..], b"true", b"false", b"None", b"True", b"False"] {
        if rest.starts_with(word) {
            return Ok(at + word.len());
        }
        if !last && word.starts_with(rest) {
            return Err(Step::More(at));
        }
    }
    Err(Step::Over(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks over `raw` from behind its first `|`.
    fn walk(raw: &str, level: u32) -> (Step, String) {
        let at = raw.find('|').unwrap();
        let raw = raw.replacen('|', "", 1);
        let name = raw[..at - 1].rsplit('"').next().unwrap_or_default().as_bytes();
        let step = Walk::new(Claimants::one(0), Delimiter::Double(level), 0, name).advance(raw.as_bytes(), at, true);
        let place = match step {
            Step::More(at) | Step::Over(at) | Step::Text(at) | Step::Number(at) => at,
        };
        (step, raw[place..].to_owned())
    }

    #[test]
    fn the_value_is_reached_at_every_level_and_spelling() {
        for (raw, level, rest) in [
            (r#""p"| : "v""#, 0, "v\""),
            (r#"{\"p\"|:\n \"v\"}"#, 1, r#"v\"}"#),
            (r#"{"key":"p"|,"value":{"stringValue":"v"}}"#, 0, "v\"}}"),
            (r#"{"key":"p"|, "value": "v"}"#, 0, "v\"}"),
            (r#"{"k":"p"|,"v":"v"}"#, 0, "v\"}"),
            (r#"{"key":"p"|,"type" : "string","hidden":true , "value": "v"}"#, 0, "v\"}"),
            (r#"{\"key\":\"p\"|,\"vType\":\"string\",\"vStr\":\"v\"}"#, 1, r#"v\"}"#),
            (r#"{"p"|: {"S": "v"}}"#, 0, "v\"}}"),
            (r#"{"p"|:{"type":"String","value":"v"}}"#, 0, "v\"}}"),
            (r#"["--p"|, "w"]"#, 0, "w\"]"),
            (r#"["--p"|, "-w"]"#, 0, "-w\"]"),
            (r#"["p"|, "q8f1o2"]"#, 0, "q8f1o2\"]"),
            (r#"[[\"p\"|,\"q8f1o2\" ], 1]"#, 1, r#"q8f1o2\" ], 1]"#),
            (r#""p"|: ["v"]"#, 0, "v\"]"),
            (r#""p"|: [null, [], [true, "v"]]"#, 0, "v\"]]"),
            (r#"{"key":"p"|,"value":{"arrayValue":{"values":[{"stringValue":"v"}]}}}"#, 0, "v\"}]}}}"),
        ] {
            let (step, found) = walk(raw, level);
            assert!(matches!(step, Step::Text(_)), "{raw}: {step:?}");
            assert_eq!(found, rest, "{raw}");
        }
        assert!(matches!(walk(r#""p"|: -12"#, 0), (Step::Number(_), rest) if rest == "-12"));
    }

    #[test]
    fn strings_in_json_within_a_string_are_walked_to() {
        fn strings(raw: &str) -> Option<Vec<&str>> {
            let mut walk = Walk::new(Claimants::one(0), Delimiter::Double(0), 0, b"p");
            let Step::Text(start) = walk.advance(raw.as_bytes(), 4, true) else { panic!("{raw}") };
            let end = raw.rfind('"').unwrap();
            let mut walk = walk.within(raw.as_bytes(), start..end)?;
            let (mut at, mut found) = (start, Vec::new());
            while let Step::Text(start) = walk.advance(raw.as_bytes(), at, true) {
                let length = raw[start..].find("\\\"").unwrap();
                found.push(&raw[start..start + length]);
                at = start + length + 2;
            }
            Some(found)
        }
        for (raw, found) in [
            (r#"{"p":"\"4815\""}"#, &["4815"][..]),
            (r#"{"p":" \"4815\" "}"#, &["4815"]),
            (r#"{"p":"[\"4815\"]"}"#, &["4815"]),
            (r#"{"p":"[ \"a b\" ,\"\", \"c\\\\n\"]"}"#, &["a b", "", r"c\\\\n"]),
        ] {
            assert_eq!(strings(raw).as_deref(), Some(found), "{raw}");
        }
        for raw in [
            r#"{"p":"4815"}"#,
            r#"{"p":"\"4815"}"#,
            r#"{"p":"\"48\"15\""}"#,
            r#"{"p":"\"48\" and \"15\""}"#,
            r#"{"p":"[\"48\", 15]"}"#,
            r#"{"p":"[[\"48\"]]"}"#,
            r#"{"p":"[\"48\"] x"}"#,
            r#"{"p":"[]"}"#,
            r#"{"p":"{\"a\": \"48\"}"}"#,
        ] {
            assert_eq!(strings(raw), None, "{raw}");
        }
    }

    #[test]
    fn all_values_of_an_array_are_reached() {
        for raw in [
            r#""p": ["v", null, "v"], "q""#,
            r#""p": [["v"], ["v"]], "q""#,
            r#""p","value":{"arrayValue":{"values":[{"stringValue":"v"},{"stringValue":"v"}]}}, "q""#,
        ] {
            let mut walk = Walk::new(Claimants::one(0), Delimiter::Double(0), 0, b"p");
            let (mut at, mut found) = (3, 0);
            while let Step::Text(start) = walk.advance(raw.as_bytes(), at, true) {
                assert!(raw[start..].starts_with('v'), "{raw}");
                found += 1;
                at = start + 2;
            }
            assert_eq!(found, 2, "{raw}");
        }
    }

    #[test]
    fn what_is_no_value_ends_the_walk() {
        for raw in [
            r#""p"|: null"#,
            r#""p"|: {"a": 1}"#,
            r#""p"|, "q""#,
            r#"["--p"|, "--q"]"#,
            r#"["--p"|, "\u002d-q"]"#,
            r#"["-p"|, "q"]"#,
            r#"["p"|, "username"]"#,
            r#"["p"|, "sha256_sum_2024"]"#,
            r#"["p"|, "on 2024-01-05"]"#,
            r#"["p"|, "q8f1o2", "r"]"#,
            r#"["p"|, "q8f1o2""#,
            r#"["p"|, "q8f1"]"#,
            r#""p"|, "type": "a1", "value": "v"}"#,
            r#""p"|, "type": "a@b.c", "value": "v"}"#,
            r#""p"|: {"type": "string"}"#,
            r#""p"|: {"type": ["string"], "value": "v"}"#,
            r#""p"|]"#,
            r#""p"|: \"x\""#,
            r#""p"|"#,
        ] {
            assert!(matches!(walk(raw, 0).0, Step::Over(_)), "{raw}");
        }
    }

    #[test]
    fn a_walk_cut_anywhere_comes_to_the_same() {
        let nested =
            r#"{\"key\":\"p\"|  , \"type\": \"x\" ,\"required\":true,\"value\" : { \"stringValue\"\n: \"v\"}}"#;
        for (raw, level, name, is_found) in [
            (nested, 1, "p", true),
            (r#"{"p"| :{"type" : "x","value": "v"}}"#, 0, "p", true),
            (r#"["p"| , "q8fa\u00310" ]"#, 0, "p", true),
            (r#"["p"|, "sha256_sum_2024"]"#, 0, "p", false),
            (r#"["--p"|, "\u002dq"]"#, 0, "--p", true),
            (r#"["--p"|, "\u002d\u002dq"]"#, 0, "--p", false),
        ] {
            let start = raw.find('|').unwrap();
            let raw = raw.replacen('|', "", 1).into_bytes();
            let new = || Walk::new(Claimants::one(0), Delimiter::Double(level), 0, name.as_bytes());
            let expected = new().advance(&raw, start, true);
            assert_eq!(matches!(expected, Step::Text(_)), is_found, "{}: {expected:?}", raw.escape_ascii());
            for cut in start..raw.len() {
                let mut walk = new();
                let step = walk.advance(&raw[..cut], start, false);
                let step = if let Step::More(at) = step { walk.advance(&raw, at, true) } else { step };
                assert_eq!(step, expected, "{} cut at {cut}", raw.escape_ascii());
            }
        }
    }
}
