//! Texts that come in pieces, each with an event of its own, redacted as the
//! whole that they are.
//!
//! ```text
//! events   {..."delta":"jane.d"}   {..."delta":"oe@example.com, "}   {..."delta":"hi"}
//! text                  jane.d                  oe@example.com,                  hi
//! events   {..."delta":"[EMAIL_ADDRESS]"}   {..."delta":", "}   {..."delta":"hi"}
//! ```
//!
//! The pieces of a text are one string to a redactor of its own, just as they
//! are written: pieces of a JSON string make a JSON string. What it writes stands
//! in the piece where the finding begins, so each event stays valid. Events leave
//! in their order, each once its pieces are settled.
//!
//! A text is over when an event says so, when none of the next [`PATIENCE`]
//! events goes on with it, or when too much waits for it: what decides is in the
//! bytes of the stream, never the time, nor how they were cut.

use super::fragment::{Fragment, Key, Pieces, Scope};
use super::secret::{KEY_BEFORE, Secret};
use super::slot::{As, Slot};
use crate::content::ContentError;
use crate::content::projection::{Piece, Projection};
use crate::content::spelling::Spelling;
use crate::redact::{Plan, Report};
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// A text that so many events do not go on with is over.
const PATIENCE: u64 = 64;
/// Texts at a time.
const MOST: usize = 32;
/// Pieces that may wait at a time.
const MOST_WAITING: usize = 4096;
/// Pieces are looked at together up to one part in so many of what waits before them.
const AGAIN: usize = 4;
/// What waits in smaller pieces is joined.
const SMALL: usize = 1024;

/// All texts of a stream that are not over, and what waits for them.
pub(super) struct Joins {
    plan: Arc<Plan>,
    /// Bytes of the stream that may wait for a text.
    limit: u64,
    texts: Vec<Text>,
    /// The pieces that have not left, by their numbers.
    slots: HashMap<usize, Slot>,
    /// The number of the next piece.
    next: usize,
    /// Events so far.
    events: u64,
    waiting: VecDeque<Waiting>,
    /// Bytes of what waits.
    held: usize,
    /// Events that may be texts of their own, each a string. `None` before the first.
    own: Option<Text>,
    /// Of those before.
    own_report: Report,
    /// The keys of texts that ended within a private key, the last first.
    cut: Vec<Key>,
    /// Of the texts that are over.
    report: Report,
    /// The same of those whose pieces were texts of their own as well.
    plain: Report,
}

/// A text whose pieces come one by one.
struct Text {
    key: Key,
    projection: Projection,
    /// The pieces that are not settled, in order, and how many bytes the stream
    /// had when each came.
    open: VecDeque<(usize, u64)>,
    /// The event that went on with it last.
    event: u64,
    /// That event said that this is its end; some say so every time.
    is_ending: bool,
    /// Whether a private key goes on.
    secret: Secret,
}

/// What stands before a piece of plain text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Another event.
    Event,
    /// Another line of the event.
    Line,
    /// More of the line.
    Nothing,
}

/// What leaves in its turn.
enum Waiting {
    Bytes(Bytes),
    /// Small pieces, one behind the other.
    Small(BytesMut),
    Slot(usize),
}

impl Joins {
    /// None yet, and at most about `limit` bytes will wait for one.
    pub(super) fn new(plan: &Arc<Plan>, limit: usize) -> Self {
        Self {
            plan: Arc::clone(plan),
            limit: limit as u64,
            texts: Vec::new(),
            slots: HashMap::new(),
            next: 0,
            events: 0,
            waiting: VecDeque::new(),
            held: 0,
            own: None,
            own_report: Report::default(),
            cut: Vec::new(),
            report: Report::default(),
            plain: Report::default(),
        }
    }

