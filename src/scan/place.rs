//! What stands before a place in the raw bytes, and the member name around it.

use super::Format;
use super::around::LONGEST_UNIT;
use super::delimiter::Delimiter;
use super::engine::PatternUse;
use super::key::{LONGEST_NAME, is_in_name, is_name_byte};
use super::pattern::Pattern;
use super::unit::{LONGEST_RUN, Meaning, run_before, unit};
use super::window::{Window, unit_before};
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
pub(super) const NEAR: usize = 11;

/// Whether an escape may end with this byte; any other says itself what it is.
pub(super) fn can_end_escape(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'\\' | b'%' | b'/' | b'{' | b'}')
}

/// What stands before `at`, not looking before `floor`, which begins a unit.
pub(super) fn before(raw: &[u8], floor: usize, at: usize, format: Format) -> Before {
    let Some(last) = at.checked_sub(1).filter(|&last| last >= floor).map(|last| raw[last]) else {
        return Before::Unit(None);
    };
    if !can_end_escape(last) {
        return Before::Unit(Some(last));
    }
    let from = at.saturating_sub(NEAR).max(floor);
    let Some(sign) = raw[from..at].iter().rposition(|&byte| byte == b'\\' || byte == b'%') else {
        return Before::Unit(Some(last));
    };
    let sign = from + sign;
    let run =
        if raw[sign] == b'%' { 0 } else { run_before(raw, sign.saturating_sub(LONGEST_RUN).max(floor), sign + 1) };
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
    /// What it stands between.
    pub(super) quote: Delimiter,
    /// Where it begins.
    pub(super) start: usize,
    /// Behind its closing quote.
    pub(super) end: usize,
}

/// The member name that the unit at `at` is part of, decoded into `window`:
/// between two quotes of one level. (Top-level quotes are fences, `bounds` lie
/// between.)
pub(super) fn member_name(raw: &[u8], bounds: &Bounds, at: usize, window: &mut Window) -> Option<Name> {
    let from = name_start(raw, bounds, at)?;
    window.clear();
    let start = from.content;
    let mut at = start;
    while at < raw.len() && window.text().len() <= LONGEST_NAME {
        let next = unit(raw, at);
        match next.meaning {
            _ if Delimiter::of(next, raw, at) == Some(from.quote) => {
                return Some(Name { text: 0..window.text().len(), quote: from.quote, start, end: at + next.len });
            }
            meaning if is_in_name(meaning) => at = window.push_unit(raw, at),
            _ => return None,
        }
    }
    None
}

struct NameStart {
    content: usize,
    quote: Delimiter,
}

/// Where the content of the string that holds `at` begins: behind the nearest
/// quote, when only a name's bytes lie between.
fn name_start(raw: &[u8], bounds: &Bounds, at: usize) -> Option<NameStart> {
    let floor = bounds.from;
    let furthest = at.saturating_sub(LONGEST_NAME * 6).max(floor.saturating_sub(1));
    let backslashes = |end: usize| run_before(raw, end.saturating_sub(LONGEST_RUN).max(floor.min(end)), end);
    let mut place = at;
    while place > furthest {
        let last = place - 1;
        let start = match raw[last] {
            b'"' | b'\'' => last - backslashes(last),
            // A quote in other words: `\u0022`.
            b'\\' => place - backslashes(place).max(1),
            b'%' => last,
            byte if is_name_byte(byte) => {
                place -= 1;
                continue;
            }
            _ => return None,
        };
        let opening = unit(raw, start);
        let content = start + opening.len;
        // Backslashes before a quote may be data.
        let (start, opening) = if content < place { (content, unit(raw, content)) } else { (start, opening) };
        let content = start + opening.len;
        match Delimiter::of(opening, raw, start) {
            Some(quote) if (place..=at).contains(&content) => return Some(NameStart { content, quote }),
            _ if matches!(raw[last], b'"' | b'\'') => return None,
            _ => place -= 1,
        }
    }
    // The quote may have been the last byte of the data before.
    (place == 0 && bounds.behind_quote).then_some(NameStart { content: 0, quote: Delimiter::Double(0) })
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
    decode_before(raw, floor, literal, most, window);
    let text = window.text();
    let Some(last) = text.len().checked_sub(least) else { return };
    let fitting = text.iter().rev().take(most).take_while(|&&byte| usage.lead.contains(byte)).count();
    for index in text.len() - fitting..=last {
        let start = if index < text.len() { window.raw_start(index) } else { literal };
        let fits = text.get(index).is_none_or(|&byte| pattern.can_begin_with(byte));
        if fits && starts.last() != Some(&start) {
            starts.push(start);
        }
    }
}

/// Decodes the `most` bytes of text before `end`, and maybe more; fewer only behind
/// `floor`.
fn decode_before(raw: &[u8], floor: usize, end: usize, most: usize, window: &mut Window) {
    // Few characters are escapes, and few of those take more than two bytes. The first
    // one may be cut.
    let mut span = 2 * most + NEAR;
    loop {
        let far = end.saturating_sub(span).max(floor);
        let from = if far == floor { far } else { unit_before(raw, floor, far, end) };
        window.decode(raw, from..end);
        if window.text().len() > most + 4 || far == floor || span >= most * LONGEST_UNIT {
            return;
        }
        span *= 3;
    }
}

/// `range`, widened so that it cuts no UTF-8 character in two. Bytes that go on
/// nothing stay.
pub(super) fn whole_characters(raw: &[u8], bounds: (usize, usize), range: Range<usize>) -> Range<usize> {
    let continues = |at: usize| raw.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let (mut start, mut end) = (range.start, range.end);
    for _ in 0..3 {
        if start > bounds.0 && continues(start) {
            start -= 1;
        }
        if end < bounds.1 && continues(end) {
            end += 1;
        }
    }
    let leads = raw.get(start).is_some_and(|&byte| byte >= 0xc0);
    if leads { start..end } else { range.start..end }
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
}
