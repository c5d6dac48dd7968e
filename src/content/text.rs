//! Text and JSON: the first bytes are judged, then all is redacted.

use super::body::{BodyFormat, Stage};
use super::media::Media;
use super::sse::{LineStage, is_labelled};
use super::utf8::Utf8Check;
use super::{ContentError, sniff};
use crate::redact::{Format, Plan, Redactor, Report};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Judges the first bytes of a text, then redacts it.
pub(super) struct TextStage {
    plan: Arc<Plan>,
    media: Media,
    /// The first bytes, until they suffice to start the redactor.
    head: BytesMut,
    redactor: Option<(Format, Reader)>,
    /// Somebody waits for each byte, and at most so many wait for a text that comes
    /// in pieces.
    prompt: Option<usize>,
    /// `None` for what begins as JSON under a JSON type: a parser of JSON would
    /// not look for another encoding there.
    utf8: Option<Utf8Check>,
    /// Nothing says that it is text: control characters say that it is none.
    doubtful: bool,
}

/// What the rest goes through.
enum Reader {
    Plain(Box<Redactor>),
    /// Lines, with texts that come in pieces.
    Lines(Box<LineStage>),
}

/// Control characters of text: tab, line feed and return, form feed; the bell and
/// the escape of terminals, backspace; the separator of records.
const OF_TEXT: u32 = 1 << 7 | 1 << 8 | 1 << b'\t' | 1 << b'\n' | 1 << 12 | 1 << b'\r' | 1 << 27 | 1 << 30;

impl TextStage {
    pub(super) fn new(plan: &Arc<Plan>, media: Media) -> Self {
        Self {
            plan: Arc::clone(plan),
            media,
            head: BytesMut::new(),
            redactor: None,
            prompt: None,
            utf8: None,
            doubtful: false,
        }
    }

    /// Holds back no more than has to be, if `prompt`, but for up to about `limit` bytes
    /// behind a text that comes in pieces.
    pub(super) fn prompt(mut self, prompt: bool, limit: usize) -> Self {
        self.prompt = prompt.then_some(limit);
        self
    }

    fn start_from_head(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let head = std::mem::take(&mut self.head).freeze();
        self.start(&head)?;
        if head.is_empty() {
            return Ok(());
        }
        self.redact(head, out)
    }

    fn start(&mut self, head: &[u8]) -> Result<(), ContentError> {
        // However the body is cut into chunks, the same bytes are judged.
        let head = &head[..head.len().min(sniff::MAX_PREFIX)];
        if sniff::is_compressed(head) {
            return Err(ContentError::Media);
        }
        if sniff::is_wide(head) {
            // Two bytes of a mark alone may begin anything.
            let is_text = head[..head.len().min(sniff::PREFIX)].contains(&0);
            return Err(if is_text { ContentError::Charset } else { self.not_text() });
        }
        // Where nothing tells, all of the head is white space, or a bracket and
        // white space: too little to be text.
        let begins_json = sniff::begins_json(head).unwrap_or(true);
        let format = match self.media {
            // What is said to be JSON and begins otherwise is read as what it is: a
            // string that is none would hide what stands around it.
            Media::Json if !begins_json && !sniff::is_marked(head) => Format::Text,
            Media::Json => Format::Json,
            Media::Ndjson => Format::Ndjson,
            Media::Text | Media::Unknown => sniff::format(head),
            _ => return Err(ContentError::Media),
        };
        let is_text = matches!(self.media, Media::Text | Media::Unknown) || !begins_json;
        self.utf8 = is_text.then(Utf8Check::default);
        self.doubtful = self.media == Media::Unknown && format == Format::Text;
        self.redactor = Some((format, self.reader(format, head)));
        Ok(())
    }

    fn reader(&self, format: Format, head: &[u8]) -> Reader {
        let labelled = format == Format::Text && is_labelled(head);
        if let Some(limit) = self.prompt.filter(|_| labelled || format == Format::Ndjson) {
            return Reader::Lines(Box::new(LineStage::new(&self.plan, limit, labelled)));
        }
        let mut redactor = Redactor::new(&self.plan, format);
        if self.prompt.is_some() {
            redactor.scan_every(1);
        }
        Reader::Plain(Box::new(redactor))
    }

    fn redact(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.check_text(&chunk)?;
        #[cfg(test)]
        super::fault::strike(&chunk)?;
        match &mut self.redactor {
            Some((_, Reader::Plain(redactor))) => redactor.push(chunk, out)?,
            Some((_, Reader::Lines(lines))) => lines.push(chunk, out)?,
            None => {}
        }
        Ok(())
    }

    /// Compressed bytes and wide encodings whose first bytes do not give them
    /// away are not UTF-8, or hold a NUL.
    fn check_text(&mut self, chunk: &[u8]) -> Result<(), ContentError> {
        let Some(utf8) = &mut self.utf8 else { return Ok(()) };
        if utf8.push(chunk).is_err() {
            return Err(self.not_text());
        }
        if memchr::memchr(0, chunk).is_some() {
            return Err(ContentError::Charset);
        }
        // Messages of binary formats may be UTF-8 by chance; a label would make
        // their lengths wrong.
        if self.doubtful && chunk.iter().any(|&byte| byte < 32 && OF_TEXT >> byte & 1 == 0) {
            return Err(ContentError::Media);
        }
        Ok(())
    }

    /// Without a type that says so, what is not UTF-8 need not be text at all.
    fn not_text(&self) -> ContentError {
        if self.media == Media::Unknown { ContentError::Media } else { ContentError::Charset }
    }
}

impl Stage for TextStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.redactor.is_some() {
            return self.redact(chunk, out);
        }
        // The usual case: the first chunk has all that is needed.
        if self.head.is_empty() && sniff::suffices(&chunk) {
            self.start(&chunk)?;
            return self.redact(chunk, out);
        }
        self.head.extend_from_slice(&chunk);
        if sniff::suffices(&self.head) {
            return self.start_from_head(out);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.redactor.is_none() {
            self.start_from_head(out)?;
        }
        if let Some(utf8) = &self.utf8 {
            utf8.finish().map_err(|_| self.not_text())?;
        }
        match &mut self.redactor {
            Some((_, Reader::Plain(redactor))) => redactor.finish(out)?,
            Some((_, Reader::Lines(lines))) => lines.finish(out)?,
            None => {}
        }
        Ok(())
    }

    fn format(&self) -> Option<BodyFormat> {
        self.redactor.as_ref().map(|(format, _)| BodyFormat::from(*format))
    }

    fn report(&self) -> Report {
        self.redactor.as_ref().map_or_else(Report::default, |(_, reader)| match reader {
            Reader::Plain(redactor) => redactor.report().clone(),
            Reader::Lines(lines) => lines.report(),
        })
    }

    fn held(&self) -> usize {
        let held = |reader: &Reader| match reader {
            Reader::Plain(redactor) => redactor.held(),
            Reader::Lines(lines) => lines.held(),
        };
        self.head.len() + self.redactor.as_ref().map_or(0, |(_, reader)| held(reader))
    }
}
