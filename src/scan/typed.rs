//! Numbers of OTLP in JSON, which readers of protobuf want to stay numbers.
//!
//! ```text
//! {"key": "elapsed_ns", "value": {"intValue": "4111111111111111"}}
//! {"asInt": "4111111111111111"}   {"bucketCounts": ["4111111111111111", "0"]}
//! ```
//!
//! They are written in quotes, as all of 64 bits are, but what is no number there has the
//! whole request refused. So what is found in a value becomes a zero, and what is measured
//! or counted is never looked at. Bytes stand in base64 there, and are looked into.
//!
//! Format: <https://protobuf.dev/programming-guides/json/>; names as in opentelemetry-proto
//! 1.8, in both spellings that protobuf reads.

use super::nearby::Context;
use std::ops::Range;

/// Raw bytes before a number that are looked at.
const NEAR: usize = 256;
/// The same where all of those are of one array.
pub(super) const REACH: usize = 4096;

/// What a number is, by the name that it stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// The value of an attribute, which may be a secret.
    Value,
    /// A time, a count or what was measured.
    Measure,
}

/// Values of attributes.
const VALUES: &[&[u8]] = &[b"intValue", b"int_value", b"doubleValue", b"double_value"];
/// Names of no other format, or so we believe.
const MEASURES: &[&[u8]] = &[
    b"asInt",
    b"as_int",
    b"asDouble",
    b"as_double",
    b"bucketCounts",
    b"bucket_counts",
    b"explicitBounds",
    b"explicit_bounds",
];
/// How the names of times end.
const TIMES: &[&[u8]] = &[b"UnixNano", b"_unix_nano"];
/// Names that others have, too: they count where one of the [`SIGNS`] stands before them.
const COMMON: &[&[u8]] = &[b"count", b"sum", b"min", b"max", b"zeroCount", b"zero_count"];
const SIGNS: &[&[u8]] =
    &[b"UnixNano\"", b"_unix_nano\"", b"dataPoints\"", b"data_points\"", b"ucketCounts\"", b"ucket_counts\""];

/// Last words of names that no card stands under.
const NO_CARDS: &[&[u8]] = &[
    b"id",
    b"ids",
    b"uid",
    b"uuid",
    b"guid",
    b"traceid",
    b"spanid",
    b"parentid",
    b"seed",
    b"nonce",
    b"cursor",
    b"ns",
    b"nano",
    b"nanos",
    b"nanosecond",
    b"nanoseconds",
    b"us",
    b"usec",
    b"micro",
    b"micros",
    b"microsecond",
    b"microseconds",
    b"ms",
    b"msec",
    b"milli",
    b"millis",
    b"millisecond",
    b"milliseconds",
    b"timestamp",
    b"timestamps",
    b"ts",
    b"time",
    b"epoch",
    b"duration",
    b"elapsed",
    b"latency",
    b"offset",
    b"checksum",
    b"hash",
    b"fingerprint",
];
/// Words of names that one may stand under, whatever the last word.
const CARDS: &[&[u8]] = &[
    b"card",
    b"cards",
    b"creditcard",
    b"debitcard",
    b"cardid",
    b"cc",
    b"pan",
    b"credit",
    b"debit",
    b"payment",
    b"payments",
    b"payer",
    b"billing",
    b"bank",
    b"account",
    b"acct",
    b"visa",
    b"mastercard",
    b"amex",
    b"maestro",
];
/// Objects whose names are numbers of tokens.
const BIASES: &[&[u8]] = &[b"logit_bias", b"logitBias", b"logit_biases"];

/// Names that bytes in base64 stand under.
pub(super) const BYTES: [&[u8]; 2] = [b"bytesValue", b"bytes_value"];

/// What stands between such a name and its value, read as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    place: InGap,
}

/// Behind what of it the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InGap {
    Name,
    Quote,
    Colon,
}

/// What came of reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    /// The value begins behind so many bytes.
    Value(usize),
    /// No value of such a member follows.
    None,
    /// More data tells.
    More,
}

