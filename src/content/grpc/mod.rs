//! gRPC: messages, each behind five bytes that tell whether it is compressed and
//! how long it is (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
//!
//! ```text
//! flag: 1 byte | length: 4 bytes, big-endian | message
//! ```
//!
//! A message leaves as soon as it is whole, since its sender may wait for an
//! answer to it. One that is not compressed and fits in the buffer gets labels
//! and a new length; a longer one streams, with masks of the same length. What
//! is compressed has no length before it is compressed again: only that is held,
//! never what it decodes to.

#[cfg(test)]
mod tests;

use super::body::{BodyFormat, Stage};
use super::media::Media;
use super::protobuf::{Message, ProtobufStage};
use super::text::TextStage;
use super::{ContentError, SLICE};
use crate::coding::{Coding, CodingLimits, Decoder, Encoder, Level};
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// What messages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Protocol Buffers.
    Protobuf(Message),
    /// JSON.
    Json,
}

/// How the messages of a body are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// What they hold.
    pub payload: Payload,
    /// Of those that say that they are compressed.
    pub coding: Coding,
    /// What each of those may grow to.
    pub limits: CodingLimits,
    /// At which they are compressed again.
    pub level: Level,
}

/// The most that a message may take when it is compressed again.
pub(super) const LARGEST_COMPRESSED: u64 = 16 * 1024 * 1024;

/// Bytes before a message.
const HEAD: usize = 5;
/// Compressed bytes that are decoded at a time.
const STEP: usize = 4 * 1024;
/// What a message costs beside its bytes, in bytes' worth of time.
const MESSAGE: usize = 256;

/// Takes a body apart into its messages.
pub(super) struct GrpcStage {
    plan: Arc<Plan>,
    messages: Messages,
    /// The most that is held of a message as it is.
    limit: usize,
    /// Pushed, and not looked at yet.
    input: Bytes,
    /// The bytes before the next message, as far as they have come.
    head: BytesMut,
    open: Option<Open>,
    /// Of the messages that have ended.
    report: Report,
    /// Bytes of the compressed ones among them: as they came, and decoded.
    sizes: (u64, u64),
    /// Whether one of them has, or the body.
    judged: bool,
}

/// The message that is being read.
enum Open {
    Plain(Plain),
    Packed(Box<Packed>),
}

/// A message that is not compressed.
struct Plain {
    /// Bytes of it that have to come.
    left: u64,
    length: u64,
    inner: Box<dyn Stage>,
    /// Whether its length has left already.
    exact: bool,
    /// What may leave: of an exact one it has left, and is only counted.
    released: Vec<Bytes>,
    sent: u64,
}

/// A compressed message.
struct Packed {
    left: u64,
    decoder: Decoder,
    inner: Box<dyn Stage>,
    /// The message as it came, unless it is too long to be kept.
    raw: Option<BytesMut>,
    /// Redacted, and not compressed again yet.
    released: Vec<Bytes>,
    waiting: usize,
    encoder: Option<Encoder>,
    encoded: Vec<Bytes>,
    written: u64,
    limit: usize,
    level: Level,
}

impl GrpcStage {
    pub(super) fn new(plan: &Arc<Plan>, messages: Messages, limit: usize) -> Self {
        Self {
            plan: Arc::clone(plan),
            messages,
            limit,
            input: Bytes::new(),
            head: BytesMut::new(),
            open: None,
            report: Report::default(),
            sizes: (0, 0),
            judged: false,
        }
    }

    /// Does about a [`SLICE`] of what there is to do.
    fn advance(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let mut left = SLICE;
        while left > 0 && self.is_pending() {
            let cost = match &mut self.open {
                None => self.begin(out)?,
                Some(Open::Plain(plain)) => plain.take(&mut self.input, out)?,
                Some(Open::Packed(packed)) => packed.take(&mut self.input)?,
            };
            left = left.saturating_sub(cost);
            if self.open.as_ref().is_some_and(Open::is_whole) {
                self.end(out)?;
                left = left.saturating_sub(MESSAGE);
            }
        }
        Ok(())
    }

