//! A body that is compressed without a word of it in its head, as some SDKs for browsers
//! send: its first bytes tell. It is decoded, taken apart as what it then is, and encoded
//! again; what is small and has nothing in it leaves as it came.

use super::body::{BodyFormat, BodyStage, PartRules, Place, Stage};
use super::media::ContentType;
use super::{ContentError, SLICE};
use crate::coding::{Coding, Decoder, LateEncoder, Level};
use crate::redact::{Plan, Report};
use bytes::Bytes;
use std::sync::Arc;

/// Decodes a body on its way in, and encodes it on its way out.
pub(super) struct CodedStage {
    decoder: Decoder,
    body: BodyStage,
    /// Decoded and redacted, not encoded yet.
    released: Vec<Bytes>,
    /// The bytes as they came, as long as they and what they mean are small.
    kept: Option<Vec<Bytes>>,
    /// Bytes of both.
    held: usize,
    limit: usize,
    level: Level,
    encoder: LateEncoder,
    /// It leaves encoded anew, whatever is found.
    is_rewritten: bool,
    /// Within another body, whose length nobody would correct without a finding.
    is_part: bool,
}

impl CodedStage {
    /// A stage for a body in `coding` that stands at `place`.
    ///
    /// # Errors
    /// As [`BodyStage::new`].
    pub(super) fn new(
        plan: &Arc<Plan>,
        content: &ContentType,
        coding: Coding,
        rules: &PartRules,
        place: Place,
    ) -> Result<Self, ContentError> {
        let decoder = Decoder::new(coding, rules.coding)?.ok_or(ContentError::Media)?;
        let body = BodyStage::new(plan, content, rules, Place { decoded: true, ..place })?;
        Ok(Self {
            decoder,
            body,
            released: Vec::new(),
            kept: Some(Vec::new()),
            held: 0,
            limit: rules.limit(),
            level: place.level,
            encoder: LateEncoder::default(),
            is_rewritten: false,
            is_part: place.depth > 0,
        })
    }

    /// Decodes about a [`SLICE`].
    fn advance(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let mut done = 0;
        while done < SLICE {
            let Some(piece) = self.decoder.next_piece()? else { break };
            done += piece.len();
            self.held += piece.len();
            self.body.push(piece, &mut self.released)?;
            self.look_at_size()?;
            if self.kept.is_none() {
                self.encode(out)?;
            }
        }
        Ok(())
    }

    /// What is large leaves while it comes, encoded anew.
    fn look_at_size(&mut self) -> Result<(), ContentError> {
        if self.held > self.limit && self.kept.take().is_some() {
            if self.is_part {
                return Err(ContentError::Large);
            }
            self.is_rewritten = true;
        }
        Ok(())
    }

    fn encode(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        Ok(self.encoder.push((self.decoder.wire_format(), self.level), &mut self.released, out)?)
    }

    /// Decodes all that was pushed.
    fn catch_up(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        while self.decoder.is_pending() {
            self.advance(out)?;
        }
        Ok(())
    }
}

