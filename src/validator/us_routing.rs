//! Routing numbers of US banks: nine digits whose weighted sum is a multiple of
//! ten, of the Federal Reserve's ranges (American Bankers Association,
//! <https://www.aba.com/about-us/routing-number>).

use super::digits::{digits, pair, weighted};

const WEIGHTS: [u32; 9] = [3, 7, 1, 3, 7, 1, 3, 7, 1];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    digits::<9>(value).is_some_and(|digits| {
        matches!(pair(&digits, 0), 1..=12 | 21..=32 | 61..=72 | 80) && weighted(&digits, &WEIGHTS).is_multiple_of(10)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["121000358", "0711-0130-7"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["121000359", "421042111", "12100035", "000000000", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
