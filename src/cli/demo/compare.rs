//! A document before and after, side by side, with what changed marked.

use serde_json::Value;

/// Unchanged text longer than this is shortened.
const LONGEST_SAME: usize = 44;
/// Changed text longer than this is shortened.
const LONGEST_CHANGE: usize = 72;
const ELLIPSIS: &str = " … ";

/// How changes are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    before: (&'static str, &'static str),
    after: (&'static str, &'static str),
    /// Whether they take no room on the screen.
    invisible: bool,
}

impl Marks {
    /// Red and green.
    pub(super) const COLOUR: Self =
        Self { before: ("\x1b[31;1m", "\x1b[0m"), after: ("\x1b[32;1m", "\x1b[0m"), invisible: true };
    /// `{-removed-}` and `{+added+}`.
    pub(super) const PLAIN: Self = Self { before: ("{-", "-}"), after: ("{+", "+}"), invisible: false };

    /// What they mean.
    pub(super) fn legend(self) -> String {
        let ((out, out_end), (new, new_end)) = (self.before, self.after);
        format!("{out}taken out{out_end}  {new}put in its place{new_end}")
    }
}

/// The lines of `before` that differ from those of `after`, in two columns of
/// `width` characters.
pub(super) fn side_by_side(before: &str, after: &str, width: usize, marks: Marks) -> Vec<String> {
    let (Some(before), Some(after)) = (lines(before), lines(after)) else { return Vec::new() };
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
    changed.flat_map(|(before, after)| rows(&pieces(before.trim(), after.trim()), width, marks)).collect()
}

/// The document, one member or element per line. Both have the same ones.
fn lines(document: &str) -> Option<Vec<String>> {
    let value: Value = serde_json::from_str(document).ok()?;
    let pretty = serde_json::to_string_pretty(&value).ok()?;
    Some(pretty.lines().map(|line| line.trim_end_matches(',').to_owned()).collect())
}

/// A stretch of a line: the same in both, or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Same(String),
    Changed { before: String, after: String },
}

/// Takes a line apart at the labels of its second form.
fn pieces(before: &str, after: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut before, mut after) = (before, after);
    while let Some((same, label, rest)) = split_at_label(after) {
        let Some(old) = before.strip_prefix(same) else { break };
        // What was there ends where the text up to the next label begins.
        let next = split_at_label(rest).map_or(rest, |(next, ..)| next);
        let last = next.len() == rest.len();
        let end = if last { old.len().checked_sub(next.len()).filter(|_| old.ends_with(next)) } else { old.find(next) };
        let Some(end) = end else { break };
        if old[..end] == *label {
            pieces.push(Piece::Same(format!("{same}{label}")));
        } else {
            pieces.push(Piece::Same(same.to_owned()));
            pieces.push(Piece::Changed { before: old[..end].to_owned(), after: label.to_owned() });
        }
        (before, after) = (&old[end..], rest);
    }
    if before == after {
        pieces.push(Piece::Same(before.to_owned()));
    } else {
        // Numbers become strings: the quotes are new.
        let same = before.char_indices().zip(after.chars()).find(|((_, a), b)| a != b).map_or(0, |((at, _), _)| at);
        pieces.push(Piece::Same(before[..same].to_owned()));
        pieces.push(Piece::Changed { before: before[same..].to_owned(), after: after[same..].to_owned() });
    }
    pieces
}

/// The text before the first `[LABEL]`, the label, the text behind it.
fn split_at_label(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let start = from + text[from..].find('[')?;
        let name =
            text[start + 1..].find(|char: char| !char.is_ascii_uppercase() && char != '_' && !char.is_ascii_digit());
        let end = start + 1 + name?;
        if text[end..].starts_with(']') && end > start + 3 {
            return Some((&text[..start], &text[start..=end], &text[end + 1..]));
        }
        from = start + 1;
    }
}

fn rows(pieces: &[Piece], width: usize, marks: Marks) -> Vec<String> {
    let left = wrapped(pieces, width, marks, true);
    let right = wrapped(pieces, width, marks, false);
    let blank = " ".repeat(width);
    (0..left.len().max(right.len()))
        .map(|row| {
            let left = left.get(row).map_or(blank.as_str(), String::as_str);
            let right = right.get(row).map_or("", String::as_str).trim_end();
            format!("{left} │ {right}")
        })
        .collect()
}

