//! Luhn's check digit (ISO/IEC 7812-1, annex B; US patent 2,950,048).

/// Whether the digits of `value`, what separates their groups aside, carry a valid check
/// digit. Needs at least two digits, and nothing but digits and separators.
pub fn accepts(value: &[u8]) -> bool {
    let mut sum = 0_u32;
    let mut count = 0_usize;
    for &byte in value.iter().rev() {
        match byte {
            b'0'..=b'9' => {
                sum += weighted(u32::from(byte - b'0'), count % 2 == 1);
                sum %= 10;
                count += 1;
            }
            b' ' | b'-' | b'.' | b'_' => {}
            _ => return false,
        }
    }
    count >= 2 && sum == 0
}

/// Every second digit from the right is doubled; of two digits the sum counts.
fn weighted(digit: u32, doubled: bool) -> u32 {
    match (doubled, digit) {
        (false, _) => digit,
        (true, 0..=4) => digit * 2,
        (true, _) => digit * 2 - 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_examples_are_accepted() {
        for value in
            ["79927398713", "4111 1111 1111 1111", "3782-822463-10005", "4111.1111_1111.1111", "18", "0000000000"]
        {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn wrong_check_digits_and_other_characters_are_refused() {
        for value in ["79927398710", "4111111111111112", "", "0", "4111a111", "4111.1111"] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn exactly_one_last_digit_fits(stem in "[0-9]{1,30}") {
            let fits = (0..10).filter(|digit| accepts(format!("{stem}{digit}").as_bytes())).count();
            prop_assert_eq!(fits, 1);
        }
    }
}
