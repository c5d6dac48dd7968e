//! Turkish identification numbers: eleven digits, the first no zero, the last
//! two check digits modulo 10. The General Directorate of Civil Registration says
//! that the last two follow from the first nine, and gives the way to whom it
//! concerns; worked examples are in
//! <https://matemacik.blogspot.com/2020/03/tc-kimlik-numaras.html>.

use super::digits::digits;

/// Whether `value` is such a number.
pub fn accepts(value: &[u8]) -> bool {
    let Some(digits) = digits::<11>(value).map(|digits| digits.map(u32::from)) else { return false };
    let every_second = |from: usize| digits[from..9].iter().step_by(2).sum::<u32>();
    // Less than the sum would be below zero without the ninety.
    let tenth = (every_second(0) * 7 + 90 - every_second(1)) % 10;
    let eleventh = digits[..10].iter().sum::<u32>() % 10;
    digits[0] != 0 && digits[9..] == [tenth, eleventh]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["10000000146", "76543210794"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["10000000147", "10000000156", "00000000000", "1000000014", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
