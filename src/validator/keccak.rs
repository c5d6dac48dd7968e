//! Keccak-256 as Ethereum has it: with the padding of before FIPS 202
//! (<https://keccak.team/keccak_specs_summary.html>).

/// Bytes of a block.
const RATE: usize = 136;
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// The digest of a text of one block at most: what is longer is cut.
pub(super) fn digest(text: &[u8]) -> [u8; 32] {
    let mut block = [0; RATE];
    let length = text.len().min(RATE - 1);
    block[..length].copy_from_slice(&text[..length]);
    block[length] ^= 0x01;
    block[RATE - 1] ^= 0x80;
    let mut state = [0_u64; 25];
    for (lane, bytes) in state.iter_mut().zip(block.as_chunks::<8>().0) {
        *lane = u64::from_le_bytes(*bytes);
    }
    for round in ROUNDS {
        permute(&mut state, round);
    }
    let mut digest = [0; 32];
    for (bytes, lane) in digest.as_chunks_mut::<8>().0.iter_mut().zip(state) {
        *bytes = lane.to_le_bytes();
    }
    digest
}

fn permute(state: &mut [u64; 25], round: u64) {
    // Theta: every lane gets the parities of two columns.
    let column: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |sum, y| sum ^ state[x + 5 * y]));
    for (index, lane) in state.iter_mut().enumerate() {
        *lane ^= column[(index + 4) % 5] ^ column[(index + 1) % 5].rotate_left(1);
    }
    // Rho and pi: lanes are rotated, by triangular numbers, and change places.
    let (mut x, mut y, mut moved) = (1, 0, state[1]);
    for step in 1..=24_u32 {
        (x, y) = (y, (2 * x + 3 * y) % 5);
        let rotated = moved.rotate_left(step * (step + 1) / 2 % 64);
        moved = std::mem::replace(&mut state[x + 5 * y], rotated);
    }
    // Chi, row by row.
    for row in state.as_chunks_mut::<5>().0 {
        let old = *row;
        for (x, lane) in row.iter_mut().enumerate() {
            *lane ^= !old[(x + 1) % 5] & old[(x + 2) % 5];
        }
    }
    state[0] ^= round;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_text_has_the_published_digest() {
        let hex: String = digest(b"").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    }
}