    /// Reads what stands before a message.
    fn begin(&mut self, out: &mut Vec<Bytes>) -> Result<usize, ContentError> {
        let missing = (HEAD - self.head.len()).min(self.input.len());
        self.head.extend_from_slice(&self.input.split_to(missing));
        let Some(&[flag, a, b, c, d]) = self.head.first_chunk::<HEAD>() else { return Ok(missing) };
        let length = u32::from_be_bytes([a, b, c, d]);
        let head = self.head.split().freeze();
        self.open = match flag {
            0 | 1 if length == 0 => {
                self.judged = true;
                out.push(head);
                return Ok(MESSAGE);
            }
            0 => Some(self.plain(head, length, out)),
            1 if self.messages.coding != Coding::Identity => Some(self.packed(length)?),
            _ => return Err(ContentError::Framing),
        };
        Ok(missing)
    }

    fn plain(&self, head: Bytes, length: u32, out: &mut Vec<Bytes>) -> Open {
        let exact = usize::try_from(length).map_or(true, |length| length > self.limit);
        if exact {
            out.push(head);
        }
        let inner: Box<dyn Stage> = match self.messages.payload {
            // One that keeps nothing streams from its first byte on.
            Payload::Protobuf(message) if exact => Box::new(ProtobufStage::new(&self.plan, message, 0)),
            Payload::Json if exact => Box::new(TextStage::new(self.plan.of_same_length(), Media::Json)),
            _ => self.inner(),
        };
        let length = u64::from(length);
        Open::Plain(Plain { left: length, length, inner, exact, released: Vec::new(), sent: 0 })
    }

    fn packed(&self, length: u32) -> Result<Open, ContentError> {
        let decoder = Decoder::new(self.messages.coding, self.messages.limits)?;
        let mut decoder = decoder.ok_or(ContentError::Framing)?;
        let is_kept = usize::try_from(length).is_ok_and(|length| length <= self.limit);
        if !is_kept {
            // It is compressed again in any case.
            decoder.skip_annotations();
        }
        Ok(Open::Packed(Box::new(Packed {
            left: u64::from(length),
            decoder,
            inner: self.inner(),
            raw: is_kept.then(BytesMut::new),
            released: Vec::new(),
            waiting: 0,
            encoder: None,
            encoded: Vec::new(),
            written: 0,
            limit: self.limit,
            level: self.messages.level,
        })))
    }

    fn inner(&self) -> Box<dyn Stage> {
        match self.messages.payload {
            Payload::Protobuf(message) => Box::new(ProtobufStage::new(&self.plan, message, self.limit)),
            Payload::Json => Box::new(TextStage::new(&self.plan, Media::Json)),
        }
    }

    /// All of the message is there.
    fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let report = match self.open.take() {
            None => return Ok(()),
            Some(Open::Plain(plain)) => plain.finish(out)?,
            Some(Open::Packed(packed)) => {
                let (encoded, decoded) = packed.decoder.sizes();
                self.sizes = (self.sizes.0 + encoded + HEAD as u64, self.sizes.1 + decoded);
                self.messages.limits.check(self.sizes)?;
                packed.finish(out)?
            }
        };
        self.report.add(&report);
        self.judged = true;
        Ok(())
    }
}

impl Stage for GrpcStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if !chunk.is_empty() {
            while self.is_pending() {
                self.advance(out)?;
            }
            self.input = chunk;
        }
        self.advance(out)
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        while self.is_pending() {
            self.advance(out)?;
        }
        self.judged = true;
        if self.open.is_some() || !self.head.is_empty() { Err(ContentError::Framing) } else { Ok(()) }
    }

    fn format(&self) -> Option<BodyFormat> {
        let streams = |open: &Open| matches!(open, Open::Plain(plain) if plain.exact && plain.inner.format().is_some());
        (self.judged || self.open.as_ref().is_some_and(streams)).then_some(BodyFormat::Grpc)
    }

    fn report(&self) -> Report {
        let mut report = self.report.clone();
        match &self.open {
            None => {}
            Some(Open::Plain(plain)) => report.add(&plain.inner.report()),
            Some(Open::Packed(packed)) => report.add(&packed.inner.report()),
        }
        report
    }

    fn held(&self) -> usize {
        self.head.len()
            + match &self.open {
                None => 0,
                Some(Open::Plain(plain)) => plain.held(),
                Some(Open::Packed(packed)) => packed.held(),
            }
    }

    fn is_pending(&self) -> bool {
        let decodes = matches!(&self.open, Some(Open::Packed(packed)) if packed.decoder.is_pending());
        !self.input.is_empty() || decodes
    }

    fn memory(&self) -> u64 {
        let coding = match &self.open {
            Some(Open::Packed(packed)) => {
                packed.decoder.memory() + packed.encoder.as_ref().map_or(0, Encoder::memory) + packed.written
            }
            _ => 0,
        };
        self.held() as u64 + coding
    }
}

