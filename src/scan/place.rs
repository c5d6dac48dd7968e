//! What stands before a place in the raw bytes, and text around it.

use super::Format;
use super::detector;
use super::engine::PatternUse;
use super::key::{LONGEST_NAME, is_name_byte};
use super::pattern::Pattern;
use super::unit::{Meaning, run_before, unit};
use super::window::{Window, sync};
use crate::rule::Detector;
use std::ops::Range;

/// What stands before a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// The place begins a unit; the decoded byte before it, if there is one.
    Unit(Option<u8>),
    /// The place is the letter behind a run of backslashes that may be an
    /// escape (`\\n`), or a backslash and a letter: what it is depends on how
    /// deep the text is nested.
    Letter,
    /// The place lies within an escape.
    Within,
}

/// Escapes are looked for in this many bytes before a place: a surrogate pair
/// of the second level has 14.
const NEAR: usize = 11;

/// What stands before `at`, not looking before `floor`, which begins a unit.
pub(super) fn before(raw: &[u8], floor: usize, at: usize, format: Format) -> Before {
    let Some(last) = at.checked_sub(1).filter(|&last| last >= floor).map(|last| raw[last]) else {
        return Before::Unit(None);
    };
    let can_end_escape = last.is_ascii_alphanumeric() || matches!(last, b'\\' | b'%' | b'/');
    if !can_end_escape {
        return Before::Unit(Some(last));
    }
    let from = at.saturating_sub(NEAR).max(floor);
    let Some(sign) = raw[from..at].iter().rposition(|&byte| byte == b'\\' || byte == b'%') else {
        return Before::Unit(Some(last));
    };
    let sign = from + sign;
    let run = if raw[sign] == b'%' { 0 } else { run_before(raw, sign.saturating_sub(64).max(floor), sign + 1) };
    let start = if run == 0 { sign } else { sign + 1 - run };
    let found = unit(raw, start);
    match (start + found.len).cmp(&at) {
        std::cmp::Ordering::Greater if last == b'\\' && is_unclear(raw[at], run, format) => Before::Letter,
        std::cmp::Ordering::Greater => Before::Within,
        std::cmp::Ordering::Equal => Before::Unit(Some(meaning_byte(found.meaning))),
        std::cmp::Ordering::Less => Before::Unit(Some(last)),
    }
}

fn is_unclear(letter: u8, run: usize, format: Format) -> bool {
    matches!(letter, b'n' | b'r' | b't' | b'b' | b'f') && (run.is_multiple_of(2) || format == Format::Text)
}

/// A byte that stands for the unit where only word boundaries matter.
fn meaning_byte(meaning: Meaning) -> u8 {
    match meaning {
        Meaning::Byte(byte) => byte,
        Meaning::Quote(_) => b'"',
        Meaning::Char(_) => 0xff,
    }
}

/// The extent that `detector` sees around the byte or unit at `anchor`, as raw
/// bytes. The text of what it found is `window`'s, when it had to be decoded.
pub(super) fn confirm(
    detector: Detector,
    raw: &[u8],
    bounds: (usize, usize),
    anchor: usize,
    window: &mut Window,
) -> Option<Confirmed> {
    let reach = detector::reach(detector);
    // One byte more than the detector looks at, so that it never takes our
    // cut for a boundary.
    let from = anchor.saturating_sub(reach.0 + 1).max(bounds.0);
    let to = bounds.1.min(anchor + reach.1 + 2);
    if detector == Detector::Email && !begins_domain(raw, bounds.1, anchor) {
        return None;
    }
    if is_plain(detector, raw, from..to, anchor) {
        let found = detector::confirm(detector, &raw[from..to], anchor - from)?;
        return Some(Confirmed { raw: from + found.start..from + found.end, text: None });
    }
    let around = decoded_stretch(detector, raw, bounds, anchor, reach);
    window.decode_around(raw, around, anchor, reach.1 + 2);
    let index = window.index_of(anchor)?;
    let found = detector::confirm(detector, window.text(), index)?;
    Some(Confirmed { raw: window.raw_range(found.clone()), text: Some(found) })
}

/// Whether a domain can begin behind the `@` at `at`: cheap, and enough to
/// pass over runs of escaped `@` without decoding what surrounds each.
fn begins_domain(raw: &[u8], end: usize, at: usize) -> bool {
    let raw = &raw[..end];
    let next = at + unit(raw, at).len;
    next < end
        && match unit(raw, next).meaning {
            Meaning::Byte(byte) => byte.is_ascii_alphanumeric() || byte >= 0x80,
            Meaning::Char(_) => true,
            Meaning::Quote(_) => false,
        }
}

