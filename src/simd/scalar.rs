//! The portable twin of the vector code: one byte at a time.

use super::{Masks, blocks};

/// As [`super::each_block`].
pub fn each_block(data: &[u8], mut each: impl FnMut(Masks)) {
    blocks(data, |block| {
        let mut masks = Masks::default();
        for (index, &byte) in block.iter().enumerate() {
            set(&mut masks, byte, 1 << index);
        }
        each(masks);
    });
}

fn set(masks: &mut Masks, byte: u8, bit: u64) {
    match byte {
        b'"' => masks.quote |= bit,
        b'\\' => masks.backslash |= bit,
        b'\n' => masks.newline |= bit,
        b'@' => masks.at |= bit,
        b'+' => masks.plus |= bit,
        b'%' => masks.percent |= bit,
        b'0'..=b'9' => masks.digit |= bit,
        b' ' | b'-' | b'.' => masks.separator |= bit,
        b')' => masks.close |= bit,
        b'A'..=b'Z' => masks.upper |= bit,
        b'u' => masks.letter_u |= bit,
        _ => {}
    }
}
