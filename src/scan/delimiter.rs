//! What strings stand between, and where they end.
//!
//! JSON writes `"`. Python's `repr`, which agents log within strings, writes
//! `'` wherever it can, and so does JavaScript:
//!
//! ```text
//! {"log": "{'user': 'bob', 'password': 'it\\'s', \"note\": \"don't\"}"}
//! ```
//!
//! A `'` may be an apostrophe, and a logged text is often cut short. So a string
//! in single quotes that is not closed before a double quote goes on behind
//! that only if that does not end a string of JSON, and the string is closed
//! where a value ends.

use super::key::{End, whole_unit};
use super::resolve::Wrap;
use super::unit::{Meaning, Unit};
use super::{Format, LOOKAHEAD};
use std::collections::BTreeMap;
use std::ops::Range;

/// What a string stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// `"` of this nesting level.
    Double(u32),
    /// `'` behind so many backslashes, see [`Delimiter::of`].
    Single(usize),
}

/// Quotes of higher levels are not written with backslashes.
const HIGHEST_LEVEL: u32 = 10;

/// Added to the length of a `'` that is written as a code point.
const CODED: usize = 1 << 16;

impl Delimiter {
    /// The delimiter that `unit` may be.
    pub(crate) fn of(unit: Unit, raw: &[u8], at: usize) -> Option<Self> {
        match unit.meaning {
            Meaning::Quote(level) => Some(Self::Double(level)),
            Meaning::Byte(b'\'') if raw.get(at + unit.len - 1) == Some(&b'\'') => Some(Self::Single(unit.len - 1)),
            Meaning::Byte(b'\'') => Some(Self::Single(CODED + unit.len)),
            _ => None,
        }
    }

    /// Whether a string between such ends before `other`: that, or the end of a
    /// string around it.
    pub(crate) fn ends_before(self, other: Self) -> bool {
        match (self, other) {
            (Self::Double(own), Self::Double(level)) => level <= own,
            (Self::Double(_), Self::Single(_)) => false,
            (Self::Single(own), Self::Single(run)) => run <= own,
            (Self::Single(_), Self::Double(_)) => true,
        }
    }

    /// Whether nothing but `"`, with backslashes or without, ends a string.
    fn is_plain(self) -> bool {
        matches!(self, Self::Double(0..=HIGHEST_LEVEL))
    }

    /// How to write a number as a string where strings stand between these.
    pub(crate) fn wrap(self) -> Wrap {
        match self {
            Self::Double(level) if level <= HIGHEST_LEVEL => Wrap::Quoted(level),
            Self::Single(0) => Wrap::Apostrophes,
            _ => Wrap::Zero,
        }
    }
}

/// The end of the content of a string between `quote`s, looking from `at` on:
/// before the quote that ends it, or, where `line` is set, before the line feed.
pub(crate) fn string_end(raw: &[u8], at: usize, quote: Delimiter, line: bool, last: bool) -> End {
    let mut at = at;
    loop {
        match next_quote(raw, at, quote.is_plain(), line, last) {
            Next::Line(found) => return End::At(found),
            Next::Quote(found, other, _) if quote.ends_before(other) => return End::At(found),
            Next::Quote(_, _, behind) => at = behind,
            Next::Missing(at) if last => return End::At(at),
            Next::Missing(at) => return End::More(at),
        }
    }
}

enum Next {
    /// A raw line feed.
    Line(usize),
    /// Where it stands, and what stands behind.
    Quote(usize, Delimiter, usize),
    /// Not in this data: go on here.
    Missing(usize),
}

/// The first quote at or behind `at`: any, or, where that will do, of those with
/// backslashes or none.
fn next_quote(raw: &[u8], mut at: usize, plain: bool, line: bool, last: bool) -> Next {
    while let Some(found) = next_stop(&raw[at..], plain, line).map(|stop| at + stop) {
        if line && raw[found] == b'\n' {
            return Next::Line(found);
        }
        let Some(unit) = whole_unit(raw, found, last) else { return Next::Missing(found) };
        at = found + unit.len;
        if let Some(quote) = Delimiter::of(unit, raw, found) {
            return Next::Quote(found, quote, at);
        }
    }
    Next::Missing(raw.len())
}

fn next_stop(raw: &[u8], plain: bool, line: bool) -> Option<usize> {
    if !plain {
        return raw.iter().position(|&byte| matches!(byte, b'"' | b'\\' | b'\'' | b'%') || line && byte == b'\n');
    }
    if line { memchr::memchr3(b'"', b'\\', b'\n', raw) } else { memchr::memchr2(b'"', b'\\', raw) }
}

