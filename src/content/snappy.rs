//! Snappy's block format, in which Prometheus writes to a remote store and agents push to
//! Loki: one block is the body.
//!
//! A block refers back to all of itself, so it is held whole. Without a word of it in the
//! head its first bytes may tell: the length of what it means, then a literal.
//!
//! Format: <https://github.com/google/snappy/blob/main/format_description.txt>

use super::ContentError;
use super::body::{BodyFormat, BodyStage, PartRules, Place, Stage};
use super::media::ContentType;
use crate::coding::CodingError;
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Decoded bytes per encoded one, at most: a copy of 64 bytes takes three.
const MOST_PER_BYTE: usize = 22;
/// Decoded bytes per byte of the limit for what is held.
const MOST_PER_LIMIT: usize = 16;

/// Holds a block, and redacts what it means.
pub(super) struct SnappyStage {
    body: BodyStage,
    held: BytesMut,
    rules: PartRules,
    doubt: Doubt,
}

/// Whether it is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// The head says so.
    Said,
    /// It may be what it is said to be, and no block.
    Open,
    /// It is none.
    None,
}

impl SnappyStage {
    /// A stage for what is a block of `content`; perhaps, if nobody `said` so.
    ///
    /// # Errors
    /// As [`BodyStage::new`].
    pub(super) fn new(
        plan: &Arc<Plan>,
        content: &ContentType,
        rules: &PartRules,
        place: Place,
        said: bool,
    ) -> Result<Self, ContentError> {
        let body = BodyStage::new(plan, &content.clone().plain(), rules, Place { decoded: true, ..place })?;
        let doubt = if said { Doubt::Said } else { Doubt::Open };
        Ok(Self { body, held: BytesMut::new(), rules: rules.clone(), doubt })
    }

    /// What the block means; `None` where it is none and need not be.
    fn decoded(&self) -> Result<Option<Vec<u8>>, ContentError> {
        let is_open = self.doubt == Doubt::Open;
        let corrupt = |_| ContentError::Coding(CodingError::Corrupt);
        let size = match snap::raw::decompress_len(&self.held) {
            Ok(size) if size <= self.held.len().saturating_mul(MOST_PER_BYTE) => size,
            _ if is_open => return Ok(None),
            _ => return Err(CodingError::Corrupt.into()),
        };
        self.rules.coding.check((self.held.len() as u64, size as u64))?;
        if size > self.rules.limit().saturating_mul(MOST_PER_LIMIT) {
            return Err(CodingError::TooLarge.into());
        }
        match snap::raw::Decoder::new().decompress_vec(&self.held) {
            Err(_) if is_open => Ok(None),
            decoded => decoded.map(Some).map_err(corrupt),
        }
    }
}

impl Stage for SnappyStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.doubt == Doubt::None {
            return self.body.push(chunk, out);
        }
        self.held.extend_from_slice(&chunk);
        let means = || snap::raw::decompress_len(&self.held).unwrap_or(0);
        if self.doubt == Doubt::Open && self.held.len() > snap::raw::max_compress_len(means()) {
            self.doubt = Doubt::None;
            return self.body.push(self.held.split().freeze(), out);
        }
        if self.held.len() > self.rules.limit() { Err(ContentError::Large) } else { Ok(()) }
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.doubt == Doubt::None {
            return self.body.finish(out);
        }
        let Some(text) = self.decoded()? else {
            self.doubt = Doubt::None;
            self.body.push(self.held.split().freeze(), out)?;
            return self.body.finish(out);
        };
        let mut released = Vec::new();
        self.body.push(text.into(), &mut released)?;
        self.body.finish(&mut released)?;
        if self.body.report().changed() == 0 && !self.body.rewrites() {
            out.push(self.held.split().freeze());
            return Ok(());
        }
        let library = |_| ContentError::Coding(CodingError::Library);
        self.held.clear();
        out.push(snap::raw::Encoder::new().compress_vec(&released.concat()).map_err(library)?.into());
        Ok(())
    }

    fn format(&self) -> Option<BodyFormat> {
        self.body.format()
    }

    fn report(&self) -> Report {
        self.body.report()
    }

    fn held(&self) -> usize {
        self.held.len() + self.body.held()
    }

    fn passed(&self) -> bool {
        self.body.passed()
    }

    fn is_pending(&self) -> bool {
        self.body.is_pending()
    }

    fn memory(&self) -> u64 {
        self.body.memory()
    }

    fn rewrites(&self) -> bool {
        self.body.rewrites()
    }
}

