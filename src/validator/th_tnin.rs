//! Thai identification numbers: thirteen digits, the last by the weighted sum
//! modulo 11. The Bureau of Registration Administration gives them out; the
//! meaning of each digit and the sum are in
//! <https://th.wikipedia.org/wiki/เลขประจำตัวประชาชนไทย>.

use super::digits::{digits, weighted};

const WEIGHTS: [u32; 12] = [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    digits::<13>(value)
        .is_some_and(|digits| digits[0] != 0 && (11 - weighted(&digits, &WEIGHTS) % 11) % 10 == u32::from(digits[12]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["1234567890121", "1-2345-67890-12-1"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["1234567890122", "0234567890121", "123456789012", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
