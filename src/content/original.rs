//! Encoded bytes that leave as they came, while what they mean is looked at.
//!
//! ```text
//!          left      settled               taken
//! ---------|-----------|---------------------|   bytes of the wire
//!   gone   |   leave   |<-- LAG, or held  -->|
//! ```
//!
//! Invariant: what has left, however it is decoded, means nothing that the
//! redactor has not released.

use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;

/// What a decoder may have taken without a sign of what it means: a block of
/// zstd (RFC 8878, section 3.1.1.2.4) and what stands before one, codes and bits
/// of the others. So many bytes behind it, all of it is decoded.
const LAG: u64 = 129 * 1024;

/// Marks are not closer than this, so that their number is bounded.
const STEP: u64 = 1024;

/// The bytes of the wire that have not left.
#[derive(Default)]
pub(super) struct Original {
    waiting: BytesMut,
    /// Where they begin.
    left: u64,
    /// Where the decoder had nothing more to give: bytes taken, and given until
    /// then. Those that are not settled, in order.
    marks: VecDeque<(u64, u64)>,
    /// The last mark of which all that was given is released.
    settled: u64,
}

impl Original {
    /// More of the wire, that the decoder takes too.
    pub(super) fn take(&mut self, wire: &[u8]) {
        self.waiting.extend_from_slice(wire);
    }

    /// The decoder has given all that it can of what it took.
    pub(super) fn mark(&mut self, mark: (u64, u64)) {
        let before = self.marks.len().checked_sub(2).map_or(self.settled, |at| self.marks[at].0);
        if mark.0 < before + STEP {
            // The later one says more.
            self.marks.pop_back();
        }
        self.marks.push_back(mark);
    }

    /// `released` bytes of what was decoded are settled: moves to `out` what may
    /// leave.
    pub(super) fn release(&mut self, released: u64, out: &mut Vec<Bytes>) {
        while let Some((taken, _)) = self.marks.front().copied().filter(|(_, given)| *given <= released) {
            self.settled = taken;
            self.marks.pop_front();
        }
        let free = self.settled.saturating_sub(LAG).saturating_sub(self.left);
        if let Some(free) = usize::try_from(free).ok().filter(|&free| free > 0) {
            self.leave(free, out);
        }
    }

    /// The body has ended, and all of it may leave.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) {
        self.leave(self.waiting.len(), out);
    }

    pub(super) fn memory(&self) -> u64 {
        self.waiting.capacity() as u64
    }

    fn leave(&mut self, bytes: usize, out: &mut Vec<Bytes>) {
        // A copy, so that what waits for a slow upstream does not keep all of this.
        let bytes = bytes.min(self.waiting.len());
        let leaving = Bytes::copy_from_slice(&self.waiting[..bytes]);
        self.waiting.advance(bytes);
        self.left += leaving.len() as u64;
        if !leaving.is_empty() {
            out.push(leaving);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::rig::FORMS;
    use crate::coding::{Coding, CodingLimits, Decoder, Encoder, Level, WireFormat};
    use crate::content::{ContentType, Delivery, PartRules, Pipeline, Released};
    use crate::redact::rig::PLAN;

    const LIMITS: CodingLimits = CodingLimits { max_decoded: 64 << 20, max_ratio: 1000 };

    /// JSON that compresses to `share` of itself, more or less, with `last` as its
    /// last text.
    fn json(size: usize, share: u64, last: &str) -> Vec<u8> {
        let mut state = 1_u64;
        let mut text = b"[".to_vec();
        while text.len() < size {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let word = if state >> 33 & 7 < share { state >> 20 } else { 7 };
            text.extend(format!("\"{word:x}\",").bytes());
        }
        text.extend(format!("\"{last}\"]").bytes());
        text
    }

    fn encode(form: WireFormat, text: &[u8]) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::new(form, Level::Fast, None).unwrap(), Vec::new());
        text.chunks(4096).for_each(|chunk| encoder.push(chunk, &mut out).unwrap());
        encoder.finish(&mut out).unwrap();
        out.concat()
    }

    /// What so many bytes of the wire tell whoever has no more of them.
    fn told(coding: Coding, wire: &[u8]) -> u64 {
        let mut decoder = Decoder::new(coding, LIMITS).unwrap().unwrap();
        decoder.push(Bytes::copy_from_slice(wire));
        while decoder.next_piece().unwrap().is_some() {}
        decoder.sizes().1
    }

    /// What left of a body, and whether it ended well; nothing ever told more than
    /// was released.
    fn run(coding: Coding, wire: &[u8], step: usize) -> (Vec<u8>, bool) {
        let content = ContentType::parse(Some(b"application/json"));
        let parts = PartRules {
            limit: 1 << 16,
            pass: Default::default(),
            media: Default::default(),
            formats: None,
            coding: CodingLimits::NONE,
        };
        let mut pipeline = Pipeline::new(&PLAN, &content, coding, LIMITS, Delivery::Original, &parts).unwrap();
        let (mut out, mut seen) = (Released::default(), 0);
        for chunk in wire.chunks(step) {
            pipeline.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            while pipeline.is_pending() {
                pipeline.push(Bytes::new(), &mut out).unwrap();
            }
            let left: usize = out.iter().map(Bytes::len).sum();
            if left >= seen + (64 << 10) {
                seen = left;
                assert!(told(coding, &wire[..left]) <= pipeline.decoded().1, "{coding:?} {left}");
            }
            assert!(pipeline.memory() < (17 << 20));
        }
        pipeline.finish(&mut out).unwrap();
        (out.concat(), !pipeline.changes())
    }

    #[test]
    fn a_clean_body_leaves_byte_for_byte_and_before_its_end() {
        for (coding, form) in FORMS {
            for (share, step) in [(8, 4096), (8, 7), (1, 4096)] {
                let size = if step == 7 { 400_000 } else { 3_000_000 };
                let wire = encode(form, &json(size, share, "x"));
                let (left, is_clean) = run(coding, &wire, step);
                assert!(is_clean && left == wire, "{form:?} {share} {step}");
            }
        }
    }

    #[test]
    fn nothing_leaves_of_what_may_hold_the_finding() {
        for (coding, form) in FORMS {
            let wire = encode(form, &json(3_000_000, 8, "jane.doe@example.com"));
            let (left, is_clean) = run(coding, &wire, 4096);
            assert!(!is_clean && !left.is_empty() && wire.starts_with(&left), "{form:?}");
            assert!(wire.len() - left.len() > 128 << 10, "{form:?}");
        }
    }

    /// A frame of zstd whose blocks are stored as they are (RFC 8878, section
    /// 3.1.1.2.2): whoever reads the wire reads the text.
    #[test]
    fn a_stored_block_with_a_finding_stays_as_a_whole() {
        let mut text = json(500_000, 8, "jane.doe@example.com");
        text.resize(text.len() + 200_000, b' ');
        let mut wire = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0, 0x58]].concat();
        let blocks = text.chunks(128 << 10).count();
        for (index, block) in text.chunks(128 << 10).enumerate() {
            let header = u32::try_from(block.len()).unwrap() << 3 | u32::from(index + 1 == blocks);
            wire.extend(&header.to_le_bytes()[..3]);
            wire.extend(block);
        }
        for step in [4096, 100_000] {
            let (left, is_clean) = run(Coding::Zstd, &wire, step);
            assert!(!is_clean && !left.is_empty() && !left.windows(8).any(|window| window == b"jane.doe"));
        }
    }
}
