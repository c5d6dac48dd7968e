//! A closer look at the bytes around a shape: what rules it out before it is a
//! candidate.

use super::detector::national;
use super::fold;
use super::literal::Letters;
use super::shape::{ESCAPE, FOLD, Kinds, NANP, NATIONAL, PLUS, RUN, TOKEN, TOKEN_RUN, is_word_byte};
use super::unit::{LONGEST_RUN, Meaning, run_before, unit};

/// Drops the kinds that a closer look at the bytes rules out.
#[inline(always)]
pub(super) fn judge(data: &[u8], at: usize, kinds: Kinds, letters: &Letters) -> Kinds {
    // A `+` at the very end has no follower.
    if at >= data.len() {
        return 0;
    }
    let kinds = if kinds & (ESCAPE | FOLD) != 0 { judge_fold(data, at, kinds) } else { kinds };
    let kinds = if kinds & ESCAPE != 0 { judge_escape(data, at, kinds, letters) } else { kinds };
    let kinds = if kinds & NANP != 0 { judge_nanp(data, at, kinds) } else { kinds };
    let kinds = if kinds & NATIONAL != 0 { judge_national(data, at, kinds) } else { kinds };
    let kinds = if kinds & TOKEN != 0 { judge_token(data, at, kinds) } else { kinds };
    let kinds = if kinds & PLUS != 0 { judge_plus(data, at, kinds) } else { kinds };
    if kinds & RUN != 0 { judge_run(data, at, kinds) } else { kinds }
}

/// Drops [`TOKEN`] unless a word begins [`TOKEN_RUN`] bytes before: at its
/// beginning, or behind an escape that ends in a letter.
fn judge_token(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    let begins = at.checked_sub(TOKEN_RUN - 1).is_some_and(|start| {
        let back = |by: usize| start.checked_sub(by).map(|place| data[place]);
        let short = back(2) == Some(b'\\') && matches!(back(1), Some(b'n' | b'r' | b't' | b'b' | b'f'));
        let code = back(6) == Some(b'\\') && back(5) == Some(b'u');
        is_word_byte(data[start]) && (!back(1).is_some_and(is_word_byte) || short || code)
    });
    if begins { kinds } else { kinds & !TOKEN }
}

/// Drops [`PLUS`] before what most often is no phone number, time zones
/// (`+00:00`): no calling code begins with 0 (ITU-T E.164, list of codes).
fn judge_plus(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    if matches!(data[at], b'1'..=b'9' | b'(' | b'\\' | b'%' | 0x80..) { kinds } else { kinds & !PLUS }
}

/// Drops [`NANP`] unless an area code may stand before the `ddd-dddd` that ends
/// at `at`.
fn judge_nanp(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    let before = at.checked_sub(8).map(|before| data[before]);
    if matches!(before, Some(b' ' | b'-' | b'.' | b'/' | b')')) { kinds } else { kinds & !NANP }
}

/// Drops [`NATIONAL`] where most often digits stand that are no phone number: dates,
/// decimals, long ids.
fn judge_national(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    let start = (at + 1).saturating_sub(national::WINDOW);
    // Escapes may hide what stands before, and that more digits follow. (So few bytes
    // are looked at faster by a plain loop.)
    let escapes = |range: std::ops::Range<usize>| data[range].iter().any(|byte| matches!(byte, b'\\' | b'%'));
    let before = || escapes(start.saturating_sub(national::WINDOW)..start);
    let behind = || escapes(at..data.len().min(at + national::WINDOW));
    let other = (national::goes_on(data, start) && !before())
        || (national::is_date(data, start) && !behind())
        || (national::is_glued(data, start) && !behind())
        || (national::is_part(data, start) && !before())
        || (national::is_short(data, start) && !behind() && !before())
        || !national::has_pair(&data[start..=at]);
    if other { kinds & !NATIONAL } else { kinds }
}

/// Drops [`RUN`] within an escape: `\u0041`.
fn judge_run(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    let escape = at.checked_sub(5).is_some_and(|sign| data[sign..].starts_with(b"\\u"));
    if escape { kinds & !RUN } else { kinds }
}

/// Drops [`FOLD`] unless such a character begins at `at`, or before an escape's sign.
fn judge_fold(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    let start = match data[at] {
        0x80.. | b'%' => at,
        // The second of two halves has as many backslashes.
        b'u' => at - run_before(data, at.saturating_sub(LONGEST_RUN), at),
        _ => at.wrapping_sub(1),
    };
    if start < data.len() && fold::begins(data, start) { kinds | FOLD } else { kinds & !FOLD }
}

/// Drops [`ESCAPE`] unless the sign at `at` (`%`, or the letter behind a
/// backslash) really escapes ASCII or a letter of a literal, or its hex digits run into
/// more of them, and so hide where a run of digits begins.
fn judge_escape(data: &[u8], at: usize, kinds: Kinds, letters: &Letters) -> Kinds {
    let start = if data[at] == b'%' { at } else { at.wrapping_sub(1) };
    let hides = start < data.len() && {
        let unit = unit(data, start);
        let counts = match unit.meaning {
            Meaning::Byte(_) | Meaning::Quote(_) => true,
            Meaning::Char(letter) => letters.contains(letter),
        };
        unit.escaped && (counts || data[at] == b'U' || data.get(start + unit.len).is_some_and(u8::is_ascii_digit))
    };
    if hides { kinds } else { kinds & !ESCAPE }
}
