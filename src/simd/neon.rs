//! 64 bytes as four NEON registers: a compare per class, and pairwise sums that
//! gather a bit of each byte.

use super::{BATCH, BLOCK, FOLD_LEADS, Masks, each_by};
use std::arch::aarch64::{
    uint8x16_t, vaddq_u8, vandq_u8, vceqq_u8, vcltq_u8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vorrq_u8, vpaddq_u8,
    vreinterpretq_u64_u8,
};

/// Whether the processor has what [`each_block`] needs: all of 64 bits do.
#[inline]
pub(super) fn is_available() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

/// As [`super::each_block`].
#[target_feature(enable = "neon")]
pub(super) fn each_block<S>(data: &[u8], state: S, each: impl FnMut(&mut S, &Masks)) -> S {
    each_by(data, state, each, |blocks, out| classify(blocks, out))
}

/// Not inlined: as in the code for AVX2.
#[target_feature(enable = "neon")]
#[inline(never)]
fn classify(blocks: &[[u8; BLOCK]], out: &mut [Masks; BATCH]) {
    for (block, out) in blocks.iter().zip(out) {
        *out = masks(block);
    }
}

type Quarters = [uint8x16_t; 4];

#[target_feature(enable = "neon")]
#[inline]
fn masks(block: &[u8; BLOCK]) -> Masks {
    let quarters = load(block);
    let punctuation = or(equal(quarters, b'-'), equal(quarters, b'.'));
    let (plus, digit) = (equal(quarters, b'+'), within(quarters, b'0', 10));
    let small = lower(quarters);
    let word = or(or(within(small, b'a', 26), digit), equal(quarters, b'_'));
    Masks {
        quote: bits(equal(quarters, b'"')),
        backslash: bits(equal(quarters, b'\\')),
        newline: bits(equal(quarters, b'\n')),
        at: bits(equal(quarters, b'@')),
        plus: bits(plus),
        percent: bits(equal(quarters, b'%')),
        digit: bits(digit),
        zero: bits(equal(quarters, b'0')),
        separator: bits(or(punctuation, equal(quarters, b' '))),
        upper: bits(within(quarters, b'A', 26)),
        word: bits(word),
        token: bits(or(or(word, punctuation), or(plus, equal(quarters, b'=')))),
        code_letter: bits(or(equal(small, b'u'), equal(small, b'x'))),
        fold_lead: fold_lead(quarters),
    }
}

/// Most text is ASCII.
#[target_feature(enable = "neon")]
#[inline]
fn fold_lead(quarters: Quarters) -> u64 {
    if bits(within(quarters, 0x80, 0x80)) == 0 {
        return 0;
    }
    FOLD_LEADS.iter().fold(0, |found, &lead| found | bits(equal(quarters, lead)))
}

#[target_feature(enable = "neon")]
#[inline]
fn load(block: &[u8; BLOCK]) -> Quarters {
    let first = block.as_ptr();
    // SAFETY: the four unaligned loads of 16 bytes lie within the 64 of the block.
    unsafe { [vld1q_u8(first), vld1q_u8(first.add(16)), vld1q_u8(first.add(32)), vld1q_u8(first.add(48))] }
}

#[target_feature(enable = "neon")]
#[inline]
fn equal(quarters: Quarters, byte: u8) -> Quarters {
    let wanted = vdupq_n_u8(byte);
    each(quarters, |quarter| vceqq_u8(quarter, wanted))
}

/// Whether `first <= byte < first + number`: shifted so that the range starts
/// at zero, one compare tells.
#[target_feature(enable = "neon")]
#[inline]
fn within(quarters: Quarters, first: u8, number: u8) -> Quarters {
    let (shift, limit) = (vdupq_n_u8(first.wrapping_neg()), vdupq_n_u8(number));
    each(quarters, |quarter| vcltq_u8(vaddq_u8(quarter, shift), limit))
}

/// With capitals turned into small letters, and other bytes into others that
/// are no small letters.
#[target_feature(enable = "neon")]
#[inline]
fn lower(quarters: Quarters) -> Quarters {
    let bit = vdupq_n_u8(0x20);
    each(quarters, |quarter| vorrq_u8(quarter, bit))
}

#[target_feature(enable = "neon")]
#[inline]
fn or(a: Quarters, b: Quarters) -> Quarters {
    [vorrq_u8(a[0], b[0]), vorrq_u8(a[1], b[1]), vorrq_u8(a[2], b[2]), vorrq_u8(a[3], b[3])]
}

#[inline(always)]
fn each(quarters: Quarters, of: impl Fn(uint8x16_t) -> uint8x16_t) -> Quarters {
    [of(quarters[0]), of(quarters[1]), of(quarters[2]), of(quarters[3])]
}

/// Byte `i` of a register keeps bit `i % 8`: three times pairs are added up,
/// and eight bytes have become one.
#[target_feature(enable = "neon")]
#[inline]
fn bits(quarters: Quarters) -> u64 {
    let places = load_places();
    let kept = each(quarters, |quarter| vandq_u8(quarter, places));
    let eighths = vpaddq_u8(vpaddq_u8(kept[0], kept[1]), vpaddq_u8(kept[2], kept[3]));
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(eighths, eighths)))
}

#[target_feature(enable = "neon")]
#[inline]
fn load_places() -> uint8x16_t {
    const PLACES: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    // SAFETY: the array holds the 16 bytes that are loaded.
    unsafe { vld1q_u8(PLACES.as_ptr()) }
}
