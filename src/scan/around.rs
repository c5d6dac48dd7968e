//! What a detector sees around its anchor: the raw bytes where they mean what
//! they are, else their decoded text.

use super::detector;
use super::unit::{Meaning, unit};
use super::window::{Window, unit_before};
use crate::rule::Detector;
use std::ops::Range;

/// What a detector found.
#[derive(Clone, Debug)]
pub(super) struct Confirmed {
    pub(super) raw: Range<usize>,
    /// Where the text stands in [`Decoded::text`], when it had to be decoded.
    pub(super) text: Option<Range<usize>>,
}

impl Confirmed {
    /// What the value means.
    pub(super) fn text<'a>(&self, raw: &'a [u8], decoded: &'a Decoded) -> &'a [u8] {
        match &self.text {
            Some(range) => &decoded.text()[range.clone()],
            None => &raw[self.raw.clone()],
        }
    }
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
    /// What stops the walk before an `@`, escapes among it or not.
    stops: [Lookback; 2],
}

/// The last place of some kind before an anchor, remembered so that dense
/// anchors do not walk over the same bytes again and again.
#[derive(Clone, Debug, Default)]
struct Lookback {
    /// The bytes that were looked at.
    seen: Range<usize>,
    /// The last of the kind among them.
    last: Option<usize>,
}

impl Lookback {
    /// The last byte in `raw[range]` that `is` accepts, which is the same
    /// question every time.
    fn find(&mut self, raw: &[u8], range: Range<usize>, is: impl Fn(u8) -> bool) -> Option<usize> {
        let goes_on = self.seen.start <= range.start && (range.start..=range.end).contains(&self.seen.end);
        if !goes_on {
            *self = Self { seen: range.start..range.start, last: None };
        }
        let fresh = self.seen.end..range.end;
        let found = raw[fresh.clone()].iter().rposition(|&byte| is(byte)).map(|at| fresh.start + at);
        self.last = found.or(self.last);
        self.seen.end = range.end;
        self.last.filter(|&at| at >= range.start)
    }
}

impl Decoded {
    /// Forgets everything: the data has moved.
    pub(super) fn clear(&mut self) {
        self.window.clear();
        self.range = 0..0;
        self.stops = Default::default();
    }

    /// The decoded bytes.
    pub(super) fn text(&self) -> &[u8] {
        self.window.text()
    }

    /// The last byte in `range` that a detector does not walk over on its way
    /// back; an escape is one, unless `deep`.
    fn stop_before(&mut self, detector: Detector, raw: &[u8], range: Range<usize>, deep: bool) -> Option<usize> {
        // Nothing does: words matter.
        if deep && detector == Detector::PhoneNational {
            return None;
        }
        let (before, _) = walks(detector);
        let stops = |byte: u8| !(before[usize::from(byte)] || deep && matches!(byte, b'\\' | b'%'));
        let mut fresh = Lookback::default();
        let lookback = if detector == Detector::Email { &mut self.stops[usize::from(deep)] } else { &mut fresh };
        lookback.find(raw, range, stops)
    }

