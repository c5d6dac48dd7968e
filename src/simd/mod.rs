//! Byte classes of 64-byte blocks as bit masks: bit `i` of a mask tells
//! whether byte `i` of the block is in the class.
//!
//! [`each_block`] picks AVX-512, AVX2 or NEON where the processor has it;
//! [`scalar`] is the portable twin, and the oracle that the properties hold the
//! others to.

#![allow(unsafe_code, reason = "vector loads; each block argues its soundness")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
pub mod scalar;
#[cfg(target_arch = "x86_64")]
use avx2 as vector;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
use neon as vector;

/// Bytes per block.
pub const BLOCK: usize = 64;

/// The classes of one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// `"`
    pub quote: u64,
    /// `\`
    pub backslash: u64,
    /// Line feed.
    pub newline: u64,
    /// `@`
    pub at: u64,
    /// `+`
    pub plus: u64,
    /// `%`
    pub percent: u64,
    /// `0` to `9`
    pub digit: u64,
    /// `0`
    pub zero: u64,
    /// What separates the groups of a number: space, `-`, `.`
    pub separator: u64,
    /// `A` to `Z`
    pub upper: u64,
    /// Letters, digits and `_`: what words are made of.
    pub word: u64,
    /// Those and `-`, `.`, `+`, `=`: what most tokens are made of.
    pub token: u64,
    /// `u`, `U`, `x` and `X`: the letter of an escape by code point.
    pub code_letter: u64,
    /// Bytes that begin characters without width, and digits and signs of other
    /// forms, in UTF-8.
    pub fold_lead: u64,
}

/// What [`Masks::fold_lead`] marks.
pub(crate) const FOLD_LEADS: [u8; 10] = [0xc2, 0xcd, 0xd8, 0xd9, 0xdb, 0xe0, 0xe1, 0xe2, 0xef, 0xf3];

/// Blocks that are classed at a time, before they are handed over.
const BATCH: usize = 16;

/// Calls `each` with the masks of every block of `data`, in order, and a state
/// that goes from block to block; what that is at the end. A last partial
/// block is filled up with zero bytes.
///
/// The masks of [`BATCH`] blocks are stored at a time: few enough to stay in
/// the first-level cache, and enough for the vector code to run by itself,
/// with no register taken by the caller's.
#[inline]
pub fn each_block<S>(data: &[u8], state: S, each: impl FnMut(&mut S, &Masks)) -> S {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_available() {
        // SAFETY: the processor has what the function needs, as just checked.
        return unsafe { avx512::each_block(data, state, each) };
    }
    #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
    if vector::is_available() {
        // SAFETY: the processor has what the function needs, as just checked.
        return unsafe { vector::each_block(data, state, each) };
    }
    scalar::each_block(data, state, each)
}

/// [`each_block`] by the `classify` of an instruction set.
#[inline(always)]
fn each_by<S>(
    data: &[u8],
    mut state: S,
    mut each: impl FnMut(&mut S, &Masks),
    classify: impl Fn(&[[u8; BLOCK]], &mut [Masks; BATCH]),
) -> S {
    let mut masks = [Masks::default(); BATCH];
    let (whole, rest) = data.as_chunks::<BLOCK>();
    for batch in whole.chunks(BATCH) {
        classify(batch, &mut masks);
        masks.iter().take(batch.len()).for_each(|masks| each(&mut state, masks));
    }
    if !rest.is_empty() {
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        classify(&[last], &mut masks);
        each(&mut state, &masks[0]);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An instruction set's way, where the processor has it.
    type Way = fn(&[u8], &mut Vec<Masks>);

    fn ways() -> Vec<(&'static str, Way)> {
        let mut ways: Vec<(&'static str, Way)> = vec![("chosen", |data, out| {
            each_block(data, (), |(), masks| out.push(*masks));
        })];
        #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
        if vector::is_available() {
            ways.push(("vector", |data, out| {
                // SAFETY: the processor has what the function needs, as just checked.
                unsafe { vector::each_block(data, (), |(), masks| out.push(*masks)) };
            }));
        }
        #[cfg(target_arch = "x86_64")]
        if avx512::is_available() {
            ways.push(("avx512", |data, out| {
                // SAFETY: the processor has what the function needs, as just checked.
                unsafe { avx512::each_block(data, (), |(), masks| out.push(*masks)) };
            }));
        }
        ways
    }

    fn scalar(data: &[u8]) -> Vec<Masks> {
        let mut masks = Vec::new();
        scalar::each_block(data, (), |(), block| masks.push(*block));
        masks
    }

    fn assert_alike(data: &[u8], what: &str) {
        let wanted = scalar(data);
        for (name, way) in ways() {
            let mut found = Vec::new();
            way(data, &mut found);
            assert_eq!(found, wanted, "{name}: {what}");
        }
    }

    proptest! {
        #[test]
        fn the_vector_code_equals_its_scalar_twin(data in prop::collection::vec(any::<u8>(), 0..3000)) {
            assert_alike(&data, "some bytes");
        }
    }

    /// So no lane of a vector differs from the others.
    #[test]
    fn every_byte_value_is_classed_alike_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..2 * BLOCK {
                let mut data = [b'!'; 2 * BLOCK];
                data[at] = byte;
                assert_alike(&data, &format!("{byte} at {at}"));
            }
        }
    }

    /// Whatever the alignment, nothing beside the data is looked at.
    #[test]
    fn a_part_of_some_data_is_classed_as_if_it_stood_alone() {
        let data: Vec<u8> = (0..=u8::MAX).cycle().take(5 * BLOCK).collect();
        for start in 0..=BLOCK {
            for end in start..data.len() {
                assert_alike(&data[start..end], &format!("{start}..{end}"));
            }
        }
    }

    #[test]
    fn the_classes_hold_what_they_say() {
        type Class = (fn(&Masks) -> u64, fn(u8) -> bool);
        let classes: [Class; 14] = [
            (|masks| masks.quote, |byte| byte == b'"'),
            (|masks| masks.backslash, |byte| byte == b'\\'),
            (|masks| masks.newline, |byte| byte == b'\n'),
            (|masks| masks.at, |byte| byte == b'@'),
            (|masks| masks.plus, |byte| byte == b'+'),
            (|masks| masks.percent, |byte| byte == b'%'),
            (|masks| masks.digit, |byte| byte.is_ascii_digit()),
            (|masks| masks.separator, |byte| b" -.".contains(&byte)),
            (|masks| masks.upper, |byte| byte.is_ascii_uppercase()),
            (|masks| masks.word, |byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            (|masks| masks.token, |byte| byte.is_ascii_alphanumeric() || b"_-.+=".contains(&byte)),
            (|masks| masks.zero, |byte| byte == b'0'),
            (|masks| masks.code_letter, |byte| b"uUxX".contains(&byte)),
            (|masks| masks.fold_lead, |byte| FOLD_LEADS.contains(&byte)),
        ];
        let data: Vec<u8> = (0..=u8::MAX).collect();
        let masks = scalar(&data);
        for (number, (mask, holds)) in classes.iter().enumerate() {
            for byte in 0..=u8::MAX {
                let bit = mask(&masks[usize::from(byte) / BLOCK]) >> (usize::from(byte) % BLOCK) & 1;
                assert_eq!(bit == 1, holds(byte), "class {number}, byte {byte}");
            }
        }
    }
}
