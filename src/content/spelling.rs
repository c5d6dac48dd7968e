//! How a framed format spells its texts, byte by byte, and how the same byte is
//! spelled in a JSON string (RFC 8259, section 7).

/// The spelling of a text in the framed format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Every byte stands for itself.
    Plain,
    /// The same, and whatever changes, its length does not: what is found is
    /// overwritten.
    Fixed,
    /// The digits of a number, which become a text if they are found.
    Number,
    /// The text is JSON as it is, quotes and all.
    Json,
    /// As in `application/x-www-form-urlencoded` (WHATWG URL, section 5).
    Form,
    /// The same of a client that did not encode its plus.
    FormPlus,
    /// Between the quotes of a header's parameter (RFC 9110, section 5.6.4).
    Quoted,
    /// Between quotes of which two are one (RFC 4180).
    Doubled,
    /// A parameter whose name ends with `*` (RFC 8187, section 3.2).
    Extended,
}

impl Spelling {
    /// The first unit of `raw`, which is not empty: how many bytes it has, and
    /// the byte that it means. A `%` without two digits behind it stands for
    /// itself, as parsers have it.
    pub(super) fn unit(self, raw: &[u8]) -> (usize, u8) {
        match (self, raw) {
            (Self::Form, [b'+', ..]) => (1, b' '),
            (Self::Quoted, [b'\\', byte, ..]) => (2, *byte),
            (Self::Doubled, [b'"', b'"', ..]) => (2, b'"'),
            (Self::Form | Self::FormPlus | Self::Extended, [b'%', high, low, ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (3, high << 4 | low),
                _ => (1, b'%'),
            },
            (_, [byte, ..]) => (1, *byte),
            (_, []) => (0, 0),
        }
    }

    /// What all of `raw` means.
    pub(super) fn read(self, raw: &[u8]) -> Vec<u8> {
        let (mut text, mut rest) = (Vec::with_capacity(raw.len()), raw);
        while !rest.is_empty() {
            let (taken, byte) = self.unit(rest);
            text.push(byte);
            rest = &rest[taken..];
        }
        text
    }

    /// How much of `raw`, the beginning of a longer text, is whole units.
    pub(super) fn whole(self, raw: &[u8]) -> usize {
        let tail = raw.len().saturating_sub(2);
        match (self, raw.get(tail..).and_then(|tail| tail.iter().position(|&byte| byte == b'%'))) {
            (Self::Form | Self::FormPlus, Some(at)) => tail + at,
            _ => raw.len(),
        }
    }

    /// Spells `text`.
    pub(super) fn write(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain | Self::Fixed | Self::Json => return text.to_vec(),
            // What stands in the place of a number has its own quotes in JSON.
            Self::Number => return text.iter().copied().filter(|&byte| byte != b'"').collect(),
            Self::Form | Self::FormPlus | Self::Quoted | Self::Doubled | Self::Extended => {}
        }
        let mut spelled = Vec::with_capacity(text.len() + 16);
        for &byte in text {
            match (self, byte) {
                (Self::Quoted, b'"' | b'\\') => spelled.extend_from_slice(&[b'\\', byte]),
                (Self::Doubled, b'"') => spelled.extend_from_slice(b"\"\""),
                (Self::Quoted | Self::Doubled, _) => spelled.push(byte),
                (Self::Form | Self::FormPlus, b' ') => spelled.push(b'+'),
                (Self::Form | Self::FormPlus, b'*') | (_, b'-' | b'.' | b'_') => spelled.push(byte),
                _ if byte.is_ascii_alphanumeric() => spelled.push(byte),
                _ => spelled.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]),
            }
        }
        spelled
    }
}

/// Length of a byte in a JSON string.
pub(super) const fn escaped_length(byte: u8) -> u64 {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

/// Writes a byte as it stands in a JSON string.
pub(super) fn escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..0x20 => return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]),
        _ => return out.push(byte),
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Undoes the escapes of a JSON string that comes in pieces.
#[derive(Default)]
pub(super) struct Unescape {
    /// Bytes that do not make a whole escape yet.
    held: Vec<u8>,
}

