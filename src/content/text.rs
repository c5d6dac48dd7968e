//! Text and JSON: the first bytes are judged, then all is redacted.

use super::body::{BodyFormat, Stage};
use super::media::Media;
use super::sse::{JUDGED, LineStage, have_pieces, is_labelled};
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
    /// Somebody waits for each byte.
    prompt: bool,
    /// At most so many bytes wait for a text that comes in pieces.
    limit: usize,
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
    /// The first ones, which tell whether there are any.
    Undecided(BytesMut),
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
            prompt: false,
            limit: 0,
            utf8: None,
            doubtful: false,
        }
    }

    /// Holds back no more than has to be, if `prompt`; and up to about `limit` bytes behind
    /// a text that comes in pieces, of which none are looked for without.
    pub(super) fn prompt(self, prompt: bool, limit: usize) -> Self {
        Self { prompt, limit, ..self }
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
        match format {
            _ if labelled && self.limit > 0 => self.lines(true),
            Format::Ndjson if self.limit > 0 && self.prompt => self.lines(false),
            Format::Ndjson if self.limit > 0 => Reader::Undecided(BytesMut::new()),
            _ => self.plain(format),
        }
    }

    fn plain(&self, format: Format) -> Reader {
        let mut redactor = Redactor::new(&self.plan, format);
        if self.prompt {
            redactor.scan_every(1);
        }
        Reader::Plain(Box::new(redactor))
    }

    fn lines(&self, labelled: bool) -> Reader {
        let lines = LineStage::new(&self.plan, self.limit, labelled);
        Reader::Lines(Box::new(lines.gathering(self.prompt)))
    }

    /// Decides by the first lines, which then go on.
    fn decide(&mut self, format: Format, head: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let reader = if have_pieces(&head) { self.lines(false) } else { self.plain(format) };
        let (_, reader) = self.redactor.insert((format, reader));
        match reader {
            Reader::Plain(redactor) => redactor.push(head, out)?,
            Reader::Lines(lines) => lines.push(head, out)?,
            Reader::Undecided(_) => {}
        }
        Ok(())
    }

    fn redact(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.check_text(&chunk)?;
        #[cfg(test)]
        super::fault::strike(&chunk)?;
        match &mut self.redactor {
            Some((_, Reader::Plain(redactor))) => redactor.push(chunk, out)?,
            Some((_, Reader::Lines(lines))) => lines.push(chunk, out)?,
            Some((format, Reader::Undecided(held))) => {
                // The usual case: it has all that is looked at.
                let head = if held.is_empty() && chunk.len() >= JUDGED {
                    chunk
                } else {
                    held.extend_from_slice(&chunk);
                    if held.len() < JUDGED {
                        return Ok(());
                    }
                    held.split().freeze()
                };
                let format = *format;
                self.decide(format, head, out)?;
            }
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
        if let Some((format, Reader::Undecided(held))) = &mut self.redactor {
            let (format, head) = (*format, held.split().freeze());
            self.decide(format, head, out)?;
        }
        match &mut self.redactor {
            Some((_, Reader::Plain(redactor))) => redactor.finish(out)?,
            Some((_, Reader::Lines(lines))) => lines.finish(out)?,
            Some((_, Reader::Undecided(_))) | None => {}
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
            Reader::Undecided(_) => Report::default(),
        })
    }

    fn held(&self) -> usize {
        let held = |reader: &Reader| match reader {
            Reader::Plain(redactor) => redactor.held(),
            Reader::Lines(lines) => lines.held(),
            Reader::Undecided(held) => held.len(),
        };
        self.head.len() + self.redactor.as_ref().map_or(0, |(_, reader)| held(reader))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::rig::PLAN;

    fn run<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut stage = TextStage::new(&PLAN, Media::Ndjson).prompt(false, limit);
        let (mut out, mut most) = (Vec::new(), 0);
        for chunk in chunks {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            most = most.max(stage.held());
        }
        stage.finish(&mut out).unwrap();
        assert!(stage.held() == 0 && most < 200 << 10, "{most}");
        String::from_utf8(out.concat()).unwrap()
    }

    #[test]
    fn pieces_of_a_recorded_stream_are_one_text() {
        let line = |piece: &str| format!("{{\"type\":\"content_block_delta\",\"delta\":{{\"text\":\"{piece}\"}}}}\n");
        let lines = |pieces: [&str; 3]| {
            format!("{{\"type\":\"message_start\"}}\n{}{{\"type\":\"message_stop\"}}\n", pieces.map(line).concat())
        };
        let stream = lines(["to kate@ex", "ample.com, or", " bob@example.com"]);
        let expected = lines(["to [EMAIL_ADDRESS]", ", or", " [EMAIL_ADDRESS]"]);
        for at in 0..=stream.len() {
            let (one, other) = stream.as_bytes().split_at(at);
            assert_eq!(run(1 << 18, [one, other]), expected, "cut at {at}");
        }
        assert_eq!(run(1 << 18, stream.as_bytes().chunks(1)), expected);
        // Where lengths have to stay.
        assert_eq!(run(0, [stream.as_bytes()]), stream.replace("bob@example.com", "[EMAIL_ADDRESS]"));
        let long = stream.repeat(2000);
        for size in [1 << 20, JUDGED, 4096, 997] {
            assert!(run(1 << 18, long.as_bytes().chunks(size)) == expected.repeat(2000), "by {size}");
        }
    }

    #[test]
    fn lines_without_pieces_are_redacted_as_ever() {
        let record = "{\"prompt\":\"to kate@ex\",\"completion\":\"ample.com\",\"mail\":\"bob@example.com\"}\n";
        let expected = record.replace("bob@example.com", "[EMAIL_ADDRESS]");
        for times in [1, 3, 2000] {
            for size in [1 << 20, JUDGED, JUDGED - 1, 97] {
                let out = run(1 << 18, record.repeat(times).as_bytes().chunks(size));
                assert!(out == expected.repeat(times), "{times} by {size}");
            }
        }
        // The first ones tell.
        let late = record.repeat(300) + "{\"delta\":\"to kate@ex\"}\n{\"delta\":\"ample.com\"}\n";
        for size in [1 << 20, 97] {
            assert!(run(1 << 18, late.as_bytes().chunks(size)).ends_with(&late[late.len() - 40..]));
        }
    }
}
