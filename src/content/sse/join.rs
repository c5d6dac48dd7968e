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
//! events goes on with it, or when more is held than may be: what decides is in
//! the bytes, never the time.

use super::fragment::{Key, Pieces};
use crate::content::ContentError;
use crate::content::projection::{Piece, Projection};
use crate::redact::{Plan, Report};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// A text that so many events do not go on with is over.
const PATIENCE: u64 = 64;
/// Texts at a time.
const MOST: usize = 32;
/// What waits costs so much beside its bytes.
const ITEM: usize = size_of::<Waiting>();

/// All texts of a stream that are not over, and what waits for them.
pub(super) struct Joins {
    plan: Arc<Plan>,
    /// Bytes that may wait.
    limit: usize,
    texts: Vec<Text>,
    /// The pieces that have not left, by their numbers.
    slots: HashMap<usize, Slot>,
    /// The number of the next piece.
    next: usize,
    events: u64,
    waiting: VecDeque<Waiting>,
    /// Bytes of what waits, and what that costs.
    held: usize,
    /// Of the texts that are over.
    report: Report,
}

/// A text whose pieces come one by one.
struct Text {
    key: Key,
    projection: Projection,
    /// The pieces that are not settled, in order.
    open: VecDeque<usize>,
    /// The event that went on with it last.
    event: u64,
}

#[derive(Default)]
struct Slot {
    pieces: Vec<Bytes>,
    is_settled: bool,
    /// What it counts in what is held.
    size: usize,
}

/// What leaves in its turn.
enum Waiting {
    Bytes(Bytes),
    Slot(usize),
}

impl Joins {
    pub(super) fn new(plan: &Arc<Plan>, limit: usize) -> Self {
        Self {
            plan: Arc::clone(plan),
            limit,
            texts: Vec::new(),
            slots: HashMap::new(),
            next: 0,
            events: 0,
            waiting: VecDeque::new(),
            held: 0,
            report: Report::default(),
        }
    }

    /// Takes the pieces out of an event: where they stand in it, and the number
    /// under which each has its turn.
    ///
    /// # Errors
    /// As [`Projection::advance`].
    pub(super) fn event(&mut self, event: &Bytes) -> Result<Vec<(Range<usize>, usize)>, ContentError> {
        let Ok(text) = std::str::from_utf8(event) else { return Ok(Vec::new()) };
        let Pieces { list, ends } = Pieces::of(text);
        self.events += 1;
        let mut taken = Vec::with_capacity(list.len());
        for (span, key) in list {
            let number = self.next;
            self.next += 1;
            let size = ITEM + span.len();
            self.slots.insert(number, Slot { size, ..Slot::default() });
            self.held += size;
            let index = self.text(key)?;
            let text = &mut self.texts[index];
            text.event = self.events;
            text.open.push_back(number);
            text.projection.json_text(number, event.slice(span.clone()));
            taken.push((span, number));
        }
        for text in self.texts.iter_mut().filter(|text| text.event == self.events) {
            text.advance(&mut self.slots)?;
        }
        let now = self.events;
        self.end_where(|text| now - text.event > PATIENCE || ends.iter().any(|scope| text.key.is_within(scope)))?;
        Ok(taken)
    }

    /// All texts are over.
    ///
    /// # Errors
    /// As [`Projection::finish`].
    pub(super) fn end(&mut self) -> Result<(), ContentError> {
        self.end_where(|_| true)
    }

    /// Takes what leaves behind all that was taken before.
    pub(super) fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Slot { number, cut: false } => self.waiting.push_back(Waiting::Slot(number)),
            // Something else stands in the place of all around it.
            Piece::Slot { number, cut: true } => drop(self.take_slot(number)),
            Piece::Frame(bytes) | Piece::Text { bytes, .. } => {
                self.held += ITEM + bytes.len();
                self.waiting.push_back(Waiting::Bytes(bytes));
            }
        }
    }

    /// Appends to `out` all whose turn it is.
    ///
    /// # Errors
    /// As [`Joins::end`].
    pub(super) fn release(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        loop {
            match self.waiting.front() {
                None => return Ok(()),
                Some(Waiting::Bytes(_)) => {}
                Some(Waiting::Slot(number)) => {
                    let is_settled = self.slots.get(number).is_none_or(|slot| slot.is_settled);
                    if !is_settled && self.held <= self.limit {
                        return Ok(());
                    }
                    if !is_settled {
                        let number = *number;
                        self.end_where(|text| text.open.contains(&number))?;
                    }
                }
            }
            match self.waiting.pop_front() {
                Some(Waiting::Bytes(bytes)) => {
                    self.held -= ITEM + bytes.len();
                    out.push(bytes);
                }
                Some(Waiting::Slot(number)) => out.extend(self.take_slot(number)),
                None => return Ok(()),
            }
        }
    }

    /// Bytes held back now.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// All counters so far.
    pub(super) fn report(&self) -> Report {
        let mut report = self.report.clone();
        self.texts.iter().for_each(|text| report.add(text.projection.report()));
        report
    }

    fn take_slot(&mut self, number: usize) -> Vec<Bytes> {
        let slot = self.slots.remove(&number).unwrap_or_default();
        self.held -= slot.size;
        slot.pieces
    }

    /// The place of the text that `key` names, which may be a new one.
    fn text(&mut self, key: Key) -> Result<usize, ContentError> {
        if let Some(index) = self.texts.iter().position(|text| text.key == key) {
            return Ok(index);
        }
        if self.texts.len() == MOST
            && let Some(oldest) = self.texts.iter().map(|text| text.event).min()
        {
            self.end_where(|text| text.event == oldest)?;
        }
        self.texts.push(Text::new(&self.plan, key));
        Ok(self.texts.len() - 1)
    }

    fn end_where(&mut self, is_over: impl Fn(&Text) -> bool) -> Result<(), ContentError> {
        let mut index = 0;
        while index < self.texts.len() {
            if !is_over(&self.texts[index]) {
                index += 1;
                continue;
            }
            let mut text = self.texts.remove(index);
            let ended = text.finish(&mut self.slots);
            self.report.add(text.projection.report());
            ended?;
        }
        Ok(())
    }
}

