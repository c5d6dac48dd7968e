//! What a detector sees around its anchor: the raw bytes where they mean what
//! they are, else their decoded text.

use super::detector;
use super::unit::{Meaning, unit};
use super::window::{Window, sync};
use crate::rule::Detector;
use std::ops::Range;

/// What a detector found.
#[derive(Clone, Debug)]
pub(super) struct Confirmed {
    pub(super) raw: Range<usize>,
    /// Where the text stands in [`Decoded::text`], when it had to be decoded.
    pub(super) text: Option<Range<usize>>,
}

/// A unit takes this many raw bytes at most, in text nested three deep.
pub(super) const LONGEST_UNIT: usize = 12;

/// Where one stretch begins within the last, this much more is decoded at
/// once: so each byte is decoded a few times at most, however dense the
/// anchors are.
const AHEAD: usize = 8192;

/// The decoded text of one stretch of raw bytes, kept from anchor to anchor.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    window: Window,
    /// The raw bytes that it stands for; they hold no fence.
    range: Range<usize>,
}

impl Decoded {
    /// Forgets everything: the data has moved.
    pub(super) fn clear(&mut self) {
        self.window.clear();
        self.range = 0..0;
    }

    /// The decoded bytes.
    pub(super) fn text(&self) -> &[u8] {
        self.window.text()
    }

    /// Makes sure that what stands around `anchor` is decoded: from `from` on,
    /// which begins a unit, and `reach` characters behind the anchor, unless
    /// the text ends before, at `end`. The anchor's place in the text.
    fn show(&mut self, raw: &[u8], from: usize, anchor: usize, reach: usize, end: usize) -> Option<usize> {
        let overlaps = self.range.contains(&anchor) || self.range.contains(&from);
        if overlaps && self.range.start <= from {
            let index = self.window.index_of(anchor);
            let suffices = |index: usize| self.range.end == end || self.text().len() > index + reach;
            if index.is_some_and(suffices) {
                return index;
            }
        }
        let reach = if overlaps { AHEAD } else { reach };
        let reached = self.window.decode_around(raw, from..end, anchor, reach);
        self.range = from..reached;
        self.window.index_of(anchor)
    }
}

/// The extent that `detector` sees around the byte or unit at `anchor`, as raw
/// bytes. No match crosses `bounds`.
pub(super) fn confirm(
    detector: Detector,
    raw: &[u8],
    bounds: (usize, usize),
    anchor: usize,
    decoded: &mut Decoded,
) -> Option<Confirmed> {
    let reach = detector::reach(detector);
    if detector == Detector::Email && !begins_domain(raw, bounds.1, anchor) {
        return None;
    }
    // One byte more than the detector looks at, so that it never takes our
    // cut for a boundary.
    let from = anchor.saturating_sub(reach.0 + 1).max(bounds.0);
    let to = bounds.1.min(anchor + reach.1 + 2);
    if is_plain(detector, raw, from..to, anchor) {
        let found = detector::confirm(detector, &raw[from..to], anchor - from)?;
        return Some(Confirmed { raw: from + found.start..from + found.end, text: None });
    }
    let furthest = anchor.saturating_sub(reach.0 * LONGEST_UNIT).max(bounds.0);
    let begin = |at: usize| if at == bounds.0 { at } else { sync(raw, at, anchor) };
    let from = match stop_before(detector, raw, furthest, anchor) {
        Some(stop) => stop + 1,
        None => begin(furthest),
    };
    let mut index = decoded.show(raw, from, anchor, reach.1 + 2, bounds.1)?;
    let quoted = |index: usize, decoded: &Decoded| index.checked_sub(1).map(|at| decoded.text()[at]) == Some(b'"');
    if detector == Detector::Email && (index == 0 || quoted(index, decoded)) {
        // The local part is quoted, and may hold anything.
        index = decoded.show(raw, begin(furthest), anchor, reach.1 + 2, bounds.1)?;
    }
    let found = detector::confirm(detector, decoded.text(), index)?;
    Some(Confirmed { raw: decoded.window.raw_range(found.clone()), text: Some(found) })
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

/// Whether the detector sees the same in the raw bytes as in what they mean:
/// no escape touches the run of bytes around the anchor that it may walk over.
fn is_plain(detector: Detector, raw: &[u8], range: Range<usize>, anchor: usize) -> bool {
    // The anchor itself may be an escape.
    if matches!(raw[anchor], b'\\' | b'%') {
        return false;
    }
    let (before, after) = walks(detector);
    let stops = |table: &[bool; 256], byte: u8| !table[usize::from(byte)];
    let left = raw[range.start..anchor].iter().rposition(|&byte| stops(before, byte)).map(|at| range.start + at);
    match left.map(|at| raw[at]) {
        Some(b'\\' | b'%') => return false,
        // A quoted local part, whose quotes may be escaped.
        Some(b'"') if detector == Detector::Email && left.is_some_and(|at| at + 1 == anchor) => return false,
        _ => {}
    }
    let behind = anchor + 1;
    let stop = raw[behind..range.end].iter().position(|&byte| stops(after, byte)).map(|stop| behind + stop);
    match stop.map(|stop| (raw[stop], stop)) {
        None => true,
        Some((b'%', _)) => false,
        // The escape of a quote or white space ends the value as the
        // backslash does.
        Some((b'\\', stop)) => {
            let letter = raw[stop..].iter().find(|&&byte| byte != b'\\');
            !matches!(letter, Some(b'u' | b'/'))
        }
        Some(_) => true,
    }
}

/// The last byte before `anchor`, not before `floor`, that nothing a detector
/// looks at lies before.
fn stop_before(detector: Detector, raw: &[u8], floor: usize, anchor: usize) -> Option<usize> {
    let (before, _) = walks(detector);
    let stops = |&byte: &u8| !before[usize::from(byte)] && !matches!(byte, b'\\' | b'%');
    raw[floor..anchor].iter().rposition(|byte| stops(byte)).map(|at| floor + at)
}

/// The bytes that a detector may walk over before and behind its anchor, too
/// many rather than too few. A backslash and a percent sign always stop.
fn walks(detector: Detector) -> (&'static [bool; 256], &'static [bool; 256]) {
    match detector {
        Detector::Email => (&BEFORE_AT, &BEHIND_AT),
        _ => (&NUMBER_BYTES, &NUMBER_BYTES),
    }
}

static BEHIND_AT: [bool; 256] = table(b"!#$&'*+-./:=?^_`{|}~");
/// What a local part may hold, and the user and password of a URL.
static BEFORE_AT: [bool; 256] = table(b"!#$&'*+-./:=?^_`{|}~@\x7f");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_seen_through_escapes() {
        let found = |raw: &str| {
            let anchor = raw.find('@').or_else(|| raw.find(r"\u0040")).or_else(|| raw.find("%40")).unwrap();
            let mut decoded = Decoded::default();
            let confirmed = confirm(Detector::Email, raw.as_bytes(), (0, raw.len()), anchor, &mut decoded)?;
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
