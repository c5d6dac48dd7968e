//! The check digit modulo 11 and 10 of ISO/IEC 7064, hybrid system: German tax
//! ids (<https://www.bzst.de/DE/Privatpersonen/SteuerlicheIdentifikationsnummer/steuerlicheidentifikationsnummer_node.html>),
//! German VAT ids.

/// Whether the digits of `value`, spaces, dashes and slashes and a country's
/// letters in front aside, carry a valid check digit.
pub fn accepts(value: &[u8]) -> bool {
    let letters = value.iter().take(2).take_while(|byte| byte.is_ascii_uppercase()).count();
    let (mut rest, mut sum, mut count) = (10, 0, 0_usize);
    for &byte in &value[letters..] {
        match byte {
            b'0'..=b'9' => {
                sum = (u32::from(byte - b'0') + rest) % 10;
                rest = if sum == 0 { 9 } else { sum * 2 % 11 };
                count += 1;
            }
            b' ' | b'-' | b'/' => {}
            _ => return false,
        }
    }
    count >= 2 && sum == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_standard_is_accepted() {
        assert!(accepts(b"0794 5") && accepts(b"DE136695976"));
        assert!(!accepts(b"07946") && !accepts(b"DE136695977") && !accepts(b"DEX") && !accepts(b"1"));
    }

    proptest! {
        #[test]
        fn exactly_one_last_digit_fits(stem in "[0-9]{1,30}") {
            let fits = (0..10).filter(|digit| accepts(format!("{stem}{digit}").as_bytes())).count();
            prop_assert_eq!(fits, 1);
        }
    }
}