    /// Whether the detector sees the same in the raw bytes as in what they mean:
    /// no escape touches the run of bytes around the anchor that it may walk over.
    fn is_plain(&mut self, detector: Detector, raw: &[u8], range: Range<usize>, anchor: usize) -> bool {
        // The anchor itself may be an escape.
        if matches!(raw[anchor], b'\\' | b'%') {
            return false;
        }
        let left = match detector {
            Detector::Email => self.stop_before(detector, raw, range.start..anchor, false),
            _ => escape_before(detector, raw, range.start..anchor),
        };
        match left.map(|at| raw[at]) {
            Some(b'\\' | b'%') => return false,
            // A quoted local part, whose quotes may be escaped.
            Some(b'"') if detector == Detector::Email && left.is_some_and(|at| at + 1 == anchor) => return false,
            _ => {}
        }
        let (_, after) = walks(detector);
        let behind = anchor + 1;
        let stops = |byte: &u8| !after[usize::from(*byte)];
        let seen = &raw[behind..range.end];
        let escape = memchr::memchr2(b'\\', b'%', seen);
        let stop = escape.and_then(|escape| seen[..=escape].iter().position(stops)).map(|stop| behind + stop);
        match stop.map(|stop| (raw[stop], stop)) {
            None => true,
            Some((b'%', _)) => false,
            // The escape of a quote or white space ends the value as the
            // backslash does.
            Some((b'\\', stop)) => {
                let letter = raw[stop..].iter().find(|&&byte| byte != b'\\');
                !matches!(letter, Some(b'u' | b'U' | b'x' | b'/' | b'\''))
            }
            Some(_) => true,
        }
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

/// The last escape in `range` of `raw` if the detector walks over all that is behind it.
fn escape_before(detector: Detector, raw: &[u8], range: Range<usize>) -> Option<usize> {
    let (before, _) = walks(detector);
    let escape = range.start + memchr::memrchr2(b'\\', b'%', &raw[range.clone()])?;
    raw[escape + 1..range.end].iter().all(|&byte| before[usize::from(byte)]).then_some(escape)
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
    if is_ruled_out(detector, raw, bounds, anchor) {
        return None;
    }
    let reach = detector::reach(detector);
    // One byte more than the detector looks at, so that it never takes our
    // cut for a boundary.
    let from = anchor.saturating_sub(reach.0 + 1).max(bounds.0);
    let to = bounds.1.min(anchor + reach.1 + 2);
    // An escape that reaches into what the detector sees may begin before.
    let escapes = if detector == Detector::Email { from } else { from.saturating_sub(NEAR).max(bounds.0) };
    if decoded.is_plain(detector, raw, escapes..to, anchor) {
        let found = detector::confirm(detector, &raw[from..to], anchor - from)?;
        return Some(Confirmed { raw: from + found.start..from + found.end, text: None });
    }
    let furthest = anchor.saturating_sub(reach.0 * LONGEST_UNIT).max(bounds.0);
    let begin = |at: usize| if at == bounds.0 { at } else { unit_before(raw, bounds.0, at, anchor) };
    let from = match decoded.stop_before(detector, raw, furthest..anchor, true) {
        // The detector may want to see what it was: `$` and `#` matter.
        Some(stop) => stop,
        None => begin(furthest),
    };
    let mut index = decoded.show(raw, from, anchor, reach.1 + 2, bounds.1)?;
    let quoted = |index: usize, decoded: &Decoded| index.checked_sub(1).map(|at| decoded.text()[at]) == Some(b'"');
    if detector == Detector::Email && quoted(index, decoded) {
        // The local part is quoted, and may hold anything.
        index = decoded.show(raw, begin(furthest), anchor, reach.1 + 2, bounds.1)?;
    }
    let found = detector::confirm(detector, decoded.text(), index)?;
    let quotes = (decoded.window.raw_start(found.start), index.checked_sub(1).map(|at| decoded.window.raw_start(at)));
    if detector == Detector::Email && !quotes_agree(raw, quotes.0, quotes.1) {
        return None;
    }
    Some(Confirmed { raw: decoded.window.raw_range(found.clone()), text: Some(found) })
}

/// Whether an e-mail address that begins at `start` either begins with no quote
/// or has its closing one, at `closing`, in the same level: a quote of another
/// level belongs to the document around it.
pub(super) fn quotes_agree(raw: &[u8], start: usize, closing: Option<usize>) -> bool {
    let level = |at: usize| match unit(raw, at).meaning {
        Meaning::Quote(level) => Some(level),
        _ => None,
    };
    level(start).is_none_or(|opening| closing.and_then(level) == Some(opening))
}

/// Whether a cheap look is enough to pass over an anchor.
fn is_ruled_out(detector: Detector, raw: &[u8], bounds: (usize, usize), anchor: usize) -> bool {
    match detector {
        Detector::Email => !may_begin_domain(&raw[..bounds.1], anchor),
        // `1+1`: no sign of a phone number stands behind a digit.
        Detector::PhoneInternational if raw[anchor] == b'+' => {
            let near = &raw[anchor.saturating_sub(NEAR).max(bounds.0)..anchor];
            near.last().is_some_and(u8::is_ascii_digit) && memchr::memrchr2(b'\\', b'%', near).is_none()
        }
        _ => false,
    }
}

/// Escapes of one character are not longer, without their backslashes.
const NEAR: usize = 16;

/// Whether a domain can stand behind the `@` at `at`, as far as the text goes
/// without escapes.
fn may_begin_domain(raw: &[u8], at: usize) -> bool {
    let from = at + unit(raw, at).len;
    let domain = &raw[from.min(raw.len())..];
    let domain = &domain[..domain.len().min(detector::EMAIL_REACH)];
    let opening = domain.first().is_some_and(|&byte| byte == b'[')
        || !domain.is_empty() && unit(raw, from).meaning == Meaning::Byte(b'[');
    let length = domain.iter().take_while(|&&byte| is_domain_byte(byte)).count();
    let escaped = match domain.get(length) {
        Some(b'\\' | b'%') => {
            matches!(unit(raw, from + length).meaning,
            Meaning::Byte(byte) if is_domain_byte(byte))
                || matches!(unit(raw, from + length).meaning, Meaning::Char(_))
        }
        _ => false,
    };
    opening || escaped || detector::is_before_domain(domain)
}

const fn is_domain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') || byte >= 0x80
}

/// The bytes that a detector may walk over before and behind its anchor, too
/// many rather than too few. A backslash and a percent sign always stop.
fn walks(detector: Detector) -> (&'static [bool; 256], &'static [bool; 256]) {
    match detector {
        Detector::Email => (&BEFORE_AT, &BEHIND_AT),
        Detector::PhoneNational => (&ANY_BYTES, &NUMBER_BYTES),
        Detector::IpAddress | Detector::MacAddress => (&ADDRESS_BYTES, &ADDRESS_BYTES),
        _ => (&BEFORE_NUMBER, &NUMBER_BYTES),
    }
}

static BEHIND_AT: [bool; 256] = table(b"!#$&'*+-./:=?[]^_`{|}~");
/// What a local part may hold, and the user and password of a URL.
static BEFORE_AT: [bool; 256] = table(b"!#$&'*+-./:=?^_`{|}~@\x7f");
/// Where words matter too.
static ANY_BYTES: [bool; 256] = {
    let mut table = [true; 256];
    table[b'\\' as usize] = false;
    table[b'%' as usize] = false;
    table
};
static ADDRESS_BYTES: [bool; 256] = table(b"-.:_");
static NUMBER_BYTES: [bool; 256] = table(b" -.()+/_");
/// What stands before a colon tells a number from a time.
static BEFORE_NUMBER: [bool; 256] = table(b" -.()+/_:");

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
    fn an_escape_before_a_colon_is_seen_through() {
        let found = |raw: &str| {
            let (mut decoded, anchor) = (Decoded::default(), raw.find("0049").unwrap());
            let confirmed =
                confirm(Detector::PhoneInternational, raw.as_bytes(), (0, raw.len()), anchor, &mut decoded)?;
            Some(raw[confirmed.raw].to_owned())
        };
        for text in ["x%40:0049 30 901820 y", r"x\u0040:0049 30 901820 y", r"x\u0040/0049 30 901820 y"] {
            assert_eq!(found(text).as_deref(), Some("0049 30 901820"), "{text}");
        }
        assert_eq!(found("x%34:0049 30 901820 y"), None);
        assert_eq!(found("x40:0049 30 901820 y"), None);
    }

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
        assert_eq!(found("?to=bob%40%5B10.0.0.1%5D&x").as_deref(), Some("bob%40%5B10.0.0.1%5D"));
        assert_eq!(found(r"bob@[10\u002e0.0.1]").as_deref(), Some(r"bob@[10\u002e0.0.1]"));
    }
}
