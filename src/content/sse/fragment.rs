//! Which strings of an event are pieces of a longer text.
//!
//! Models answer piece by piece, and each vendor frames the pieces in JSON of
//! its own. What they have in common: a piece stands under a name that ends with
//! `delta`, or where the whole text would stand in `choices` or `candidates`,
//! and what it belongs to is told by an index or an id beside it:
//!
//! ```text
//! {"choices":[{"index":0,"delta":{"content":"jane.d"}}]}                 OpenAI, Mistral, ...
//! {"type":"response.output_text.delta","item_id":"m","delta":"jane.d"}   OpenAI Responses
//! {"type":"content_block_delta","index":0,"delta":{"partial_json":"{\""}}    Anthropic
//! {"candidates":[{"content":{"parts":[{"text":"jane.d"}]}}]}             Gemini
//! {"type":"content-delta","delta":{"message":{"content":{"text":"j"}}}}  Cohere
//! {"type":"message.output.delta","output_index":0,"content":"jane.d"}    Mistral's agents
//! [{"type":"AIMessageChunk","id":"m","content":"jane.d"},{}]             LangGraph
//! {"event":"message","answer":"jane.d"}                                  Dify
//! {"model":"m","message":{"content":"jane.d"},"done":false}              Ollama
//! {"event_type":"text-generation","text":"jane.d","is_finished":false}   Cohere, version 1
//! 0:"jane.d"                                                             Vercel's AI SDK, labelled
//! ```
//!
//! Sources: <https://platform.openai.com/docs/api-reference/chat-streaming>,
//! <https://platform.openai.com/docs/api-reference/responses-streaming>,
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>,
//! <https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>,
//! <https://docs.cohere.com/v2/docs/streaming>,
//! <https://docs.cohere.com/v1/docs/streaming>,
//! <https://docs.ollama.com/api/streaming>,
//! <https://ai-sdk.dev/v4/docs/ai-sdk-ui/stream-protocol#data-stream-protocol>,
//! <https://docs.mistral.ai/api/#tag/beta.conversations>,
//! <https://docs.langchain.com/langsmith/streaming>,
//! <https://docs.dify.ai/api-reference/chat/send-chat-message>,
//! <https://cloud.ibm.com/apidocs/watsonx-ai#text-generation-stream>.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Deeper members are not looked at.
const DEEPEST: u8 = 16;
/// Longer strings do not tell what a piece belongs to.
const LONGEST_ID: usize = 128;
/// Pieces under longer names, taken together, are none.
const LONGEST_PATH: usize = 512;
/// More members do not tell what a piece belongs to.
const MOST_IDS: usize = 16;
/// An event with more pieces has none.
const MOST_PIECES: usize = 1024;
/// Of an array so many values are looked at.
const MOST_VALUES: usize = 256;
/// Ends that one event tells.
const MOST_ENDS: usize = 16;

/// Members beside a piece, or around it, that tell what it belongs to.
const SCOPES: [&str; 8] =
    ["index", "output_index", "content_index", "summary_index", "item_id", "message_id", "messageId", "toolCallId"];
/// The same beside the type of what comes in pieces.
const IDS: [&str; 2] = ["id", "tool_call_id"];
/// Members whose value, if there is one, tells that a text is over.
const REASONS: [&str; 4] = ["finish_reason", "stop_reason", "finishReason", "stopReason"];
/// How the type of an event ends that tells so.
const ENDS: [&str; 8] = ["stop", "done", "end", "finish", "complete", "completed", "failed", "incomplete"];
/// The names of texts, besides names that end with `delta`. Others under a delta
/// are facts.
const TEXTS: [&str; 21] = [
    "text",
    "content",
    "value",
    "stringValue",
    "arguments",
    "args",
    "parameters",
    "response",
    "partial_json",
    "thinking",
    "reasoning",
    "reasoning_content",
    "reasoning_text",
    "refusal",
    "transcript",
    "summary",
    "tool_plan",
    "input",
    "output",
    "code",
    "message",
];
/// Where pieces of answers have the same members as whole ones.
const ROOTS: [&str; 2] = ["choices", "candidates"];
/// Names of texts that are pieces wherever they are the event's own.
const OWN: [&str; 2] = ["completion", "answer"];
/// Members of an event, true or false, that tell whether it is the last one, and what
/// stands beside each where all others are pieces, too: a list of tasks has some that
/// are done.
const LAST: [(&str, &str); 2] = [("done", "model"), ("is_finished", "event_type")];
/// How the type of an object ends whose texts are pieces.
const PIECEMEAL: [&str; 2] = ["delta\"", "MessageChunk\""];
/// What stands there is whole.
const WHOLE: &str = "message";

