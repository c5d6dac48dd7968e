//! Redacted bytes in several pieces, written as one.

use crate::proxy::admission::Reservation;
use crate::proxy::exchange::{Exchange, Sending};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Pieces shorter than this are copied together where they follow each other:
/// where findings are dense, keeping each would cost more than its bytes.
const SMALL: usize = 512;

/// What a kept piece costs besides its bytes.
const PIECE: u64 = size_of::<Bytes>() as u64;

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
    pub(super) fn take(released: &mut Vec<Bytes>) -> Self {
        join_small(released);
        let pieces: VecDeque<Bytes> = released.drain(..).collect();
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

/// Makes one piece of each run of small ones, and drops empty ones. How much
/// memory the pieces take that their original, in one piece, does not: copies,
/// and what each costs by itself.
pub(in crate::proxy) fn join_small(pieces: &mut Vec<Bytes>) -> u64 {
    let (mut joined, mut copied) = (Vec::with_capacity(pieces.len().min(16)), 0);
    let is_small = |piece: &Bytes| piece.len() < SMALL;
    for run in pieces.chunk_by(|one, next| is_small(one) && is_small(next)) {
        match run {
            [piece] if piece.is_empty() => {}
            [piece] => joined.push(piece.clone()),
            run => {
                let length = run.iter().map(Bytes::len).sum();
                let mut one = BytesMut::with_capacity(length);
                run.iter().for_each(|piece| one.extend_from_slice(piece));
                copied += length as u64;
                if length > 0 {
                    joined.push(one.freeze());
                }
            }
        }
    }
    *pieces = joined;
    copied + pieces.len().saturating_sub(1) as u64 * PIECE
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

    #[test]
    fn runs_of_small_pieces_become_one_and_cost_what_they_take() {
        let large = Bytes::from(vec![b'x'; SMALL]);
        let small = Bytes::from_static(b"[EMAIL_ADDRESS]");
        let mut pieces = vec![small.clone(), Bytes::new(), large.clone(), small.clone(), small.clone(), large.clone()];
        let before = pieces.concat();
        let cost = join_small(&mut pieces);
        assert_eq!(pieces.concat(), before);
        let lengths: Vec<usize> = pieces.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [15, SMALL, 30, SMALL]);
        assert_eq!(cost, 15 + 30 + 3 * PIECE);
        let mut nothing = vec![Bytes::new(), Bytes::new()];
        assert_eq!((join_small(&mut nothing), nothing.len()), (0, 0));
    }

    #[test]
    fn advancing_by_any_steps_reads_the_same_bytes() {
        let pieces = ["ab", "", "c", "defg"];
        for step in 1..8 {
            let mut released: Vec<Bytes> = pieces.iter().map(|p| Bytes::from(*p)).collect();
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
