//! Singapore's identity card and foreign identification numbers: a letter of
//! the series, seven digits, and a letter by the weighted sum modulo 11. The
//! Immigration and Checkpoints Authority (<https://www.ica.gov.sg/>) publishes
//! the form; weights and letters are known from the literature on the scheme.

use super::digits::{digits, weighted};

const WEIGHTS: [u32; 7] = [2, 7, 6, 5, 4, 3, 2];

/// Whether `value`, in either case, is such a number.
pub fn accepts(value: &[u8]) -> bool {
    let [series, middle @ .., check] = value else { return false };
    let Some(digits) = digits::<7>(middle) else { return false };
    let (letters, more): (&[u8; 11], u32) = match series.to_ascii_uppercase() {
        b'S' => (b"JZIHGFEDCBA", 0),
        b'T' => (b"JZIHGFEDCBA", 4),
        b'F' => (b"XWUTRQPNMLK", 0),
        b'G' => (b"XWUTRQPNMLK", 4),
        b'M' => (b"XWUTRQPNJLK", 3),
        _ => return false,
    };
    let rest = (weighted(&digits, &WEIGHTS) + more) % 11;
    letters[rest as usize] == check.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["S1234567D", "T1234567J", "F1234567N", "G1234567X", "M1234567K", "s1234567d"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["S1234567E", "A1234567D", "S123456D", "S12345678", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