/// What a piece belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The event's type.
    kind: Arc<str>,
    /// The names of the members that it stands in, and places in arrays.
    path: String,
    scope: Arc<Scope>,
    /// See [`Key::of_text`].
    is_plain: bool,
}

/// Where the members stand that tell what a piece belongs to, and their values.
pub(super) type Scope = Vec<(String, String)>;

impl Key {
    /// That of the text which events with this name make, as text or as strings of JSON.
    pub(super) fn of_text(name: &Arc<str>, is_json: bool) -> Self {
        let path = if is_json { "\"" } else { "" };
        Self { kind: Arc::clone(name), path: path.to_owned(), scope: Arc::default(), is_plain: true }
    }

    /// Whether it is that of such a text.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether the end of what `scope` names is the end of this, too.
    pub(super) fn is_within(&self, scope: &Scope) -> bool {
        scope.iter().all(|told| self.scope.contains(told))
    }
}

/// Part of a text.
#[derive(Debug)]
pub(super) struct Fragment {
    /// Between which bytes of the event it stands, without the quotes.
    pub(super) span: Range<usize>,
    pub(super) key: Key,
    /// JSON up to the text, for who sees nothing else of the event: the names
    /// around it, and the string before it.
    pub(super) before: String,
}

/// What an event has to do with texts that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// In order.
    pub(super) list: Vec<Fragment>,
    /// What is over after this event.
    pub(super) ends: Vec<Arc<Scope>>,
}

impl Pieces {
    /// Those of an event; none if it is not JSON.
    #[cfg(test)]
    pub(super) fn of(event: &str) -> Self {
        Self::labelled(None, event)
    }

    /// The same of one that may have a label, by which a string alone is a piece.
    pub(super) fn labelled(label: Option<u8>, event: &str) -> Self {
        let (from, text) = (event.len() - event.trim_start().len(), event.trim());
        let mut walk = Walk { base: text.as_ptr() as usize - from, ..Walk::default() };
        let mut place = Place::default();
        if let Some(label) = label {
            walk.kind = char::from(label).to_string().into();
            if text.starts_with('"') {
                place = Place { name: Some(TEXTS[0]), is_delta: true, ..place };
                walk.broken = serde_json::from_str::<&RawValue>(text).is_err();
            }
        }
        walk.value(text, place);
        // One that is broken behind its first pieces has none.
        if walk.broken || walk.pieces.list.len() > MOST_PIECES { Self::default() } else { walk.pieces }
    }
}

#[derive(Default)]
struct Walk {
    /// Where the event's first byte is.
    base: usize,
    broken: bool,
    kind: Arc<str>,
    path: String,
    /// What is open around the current value, as JSON.
    before: String,
    scope: Scope,
    /// A copy for all pieces that have the same.
    shared: Option<Arc<Scope>>,
    pieces: Pieces,
}

#[derive(Clone, Copy, Default)]
struct Place<'a> {
    /// The member of the event that it stands in.
    root: &'a str,
    /// The member whose value it is; none for a value of an array.
    name: Option<&'a str>,
    /// Its place in an array.
    index: Option<usize>,
    /// Whether the name of a member around it says that it is a piece.
    is_delta: bool,
    /// Whether it stands in a whole answer.
    is_whole: bool,
    depth: u8,
}

type Members<'a> = [(String, &'a RawValue)];

impl Walk {
    fn value(&mut self, raw: &str, place: Place<'_>) {
        match raw.as_bytes().first() {
            Some(b'{') if place.depth < DEEPEST => match serde_json::from_str(raw) {
                Ok(Object(members)) => self.object(&members, place),
                Err(_) => self.broken = true,
            },
            Some(b'[') if place.depth < DEEPEST => match serde_json::from_str::<Vec<&RawValue>>(raw) {
                Ok(values) => self.array(&values, place),
                Err(_) => self.broken = true,
            },
            Some(b'"') if place.is_piece() && raw.len() > 2 && self.path.len() <= LONGEST_PATH => self.piece(raw),
            _ => {}
        }
    }

