//! A part of a body, with a head before it that may declare its length.

use super::ContentError;
use super::body::{BodyStage, DEEPEST, PartRules, Place, Stage};
use super::media::{ContentType, Media};
use super::projection::Projection;
use super::sniff;
use super::spelling::{Spelling, escape};
use super::text::TextStage;
use super::utf8::Utf8Check;
use crate::coding::Coding;
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// What a part's head says, and itself redacted.
pub(super) struct Head {
    pub(super) content: ContentType,
    /// The name of a form's field, redacted.
    pub(super) field: Option<Vec<u8>>,
    /// Every length that is declared.
    pub(super) lengths: Vec<u64>,
    /// What its file's name says that it is, where no type is declared.
    pub(super) named: Option<&'static str>,
    /// The part's own coding.
    pub(super) coding: Coding,
    /// Whether it has one that is not undone.
    pub(super) coded: bool,
    /// What was found in the head.
    pub(super) report: Report,
    pub(super) written: Vec<Written>,
}

/// A piece of a head as it leaves.
pub(super) enum Written {
    Bytes(Bytes),
    /// A declared length, as it came.
    Length(Bytes),
}

impl Head {
    /// The head with this number in place of each declared length, or as it is.
    pub(super) fn write(&self, length: Option<u64>, out: &mut Vec<Bytes>) {
        out.extend(self.written.iter().map(|written| match (written, length) {
            (Written::Length(_), Some(length)) => Bytes::from(length.to_string()),
            (Written::Bytes(bytes) | Written::Length(bytes), _) => bytes.clone(),
        }));
    }
}

/// What all parts of a body have in common.
#[derive(Clone)]
struct Setting {
    plan: Arc<Plan>,
    rules: PartRules,
    /// How deep the parts are.
    depth: u8,
}

/// One part, or text between parts.
enum Part {
    /// By its type, as the route says.
    Passed,
    /// Of a type that passes unless it is text: waits for its first bytes.
    Unsure(Box<Unsure>),
    Text(Box<TextStage>),
    Field(Box<Field>),
    Body(Box<BodyStage>),
    /// Has a length in its head, which may have to change: waits for its end.
    Held(Box<Held>),
    /// The same, too long to wait for: its length stays.
    Exact(Box<Exact>),
}

impl Part {
    /// What is not a part: text.
    fn text(setting: &Setting) -> Self {
        Self::Text(Box::new(TextStage::new(&setting.plan, Media::Text)))
    }

    /// The part behind `head`, which leaves with it.
    fn begin(head: Head, setting: &Setting, out: &mut Vec<Bytes>) -> Result<Self, ContentError> {
        let part = Self::open(&head, setting, false)?;
        if head.lengths.is_empty() || matches!(part, Self::Passed) {
            head.write(None, out);
            return Ok(part);
        }
        Ok(Self::Held(Box::new(Held { head, setting: setting.clone(), raw: BytesMut::new() })))
    }

    fn open(head: &Head, setting: &Setting, same_length: bool) -> Result<Self, ContentError> {
        if setting.rules.pass(&head.content) {
            return Ok(Self::Passed);
        }
        if head.coded {
            return Err(ContentError::PartCoding);
        }
        let place = Place { depth: setting.depth, same_length, ..Place::default() };
        if head.coding != Coding::Identity {
            let body = BodyStage::coded(&setting.plan, &head.content, head.coding, &setting.rules, place)?;
            return Ok(Self::Body(Box::new(body)));
        }
        if setting.rules.is_media(&head.content) || head.named.is_some_and(|named| setting.rules.may_be_media(named)) {
            let (content, setting) = (head.content.clone(), setting.clone());
            return Ok(Self::Unsure(Box::new(Unsure { content, setting, same_length, lead: BytesMut::new() })));
        }
        if let Some(name) = &head.field {
            return Ok(Self::Field(Box::new(Field::new(&setting.plan, name, same_length))));
        }
        let body = BodyStage::new(&setting.plan, &head.content, &setting.rules, place)?;
        Ok(Self::Body(Box::new(body)))
    }

