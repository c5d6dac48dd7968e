//! From the events of a parser to a tree.

use super::super::node::{Map, Node, Scalar};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Deeper documents are refused.
const DEEPEST: usize = 128;
/// Larger ones, with their aliases resolved, too.
const MOST_NODES: usize = 1_000_000;
const CORE: &str = "tag:yaml.org,2002:";

/// What a document holds.
#[derive(Debug)]
pub struct Found {
    /// All of it.
    pub node: Node,
    /// Whether it has tags that would be lost.
    pub has_tags: bool,
}

/// Why a text cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

/// Reads a text of one document; `None` when it holds none.
///
/// # Errors
/// When it is no YAML, or none that JSON could say.
pub fn read_yaml(text: &str) -> Result<Option<Found>, Wrong> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| told(&error, text))?;
        tree.take(event, span).map_err(|why| Wrong { line: span.start.line(), why })?;
    }
    let has_tags = tree.has_tags;
    Ok(tree.root.map(|node| Found { node, has_tags }))
}

fn told(error: &ScanError, text: &str) -> Wrong {
    let (line, mut column, mut hint) = (error.marker().line(), error.marker().col() + 1, "");
    if error.info().contains("tab") {
        // It is where the reader has stopped, which is behind the tab.
        let place =
            text.lines().nth(line.saturating_sub(1)).and_then(|line| line.chars().position(|char| char == '\t'));
        column = place.map_or(column, |place| place + 1);
        hint = "; indent with spaces";
    }
    Wrong { line, why: format!("no valid YAML at column {column}: {}{hint}", error.info()) }
}

/// A tree that grows by events.
#[derive(Default)]
struct Tree {
    root: Option<Node>,
    /// Lists and maps whose end has not come, with the ids of their anchors.
    open: Vec<(Open, usize)>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    has_tags: bool,
}

enum Open {
    List(Vec<Node>),
    /// Entries, and a key that waits for its value.
    Map(Vec<(Scalar, Node)>, Option<Scalar>),
}

impl Tree {
    fn take(&mut self, event: Event<'_>, _: Span) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = self.scalar(text, style, tag.as_deref());
                self.add(Node::Scalar(scalar), anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an alias of what it stands in, or of nothing")?.clone();
                self.nodes += size(&node);
                self.add(node, 0)
            }
            Event::SequenceStart(anchor, tag) => self.begin(Open::List(Vec::new()), anchor, tag.as_ref()),
            Event::MappingStart(anchor, tag) => self.begin(Open::Map(Vec::new(), None), anchor, tag.as_ref()),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::List(items), anchor)) => self.add(Node::List(items), anchor),
                Some((Open::Map(entries, _), anchor)) => self.add(Node::Map(merged(entries)?), anchor),
                None => Err("an end without a beginning".to_owned()),
            },
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Scalar {
        let core = tag.filter(|tag| tag.handle == CORE).map(|tag| tag.suffix.as_str());
        self.has_tags |= tag.is_some() && !matches!(core, Some("str" | "int" | "float" | "bool" | "null"));
        match (style, core) {
            (ScalarStyle::Plain, None | Some("int" | "float" | "bool" | "null")) => Scalar::plain(text),
            (_, Some("int" | "float" | "bool" | "null")) => Scalar { text: text.into_owned(), plain: true },
            _ => Scalar::text(text),
        }
    }

    fn begin(&mut self, open: Open, anchor: usize, tag: Option<&Cow<'_, Tag>>) -> Result<(), String> {
        self.has_tags |= tag.is_some_and(|tag| tag.handle != CORE || !matches!(tag.suffix.as_str(), "map" | "seq"));
        if self.open.len() >= DEEPEST {
            return Err(format!("more than {DEEPEST} levels"));
        }
        self.open.push((open, anchor));
        Ok(())
    }

    /// Puts a node where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(format!("more than {MOST_NODES} values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None if self.root.is_some() => return Err("a second document without --- before it".to_owned()),
            None => self.root = Some(node),
            Some((Open::List(items), _)) => items.push(node),
            Some((Open::Map(entries, waiting), _)) => match (waiting.take(), node) {
                (Some(key), value) => {
                    let is_merge = key.plain && key.text == "<<";
                    if !is_merge && entries.iter().any(|(own, _)| own.text == key.text) {
                        return Err(format!("the key \"{}\" is there twice", key.text));
                    }
                    entries.push((key, value));
                }
                (None, Node::Scalar(key)) => *waiting = Some(key),
                (None, _) => return Err("a key that is no text".to_owned()),
            },
        }
        Ok(())
    }
}

/// A map, with what `<<` names in its place: an entry of its own wins over one that is
/// merged, and an earlier one over a later one.
fn merged(entries: Vec<(Scalar, Node)>) -> Result<Map, String> {
    let is_merge = |key: &Scalar| key.plain && key.text == "<<";
    let own: Vec<String> = entries.iter().filter(|(key, _)| !is_merge(key)).map(|(key, _)| key.text.clone()).collect();
    let mut map = Map::default();
    for (key, value) in entries {
        if !is_merge(&key) {
            map.add(key, value).ok_or("a key is there twice")?;
            continue;
        }
        let sources = match value {
            Node::List(items) => items,
            one => vec![one],
        };
        for source in sources {
            let Node::Map(source) = source else { return Err("<< takes maps only".to_owned()) };
            for (key, value) in source.iter().filter(|(key, _)| !own.contains(&key.text)) {
                // One that an earlier source has stays as it is.
                let _ = map.add(key.clone(), value.clone());
            }
        }
    }
    Ok(map)
}

/// How many nodes it is made of.
fn size(node: &Node) -> usize {
    match node {
        Node::Scalar(_) => 1,
        Node::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Node::Map(map) => 1 + map.iter().map(|(_, value)| size(value)).sum::<usize>(),
    }
}