    fn piece(&mut self, raw: &str) {
        if self.pieces.list.len() > MOST_PIECES {
            return;
        }
        let start = raw.as_ptr() as usize - self.base + 1;
        let key = Key { kind: Arc::clone(&self.kind), path: self.path.clone(), scope: self.share(), is_plain: false };
        let before = format!("{}\"", self.before);
        self.pieces.list.push(Fragment { span: start..start + raw.len() - 2, key, before });
    }

    fn share(&mut self) -> Arc<Scope> {
        Arc::clone(self.shared.get_or_insert_with(|| Arc::new(self.scope.clone())))
    }

    fn array(&mut self, values: &[&RawValue], place: Place<'_>) {
        let (opened, depth) = (self.before.len(), place.depth + 1);
        self.before.push('[');
        for (index, value) in values.iter().take(MOST_VALUES).enumerate() {
            self.value(value.get(), Place { name: None, index: Some(index), depth, ..place });
            self.before.push_str("0,");
        }
        self.before.truncate(opened);
    }

    fn object(&mut self, members: &Members<'_>, place: Place<'_>) {
        let (scoped, length, opened) = (self.scope.len(), self.path.len(), self.before.len());
        self.before.push('{');
        let has_id = members.iter().any(|(name, value)| is_scope(name, value.get()));
        match place.index {
            // Told by what it says, wherever it stands.
            Some(_) if has_id => self.path.push_str("/-"),
            Some(index) => self.path.push_str(&format!("/{index}")),
            None => {}
        }
        let piecemeal = members.iter().any(|(name, value)| name == "type" && is_piecemeal(value.get()));
        let is_event = place.depth == 0;
        let last = if is_event { last(members) } else { None };
        self.read_facts(members, is_event, piecemeal, last == Some(true));
        let place = Place { is_delta: place.is_delta || piecemeal || last.is_some(), ..place };
        let (named, begun) = (self.path.len(), self.before.len());
        let mut before: Option<(&str, &str)> = None;
        for (name, value) in members {
            if let Some((name, text)) = before.filter(|(name, text)| name.len() + text.len() <= LONGEST_ID) {
                self.before.push_str(&format!("{}:{text},", Value::from(name)));
            }
            self.before.push_str(&format!("{}:", Value::from(name.as_str())));
            self.path.push('/');
            self.path.push_str(name);
            self.value(value.get(), place.member(name));
            self.path.truncate(named);
            self.before.truncate(begun);
            before = value.get().starts_with('"').then_some((name, value.get()));
        }
        self.path.truncate(length);
        self.before.truncate(opened);
        if self.scope.len() > scoped {
            self.scope.truncate(scoped);
            self.shared = None;
        }
    }

    /// What the members of an object tell of the pieces in it; of one with a
    /// `piecemeal` type its id, too.
    fn read_facts(&mut self, members: &Members<'_>, is_event: bool, piecemeal: bool, is_last: bool) {
        for (name, value) in members.iter().map(|(name, value)| (name, value.get())) {
            let is_id = piecemeal && IDS.contains(&name.as_str()) && is_short(value);
            if (is_id || is_scope(name, value)) && self.path.len() <= LONGEST_PATH && self.scope.len() < MOST_IDS {
                self.scope.push((format!("{}/{name}", self.path), value.to_owned()));
                self.shared = None;
            }
            if is_event && name == "type" && value.len() <= LONGEST_ID {
                self.kind = value.into();
            }
        }
        for (name, value) in members.iter().map(|(name, value)| (name.as_str(), value.get())) {
            let is_reason = || REASONS.contains(&name) && !matches!(value, "null" | "\"\"" | "\"null\"");
            if is_reason() || (is_event && name == "type" && is_end(value)) {
                self.end();
            }
        }
        if is_last {
            self.end();
        }
    }

    /// What the members around the current value name is over.
    fn end(&mut self) {
        let scope = self.share();
        if self.pieces.ends.len() < MOST_ENDS && !self.pieces.ends.contains(&scope) {
            self.pieces.ends.push(scope);
        }
    }
}

