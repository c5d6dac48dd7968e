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
//! ```
//!
//! Sources: <https://platform.openai.com/docs/api-reference/chat-streaming>,
//! <https://platform.openai.com/docs/api-reference/responses-streaming>,
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>,
//! <https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>,
//! <https://docs.cohere.com/v2/docs/streaming>.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// Deeper members are not looked at.
const DEEPEST: u8 = 16;
/// Longer strings do not tell what a piece belongs to.
const LONGEST_ID: usize = 128;
/// Pieces under longer names, taken together, are none.
const LONGEST_PATH: usize = 512;
/// More members do not tell what a piece belongs to.
const MOST_IDS: usize = 16;

/// Members beside a piece, or around it, that tell what it belongs to.
const SCOPES: [&str; 8] =
    ["index", "output_index", "content_index", "summary_index", "item_id", "message_id", "messageId", "toolCallId"];
/// Members whose value, if it is not null, tells that a text is over.
const REASONS: [&str; 4] = ["finish_reason", "stop_reason", "finishReason", "stopReason"];
/// How the type of an event ends that tells so.
const ENDS: [&str; 8] = ["stop", "done", "end", "finish", "complete", "completed", "failed", "incomplete"];
/// The names of texts, besides names that end with `delta`. Others under a delta
/// are facts, or what a rule for their name knows.
const TEXTS: [&str; 17] = [
    "text",
    "content",
    "value",
    "arguments",
    "partial_json",
    "thinking",
    "reasoning",
    "reasoning_content",
    "reasoning_text",
    "refusal",
    "transcript",
    "summary",
    "input",
    "output",
    "code",
    "message",
    "token",
];
/// Where pieces of answers have the same members as whole ones.
const ROOTS: [&str; 2] = ["choices", "candidates"];

/// What a piece belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The event's type.
    kind: String,
    /// The names of the members that it stands in.
    path: String,
    scope: Scope,
}

/// Where the members stand that tell what a piece belongs to, and their values.
type Scope = Vec<(String, String)>;

impl Key {
    /// The name of the member whose value it is.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the end of what `scope` names is the end of this, too.
    pub(super) fn is_within(&self, scope: &Scope) -> bool {
        scope.iter().all(|told| self.scope.contains(told))
    }
}

/// What an event has to do with texts that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// In order: between which bytes of the event, without the quotes, a piece
    /// stands, and what it belongs to.
    pub(super) list: Vec<(Range<usize>, Key)>,
    /// What is over after this event.
    pub(super) ends: Vec<Scope>,
}

impl Pieces {
    /// Those of an event; none if it is not JSON.
    pub(super) fn of(event: &str) -> Self {
        let (from, text) = (event.len() - event.trim_start().len(), event.trim());
        let mut walk = Walk { base: text.as_ptr() as usize - from, ..Walk::default() };
        walk.value(text, Place { root: None, name: "", is_delta: false, is_pair: false, depth: 0 });
        // One that is broken behind its first pieces has none.
        if walk.broken { Self::default() } else { walk.pieces }
    }
}

#[derive(Default)]
struct Walk {
    /// Where the event's first byte is.
    base: usize,
    broken: bool,
    kind: String,
    path: String,
    scope: Scope,
    pieces: Pieces,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    /// The member of the event that it stands in.
    root: Option<&'a str>,
    /// The nearest member that it stands in.
    name: &'a str,
    /// Whether the name of one of them says so.
    is_delta: bool,
    /// Whether its name is told by another member beside it.
    is_pair: bool,
    depth: u8,
}

impl Walk {
    fn value(&mut self, raw: &str, place: Place<'_>) {
        match raw.as_bytes().first() {
            Some(b'{') if place.depth < DEEPEST => match serde_json::from_str(raw) {
                Ok(Members(members)) => self.object(&members, place),
                Err(_) => self.broken = true,
            },
            Some(b'[') if place.depth < DEEPEST => match serde_json::from_str::<Vec<&RawValue>>(raw) {
                Ok(values) => self.array(&values, place),
                Err(_) => self.broken = true,
            },
            Some(b'"') if place.is_piece() && raw.len() > 2 && self.path.len() <= LONGEST_PATH => {
                let start = raw.as_ptr() as usize - self.base + 1;
                let key = Key { kind: self.kind.clone(), path: self.path.clone(), scope: self.scope.clone() };
                self.pieces.list.push((start..start + raw.len() - 2, key));
            }
            _ => {}
        }
    }

    fn array(&mut self, values: &[&RawValue], place: Place<'_>) {
        let depth = place.depth + 1;
        for value in values {
            self.value(value.get(), Place { depth, ..place });
        }
    }