impl Gap {
    /// At the end of the name.
    pub(crate) fn new() -> Self {
        Self { place: InGap::Name }
    }

    /// Reads on with `raw`.
    pub(crate) fn read(&mut self, raw: &[u8]) -> Between {
        for (at, &byte) in raw.iter().enumerate() {
            self.place = match (self.place, byte) {
                (InGap::Name | InGap::Colon, b'\\') => self.place,
                (InGap::Name, b'"') => InGap::Quote,
                (InGap::Quote | InGap::Colon, byte) if byte.is_ascii_whitespace() => self.place,
                (InGap::Quote, b':') => InGap::Colon,
                (InGap::Colon, b'"') => return Between::Value(at + 1),
                _ => return Between::None,
            };
        }
        Between::More
    }
}

/// Whether bytes begin at `at` of `raw`, asked the plain way.
pub(crate) fn bytes_begin(raw: &[u8], at: usize) -> bool {
    let ends = |name: &[u8]| {
        let places = memchr::memmem::find_iter(&raw[..at], name).map(|found| found + name.len());
        places.last().is_some_and(|behind| Gap::new().read(&raw[behind..at]) == Between::Value(at - behind))
    };
    at > 0 && raw[at - 1] == b'"' && BYTES.into_iter().any(ends)
}

/// What the digits at `range` of `raw`, behind `context`, are, if they are all of a value
/// of such a member, in an array or not, in quotes of any level or none.
pub(super) fn under(context: &Context, raw: &[u8], range: &Range<usize>) -> Option<Typed> {
    let text = text_before(context, raw, range.start);
    let (before, is_quoted) = before_digits(&text);
    if !ends(&raw[range.end..], is_quoted) {
        return None;
    }
    of_member(before).or_else(|| of_member(before_array(before)?))
}

/// Whether such digits are no card, by the name that they stand under: an id, a time, a
/// seed, or a token's number in a `logit_bias`.
pub(super) fn is_no_card(context: &Context, raw: &[u8], range: &Range<usize>) -> bool {
    let text = text_before(context, raw, range.start);
    let (before, is_quoted) = before_digits(&text);
    if !ends(&raw[range.end..], is_quoted) {
        return false;
    }
    // What follows the quote may not have come: what stands before tells of names.
    if is_quoted && matches!(before.trim_ascii_end().last(), Some(b'{' | b',')) {
        let object = before_member(before).and_then(name_before);
        if let Some((name, _)) = object {
            return BIASES.contains(&name);
        }
    }
    let name = name_before(before).or_else(|| name_before(before_array(before)?));
    name.is_some_and(|(name, _)| names_no_card(name))
}

/// The last [`NEAR`] bytes before `at` of `raw`, behind `context`, without backslashes; the
/// last [`REACH`] where those are the middle of a long array.
fn text_before(context: &Context, raw: &[u8], at: usize) -> Vec<u8> {
    let last = |reach: usize| -> Vec<u8> {
        let missing = reach.saturating_sub(at);
        let near = &raw[at.saturating_sub(reach)..at];
        context.last(missing).chain(near.iter().copied()).filter(|&byte| byte != b'\\').collect()
    };
    let near = last(NEAR);
    if near.iter().all(in_array) { last(REACH) } else { near }
}

/// What of `text` stands before digits behind it, and whether those are in quotes.
fn before_digits(text: &[u8]) -> (&[u8], bool) {
    let before = text.strip_suffix(b"-").unwrap_or(text);
    before.strip_suffix(b"\"").map_or((before, false), |before| (before, true))
}

/// Whether a value ends before `behind`.
fn ends(behind: &[u8], is_quoted: bool) -> bool {
    let sign = behind.iter().find(|&&byte| byte != b'\\');
    sign.is_none_or(|sign| match is_quoted {
        true => *sign == b'"',
        false => sign.is_ascii_whitespace() || b",]}".contains(sign),
    })
}

