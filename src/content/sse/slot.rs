//! The place of a piece among what leaves, until it is known what stands there.
//!
//! A piece of plain text may be part of a longer one, or a text of its own. Nobody can
//! tell, so it is redacted as both, and what either finds goes:
//!
//! ```text
//! events        password: hunt              er22, 4111111111111111
//! one text      password: [PASSWORD]        , 4111111111111111
//! on its own    password: [PASSWORD]        er22, [CREDIT_CARD]
//! leaves        password: [PASSWORD]        , [CREDIT_CARD]
//! ```

use bytes::Bytes;
use std::ops::Range;

/// A piece that has not left.
#[derive(Default)]
pub(super) struct Slot {
    /// Bytes of the piece, as it came.
    pub(super) size: usize,
    /// The piece, where it is a text of its own as well.
    raw: Bytes,
    /// As part of a longer text.
    part: Side,
    /// As a text of its own, where it may be one.
    own: Option<Side>,
}

/// How a piece is looked at.
#[derive(Clone, Copy)]
pub(super) enum As {
    /// Part of a longer text.
    Part,
    /// A text of its own.
    Own,
}

/// What becomes of a piece, looked at in one way.
#[derive(Default)]
struct Side {
    /// What stays are slices of the piece.
    written: Vec<Written>,
    is_settled: bool,
}

struct Written {
    bytes: Bytes,
    /// It stands in the place of something else.
    is_new: bool,
}

/// What goes, and what stands in its place.
struct Cut {
    span: Range<usize>,
    instead: Vec<Bytes>,
}

impl Slot {
    /// That of a piece with so many bytes, which is part of a longer text.
    pub(super) fn of_part(size: usize) -> Self {
        Self { size, ..Self::default() }
    }

    /// That of a piece which may be a text of its own as well.
    pub(super) fn of_text(raw: Bytes) -> Self {
        Self { size: raw.len(), raw, part: Side::default(), own: Some(Side::default()) }
    }

    /// Takes what comes next, looked at in one way.
    pub(super) fn push(&mut self, side: As, bytes: Bytes, is_new: bool) {
        if let Some(side) = self.side(side) {
            side.written.push(Written { bytes, is_new });
        }
    }

    /// Looked at in one way, all has come.
    pub(super) fn settle(&mut self, side: As) {
        if let Some(side) = self.side(side) {
            side.is_settled = true;
        }
    }

    /// The piece stays as it is.
    pub(super) fn keep(&mut self) {
        self.part = Side { written: vec![Written { bytes: self.raw.clone(), is_new: false }], is_settled: true };
        self.own = None;
    }

    /// Whether all is known.
    pub(super) fn is_settled(&self) -> bool {
        self.part.is_settled && self.own.as_ref().is_none_or(|own| own.is_settled)
    }

    /// What stands in the place of the piece.
    pub(super) fn into_pieces(self) -> Vec<Bytes> {
        let Some(own) = self.own else { return self.part.written.into_iter().map(|written| written.bytes).collect() };
        union(&self.raw, self.part.cuts(&self.raw), own.cuts(&self.raw))
    }

    fn side(&mut self, side: As) -> Option<&mut Side> {
        match side {
            As::Part => Some(&mut self.part),
            As::Own => self.own.as_mut(),
        }
    }
}

impl Side {
    /// What goes of `raw`, in order.
    fn cuts(self, raw: &Bytes) -> Vec<Cut> {
        let (mut cuts, mut kept, mut instead) = (Vec::new(), 0, Vec::new());
        for Written { bytes, is_new } in self.written {
            if is_new {
                instead.push(bytes);
                continue;
            }
            let at = (bytes.as_ptr() as usize).wrapping_sub(raw.as_ptr() as usize).min(raw.len());
            if at > kept || !instead.is_empty() {
                cuts.push(Cut { span: kept..at, instead: std::mem::take(&mut instead) });
            }
            kept = at + bytes.len();
        }
        if kept < raw.len() || !instead.is_empty() {
            cuts.push(Cut { span: kept..raw.len(), instead });
        }
        cuts
    }
}

