//! Polish PESEL numbers: date of birth, with the century in the month, serial
//! number, and a check digit modulo 10 (Ministry of Digital Affairs,
//! <https://www.gov.pl/web/gov/czym-jest-numer-pesel>).

use super::digits::{digits, is_day, pair, weighted};

const WEIGHTS: [u32; 11] = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    digits::<11>(value).is_some_and(|digits| {
        is_day(pair(&digits, 4), pair(&digits, 2) % 20) && weighted(&digits, &WEIGHTS).is_multiple_of(10)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["44051401458", "44051401359", "02070803628"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["44051401459", "44131401458", "4405140145", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
