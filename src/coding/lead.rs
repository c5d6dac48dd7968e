//! The first bytes of something that arrives in pieces.

/// Up to `N` bytes, as they came.
pub(super) struct Lead<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Lead<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Lead<N> {
    /// Takes what is still missing from the front of `piece`.
    pub(super) fn add(&mut self, piece: &[u8]) {
        let free = &mut self.bytes[self.length..];
        let taken = free.len().min(piece.len());
        free[..taken].copy_from_slice(&piece[..taken]);
        self.length += taken;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
