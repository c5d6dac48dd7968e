//! Protocol Buffers: OTLP by its schema, other messages by what their bytes
//! look like.
//!
//! A message that fits in the buffer is redacted with labels, and every length
//! around a change is written anew ([`tree`]). A larger one streams
//! ([`stream`]): what is found is overwritten byte by byte, so that all lengths
//! stay true. Fields that nobody knows survive byte for byte.

mod classify;
mod guess;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod tree;
mod wire;

use super::ContentError;
use super::body::{BodyFormat, Stage};
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use schema::Schema;
use std::sync::Arc;
use stream::StreamedMessage;

/// What a message is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// An OTLP request to export spans.
    Traces,
    /// An OTLP request to export logs.
    Logs,
    /// An OTLP request to export metrics.
    Metrics,
    /// Lines that are pushed to Loki.
    Lines,
    /// Samples that Prometheus writes to a remote store.
    Samples,
    /// Nothing is known.
    Unknown,
}

impl Message {
    /// What is sent to this path, of HTTP (OTLP 1.8, section "OTLP/HTTP Request")
    /// or of gRPC.
    pub fn of_path(path: &str) -> Self {
        match path.trim_end_matches('/') {
            path if path.ends_with("/v1/traces") || path.ends_with(".trace.v1.TraceService/Export") => Self::Traces,
            path if path.ends_with("/v1/logs") || path.ends_with(".logs.v1.LogsService/Export") => Self::Logs,
            path if path.ends_with("/v1/metrics") || path.ends_with(".metrics.v1.MetricsService/Export") => {
                Self::Metrics
            }
            path if path.ends_with("/loki/api/v1/push") || path.ends_with("/api/prom/push") => Self::Lines,
            path if path.ends_with("/api/v1/write") => Self::Samples,
            _ => Self::Unknown,
        }
    }

    fn schema(self) -> &'static Schema {
        match self {
            Self::Traces => &schema::TRACES,
            Self::Logs => &schema::LOGS,
            Self::Metrics => &schema::METRICS,
            Self::Lines => &schema::LINES,
            Self::Samples => &schema::SAMPLES,
            Self::Unknown => &schema::ANY,
        }
    }
}

/// Takes a message apart: whole, or as it streams by if it is long.
pub(super) struct ProtobufStage {
    plan: Arc<Plan>,
    message: Message,
    /// The most that is held.
    limit: usize,
    held: BytesMut,
    streamed: Option<Box<StreamedMessage>>,
    report: Report,
    /// Whether all of it has come.
    ended: bool,
}

impl ProtobufStage {
    pub(super) fn new(plan: &Arc<Plan>, message: Message, limit: usize) -> Self {
        let (held, report) = (BytesMut::new(), Report::default());
        Self { plan: Arc::clone(plan), message, limit, held, streamed: None, report, ended: false }
    }

    /// From now on the message streams, with what was held of it first.
    fn stream(&mut self, head: Bytes, out: &mut Vec<Bytes>) -> Result<&mut StreamedMessage, ContentError> {
        let streamed = StreamedMessage::new(&self.plan, self.message.schema());
        let streamed = self.streamed.insert(Box::new(streamed));
        streamed.push(head, out)?;
        Ok(streamed)
    }
}

impl Stage for ProtobufStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if let Some(streamed) = &mut self.streamed {
            return streamed.push(chunk, out);
        }
        self.held.extend_from_slice(&chunk);
        if self.held.len() > self.limit {
            let head = self.held.split().freeze();
            self.stream(head, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.ended = true;
        if let Some(streamed) = &mut self.streamed {
            return streamed.finish(out);
        }
        let raw = self.held.split().freeze();
        if let Some(report) = tree::redact(&self.plan, self.message.schema(), &raw, out)? {
            self.report = report;
            return Ok(());
        }
        self.stream(raw, out)?.finish(out)
    }

    fn format(&self) -> Option<BodyFormat> {
        (self.ended || self.streamed.is_some()).then_some(BodyFormat::Protobuf)
    }

    fn report(&self) -> Report {
        self.streamed.as_ref().map_or_else(|| self.report.clone(), |streamed| streamed.report())
    }

    fn held(&self) -> usize {
        self.held.len() + self.streamed.as_ref().map_or(0, |streamed| streamed.held())
    }
}
