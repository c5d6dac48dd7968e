//! Australian company numbers: eight digits, weighted 8 to 1, and a check digit
//! modulo 10 (Australian Securities and Investments Commission, "Australian
//! company number digit check").

use super::digits::{digits, weighted};

const WEIGHTS: [u32; 8] = [8, 7, 6, 5, 4, 3, 2, 1];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    digits::<9>(value).is_some_and(|digits| (weighted(&digits, &WEIGHTS) + u32::from(digits[8])).is_multiple_of(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["000 000 019", "004085616", "010 499 966"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["000 000 018", "00000001", "0000000190", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