impl Unescape {
    /// The text of the next piece, as far as it is known.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let mut text = Vec::with_capacity(self.held.len());
        let mut rest = &self.held[..];
        while let Some((taken, unit)) = unescaped(rest) {
            unit.write(&mut text);
            rest = &rest[taken..];
        }
        let left = rest.len();
        self.held.drain(..self.held.len() - left);
        text
    }

    /// The text has ended: what is held stands for itself.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

enum Unit {
    Byte(u8),
    Character(char),
}

impl Unit {
    fn write(&self, text: &mut Vec<u8>) {
        match self {
            Self::Byte(byte) => text.push(*byte),
            Self::Character(character) => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The first unit of a JSON string, unless more bytes have to come.
fn unescaped(rest: &[u8]) -> Option<(usize, Unit)> {
    let byte = match rest {
        [] | [b'\\'] => return None,
        [b'\\', b'u', ..] => return character(rest),
        [b'\\', letter, ..] => match letter {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'f' => 0x0c,
            other => *other,
        },
        [byte, ..] => return Some((1, Unit::Byte(*byte))),
    };
    Some((2, Unit::Byte(byte)))
}

/// `\uXXXX`, or two of them that are one character.
fn character(rest: &[u8]) -> Option<(usize, Unit)> {
    let code = |at: usize| rest.get(at..at + 4).map(|digits| std::str::from_utf8(digits).ok().and_then(from_hex));
    let high = code(2)?.unwrap_or(0xfffd);
    let is_other = |at: usize, expected: u8| rest.get(at).is_some_and(|&byte| byte != expected);
    if !(0xd800..0xdc00).contains(&high) || is_other(6, b'\\') || is_other(7, b'u') {
        return Some((6, Unit::Character(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))));
    }
    let low = code(8)?.filter(|low| (0xdc00..0xe000).contains(low));
    let pair = low.and_then(|low| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)));
    Some(pair.map_or((6, Unit::Character(char::REPLACEMENT_CHARACTER)), |pair| (12, Unit::Character(pair))))
}

fn from_hex(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits, 16).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'A' + value - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        assert_eq!(Spelling::Form.read(b"a+b%20%C3%a9%2B%"), "a b \u{e9}+%".as_bytes());
        assert_eq!(Spelling::Form.read(b"100%&%zz"), b"100%&%zz");
        assert_eq!(Spelling::Form.write("[A B]\u{e9}*".as_bytes()), b"%5BA+B%5D%C3%A9*");
    }

    #[test]
    fn a_cut_escape_waits_for_its_end() {
        for (raw, whole) in [(&b"abc"[..], 3), (b"ab%", 2), (b"ab%4", 2), (b"ab%40", 5), (b"%", 0), (b"", 0)] {
            assert_eq!(Spelling::Form.whole(raw), whole);
            assert_eq!(Spelling::Plain.whole(raw), raw.len());
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read_as_it_was(text: Vec<u8>) {
            for spelling in [Spelling::Plain, Spelling::Form, Spelling::Quoted, Spelling::Extended] {
                prop_assert_eq!(&spelling.read(&spelling.write(&text)), &text);
            }
        }

        #[test]
        fn escapes_have_their_length_and_are_undone_however_cut(text: Vec<u8>, cut in 1usize..9) {
            let mut escaped = Vec::new();
            text.iter().for_each(|&byte| escape(byte, &mut escaped));
            let length: u64 = text.iter().map(|&byte| escaped_length(byte)).sum();
            prop_assert_eq!(escaped.len() as u64, length);
            let mut unescape = Unescape::default();
            let mut undone: Vec<u8> = escaped.chunks(cut).flat_map(|piece| unescape.push(piece)).collect();
            undone.extend(unescape.finish());
            prop_assert_eq!(undone, text);
        }
    }

    #[test]
    fn pairs_of_escapes_are_one_character() {
        let text = |raw: &str| {
            let mut unescape = Unescape::default();
            let mut text = unescape.push(raw.as_bytes());
            text.extend(unescape.finish());
            String::from_utf8(text).unwrap()
        };
        assert_eq!(text(r"\u00e9\ud83d\ude00\/"), "\u{e9}\u{1f600}/");
        assert_eq!(text(r"\ud83dx"), "\u{fffd}x");
        assert_eq!(text(r"\ud83d\n"), "\u{fffd}\n");
    }
}
