//! The columns that a statement names: `INSERT INTO t (id, "a,b", password) VALUES ...`.
//!
//! Format: <https://clickhouse.com/docs/sql-reference/statements/insert-into>,
//! <https://clickhouse.com/docs/sql-reference/syntax>.

use super::spelling::escape;
use std::sync::Arc;

/// Longer names are those of no secret, and would be written again and again.
const LONGEST_NAME: usize = 48;
/// Brackets within brackets, at most.
const DEEPEST: usize = 64;
/// Bytes between the dollars of a heredoc, at most.
pub(super) const LONGEST_TAG: usize = 64;

/// Names as they stand in JSON; those that are too long are empty.
pub(super) type Names = Arc<[Vec<u8>]>;

/// Where a comment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comment {
    /// With its line.
    Line,
    /// With a star and a slash.
    Block,
}

/// The comment that begins with these two bytes.
pub(super) fn begun(one: u8, other: u8) -> Option<Comment> {
    match (one, other) {
        (b'-', b'-') | (b'#', b' ' | b'!') => Some(Comment::Line),
        (b'/', b'*') => Some(Comment::Block),
        _ => None,
    }
}

/// The columns that `head` names before the word `word`, and what stands behind that.
/// With what `is_whole` the word may be missing.
pub(super) fn columns(head: &[u8], word: &[u8], is_whole: bool) -> Option<(Names, usize)> {
    let (mut at, mut list) = (0, None);
    // What stands in brackets behind a function's name are no columns.
    let mut is_function = false;
    while let Some(&byte) = head.get(at) {
        let Some(length) = past(&head[at..], is_whole) else { break };
        let is_list = byte == b'(' && !std::mem::take(&mut is_function);
        if is_list && list.is_none() {
            list = Some(names(&head[at + 1..at + length - 1]));
        }
        let token = &head[at..at + length];
        at += length;
        if is_word(byte) {
            // It may go on.
            let ends = is_whole || at < head.len();
            is_function |= token.eq_ignore_ascii_case(b"function");
            if let (true, true, Some(list)) = (ends, token.eq_ignore_ascii_case(word), &list) {
                return Some((Arc::clone(list), at));
            }
        }
    }
    list.filter(|_| is_whole).map(|list| (list, head.len()))
}

/// Whether `text` begins with a comment, and the length of that, unless its end is not there.
pub(super) fn comment(text: &[u8]) -> Option<Option<usize>> {
    let [one, other, ..] = text else { return None };
    Some(match begun(*one, *other)? {
        Comment::Line => memchr::memchr(b'\n', text).map(|at| at + 1),
        Comment::Block => memchr::memmem::find(&text[2..], b"*/").map(|at| at + 4),
    })
}

/// Whether `text` begins with what stands in quotes or between the dollars of a heredoc, and
/// the length of that, unless its end is not there. Of what `is_whole`, dollars without an
/// end are a word.
pub(super) fn quoted(text: &[u8], is_whole: bool) -> Option<Option<usize>> {
    match text.first()? {
        b'\'' | b'"' | b'`' => Some(past_quote(text)),
        b'$' => {
            let name = text[1..].iter().take(LONGEST_TAG).take_while(|byte| is_word(**byte)).count();
            let length = match text.get(1 + name) {
                Some(b'$') => {
                    let (tag, rest) = text.split_at(name + 2);
                    memchr::memmem::find(rest, tag).map(|at| at + 2 * tag.len())
                }
                Some(_) => return None,
                None => None,
            };
            (length.is_some() || !is_whole).then_some(length)
        }
        _ => None,
    }
}

/// The length of the word that `text` begins with, within which dollars are as letters.
pub(super) fn word(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_word(**byte) || **byte == b'$').count()
}

