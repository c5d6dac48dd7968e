//! Australian Medicare card numbers: ten digits, the ninth a check digit modulo
//! 10 over the first eight, or eleven with the person's number on the card
//! (<https://meteor.aihw.gov.au/content/270101>).

use super::digits::{digits, weighted};

const WEIGHTS: [u32; 8] = [1, 3, 7, 9, 1, 3, 7, 9];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    let digits = digits::<10>(value).or_else(|| digits::<11>(value)?.first_chunk().copied());
    digits
        .is_some_and(|digits| (2..=6).contains(&digits[0]) && weighted(&digits, &WEIGHTS) % 10 == u32::from(digits[8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["2123 45670 1", "2123456701", "21234567012"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["2123 45680 1", "1123456701", "212345670", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
