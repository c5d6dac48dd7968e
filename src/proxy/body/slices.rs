//! Redacted bytes in several pieces, written as one.

use crate::content::Released;
use crate::proxy::budget::Reservation;
use crate::proxy::exchange::{Exchange, Sending};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Pieces that go out as one frame, with one vectored write.
///
/// Invariant: no piece is empty; `remaining` is the sum of their lengths.
#[derive(Default)]
pub struct Slices {
    pieces: VecDeque<Bytes>,
    remaining: usize,
    /// Done once nothing remains: then all of it was written.
    sending: Option<Sending>,
    /// Given back when the pieces are written: until then they are in memory,
    /// however long the upstream takes.
    _reservation: Option<Reservation>,
}

impl Slices {
    /// Takes all pieces out of `released`.
    pub(super) fn take(released: &mut Released) -> Self {
        released.join_small();
        let pieces: VecDeque<Bytes> = released.drain().collect();
        let remaining = pieces.iter().map(Bytes::len).sum();
        Self { pieces, remaining, sending: None, _reservation: None }
    }

    /// Keeps a reservation until all is written.
    pub(super) fn holding(mut self, reservation: Reservation) -> Self {
        self._reservation = Some(reservation);
        self
    }

    /// Is part of the exchange's request, which is not whole before all of this
    /// is written.
    pub(super) fn of(mut self, exchange: &Arc<Exchange>) -> Self {
        let mut sending = Sending::begin(exchange);
        if self.remaining == 0 {
            sending.done();
        }
        self.sending = Some(sending);
        self
    }
}

impl Buf for Slices {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        if let Some(sending) = &mut self.sending {
            sending.touch();
            if self.remaining == 0 {
                sending.done();
            }
        }
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        let filled = target.iter_mut().zip(&self.pieces);
        filled.map(|(slot, piece)| *slot = IoSlice::new(piece)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{ContentType, Passes};

    #[test]
    fn advancing_by_any_steps_reads_the_same_bytes() {
        let pieces = ["ab", "", "c", "defg"];
        let passes = Passes::of(&ContentType::parse(Some(b"a/b")), &["a/b".into()]).unwrap();
        for step in 1..8 {
            let mut released = Released::default();
            pieces.iter().for_each(|piece| released.pass(Bytes::from(*piece), &passes));
            let mut slices = Slices::take(&mut released);
            let mut read = Vec::new();
            while slices.has_remaining() {
                let take = step.min(slices.remaining());
                let mut targets = [IoSlice::new(&[]); 4];
                let filled = slices.chunks_vectored(&mut targets);
                let all: Vec<u8> = targets[..filled].iter().flat_map(|s| s.to_vec()).collect();
                assert_eq!(all.len(), slices.remaining());
                read.extend_from_slice(&all[..take]);
                slices.advance(take);
            }
            assert_eq!(read, b"abcdefg");
        }
    }
}
