//! Numbers written as digits, and what most check digits are made of.

/// The digits of `value`, when it holds `N` of them and nothing else but
/// separators.
pub(super) fn digits<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    let mut digits = [0; N];
    let mut count = 0;
    for &byte in value {
        match byte {
            b'0'..=b'9' => {
                *digits.get_mut(count)? = byte - b'0';
                count += 1;
            }
            b' ' | b'-' | b'.' | b'/' | b':' | b'+' => {}
            _ => return None,
        }
    }
    (count == N).then_some(digits)
}

/// The sum of the digits, each times its weight.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(&digit, weight)| u32::from(digit) * weight).sum()
}

/// The sum of the digits of the products: what Luhn's check digit and its
/// relatives add up.
pub(super) fn crossed(digits: impl Iterator<Item = u8>, weights: &[u32]) -> u32 {
    digits
        .zip(weights)
        .map(|(digit, weight)| u32::from(digit) * weight)
        .map(|product| product / 10 + product % 10)
        .sum()
}

/// A letter as two digits, A as 01 and Z as 26.
pub(super) fn ordinal(letter: u8) -> Option<[u8; 2]> {
    let ordinal = letter.is_ascii_alphabetic().then(|| letter.to_ascii_uppercase() - b'A' + 1)?;
    Some([ordinal / 10, ordinal % 10])
}

/// Whether there is a day of that number, in a month of that number.
pub(super) fn is_day(day: u8, month: u8) -> bool {
    (1..=31).contains(&day) && (1..=12).contains(&month)
}

/// The number of two digits.
pub(super) fn pair(digits: &[u8], at: usize) -> u8 {
    match digits.get(at..at + 2) {
        Some(&[tens, ones]) => tens.saturating_mul(10).saturating_add(ones),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_do_not_count_and_other_characters_are_refused() {
        assert_eq!(digits::<4>(b"12-3 4"), Some([1, 2, 3, 4]));
        for value in ["123", "12345", "12a4", ""] {
            assert_eq!(digits::<4>(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn letters_are_numbered_from_one() {
        assert_eq!((ordinal(b'A'), ordinal(b'z'), ordinal(b'1')), (Some([0, 1]), Some([2, 6]), None));
    }
}
