//! Reads what a target needs off the front of the fuzzer's bytes; the rest is
//! the document, so that a mutation of it is a mutation of a document.

/// The bytes not read yet. Reading past the end gives zeros.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// At most `count` bytes: fewer when fewer are left.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// `count` places of two bytes each, to be fitted by [`cuts`].
    pub(crate) fn places(&mut self, count: usize) -> Vec<usize> {
        (0..count).map(|_| usize::from(u16::from_le_bytes([self.byte(), self.byte()]))).collect()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The places as cuts of a document of this length, in order.
pub(crate) fn cuts(mut places: Vec<usize>, length: usize) -> Vec<usize> {
    places.iter_mut().for_each(|place| *place %= length + 1);
    places.sort_unstable();
    places
}

/// The document in the chunks between the cuts; some may be empty.
pub(crate) fn chunks<'a>(document: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let ends = cuts.iter().copied().chain([document.len()]);
    let mut from = 0;
    ends.map(|end| &document[std::mem::replace(&mut from, end)..end]).collect()
}