    fn object(&mut self, members: &[(String, &RawValue)], place: Place<'_>) {
        let (scoped, length) = (self.scope.len(), self.path.len());
        for (name, value) in members {
            let value = value.get();
            let is_id = !matches!(value.as_bytes(), [b'{' | b'[', ..] | b"null") && value.len() <= LONGEST_ID;
            let is_known = SCOPES.contains(&name.as_str()) && self.path.len() <= LONGEST_PATH;
            if is_id && is_known && self.scope.len() < MOST_IDS {
                self.scope.push((format!("{}/{name}", self.path), value.to_owned()));
            }
            if place.depth == 0 && name == "type" {
                self.kind = value.to_owned();
            }
        }
        for (name, value) in members {
            let ends = REASONS.contains(&name.as_str()) && value.get() != "null";
            let is_last = place.depth == 0 && name == "type" && is_end(value.get());
            if ends || is_last {
                self.pieces.ends.push(self.scope.clone());
            }
        }
        let is_pair = members.iter().any(|(name, _)| matches!(name.as_str(), "key" | "name"));
        for (name, value) in members {
            self.path.push('/');
            self.path.push_str(name);
            let is_delta = place.is_delta || is_delta(name);
            let (root, depth) = (place.root.or(Some(name)), place.depth + 1);
            self.value(value.get(), Place { root, name, is_delta, is_pair, depth });
            self.path.truncate(length);
        }
        self.scope.truncate(scoped);
    }
}

impl Place<'_> {
    fn is_piece(self) -> bool {
        let is_answer = self.is_delta || self.root.is_some_and(|root| ROOTS.contains(&root));
        let is_text = TEXTS.contains(&self.name) && !(self.name == "value" && self.is_pair);
        let is_known = (self.root, self.name) == (Some("token"), "text") || self.root == Some("completion");
        is_delta(self.name) || (is_answer && is_text) || is_known
    }
}

fn is_delta(name: &str) -> bool {
    let end = name.len().checked_sub(5).and_then(|from| name.get(from..));
    end.is_some_and(|end| end.eq_ignore_ascii_case("delta"))
}

/// Whether the type of an event, in quotes, says that something is over.
fn is_end(kind: &str) -> bool {
    let last = kind.trim_matches('"').rsplit(['.', '_', '-']).next().unwrap_or_default();
    ENDS.contains(&last.to_ascii_lowercase().as_str())
}

/// The members of an object, in order, as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadMembers)
    }
}

struct ReadMembers;

impl<'de> Visitor<'de> for ReadMembers {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(event: &str) -> Vec<&str> {
        Pieces::of(event).list.into_iter().map(|(span, _)| &event[span]).collect()
    }

    fn ends(piece: &str, event: &str) -> bool {
        let key = &Pieces::of(piece).list[0].1;
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
        ] {
            assert_eq!(texts(event), expected, "{event}");
        }
    }

    #[test]
    fn whole_texts_are_no_pieces() {
        for event in [
            r#"{"choices":[{"message":{"role":"assistant","contents":"ab"}}]}"#,
            r#"{"type":"response.output_text.done","text":"ab"}"#,
            r#"{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"ab"}]}}"#,
            r#"{"delta":{"password":"ab","name":"ab","id":"ab"}}"#,
            r#"{"delta":{"key":"password","value":"ab"}}"#,
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
        let key = |event: &str| Pieces::of(event).list[0].1.clone();
        let one = key(r#"{"choices":[{"index":0,"delta":{"content":"ab"}}]}"#);
        assert_eq!(key(r#"{"id":"x","choices":[{"delta":{"content":"cd"},"index":0}]}"#), one);
        assert_ne!(key(r#"{"choices":[{"delta":{"content":"cd"},"index":1}]}"#), one);
        assert_ne!(key(r#"{"choices":[{"delta":{"reasoning":"cd"},"index":0}]}"#), one);
        let audio = key(r#"{"type":"response.audio.delta","delta":"ab"}"#);
        assert_ne!(key(r#"{"type":"response.audio_transcript.delta","delta":"ab"}"#), audio);
    }

    #[test]
    fn an_end_is_that_of_what_it_names() {
        let choice = r#"{"choices":[{"index":0,"delta":{"content":"ab"}}]}"#;
        assert!(ends(choice, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#));
        assert!(!ends(choice, r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#));
        assert!(!ends(choice, r#"{"choices":[{"index":0,"delta":{},"finish_reason":null}]}"#));
        let block = r#"{"type":"content_block_delta","index":1,"delta":{"text":"ab"}}"#;
        assert!(ends(block, r#"{"type":"content_block_stop","index":1}"#));
        assert!(!ends(block, r#"{"type":"content_block_stop","index":0}"#));
        assert!(ends(block, r#"{"type":"message_stop"}"#));
        assert!(!ends(block, r#"{"type":"ping"}"#));
        let item = r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"delta":"ab"}"#;
        assert!(ends(item, r#"{"type":"response.output_item.done","output_index":0,"item":{}}"#));
        assert!(ends(item, r#"{"type":"response.completed","response":{}}"#));
    }
}
