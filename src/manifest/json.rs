//! JSON to nodes and back, with numbers as they are spelled.

use super::node::{Map, Node, Scalar};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Deeper documents are refused.
const DEEPEST: usize = 128;

/// Reads one value.
///
/// # Errors
/// With what is wrong.
pub fn read_json(text: &str) -> Result<Node, String> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
    read(raw.get(), 0)
}

/// Reads the values of a text that holds nothing else: the bytes from the end of the
/// last to the end of each, and the value. `None` if it is something else.
pub(super) fn read_values(text: &str) -> Option<Vec<(&str, Node)>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(value) = values.next() {
        let node = read(value.ok()?.get(), 0).ok()?;
        let to = values.byte_offset();
        found.push((&text[from..to], node));
        from = to;
    }
    Some(found)
}

/// Writes a value: on one line, or with so many spaces per level.
pub fn write_json(node: &Node, indent: Option<usize>) -> String {
    let mut out = String::new();
    write(node, indent, 0, &mut out);
    out
}

/// Keys and values in their order, with those that are there twice.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn read(raw: &str, depth: usize) -> Result<Node, String> {
    let wrong = |error: serde_json::Error| error.to_string();
    let raw = raw.trim_ascii();
    if depth > DEEPEST {
        return Err(format!("more than {DEEPEST} levels"));
    }
    match raw.as_bytes().first() {
        Some(b'{') => {
            let mut map = Map::default();
            for (key, value) in serde_json::from_str::<Entries<'_>>(raw).map_err(wrong)?.0 {
                let twice = format!("the key \"{key}\" is there twice");
                map.add(Scalar::text(key), read(value.get(), depth + 1)?).ok_or(twice)?;
            }
            Ok(Node::Map(map))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(wrong)?;
            Ok(Node::List(items.into_iter().map(|item| read(item.get(), depth + 1)).collect::<Result<_, _>>()?))
        }
        Some(b'"') => Ok(Node::text(serde_json::from_str::<String>(raw).map_err(wrong)?)),
        _ => Ok(Node::Scalar(Scalar { text: raw.to_owned(), plain: true })),
    }
}

fn write(node: &Node, indent: Option<usize>, depth: usize, out: &mut String) {
    match node {
        Node::Scalar(scalar) if scalar.plain => out.push_str(if node.is_null() { "null" } else { &scalar.text }),
        Node::Scalar(scalar) => out.push_str(&quoted(&scalar.text)),
        Node::List(items) => {
            let write_item = |item: &Node, out: &mut String| write(item, indent, depth + 1, out);
            write_all(items.iter(), ['[', ']'], (indent, depth), out, write_item);
        }
        Node::Map(map) => {
            let write_entry = |(key, value): (&Scalar, &Node), out: &mut String| {
                out.push_str(&quoted(&key.text));
                out.push_str(if indent.is_some() { ": " } else { ":" });
                write(value, indent, depth + 1, out);
            };
            write_all(map.iter(), ['{', '}'], (indent, depth), out, write_entry);
        }
    }
}

fn write_all<T>(
    all: impl Iterator<Item = T>,
    [open, close]: [char; 2],
    (indent, depth): (Option<usize>, usize),
    out: &mut String,
    write_one: impl Fn(T, &mut String),
) {
    let new_line = |depth: usize, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    out.push(open);
    let mut is_empty = true;
    for one in all {
        if !is_empty {
            out.push(',');
        }
        is_empty = false;
        new_line(depth + 1, out);
        write_one(one, out);
    }
    if !is_empty {
        new_line(depth, out);
    }
    out.push(close);
}

/// A text in quotes, which YAML reads alike: what its versions take for the end of a
/// line, and what it wants escaped, is.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            _ if is_printable(char) => out.push(char),
            _ => {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

/// Whether YAML takes it as it is, on one line.
pub(super) fn is_printable(char: char) -> bool {
    !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in [r#"{"b":1.0,"a":[1e400,-0,12345678901234567890,{},[]],"":null}"#, r#""a\"\\\n""#, "true"] {
            assert_eq!(write_json(&read_json(text).unwrap(), None), text);
        }
        let pretty = "{\n    \"a\": [\n        1\n    ],\n    \"b\": {}\n}";
        assert_eq!(write_json(&read_json(pretty).unwrap(), Some(4)), pretty);
    }

    #[test]
    fn what_is_no_json_or_is_there_twice_is_refused() {
        for text in ["", "{", r#"{"a":1,"a":2}"#, "[1,]", "{} {}", &"[".repeat(1000)] {
            assert!(read_json(text).is_err(), "{text}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(read_json(&deep).unwrap_err().contains("levels"));
    }

    #[test]
    fn several_values_keep_what_stands_between_them() {
        let values = read_values("{\"a\":1}\n\n{\"b\":2}\n").unwrap();
        let texts: Vec<&str> = values.iter().map(|(text, _)| *text).collect();
        assert_eq!(texts, ["{\"a\":1}", "\n\n{\"b\":2}"]);
        assert!(read_values("{a: 1}").is_none());
    }
}
