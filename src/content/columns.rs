//! What is redacted as a text first, and of what comes of it each value once more, under
//! the name of its column.

use super::ContentError;
use super::body::{BodyFormat, Stage};
use super::projection::Projection;
use super::spelling::Spelling;
use super::text::TextStage;
use crate::redact::{Plan, Report};
use bytes::Bytes;
use std::sync::Arc;

/// Where values are redacted, those of a row as members of one object.
pub(super) struct Record {
    pub(super) projection: Projection,
    /// An object is open.
    is_open: bool,
    /// The place of its last value.
    field: usize,
}

impl Record {
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        Self { projection: Projection::new(plan), is_open: false, field: 0 }
    }

    /// A value comes next, under this name as it stands in JSON.
    pub(super) fn begin(&mut self, name: &[u8]) {
        self.projection.syntax(if self.is_open { b",\"" } else { b"{\"" });
        self.projection.syntax(name);
        self.projection.syntax(b"\":");
        self.is_open = true;
        self.field += 1;
    }

    /// A piece of the text that the value is.
    pub(super) fn text(&mut self, piece: Bytes, spelling: Spelling) {
        self.projection.text(self.field, piece, spelling);
    }

    /// The number that the value is, written so and meaning `number`.
    pub(super) fn number(&mut self, raw: Bytes, number: &str) {
        self.projection.number(self.field, raw, number, Some(Bytes::from_static(b"0")));
    }

    /// The row has ended.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.projection.syntax(b"}\n");
        }
    }
}

/// Looks at values under their names.
pub(super) trait Columns: Send {
    /// Takes what was redacted as a text.
    fn push(&mut self, piece: Bytes);
    /// Nothing follows.
    fn finish(&mut self);
    /// Where the values are redacted.
    fn record(&self) -> &Record;
    /// The same, to hand something on.
    fn record_mut(&mut self) -> &mut Record;
    /// Bytes held beside those of the record.
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
        let projection = &mut self.columns.record_mut().projection;
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
        self.columns.record_mut().projection.finish_to(out)
    }

    fn format(&self) -> Option<BodyFormat> {
        self.text.format()
    }

    fn report(&self) -> Report {
        let mut report = self.text.report();
        // It was counted there.
        report.add(&Report { scanned: 0, ..self.columns.record().projection.report().clone() });
        report
    }

    fn held(&self) -> usize {
        self.columns.record().projection.held() + self.columns.held() + self.text.held()
    }
}