    /// Takes the pieces out of a line of data, which may have a label: where they
    /// stand in it, and the number under which each has its turn. `at` is how many
    /// bytes the stream has up to the end of the line.
    ///
    /// # Errors
    /// As [`Projection::advance`].
    pub(super) fn line(
        &mut self,
        line: &Bytes,
        label: Option<u8>,
        at: u64,
    ) -> Result<Vec<(Range<usize>, usize)>, ContentError> {
        self.advance_to(at)?;
        let Ok(text) = std::str::from_utf8(line) else { return Ok(Vec::new()) };
        let Pieces { list, ends } = Pieces::labelled(label, text);
        let mut taken = Vec::with_capacity(list.len());
        for Fragment { span, key, before } in list {
            let number = self.open(Slot::of_part(span.len()));
            let index = self.text(key, &before)?;
            let text = &mut self.texts[index];
            (text.event, text.is_ending) = (self.events, false);
            text.push((number, line.slice(span.clone()), Spelling::Json), at);
            taken.push((span, number));
        }
        for text in self.texts.iter_mut().filter(|text| text.event == self.events) {
            text.advance(&mut self.slots)?;
        }
        self.end_told(&ends)?;
        Ok(taken)
    }

    /// Keeps a place for `raw`, of which [`Joins::plain`] or [`Joins::keep`] tells what it is.
    pub(super) fn reserve(&mut self, raw: Bytes) -> usize {
        self.open(Slot::of_text(raw))
    }

    /// What stands in the place `number` stays.
    pub(super) fn keep(&mut self, number: usize) {
        if let Some(slot) = self.slots.get_mut(&number) {
            slot.keep();
        }
    }

    /// Takes plain text, which may be a text of its own or part of a longer one, behind
    /// all such that was taken before; `piece` is its place, what stands there, and how it
    /// is written.
    ///
    /// # Errors
    /// As [`Projection::advance`].
    pub(super) fn plain(
        &mut self,
        key: Key,
        before: Before,
        piece: Option<(usize, Bytes, Spelling)>,
        at: u64,
    ) -> Result<(), ContentError> {
        self.advance_to(at)?;
        let known = self.texts.iter().position(|text| before != Before::Event && text.key == key);
        let index = match (known, &piece) {
            (Some(index), _) => Some(index),
            (None, Some(_)) => Some(self.text(key, "\"")?),
            // Of nothing no text begins.
            (None, None) => None,
        };
        let own = self.own.get_or_insert_with(|| Text::new(&self.plan, Key::of_text(&Arc::default(), false), ""));
        let lead: &[u8] = match before {
            Before::Event => b"\"",
            Before::Line => b"\\n",
            Before::Nothing => b"",
        };
        own.projection.syntax(lead);
        if let Some(piece) = &piece {
            own.push(piece.clone(), at);
            own.projection.advance(&mut |piece| fill(&mut self.slots, &own.open, As::Own, piece))?;
            own.settle(As::Own, own.projection.first_open(), &mut self.slots);
        }
        let Some(index) = index else { return Ok(()) };
        let text = &mut self.texts[index];
        (text.event, text.is_ending) = (self.events, false);
        if known.is_some() && before == Before::Line {
            text.projection.syntax(lead);
        }
        if let Some(piece) = piece {
            text.push(piece, at);
        }
        text.advance(&mut self.slots)
    }

    /// The plain text of an event is over.
    ///
    /// # Errors
    /// As [`Projection::advance`].
    pub(super) fn end_plain(&mut self) -> Result<(), ContentError> {
        let Some(own) = &mut self.own else { return Ok(()) };
        own.projection.syntax(b"\"\n");
        own.projection.flush(&mut |piece| fill(&mut self.slots, &own.open, As::Own, piece))?;
        own.settle(As::Own, own.projection.first_open(), &mut self.slots);
        if own.open.is_empty() {
            return Ok(());
        }
        // What ends with an escape or in a finding waits for more, which does not come.
        let ended = own.finish(As::Own, &mut self.slots);
        self.own_report.add(own.projection.report());
        self.own = None;
        ended
    }

    /// All has come. What has no turn yet will have none.
    ///
    /// # Errors
    /// When something has not: it must not be left out unannounced.
    pub(super) fn finish(&self) -> Result<(), ContentError> {
        if self.waiting.is_empty() && self.slots.is_empty() { Ok(()) } else { Err(ContentError::Framing) }
    }

    /// No plain text goes on.
    ///
    /// # Errors
    /// As [`Projection::finish`].
    pub(super) fn end_plain_texts(&mut self) -> Result<(), ContentError> {
        self.end_where(|text| text.key.is_plain())
    }