/// What a detector found.
#[derive(Clone, Debug)]
pub(super) struct Confirmed {
    pub(super) raw: Range<usize>,
    /// Where the text stands in the window, when it was decoded.
    pub(super) text: Option<Range<usize>>,
}

/// Whether the detector sees the same in the raw bytes as in what they mean:
/// no escape touches the run of bytes around the anchor that it may walk over.
fn is_plain(detector: Detector, raw: &[u8], range: Range<usize>, anchor: usize) -> bool {
    let walks = walks(detector);
    let stops = |byte: &u8| !walks[usize::from(*byte)];
    // The anchor itself may be an escape.
    if matches!(raw[anchor], b'\\' | b'%') {
        return false;
    }
    let left = raw[range.start..anchor].iter().rev().find(|byte| stops(byte));
    if matches!(left, Some(b'\\' | b'%')) {
        return false;
    }
    let behind = anchor + 1;
    let Some(stop) = raw[behind..range.end].iter().position(stops).map(|stop| behind + stop) else {
        return true;
    };
    match raw[stop] {
        b'%' => false,
        // The escape of a quote or white space ends the value as the
        // backslash does.
        b'\\' => {
            let letter = raw[stop..].iter().find(|&&byte| byte != b'\\');
            !matches!(letter, Some(b'u' | b'/'))
        }
        _ => true,
    }
}

/// The bytes that a detector may walk over, too many rather than too few. A
/// backslash and a percent sign always stop.
fn walks(detector: Detector) -> &'static [bool; 256] {
    match detector {
        Detector::Email => &EMAIL_BYTES,
        _ => &NUMBER_BYTES,
    }
}

static EMAIL_BYTES: [bool; 256] = table(b"!#$&'*+-./:=?^_`{|}~");
static NUMBER_BYTES: [bool; 256] = table(b" -.()+/_");

/// Letters, digits, all beyond ASCII, and `others`.
const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let ascii = byte as u8;
        table[byte] = ascii.is_ascii_alphanumeric() || ascii >= 0x80;
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}

/// A unit takes this many raw bytes at most, in text nested three deep.
const LONGEST_UNIT: usize = 12;

/// The raw bytes whose text the detector may look at, from the beginning of a
/// unit on.
fn decoded_stretch(
    detector: Detector,
    raw: &[u8],
    bounds: (usize, usize),
    anchor: usize,
    reach: (usize, usize),
) -> Range<usize> {
    let walks = walks(detector);
    let to = bounds.1.min(anchor + reach.1 * LONGEST_UNIT);
    let furthest = anchor.saturating_sub(reach.0 * LONGEST_UNIT).max(bounds.0);
    let stops = |&at: &usize| !walks[usize::from(raw[at])] && !matches!(raw[at], b'\\' | b'%');
    let from = match (furthest..anchor).rev().find(stops) {
        // Quoted local parts and the text before them are looked at too.
        Some(stop) if detector == Detector::Email && raw[stop] == b'"' => sync_before(raw, furthest, stop, 80),
        Some(stop) => stop + 1,
        None if furthest == bounds.0 => furthest,
        None => sync(raw, furthest, anchor),
    };
    from..to
}

/// A place at which a unit begins, about `by` bytes before `at`.
fn sync_before(raw: &[u8], floor: usize, at: usize, by: usize) -> usize {
    let from = at.saturating_sub(by).max(floor);
    if from == floor { floor } else { sync(raw, from, at) }
}

/// The stretch of data in which a match may lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) from: usize,
    pub(super) to: usize,
    /// `to` is where we stop looking, not the end of the text.
    pub(super) cut: bool,
    /// A top-level quote stands right before the first byte of the data.
    pub(super) behind_quote: bool,
}

/// A member name around a literal.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// Its text in the window.
    pub(super) text: Range<usize>,
    /// The level of its quotes.
    pub(super) level: u32,
    /// Behind its closing quote.
    pub(super) end: usize,
}

