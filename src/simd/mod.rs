//! Byte classes of 64-byte blocks as bit masks: bit `i` of a mask tells
//! whether byte `i` of the block is in the class.
//!
//! [`each_block`] picks AVX2 where the processor has it; [`scalar`] is the
//! portable twin, and the oracle that the properties hold AVX2 to.

#![allow(unsafe_code, reason = "vector loads; each block argues its soundness")]

#[cfg(target_arch = "x86_64")]
mod avx2;
pub mod scalar;

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
    /// What separates the groups of a number: space, `-`, `.`
    pub separator: u64,
    /// `)`
    pub close: u64,
    /// `A` to `Z`
    pub upper: u64,
    /// `u`, the letter of a JSON escape by code point.
    pub letter_u: u64,
}

/// Calls `each` with the masks of every block of `data`, in order. A last
/// partial block is filled up with zero bytes.
///
/// The masks are handed over in registers: storing them first would take more
/// than a byte of memory traffic for every byte of data.
#[inline]
pub fn each_block(data: &[u8], each: impl FnMut(Masks)) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_available() {
        // SAFETY: the processor has what the function needs, as just checked.
        unsafe { avx2::each_block(data, each) };
        return;
    }
    scalar::each_block(data, each);
}

/// Calls `each` with every block of `data`, the last one filled up with zeros.
#[inline(always)]
fn blocks(data: &[u8], mut each: impl FnMut(&[u8; BLOCK])) {
    let (whole, rest) = data.as_chunks::<BLOCK>();
    for block in whole {
        each(block);
    }
    if !rest.is_empty() {
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        each(&last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both(data: &[u8]) -> (Vec<Masks>, Vec<Masks>) {
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        each_block(data, |masks| fast.push(masks));
        scalar::each_block(data, |masks| slow.push(masks));
        (fast, slow)
    }

    proptest! {
        #[test]
        fn the_vector_code_equals_its_scalar_twin(data in prop::collection::vec(any::<u8>(), 0..400)) {
            let (fast, slow) = both(&data);
            prop_assert_eq!(fast, slow);
        }
    }

    #[test]
    fn every_byte_value_is_classed_alike() {
        let data: Vec<u8> = (0..=255).collect();
        let (fast, slow) = both(&data);
        assert_eq!(fast, slow);
        assert_eq!(slow.iter().map(|masks| masks.digit.count_ones()).sum::<u32>(), 10);
        assert_eq!(slow.iter().map(|masks| masks.upper.count_ones()).sum::<u32>(), 26);
    }
}
