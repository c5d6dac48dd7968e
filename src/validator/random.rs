//! Whether a value looks drawn by a machine: a key, not a name with a number.
//!
//! Stricter than [`super::secret`], for rules whose context says little. Words
//! joined by dashes, versions, dates and file names change seldom between
//! letters and digits; random characters do so all the time.

use super::secret;

/// Fewest bytes of a random value.
const SHORTEST: usize = 14;
/// Bytes that decide; what follows does not change the verdict.
const LOOKED_AT: usize = 256;
/// Fewest digits, and fewest letters.
const FEWEST_OF_A_KIND: usize = 2;
/// Bytes for which one change between letters and digits, or between cases, is asked.
const STRETCH: usize = 4;

/// Whether `value` looks random: long, of letters and digits that alternate.
pub fn accepts(value: &[u8]) -> bool {
    let value = value.get(..LOOKED_AT).unwrap_or(value);
    if value.len() < SHORTEST || !secret::accepts(value) {
        return false;
    }
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    digits >= FEWEST_OF_A_KIND && letters >= FEWEST_OF_A_KIND && changes(value) * STRETCH >= value.len()
}

/// How often a letter or digit is followed by one of another kind.
fn changes(value: &[u8]) -> usize {
    let kind = |byte: &u8| match byte {
        b'0'..=b'9' => Some(0_u8),
        b'a'..=b'z' => Some(1),
        b'A'..=b'Z' => Some(2),
        _ => None,
    };
    value
        .windows(2)
        .filter(|pair| matches!((kind(&pair[0]), kind(&pair[1])), (Some(left), Some(right)) if left != right))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_random() {
        for value in [
            "c95708cbe31d6d6be37ce20e3f2513b1",
            "Kq3Zb81TxWv5Rn7YhLd0Pm",
            "aZ3-kQ9_vT6xR1mB8nW2",
            "q8f1o2m3n4b5v6c7",
            "4B1C0F7E92D84A6FB35E81D0C29A7F64",
            "1c9f2d4e-5b7a-4c3d-a1e2-9f8b7c6d5e4f",
        ] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn names_versions_and_words_are_not() {
        for value in [
            "",
            "short1234",
            "user-service-v2-production",
            "2024-06-01T12:00:00Z",
            "getUserByIdentifier",
            "prefix/objects/2024/01/report.parquet",
            "correct-horse-battery-staple",
            "eu-west-1-cluster-0042",
            "gpt-4o-mini-2024-07-18",
            "claude-3-5-sonnet-20241022",
            "00000000000000000000",
            "com.example.cache.Handler",
            "<YOUR_API_KEY_GOES_HERE>",
        ] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
