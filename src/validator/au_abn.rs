//! Australian business numbers: eleven digits, of which the first less one and
//! the others, weighted, add up to a multiple of 89
//! (<https://abr.business.gov.au/Help/AbnFormat>).

use super::digits::{digits, weighted};

const WEIGHTS: [u32; 11] = [10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    // One less in the first place is ten less in the sum.
    digits::<11>(value).is_some_and(|digits| digits[0] > 0 && (weighted(&digits, &WEIGHTS) - 10).is_multiple_of(89))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["51 824 753 556", "51824753556"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["51824753557", "5182475355", "00000000000", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
