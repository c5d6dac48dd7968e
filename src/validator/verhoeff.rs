//! Verhoeff's check digit, of the numbers of India's Aadhaar (UIDAI): J.
//! Verhoeff, "Error Detecting Decimal Codes", Mathematical Centre Tracts 29
//! (1969).

/// The permutation of the first place; that of place n is it applied n times.
const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];

/// The product in the dihedral group of order ten.
fn product(a: u8, b: u8) -> u8 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// Whether the digits of `value`, separators aside, carry a valid check digit.
/// Needs at least two digits, and nothing but digits and separators.
pub fn accepts(value: &[u8]) -> bool {
    let (mut check, mut count) = (0, 0_usize);
    for &byte in value.iter().rev() {
        match byte {
            b'0'..=b'9' => {
                let permuted = (0..count % 8).fold(byte - b'0', |digit, _| PERMUTATION[usize::from(digit)]);
                check = product(check, permuted);
                count += 1;
            }
            b' ' | b'-' | b':' => {}
            _ => return false,
        }
    }
    count >= 2 && check == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_published_example_is_accepted() {
        assert!(accepts(b"2363") && accepts(b"142857 0"));
        assert!(!accepts(b"2364") && !accepts(b"236x") && !accepts(b"0"));
    }

    proptest! {
        #[test]
        fn exactly_one_last_digit_fits(stem in "[0-9]{1,30}") {
            let fits = (0..10).filter(|digit| accepts(format!("{stem}{digit}").as_bytes())).count();
            prop_assert_eq!(fits, 1);
        }

        /// The reason for which it was made.
        #[test]
        fn neighbours_that_change_places_are_seen(stem in "[0-9]{2,30}", at in 0_usize..28) {
            let check = (0..10).map(|digit| format!("{stem}{digit}")).find(|value| accepts(value.as_bytes()));
            let mut value = check.expect("some digit fits").into_bytes();
            let at = at % (value.len() - 1);
            prop_assume!(value[at] != value[at + 1]);
            value.swap(at, at + 1);
            prop_assert!(!accepts(&value));
        }
    }
}
