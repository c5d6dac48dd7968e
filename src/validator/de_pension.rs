//! German pension insurance numbers: area, date of birth, first letter of the
//! name at birth, serial number, check digit (section 2 and the annex of the
//! Versicherungsnummernverordnung, <https://www.gesetze-im-internet.de/vkvv/>).

use super::digits::{crossed, digits, is_day, ordinal, pair};

const WEIGHTS: [u32; 12] = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];

/// Whether `value`, without separators or with single ones, is such a number.
pub fn accepts(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(u8::is_ascii_alphabetic) else { return false };
    let (head, tail) = (digits::<8>(&value[..at]), digits::<3>(&value[at + 1..]));
    let (Some(head), Some(letter), Some(tail)) = (head, ordinal(value[at]), tail) else { return false };
    let sum = crossed(head.into_iter().chain(letter).chain(tail), &WEIGHTS);
    // Of those who share a date the day goes on behind 31.
    let day = pair(&head, 2);
    is_day(if day > 50 { day - 50 } else { day }, pair(&head, 4)) && sum % 10 == u32::from(tail[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["15070649C103", "65 070803 A 019", "38551285K051"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["15070649C100", "15071349C103", "15000649C103", "15070649C10", "150706490103", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
