//! The checksum in GitHub's tokens: the last six characters are the CRC-32 of
//! the characters between the prefix and them, in base 62 (digits, upper case,
//! lower case) and padded on the left with zeros.
//!
//! Published in prose: "Behind GitHub's new authentication token formats"
//! (<https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>);
//! npm announced the same for `npm_` tokens.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM: usize = 6;

/// Whether the token's checksum holds. Fine-grained tokens (`github_pat_`) are
/// accepted as they are: how theirs is computed is not published.
pub fn accepts(token: &[u8]) -> bool {
    if token.starts_with(b"github_pat_") {
        return true;
    }
    let Some(underscore) = token.iter().position(|&byte| byte == b'_') else { return false };
    let body = token.get(underscore + 1..).unwrap_or_default();
    let Some(split) = body.len().checked_sub(CHECKSUM) else { return false };
    let (random, checksum) = body.split_at(split);
    !random.is_empty() && body.iter().all(u8::is_ascii_alphanumeric) && checksum == base62(crc32(random))
}

/// Six digits hold any 32-bit number, since 62^6 > 2^32.
fn base62(mut number: u32) -> [u8; CHECKSUM] {
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits
}

/// CRC-32 as in ISO 3309 (gzip, PNG), bit by bit: tokens are short and rare.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc_of_the_standard_check_string() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn small_checksums_are_padded_on_the_left() {
        assert_eq!(&base62(0), b"000000");
        assert_eq!(&base62(61), b"00000z");
        assert_eq!(&base62(62), b"000010");
    }

    #[test]
    fn other_shapes_are_refused() {
        for token in ["", "ghp", "ghp_", "ghp_000000", "ghp_abcde", "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(!accepts(token.as_bytes()), "{token}");
        }
    }

    #[test]
    fn fine_grained_tokens_are_not_judged() {
        assert!(accepts(b"github_pat_11AAAAAAA0abcdefghijkl_0123456789"));
    }

    proptest! {
        #[test]
        fn a_token_with_its_checksum_is_accepted_and_a_changed_one_is_not(
            prefix in "gh[pousr]|npm", random in "[0-9A-Za-z]{30}", at in 0_usize..30,
        ) {
            let checksum = base62(crc32(random.as_bytes()));
            let mut token = format!("{prefix}_{random}").into_bytes();
            token.extend(checksum);
            prop_assert!(accepts(&token));
            let index = prefix.len() + 1 + at;
            token[index] = if token[index] == b'a' { b'b' } else { b'a' };
            prop_assert!(!accepts(&token));
        }
    }
}