/// The member name that `literal` is part of, decoded into `window`: between
/// two quotes of one level. (Top-level quotes are fences, `bounds` lie between.)
pub(super) fn member_name(raw: &[u8], bounds: &Bounds, literal: &Range<usize>, window: &mut Window) -> Option<Name> {
    // Cheap, and true of most literals that are no name: prose goes on.
    let plain = raw[literal.end..bounds.to].iter().take(LONGEST_NAME + 1).position(|&byte| !is_name_byte(byte));
    let stop = literal.end + plain.unwrap_or(0);
    if plain.is_none() && bounds.to > literal.end + LONGEST_NAME {
        return None;
    }
    if !matches!(raw.get(stop), None | Some(b'"' | b'\\' | b'%')) && plain.is_some() {
        return None;
    }
    let from = name_start(raw, bounds, literal.start)?;
    window.clear();
    let mut at = from.content;
    while at < raw.len() && window.text().len() <= LONGEST_NAME {
        let next = unit(raw, at);
        match next.meaning {
            Meaning::Quote(level) if level == from.level => {
                return Some(Name { text: 0..window.text().len(), level, end: at + next.len });
            }
            Meaning::Byte(byte) if is_name_byte(byte) => at = window.push_unit(raw, at),
            _ => return None,
        }
    }
    None
}

struct NameStart {
    content: usize,
    level: u32,
}

/// Where the content of the string that holds `at` begins: behind the nearest
/// quote, when only a name's bytes lie between.
fn name_start(raw: &[u8], bounds: &Bounds, at: usize) -> Option<NameStart> {
    let floor = bounds.from;
    let furthest = at.saturating_sub(LONGEST_NAME * 6).max(floor.saturating_sub(1));
    let mut place = at;
    while place > furthest {
        let byte = raw[place - 1];
        if byte == b'"' {
            let run = run_before(raw, place.saturating_sub(LONGEST_NAME).max(floor.saturating_sub(1)), place - 1);
            return Some(NameStart { content: place, level: super::unit::quote_level(run) });
        }
        if !is_name_byte(byte) && !matches!(byte, b'\\' | b'%') {
            return None;
        }
        // `\u0022`: a quote in other words.
        if byte == b'\\' && raw[place..].starts_with(b"u0022") && place + 5 <= at {
            let run = run_before(raw, place.saturating_sub(LONGEST_NAME).max(floor), place);
            let Meaning::Quote(level) = unit(raw, place - run).meaning else { return None };
            return Some(NameStart { content: place + 5, level });
        }
        place -= 1;
    }
    // The quote may have been the last byte of the data before.
    (place == 0 && bounds.behind_quote).then_some(NameStart { content: 0, level: 0 })
}

/// The places at which a match may begin whose literal begins at `literal`:
/// as many characters before it as the pattern allows, as long as those are
/// characters that may stand there.
pub(super) fn starts_before(
    raw: &[u8],
    floor: usize,
    literal: usize,
    usage: &PatternUse,
    pattern: &Pattern,
    window: &mut Window,
    starts: &mut Vec<usize>,
) {
    starts.clear();
    let (least, most) = usage.offset;
    let lowest = literal.saturating_sub(most).max(floor);
    let mut start = literal;
    loop {
        if literal - start >= least && pattern.can_begin_with(raw[start]) {
            starts.push(start);
        }
        if start == lowest || !usage.lead.contains(raw[start - 1]) {
            break;
        }
        start -= 1;
    }
    // What stopped the walk may be an escape of a character that fits.
    let near = &raw[start.saturating_sub(NEAR).max(floor)..literal];
    if near.iter().any(|byte| matches!(byte, b'\\' | b'%')) && escapes_go_on(raw, floor, start, usage) {
        decoded_starts(raw, floor, literal, usage, pattern, window, starts);
    }
}

/// Whether a unit around or right before `at` is an escape for a character
/// that may stand before the literal.
fn escapes_go_on(raw: &[u8], floor: usize, at: usize, usage: &PatternUse) -> bool {
    let from = at.saturating_sub(NEAR).max(floor);
    let near = &raw[from..at + 1];
    near.iter().enumerate().filter(|(_, byte)| matches!(byte, b'\\' | b'%')).any(|(index, _)| {
        let found = unit(raw, from + index);
        let fits = match found.meaning {
            Meaning::Byte(byte) => usage.lead.contains(byte),
            Meaning::Char(_) => usage.lead.contains(0xff),
            Meaning::Quote(_) => usage.lead.contains(b'"'),
        };
        found.escaped && fits
    })
}

