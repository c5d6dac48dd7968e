//! A body without its coding: which format it has, and what takes that apart.

use super::ContentError;
use super::media::{ContentType, Media};
use super::text::TextStage;
use crate::redact::{Format, Plan, Report};
use bytes::Bytes;
use std::sync::Arc;

/// What a body turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// JSON, one document or several.
    Json,
    /// JSON, one document per line.
    Ndjson,
    /// Plain text.
    Text,
}

impl BodyFormat {
    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Text => "text",
        }
    }
}

impl From<Format> for BodyFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Ndjson => Self::Ndjson,
            Format::Text => Self::Text,
        }
    }
}

/// A body on its way through what its format asks for.
pub(super) struct BodyStage {
    stage: Stage,
    taken: u64,
    released: u64,
}

/// One variant per way to take a body apart.
enum Stage {
    Text(TextStage),
}

impl BodyStage {
    /// # Errors
    /// When the declared type or charset alone decides.
    pub(super) fn new(plan: &Arc<Plan>, content: &ContentType) -> Result<Self, ContentError> {
        if content.media == Media::Unsupported {
            return Err(ContentError::Media);
        }
        if !content.utf8 {
            return Err(ContentError::Charset);
        }
        Ok(Self { stage: Stage::Text(TextStage::new(plan, content.media)), taken: 0, released: 0 })
    }

    /// Takes the next bytes; appends to `out` what may leave.
    pub(super) fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.taken += chunk.len() as u64;
        let from = out.len();
        match &mut self.stage {
            Stage::Text(text) => text.push(chunk, out)?,
        }
        self.count_released(&out[from..]);
        Ok(())
    }

    /// The body has ended: everything held leaves.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let from = out.len();
        match &mut self.stage {
            Stage::Text(text) => text.finish(out)?,
        }
        self.count_released(&out[from..]);
        Ok(())
    }

    /// The format, once the first bytes have been judged.
    pub(super) fn format(&self) -> Option<BodyFormat> {
        match &self.stage {
            Stage::Text(text) => text.format(),
        }
    }

    /// All counters so far.
    pub(super) fn report(&self) -> Report {
        match &self.stage {
            Stage::Text(text) => text.report(),
        }
    }

    /// Bytes held back now.
    pub(super) fn held(&self) -> usize {
        match &self.stage {
            Stage::Text(text) => text.held(),
        }
    }

    /// Bytes so far: taken in, and released.
    pub(super) fn sizes(&self) -> (u64, u64) {
        (self.taken, self.released)
    }

    fn count_released(&mut self, pieces: &[Bytes]) {
        self.released += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    }
}
