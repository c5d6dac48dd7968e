//! German health insurance numbers (Krankenversichertennummer): a letter, eight
//! digits, a check digit (guideline on the number of section 290 SGB V,
//! <https://www.gkv-datenaustausch.de/kvnr/kvnr.jsp>; worked examples in
//! <https://de.wikipedia.org/wiki/Krankenversichertennummer>).

use super::digits::{crossed, digits, ordinal};

const WEIGHTS: [u32; 10] = [1, 2, 1, 2, 1, 2, 1, 2, 1, 2];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    let Some((&letter, rest)) = value.split_first() else { return false };
    let (Some(letter), Some(rest)) = (ordinal(letter), digits::<9>(rest)) else { return false };
    crossed(letter.into_iter().chain(rest), &WEIGHTS) % 10 == u32::from(rest[8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["A000500015", "C000500021", "a000500015"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["A000500016", "A00050001", "1000500015", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
