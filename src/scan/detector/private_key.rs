//! Private key blocks: PEM (RFC 7468), OpenSSH's, and PGP's armor (RFC 9580).
//!
//! A block has any length, so the scanner swallows it as it streams: [`head`]
//! finds its begin, [`is_body_byte`] says how far it can reach, and
//! [`footer_length`] where it ends.

use std::ops::Range;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// Longest label between the dashes; those in use have under 32 bytes.
const LONGEST_LABEL: usize = 48;
/// Longest begin or end line.
pub const LONGEST_LINE: usize = BEGIN.len() + LONGEST_LABEL + DASHES.len();

/// The extent of the begin line, `-----BEGIN ... PRIVATE KEY-----`, whose first
/// dash is at `anchor`.
pub fn head(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    let length = line_length(text.get(anchor..)?, BEGIN)?;
    Some(anchor..anchor + length)
}

/// The length of the end line, `-----END ... PRIVATE KEY-----`, that `text`
/// begins with.
pub fn footer_length(text: &[u8]) -> Option<usize> {
    line_length(text, END)
}

/// Whether a block may hold the byte between its lines: base64, white space,
/// headers (`Proc-Type: 4,ENCRYPTED`, `Version: GnuPG v2 (GNU/Linux)`), dashes
/// of the end line, and the signs of escapes (`\\n`, `%0A`) where the block was
/// written into a string within a string.
pub const fn is_body_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte.is_ascii_whitespace()
        || matches!(byte, b'+' | b'/' | b'=' | b':' | b',' | b'-' | b'.' | b'(' | b')' | b'_' | b'\\' | b'%')
}

fn line_length(text: &[u8], opening: &[u8]) -> Option<usize> {
    let label = text.strip_prefix(opening)?;
    let in_label = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b' ';
    let length = label.iter().take(LONGEST_LABEL + 1).take_while(in_label).count();
    let (label, rest) = label.split_at_checked(length)?;
    let words = label.strip_suffix(b" BLOCK").unwrap_or(label);
    let private = length <= LONGEST_LABEL && words.ends_with(b"PRIVATE KEY");
    (private && rest.starts_with(DASHES)).then_some(opening.len() + length + DASHES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 7] = [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
        "DSA PRIVATE KEY",
    ];

    #[test]
    fn begin_and_end_lines_are_found_whole() {
        for label in LABELS {
            let text = format!("key: -----BEGIN {label}-----\nMC4CAQAw\n-----END {label}-----\nrest");
            let begin = head(text.as_bytes(), 5).unwrap();
            assert_eq!(&text[begin], format!("-----BEGIN {label}-----"));
            let end = text.find("-----END").unwrap();
            assert_eq!(footer_length(&text.as_bytes()[end..]), Some(label.len() + 14));
        }
    }

    #[test]
    fn other_blocks_and_broken_lines_stay() {
        for text in [
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN PRIVATE KEY----",
            "-----BEGIN private key-----",
            "----BEGIN PRIVATE KEY-----",
            "-----BEGIN ",
            "-----END PRIVATE KEY-----",
            "",
        ] {
            assert_eq!(head(text.as_bytes(), 0), None, "{text}");
        }
        assert_eq!(footer_length(b"-----END PUBLIC KEY-----"), None);
        let endless = format!("-----BEGIN {}PRIVATE KEY-----", "A ".repeat(100));
        assert_eq!(head(endless.as_bytes(), 0), None);
    }

    #[test]
    fn bodies_hold_base64_and_headers_and_end_at_quotes() {
        let body = "Proc-Type: 4,ENCRYPTED\r\nVersion: GnuPG v2.0.22 (GNU/Linux)\n\nMC4CAQ+/==\\n";
        assert!(body.bytes().all(is_body_byte));
        for byte in *b"\"'<>{}\0@" {
            assert!(!is_body_byte(byte));
        }
    }
}
