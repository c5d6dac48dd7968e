//! Recordings of Sentry's replays: which segment it is in a line of JSON, then a list of
//! events, in zlib from most SDKs.
//!
//! ```text
//! {"segment_id":0}
//! 78 9c ...                      or [{"type":3,"data":...}]
//! ```
//!
//! The mark behind the line tells (<https://develop.sentry.dev/sdk/telemetry/replays/>).

use super::ContentError;
use super::body::{BodyFormat, BodyStage, PartRules, Place, Stage};
use super::media::{ContentType, Media};
use super::text::TextStage;
use crate::redact::{Plan, Report};
use bytes::Bytes;
use std::sync::Arc;

/// Takes a recording apart as it streams by.
pub(super) struct RecordingStage {
    line: TextStage,
    is_in_line: bool,
    events: BodyStage,
}

impl RecordingStage {
    /// A stage for a recording that stands at `place`.
    ///
    /// # Errors
    /// As [`BodyStage::new`].
    pub(super) fn new(plan: &Arc<Plan>, rules: &PartRules, place: Place) -> Result<Self, ContentError> {
        let content = ContentType { media: Media::Json, ..ContentType::parse(None) };
        let line_plan = if place.same_length { plan.of_same_length() } else { plan };
        Ok(Self {
            line: TextStage::new(line_plan, Media::Text),
            is_in_line: true,
            events: BodyStage::new(plan, &content, rules, place)?,
        })
    }
}

impl Stage for RecordingStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let mut rest = chunk;
        if self.is_in_line {
            let feed = memchr::memchr(b'\n', &rest);
            let line = rest.split_to(feed.map_or(rest.len(), |feed| feed + 1));
            self.line.push(line, out)?;
            if feed.is_some() {
                self.is_in_line = false;
                self.line.finish(out)?;
            }
        }
        if rest.is_empty() { Ok(()) } else { self.events.push(rest, out) }
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.is_in_line {
            self.line.finish(out)?;
        }
        self.events.finish(out)
    }

    fn format(&self) -> Option<BodyFormat> {
        self.events.format()
    }

    fn report(&self) -> Report {
        let mut report = self.line.report();
        report.add(&self.events.report());
        report
    }

    fn held(&self) -> usize {
        self.line.held() + self.events.held()
    }

    fn passed(&self) -> bool {
        self.events.passed()
    }

    fn is_pending(&self) -> bool {
        self.events.is_pending()
    }

    fn memory(&self) -> u64 {
        self.events.memory()
    }

    fn rewrites(&self) -> bool {
        self.events.rewrites()
    }
}