/// What stands before the array in whose middle `text` ends, or before the outermost of
/// arrays of such arrays.
fn before_array(text: &[u8]) -> Option<&[u8]> {
    let (before, array) = text.split_at(text.iter().rposition(|byte| !in_array(byte))? + 1);
    let depth = |depth: i32, byte: &u8| match byte {
        b'[' => depth + 1,
        b']' => depth - 1,
        _ => depth,
    };
    let is_within = array.trim_ascii_start().starts_with(b"[") && array.iter().fold(0, depth) > 0;
    is_within.then_some(before)
}

/// Whether arrays of numbers are made of such bytes.
fn in_array(byte: &u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_whitespace() || b"[]\",.-".contains(byte)
}

/// What stands before the object among whose names and numbers `text` ends.
fn before_member(text: &[u8]) -> Option<&[u8]> {
    let in_object = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_whitespace() || b"\",:.-".contains(byte);
    let brace = text.iter().rposition(|byte| !in_object(byte))?;
    (text[brace] == b'{').then_some(&text[..brace])
}

/// The name that `text` ends with, and a colon; and what stands before it.
fn name_before(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let named = text.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"")?;
    let quote = named.iter().rposition(|&byte| byte == b'"')?;
    Some((&named[quote + 1..], &named[..quote]))
}

/// Whether what stands under `name` is no card: its last word says so, and none that it is
/// one.
fn names_no_card(name: &[u8]) -> bool {
    let (mut word, mut is_last, mut before) = (Vec::new(), false, b'_');
    for byte in name.iter().copied().chain([b'_']) {
        let begins = byte.is_ascii_uppercase() && !before.is_ascii_uppercase();
        if (begins || !byte.is_ascii_alphanumeric()) && !word.is_empty() {
            if CARDS.contains(&&word[..]) {
                return false;
            }
            is_last = NO_CARDS.contains(&&word[..]);
            word.clear();
        }
        if byte.is_ascii_alphanumeric() {
            word.push(byte.to_ascii_lowercase());
        }
        before = byte;
    }
    is_last
}

