//! 64 bytes as two AVX2 registers: a compare and a movemask per class.

use super::{BATCH, BLOCK, FOLD_LEADS, Masks, each_by};
use std::arch::x86_64::{
    __m256i, _mm256_add_epi8, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8,
};

/// Whether the processor has what [`each_block`] needs.
#[inline]
pub(super) fn is_available() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("bmi1") && has!("bmi2") && has!("popcnt")
}

/// As [`super::each_block`]. The bit manipulation sets are for the caller's
/// `each`, which is inlined here.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
pub(super) fn each_block<S>(data: &[u8], state: S, each: impl FnMut(&mut S, &Masks)) -> S {
    each_by(data, state, each, |blocks, out| classify(blocks, out))
}

/// Not inlined: the compiler would take the masks apart again to save shifts,
/// byte by byte.
#[target_feature(enable = "avx2")]
#[inline(never)]
fn classify(blocks: &[[u8; BLOCK]], out: &mut [Masks; BATCH]) {
    for (block, out) in blocks.iter().zip(out) {
        *out = masks(block);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn masks(block: &[u8; BLOCK]) -> Masks {
    let halves = load(block);
    let punctuation = or(equal(halves, b'-'), equal(halves, b'.'));
    let (plus, digit) = (equal(halves, b'+'), within(halves, b'0', 10));
    let small = lower(halves);
    let word = or(or(within(small, b'a', 26), digit), equal(halves, b'_'));
    Masks {
        quote: bits(equal(halves, b'"')),
        backslash: bits(equal(halves, b'\\')),
        newline: bits(equal(halves, b'\n')),
        at: bits(equal(halves, b'@')),
        plus: bits(plus),
        percent: bits(equal(halves, b'%')),
        digit: bits(digit),
        zero: bits(equal(halves, b'0')),
        separator: bits(or(punctuation, equal(halves, b' '))),
        upper: bits(within(halves, b'A', 26)),
        word: bits(word),
        token: bits(or(or(word, punctuation), or(plus, equal(halves, b'=')))),
        code_letter: bits(or(equal(small, b'u'), equal(small, b'x'))),
        fold_lead: fold_lead(halves),
    }
}

/// Most text is ASCII.
#[target_feature(enable = "avx2")]
#[inline]
fn fold_lead(halves: [__m256i; 2]) -> u64 {
    if bits(halves) == 0 {
        return 0;
    }
    FOLD_LEADS.iter().fold(0, |found, &lead| found | bits(equal(halves, lead)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(block: &[u8; BLOCK]) -> [__m256i; 2] {
    let first = block.as_ptr();
    // SAFETY: both unaligned loads of 32 bytes lie within the 64 of the block.
    unsafe { [_mm256_loadu_si256(first.cast()), _mm256_loadu_si256(first.add(32).cast())] }
}

#[target_feature(enable = "avx2")]
#[inline]
fn equal(halves: [__m256i; 2], byte: u8) -> [__m256i; 2] {
    let wanted = _mm256_set1_epi8(byte.cast_signed());
    [_mm256_cmpeq_epi8(halves[0], wanted), _mm256_cmpeq_epi8(halves[1], wanted)]
}

/// Whether `first <= byte < first + number`: shifted so that the range starts
/// at the least signed value, one signed compare tells.
#[target_feature(enable = "avx2")]
#[inline]
fn within(halves: [__m256i; 2], first: u8, number: u8) -> [__m256i; 2] {
    let shift = _mm256_set1_epi8(0x80_u8.wrapping_sub(first).cast_signed());
    let limit = _mm256_set1_epi8(0x80_u8.wrapping_add(number).cast_signed());
    [
        _mm256_cmpgt_epi8(limit, _mm256_add_epi8(halves[0], shift)),
        _mm256_cmpgt_epi8(limit, _mm256_add_epi8(halves[1], shift)),
    ]
}

/// With capitals turned into small letters, and other bytes into others that
/// are no small letters.
#[target_feature(enable = "avx2")]
#[inline]
fn lower(halves: [__m256i; 2]) -> [__m256i; 2] {
    let bit = _mm256_set1_epi8(0x20);
    [_mm256_or_si256(halves[0], bit), _mm256_or_si256(halves[1], bit)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn or(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
    [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])]
}

#[target_feature(enable = "avx2")]
#[inline]
fn bits(halves: [__m256i; 2]) -> u64 {
    let low = _mm256_movemask_epi8(halves[0]).cast_unsigned();
    let high = _mm256_movemask_epi8(halves[1]).cast_unsigned();
    u64::from(low) | u64::from(high) << 32
}