impl Stage for CodedStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if chunk.is_empty() {
            return self.advance(out);
        }
        self.catch_up(out)?;
        if let Some(kept) = &mut self.kept {
            self.held += chunk.len();
            kept.push(chunk.clone());
        }
        self.look_at_size()?;
        self.decoder.push(chunk);
        self.advance(out)
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.catch_up(out)?;
        self.decoder.finish()?;
        self.body.finish(&mut self.released)?;
        let is_clean = self.body.report().changed() == 0 && !self.body.rewrites() && !self.decoder.is_annotated();
        if let Some(kept) = self.kept.take().filter(|_| is_clean) {
            self.released.clear();
            out.extend(kept);
            return Ok(());
        }
        self.encode(out)?;
        Ok(self.encoder.finish((self.decoder.wire_format(), self.level), out)?)
    }

    fn format(&self) -> Option<BodyFormat> {
        self.body.format()
    }

    fn report(&self) -> Report {
        self.body.report()
    }

    fn held(&self) -> usize {
        let kept = self.kept.as_ref().map_or(0, |_| self.held);
        kept + self.body.held()
    }

    fn passed(&self) -> bool {
        self.body.passed()
    }

    fn is_pending(&self) -> bool {
        self.decoder.is_pending()
    }

    fn memory(&self) -> u64 {
        self.decoder.memory() + self.encoder.memory() + self.body.memory()
    }

    fn rewrites(&self) -> bool {
        self.is_rewritten || self.decoder.is_annotated() || self.body.rewrites()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::rig::{decoded, encoded};
    use crate::coding::{CodingError, CodingLimits, WireFormat};
    use crate::content::{Delivery, Pipeline, Released};
    use crate::redact::rig::PLAN;

    const LIMITS: CodingLimits = CodingLimits { max_decoded: 4 << 20, max_ratio: 100 };
    const LIMIT: u64 = 1 << 16;
    const FORMS: [(Coding, WireFormat); 3] =
        [(Coding::Gzip, WireFormat::Gzip), (Coding::Deflate, WireFormat::Zlib), (Coding::Zstd, WireFormat::Zstd)];

    /// What leaves, and whether that is not what came.
    fn run(kind: Option<&str>, coding: Coding, body: &[u8], cut: usize) -> Result<(Vec<u8>, bool), ContentError> {
        let content = ContentType::parse(kind.map(str::as_bytes));
        let rules =
            PartRules { limit: LIMIT, pass: Arc::default(), media: Arc::default(), formats: None, coding: LIMITS };
        let mut pipeline = Pipeline::new(&PLAN, &content, coding, LIMITS, Delivery::Streaming(Level::Fast), &rules)?;
        let mut out = Released::default();
        for chunk in body.chunks(cut) {
            pipeline.push(Bytes::copy_from_slice(chunk), &mut out)?;
            while pipeline.is_pending() {
                pipeline.push(Bytes::new(), &mut out)?;
            }
            assert!(pipeline.held() < 300 << 10, "{}", pipeline.held());
        }
        pipeline.finish(&mut out)?;
        Ok((out.concat(), pipeline.changes()))
    }

    #[test]
    fn what_is_compressed_without_a_word_of_it_is_redacted_in_its_coding() {
        let kinds = [None, Some("text/plain"), Some("application/json"), Some("application/octet-stream")];
        for (coding, form) in FORMS {
            let dirty = encoded(form, br#"{"email": "bob@example.com", "n": [1, 2, 3]}"#);
            let clean = encoded(form, br#"{"email": "nobody", "n": [1, 2, 3]}"#);
            for kind in kinds {
                for cut in 1..=dirty.len() {
                    let (out, changed) = run(kind, Coding::Identity, &dirty, cut).unwrap();
                    let text = decoded(coding, &out);
                    assert_eq!(text, br#"{"email": "[EMAIL_ADDRESS]", "n": [1, 2, 3]}"#, "{form:?} {kind:?}");
                    assert!(changed);
                    assert_eq!(run(kind, Coding::Identity, &clean, cut).unwrap(), (clean.clone(), false));
                }
            }
        }
        let form = encoded(WireFormat::Gzip, b"mail=bob%40example.com&a=b");
        let (out, _) = run(Some("application/x-www-form-urlencoded"), Coding::Identity, &form, 7).unwrap();
        assert_eq!(decoded(Coding::Gzip, &out), b"mail=%5BEMAIL_ADDRESS%5D&a=b");
    }

    #[test]
    fn a_large_one_streams_and_is_known_to_be_written_anew() {
        let lines: Vec<String> =
            (0..40_000).map(|n| format!("{{\"n\": {n}, \"id\": \"{:x}\"}}\n", n * 2_654_435_761_u64)).collect();
        for (coding, form) in FORMS {
            for last in ["nobody", "bob@example.com"] {
                let text = format!("{}{{\"email\": \"{last}\"}}\n", lines.concat());
                let wire = encoded(form, text.as_bytes());
                assert!(wire.len() as u64 > LIMIT);
                let (out, changed) = run(Some("text/plain"), Coding::Identity, &wire, 4096).unwrap();
                let expected = text.replace("bob@example.com", "[EMAIL_ADDRESS]");
                assert!(decoded(coding, &out) == expected.as_bytes() && changed, "{form:?}");
            }
        }
    }

    #[test]
    fn bombs_broken_ones_and_two_codings_are_refused() {
        for (coding, form) in FORMS {
            let bomb = encoded(form, &vec![b' '; 64 << 20]);
            let refused = run(None, Coding::Identity, &bomb, 1 << 16).unwrap_err();
            assert_eq!(refused, ContentError::Coding(CodingError::TooLarge), "{form:?}");
            let whole = encoded(form, br#"{"email": "bob@example.com"}"#);
            for broken in [&whole[..whole.len() - 2], &[&whole[..], b"{}"].concat()] {
                assert!(matches!(run(None, Coding::Identity, broken, 9), Err(ContentError::Coding(_))), "{form:?}");
            }
            let twice = encoded(form, &whole);
            assert_eq!(run(None, coding, &twice, 9).unwrap_err(), ContentError::Media);
            assert_eq!(run(None, Coding::Identity, &twice, 9).unwrap_err(), ContentError::Media);
        }
    }
}