impl Place<'_> {
    /// That of the member `name`.
    fn member<'a>(&'a self, name: &'a str) -> Place<'a> {
        Place {
            root: if self.depth == 0 { name } else { self.root },
            name: Some(name),
            index: None,
            is_delta: self.is_delta || is_delta(name),
            is_whole: self.is_whole || name == WHOLE,
            depth: self.depth + 1,
        }
    }

    fn is_piece(&self) -> bool {
        let Some(name) = self.name else { return false };
        let is_answer = self.is_delta || (ROOTS.contains(&self.root) && !self.is_whole);
        let is_known = (self.root == "token" && name == "text")
            || (self.root == "results" && name == "generated_text")
            || (self.depth == 1 && OWN.contains(&name));
        is_delta(name) || (is_answer && TEXTS.contains(&name)) || is_known
    }
}

/// Whether an event is the last one, if it says so.
fn last(members: &Members<'_>) -> Option<bool> {
    let value = |name: &str| members.iter().find(|(member, _)| member == name).map(|(_, value)| value.get());
    let (last, _) = LAST
        .into_iter()
        .find(|(last, beside)| matches!(value(last), Some("true" | "false")) && value(beside).is_some())?;
    Some(value(last) == Some("true"))
}

fn is_scope(name: &str, value: &str) -> bool {
    SCOPES.contains(&name) && is_short(value)
}

fn is_short(value: &str) -> bool {
    value.len() <= LONGEST_ID && !value.starts_with(['{', '[']) && value != "null"
}

fn is_delta(name: &str) -> bool {
    let end = name.len().checked_sub(5).and_then(|from| name.get(from..));
    end.is_some_and(|end| end.eq_ignore_ascii_case("delta"))
}

fn is_piecemeal(kind: &str) -> bool {
    kind.len() <= LONGEST_ID && PIECEMEAL.iter().any(|end| kind.ends_with(end))
}

/// Whether the type of an event, in quotes, says that something is over.
fn is_end(kind: &str) -> bool {
    let last = kind.trim_matches('"').rsplit(['.', '_', '-']).next().unwrap_or_default();
    ENDS.iter().any(|end| last.eq_ignore_ascii_case(end))
}

/// The members of an object, in order, as they are written.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadMembers)
    }
}

struct ReadMembers;

impl<'de> Visitor<'de> for ReadMembers {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(event: &str) -> Vec<&str> {
        Pieces::of(event).list.into_iter().map(|piece| &event[piece.span]).collect()
    }

    fn ends(piece: &str, event: &str) -> bool {
        let key = &Pieces::of(piece).list[0].key;
        Pieces::of(event).ends.iter().any(|scope| key.is_within(scope))
    }

