//! Addresses of Ethereum and its relatives whose letters are upper case where
//! the Keccak-256 of their text says so (EIP-55,
//! <https://eips.ethereum.org/EIPS/eip-55>).

use super::keccak;

/// Whether `value`, `0x` and 40 hex digits, has such a checksum. Without letters
/// of both cases it has none.
pub fn accepts(value: &[u8]) -> bool {
    let Some(Ok(digits)) = value.strip_prefix(b"0x").map(<[u8; 40]>::try_from) else { return false };
    let hash = keccak::digest(&digits.map(|byte| byte.to_ascii_lowercase()));
    let is_upper = |index: usize| hash[index / 2] >> (4 * (1 - index % 2)) & 8 != 0;
    let is_right = |(index, byte): (usize, &u8)| match byte {
        b'0'..=b'9' => true,
        b'A'..=b'F' => is_upper(index),
        b'a'..=b'f' => !is_upper(index),
        _ => false,
    };
    let has_both = digits.iter().any(u8::is_ascii_uppercase) && digits.iter().any(u8::is_ascii_lowercase);
    has_both && digits.iter().enumerate().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "",
        ] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