impl Text {
    fn new(plan: &Arc<Plan>, key: Key) -> Self {
        let mut projection = Projection::new(plan);
        let before = match key.name() {
            // Not the name of a secret: a model's token.
            "token" => "\"".to_owned(),
            name => format!("{{{}:\"", serde_json::Value::from(name)),
        };
        projection.syntax(before.as_bytes());
        Self { key, projection, open: VecDeque::new(), event: 0 }
    }

    /// Hands out what is settled of the pieces.
    fn advance(&mut self, slots: &mut HashMap<usize, Slot>) -> Result<(), ContentError> {
        self.projection.flush(&mut |piece| fill(slots, piece))?;
        let first = self.projection.first_open();
        while let Some(number) = self.open.front().copied().filter(|number| first.is_none_or(|first| *number < first)) {
            self.open.pop_front();
            settle(slots, number);
        }
        Ok(())
    }

    fn finish(&mut self, slots: &mut HashMap<usize, Slot>) -> Result<(), ContentError> {
        self.projection.finish(&mut |piece| fill(slots, piece))?;
        self.open.drain(..).for_each(|number| settle(slots, number));
        Ok(())
    }
}

fn fill(slots: &mut HashMap<usize, Slot>, piece: Piece) {
    if let Piece::Text { field, bytes, .. } = piece
        && let Some(slot) = slots.get_mut(&field)
    {
        slot.pieces.push(bytes);
    }
}

fn settle(slots: &mut HashMap<usize, Slot>, number: usize) {
    if let Some(slot) = slots.get_mut(&number) {
        slot.is_settled = true;
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
        let mut push = |event: Value, held: bool| {
            let event = format!("data: {event}\n\n");
            stage.push(event.clone().into(), &mut out).unwrap();
            given += &event;
            assert_eq!(stage.held() > 0, held, "{event}");
            assert_eq!(out.concat() == given.as_bytes(), !held, "{event}");
        };
        push(json!({"type": "message_start", "message": {"content": [], "model": "m"}}), false);
        push((FRAMES[2].0)("Hello"), true);
        push(json!({"type": "ping"}), true);
        push((FRAMES[2].0)(" to"), true);
        push(json!({"type": "content_block_stop", "index": 0}), false);
        push((FRAMES[0].0)("Hello"), true);
        push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}), false);
        push((FRAMES[0].0)("and"), true);
        for number in 0..PATIENCE {
            push(json!({ "type": number }), true);
        }
        push(json!({"type": "ping"}), false);
        push((FRAMES[0].0)("and"), true);
        stage.push(Bytes::from_static(b"data: [DONE]\n\n"), &mut out).unwrap();
        assert_eq!(stage.held(), 0);
    }

    #[test]
    fn only_so_much_waits() {
        let (limit, mut most) = (1 << 14, 0);
        let (mut stage, mut out) = (SseStage::new(&PLAN, limit), Vec::new());
        let mut given = String::new();
        for number in 0..4000 {
            // A text that may be an address to its end, and one that goes on.
            let event = match number {
                0 => format!("data: {}\n\n", json!({"type": "a.delta", "delta": "bob"})),
                _ => format!("data: {}\n\n", json!({"type": "b.delta", "delta": "x".repeat(20)})),
            };
            stage.push(event.clone().into(), &mut out).unwrap();
            given += &event;
            most = most.max(stage.held());
        }
        stage.finish(&mut out).unwrap();
        assert!(out.concat() == given.as_bytes());
        assert!(most < 2 * limit, "{most}");
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
        projection.slot(0);
        projection.json_text(0, Bytes::from_static(b"to bob@exam"));
        projection.slot(1);
        projection.json_text(0, Bytes::from_static(b"ple.com"));
        projection.slot(2);
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