/// A value's string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    /// Where its content begins.
    pub(crate) at: usize,
    /// What it stands between.
    pub(crate) quote: Delimiter,
    /// What its member's name stands between.
    pub(crate) name: Delimiter,
}

/// How far a value's string goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It is short enough to be judged whole, and ends here.
    Ends(usize),
    /// It is longer than [`LOOKAHEAD`].
    Long,
    /// It is none.
    None,
    /// More data is needed.
    Unclear,
}

/// How far `text` goes, as far as [`LOOKAHEAD`] bytes tell.
pub(crate) fn extent(format: Format, raw: &[u8], text: Text, last: bool, doubts: &mut Doubts) -> Extent {
    let limit = raw.len().min(text.at + LOOKAHEAD);
    // Exactly as long is long, whether the end is known by now or not.
    let whole = last && raw.len() < text.at + LOOKAHEAD;
    let raw_seen = &raw[..limit];
    let end = match (text.name, text.quote) {
        (_, Delimiter::Single(run)) => {
            let seen = Seen { raw: raw_seen, unclear: limit < text.at + LOOKAHEAD, whole };
            return single_extent(format, seen, text, (run, doubts));
        }
        (Delimiter::Single(_), Delimiter::Double(0)) if format != Format::Text => return Extent::None,
        _ => string_end(raw_seen, text.at, text.quote, format == Format::Text, whole),
    };
    match end {
        End::At(end) if matches!(text.name, Delimiter::Single(_)) => guarded(raw_seen, text, end, limit, whole),
        End::At(end) => Extent::Ends(end),
        End::More(_) if limit < text.at + LOOKAHEAD => Extent::Unclear,
        End::More(_) if matches!(text.name, Delimiter::Single(_)) => Extent::None,
        End::More(_) => Extent::Long,
    }
}

/// What begins with a double quote behind a name in single ones may as well end
/// there: it is a value only if it is closed as one.
fn guarded(raw: &[u8], text: Text, end: usize, limit: usize, whole: bool) -> Extent {
    let Some(unit) = whole_unit(raw, end, whole).filter(|_| end < raw.len()) else {
        let extent = if whole { cut_off(raw, text, end) } else { Extent::Unclear };
        return if !whole && limit == text.at + LOOKAHEAD { Extent::None } else { extent };
    };
    if Delimiter::of(unit, raw, end) != Some(text.quote) {
        return cut_off(raw, text, end);
    }
    let behind = end + unit.len;
    let ends_around = || Some(around_ends(text.quote, whole_unit(raw, behind, whole)?));
    match value_ends(raw, behind, whole) {
        Some(true) => Extent::Ends(end),
        Some(false) if ends_around() == Some(true) => Extent::Ends(end),
        None if limit < text.at + LOOKAHEAD => Extent::Unclear,
        _ => Extent::None,
    }
}

/// Whether `unit` ends a string around one between `quote`s: what was logged
/// there was cut off.
fn around_ends(quote: Delimiter, unit: Unit) -> bool {
    matches!((unit.meaning, quote), (Meaning::Quote(level), Delimiter::Double(own)) if level < own)
}

/// A string that nothing closes, since the text or the one around it was cut off
/// at `end`: a value unless it goes on as JSON does behind a string.
fn cut_off(raw: &[u8], text: Text, end: usize) -> Extent {
    match ends_json(&raw[..end], text.at, true) {
        Some(false) => Extent::Ends(end),
        _ => Extent::None,
    }
}

/// Whether what stands at `at` ends a value of a list, tuple or dictionary;
/// `None` when more data tells.
fn value_ends(raw: &[u8], at: usize, whole: bool) -> Option<bool> {
    next_is(b",}])", raw, at, whole)
}

/// Whether one of `signs` is the next at or behind `at` that is no white space, or
/// nothing is; `None` when more data tells.
fn next_is(signs: &[u8], raw: &[u8], at: usize, whole: bool) -> Option<bool> {
    let next = next_meaning(raw, at, whole)?;
    Some(next.is_none_or(|next| matches!(next, Meaning::Byte(byte) if signs.contains(&byte))))
}

/// What stands next at or behind `at` that is no white space; `None` when more
/// data tells.
fn next_meaning(raw: &[u8], at: usize, whole: bool) -> Option<Option<Meaning>> {
    Some(next_unit(raw, at, whole)?.map(|(unit, _)| unit.meaning))
}

