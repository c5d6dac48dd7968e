//! Base64 (RFC 4648, both alphabets) into a fixed buffer, for looking inside.

/// What [`decode`] wrote, and whether it had to stop early.
pub(super) struct Decoded<const N: usize> {
    buffer: [u8; N],
    length: usize,
    /// Whether the input was longer than the buffer has room for.
    pub(super) truncated: bool,
}

impl<const N: usize> Decoded<N> {
    /// The decoded bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Decodes as much of `text` as fits in `N` bytes; `None` when a character is
/// not of either alphabet. Padding may be missing.
pub(super) fn decode<const N: usize>(text: &[u8]) -> Option<Decoded<N>> {
    let mut decoded = Decoded { buffer: [0; N], length: 0, truncated: false };
    let unpadded = match text {
        [head @ .., b'=', b'='] | [head @ .., b'='] => head,
        _ => text,
    };
    let mut bits = 0_u32;
    let mut held = 0_u32;
    for &byte in unpadded {
        bits = (bits << 6 | sextet(byte)?) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            let Some(slot) = decoded.buffer.get_mut(decoded.length) else {
                decoded.truncated = true;
                break;
            };
            *slot = u8::try_from(bits >> held & 0xff).unwrap_or_default();
            decoded.length += 1;
        }
    }
    Some(decoded)
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_rfc_decode() {
        for (text, expected) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(decode::<16>(text.as_bytes()).unwrap().bytes(), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_full_buffer_ends_the_work() {
        let decoded = decode::<3>(b"Zm9vYmFy").unwrap();
        assert_eq!(decoded.bytes(), b"foo");
        assert!(decoded.truncated);
    }

    #[test]
    fn other_characters_are_refused() {
        assert!(decode::<16>(b"Zm9v Zm9v").is_none());
        assert!(decode::<16>(b"=Zm9").is_none());
    }
}
