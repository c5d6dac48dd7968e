//! What a field with a length holds, by its bytes: the wire format itself does
//! not tell texts from messages.

use super::wire::{Field, Fields, Value};
use std::ops::Range;

/// What the bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// A message, and no text.
    Message,
    /// Text, and no message.
    Text,
    /// Either, or neither: whatever changes, its length must not.
    Either,
}

/// A text that could be a message by chance has no field as long as this.
const LONG: usize = 8;

/// Judges `raw[range]`.
pub(super) fn looks(raw: &[u8], range: &Range<usize>) -> Looks {
    let bytes = raw.get(range.clone()).unwrap_or_default();
    let is_text = std::str::from_utf8(bytes).is_ok_and(is_printable);
    match (is_text, longest_field(raw, range)) {
        (true, None | Some(0..LONG)) => Looks::Text,
        (false, Some(_)) => Looks::Message,
        (true, Some(_)) | (false, None) => Looks::Either,
    }
}

/// Judges the first bytes of something longer.
pub(super) fn begins(bytes: &[u8]) -> Looks {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    if valid.is_some_and(is_printable) {
        return Looks::Either;
    }
    let mut fields = Fields::cut(bytes);
    if fields.all(|field| field.is_ok()) { Looks::Message } else { Looks::Either }
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
    let mut fields = Fields::new(raw, range);
    let (name, value, end) = (fields.next(), fields.next(), fields.next());
    match (name, value, end) {
        (Some(Ok(name)), Some(Ok(value)), None) => {
            let is_text =
                |field: &Field| matches!(&field.value, Value::Bytes { body, .. } if looks(raw, body) == Looks::Text);
            (name.number, value.number) == (1, 2) && is_text(&name) && matches!(value.value, Value::Bytes { .. })
        }
        _ => false,
    }
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
        assert_eq!(looks_like(b"\x89PNG\x0d\x0a\x1a\x0a"), Looks::Either);
    }

    #[test]
    fn a_message_of_printable_bytes_is_not_taken_for_text_alone() {
        let text = "x".repeat(32);
        assert_eq!(looks_like(format!("\n {text}").as_bytes()), Looks::Either);
        assert_eq!(looks_like(format!("z {text}").as_bytes()), Looks::Either);
    }
}
