//! Text in zlib or zstd that stands in base64: where it may begin.
//!
//! ```text
//! {"data": "eJyrVkrKT1KyUkrKT3JIrUjMLchJ1UvOz1WqBQBmmwgT"}     {"bob": "bob@example.com"}
//! ```
//!
//! All of zlib begins with one of four pairs of bytes, by its level (RFC 1950, section
//! 2.2), which are two characters and a third that is one of four; all of zstd with its
//! magic number (RFC 8878, section 3.1.1). So few characters stand anywhere, so only where
//! a value begins do they count: behind no letter, and none of the signs that tokens and
//! base64 hold.

use super::base64::character_of;
use super::nearby::Context;

/// The first byte of zlib, with a window of 32 KiB, and the second by level.
const ZLIB: u8 = 0x78;
const LEVELS: [u8; 4] = [0x01, 0x5e, 0x9c, 0xda];
/// The magic number of zstd, but for its last bits.
const ZSTD: &[u8] = b"KLUv";
/// Bytes before it that are looked at.
const BEFORE: usize = 6;

/// What the literal database looks for.
pub(super) fn heads() -> impl Iterator<Item = Vec<u8>> {
    let head = |level: u8, bits: u8| {
        let triple = [ZLIB >> 2, (ZLIB & 3) << 4 | level >> 4, (level & 0xf) << 2 | bits];
        triple.map(character_of).to_vec()
    };
    let zlib = LEVELS.into_iter().flat_map(move |level| (0..4).map(move |bits| head(level, bits)));
    zlib.chain([ZSTD.to_vec()])
}

/// What of `raw` before `at` is looked at.
pub(super) fn before(raw: &[u8], at: usize) -> &[u8] {
    &raw[at.saturating_sub(BEFORE)..at]
}

/// Whether a value begins behind `before`, or behind an escape.
pub(super) fn begins_behind(before: &[u8]) -> bool {
    let Some((&last, before)) = before.split_last() else { return true };
    let is_hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    match before {
        [.., b'\\'] if b"nrtbf".contains(&last) => true,
        [.., b'%', high] if is_hex(&[*high, last]) => true,
        [.., b'\\', b'u', first, second, third] if is_hex(&[*first, *second, *third, last]) => true,
        _ => !(last.is_ascii_alphanumeric() || !last.is_ascii() || b"_-+/.$@".contains(&last)),
    }
}

/// The same where `context` precedes `raw`.
pub(super) fn begins_at(context: &Context, raw: &[u8], at: usize) -> bool {
    let missing = BEFORE.saturating_sub(at);
    let near: Vec<u8> = context.last(missing).chain(before(raw, at).iter().copied()).collect();
    begins_behind(&near)
}

/// Whether it may begin at `at` of `raw`, asked the plain way.
pub(crate) fn begins(raw: &[u8], at: usize) -> bool {
    heads().any(|head| raw[at..].starts_with(&head)) && begins_behind(before(raw, at))
}
