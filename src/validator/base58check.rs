//! Wallet addresses in base 58 with a checksum: a version byte, 20 bytes of a
//! hash, and the first four bytes of their double SHA-256
//! (<https://en.bitcoin.it/wiki/Base58Check_encoding>). Versions: Bitcoin 0 and 5,
//! its test network 111 and 196, Litecoin 48 and 50, Dogecoin 30 and 22, Dash 76
//! and 16, Tron 65. The XRP Ledger has its digits in another order
//! (<https://xrpl.org/docs/references/protocol/data-types/base58-encodings>).

use sha2::{Digest, Sha256};

const BITCOIN: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const RIPPLE: &[u8; 58] = b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";
const VERSIONS: [u8; 11] = [0, 5, 16, 22, 30, 48, 50, 65, 76, 111, 196];
const SIZE: usize = 25;
const CHECKED: usize = 21;
/// 58^36 is more than 256^25.
const LONGEST: usize = 36;

/// Whether `value` is such an address.
pub fn accepts(value: &[u8]) -> bool {
    let is_right = |alphabet, versions: &[u8]| {
        decode(value, alphabet).is_some_and(|bytes| versions.contains(&bytes[0]) && has_checksum(&bytes))
    };
    is_right(BITCOIN, &VERSIONS) || value.starts_with(b"r") && is_right(RIPPLE, &[0])
}

fn has_checksum(bytes: &[u8; SIZE]) -> bool {
    let (checked, checksum) = bytes.split_at(CHECKED);
    Sha256::digest(Sha256::digest(checked)).starts_with(checksum)
}

/// The number that `value` writes, when its zeros in front are as many in both.
fn decode(value: &[u8], alphabet: &[u8; 58]) -> Option<[u8; SIZE]> {
    if value.len() > LONGEST {
        return None;
    }
    let mut bytes = [0_u8; SIZE];
    for digit in value {
        let mut carry = alphabet.iter().position(|known| known == digit)?;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        if carry > 0 {
            return None;
        }
    }
    let zeros = |text: &[u8], zero: u8| text.iter().take_while(|&&byte| byte == zero).count();
    (zeros(value, alphabet[0]) == zeros(&bytes, 0)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in [
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
        ] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in [
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
            "11A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a",
            "11111111111111111111111111111111",
            "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
            "",
        ] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
