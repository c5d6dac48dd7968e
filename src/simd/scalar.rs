//! The portable twin of the vector code: one byte at a time.

use super::{BATCH, BLOCK, FOLD_LEADS, Masks, each_by};

/// As [`super::each_block`].
pub fn each_block<S>(data: &[u8], state: S, each: impl FnMut(&mut S, &Masks)) -> S {
    each_by(data, state, each, classify)
}

fn classify(blocks: &[[u8; BLOCK]], out: &mut [Masks; BATCH]) {
    for (block, masks) in blocks.iter().zip(out) {
        *masks = Masks::default();
        for (index, &byte) in block.iter().enumerate() {
            set(masks, byte, 1 << index);
        }
    }
}

fn set(masks: &mut Masks, byte: u8, bit: u64) {
    if byte.is_ascii_alphanumeric() || byte == b'_' {
        masks.word |= bit;
        masks.token |= bit;
    }
    if matches!(byte, b'-' | b'.' | b'+' | b'=') {
        masks.token |= bit;
    }
    if byte == b'0' {
        masks.zero |= bit;
    }
    if FOLD_LEADS.contains(&byte) {
        masks.fold_lead |= bit;
    }
    if matches!(byte, b'u' | b'U' | b'x' | b'X') {
        masks.code_letter |= bit;
    }
    match byte {
        b'"' => masks.quote |= bit,
        b'\\' => masks.backslash |= bit,
        b'\n' => masks.newline |= bit,
        b'@' => masks.at |= bit,
        b'+' => masks.plus |= bit,
        b'%' => masks.percent |= bit,
        b'0'..=b'9' => masks.digit |= bit,
        b' ' | b'-' | b'.' => masks.separator |= bit,
        b'A'..=b'Z' => masks.upper |= bit,
        _ => {}
    }
}
