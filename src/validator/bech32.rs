//! Wallet addresses in base 32 with a checksum: a prefix, `1`, and characters of
//! five bits each, the last six of them a BCH code (BIP 173,
//! <https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki>, with another
//! constant in BIP 350).

const CHARACTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
/// Of BIP 173, and of BIP 350.
const CONSTANTS: [u32; 2] = [1, 0x2bc8_30a3];
const CHECKSUM: usize = 6;

/// Whether `value`, all in one case, is such an address.
pub fn accepts(value: &[u8]) -> bool {
    let mixed = value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
    let Some(split) = value.iter().rposition(|&byte| byte == b'1') else { return false };
    let (prefix, data) = (&value[..split], &value[split + 1..]);
    if mixed || prefix.is_empty() || data.len() <= CHECKSUM {
        return false;
    }
    let prefix = prefix.iter().map(|byte| u32::from(byte.to_ascii_lowercase()));
    let sum = prefix.clone().map(|byte| byte >> 5).chain([0]).chain(prefix.map(|byte| byte & 31)).fold(1, step);
    let sum = data.iter().try_fold(sum, |sum, byte| {
        let value = CHARACTERS.iter().position(|known| *known == byte.to_ascii_lowercase())?;
        Some(step(sum, u32::try_from(value).ok()?))
    });
    sum.is_some_and(|sum| CONSTANTS.contains(&sum))
}

fn step(sum: u32, value: u32) -> u32 {
    let shifted = (sum & 0x01ff_ffff) << 5 ^ value;
    (0..5).filter(|bit| sum >> (25 + bit) & 1 == 1).fold(shifted, |sum, bit| sum ^ GENERATOR[bit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in [
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in [
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "Bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "bc1",
            "1qw508d6",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3tb",
            "",
        ] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
