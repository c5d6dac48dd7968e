//! Manifests as they come: any number of documents, YAML or JSON, one behind the
//! other. One that stays the same leaves as it came, to the last byte.

use super::json::{read_json, read_values, write_json};
use super::node::Node;
use super::yaml::{Wrong, read_yaml, write_yaml};

/// Begins a document.
const MARKER: &str = "---";

/// All documents of a text.
#[derive(Debug)]
pub struct Stream(Vec<Document>);

/// One of them.
#[derive(Debug)]
pub struct Document {
    /// As it came, with what stands before it; empty for one that was added.
    raw: String,
    /// What stands before it when it has changed: `---`, comments, empty lines.
    lead: String,
    form: Form,
    /// As it came; `None` for comments only, and for one that was added.
    original: Option<Node>,
    /// As it leaves; `None` if it does not.
    pub node: Option<Node>,
    /// Counted from 1.
    pub line: usize,
    has_tags: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Yaml,
    /// With so many spaces per level, or on one line.
    Json(Option<usize>),
}

impl Stream {
    /// Reads all documents.
    ///
    /// # Errors
    /// At the first that is neither YAML nor JSON.
    pub fn read(text: &str) -> Result<Self, Wrong> {
        let (mut documents, mut line) = (Vec::new(), 1);
        for chunk in chunks(text) {
            let wrong = |wrong: Wrong| Wrong { line: wrong.line + line - 1, ..wrong };
            read_chunk(chunk, line, &mut documents).map_err(wrong)?;
            line += chunk.matches('\n').count();
        }
        Ok(Self(documents))
    }

    /// Those that are more than comments.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.0.iter().filter(|document| document.node.is_some())
    }

    /// The same, to be changed.
    pub fn documents_mut(&mut self) -> impl Iterator<Item = &mut Document> {
        self.0.iter_mut().filter(|document| document.node.is_some())
    }

    /// Adds a document behind the others, in the form of the last one.
    pub fn add(&mut self, node: Node) {
        let form = self.documents().last().map_or(Form::Yaml, |document| document.form);
        let lead = if form == Form::Yaml { "---\n" } else { "" }.to_owned();
        let added =
            Document { raw: String::new(), lead, form, original: None, node: Some(node), line: 0, has_tags: false };
        self.0.push(added);
    }

    /// Writes them. Those that changed are read again, to be sure of them.
    ///
    /// # Errors
    /// With what is wrong with a document that changed.
    pub fn write(&self) -> Result<String, Wrong> {
        let mut out = String::new();
        for document in &self.0 {
            document.write(&mut out)?;
        }
        Ok(out)
    }
}

impl Document {
    /// Whether it leaves as it came.
    pub fn is_unchanged(&self) -> bool {
        self.original == self.node
    }

    fn write(&self, out: &mut String) -> Result<(), Wrong> {
        let wrong = |why: &str| Wrong { line: self.line, why: why.to_owned() };
        if self.is_unchanged() {
            begin_line(&self.raw, out);
            out.push_str(&self.raw);
            return Ok(());
        }
        let Some(node) = &self.node else { return Ok(()) };
        if self.has_tags {
            return Err(wrong("this document has tags (!name), which would be lost; write it without them"));
        }
        let (text, again) = match self.form {
            Form::Yaml => {
                let text = write_yaml(node);
                let again = read_yaml(&text).ok().flatten().map(|found| found.node);
                (text, again)
            }
            Form::Json(indent) => {
                let text = write_json(node, indent);
                let again = read_json(&text).ok();
                (text, again)
            }
        };
        if again.as_ref() != Some(node) {
            return Err(wrong("this document would be another one when it is read again; please report it"));
        }
        let is_added = self.raw.is_empty();
        begin_line(if is_added { MARKER } else { &self.lead }, out);
        out.push_str(&self.lead);
        out.push_str(&text);
        if is_added && !text.ends_with('\n') {
            out.push('\n');
        }
        Ok(())
    }
}