    /// An event is over.
    ///
    /// # Errors
    /// As [`Projection::finish`].
    pub(super) fn end_event(&mut self) -> Result<(), ContentError> {
        let now = self.events;
        self.events += 1;
        self.end_where(|text| now - text.event > PATIENCE || (text.is_ending && text.event < now))
    }

    /// All texts are over.
    ///
    /// # Errors
    /// As [`Projection::finish`].
    pub(super) fn end(&mut self) -> Result<(), ContentError> {
        self.end_where(|_| true)
    }

    /// The stream has so many bytes: texts for which too many of them wait are
    /// over. Pieces come at the ends of lines, where this is asked in any case:
    /// asked before, it decides the same. Of a finding that goes on for longer, what is
    /// known leaves.
    ///
    /// # Errors
    /// As [`Projection::finish`].
    pub(super) fn advance_to(&mut self, at: u64) -> Result<(), ContentError> {
        let (limit, next) = (self.limit, self.next);
        let is_late = |text: &Text| {
            let first = text.open.front();
            first.is_some_and(|&(number, from)| at - from > limit || next - number > MOST_WAITING)
        };
        for text in self.texts.iter_mut().filter(|text| is_late(text)) {
            text.settle(As::Part, text.projection.first_waiting(), &mut self.slots);
        }
        if let Some(own) = self.own.as_mut().filter(|own| is_late(own)) {
            own.settle(As::Own, own.projection.first_waiting(), &mut self.slots);
        }
        // The next of its pieces goes on with its key.
        for text in self.texts.iter().filter(|text| is_late(text) && text.secret.is_open) {
            self.cut.retain(|key| *key != text.key);
            self.cut.truncate(MOST - 1);
            self.cut.insert(0, text.key.clone());
        }
        self.end_where(is_late)
    }

    /// Takes what leaves behind all that was taken before.
    pub(super) fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Slot { number, cut: false } => self.waiting.push_back(Waiting::Slot(number)),
            // Something else stands in the place of all around it.
            Piece::Slot { number, cut: true } => drop(self.take_slot(number)),
            Piece::Frame(bytes) | Piece::Text { bytes, .. } => self.wait(bytes),
        }
    }

    /// Appends to `out` all whose turn it is.
    pub(super) fn release(&mut self, out: &mut Vec<Bytes>) {
        while let Some(first) = self.waiting.front() {
            if let Waiting::Slot(number) = first
                && self.slots.get(number).is_some_and(|slot| !slot.is_settled())
            {
                return;
            }
            match self.waiting.pop_front() {
                Some(Waiting::Bytes(bytes)) => self.leave(bytes, out),
                Some(Waiting::Small(bytes)) => self.leave(bytes.freeze(), out),
                Some(Waiting::Slot(number)) => out.extend(self.take_slot(number)),
                None => return,
            }
        }
    }

    /// Bytes held back now.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// All counters so far.
    pub(super) fn report(&self) -> Report {
        let (mut report, mut plain) = (self.report.clone(), self.plain.clone());
        for text in &self.texts {
            let report = if text.key.is_plain() { &mut plain } else { &mut report };
            report.add(text.projection.report());
        }
        let mut own = self.own_report.clone();
        self.own.iter().for_each(|text| own.add(text.projection.report()));
        // Most of it was found twice.
        plain.take_most(&own);
        report.add(&plain);
        report
    }

    fn open(&mut self, slot: Slot) -> usize {
        let number = self.next;
        self.next += 1;
        self.held += slot.size;
        self.slots.insert(number, slot);
        number
    }

    fn wait(&mut self, bytes: Bytes) {
        self.held += bytes.len();
        match self.waiting.back_mut() {
            Some(Waiting::Small(small)) if small.len() + bytes.len() <= SMALL => small.extend_from_slice(&bytes),
            Some(_) if bytes.len() <= SMALL => self.waiting.push_back(Waiting::Small(bytes.into())),
            _ => self.waiting.push_back(Waiting::Bytes(bytes)),
        }
    }

    fn leave(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) {
        self.held -= bytes.len();
        out.push(bytes);
    }

    fn take_slot(&mut self, number: usize) -> Vec<Bytes> {
        let slot = self.slots.remove(&number).unwrap_or_default();
        self.held -= slot.size;
        slot.into_pieces()
    }

    /// The place of the text that `key` names, which may be a new one.
    fn text(&mut self, key: Key, before: &str) -> Result<usize, ContentError> {
        if let Some(index) = self.texts.iter().position(|text| text.key == key) {
            if self.texts[index].event != self.events {
                return Ok(index);
            }
            // Two in one event are no pieces of one text.
            self.end_where(|text| text.key == key)?;
        }
        if self.texts.len() == MOST
            && let Some(oldest) = self.texts.iter().map(|text| text.event).min()
        {
            self.end_where(|text| text.event == oldest)?;
        }
        let mut text = Text::new(&self.plan, key, before);
        if let Some(index) = self.cut.iter().position(|key| *key == text.key) {
            self.cut.remove(index);
            text.projection.syntax(KEY_BEFORE.as_bytes());
            text.secret.is_open = true;
        }
        self.texts.push(text);
        Ok(self.texts.len() - 1)
    }

    /// Ends what an event says is over: if it goes on with a text, then once
    /// another one does not.
    fn end_told(&mut self, ends: &[Arc<Scope>]) -> Result<(), ContentError> {
        let (now, is_told) = (self.events, |text: &Text| ends.iter().any(|scope| text.key.is_within(scope)));
        for text in self.texts.iter_mut().filter(|text| text.event == now && is_told(text)) {
            text.is_ending = true;
        }
        self.end_where(|text| text.event < now && is_told(text))
    }

    fn end_where(&mut self, is_over: impl Fn(&Text) -> bool) -> Result<(), ContentError> {
        let mut index = 0;
        while index < self.texts.len() {
            if !is_over(&self.texts[index]) {
                index += 1;
                continue;
            }
            let mut text = self.texts.remove(index);
            let ended = text.finish(As::Part, &mut self.slots);
            let report = if text.key.is_plain() { &mut self.plain } else { &mut self.report };
            report.add(text.projection.report());
            ended?;
        }
        Ok(())
    }
}