    /// Takes the next bytes; appends to `out` what may leave.
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        match self {
            Self::Passed => out.push(chunk),
            Self::Unsure(unsure) => {
                unsure.lead.extend_from_slice(&chunk);
                if let Some(part) = unsure.decide(false, out)? {
                    *self = part;
                }
            }
            Self::Text(text) => text.push(chunk, out)?,
            Self::Field(field) => field.push(chunk, out)?,
            Self::Body(body) => body.push(chunk, out)?,
            Self::Exact(exact) => exact.push(chunk, out)?,
            Self::Held(held) => {
                held.raw.extend_from_slice(&chunk);
                if held.raw.len() > held.setting.rules.limit() {
                    *self = held.stream(out)?;
                }
            }
        }
        Ok(())
    }

    /// The part has ended.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        match self {
            Self::Passed => Ok(()),
            Self::Unsure(unsure) => {
                if let Some(mut part) = unsure.decide(true, out)? {
                    part.finish(out)?;
                    *self = part;
                }
                Ok(())
            }
            Self::Text(text) => text.finish(out),
            Self::Field(field) => field.finish(out),
            Self::Body(body) => body.finish(out),
            Self::Exact(exact) => exact.finish(out),
            Self::Held(held) => {
                *self = held.finish(out)?;
                Ok(())
            }
        }
    }

    /// All counters so far.
    fn report(&self) -> Report {
        match self {
            Self::Passed | Self::Unsure(_) | Self::Held(_) => Report::default(),
            Self::Text(text) => text.report(),
            Self::Field(field) => field.projection.report().clone(),
            Self::Body(body) => body.report(),
            Self::Exact(exact) => exact.part.report(),
        }
    }

    /// Whether it, or a part of it, passed unscanned.
    fn passed(&self) -> bool {
        match self {
            Self::Passed => true,
            Self::Body(body) => body.passed(),
            Self::Exact(exact) => exact.part.passed(),
            _ => false,
        }
    }

    /// Whether it leaves otherwise than it came, though nothing was found.
    fn rewrites(&self) -> bool {
        match self {
            Self::Body(body) => body.rewrites(),
            Self::Exact(exact) => exact.part.rewrites(),
            _ => false,
        }
    }

    /// Bytes held back now.
    fn held(&self) -> usize {
        match self {
            Self::Passed => 0,
            Self::Unsure(unsure) => unsure.lead.len(),
            Self::Text(text) => text.held(),
            Self::Field(field) => field.projection.held(),
            Self::Body(body) => body.held(),
            Self::Held(held) => held.raw.len(),
            Self::Exact(exact) => exact.part.held(),
        }
    }
}

/// The parts of a body, one after the other, and what was seen of those that are
/// over.
pub(super) struct Parts {
    setting: Setting,
    /// `None` where nothing of one has come.
    open: Option<Part>,
    report: Report,
    passed: bool,
    rewritten: bool,
}

impl Parts {
    /// The parts of a body in `depth` others.
    ///
    /// # Errors
    /// When that is too deep.
    pub(super) fn new(plan: &Arc<Plan>, rules: &PartRules, depth: u8) -> Result<Self, ContentError> {
        if depth >= DEEPEST {
            return Err(ContentError::Media);
        }
        let setting = Setting { plan: Arc::clone(plan), rules: rules.clone(), depth: depth + 1 };
        Ok(Self { setting, open: None, report: Report::default(), passed: false, rewritten: false })
    }

    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.setting.plan
    }

    /// Whether nothing of a part has come since the last one ended.
    pub(super) fn is_between(&self) -> bool {
        self.open.is_none()
    }

    /// The part behind `head` begins.
    pub(super) fn begin(&mut self, head: Head, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.count(&head.report);
        self.open = Some(Part::begin(head, &self.setting, out)?);
        Ok(())
    }

    /// Counts what was found beside the parts.
    pub(super) fn count(&mut self, report: &Report) {
        self.report.add(report);
    }

    /// Takes more of the part that has begun, or of text if none has.
    pub(super) fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.open.get_or_insert_with(|| Part::text(&self.setting)).push(chunk, out)
    }

    /// The part that has begun, if one has, is over.
    pub(super) fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let Some(mut part) = self.open.take() else { return Ok(()) };
        let result = part.finish(out);
        self.report.add(&part.report());
        self.passed |= part.passed();
        self.rewritten |= part.rewrites();
        result
    }

    /// All counters so far.
    pub(super) fn report(&self) -> Report {
        let mut report = self.report.clone();
        if let Some(part) = &self.open {
            report.add(&part.report());
        }
        report
    }

    /// Whether a part passed unscanned.
    pub(super) fn passed(&self) -> bool {
        self.passed || self.open.as_ref().is_some_and(Part::passed)
    }

    /// Whether a part leaves otherwise than it came, though nothing was found.
    pub(super) fn rewrites(&self) -> bool {
        self.rewritten || self.open.as_ref().is_some_and(Part::rewrites)
    }

    /// Bytes held back now.
    pub(super) fn held(&self) -> usize {
        self.open.as_ref().map_or(0, Part::held)
    }
}