impl Open {
    fn is_whole(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.left == 0,
            Self::Packed(packed) => packed.left == 0 && !packed.decoder.is_pending(),
        }
    }
}

/// The next bytes of a message of which so many have to come.
fn next(input: &mut Bytes, left: &mut u64, most: usize) -> Bytes {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len()).min(most);
    *left -= length as u64;
    input.split_to(length)
}

fn length_of(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

fn head(flag: u8, length: u64) -> Result<Bytes, ContentError> {
    let length = u32::try_from(length).map_err(|_| ContentError::Large)?.to_be_bytes();
    Ok(Bytes::copy_from_slice(&[flag, length[0], length[1], length[2], length[3]]))
}

impl Plain {
    fn take(&mut self, input: &mut Bytes, out: &mut Vec<Bytes>) -> Result<usize, ContentError> {
        let piece = next(input, &mut self.left, usize::MAX);
        let cost = piece.len();
        self.inner.push(piece, &mut self.released)?;
        self.release(out);
        Ok(cost)
    }

    /// Lets go of what follows a length that has left.
    fn release(&mut self, out: &mut Vec<Bytes>) {
        if self.exact {
            self.sent += length_of(&self.released) as u64;
            out.append(&mut self.released);
        }
    }

    fn finish(mut self, out: &mut Vec<Bytes>) -> Result<Report, ContentError> {
        self.inner.finish(&mut self.released)?;
        self.release(out);
        if !self.exact {
            out.push(head(0, length_of(&self.released) as u64)?);
            out.append(&mut self.released);
        } else if self.sent != self.length {
            return Err(ContentError::Framing);
        }
        Ok(self.inner.report())
    }

    fn held(&self) -> usize {
        self.inner.held() + length_of(&self.released)
    }
}

impl Packed {
    /// Decodes, redacts and, where it is too long to be held, compresses again.
    fn take(&mut self, input: &mut Bytes) -> Result<usize, ContentError> {
        if !self.decoder.is_pending() {
            let piece = next(input, &mut self.left, STEP);
            if let Some(raw) = &mut self.raw {
                raw.extend_from_slice(&piece);
            }
            self.decoder.push(piece);
        }
        let Some(piece) = self.decoder.next_piece()? else { return Ok(STEP) };
        let (cost, from) = (piece.len(), self.released.len());
        self.inner.push(piece, &mut self.released)?;
        self.waiting += length_of(&self.released[from..]);
        if self.waiting > self.limit {
            self.encode()?;
        }
        Ok(cost.max(STEP))
    }

    fn encode(&mut self) -> Result<(), ContentError> {
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => Encoder::new(self.decoder.wire_format(), self.level, None)?,
        };
        let from = self.encoded.len();
        for piece in self.released.drain(..) {
            encoder.push(&piece, &mut self.encoded)?;
        }
        self.waiting = 0;
        self.encoder = Some(encoder);
        self.count(from)
    }

    fn count(&mut self, from: usize) -> Result<(), ContentError> {
        self.written += length_of(&self.encoded[from..]) as u64;
        if self.written > LARGEST_COMPRESSED { Err(ContentError::Large) } else { Ok(()) }
    }

    fn finish(mut self, out: &mut Vec<Bytes>) -> Result<Report, ContentError> {
        self.decoder.finish()?;
        self.inner.finish(&mut self.released)?;
        let report = self.inner.report();
        if let Some(raw) = self.raw.take().filter(|_| report.changed() == 0 && !self.decoder.is_annotated()) {
            out.push(head(1, raw.len() as u64)?);
            out.push(raw.freeze());
            return Ok(report);
        }
        self.encode()?;
        let from = self.encoded.len();
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(&mut self.encoded)?;
        }
        self.count(from)?;
        out.push(head(1, self.written)?);
        out.append(&mut self.encoded);
        Ok(report)
    }

    fn held(&self) -> usize {
        self.inner.held() + self.waiting + self.raw.as_ref().map_or(0, BytesMut::len)
    }
}