impl Text {
    fn new(plan: &Arc<Plan>, key: Key, before: &str) -> Self {
        let mut projection = Projection::new(plan);
        projection.syntax(before.as_bytes());
        // No event yet: it is later than any.
        Self { key, projection, open: VecDeque::new(), event: u64::MAX, is_ending: false, secret: Secret::default() }
    }

    /// Takes a piece by its place.
    fn push(&mut self, (number, raw, spelling): (usize, Bytes, Spelling), at: u64) {
        self.open.push_back((number, at));
        self.secret.see(&raw);
        match spelling {
            Spelling::Json => self.projection.json_text(number, raw),
            _ => self.projection.text(number, raw, spelling),
        }
    }

    /// Hands out what is settled of the pieces. What waits is looked at again by the pieces
    /// behind it, so behind much of it many are looked at together.
    fn advance(&mut self, slots: &mut HashMap<usize, Slot>) -> Result<(), ContentError> {
        if self.projection.gathered() < self.projection.looked_at() / AGAIN {
            return Ok(());
        }
        self.projection.flush(&mut |piece| fill(slots, &self.open, As::Part, piece))?;
        self.settle(As::Part, self.projection.first_open(), slots);
        Ok(())
    }

    /// All pieces before `first` are settled.
    fn settle(&mut self, side: As, first: Option<usize>, slots: &mut HashMap<usize, Slot>) {
        while let Some(&(number, _)) = self.open.front()
            && first.is_none_or(|first| number < first)
        {
            self.open.pop_front();
            settle(slots, side, number);
        }
    }

    fn finish(&mut self, side: As, slots: &mut HashMap<usize, Slot>) -> Result<(), ContentError> {
        self.projection.finish(&mut |piece| fill(slots, &self.open, side, piece))?;
        self.open.drain(..).for_each(|(number, _)| settle(slots, side, number));
        Ok(())
    }
}

/// Puts a piece of text into its place, or into the next of `open` if that has left.
fn fill(slots: &mut HashMap<usize, Slot>, open: &VecDeque<(usize, u64)>, side: As, piece: Piece) {
    let Piece::Text { field, bytes, changed } = piece else { return };
    let number = open.front().map_or(field, |&(first, _)| first.max(field));
    if let Some(slot) = slots.get_mut(&number) {
        slot.push(side, bytes, changed);
    }
}

