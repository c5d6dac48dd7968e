//! 64 bytes as one AVX-512 register: a compare gives the mask of a class.

use super::{BATCH, BLOCK, FOLD_LEADS, Masks, each_by};
use std::arch::x86_64::{
    __m512i, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_movepi8_mask, _mm512_or_si512,
    _mm512_set1_epi8, _mm512_sub_epi8,
};

/// Whether the processor has what [`each_block`] needs.
#[inline]
pub(super) fn is_available() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f") && has!("avx512bw") && has!("bmi1") && has!("bmi2") && has!("popcnt")
}

/// As [`super::each_block`]. The bit manipulation sets are for the caller's
/// `each`, which is inlined here.
#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,popcnt")]
pub(super) fn each_block<S>(data: &[u8], state: S, each: impl FnMut(&mut S, &Masks)) -> S {
    each_by(data, state, each, |blocks, out| classify(blocks, out))
}

/// Not inlined, so that the caller's registers and these do not compete.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline(never)]
fn classify(blocks: &[[u8; BLOCK]], out: &mut [Masks; BATCH]) {
    for (block, out) in blocks.iter().zip(out) {
        *out = masks(block);
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn masks(block: &[u8; BLOCK]) -> Masks {
    // SAFETY: the unaligned load of 64 bytes reads the block and nothing else.
    let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    let punctuation = equal(bytes, b'-') | equal(bytes, b'.');
    let (plus, digit) = (equal(bytes, b'+'), within(bytes, b'0', 10));
    let small = _mm512_or_si512(bytes, all(0x20));
    let letter = within(small, b'a', 26);
    let word = letter | digit | equal(bytes, b'_');
    Masks {
        quote: equal(bytes, b'"'),
        backslash: equal(bytes, b'\\'),
        newline: equal(bytes, b'\n'),
        at: equal(bytes, b'@'),
        plus,
        percent: equal(bytes, b'%'),
        digit,
        zero: equal(bytes, b'0'),
        separator: punctuation | equal(bytes, b' '),
        upper: within(bytes, b'A', 26),
        word,
        token: word | punctuation | plus | equal(bytes, b'='),
        code_letter: equal(small, b'u') | equal(small, b'x'),
        fold_lead: fold_lead(bytes),
    }
}

/// Most text is ASCII.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn fold_lead(bytes: __m512i) -> u64 {
    if _mm512_movepi8_mask(bytes) == 0 {
        return 0;
    }
    FOLD_LEADS.iter().fold(0, |found, &lead| found | equal(bytes, lead))
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn all(byte: u8) -> __m512i {
    _mm512_set1_epi8(byte.cast_signed())
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn equal(bytes: __m512i, byte: u8) -> u64 {
    _mm512_cmpeq_epi8_mask(bytes, all(byte))
}

/// Whether `first <= byte < first + number`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn within(bytes: __m512i, first: u8, number: u8) -> u64 {
    _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bytes, all(first)), all(number))
}
