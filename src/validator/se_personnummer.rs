//! Swedish personal identity numbers: date of birth with or without its
//! century, serial number, Luhn's check digit over the ten last digits
//! (Skatteverket, <https://www.skatteverket.se/privat/folkbokforing/personnummer.4.3810a01c150939e893f18c29.html>).
//! Coordination numbers are written the same way, with 60 more for the day.

use super::digits::{digits, is_day, pair};
use super::luhn;

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    let digits = match digits::<12>(value) {
        Some(long) if !matches!(long, [1, 8 | 9, ..] | [2, 0, ..]) => None,
        Some(long) => long.last_chunk().copied(),
        None => digits::<10>(value),
    };
    digits.is_some_and(|digits: [u8; 10]| {
        let day = pair(&digits, 4);
        is_day(if day > 60 { day - 60 } else { day }, pair(&digits, 2))
            && luhn::accepts(&digits.map(|digit| digit + b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["811228-9874", "19811228-9874", "198112289874", "811288-9871"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["811228-9875", "811328-9874", "21811228-9874", "81128-9874", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