/// The length of the token, comment or bracket that `text` begins with, unless its end is
/// not there or too many brackets are open.
fn past(text: &[u8], is_whole: bool) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    loop {
        match *text.get(at)? {
            b'(' if depth == DEEPEST => return None,
            b'(' => (at, depth) = (at + 1, depth + 1),
            b')' if depth > 0 => (at, depth) = (at + 1, depth - 1),
            _ => at += past_token(&text[at..], is_whole)?,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The length of the token or comment that `text` begins with, unless its end is not there.
fn past_token(text: &[u8], is_whole: bool) -> Option<usize> {
    comment(text).or_else(|| quoted(text, is_whole)).unwrap_or_else(|| Some(word(text).max(1)))
}

/// The length of what stands in quotes, of which two are one.
fn past_quote(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match (*text.get(at)?, text.get(at + 1)) {
            (b'\\', _) => at += 2,
            (byte, next) if byte == text[0] => {
                at += 1;
                if next != Some(&byte) {
                    return Some(at);
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// The names of a list, which stand between commas.
fn names(list: &[u8]) -> Names {
    let (mut names, mut from, mut at) = (Vec::new(), 0, 0);
    while at < list.len() {
        let length = past(&list[at..], true).unwrap_or(1);
        if list[at] == b',' {
            names.push(written(&list[from..at]));
            from = at + 1;
        } else if comment(&list[at..]).is_some() && list[from..at].trim_ascii().is_empty() {
            from = at + length;
        }
        at += length;
    }
    names.push(written(&list[from..]));
    names.into()
}

/// A column's name as it stands in JSON.
fn written(name: &[u8]) -> Vec<u8> {
    let name = name.trim_ascii();
    let (mut text, mut bytes) = (Vec::new(), name.iter().copied().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => bytes.next().into_iter().for_each(|byte| escape(byte, &mut text)),
            b'`' | b'"' => {
                // Two within quotes are one.
                if !text.is_empty() && bytes.next_if_eq(&byte).is_some() {
                    escape(byte, &mut text);
                }
            }
            _ => escape(byte, &mut text),
        }
    }
    if text.len() > LONGEST_NAME { Vec::new() } else { text }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str, is_whole: bool) -> Option<Vec<String>> {
        let (names, _) = columns(head.as_bytes(), b"values", is_whole)?;
        Some(names.iter().map(|name| String::from_utf8(name.clone()).unwrap()).collect())
    }

    #[test]
    fn columns_are_read_whatever_stands_in_their_names() {
        for (head, expected) in [
            ("INSERT INTO t (a, password) VALUES (", &["a", "password"][..]),
            (
                "INSERT INTO `t(` (`a,b`, \"c)\", `d``e`, \"f\\\"g\",password) values ",
                &["a,b", "c)", "d`e", "f\\\"g", "password"],
            ),
            ("insert into t(a, /* b, ) */ n.b) VALUES(", &["a", "n.b"]),
            ("INSERT INTO FUNCTION remote('a(', db.t, f(1)) (a,b) VALUES ", &["a", "b"]),
            ("INSERT INTO t SETTINGS x=$$ it's (c) VALUES $$ (a,b) VALUES ", &["a", "b"]),
            ("INSERT INTO t SETTINGS x=$q$ $$ it's (c) $q$, y='#(' (a$$,b$$) #! it's (\nVALUES ", &["a$$", "b$$"]),
            ("INSERT INTO FUNCTION f($1, $$)$$) (a, b # it's\n) VALUES ", &["a", "b # it's"]),
            ("INSERT INTO t (* EXCEPT(b)) VALUES ", &["* EXCEPT(b)"]),
        ] {
            assert_eq!(read(head, false).unwrap(), expected, "{head}");
        }
        let long = format!("INSERT INTO t ({}, b) VALUES (", "a".repeat(LONGEST_NAME + 1));
        assert_eq!(read(&long, false).unwrap(), ["", "b"]);
    }

    #[test]
    fn brackets_are_counted_up_to_a_depth() {
        let nested = |depth: usize| format!("INSERT INTO FUNCTION f{}{} (a)", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(read(&nested(DEEPEST), true).unwrap(), ["a"]);
        assert_eq!(read(&nested(DEEPEST + 1), true), None);
        for depth in [4_000, 16_000, 1 << 20] {
            assert_eq!(read(&nested(depth), true), None);
            assert_eq!(read(&format!("INSERT INTO t {}", "(".repeat(depth)), false), None);
            let closed = format!("INSERT INTO t {} VALUES ", ")".repeat(depth));
            assert_eq!(read(&closed, false), None);
        }
    }

    #[test]
    fn what_is_not_over_names_no_columns_yet() {
        for head in [
            "INSERT INTO t (a",
            "INSERT INTO t (`a) VALUES ",
            "INSERT INTO t (a) VALUES",
            "INSERT INTO t (a) /* ",
            "INSERT INTO t $a$ (a) VALUES (",
        ] {
            assert_eq!(read(head, false), None, "{head}");
        }
        assert_eq!(read("INSERT INTO t (a) ", true).unwrap(), ["a"]);
        assert_eq!(read("INSERT INTO t (a) VALUES", true).unwrap(), ["a"]);
        assert_eq!(read("INSERT INTO t", true), None);
        assert_eq!(read("INSERT INTO $a$ (a) ", true).unwrap(), ["a"]);
    }
}