    #[test]
    fn pieces_of_all_vendors_are_known() {
        for (event, expected) in [
            (r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"ab"}}]}"#, &["ab"][..]),
            (
                r#" {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a"}}]}}]} "#,
                &[r#"{\"a"#],
            ),
            (r#"{"choices":[{"text":"ab","index":0}]}"#, &["ab"]),
            (r#"{"type":"response.output_text.delta","item_id":"m","delta":"ab"}"#, &["ab"]),
            (r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ab"}}"#, &["ab"]),
            (r#"{"type":"content_block_delta","index":0,"delta":{"partial_json":"ab"}}"#, &["ab"]),
            (r#"{"type":"content_block_delta","index":0,"delta":{"signature":"ab"}}"#, &[]),
            (r#"{"candidates":[{"content":{"parts":[{"text":"ab"},{"text":"cd"}]}}]}"#, &["ab", "cd"]),
            (r#"{"type":"content-delta","delta":{"message":{"content":{"text":"ab"}}}}"#, &["ab"]),
            (r#"{"type":"tool-input-delta","toolCallId":"1","inputTextDelta":"ab"}"#, &["ab"]),
            (r#"{"delta":{"content":[{"index":0,"type":"text","text":{"value":"ab"}}]}}"#, &["ab"]),
            (r#"{"token":{"id":1,"text":"ab"}}"#, &["ab"]),
            (r#"{"completion":"ab"}"#, &["ab"]),
            (r#"{"type":"message.output.delta","output_index":0,"id":"m","content":"ab"}"#, &["ab"]),
            (r#"{"type":"function.call.delta","name":"f","tool_call_id":"c","arguments":"{\"a"}"#, &[r#"{\"a"#]),
            (
                r#"[{"type":"AIMessageChunk","content":"ab","tool_call_chunks":[{"index":0,"args":"cd"}]},{"thread_id":"t"}]"#,
                &["ab", "cd"],
            ),
            (r#"{"event":"message","answer":"ab","message_id":"m"}"#, &["ab"]),
            (r#"{"results":[{"generated_text":"ab"}]}"#, &["ab"]),
            (r#"{"model":"m","created_at":"2","message":{"role":"assistant","content":"ab"},"done":false}"#, &["ab"]),
            (r#"{"model":"m","response":"ab","thinking":"cd","done":false}"#, &["ab", "cd"]),
            (r#"{"is_finished":false,"event_type":"text-generation","text":"ab"}"#, &["ab"]),
            (
                r#"{"is_finished":false,"event_type":"tool-calls-chunk","tool_call_delta":{"index":0,"parameters":"ab"}}"#,
                &["ab"],
            ),
            (r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"ab"}}}"#, &["ab"]),
        ] {
            assert_eq!(texts(event), expected, "{event}");
        }
    }

    #[test]
    fn whole_texts_are_no_pieces() {
        for event in [
            r#"{"choices":[{"message":{"role":"assistant","content":"ab"}}]}"#,
            r#"{"type":"response.output_text.done","text":"ab"}"#,
            r#"{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"ab"}]}}"#,
            r#"{"delta":{"password":"ab","name":"ab","id":"ab"}}"#,
            r#"{"completion":{"key":"password","value":"ab"}}"#,
            r#"{"zdelta":["ab","ab"]}"#,
            r#"{"type":"AIMessage","content":"ab"}"#,
            r#"{"type":"delta.done","content":"ab"}"#,
            r#"{"data":{"answer":"ab"}}"#,
            r#"{"generated_text":"ab"}"#,
            r#"{"id":1,"text":"ab","done":false}"#,
            r#"{"model":"m","done":"false","message":{"content":"ab"}}"#,
            r#"{"a":{"model":"m","done":false,"response":"ab"}}"#,
            r#"{"delta":""}"#,
            r#"{"delta":"ab","broken"}"#,
            r#"{"delta":"ab"} {"#,
            "\"ab\"",
            "",
        ] {
            assert!(texts(event).is_empty(), "{event}");
        }
        let deep = format!("{}\"ab\"{}", "{\"delta\":".repeat(20), "}".repeat(20));
        assert!(texts(&deep).is_empty());
    }

    #[test]
    fn a_piece_belongs_to_what_stands_beside_it() {
        let key = |event: &str| Pieces::of(event).list[0].key.clone();
        let one = key(r#"{"choices":[{"index":0,"delta":{"content":"ab"}}]}"#);
        assert_eq!(key(r#"{"id":"x","choices":[{"delta":{"content":"cd"},"index":0}]}"#), one);
        assert_ne!(key(r#"{"choices":[{"delta":{"content":"cd"},"index":1}]}"#), one);
        assert_ne!(key(r#"{"choices":[{"delta":{"reasoning":"cd"},"index":0}]}"#), one);
        let chunk = key(r#"[{"type":"AIMessageChunk","id":"m","content":"ab"}]"#);
        assert_eq!(key(r#"[{"content":"cd","type":"AIMessageChunk","id":"m"}]"#), chunk);
        assert_ne!(key(r#"[{"type":"AIMessageChunk","id":"n","content":"cd"}]"#), chunk);
        let audio = key(r#"{"type":"response.audio.delta","delta":"ab"}"#);
        assert_ne!(key(r#"{"type":"response.audio_transcript.delta","delta":"ab"}"#), audio);
    }

    #[test]
    fn values_of_arrays_are_told_by_their_place_unless_they_say_more() {
        let keys = |event: &str| Pieces::of(event).list.into_iter().map(|piece| piece.key).collect::<Vec<_>>();
        let parts = keys(r#"{"candidates":[{"content":{"parts":[{"text":"ab"},{"text":"cd"}]}}]}"#);
        assert_ne!(parts[0], parts[1]);
        let calls = keys(r#"{"delta":{"calls":[{"index":0,"arguments":"a"},{"index":1,"arguments":"b"}]}}"#);
        assert_eq!(keys(r#"{"delta":{"calls":[{"index":1,"arguments":"c"}]}}"#), calls[1..]);
    }

    #[test]
    fn a_text_begins_under_its_names_and_behind_the_string_before_it() {
        let event = r#"{"a":1,"choices":[{},{"x":[{"n":"f"}],"delta":{"name":"ba\"dge","text":"ab"}}]}"#;
        assert_eq!(Pieces::of(event).list[0].before, r#"{"choices":[0,{"delta":{"name":"ba\"dge","text":""#);
        assert_eq!(Pieces::of(r#"{"delta":"ab"}"#).list[0].before, r#"{"delta":""#);
    }

    #[test]
    fn a_string_with_a_label_is_a_piece() {
        let labelled = |label, event| Pieces::labelled(Some(label), event);
        let (text, other) = (labelled(b'0', r#""ab""#).list.remove(0), labelled(b'g', r#""ab""#).list.remove(0));
        assert_eq!((text.span, text.before.as_str()), (1..3, "\""));
        assert_ne!(text.key, other.key);
        let delta = labelled(b'c', r#"{"toolCallId":"t","argsTextDelta":"ab"}"#);
        assert!(delta.list.len() == 1 && delta.ends.is_empty());
        assert_eq!(labelled(b'd', r#"{"finishReason":"stop"}"#).ends.len(), 1);
        for none in [r#""ab"#, r#""ab" "cd""#, r#"["ab"]"#, r#"{"text":"ab"}"#, "\"", ""] {
            assert!(labelled(b'0', none).list.is_empty(), "{none}");
        }
    }

    #[test]
    fn what_costs_much_has_no_pieces() {
        let many = vec![r#"{"delta":"a"}"#; 2 * MOST_PIECES].join(",");
        assert!(texts(&format!("{{\"a\":[[{many}],[{many}]]}}")).len() <= MOST_VALUES * 2);
        let members: Vec<String> = (0..=MOST_PIECES).map(|number| format!("\"{number}delta\":\"a\"")).collect();
        assert!(texts(&format!("{{{}}}", members.join(","))).is_empty());
        assert_eq!(texts(&format!("{{{}}}", members[1..].join(","))).len(), MOST_PIECES);
        let long = "n".repeat(LONGEST_PATH);
        assert!(texts(&format!("{{\"{long}\":{{\"delta\":\"ab\"}}}}")).is_empty());
        let ends = vec![r#"{"stop_reason":1}"#; 100].join(",");
        assert_eq!(Pieces::of(&format!("[{ends}]")).ends.len(), 1);
    }

    #[test]
    fn an_end_is_that_of_what_it_names() {
        let choice = r#"{"choices":[{"index":0,"delta":{"content":"ab"}}]}"#;
        assert!(ends(choice, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#));
        assert!(!ends(choice, r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#));
        for none in ["null", "\"\"", "\"null\""] {
            let event = format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":{none}}}]}}"#);
            assert!(!ends(choice, &event), "{none}");
        }
        let block = r#"{"type":"content_block_delta","index":1,"delta":{"text":"ab"}}"#;
        assert!(ends(block, r#"{"type":"content_block_stop","index":1}"#));
        assert!(!ends(block, r#"{"type":"content_block_stop","index":0}"#));
        let chat = r#"{"model":"m","message":{"content":"ab"},"done":false}"#;
        assert!(ends(chat, r#"{"model":"m","message":{"content":""},"done":true}"#));
        assert!(!ends(chat, r#"{"model":"m","message":{"content":""},"done":false}"#));
        assert!(ends(block, r#"{"type":"message_stop"}"#));
        assert!(!ends(block, r#"{"type":"ping"}"#));
        let item = r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"delta":"ab"}"#;
        assert!(ends(item, r#"{"type":"response.output_item.done","output_index":0,"item":{}}"#));
        assert!(ends(item, r#"{"type":"response.completed","response":{}}"#));
    }
}
