//! JSON that stands in base64: see [`embedded`](super::super::embedded).

use super::super::embedded;
use super::super::meter::Meter;
use super::super::shape::{Candidate, TOKEN, TOKEN_RUN};
use super::Scanner;

impl<M: Meter> Scanner<M> {
    /// Appends to `out` where in the body JSON in base64 begins, in order: all places that
    /// were judged since the last call. Findings may cover them.
    pub fn take_embedded(&mut self, out: &mut impl Extend<u64>) {
        out.extend(self.embedded.drain(..));
    }

    /// The same of where text in zlib or zstd may begin.
    pub fn take_packed(&mut self, out: &mut impl Extend<u64>) {
        out.extend(self.packed.drain(..));
    }

    /// The same of where names end that OTLP in JSON has for bytes.
    pub fn take_bytes(&mut self, out: &mut impl Extend<u64>) {
        out.extend(self.bytes.drain(..));
    }

    /// Whether a string has begun as compressed bytes do.
    pub fn is_zipped(&self) -> bool {
        self.is_zipped
    }

    pub(super) fn note_embedded(&mut self, raw: &[u8], candidate: Candidate) {
        let start = (candidate.at + 1).checked_sub(TOKEN_RUN).filter(|_| candidate.kinds & TOKEN != 0);
        if let Some(start) = start.filter(|&start| embedded::begins_at(raw, start)) {
            self.embedded.push(self.absolute(start));
        }
    }
}
