//! What is redacted as a text first, and of what comes of it each value once more, under
//! the name of its column.

use super::ContentError;
use super::body::{BodyFormat, Stage};
use super::projection::Projection;
use super::text::TextStage;
use crate::redact::Report;
use bytes::Bytes;

/// Looks at values under their names.
pub(super) trait Columns: Send {
    /// Takes what was redacted as a text.
    fn push(&mut self, piece: Bytes);
    /// Nothing follows.
    fn finish(&mut self);
    /// Where the values are redacted.
    fn projection(&self) -> &Projection;
    /// The same, to hand something on.
    fn projection_mut(&mut self) -> &mut Projection;
    /// Bytes held beside those of the projection.
    fn held(&self) -> usize;
}

/// Takes rows apart as they stream by.
pub(super) struct ColumnsStage<C> {
    text: TextStage,
    columns: C,
    prompt: bool,
    /// What was redacted as a text; empty between calls.
    released: Vec<Bytes>,
}

impl<C: Columns> ColumnsStage<C> {
    /// A stage for one body, behind `text`, which redacts all of it.
    pub(super) fn behind(text: TextStage, columns: C, prompt: bool) -> Self {
        Self { text, columns, prompt, released: Vec::new() }
    }

    /// Looks at the columns of what was redacted as a text.
    fn pass(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.released.drain(..).for_each(|piece| self.columns.push(piece));
        let projection = self.columns.projection_mut();
        match self.prompt {
            true => projection.flush(&mut |piece| out.push(piece.into_bytes())),
            false => projection.advance_to(out),
        }
    }
}

impl<C: Columns> Stage for ColumnsStage<C> {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.text.push(chunk, &mut self.released)?;
        self.pass(out)
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.text.finish(&mut self.released)?;
        self.pass(out)?;
        self.columns.finish();
        self.columns.projection_mut().finish_to(out)
    }

    fn format(&self) -> Option<BodyFormat> {
        self.text.format()
    }

    fn report(&self) -> Report {
        let mut report = self.text.report();
        // It was counted there.
        report.add(&Report { scanned: 0, ..self.columns.projection().report().clone() });
        report
    }

    fn held(&self) -> usize {
        self.columns.projection().held() + self.columns.held() + self.text.held()
    }
}
