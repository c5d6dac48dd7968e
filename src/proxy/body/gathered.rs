//! What has come of a body: large frames as they are, small ones joined.

use bytes::{Bytes, BytesMut};

/// Frames at least this large are not copied together with others.
pub(super) const LARGE_FRAME: usize = 16 * 1024;

/// The frames of a body so far.
///
/// Invariant: no piece is empty, and `length` counts `pieces` and `open`.
pub(super) struct Gathered {
    pieces: Vec<Bytes>,
    /// Small frames on their way to become a piece.
    open: BytesMut,
    length: u64,
    /// What the client says it will send.
    declared: Option<u64>,
}

impl Gathered {
    pub(super) fn new(declared: Option<u64>) -> Self {
        Self { pieces: Vec::new(), open: BytesMut::new(), length: 0, declared }
    }

    pub(super) fn add(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let missing = self.declared.map_or(0, |declared| declared.saturating_sub(self.length));
        self.length += data.len() as u64;
        // The usual case: all of it came with one read.
        let is_all = self.declared == Some(data.len() as u64);
        if is_all || data.len() >= LARGE_FRAME {
            self.close();
            self.pieces.push(data);
            return;
        }
        if self.open.is_empty() {
            self.open.reserve(usize::try_from(missing).map_or(LARGE_FRAME, |missing| missing.min(LARGE_FRAME)));
        }
        self.open.extend_from_slice(&data);
    }

    pub(super) fn len(&self) -> u64 {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn into_pieces(mut self) -> Vec<Bytes> {
        self.close();
        self.pieces
    }

    /// All of it in one piece.
    pub(super) fn concat(self) -> Bytes {
        let mut pieces = self.into_pieces();
        match pieces.len() {
            0 | 1 => pieces.pop().unwrap_or_default(),
            _ => Bytes::from(pieces.concat()),
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(self.open.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_frames_are_kept_and_small_ones_joined_in_order() {
        let large = Bytes::from(vec![b'x'; LARGE_FRAME]);
        for declared in [None, Some(2), Some(LARGE_FRAME as u64 + 4)] {
            let mut gathered = Gathered::new(declared);
            for data in [Bytes::from_static(b"a"), Bytes::new(), Bytes::from_static(b"b"), large.clone()] {
                gathered.add(data);
            }
            gathered.add(Bytes::from_static(b"cd"));
            assert_eq!(gathered.len(), LARGE_FRAME as u64 + 4);
            let pieces = gathered.into_pieces();
            let lengths: Vec<usize> = pieces.iter().map(Bytes::len).collect();
            assert_eq!(lengths, [2, LARGE_FRAME, 2]);
            assert_eq!(pieces[1].as_ptr(), large.as_ptr(), "it was not copied");
            assert_eq!(pieces.concat(), [b"ab", &large[..], b"cd"].concat());
        }
        assert!(Gathered::new(None).concat().is_empty());
    }
}