/// Whether what is said to be a message of protobuf may be a block that holds one: it begins
/// with the length of more than it could be by itself, then with a literal that begins as
/// messages do whose first field is the first. `None` while that is not known.
pub(super) fn may_begin(head: &[u8]) -> Option<bool> {
    /// The key of the first field, if it has a length.
    const FIRST: u8 = 0x0a;
    let Some(length) = head.iter().take(5).position(|byte| byte & 0x80 == 0) else {
        return if head.len() >= 5 { Some(false) } else { None };
    };
    let &tag = head.get(length + 1)?;
    // The length of a long literal stands in the bytes behind its tag.
    let more = usize::from((tag >> 2).saturating_sub(59));
    let first = *head.get(length + 2 + more)?;
    Some(head[0] != FIRST && tag & 3 == 0 && first == FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::CodingLimits;
    use crate::redact::rig::PLAN;

    fn rules(limit: u64) -> PartRules {
        let coding = CodingLimits { max_decoded: 1 << 24, max_ratio: 100 };
        PartRules { limit, pass: Arc::default(), media: Arc::default(), formats: None, coding }
    }

    fn run(kind: &str, said: bool, body: &[u8], cut: usize) -> Result<(Vec<u8>, u64), ContentError> {
        let content = ContentType::parse(Some(kind.as_bytes())).sent_to("/loki/api/v1/push");
        let content = if said { content.in_snappy() } else { content };
        let mut stage = BodyStage::new(&PLAN, &content, &rules(1 << 16), Place::default())?;
        let mut out = Vec::new();
        for chunk in body.chunks(cut) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out)?;
        }
        stage.finish(&mut out)?;
        Ok((out.concat(), stage.report().changed()))
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(text).unwrap()
    }

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let mut length = Vec::new();
        let mut left = value.len();
        while left >= 0x80 {
            length.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
            left >>= 7;
        }
        length.push(u8::try_from(left).unwrap());
        [&[number << 3 | 2][..], &length, value].concat()
    }

    /// What an agent pushes to Loki.
    fn push(line: &str) -> Vec<u8> {
        let entry =
            |line: &str| field(2, &[field(1, &[8, 0xb1, 0xd9, 0xa3, 0xb0, 6]), field(2, line.as_bytes())].concat());
        let stream = [field(1, br#"{app="chat", env="dev"}"#), entry(line), entry(&"a long line ".repeat(40))].concat();
        field(1, &stream)
    }

    #[test]
    fn a_block_is_redacted_whether_the_head_says_so_or_not() {
        let block = packed(&push("user=bob@example.com in"));
        for said in [true, false] {
            for cut in 1..=block.len() {
                let (out, changed) = run("application/x-protobuf", said, &block, cut).unwrap();
                let text = snap::raw::Decoder::new().decompress_vec(&out).unwrap();
                assert_eq!((text, changed), (push("user=[EMAIL_ADDRESS] in"), 1));
                let clean = packed(&push("nobody in"));
                assert_eq!(run("application/x-protobuf", said, &clean, cut).unwrap(), (clean, 0));
            }
        }
        let json = packed(br#"{"streams": [{"values": [["1", "bob@example.com"]]}]}"#);
        let (out, _) = run("application/json", true, &json, 5).unwrap();
        let text = snap::raw::Decoder::new().decompress_vec(&out).unwrap();
        assert_eq!(text, br#"{"streams": [{"values": [["1", "[EMAIL_ADDRESS]"]]}]}"#);
    }

    #[test]
    fn what_is_no_block_is_what_it_is_said_to_be() {
        let plain = push("user=bob@example.com in");
        for cut in 1..=plain.len() {
            assert_eq!(run("application/x-protobuf", false, &plain, cut).unwrap().0, push("user=[EMAIL_ADDRESS] in"));
            assert!(matches!(run("application/x-protobuf", true, &plain, cut), Err(ContentError::Coding(_))));
        }
        // A number, then a message: as a block it would mean sixteen bytes.
        let long = [&[0x10, 0x04][..], &push(&"bob@example.com ".repeat(8000))].concat();
        for cut in [13, 1 << 20] {
            let (out, changed) = run("application/x-protobuf", false, &long, cut).unwrap();
            assert!(out.len() == long.len() && changed > 100, "{changed}");
        }
    }

    #[test]
    fn broken_large_and_lying_blocks_are_refused() {
        let whole = packed(&push("bob@example.com"));
        for body in [&whole[..whole.len() - 3], b"\xff\xff\xff\xff\x0f\x00\x0a", b"\xff\xff\xff\xff\xff\xff"] {
            let refused = run("application/x-protobuf", true, body, 9);
            assert!(matches!(refused, Err(ContentError::Coding(CodingError::Corrupt))), "{refused:?}");
        }
        let zeros = packed(&vec![b' '; 3 << 20]);
        assert!(matches!(
            run("text/plain", true, &zeros, 1 << 20),
            Err(ContentError::Large | ContentError::Coding(CodingError::TooLarge))
        ));
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0] & 63 | 64
        })
        .take(100_000)
        .collect();
        assert_eq!(run("text/plain", true, &packed(&noise), 1 << 20).unwrap_err(), ContentError::Large);
    }
}