/// Ends the line before a document that begins with one of its own.
fn begin_line(next: &str, out: &mut String) {
    if next.starts_with(MARKER) && !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// The parts of a text, cut before each line that begins a document. Such a line is
/// that and nothing else, whatever it stands in (YAML 1.2.2, section 9.1.2).
fn chunks(text: &str) -> Vec<&str> {
    let (mut chunks, mut from, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if is_marker(line) && at > from {
            chunks.push(&text[from..at]);
            from = at;
        }
        at += line.len();
    }
    chunks.push(&text[from..]);
    chunks
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix(MARKER).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// How much of a chunk stands before its content.
fn lead(chunk: &str) -> usize {
    let mut at = 0;
    for line in chunk.split_inclusive('\n') {
        let marker = if is_marker(line) { MARKER.len() } else { 0 };
        let text = line[marker..].trim_start_matches('\u{feff}').trim();
        if !text.is_empty() && !text.starts_with(['#', '%']) {
            return at + marker;
        }
        at += line.len();
    }
    at
}

fn read_chunk(chunk: &str, line: usize, documents: &mut Vec<Document>) -> Result<(), Wrong> {
    let (before, content) = chunk.split_at(lead(chunk));
    let mut add = |raw: &str, lead: &str, form, node: Option<Node>, has_tags| {
        // What stood on the line of the marker goes below it.
        let lead = if lead.ends_with(MARKER) { format!("{lead}\n") } else { lead.to_owned() };
        let line = line + before.matches('\n').count();
        documents.push(Document { raw: raw.to_owned(), lead, form, original: node.clone(), node, line, has_tags });
    };
    // Directives, and comments, that stand before a marker.
    if content.is_empty() {
        add(chunk, before, Form::Yaml, None, false);
        return Ok(());
    }
    let is_json = content.trim_start().starts_with('{');
    if let Some(values) = is_json.then(|| read_values(content)).flatten() {
        let form = Form::Json(indent(content));
        let mut end = before.len();
        for (index, (raw, node)) in values.into_iter().enumerate() {
            let own = &raw[..raw.len() - raw.trim_start().len()];
            let from = if index == 0 { 0 } else { end };
            end += raw.len();
            add(&chunk[from..end], if index == 0 { before } else { own }, form, Some(node), false);
        }
        if end < chunk.len() {
            add(&chunk[end..], "", form, None, false);
        }
        return Ok(());
    }
    let found = read_yaml(chunk)?;
    let has_tags = found.as_ref().is_some_and(|found| found.has_tags);
    add(chunk, before, Form::Yaml, found.map(|found| found.node).filter(|node| !node.is_null()), has_tags);
    Ok(())
}

/// How many spaces JSON has per level, if it has lines.
fn indent(json: &str) -> Option<usize> {
    let (first, rest) = json.trim_start().split_once('\n')?;
    let line = rest.lines().next()?;
    (first.trim_end() == "{").then(|| line.len() - line.trim_start_matches(' ').len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What leaves when the documents of some kind get a member more.
    fn changed(text: &str, kind: &str) -> String {
        let mut stream = Stream::read(text).unwrap();
        for node in stream.documents_mut().filter_map(|document| document.node.as_mut()) {
            if node.text_of("kind") == Some(kind) {
                node.as_map_mut().unwrap().set("new", Node::plain("1"));
            }
        }
        stream.write().unwrap()
    }

    #[test]
    fn what_does_not_change_leaves_as_it_came() {
        for text in [
            "",
            "# nothing\n",
            "kind:   A   # odd\r\n",
            "\u{feff}kind: A",
            "%YAML 1.1\n---\nkind: A\n...\n# end\n---\n\n---\n- 1\n",
            "--- {kind: A}\n---\nx: |\n  a\n  --- b\n  ---\n",
            "{\"kind\": \"A\",\n   \"x\":1.0}\n\n{\"kind\":\"A\"}  \n",
            "---\n{\"kind\": \"A\"}\n---\n{kind: A}\n",
            "kind: !A x\n",
        ] {
            assert_eq!(changed(text, "B"), text);
        }
    }

    #[test]
    fn only_what_changes_is_written_anew_below_its_comments() {
        let text = "# of all\n---\n# of b\n\nkind:   B # this\nx: '1' \n---\nkind:   A\n--- {kind: B}\n";
        let expected = "# of all\n---\n# of b\n\nkind: B\nx: \"1\"\nnew: 1\n---\nkind:   A\n---\nkind: B\nnew: 1\n";
        assert_eq!(changed(text, "B"), expected);
        let json = "{\n  \"kind\": \"B\"\n}\n{\"kind\":\"A\"}\n";
        assert_eq!(changed(json, "B"), "{\n  \"kind\": \"B\",\n  \"new\": 1\n}\n{\"kind\":\"A\"}\n");
    }

    #[test]
    fn documents_are_added_and_taken_out() {
        for (text, expected) in [
            ("kind: A", "kind: A\n---\nkind: C\n"),
            ("", "---\nkind: C\n"),
            ("---\nkind: B\n---\nkind: A\n", "---\nkind: A\n---\nkind: C\n"),
            ("{\"kind\":\"A\"}\n", "{\"kind\":\"A\"}\n{\"kind\":\"C\"}\n"),
        ] {
            let mut stream = Stream::read(text).unwrap();
            for document in stream.documents_mut() {
                document.node = document.node.take().filter(|node| node.text_of("kind") != Some("B"));
            }
            stream.add(Node::map([("kind", Node::text("C"))]));
            assert_eq!(stream.write().unwrap(), expected);
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_line_of_the_whole() {
        assert_eq!(Stream::read("kind: A\n---\n\na: 1\na: 2\n").unwrap_err().line, 5);
        let mut stream = Stream::read("a: 1\n---\nkind: !B x\n").unwrap();
        stream.documents_mut().last().unwrap().node = Some(Node::text("x"));
        let wrong = stream.write().unwrap_err();
        assert!(wrong.line == 3 && wrong.why.contains("tags"), "{wrong:?}");
    }
}
