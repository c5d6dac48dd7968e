//! From a tree to text, as kubectl writes it: blocks, two spaces, lists not indented.

use super::super::json::{is_printable, quoted};
use super::super::node::{Map, Node, Scalar, reads_as_text};

/// Writes a document, without `---`.
pub fn write_yaml(node: &Node) -> String {
    let mut out = String::new();
    match node {
        Node::Map(map) if !map.is_empty() => write_map(map, 0, &mut out),
        Node::List(items) if !items.is_empty() => write_list(items, 0, &mut out),
        _ => {
            write_short(node, &mut out);
            out.push('\n');
        }
    }
    out
}

/// From where the line stands.
fn write_map(map: &Map, indent: usize, out: &mut String) {
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            pad(indent, out);
        }
        out.push_str(&key_text(key));
        out.push(':');
        match value {
            Node::Map(inner) if !inner.is_empty() => {
                out.push('\n');
                pad(indent + 2, out);
                write_map(inner, indent + 2, out);
            }
            Node::List(items) if !items.is_empty() => {
                out.push('\n');
                pad(indent, out);
                write_list(items, indent, out);
            }
            Node::Scalar(scalar) => write_scalar(scalar, indent + 2, out),
            _ => {
                out.push(' ');
                write_short(value, out);
                out.push('\n');
            }
        }
    }
}

/// From where the line stands.
fn write_list(items: &[Node], indent: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            pad(indent, out);
        }
        out.push('-');
        match item {
            Node::Map(map) if !map.is_empty() => {
                out.push(' ');
                write_map(map, indent + 2, out);
            }
            Node::List(inner) if !inner.is_empty() => {
                out.push(' ');
                write_list(inner, indent + 2, out);
            }
            Node::Scalar(scalar) => write_scalar(scalar, indent + 2, out),
            _ => {
                out.push(' ');
                write_short(item, out);
                out.push('\n');
            }
        }
    }
}

/// Behind a colon or a dash; a text of several lines with so much before each.
fn write_scalar(scalar: &Scalar, indent: usize, out: &mut String) {
    match block(scalar) {
        Some(header) => {
            out.push(' ');
            out.push_str(header);
            for line in scalar.text.trim_end_matches('\n').split('\n') {
                out.push('\n');
                if !line.is_empty() {
                    pad(indent, out);
                }
                out.push_str(line);
            }
        }
        None if scalar.plain && scalar.text.is_empty() => {}
        None => {
            out.push(' ');
            out.push_str(&short(scalar));
        }
    }
    out.push('\n');
}

/// How a text begins that is written line by line; `None` if it is not.
fn block(scalar: &Scalar) -> Option<&'static str> {
    let text = &scalar.text;
    let lines = text.trim_end_matches('\n');
    let ends = text.len() - lines.len();
    let begins_right = !lines.starts_with([' ', '\t', '\n']) && !lines.is_empty();
    let is_readable = lines.chars().all(|char| matches!(char, '\n' | '\t') || is_printable(char));
    let fits = !scalar.plain && text.contains('\n') && ends <= 1 && begins_right && is_readable;
    fits.then_some(if ends == 1 { "|" } else { "|-" })
}

fn write_short(node: &Node, out: &mut String) {
    match node {
        Node::Scalar(scalar) => out.push_str(&short(scalar)),
        Node::List(_) => out.push_str("[]"),
        Node::Map(_) => out.push_str("{}"),
    }
}

fn key_text(key: &Scalar) -> String {
    // Nothing at all would be no key.
    if key.plain && key.text.is_empty() { "null".to_owned() } else { short(key) }
}

/// On one line: a plain value as it was spelled, a text without quotes where they are
/// not needed.
fn short(scalar: &Scalar) -> String {
    let text = &scalar.text;
    let is_bare = reads_as_text(text)
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' ']);
    let is_clearer_so = text.contains('"') && text.chars().all(is_printable);
    match () {
        () if scalar.plain || is_bare => text.clone(),
        () if is_clearer_so => format!("'{}'", text.replace('\'', "''")),
        () => quoted(text),
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}
