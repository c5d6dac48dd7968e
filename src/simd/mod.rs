//! Byte classes of 64-byte blocks as bit masks: bit `i` of a mask tells
//! whether byte `i` of the block is in the class.
//!
//! [`classify`] picks AVX2 where the processor has it; [`scalar`] is the
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

/// The masks of `data`, block by block, into `out`, which is cleared first.
/// A last partial block is filled up with zero bytes.
pub fn classify(data: &[u8], out: &mut Vec<Masks>) {
    out.clear();
    out.reserve(data.len().div_ceil(BLOCK));
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as just checked.
        unsafe { avx2::classify(data, out) };
        return;
    }
    scalar::classify(data, out);
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

    proptest! {
        #[test]
        fn the_vector_code_equals_its_scalar_twin(data in prop::collection::vec(any::<u8>(), 0..400)) {
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            classify(&data, &mut fast);
            scalar::classify(&data, &mut slow);
            prop_assert_eq!(fast, slow);
        }
    }

    #[test]
    fn every_byte_value_is_classed_alike() {
        let data: Vec<u8> = (0..=255).collect();
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        classify(&data, &mut fast);
        scalar::classify(&data, &mut slow);
        assert_eq!(fast, slow);
        assert_eq!(slow.iter().map(|masks| masks.digit.count_ones()).sum::<u32>(), 10);
        assert_eq!(slow.iter().map(|masks| masks.upper.count_ones()).sum::<u32>(), 26);
    }
}