/// The same, and where it ends.
fn next_unit(raw: &[u8], mut at: usize, whole: bool) -> Option<Option<(Unit, usize)>> {
    while at < raw.len() {
        let unit = whole_unit(raw, at, whole)?;
        at += unit.len;
        if !unit.is_space() {
            return Some(Some((unit, at)));
        }
    }
    whole.then_some(None)
}

/// Whether a quote of `level` ends a string where `next` follows: the end of one
/// around it does, too.
pub(crate) fn ends_by(next: Meaning, level: u32, signs: &[u8]) -> bool {
    match next {
        Meaning::Byte(byte) => signs.contains(&byte),
        Meaning::Quote(outer) => outer < level,
        _ => false,
    }
}

/// Whether what follows the quote before `at` says that it ends a string of
/// JSON; `None` when more data tells.
fn ends_json(raw: &[u8], at: usize, whole: bool) -> Option<bool> {
    next_is(BEHIND_STRING, raw, at, whole)
}

/// The bytes that may follow a string of JSON.
pub(crate) const BEHIND_STRING: &[u8] = b",:}]";

/// Where in `secret`, what a pattern takes of `raw`, a string ends that has begun
/// before: a pattern such as `password='[^']+` takes what a log cut short, and
/// must leave whole the JSON in which it was logged.
///
/// ```text
/// ["{\"log\": \"password='hunter2\", \"id\": 7}"]
///                         ^^^^^^^
/// ```
///
/// A quote that does not look like the end of a string opens one. Where `names`
/// is unset, the end of a member's name is none: the pattern means its value too.
pub(crate) fn outer_end(raw: &[u8], secret: Range<usize>, names: bool, whole: bool) -> Option<usize> {
    let signs = if names { BEHIND_STRING } else { b",}]" };
    // By level.
    let mut open = 0_u32;
    let mut at = secret.start;
    while let Next::Quote(found, quote, behind) = next_quote(raw, at, false, false, whole) {
        if found >= secret.end {
            return None;
        }
        at = behind;
        let Delimiter::Double(level) = quote else { continue };
        let bit = 1 << level.min(u32::BITS - 1);
        let ends = |next| ends_by(next, level, signs);
        if open & bit == 0 && next_meaning(raw, behind, whole).flatten().is_none_or(ends) {
            return Some(found);
        }
        open ^= bit;
    }
    None
}

/// Whether what a pattern takes at `start` is what JSON goes on with behind a
/// string that ends before it, and no value that begins there:
///
/// ```text
/// "{\"who \\\"pass=\": 411}"
/// ```
///
/// Asked of the quote right before, where a value most often stands behind one.
pub(crate) fn goes_on_behind(raw: &[u8], start: usize, whole: bool) -> bool {
    if raw.get(..start).and_then(<[u8]>::last) != Some(&b'"') {
        return false;
    }
    let Some(Some((sign, at))) = next_unit(raw, start, whole) else { return false };
    let next = |at| next_unit(raw, at, whole).flatten().map(|(unit, at)| (unit.meaning, at));
    let value = |(meaning, at): (Meaning, usize)| match meaning {
        Meaning::Quote(_) | Meaning::Byte(b'0'..=b'9' | b'-' | b'{' | b'[') => true,
        Meaning::Byte(b't' | b'f' | b'n') => {
            [&b"rue"[..], b"alse", b"ull"].iter().any(|word| raw[at..].starts_with(word))
        }
        _ => false,
    };
    match sign.meaning {
        Meaning::Byte(b':' | b',') => next(at).is_some_and(value),
        Meaning::Byte(b'}' | b']') => {
            next(at).is_none_or(|(next, _)| matches!(next, Meaning::Quote(_) | Meaning::Byte(b',' | b'}' | b']')))
        }
        _ => false,
    }
}

/// Stretches of the data of one scan in which nothing closes a string that began
/// with a `'`, by the backslashes before that. In `'a':'\"x'a':'\"x...` each string
/// would else be followed for as far as is looked.
#[derive(Debug, Default)]
pub(crate) struct Doubts(BTreeMap<usize, Range<usize>>);

impl Doubts {
    /// The data has moved.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The place at or behind `at` from where on nothing is known.
    fn behind(&self, run: usize, at: usize) -> usize {
        self.0.get(&run).filter(|known| known.contains(&at)).map_or(at, |known| known.end)
    }

