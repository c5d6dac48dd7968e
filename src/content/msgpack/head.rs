//! The first bytes of a MessagePack value
//! (<https://github.com/msgpack/msgpack/blob/master/spec.md>).

/// What a value's first bytes say, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// So many values.
    Array(u64),
    /// So many pairs.
    Map(u64),
    /// So many bytes of text.
    Str(u64),
    /// So many bytes.
    Bin(u64),
    /// So many bytes of a type that the application knows.
    Ext(u64),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    /// Nil, true or false.
    Simple,
}

/// The byte that the specification never uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeverUsed;

impl Head {
    /// The head that `bytes` begin with; `None` if it is cut.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, NeverUsed> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let low = |mask: u8| u64::from(first & mask);
        // How many bytes of a number follow, and of the type of an extension.
        let (width, extra) = match first {
            0xc4 | 0xcc | 0xd0 | 0xd9 => (1, 0),
            0xc5 | 0xcd | 0xd1 | 0xda | 0xdc | 0xde => (2, 0),
            0xc6 | 0xca | 0xce | 0xd2 | 0xdb | 0xdd | 0xdf => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xc7 => (1, 1),
            0xc8 => (2, 1),
            0xc9 => (4, 1),
            0xd4..=0xd8 => (0, 1),
            _ => (0, 0),
        };
        let Some(number) = bytes.get(1..1 + width + extra).map(|rest| big_endian(&rest[..width])) else {
            return Ok(None);
        };
        let kind = match first {
            0x00..=0x7f => Kind::Unsigned(u64::from(first)),
            0x80..=0x8f => Kind::Map(low(0x0f)),
            0x90..=0x9f => Kind::Array(low(0x0f)),
            0xa0..=0xbf => Kind::Str(low(0x1f)),
            0xc0 | 0xc2 | 0xc3 => Kind::Simple,
            0xc1 => return Err(NeverUsed),
            0xc4..=0xc6 => Kind::Bin(number),
            0xc7..=0xc9 => Kind::Ext(number),
            0xca => Kind::Float(f64::from(f32::from_bits(u32::try_from(number).unwrap_or_default()))),
            0xcb => Kind::Float(f64::from_bits(number)),
            0xcc..=0xcf => Kind::Unsigned(number),
            0xd0..=0xd3 => Kind::Signed(sign_extended(number, width)),
            0xd4..=0xd8 => Kind::Ext(1 << (first - 0xd4)),
            0xd9..=0xdb => Kind::Str(number),
            0xdc | 0xdd => Kind::Array(number),
            0xde | 0xdf => Kind::Map(number),
            0xe0..=0xff => Kind::Signed(i64::from(first.cast_signed())),
        };
        Ok(Some(Self { kind, bytes: 1 + width + extra }))
    }
}

/// The head of a text of so many bytes, the shortest one.
pub(super) fn of_str(length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short @ 0..32) => vec![0xa0 | short],
        _ => sized(length, [0xd9, 0xda, 0xdb]),
    }
}

/// The head of so many bytes.
pub(super) fn of_bin(length: usize) -> Vec<u8> {
    sized(length, [0xc4, 0xc5, 0xc6])
}

fn sized(length: usize, [one, two, four]: [u8; 3]) -> Vec<u8> {
    if let Ok(length) = u8::try_from(length) {
        return vec![one, length];
    }
    if let Ok(length) = u16::try_from(length) {
        return [&[two][..], &length.to_be_bytes()].concat();
    }
    [&[four][..], &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()].concat()
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn sign_extended(number: u64, width: usize) -> i64 {
    let unused = u32::try_from(64 - 8 * width).unwrap_or_default();
    (number << unused).cast_signed() >> unused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_cut_ones_wait() {
        for (bytes, kind) in [
            (&b"\x07"[..], Kind::Unsigned(7)),
            (b"\xff", Kind::Signed(-1)),
            (b"\xa3", Kind::Str(3)),
            (b"\xd9\x20", Kind::Str(32)),
            (b"\xdb\0\x01\0\0", Kind::Str(65536)),
            (b"\x82", Kind::Map(2)),
            (b"\xdd\0\0\0\x05", Kind::Array(5)),
            (b"\xc5\x01\0", Kind::Bin(256)),
            (b"\xd6\xff", Kind::Ext(4)),
            (b"\xc7\x0c\xff", Kind::Ext(12)),
            (b"\xd1\xff\xfe", Kind::Signed(-2)),
            (b"\xcf\0\0\0\0\0\0\0\x09", Kind::Unsigned(9)),
            (b"\xcb\x3f\xe0\0\0\0\0\0\0", Kind::Float(0.5)),
            (b"\xc3", Kind::Simple),
        ] {
            assert_eq!(Head::read(bytes), Ok(Some(Head { kind, bytes: bytes.len() })));
            assert_eq!(Head::read(&bytes[..bytes.len() - 1]), Ok(None));
        }
        assert_eq!(Head::read(b"\xc1"), Err(NeverUsed));
    }

    #[test]
    fn heads_are_written_the_shortest_way() {
        for length in [0, 1, 31, 32, 255, 256, 65535, 65536] {
            let head = Head::read(&of_str(length)).unwrap().unwrap();
            assert_eq!((head.kind, head.bytes), (Kind::Str(length as u64), of_str(length).len()));
            let head = Head::read(&of_bin(length)).unwrap().unwrap();
            assert_eq!(head.kind, Kind::Bin(length as u64));
        }
    }
}
