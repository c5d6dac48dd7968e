//! Finnish personal identity codes: date of birth, sign of the century, serial
//! number, and a character by the remainder modulo 31 (Digital and Population
//! Data Services Agency, <https://dvv.fi/en/personal-identity-code>).

use super::digits::{digits, is_day, pair};

const CHECKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";

/// Whether `value` is such a code.
pub fn accepts(value: &[u8]) -> bool {
    let [date @ .., sign, a, b, c, check] = value else { return false };
    let (Some(date), Some(serial)) = (digits::<6>(date), digits::<3>(&[*a, *b, *c])) else { return false };
    let number = date.iter().chain(&serial).fold(0, |number, &digit| number * 10 + usize::from(digit));
    let century = matches!(sign.to_ascii_uppercase(), b'+' | b'-' | b'U'..=b'Y' | b'A'..=b'F');
    century && is_day(pair(&date, 0), pair(&date, 2)) && CHECKS[number % CHECKS.len()] == check.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["131052-308T", "010594Y9032", "131052a308t"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["131052-308U", "131052G308T", "331052-308T", "131352-308T", "131052308T", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