    /// Nothing that closes a string stands in `range`.
    fn pass(&mut self, run: usize, range: Range<usize>) {
        let known = self.0.entry(run).or_insert_with(|| range.clone());
        match (known.start..=known.end).contains(&range.start) {
            true => known.end = known.end.max(range.end),
            false => *known = range,
        }
    }
}

/// The data as far as it is seen.
#[derive(Clone, Copy)]
struct Seen<'a> {
    raw: &'a [u8],
    /// More of it may come.
    unclear: bool,
    whole: bool,
}

fn single_extent(format: Format, seen: Seen<'_>, text: Text, (run, doubts): (usize, &mut Doubts)) -> Extent {
    let Seen { raw, unclear, whole } = seen;
    let line = format == Format::Text;
    let mut at = text.at;
    // The first double quote.
    let mut doubt = None;
    loop {
        let from = at;
        if doubt.is_some() {
            at = doubts.behind(run, at).min(raw.len());
        }
        match next_quote(raw, at, false, line, whole) {
            Next::Line(found) => return Extent::Ends(doubt.unwrap_or(found)),
            Next::Quote(found, Delimiter::Double(0), _) if format != Format::Text => {
                return Extent::Ends(doubt.unwrap_or(found));
            }
            Next::Quote(found, quote, behind) if text.quote.ends_before(quote) => match (quote, doubt) {
                (Delimiter::Double(_), None) => match ends_json(raw, behind, whole) {
                    Some(false) => (doubt, at) = (Some(found), behind),
                    None if unclear => return Extent::Unclear,
                    _ => return Extent::Ends(found),
                },
                (Delimiter::Double(_), Some(_)) => {
                    doubts.pass(run, from..behind);
                    at = behind;
                }
                (_, None) => return Extent::Ends(found),
                (_, Some(_)) => match value_ends(raw, behind, whole) {
                    Some(true) => return Extent::Ends(found),
                    Some(false) => {
                        doubts.pass(run, from..behind);
                        at = behind;
                    }
                    None if unclear => return Extent::Unclear,
                    None => at = behind,
                },
            },
            Next::Quote(_, _, behind) => {
                if doubt.is_some() {
                    doubts.pass(run, from..behind);
                }
                at = behind;
            }
            Next::Missing(_) if unclear && !whole => return Extent::Unclear,
            Next::Missing(at) if whole => return Extent::Ends(doubt.unwrap_or(at)),
            Next::Missing(at) => {
                if doubt.is_some() {
                    doubts.pass(run, from..at);
                }
                return doubt.map_or(Extent::Long, Extent::Ends);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Delimiter = Delimiter::Single(0);

    #[test]
    fn what_is_known_of_doubtful_strings_changes_no_extent() {
        for unit in [r#"'a':'\"x"#, r#"\'a\':\'\"x"#, r#"'a':'\"x', "#, r#"'a':'\"x" \'b\':\'\"y' ,"#] {
            let raw = unit.repeat(2000);
            let mut doubts = Doubts::default();
            for quote in [PLAIN, Delimiter::Single(1)] {
                for (at, _) in raw.match_indices('\'').map(|(at, sign)| (at + 1, sign)) {
                    let text = Text { at, quote, name: quote };
                    let known = extent(Format::Json, raw.as_bytes(), text, false, &mut doubts);
                    let alone = extent(Format::Json, raw.as_bytes(), text, false, &mut Doubts::default());
                    assert_eq!(known, alone, "{unit} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_string_ends_at_a_quote_of_its_level_or_above() {
        let end = |raw: &str, level| string_end(raw.as_bytes(), 0, Delimiter::Double(level), false, true);
        assert_eq!(end(r#"ab\"c" d"#, 0), End::At(5));
        assert_eq!(end(r#"ab\\\"c\" d"#, 1), End::At(7));
        assert_eq!(end(r#"C:\\" x"#, 0), End::At(4));
        assert_eq!(end(r#"C:\\\\\" x"#, 1), End::At(6));
        assert_eq!(end(r"v\u0022,", 1), End::At(1));
        assert_eq!(end("it's", 0), End::At(4));
        assert_eq!(end("never", 0), End::At(5));
    }

    /// How much of `raw` is the string.
    fn single(raw: &str, quote: Delimiter) -> &str {
        let text = Text { at: 0, quote, name: PLAIN };
        match extent(Format::Json, raw.as_bytes(), text, true, &mut Doubts::default()) {
            Extent::Ends(end) => &raw[..end],
            other => panic!("{raw}: {other:?}"),
        }
    }

    #[test]
    fn a_string_in_single_quotes_ends_where_python_ends_it() {
        assert_eq!(single("hunter22', 'b'", PLAIN), "hunter22");
        assert_eq!(single(r"hun\\'ter', x", PLAIN), r"hun\\'ter");
        assert_eq!(single(r"hunter\\', \\'b", Delimiter::Single(2)), "hunter");
        assert_eq!(single(r#"hun\"ter'}" "#, PLAIN), r#"hun\"ter"#);
    }

    #[test]
    fn one_that_is_cut_short_ends_with_what_is_around_it() {
        assert_eq!(single(r#"hunt\", \"b\": \"it's\"}"#, PLAIN), "hunt");
        assert_eq!(single(r#"hunt", "b": 'x'}"#, PLAIN), "hunt");
        assert_eq!(single(r#"hunt\" , \"b\": \"']\"}"#, PLAIN), "hunt");
        assert_eq!(single("hunt", PLAIN), "hunt");
    }

    #[test]
    fn one_in_double_quotes_behind_a_name_in_single_ones_may_be_cut_off() {
        let found = |raw: &str, format| {
            let text = Text { at: 0, quote: Delimiter::Double(1), name: PLAIN };
            extent(format, raw.as_bytes(), text, true, &mut Doubts::default())
        };
        assert_eq!(found("Zq81kd", Format::Json), Extent::Ends(6));
        assert_eq!(found(r#"Zq81kd", "n": 1"#, Format::Json), Extent::Ends(6));
        assert_eq!(found(r#"Zq81kd\"", "n": 1"#, Format::Json), Extent::Ends(6));
        assert_eq!(found("Zq81kd\nx", Format::Text), Extent::Ends(6));
        for raw in ["}", r#" }", "n": 1"#, ": 7", "", " "] {
            assert_eq!(found(raw, Format::Json), Extent::None, "{raw}");
        }
    }

    #[test]
    fn a_double_quote_behind_a_name_in_single_ones_must_be_closed_as_a_value_is() {
        let found = |raw: &str, level| {
            let text = Text { at: 0, quote: Delimiter::Double(level), name: PLAIN };
            extent(Format::Json, raw.as_bytes(), text, true, &mut Doubts::default())
        };
        assert_eq!(found(r#"it's\"}"#, 1), Extent::Ends(4));
        assert_eq!(found(r#"Zq81kd\" }"#, 1), Extent::Ends(6));
        assert_eq!(found(r#"Zq81kd\"\n}"#, 1), Extent::Ends(6));
        assert_eq!(found(r#"Zq81kd\" x"#, 1), Extent::None);
        assert_eq!(found(r#", \"b\": 1"#, 1), Extent::None);
        assert_eq!(found(r#", "]"#, 0), Extent::None);
    }

    #[test]
    fn what_json_goes_on_with_behind_a_string_is_no_value() {
        let found = |raw: &str| goes_on_behind(raw.as_bytes(), raw.find('"').unwrap() + 1, true);
        for raw in [r#"p=": 411}"#, r#"p=":true"#, r#"p=", \"b"#, r#"p="}"#, r#"p="], 7"#, r#"p=\": [1]"#, r#"p=" :-1"#]
        {
            assert!(found(raw), "{raw}");
        }
        for raw in [r#"p=":hunter2""#, r#"p=",x"#, r#"p="}x"#, r#"p=":table""#, r#"p="hunter2""#, r#"p=":"#] {
            assert!(!found(raw), "{raw}");
        }
    }

    #[test]
    fn a_match_ends_with_the_string_that_began_before_it() {
        let end = |raw: &str, names| outer_end(raw.as_bytes(), 0..raw.len(), names, true);
        assert_eq!(end(r#"hunter2\", \"id\": 7"#, true), Some(7));
        assert_eq!(end(r#"hunter2\" , 7"#, true), Some(7));
        assert_eq!(end(r#"hunter2""#, true), Some(7));
        assert_eq!(end(r#"hunter2\"a, b"#, true), None);
        assert_eq!(end(r#"a \"b\", c\\\"}"#, true), Some(10));
        assert_eq!(end(r#"hunter2\\\" \"x"#, true), Some(7));
        assert_eq!(end(r#"hunter2\" \\\"x"#, true), None);
        assert_eq!(end(r#"password\": \"hunter2\" x"#, false), None);
        assert_eq!(end(r#"password\": \"hunter2\" x"#, true), Some(8));
    }
}
