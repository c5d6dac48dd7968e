//! National provider identifiers of the US: Luhn's check digit over 80840, for
//! health in the US, and ten digits
//! (<https://www.cms.gov/Regulations-and-Guidance/Administrative-Simplification/NationalProvIdentStand/Downloads/NPIcheckdigit.pdf>).

use super::digits::digits;
use super::luhn;

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    digits::<10>(value).is_some_and(|digits| {
        let mut number = *b"808400000000000";
        number[5..].copy_from_slice(&digits.map(|digit| digit + b'0'));
        matches!(digits[0], 1 | 2) && luhn::accepts(&number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["1234567893", "1234-567-893"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["1234567890", "0234567893", "123456789", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
