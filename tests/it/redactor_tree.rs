//! JSON as a tree that keeps members of the same name apart.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A document.
#[derive(Debug)]
pub(crate) enum Tree {
    Literal,
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// The document that `text` is, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// How the document differs from what it was in more than values: kinds,
    /// order and number of all that it holds, the same within strings that
    /// hold documents. Texts may change, numbers may become a label.
    pub(crate) fn unlike(&self, before: &Self) -> Option<String> {
        match (before, self) {
            (Self::Literal, Self::Literal) | (Self::Number(_), Self::Number(_)) => None,
            (Self::Number(_), Self::Text(label)) if is_label(label) => None,
            (Self::Text(before), Self::Text(after)) => text_unlike(after, before),
            (Self::List(before), Self::List(after)) if before.len() == after.len() => {
                after.iter().zip(before).find_map(|(after, before)| after.unlike(before))
            }
            (Self::Object(before), Self::Object(after)) if before.len() == after.len() => {
                let mut pairs = after.iter().zip(before);
                pairs.find_map(|(after, before)| text_unlike(&after.0, &before.0).or_else(|| after.1.unlike(&before.1)))
            }
            _ => Some(format!("{before:?} became {self:?}")),
        }
    }

    /// Whether any text in it holds `value`, at any depth of documents within
    /// texts.
    pub(crate) fn says(&self, value: &str) -> bool {
        let text_says = |text: &String| text.contains(value) || inner(text).is_some_and(|tree| tree.says(value));
        match self {
            Self::Literal => false,
            Self::Number(number) => number == value,
            Self::Text(text) => text_says(text),
            Self::List(values) => values.iter().any(|tree| tree.says(value)),
            Self::Object(members) => members.iter().any(|(name, tree)| text_says(name) || tree.says(value)),
        }
    }
}

/// The document in a text, when it is more than a number or literal.
fn inner(text: &str) -> Option<Tree> {
    Tree::parse(text).filter(|tree| matches!(tree, Tree::Text(_) | Tree::List(_) | Tree::Object(_)))
}

fn text_unlike(after: &str, before: &str) -> Option<String> {
    let before_tree = inner(before)?;
    if after == before || is_label(after) {
        return None;
    }
    match inner(after) {
        Some(tree) => tree.unlike(&before_tree),
        None => Some(format!("no JSON any more: {after}\nwhich was {before}")),
    }
}

/// Whether a text is nothing but what an action writes.
fn is_label(text: &str) -> bool {
    let template = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    let is_entity =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    text.is_empty()
        || template.is_some_and(is_entity)
        || is_mask(text)
        || expurgate::validator::is_label(text.as_bytes())
}

/// Whether a text has a run of masks, as one has of which the ends are kept.
fn is_mask(text: &str) -> bool {
    let mut runs = text.as_bytes().chunk_by(|one, other| one == other);
    runs.any(|run| run.len() >= 4 && matches!(run[0], b'*' | b'-'))
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Literal)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Literal)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element()? {
            values.push(value);
        }
        Ok(Tree::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = from.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}