fn settle(slots: &mut HashMap<usize, Slot>, side: As, number: usize) {
    if let Some(slot) = slots.get_mut(&number) {
        slot.settle(side);
    }
}

#[cfg(test)]
mod tests {
    use super::super::SseStage;
    use super::super::tests::run;
    use super::*;
    use crate::content::body::Stage;
    use crate::redact::rig::PLAN;
    use crate::redact::{Format, Redactor};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// What frames one piece of a text, and where it stands in that.
    type Frame = (fn(&str) -> Value, &'static str);

    const FRAMES: [Frame; 4] = [
        (
            |piece| json!({"id": "c", "choices": [{"index": 0, "delta": {"content": piece}}]}),
            "/choices/0/delta/content",
        ),
        (
            |piece| json!({"choices": [{"delta": {"tool_calls": [{"index": 1, "function": {"arguments": piece}}]}}]}),
            "/choices/0/delta/tool_calls/0/function/arguments",
        ),
        (
            |piece| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
            "/delta/text",
        ),
        (|piece| json!({"type": "response.output_text.delta", "item_id": "m", "delta": piece}), "/delta"),
    ];

    fn stream<'a>(frame: Frame, pieces: impl IntoIterator<Item = &'a str>) -> String {
        pieces.into_iter().map(|piece| format!("event: e\ndata: {}\n\n", frame.0(piece))).collect()
    }

