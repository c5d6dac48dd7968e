//! What this redactor writes in place of values, as part of the text around others: the
//! words in `[PHONE_NUMBER]` say nothing of the number behind it, or redacting twice
//! would find more than redacting once.
//!
//! Only the entities of the rules count. `[PHONE]: 030 1234567` is what a person wrote.

use std::collections::BTreeSet;

/// Longest name of an entity looked at, in bytes.
const LONGEST_NAME: usize = 64;
/// Longest rest of a pseudonym, `:key:hex`.
const LONGEST_REST: usize = 2 * 64 + 2;

/// The labels of a rule set.
#[derive(Debug, Default)]
pub(super) struct Labels(BTreeSet<Vec<u8>>);

impl Labels {
    /// One of `entity`.
    pub(super) fn add(&mut self, entity: &str) {
        if entity.len() <= LONGEST_NAME && !self.0.contains(entity.as_bytes()) {
            self.0.insert(entity.as_bytes().to_vec());
        }
    }

    /// Where the label ends that the byte at `at` of `raw` is part of the name of. Its
    /// brackets may be percent-encoded.
    pub(super) fn end_around(&self, raw: &[u8], at: usize) -> Option<usize> {
        let run = |bytes: &[u8], most: usize, is: fn(&u8) -> bool| {
            bytes.iter().take(most).take_while(|byte| is(byte)).count()
        };
        let before = raw.get(..at)?;
        let lead = before.iter().rev().take(LONGEST_NAME + 2).take_while(|byte| is_in_name(byte)).count();
        let start = match before.split_at(at - lead) {
            ([.., b'['], _) | ([.., b'%', b'5', b'b'], _) => at - lead,
            // The end of `%5B` may be part of a name.
            ([.., b'%'], [b'5', b'B', ..]) => at - lead + 2,
            _ => return None,
        };
        let rest = &raw[start..];
        let name = run(rest, LONGEST_NAME, is_in_name);
        if start > at || !self.0.contains(&rest[..name]) {
            return None;
        }
        let rest = &rest[name..];
        let key = if rest.first() == Some(&b':') { run(rest, LONGEST_REST, is_in_pseudonym) } else { 0 };
        let closing = match rest[key..] {
            [b']', ..] => 1,
            [b'%', b'5', b'D' | b'd', ..] => 3,
            _ => return None,
        };
        Some(start + name + key + closing)
    }
}

fn is_in_name(byte: &u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_'
}

fn is_in_pseudonym(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_known_by_its_entity_and_its_brackets() {
        let mut labels = Labels::default();
        labels.add("PHONE_NUMBER");
        for label in
            ["[PHONE_NUMBER]", "%5BPHONE_NUMBER%5D", "%5bPHONE_NUMBER%5d", "[PHONE_NUMBER:k1:9f86d081884c7d65]"]
        {
            let text = format!("to {label} or");
            let name = text.find("PHONE").unwrap();
            for at in name..name + "PHONE_NUMBER".len() {
                let end = labels.end_around(text.as_bytes(), at);
                assert_eq!(end, Some("to ".len() + label.len()), "{label} at {at}");
            }
        }
        for text in [
            "[PHONE]",
            "PHONE_NUMBER]",
            "[PHONE_NUMBER",
            "[phone_number]",
            "[PHONE_NUMBER ]",
            "[XPHONE_NUMBER]",
            "%5BXPHONE_NUMBER%5D",
            "[PHONE_NUMBER_]",
            "[PHONE_NUMBER:k1",
            "[PHONE_NUMBER:k 1]",
        ] {
            let at = text.find("PHONE").unwrap_or(3);
            assert_eq!(labels.end_around(text.as_bytes(), at), None, "{text}");
        }
        assert_eq!(labels.end_around(b"", 0), None);
        assert_eq!(labels.end_around(b"[", 5), None);
    }
}