#[cold]
fn decoded_starts(
    raw: &[u8],
    floor: usize,
    literal: usize,
    usage: &PatternUse,
    pattern: &Pattern,
    window: &mut Window,
    starts: &mut Vec<usize>,
) {
    starts.clear();
    let (least, most) = usage.offset;
    let far = literal.saturating_sub(most * LONGEST_UNIT).max(floor);
    let from = if far == floor { far } else { sync(raw, far, literal) };
    window.decode(raw, from..literal);
    let text = window.text();
    let Some(last) = text.len().checked_sub(least) else { return };
    for index in text.len().saturating_sub(most)..=last {
        let start = if index < text.len() { window.raw_start(index) } else { literal };
        let fits = text.get(index).is_none_or(|&byte| pattern.can_begin_with(byte));
        if fits && starts.last() != Some(&start) {
            starts.push(start);
        }
    }
}

/// `range`, widened so that it cuts no UTF-8 character in two.
pub(super) fn whole_characters(raw: &[u8], bounds: (usize, usize), range: Range<usize>) -> Range<usize> {
    let continues = |at: usize| raw.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut range = range;
    for _ in 0..3 {
        if range.start > bounds.0 && continues(range.start) {
            range.start -= 1;
        }
        if range.end < bounds.1 && continues(range.end) {
            range.end += 1;
        }
    }
    range
}

/// Whether a keyword stands as a word of its own, or as one of a name such as
/// `phoneNumber` or `home_phone`.
pub(super) fn is_word(raw: &[u8], keyword: &Range<usize>, format: Format) -> bool {
    let (Some(&first), Some(&last)) = (raw.get(keyword.start), raw.get(keyword.end - 1)) else { return false };
    let before = match before(raw, 0, keyword.start, format) {
        Before::Unit(byte) => byte,
        Before::Letter => None,
        Before::Within => return false,
    };
    let after = raw.get(keyword.end).copied();
    let begins = before
        .is_none_or(|byte| !byte.is_ascii_alphabetic() || byte.is_ascii_lowercase() && first.is_ascii_uppercase());
    let ends = after.is_none_or(|byte| {
        !byte.is_ascii_alphabetic() || byte.is_ascii_uppercase() && last.is_ascii_lowercase() || byte == b's'
    });
    begins && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_place_is_known() {
        let before = |raw: &str, at: usize| super::before(raw.as_bytes(), 0, at, Format::Json);
        assert_eq!(before("abc", 0), Before::Unit(None));
        assert_eq!(before("abc", 1), Before::Unit(Some(b'a')));
        assert_eq!(before(r"\nbob", 2), Before::Unit(Some(b'\n')));
        assert_eq!(before(r"\nbob", 1), Before::Within);
        assert_eq!(before(r"\\npm_", 2), Before::Letter);
        assert_eq!(before(r"\u0041bc", 6), Before::Unit(Some(b'A')));
        assert_eq!(before(r"\u0041bc", 4), Before::Within);
        assert_eq!(before(r"\u00e9bc", 6), Before::Unit(Some(0xff)));
        assert_eq!(before("a%40bc", 4), Before::Unit(Some(b'@')));
        assert_eq!(before("a%40bc", 3), Before::Within);
        assert_eq!(before(r"\nabcd", 5), Before::Unit(Some(b'c')));
        assert_eq!(before(r"\x", 1), Before::Unit(Some(b'\\')));
    }

    #[test]
    fn a_value_is_seen_through_escapes() {
        let found = |raw: &str| {
            let anchor = raw.find('@').or_else(|| raw.find(r"\u0040")).or_else(|| raw.find("%40")).unwrap();
            let mut window = Window::default();
            let confirmed = confirm(Detector::Email, raw.as_bytes(), (0, raw.len()), anchor, &mut window)?;
            Some(raw[confirmed.raw].to_owned())
        };
        assert_eq!(found("x bob@example.com y").as_deref(), Some("bob@example.com"));
        assert_eq!(found(r"\nbob@example.com\n").as_deref(), Some("bob@example.com"));
        assert_eq!(found(r"\\nbob@example.com\\n").as_deref(), Some("bob@example.com"));
        assert_eq!(found(r#"\"bob@example.com\""#).as_deref(), Some("bob@example.com"));
        assert_eq!(found(r"jos\u00e9@example.com").as_deref(), Some(r"jos\u00e9@example.com"));
        assert_eq!(found(r"bob\u0040example.com").as_deref(), Some(r"bob\u0040example.com"));
        assert_eq!(found(r"bob@e\u0078ample.com").as_deref(), Some(r"bob@e\u0078ample.com"));
        assert_eq!(found("?to=bob%40example.com&x").as_deref(), Some("bob%40example.com"));
    }
}