    /// The events of a stream, each of them valid.
    fn events(stream: &str) -> Vec<Value> {
        let lines = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.filter(|line| *line != "[DONE]").map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The text whose pieces come in these events.
    fn text(frame: Frame, stream: &str) -> String {
        events(stream).iter().filter_map(|event| event.pointer(frame.1)).map(|piece| piece.as_str().unwrap()).collect()
    }

    /// As it is redacted in one piece.
    fn whole(text: &str) -> String {
        let (mut redactor, mut out) = (Redactor::new(&PLAN, Format::Json), Vec::new());
        redactor.push(json!(text).to_string().into(), &mut out).unwrap();
        redactor.finish(&mut out).unwrap();
        serde_json::from_slice(&out.concat()).unwrap()
    }

    #[test]
    fn a_match_in_two_pieces_is_found_wherever_it_is_cut() {
        for said in [
            "write to jane.doe@example.com, or",
            "call +44 20 7946 0958 \u{1f600} now",
            r#"{"user": "bob", "password": "hunter2-é\n", "n": 1}"#,
            "the key is AKIAQ3EGRL5TWYEKZ7VN.",
        ] {
            assert_ne!(whole(said), said);
            for frame in FRAMES {
                for at in (0..=said.len()).filter(|&at| said.is_char_boundary(at)) {
                    let (one, other) = said.split_at(at);
                    let given = stream(frame, [one, other]);
                    let out = run([given.as_bytes()]).unwrap();
                    assert_eq!(text(frame, &out), whole(said), "{given}");
                    // All but the texts stays.
                    let bare = |stream: &str| {
                        let mut events = events(stream);
                        for piece in events.iter_mut().filter_map(|event| event.pointer_mut(frame.1)) {
                            *piece = Value::Null;
                        }
                        events
                    };
                    assert_eq!(bare(&out), bare(&given));
                    assert_eq!(run([out.as_bytes()]).unwrap(), out, "twice");
                }
            }
        }
    }

    #[test]
    fn a_stream_is_redacted_alike_at_every_split() {
        for frame in FRAMES {
            let given = stream(frame, ["to jane.d", "oe@example.com, \u{e9}", ""]) + "data: [DONE]\r\n\r\n";
            let expected = run([given.as_bytes()]).unwrap();
            assert!(expected.contains("[EMAIL_ADDRESS]") && !expected.contains("jane"));
            for at in 0..=given.len() {
                let (one, other) = given.as_bytes().split_at(at);
                assert_eq!(run([one, other]).unwrap(), expected, "{at}");
            }
        }
    }

    #[test]
    fn texts_beside_each_other_do_not_meet() {
        let choice = |index: u8, piece: &str| {
            format!("data: {}\n\n", json!({"choices": [{"index": index, "delta": {"content": piece}}]}))
        };
        let given =
            [choice(0, "to bob@exam"), choice(1, "and +44 20 79"), choice(0, "ple.com."), choice(1, "46 0958.")];
        let expected =
            [choice(0, "to [EMAIL_ADDRESS]"), choice(1, "and [PHONE_NUMBER]"), choice(0, "."), choice(1, ".")];
        let given = given.concat();
        for cut in [1, 7, given.len()] {
            assert_eq!(run(given.as_bytes().chunks(cut)).unwrap(), expected.concat());
        }
    }

    #[test]
    fn an_escape_cut_in_two_is_still_one() {
        let given = "data: {\"delta\":\"x \\ud83d\"}\n\ndata: {\"delta\":\"\\ude00 bob\\u0040ex\"}\n\ndata: {\"delta\":\"ample.com \"}\n\n";
        let expected = "data: {\"delta\":\"x \\ud83d\"}\n\ndata: {\"delta\":\"\\ude00 [EMAIL_ADDRESS]\"}\n\ndata: {\"delta\":\" \"}\n\n";
        assert_eq!(run([given.as_bytes()]).unwrap(), expected);
    }

    #[test]
    fn what_cannot_go_on_leaves_at_once() {
        let (mut stage, mut out) = (SseStage::new(&PLAN, 1 << 18), Vec::new());
        let mut given = String::new();
        let mut push = |event: &str, held: bool| {
            stage.push(Bytes::copy_from_slice(event.as_bytes()), &mut out).unwrap();
            given += event;
            assert_eq!(stage.held() > 0, held, "{event}");
            assert_eq!(out.concat() == given.as_bytes(), !held, "{event}");
        };
        let data = |event: Value| format!("data: {event}\n\n");
        push(&data(json!({"type": "message_start", "message": {"content": [], "model": "m"}})), false);
        push(&data((FRAMES[2].0)("Hello")), true);
        push(&data(json!({"type": "ping"})), true);
        push(&data((FRAMES[2].0)(" to")), true);
        push(&data(json!({"type": "content_block_stop", "index": 0})), false);
        push(&data((FRAMES[0].0)("Hello")), true);
        push(&data(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})), false);
        // What says it ends with each piece ends where none follows.
        push(&data(json!({"choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]})), true);
        push(&data(json!({"usage": 1})), false);
        push(&data((FRAMES[0].0)("and")), true);
        (0..PATIENCE).for_each(|_| push(": ping\n\n", true));
        push(": ping\n\n", false);
        push(&data((FRAMES[0].0)("and")), true);
        push("data: [DONE]\n\n", false);
    }

    #[test]
    fn a_reason_with_every_piece_does_not_cut_the_text() {
        let event =
            |piece: &str| json!({"candidates": [{"content": {"parts": [{"text": piece}]}, "finishReason": "STOP"}]});
        let given = format!("data: {}\n\ndata: {}\n\n", event("to jane.d"), event("oe@example.com, "));
        let out = run([given.as_bytes()]).unwrap();
        assert_eq!(text((event, "/candidates/0/content/parts/0/text"), &out), "to [EMAIL_ADDRESS], ");
    }

    #[test]
    fn whole_answers_are_not_joined() {
        let event =
            |card: &str| format!("data: {}\n\n", json!({"choices": [{"index": 0, "message": {"content": card}}]}));
        let given = [event("4111111111111111"), event("4111111111111111"), event("16 times 11 ok")].concat();
        let out = run([given.as_bytes()]).unwrap();
        assert_eq!(out, given.replace("4111111111111111", "[CREDIT_CARD]"));
        // Nor are two strings of one event.
        let given = "data: {\"delta\":\"to bob@exam\",\"delta\":\"ple.com\"}\n\n";
        assert_eq!(run([given.as_bytes()]).unwrap(), given);
    }

    #[test]
    fn a_piece_keeps_what_stands_around_it() {
        for (event, secret) in [
            (json!({"delta": {"field": "password", "value": "hunter2"}}), "hunter2"),
            (json!({"completion": {"key": "password", "value": "hunter2"}}), "hunter2"),
        ] {
            let out = run([format!("data: {event}\n\n").as_bytes()]).unwrap();
            assert!(!out.contains(secret), "{out}");
        }
    }

    #[test]
    fn only_so_much_waits_however_it_is_cut() {
        let event = |number: u8, piece: &str| format!("data: {}\n\n", json!({"type": number, "delta": piece}));
        // What may be an address waits for its end, and all else for that.
        let comment = format!(": {}\n\n", "x".repeat(2900));
        for (comments, found) in [(1, true), (2, false)] {
            let given = [event(1, "to bob@exam"), comment.repeat(comments), event(1, "ple.com, ")].concat();
            for cut in [1, 7, 1000, given.len()] {
                let (mut stage, mut out, mut most) = (SseStage::new(&PLAN, 4096), Vec::new(), 0);
                for chunk in given.as_bytes().chunks(cut) {
                    stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
                    most = most.max(stage.held());
                }
                stage.finish(&mut out).unwrap();
                let out = String::from_utf8(out.concat()).unwrap();
                assert_eq!(out.contains("[EMAIL_ADDRESS]"), found, "{comments} {cut}");
                assert!(out.contains("bob@exam") != found);
                // The limit counts from the end of the line of the piece.
                assert!(most <= 4096 + cut.min(given.len()) + 64, "{most}");
            }
        }
        let (mut stage, mut out) = (SseStage::new(&PLAN, 1 << 30), Vec::new());
        for _ in 0..MOST_WAITING + 100 {
            stage.push(event(1, "x").into(), &mut out).unwrap();
            assert!(stage.joins.slots.len() <= MOST_WAITING + 1);
        }
    }

    #[test]
    fn many_texts_at_a_time_are_all_redacted() {
        let event = |index: usize, piece: &str| format!("data: {}\n\n", json!({"index": index, "delta": piece}));
        let given: String = (0..3 * MOST).map(|index| event(index, "to bob@example.com or")).collect();
        assert_eq!(run([given.as_bytes()]).unwrap(), given.replace("bob@example.com", "[EMAIL_ADDRESS]"));
        let array: Vec<Value> =
            (0..3 * MOST).map(|index| json!({"index": index, "delta": "bob@example.com"})).collect();
        let given = format!("data: {}\n\n", json!(array));
        assert_eq!(run([given.as_bytes()]).unwrap(), given.replace("bob@example.com", "[EMAIL_ADDRESS]"));
    }

    #[test]
    fn a_place_within_a_finding_goes_with_it() {
        let mut projection = Projection::new(&PLAN);
        let mut places = Vec::new();
        projection.syntax(b"\"");
        projection.slot(0, 1);
        projection.json_text(0, Bytes::from_static(b"to bob@exam"));
        projection.slot(1, 1);
        projection.json_text(0, Bytes::from_static(b"ple.com"));
        projection.slot(2, 1);
        projection.syntax(b"\"\n");
        let mut sink = |piece| {
            if let Piece::Slot { number, cut } = piece {
                places.push((number, cut));
            }
        };
        projection.flush(&mut sink).unwrap();
        projection.finish(&mut sink).unwrap();
        assert_eq!(places, [(0, false), (1, true), (2, false)]);
    }

    proptest! {
        /// A text is redacted as it would be in one piece, however it is cut.
        #[test]
        fn pieces_are_redacted_as_their_text(
            words in prop::collection::vec("(bob@example\\.com|\\+44 20 7946 0958|\"password\": \"hunter2\"|[a-z\"\\\\{}é, \n]{0,6})", 0..8),
            sizes in prop::collection::vec(1usize..9, 1..20),
            frame in 0usize..FRAMES.len(),
            cut in 1usize..60,
        ) {
            let (said, frame) = (words.concat(), FRAMES[frame]);
            let mut pieces: Vec<String> = vec![String::new()];
            let mut sizes = sizes.iter().cycle();
            let mut left = 1;
            for letter in said.chars() {
                if left == 0 {
                    pieces.push(String::new());
                    left = *sizes.next().unwrap();
                }
                left -= 1;
                pieces.last_mut().unwrap().push(letter);
            }
            let given = stream(frame, pieces.iter().map(String::as_str));
            let out = run(given.as_bytes().chunks(cut)).unwrap();
            prop_assert_eq!(text(frame, &out), whole(&said));
        }
    }
}