/// One side of a line in rows of exactly `width` visible characters.
fn wrapped(pieces: &[Piece], width: usize, marks: Marks, before: bool) -> Vec<String> {
    let mut column = Column { rows: vec![String::new()], used: 0, width };
    let count = pieces.len();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Same(text) => column.add(&shortened(text, LONGEST_SAME, index == 0, index + 1 == count), None),
            Piece::Changed { before: old, after: new } => {
                let (text, (open, close)) = if before { (old, marks.before) } else { (new, marks.after) };
                let text = shortened(text, LONGEST_CHANGE, false, false);
                if marks.invisible {
                    column.add(&text, Some((open, close)));
                } else {
                    column.add(&format!("{open}{text}{close}"), None);
                }
            }
        }
    }
    column.fill();
    column.rows
}

/// `text` without its middle; of the first stretch of a line the beginning
/// counts (the member's name), of the last one too.
fn shortened(text: &str, longest: usize, first: bool, last: bool) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let room = longest - ELLIPSIS.chars().count();
    let tail = match (first, last) {
        (false, true) => 0,
        _ => room / 2,
    };
    let head: String = text.chars().take(room - tail).collect();
    let tail: String = text.chars().skip(length - tail).collect();
    format!("{head}{ELLIPSIS}{tail}")
}

struct Column {
    rows: Vec<String>,
    /// Characters in the last row.
    used: usize,
    width: usize,
}

impl Column {
    fn add(&mut self, text: &str, style: Option<(&str, &str)>) {
        let (open, close) = style.unwrap_or_default();
        self.put(open);
        for char in text.chars() {
            if self.used == self.width {
                self.put(close);
                self.rows.push(String::new());
                self.used = 0;
                self.put(open);
            }
            self.put(char.encode_utf8(&mut [0; 4]));
            self.used += 1;
        }
        self.put(close);
    }

    fn fill(&mut self) {
        let rest = " ".repeat(self.width - self.used);
        self.put(&rest);
    }

    fn put(&mut self, text: &str) {
        if let Some(row) = self.rows.last_mut() {
            row.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(text: &str) -> Piece {
        Piece::Same(text.to_owned())
    }

    fn changed(before: &str, after: &str) -> Piece {
        Piece::Changed { before: before.to_owned(), after: after.to_owned() }
    }

    #[test]
    fn what_a_label_replaced_is_found() {
        assert_eq!(
            pieces("\"to\": \"a@b.co, c@d.co!\"", "\"to\": \"[EMAIL_ADDRESS], [EMAIL_ADDRESS]!\""),
            [
                same("\"to\": \""),
                changed("a@b.co", "[EMAIL_ADDRESS]"),
                same(", "),
                changed("c@d.co", "[EMAIL_ADDRESS]"),
                same("!\""),
            ]
        );
    }

    #[test]
    fn a_number_that_became_a_string_is_one_change() {
        assert_eq!(pieces("\"n\": 4242", "\"n\": \"[PIN]\""), [same("\"n\": "), changed("4242", "\"[PIN]\"")]);
    }

    #[test]
    fn both_columns_are_aligned_and_fit() {
        let before = r#"{"a":1,"mail":"write to jane.doe@example.com or to bob@example.com, please","b":[2]}"#;
        let after = r#"{"a":1,"mail":"write to [EMAIL_ADDRESS] or to [EMAIL_ADDRESS], please","b":[2]}"#;
        let rows = side_by_side(before, after, 30, Marks::PLAIN);
        assert!(rows.len() >= 2, "{rows:?}");
        for row in &rows {
            assert_eq!(row.chars().position(|char| char == '│'), Some(31), "{row}");
            assert!(row.chars().count() <= 63, "{row}");
        }
        let left: String = rows.iter().map(|row| row.chars().take(30).collect::<String>()).collect();
        assert!(left.contains("{-jane.doe@example.com-}"), "{left}");
        assert_eq!(Marks::PLAIN.legend(), "{-taken out-}  {+put in its place+}");
        assert!(!left.contains("\"a\""));
    }
}
