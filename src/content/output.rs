//! What a redactor wrote, read behind it.

use bytes::Bytes;

/// Pieces that are read in their order.
#[derive(Default)]
pub(super) struct Output {
    pieces: Vec<Bytes>,
    /// How many of `pieces` were read.
    done: usize,
    /// Bytes read or skipped so far.
    taken: u64,
}

impl Output {
    /// Where the redactor writes.
    pub(super) fn pieces(&mut self) -> &mut Vec<Bytes> {
        &mut self.pieces
    }

    /// Bytes read or skipped so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: u64) -> Vec<Bytes> {
        let mut taken = Vec::new();
        self.read(length, |piece| taken.push(piece));
        taken
    }

    /// Reads so many bytes for nothing.
    pub(super) fn skip(&mut self, length: u64) {
        self.read(length, drop);
    }

    fn read(&mut self, length: u64, mut sink: impl FnMut(Bytes)) {
        let mut left = length;
        while left > 0
            && let Some(piece) = self.pieces.get_mut(self.done)
        {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            sink(piece.split_to(part));
            left -= part as u64;
            self.done += usize::from(piece.is_empty());
        }
        self.taken += length - left;
    }

    /// Forgets what was read: once for many reads, since all the rest moves.
    pub(super) fn compact(&mut self) {
        self.pieces.drain(..self.done);
        self.done = 0;
    }
}
