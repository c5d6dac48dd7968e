//! NHS numbers: ten digits, the last by the weighted sum modulo 11
//! (<https://www.datadictionary.nhs.uk/attributes/nhs_number.html>).

use super::digits::{digits, weighted};

const WEIGHTS: [u32; 10] = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    digits::<10>(value).is_some_and(|digits| digits != [0; 10] && weighted(&digits, &WEIGHTS).is_multiple_of(11))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["943 476 5919", "9434765919", "401-023-2137"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["943 476 5918", "0000000000", "943476591", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
