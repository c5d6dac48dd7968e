//! The wire format of Protocol Buffers
//! (<https://protobuf.dev/programming-guides/encoding/>).

use crate::content::tree::Header;
use std::ops::Range;

/// One field of a message: where it stands, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Of the tag's first byte.
    pub(super) start: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Varint(u64, Range<usize>),
    Fixed64(u64, Range<usize>),
    Fixed32(Range<usize>),
    /// The length, and what it counts.
    Bytes {
        head: Range<usize>,
        body: Range<usize>,
    },
}

impl Value {
    /// Where the field ends.
    fn end(&self) -> usize {
        match self {
            Self::Varint(_, range) | Self::Fixed64(_, range) | Self::Fixed32(range) => range.end,
            Self::Bytes { body, .. } => body.end,
        }
    }
}

/// The length of a text or a message, or the whole of a number that became a
/// text.
pub(super) enum Length {
    /// As it stands behind a tag.
    Plain,
    /// With a tag of its own before it.
    Tagged(u32),
    /// None: what it would count does not change its length.
    Fixed,
}

impl Header for Length {
    fn write(&self, length: usize, out: &mut Vec<u8>) {
        match self {
            Self::Fixed => return,
            Self::Tagged(number) => write_varint(u64::from(number << 3 | 2), out),
            Self::Plain => {}
        }
        write_varint(length as u64, out);
    }
}

/// The fields of the message in `raw[range]`.
pub(super) struct Fields<'a> {
    raw: &'a [u8],
    at: usize,
    end: usize,
    /// Bytes of the message behind `raw`, if it is cut.
    behind: Option<u64>,
}

/// What follows is no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Fields<'a> {
    pub(super) fn new(raw: &'a [u8], range: &Range<usize>) -> Self {
        Self { raw, at: range.start, end: range.end.min(raw.len()), behind: None }
    }

    /// The fields at the beginning of a message of `length` bytes, of which `raw`
    /// are the first: the last one may be cut off.
    pub(super) fn cut(raw: &'a [u8], length: u64) -> Self {
        Self { raw, at: 0, end: raw.len(), behind: Some(length.saturating_sub(raw.len() as u64)) }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let rest = &self.raw[self.at.min(self.end)..self.end];
        let Some((value, length)) = varint(rest) else {
            // Whatever it is, the rest may complete it.
            self.at = if self.behind.is_some() && rest.len() < 10 { self.end } else { self.at };
            return Err(Malformed);
        };
        self.at += length;
        Ok(value)
    }

    fn take(&mut self, length: u64) -> Result<Range<usize>, Malformed> {
        let left = self.end - self.at;
        if length > left as u64 && self.behind.is_some_and(|behind| length <= left as u64 + behind) {
            self.at = self.end;
            return Ok(self.end..self.end);
        }
        let length = usize::try_from(length).ok().filter(|&length| length <= left).ok_or(Malformed)?;
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    fn field(&mut self) -> Result<Field, Malformed> {
        let start = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number)).ok_or(Malformed)?;
        let at = self.at;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?, at..self.at),
            1 => {
                let range = self.take(8)?;
                let bytes = self.raw[range.clone()].first_chunk().copied().unwrap_or_default();
                Value::Fixed64(u64::from_le_bytes(bytes), range)
            }
            2 => {
                let length = self.varint()?;
                let head = at..self.at;
                Value::Bytes { head, body: self.take(length)? }
            }
            5 => Value::Fixed32(self.take(4)?),
            // Groups, 3 and 4, are refused: they were given up long ago.
            _ => return Err(Malformed),
        };
        debug_assert!(value.end() == self.at);
        Ok(Field { number, start, value })
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<Field, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // The last one that is cut within its head is none.
            let is_cut = self.behind.is_some() && self.at == self.end;
            self.at = self.end;
            return if is_cut { None } else { Some(field) };
        }
        Some(field)
    }
}

/// A number of up to ten bytes, and how many it has; `None` if it is cut or too
/// long.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(7 * index).ok()?)?;
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Writes a number the shortest way.
pub(super) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut raw = Vec::new();
            write_varint(value, &mut raw);
            assert_eq!(varint(&raw), Some((value, raw.len())));
            assert_eq!(varint(&raw[..raw.len() - 1]), None);
        }
        assert_eq!(varint(&[0x80, 0x00]), Some((0, 2)));
        assert_eq!(varint(&[0xff; 11]), None);
    }

    #[test]
    fn fields_are_told_apart() {
        let raw = b"\x08\x96\x01\x12\x03abc\x19\x01\0\0\0\0\0\0\0\x25\x01\0\0\0";
        let fields: Vec<Field> = Fields::new(raw, &(0..raw.len())).map(Result::unwrap).collect();
        let values: Vec<&Value> = fields.iter().map(|field| &field.value).collect();
        assert_eq!(
            values,
            [
                &Value::Varint(150, 1..3),
                &Value::Bytes { head: 4..5, body: 5..8 },
                &Value::Fixed64(1, 9..17),
                &Value::Fixed32(18..22),
            ]
        );
        for broken in [
            &b"\x12\x04abc"[..],
            b"\x08",
            b"\x0f",
            b"\x00\x01",
            b"\x19\x01",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert!(Fields::new(broken, &(0..broken.len())).any(|field| field.is_err()), "{broken:?}");
        }
    }
}