/// What is said to be a picture, sound or a film.
struct Unsure {
    content: ContentType,
    setting: Setting,
    same_length: bool,
    lead: BytesMut,
}

impl Unsure {
    /// The part that it is, once that is known, with what came of it.
    fn decide(&mut self, ends: bool, out: &mut Vec<Bytes>) -> Result<Option<Part>, ContentError> {
        // However the part is cut, the same bytes decide.
        let near = &self.lead[..self.lead.len().min(sniff::MAX_PREFIX)];
        let mut part = match sniff::is_media(near) {
            true => Part::Passed,
            false if ends || self.lead.len() >= sniff::MAX_PREFIX => {
                let Setting { plan, rules, depth } = &self.setting;
                let place = Place { depth: *depth, same_length: self.same_length, ..Place::default() };
                Part::Body(Box::new(BodyStage::new(plan, &self.content, rules, place)?))
            }
            false => return Ok(None),
        };
        part.push(self.lead.split().freeze(), out)?;
        Ok(Some(part))
    }
}

/// A form's field: a text under its name.
struct Field {
    projection: Projection,
    /// Objects around the value: `a[b]` has two.
    depth: usize,
    spelling: Spelling,
    utf8: Utf8Check,
}

impl Field {
    fn new(plan: &Arc<Plan>, name: &[u8], same_length: bool) -> Self {
        let mut projection = Projection::new(plan);
        let (mut begin, mut depth) = (Vec::new(), 0);
        // `user[password]` is the member `password` of `user`, as in a form in a URL, and
        // `password[]` or `password[0]` one of a list.
        let is_index = |name: &&[u8]| name.iter().all(u8::is_ascii_digit);
        let mut names = name.split(|byte| matches!(byte, b'[' | b']')).filter(|name| !is_index(name));
        let mut next = Some(names.next().unwrap_or(name));
        while let Some(name) = next {
            begin.extend_from_slice(b"{\"");
            name.iter().for_each(|&byte| escape(byte, &mut begin));
            begin.extend_from_slice(b"\":");
            depth += 1;
            next = names.next();
        }
        begin.push(b'"');
        projection.syntax(&begin);
        let spelling = if same_length { Spelling::Fixed } else { Spelling::Plain };
        Self { projection, depth, spelling, utf8: Utf8Check::default() }
    }

    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.utf8.push_text(&chunk)?;
        self.projection.text(0, chunk, self.spelling);
        self.projection.advance_to(out)
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.utf8.finish_text()?;
        self.projection.syntax(b"\"");
        (0..self.depth).for_each(|_| self.projection.syntax(b"}"));
        self.projection.syntax(b"\n");
        self.projection.finish_to(out)
    }
}

/// A part that waits for its end, and its head with it.
struct Held {
    head: Head,
    setting: Setting,
    raw: BytesMut,
}

impl Held {
    /// All of it is there.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<Part, ContentError> {
        let (mut part, mut body) = (Part::open(&self.head, &self.setting, false)?, Vec::new());
        part.push(self.raw.split().freeze(), &mut body)?;
        part.finish(&mut body)?;
        // Some clients count characters, not bytes: what nothing was found in is
        // left as it is.
        let changed = part.report().changed() > 0 || part.rewrites();
        let length = body.iter().map(|piece| piece.len() as u64).sum();
        self.head.write(changed.then_some(length), out);
        out.append(&mut body);
        Ok(part)
    }

    /// It is too long to be held.
    fn stream(&mut self, out: &mut Vec<Bytes>) -> Result<Part, ContentError> {
        let part = Part::open(&self.head, &self.setting, true)?;
        self.head.write(None, out);
        let mut exact = Exact { part, declared: std::mem::take(&mut self.head.lengths), sent: 0 };
        exact.push(self.raw.split().freeze(), out)?;
        Ok(Part::Exact(Box::new(exact)))
    }
}

/// A part whose length has left.
struct Exact {
    part: Part,
    declared: Vec<u64>,
    sent: u64,
}

impl Exact {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let from = out.len();
        self.part.push(chunk, out)?;
        self.count(&out[from..]);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let from = out.len();
        self.part.finish(out)?;
        self.count(&out[from..]);
        let is_true = self.declared.iter().all(|&declared| declared == self.sent);
        if !is_true && self.part.report().changed() > 0 { Err(ContentError::Framing) } else { Ok(()) }
    }

    fn count(&mut self, pieces: &[Bytes]) {
        self.sent += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    }
}
