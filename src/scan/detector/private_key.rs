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
/// Signs between two lines of a block that is written as a list of strings, a
/// quotation or a comment, at most.
const MOST_SIGNS: usize = 48;
/// So many characters of base64 behind them are a line whatever follows.
const SURE_LINE: usize = 24;
/// Bytes of text that tell what [`gap`] asks.
pub const LONGEST_GAP: usize = 2 * 2 * MOST_SIGNS + SURE_LINE + END.len();
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

/// What a byte that no line of a block holds is the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// So many bytes between two lines of the block.
    Over(usize),
    /// Something else: the block is over.
    None,
    /// More text tells.
    Unclear,
}

/// What `text`, at whose beginning no line of a block goes on, holds before the
/// next line: program text puts quotes, `+`, commas and `\n` there, mail `>`,
/// comments `//` or `#`. `whole` if nothing follows the text.
///
/// The next line has at least 24 characters of base64; or it is the end line, or
/// comes before that. Within `json` there are no commas, colons and brackets between
/// them: what they separate there are values and names, not lines.
pub fn gap(text: &[u8], json: bool, whole: bool) -> Gap {
    let unclear = if whole { Gap::None } else { Gap::Unclear };
    let first = match signs(text, json) {
        Signs::Line(at) => at,
        Signs::End(at) => return Gap::Over(at),
        Signs::TooMany => return Gap::None,
        Signs::Cut => return unclear,
    };
    let line = text[first..].iter().take(SURE_LINE).take_while(|&&byte| is_base64(byte)).count();
    if line == SURE_LINE {
        // Names of functions are as long, in one case.
        let has = |kind: fn(&u8) -> bool| text[first..first + SURE_LINE].iter().any(kind);
        let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
        return if is_mixed { Gap::Over(first) } else { Gap::None };
    }
    match signs(&text[first + line..], json) {
        Signs::End(_) => Gap::Over(first),
        Signs::Line(_) | Signs::TooMany => Gap::None,
        Signs::Cut => unclear,
    }
}

/// What follows some signs.
enum Signs {
    /// A letter or digit, there.
    Line(usize),
    /// The end line, there.
    End(usize),
    TooMany,
    Cut,
}

/// Goes over signs and escapes (`\n`), one at a time.
fn signs(text: &[u8], json: bool) -> Signs {
    let mut at = 0;
    for _ in 0..=MOST_SIGNS {
        let rest = &text[at..];
        let common = rest.len().min(END.len());
        if rest[..common] == END[..common] {
            return if common == END.len() { Signs::End(at) } else { Signs::Cut };
        }
        at += match rest {
            [b'\\', b'n' | b'r' | b't', ..] => 2,
            [b'\\'] => return Signs::Cut,
            [byte, ..] if byte.is_ascii_alphanumeric() => return Signs::Line(at),
            [b',' | b':' | b'{' | b'}' | b'[' | b']', ..] if json => return Signs::TooMany,
            _ => 1,
        };
    }
    Signs::TooMany
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
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
    fn lines_of_program_text_mail_and_comments_go_on() {
        let line = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3";
        for signs in [
            r#"" +\n    ""#,
            r#"\n" \"#,
            "\",\n  \"",
            "'\n    '",
            "> ",
            "\n//! ",
            " │ ",
            "\"\n . \"",
            r#"\n"; $k .= ""#,
        ] {
            let signs = signs.replace("k", "");
            assert_eq!(gap(format!("{signs}{line}").as_bytes(), false, false), Gap::Over(signs.len()), "{signs}");
            assert_eq!(gap(format!("{signs}-----END RSA").as_bytes(), false, false), Gap::Over(signs.len()), "{signs}");
            let last = format!("{signs}kg==\" +\n\"-----END RSA");
            assert_eq!(gap(last.as_bytes(), false, false), Gap::Over(signs.len()), "{signs}");
        }
    }

    #[test]
    fn other_text_ends_a_block() {
        for text in [
            "\", \"name\": \"x\"",
            "\" is a key",
            "\"\nverylongfunctionnamewithletters(",
            "<br> and then -----END RSA",
            &format!("\"{}MIIEpAIB", "+".repeat(48)),
        ] {
            assert_eq!(gap(text.as_bytes(), false, false), Gap::None, "{text}");
        }
        for text in ["\"", "\"\\", "\" + \"-----E", "\"MIIEpAIB", "\"MIIE\" "] {
            assert_eq!(gap(text.as_bytes(), false, false), Gap::Unclear, "{text}");
            assert_eq!(gap(text.as_bytes(), false, true), Gap::None, "{text}");
        }
    }

    #[test]
    fn values_of_json_are_no_lines() {
        for text in ["\", \"MIIEpAIBAAKCAQEA0Z3VS5JJcds3", "\"}{\"-----END RSA"] {
            assert!(matches!(gap(text.as_bytes(), false, false), Gap::Over(_)), "{text}");
            assert_eq!(gap(text.as_bytes(), true, false), Gap::None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_clear_stays_so(text in r#"["+n,\\ \n>-]{0,60}(|-----END |[A-Za-z0-9+/=]{0,30})["+n\\ \n>-]{0,60}(|-----END )"#, json: bool) {
            let text = text.as_bytes();
            let whole = gap(&text[..text.len().min(LONGEST_GAP)], json, true);
            for length in 0..=text.len() {
                let part = gap(&text[..length], json, false);
                proptest::prop_assert!(part == Gap::Unclear || part == whole, "{length}: {part:?} {whole:?}");
            }
        }
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
