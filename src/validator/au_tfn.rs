//! Australian tax file numbers of nine digits: weighted, they add up to a
//! multiple of 11 (Australian Taxation Office, record specifications for
//! software developers).

use super::digits::{digits, weighted};

const WEIGHTS: [u32; 9] = [1, 4, 3, 7, 5, 8, 6, 9, 10];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    digits::<9>(value).is_some_and(|digits| digits != [0; 9] && weighted(&digits, &WEIGHTS).is_multiple_of(11))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["123 456 782", "123456782"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["123456789", "000000000", "12345678", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
