//! What a field with a length holds, by its bytes: the wire format itself does
//! not tell texts from messages.

use super::wire::{Field, Fields, Value, varint};
use std::ops::Range;

/// What the bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// A message, and no text.
    Message,
    /// Text, and no message.
    Text,
    /// Neither: whatever changes, its length must not.
    Neither,
}

/// A text that could be a message by chance has no field as long as this.
const LONG: usize = 8;

/// Judges `raw[range]`.
pub(super) fn looks(raw: &[u8], range: &Range<usize>) -> Looks {
    let bytes = raw.get(range.clone()).unwrap_or_default();
    let is_text = std::str::from_utf8(bytes).is_ok_and(is_printable);
    match (is_text, longest_field(raw, range)) {
        (true, None | Some(0..LONG)) => Looks::Text,
        // A text is hardly ever a message by chance.
        (_, Some(_)) => Looks::Message,
        (false, None) => Looks::Neither,
    }
}

/// Judges the first bytes of something longer.
pub(super) fn begins(bytes: &[u8], length: u64) -> Looks {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    if valid.is_some_and(is_printable) {
        return Looks::Neither;
    }
    let mut fields = Fields::cut(bytes, length);
    if fields.all(|field| field.is_ok()) { Looks::Message } else { Looks::Neither }
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(|char| char.is_control() && !matches!(char, '\t' | '\n' | '\r'))
}

/// The longest field with a length in what may be a message; `None` if it is
/// none.
fn longest_field(raw: &[u8], range: &Range<usize>) -> Option<usize> {
    let mut longest = 0;
    for field in Fields::new(raw, range) {
        if let Value::Bytes { body, .. } = field.ok()?.value {
            longest = longest.max(body.len());
        }
    }
    Some(longest)
}

/// Whether this is an entry of a map: a name, which is text, and a value.
pub(super) fn is_entry(raw: &[u8], range: &Range<usize>) -> bool {
    let bytes = raw.get(range.clone()).unwrap_or_default();
    begins_entry(bytes, bytes.len() as u64)
}

/// The same of an entry of `length` bytes, of which these are the first ones.
pub(super) fn begins_entry(bytes: &[u8], length: u64) -> bool {
    let mut fields = Fields::new(bytes, &(0..bytes.len()));
    let Some(Ok(Field { number: 1, value: Value::Bytes { body, .. }, .. })) = fields.next() else { return false };
    if looks(bytes, &body) != Looks::Text {
        return false;
    }
    // All that follows is one field with a length.
    let rest = bytes.get(body.end..).unwrap_or_default();
    let Some((tag, of_tag)) = varint(rest) else { return false };
    let Some((of_value, of_length)) = varint(&rest[of_tag..]) else { return false };
    let before = (body.end + of_tag + of_length) as u64;
    tag == (2 << 3 | 2) && before.checked_add(of_value) == Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks_like(bytes: &[u8]) -> Looks {
        looks(bytes, &(0..bytes.len()))
    }

    #[test]
    fn texts_and_messages_are_told_apart() {
        assert_eq!(looks_like(b"hello world"), Looks::Text);
        assert_eq!(looks_like("caf\u{e9} 4155552671\n".as_bytes()), Looks::Text);
        assert_eq!(looks_like(b""), Looks::Text);
        assert_eq!(looks_like(b"\x0a\x05hello"), Looks::Message);
        assert_eq!(looks_like(b"\x08\x01"), Looks::Message);
        assert_eq!(looks_like(b"\x89PNG\x0d\x0a\x1a\x0a"), Looks::Neither);
    }

    #[test]
    fn a_message_of_printable_bytes_is_not_taken_for_text() {
        let text = "x".repeat(32);
        assert_eq!(looks_like(format!("\n {text}").as_bytes()), Looks::Message);
        assert_eq!(looks_like(format!("z {text}").as_bytes()), Looks::Message);
    }
}