/// `raw` without all that goes: as part of a longer text, which is what counts where both
/// say the same, or as a text of its own.
fn union(raw: &Bytes, part: Vec<Cut>, own: Vec<Cut>) -> Vec<Bytes> {
    let mut cuts: Vec<Cut> = part.into_iter().chain(own).collect();
    // Stable: of two with the same place, that of the longer text is first.
    cuts.sort_by_key(|cut| (cut.span.start, std::cmp::Reverse(cut.span.end)));
    let (mut pieces, mut kept) = (Vec::new(), 0);
    let mut cuts = cuts.into_iter().peekable();
    while let Some(first) = cuts.next() {
        let mut span = first.span.clone();
        let mut instead = first.instead;
        while let Some(next) = cuts.next_if(|next| next.span.start < span.end || next.span == first.span) {
            if next.span.end > span.end {
                span.end = next.span.end;
                instead.extend(next.instead);
            }
        }
        pieces.push(raw.slice(kept..span.start));
        pieces.extend(instead);
        kept = span.end;
    }
    pieces.push(raw.slice(kept..));
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece of which these stretches go, each looked at in one way.
    fn left(raw: &str, part: &[(usize, usize, &str)], own: &[(usize, usize, &str)]) -> String {
        let raw = Bytes::copy_from_slice(raw.as_bytes());
        let mut slot = Slot::of_text(raw.clone());
        for (side, cuts) in [(As::Part, part), (As::Own, own)] {
            let mut kept = 0;
            for &(from, to, instead) in cuts {
                slot.push(side, raw.slice(kept..from), false);
                slot.push(side, Bytes::copy_from_slice(instead.as_bytes()), true);
                kept = to;
            }
            slot.push(side, raw.slice(kept..), false);
            assert!(!slot.is_settled());
            slot.settle(side);
        }
        assert!(slot.is_settled());
        String::from_utf8(slot.into_pieces().concat()).unwrap()
    }

    #[test]
    fn what_either_finds_goes() {
        let raw = "abcdefghij";
        for (part, own, expected) in [
            (&[][..], &[][..], "abcdefghij"),
            (&[(2, 4, "<A>")], &[], "ab<A>efghij"),
            (&[], &[(2, 4, "<B>")], "ab<B>efghij"),
            (&[(2, 4, "<A>")], &[(2, 4, "<B>")], "ab<A>efghij"),
            (&[(2, 4, "<A>")], &[(6, 8, "<B>")], "ab<A>ef<B>ij"),
            (&[(2, 4, "<A>")], &[(4, 6, "<B>")], "ab<A><B>ghij"),
            (&[(2, 6, "<A>")], &[(4, 8, "<B>")], "ab<A><B>ij"),
            (&[(4, 8, "<A>")], &[(2, 6, "<B>")], "ab<B><A>ij"),
            (&[(2, 8, "<A>")], &[(4, 6, "<B>")], "ab<A>ij"),
            (&[(4, 6, "<A>")], &[(2, 8, "<B>")], "ab<B>ij"),
            (&[(4, 6, "<A>")], &[(2, 5, "<B>"), (5, 8, "<C>")], "ab<B><A><C>ij"),
            // What began in the piece before has its label there.
            (&[(0, 5, "")], &[(3, 5, "<B>")], "fghij"),
            (&[(0, 5, "")], &[(0, 5, "<B>")], "fghij"),
            (&[(0, 5, "")], &[(3, 7, "<B>")], "<B>hij"),
            (&[(0, 10, "")], &[], ""),
        ] {
            assert_eq!(left(raw, part, own), expected);
        }
    }

    #[test]
    fn what_is_kept_is_all_there() {
        let mut slot = Slot::of_text(Bytes::from_static(b" "));
        slot.keep();
        assert!(slot.is_settled());
        assert_eq!(slot.into_pieces().concat(), b" ");
    }
}
