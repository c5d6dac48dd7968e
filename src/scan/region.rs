//! Secrets of any length, swallowed as they stream by.

use super::Format;
use super::delimiter::{BEHIND_STRING, Delimiter, ends_by, string_end};
use super::detector::private_key::{self, Gap, LONGEST_GAP};
use super::engine::Engine;
use super::fold;
use super::key::{End, whole_unit};
use super::line;
use super::unit::Meaning;
use super::window::Window;

/// What kind of secret the scanner is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// A string under a key rule, between these.
    Text { quote: Delimiter },
    /// The open end of a pattern, by rule index.
    Tail { rule: usize },
    /// A private key block.
    PrivateKey,
}

/// Characters of a key block's end line, at most.
pub(super) const LONGEST_FOOTER: usize = 80;
/// A byte that no line of a key block holds.
const OTHER: u8 = b'"';
/// Raw bytes in which a footer must end to be seen.
pub(super) const FOOTER_REACH: usize = 1024;

impl Region {
    /// The end of the secret, looking from `at` on.
    pub(super) fn end(self, engine: &Engine, format: Format, raw: &[u8], at: usize, last: bool) -> End {
        match self {
            Self::Text { quote } => string_end(raw, at, quote, format == Format::Text, last),
            Self::Tail { rule } => tail_end(engine, rule, format, raw, at, last),
            Self::PrivateKey => key_block_end(format, raw, at, last),
        }
    }
}

/// Whether the raw byte at `at` is a fence. Only asked of bytes that begin a
/// unit, where a quote is never escaped.
fn is_fence(format: Format, raw: &[u8], at: usize) -> bool {
    match format {
        Format::Json => raw[at] == b'"',
        Format::Ndjson => matches!(raw[at], b'"' | b'\n'),
        Format::Text => raw[at] == b'\n' && line::ends(raw, at),
    }
}

/// Whether more data tells if the byte at `at` is a fence.
fn is_unclear(format: Format, raw: &[u8], at: usize, last: bool) -> bool {
    format == Format::Text && raw[at] == b'\n' && at + 1 == raw.len() && !last
}

fn tail_end(engine: &Engine, rule: usize, format: Format, raw: &[u8], at: usize, last: bool) -> End {
    let Some(pattern) = engine.patterns.get(rule).and_then(Option::as_ref) else { return End::At(at) };
    let mut at = at;
    while at < raw.len() {
        let Some(unit) = whole_unit(raw, at, last).filter(|_| !is_unclear(format, raw, at, last)) else {
            return End::More(at);
        };
        let mut buffer = [0; 4];
        let taken = unit.bytes(&mut buffer).iter().all(|&byte| pattern.tail_takes(byte));
        if !taken || is_fence(format, raw, at) {
            return End::At(at);
        }
        if let Meaning::Quote(level) = unit.meaning {
            match ends_string(format, raw, (at + unit.len, level), last) {
                None => return End::More(at),
                Some(true) => return End::At(at),
                Some(false) => {}
            }
        }
        at += unit.len;
    }
    if last { End::At(at) } else { End::More(at) }
}

/// Whether what stands at `at`, behind a quote of `level`, may follow a string of
/// JSON. As [`outer_end`](super::delimiter::outer_end), of what is seen right away.
fn ends_string(format: Format, raw: &[u8], (at, level): (usize, u32), last: bool) -> Option<bool> {
    match whole_unit(raw, at, last) {
        None => last.then_some(true),
        Some(_) if is_unclear(format, raw, at, last) => None,
        Some(_) if is_fence(format, raw, at) => Some(true),
        Some(next) => Some(ends_by(next.meaning, level, BEHIND_STRING)),
    }
}

fn key_block_end(format: Format, raw: &[u8], at: usize, last: bool) -> End {
    // A block goes over lines, in text too.
    let format = if format == Format::Text { None } else { Some(format) };
    let mut window = Window::default();
    let mut at = at;
    while at < raw.len() {
        let Some(unit) = whole_unit(raw, at, last) else { return End::More(at) };
        let (behind, byte) = match (fold::step(raw, at, last), unit.meaning) {
            (fold::Step::Cut, _) => return End::More(at),
            (fold::Step::Over(behind, byte), _) => (behind, byte),
            (_, Meaning::Byte(byte)) if !format.is_some_and(|format| is_fence(format, raw, at)) => {
                (at + unit.len, Some(byte))
            }
            // A fence ends it; a quote or what is not ASCII may stand between lines.
            _ if format.is_some_and(|format| is_fence(format, raw, at)) => return End::At(at),
            _ => (at + unit.len, Some(OTHER)),
        };
        if byte == Some(b'-') {
            match footer(raw, at, last, &mut window) {
                Footer::Ends(end) => return End::At(end),
                Footer::Unclear => return End::More(at),
                Footer::None => {}
            }
        }
        if byte.is_none_or(private_key::is_body_byte) {
            at = behind;
            continue;
        }
        at = match gap(format, raw, at, last, &mut window) {
            (Gap::Over(_), behind) => behind,
            (Gap::Unclear, _) => return End::More(at),
            (Gap::None, _) => return End::At(at),
        };
    }
    if last { End::At(at) } else { End::More(at) }
}

/// What is between two lines of a block, from `at` on, and where it ends.
fn gap(format: Option<Format>, raw: &[u8], at: usize, last: bool, window: &mut Window) -> (Gap, usize) {
    window.clear();
    let mut end = at;
    let (mut is_cut, is_end) = (false, |end: usize| format.is_some_and(|format| is_fence(format, raw, end)));
    while window.text().len() < LONGEST_GAP && end - at < FOOTER_REACH {
        if end >= raw.len() {
            is_cut = !last;
            break;
        }
        if is_end(end) {
            break;
        }
        let Some(behind) = push_folded(raw, end, last, window) else {
            is_cut = !last;
            break;
        };
        end = behind;
    }
    let found = private_key::gap(window.text(), format.is_some(), !is_cut);
    let behind = if let Gap::Over(length) = found { window.raw_range(0..length).end } else { at };
    (found, behind)
}

/// Appends the unit or the character that is read otherwise at `at`, and gives
/// where it ends; `None` if it is cut off.
fn push_folded(raw: &[u8], at: usize, last: bool, window: &mut Window) -> Option<usize> {
    match (whole_unit(raw, at, last), fold::step(raw, at, last)) {
        (None, _) | (_, fold::Step::Cut) => None,
        (_, fold::Step::Over(behind, byte)) => {
            byte.into_iter().for_each(|byte| window.push_byte(byte, at, behind));
            Some(behind)
        }
        (Some(_), fold::Step::None) => Some(window.push_unit(raw, at)),
    }
}

enum Footer {
    Ends(usize),
    None,
    Unclear,
}

fn footer(raw: &[u8], at: usize, last: bool, window: &mut Window) -> Footer {
    window.clear();
    let (mut end, mut cut) = (at, false);
    while window.text().len() < LONGEST_FOOTER && end < raw.len() && end - at < FOOTER_REACH {
        let Some(behind) = push_folded(raw, end, last, window) else {
            cut = true;
            break;
        };
        end = behind;
        if let Some(length) = private_key::footer_length(window.text()) {
            return Footer::Ends(window.raw_range(0..length).end);
        }
        let text = window.text();
        let common = text.len().min(b"-----END ".len());
        if text[..common] != b"-----END "[..common] {
            return Footer::None;
        }
    }
    cut |= end >= raw.len();
    if cut && !last && window.text().len() < LONGEST_FOOTER && end - at < FOOTER_REACH {
        Footer::Unclear
    } else {
        Footer::None
    }
}