/// By the name that `text` ends with, and a colon.
fn of_member(text: &[u8]) -> Option<Typed> {
    let (name, before) = name_before(text)?;
    let has_sign = || SIGNS.iter().any(|sign| before.windows(sign.len()).any(|window| window == *sign));
    if VALUES.contains(&name) {
        Some(Typed::Value)
    } else if MEASURES.contains(&name)
        || TIMES.iter().any(|end| name.ends_with(end))
        || COMMON.contains(&name) && has_sign()
    {
        Some(Typed::Measure)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `4111111111111111` is in `raw`, wherever the context ends.
    #[track_caller]
    fn typed(raw: &str) -> Option<Typed> {
        let start = raw.find("4111").unwrap();
        let whole = under(&Context::at_start(), raw.as_bytes(), &(start..start + 16));
        for cut in 0..=start {
            let mut context = Context::at_start();
            context.push(&raw.as_bytes()[..cut], REACH);
            let found = under(&context, &raw.as_bytes()[cut..], &(start - cut..start - cut + 16));
            assert_eq!(found, whole, "{raw} cut at {cut}");
        }
        whole
    }

    #[track_caller]
    fn no_card(raw: &str) -> bool {
        let start = raw.find("4111").unwrap();
        let whole = is_no_card(&Context::at_start(), raw.as_bytes(), &(start..start + 16));
        // What stands behind the next byte may not have come.
        let begun = &raw.as_bytes()[..raw.len().min(start + 17)];
        assert_eq!(is_no_card(&Context::at_start(), begun, &(start..start + 16)), whole, "{raw}");
        for cut in 0..=start {
            let mut context = Context::at_start();
            context.push(&raw.as_bytes()[..cut], REACH);
            let found = is_no_card(&context, &raw.as_bytes()[cut..], &(start - cut..start - cut + 16));
            assert_eq!(found, whole, "{raw} cut at {cut}");
        }
        whole
    }

    #[test]
    fn names_tell_what_is_no_card() {
        let long = |name: &str| format!(r#"{{"{name}":[{}4111111111111111]}}"#, "5, \"123456\",".repeat(250));
        for raw in [
            r#"{"span_id":4111111111111111}"#,
            r#"{"customRunId" : "4111111111111111"}"#,
            r#"{"seed":4111111111111111}"#,
            r#"{\"elapsed_since_start_ns\":\"4111111111111111\"}"#,
            r#"{"a.tokens-us":4111111111111111}"#,
            r#"{"startTimeNanos":-4111111111111111}"#,
            r#"{"ids":[1, 4111111111111111]}"#,
            r#"{"trace_ids" : [[1, 2], [], ["3", 4111111111111111]]}"#,
            r#"{\"trace_ids\":[[\"4111111111111111\"]]}"#,
            &long("trace_ids"),
            r#"{"logit_bias":{"50256":-100,"4111111111111111" : 1}}"#,
            r#"{"logit_bias":{"4111111111111111":1}}"#,
        ] {
            assert!(no_card(raw), "{raw}");
        }
        for raw in [
            r#"{"card_id":"4111111111111111"}"#,
            r#"{"ids":[[1], 2], 4111111111111111"#,
            r#"{"ids":["a", [4111111111111111]]}"#,
            r#"[[1, 4111111111111111]]"#,
            &long("cards"),
            &format!(r#"{{"ids":[{}4111111111111111"#, "1,".repeat(REACH / 2)),
            r#"{"creditCardId":4111111111111111}"#,
            r#"{"payment_timestamp":4111111111111111}"#,
            r#"{"number":4111111111111111}"#,
            r#"{"value":4111111111111111}"#,
            r#"{"covid":4111111111111111}"#,
            r#"{"idx":4111111111111111}"#,
            r#"{"id":"4111111111111111 or so"}"#,
            r#"{"id":"x","a":4111111111111111}"#,
            r#"{"id":{"4111111111111111":1}}"#,
            r#"{"bias":{"4111111111111111":1}}"#,
            r#"{"logit_bias":{"a":{"x":"4111111111111111"}}}"#,
            r#"{"logit_bias":{"50256":"4111111111111111"}}"#,
            "id: 4111111111111111",
        ] {
            assert!(!no_card(raw), "{raw}");
        }
    }

    #[test]
    fn numbers_are_known_by_the_names_they_stand_under() {
        for raw in [
            r#"{"intValue":"4111111111111111"}"#,
            r#"{"intValue": 4111111111111111 }"#,
            r#"{"int_value" : "-4111111111111111"}"#,
            r#"{\"doubleValue\":\"4111111111111111\"}"#,
            r#"{\"doubleValue\":4111111111111111,"#,
        ] {
            assert_eq!(typed(raw), Some(Typed::Value), "{raw}");
        }
        for raw in [
            r#"{"asInt":"4111111111111111"}"#,
            r#"{"asDouble":4111111111111111}"#,
            r#"{"startTimeUnixNano":"4111111111111111"}"#,
            r#"{"bucketCounts":["0", "12","4111111111111111","0"]}"#,
            r#"{"explicitBounds":[0.5,4111111111111111]}"#,
            r#"{"dataPoints":[{"count":"4111111111111111"}]}"#,
            r#"{"time_unix_nano":"1","count":"2","sum":4111111111111111}"#,
        ] {
            assert_eq!(typed(raw), Some(Typed::Measure), "{raw}");
        }
        for raw in [
            r#"{"intValue":"4111111111111111 and more"}"#,
            r#"{"stringValue":"4111111111111111"}"#,
            r#"{"myintValue":"4111111111111111"}"#,
            r#"{"count":"4111111111111111"}"#,
            r#"{"sum":4111111111111111}"#,
            r#"{"asInt":"1","a":"4111111111111111"}"#,
            r#"{"asInt":["x","4111111111111111"]}"#,
            r#""asInt":"1", "4111111111111111""#,
            "asInt: 4111111111111111",
            "4111111111111111",
        ] {
            assert_eq!(typed(raw), None, "{raw}");
        }
    }
}
