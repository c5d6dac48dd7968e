//! Bytes with lengths before what they count, held whole: which of them are
//! texts, and how all is written again when some of those change.

use super::ContentError;
use super::projection::{Piece, Projection};
use bytes::Bytes;
use std::ops::Range;

/// How a length is written before what it counts.
pub(super) trait Header {
    /// Writes it for `length` bytes.
    fn write(&self, length: usize, out: &mut Vec<u8>);
}

/// Something whose header tells how long it is.
pub(super) struct Part<H> {
    /// The raw bytes that `header` is written in the place of.
    pub(super) head: Range<usize>,
    /// Where it ends; it begins behind `head`.
    pub(super) end: usize,
    /// The part that it stands in. Parts come behind their parents.
    pub(super) parent: Option<usize>,
    pub(super) header: H,
}

/// The parts of a body, in the order in which they were met; the texts among
/// them were given to a projection under their index.
pub(super) struct Tree<H> {
    parts: Vec<Part<H>>,
}

impl<H: Header> Tree<H> {
    pub(super) const fn new() -> Self {
        Self { parts: Vec::new() }
    }

    /// Adds a part; returns its index.
    pub(super) fn add(&mut self, part: Part<H>) -> usize {
        self.parts.push(part);
        self.parts.len() - 1
    }

    /// How many parts there are.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// The body with what the redactor changed: `raw` itself if that is nothing.
    ///
    /// # Errors
    /// As [`Projection::finish`].
    pub(super) fn redact(
        self,
        raw: Bytes,
        mut projection: Projection,
    ) -> Result<(Vec<Bytes>, Projection), ContentError> {
        let mut texts: Vec<Option<Vec<Bytes>>> = Vec::new();
        let mut changed = vec![false; self.parts.len()];
        texts.resize_with(self.parts.len(), || None);
        projection.finish(&mut |piece| {
            if let Piece::Text { field, bytes, changed: is_new } = piece
                && let (Some(text), Some(changed)) = (texts.get_mut(field), changed.get_mut(field))
            {
                text.get_or_insert_default().push(bytes);
                *changed |= is_new;
            }
        })?;
        if !changed.contains(&true) {
            return Ok((vec![raw], projection));
        }
        for (text, _) in texts.iter_mut().zip(&changed).filter(|(_, changed)| !**changed) {
            *text = None;
        }
        Ok((self.write(&raw, texts), projection))
    }

    /// `raw` with other texts where there are some. A header is written anew only
    /// if its length is another: senders may spell the same one differently.
    fn write(&self, raw: &Bytes, texts: Vec<Option<Vec<Bytes>>>) -> Vec<Bytes> {
        let lengths = self.lengths(&texts);
        let (mut out, mut rest) = (Vec::new(), 0);
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|&index| self.parts[index].head.start);
        let mut texts = texts;
        for index in order {
            let part = &self.parts[index];
            let text = texts[index].take();
            if text.is_none() && lengths[index] == part.end - part.head.end {
                continue;
            }
            out.push(raw.slice(rest..part.head.start));
            let mut head = Vec::with_capacity(8);
            part.header.write(lengths[index], &mut head);
            out.push(head.into());
            rest = if text.is_some() { part.end } else { part.head.end };
            out.extend(text.into_iter().flatten());
        }
        out.push(raw.slice(rest..));
        out
    }

    /// The new length of every part.
    fn lengths(&self, texts: &[Option<Vec<Bytes>>]) -> Vec<usize> {
        let mut lengths: Vec<usize> = self.parts.iter().map(|part| part.end - part.head.end).collect();
        let mut head = Vec::new();
        for (index, part) in self.parts.iter().enumerate().rev() {
            if let Some(text) = &texts[index] {
                lengths[index] = text.iter().map(Bytes::len).sum();
            }
            let old = part.end - part.head.start;
            head.clear();
            part.header.write(lengths[index], &mut head);
            let is_same = texts[index].is_none() && lengths[index] == part.end - part.head.end;
            let new = if is_same { old } else { head.len() + lengths[index] };
            if let Some(parent) = part.parent {
                lengths[parent] = (lengths[parent] + new).saturating_sub(old);
            }
        }
        lengths
    }
}
