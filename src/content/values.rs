//! Rows in a statement of SQL, whose columns it names:
//!
//! ```text
//! INSERT INTO users (id, password) VALUES (7, 'x1y2z3'), (8, NULL)
//!                                    {"id":7,"password":"x1y2z3"}
//! ```
//!
//! As of a [table](super::table), all of it is redacted as a text first, and of what comes
//! of that each value is looked at under the name of its column. Values are texts in
//! single quotes, with backslashes or two quotes for one, and numbers; of a number that is
//! found a zero is left.
//!
//! Format: <https://clickhouse.com/docs/sql-reference/statements/insert-into>.

use super::columns::{self, ColumnsStage};
use super::projection::Projection;
use super::spelling::{Spelling, escape};
use super::text::TextStage;
use crate::redact::Plan;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Bytes in which the columns are named.
const LONGEST_HEAD: usize = 16 * 1024;
/// Longer names are those of no secret, and would be written again and again.
const LONGEST_NAME: usize = 48;
/// Bytes of a number, at most.
const LONGEST_NUMBER: usize = 40;

/// Takes them apart as they stream by.
pub(super) type ValuesStage = ColumnsStage<Rows>;

/// Looks at values under their names.
pub(super) struct Rows {
    projection: Projection,
    /// What stands before the rows, as long as those have not begun.
    head: Option<BytesMut>,
    /// As members of an object; without them no value is looked at.
    names: Vec<Vec<u8>>,
    depth: u64,
    column: usize,
    place: Place,
    /// What was gone over and not handed on: a number, or a piece of a text or of the rest.
    run: BytesMut,
    /// That is a piece of a text.
    is_text: bool,
    /// An object is open.
    in_record: bool,
    field: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between values, or in no row.
    Between,
    Number,
    /// In an expression.
    Other,
    /// In a text; whether that is a value under a name.
    Text(bool),
    /// Behind a backslash in one.
    Backslash(bool),
    /// Behind a quote, which ends it if no other one follows.
    Quote(bool),
}

impl ColumnsStage<Rows> {
    /// A stage for one body, behind `text`, which redacts all of it.
    pub(super) fn new(plan: &Arc<Plan>, text: TextStage) -> Self {
        let rows = Rows {
            projection: Projection::new(plan),
            head: Some(BytesMut::new()),
            names: Vec::new(),
            depth: 0,
            column: 0,
            place: Place::Between,
            run: BytesMut::new(),
            is_text: false,
            in_record: false,
            field: 0,
        };
        Self::behind(text, rows, false)
    }
}

impl columns::Columns for Rows {
    fn push(&mut self, piece: Bytes) {
        Self::push(self, piece);
    }

    fn finish(&mut self) {
        Self::finish(self);
    }

    fn projection(&self) -> &Projection {
        &self.projection
    }

    fn projection_mut(&mut self) -> &mut Projection {
        &mut self.projection
    }

    fn held(&self) -> usize {
        self.head.as_ref().map_or(0, BytesMut::len) + self.run.len()
    }
}

impl Rows {
    fn push(&mut self, mut chunk: Bytes) {
        if let Some(mut head) = self.head.take() {
            // However it is cut, the same bytes are looked at.
            let before = head.len();
            head.extend_from_slice(&chunk[..chunk.len().min(LONGEST_HEAD - before)]);
            if let Some((names, behind)) = names(&head) {
                self.names = names;
                head.truncate(behind);
            } else if head.len() < LONGEST_HEAD {
                self.head = Some(head);
                return;
            }
            let _taken = chunk.split_to(head.len() - before);
            self.projection.frame(head.freeze());
        }
        if self.names.is_empty() {
            return self.projection.frame(chunk);
        }
        chunk.iter().for_each(|&byte| self.step(byte));
        if self.place != Place::Number {
            self.hand_on();
        }
    }

    fn step(&mut self, byte: u8) {
        match (self.place, byte) {
            (Place::Text(named), b'\\') => self.place = Place::Backslash(named),
            (Place::Text(named), b'\'') => self.place = Place::Quote(named),
            (Place::Text(named), _) => self.give(&[byte], named),
            (Place::Backslash(named), _) => {
                self.give(&[b'\\', byte], named);
                self.place = Place::Text(named);
            }
            (Place::Quote(named), b'\'') => {
                self.give(b"''", named);
                self.place = Place::Text(named);
            }
            (Place::Quote(named), _) => {
                self.end_text(named);
                self.step(byte);
            }
            (Place::Number, _) if is_number(byte) && self.run.len() < LONGEST_NUMBER => {
                self.run.extend_from_slice(&[byte]);
            }
            (Place::Number, _) => {
                self.end_number(matches!(byte, b',' | b')') || byte.is_ascii_whitespace());
                self.step(byte);
            }
            (Place::Between | Place::Other, _) => self.outside(byte),
        }
    }

    /// A byte that is part of no text and of no number.
    fn outside(&mut self, byte: u8) {
        let is_first = self.depth == 1 && self.place == Place::Between;
        match byte {
            b'\'' => {
                let named = is_first && self.names.get(self.column).is_some_and(|name| !name.is_empty());
                self.give(b"'", false);
                if named {
                    self.begin_value();
                    self.projection.syntax(b"\"");
                }
                self.place = Place::Text(named);
                return;
            }
            b'0'..=b'9' if is_first => {
                self.hand_on();
                self.run.extend_from_slice(&[byte]);
                self.place = Place::Number;
                return;
            }
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            b',' if self.depth == 1 => self.column += 1,
            _ => {}
        }
        let is_border = (self.depth == 1 && matches!(byte, b',' | b'(')) || self.depth == 0;
        self.place = match self.place {
            _ if is_border => Place::Between,
            place if byte.is_ascii_whitespace() => place,
            _ => Place::Other,
        };
        self.give(&[byte], false);
        if self.depth == 0 && byte == b')' {
            self.end_record();
        }
    }

    fn begin_value(&mut self) {
        self.hand_on();
        let name = self.names.get(self.column).map(Vec::as_slice).unwrap_or_default();
        self.projection.syntax(if self.in_record { b",\"" } else { b"{\"" });
        self.projection.syntax(name);
        self.projection.syntax(b"\":");
        self.in_record = true;
        self.field += 1;
    }

    fn end_text(&mut self, named: bool) {
        self.hand_on();
        if named {
            self.projection.syntax(b"\"");
        }
        self.give(b"'", false);
        self.place = if self.depth == 1 && named { Place::Other } else { self.place_outside() };
    }

    /// Where a text ends that is no value.
    fn place_outside(&self) -> Place {
        if self.depth == 0 { Place::Between } else { Place::Other }
    }

    /// A number, which is a value if it is all of one.
    fn end_number(&mut self, is_whole: bool) {
        let raw = self.run.split().freeze();
        self.place = Place::Other;
        let is_named = self.names.get(self.column).is_some_and(|name| !name.is_empty());
        match std::str::from_utf8(&raw) {
            Ok(digits) if is_whole && is_named && !digits.contains('.') => {
                self.begin_value();
                self.projection.number(self.field, raw.clone(), digits, Some(Bytes::from_static(b"0")));
            }
            _ => self.projection.frame(raw),
        }
    }

    fn give(&mut self, bytes: &[u8], is_text: bool) {
        if self.is_text != is_text {
            self.hand_on();
            self.is_text = is_text;
        }
        self.run.extend_from_slice(bytes);
    }

    fn hand_on(&mut self) {
        let run = self.run.split().freeze();
        match self.is_text {
            _ if run.is_empty() => {}
            true => self.projection.text(self.field, run, Spelling::Quoted),
            false => self.projection.frame(run),
        }
    }

    fn end_record(&mut self) {
        self.hand_on();
        if std::mem::take(&mut self.in_record) {
            self.projection.syntax(b"}\n");
        }
        self.column = 0;
    }

    fn finish(&mut self) {
        if let Some(head) = self.head.take() {
            self.projection.frame(head.freeze());
        }
        match self.place {
            Place::Number => self.end_number(true),
            Place::Quote(named) => self.end_text(named),
            Place::Backslash(named) => self.give(b"\\", named),
            _ => {}
        }
        self.hand_on();
    }
}

/// Whether `byte` may stand in a number.
fn is_number(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

/// The names of the columns, as they stand in JSON, and where the rows begin, if `head` has
/// all of that: `INSERT INTO t (a, b) VALUES`.
fn names(head: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let (mut at, mut list): (usize, Option<(usize, usize)>) = (0, None);
    // What stands in brackets behind a function's name are no columns.
    let mut is_function = false;
    while let Some(&byte) = head.get(at) {
        match byte {
            b'#' => at += memchr::memchr(b'\n', &head[at..])? + 1,
            b'-' if head[at..].starts_with(b"--") => at += memchr::memchr(b'\n', &head[at..])? + 1,
            b'/' if head[at..].starts_with(b"/*") => at += memchr::memmem::find(&head[at + 2..], b"*/")? + 4,
            b'\'' | b'"' | b'`' => at += memchr::memchr(byte, &head[at + 1..])? + 2,
            b'(' => {
                let end = at + memchr::memchr(b')', &head[at..])?;
                if !std::mem::take(&mut is_function) {
                    list = list.or(Some((at + 1, end)));
                }
                at = end + 1;
            }
            _ if is_word(&byte) => {
                let length = head[at..].iter().take_while(|byte| is_word(byte)).count();
                let word = &head[at..at + length];
                at += length;
                // It may go on.
                head.get(at)?;
                is_function |= word.eq_ignore_ascii_case(b"function");
                if let (true, Some((from, end))) = (word.eq_ignore_ascii_case(b"values"), list) {
                    return Some((head[from..end].split(|&byte| byte == b',').map(written).collect(), at));
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// A column's name as it stands in JSON.
fn written(name: &[u8]) -> Vec<u8> {
    let name = name.trim_ascii();
    let mut text = Vec::new();
    if name.len() <= LONGEST_NAME {
        name.iter().filter(|byte| !b"`\"".contains(byte)).for_each(|&byte| escape(byte, &mut text));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::body::Stage;
    use super::super::media::Media;
    use super::*;
    use crate::redact::rig::PLAN;

    fn run<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let (mut stage, mut out) = (ValuesStage::new(&PLAN, TextStage::new(&PLAN, Media::Text)), Vec::new());
        for chunk in chunks {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        }
        stage.finish(&mut out).unwrap();
        assert_eq!(stage.held(), 0);
        String::from_utf8(out.concat()).unwrap()
    }

    /// Whole, cut in two everywhere, byte by byte and once more.
    #[track_caller]
    fn check(statement: &str, expected: &str) {
        assert_eq!(run([statement.as_bytes()]), expected);
        for at in 0..=statement.len() {
            let (one, other) = statement.as_bytes().split_at(at);
            assert_eq!(run([one, other]), expected, "cut at {at}");
        }
        assert_eq!(run(statement.as_bytes().chunks(1)), expected);
        assert_eq!(run([expected.as_bytes()]), expected, "twice");
    }

    #[test]
    fn values_are_looked_at_under_the_names_of_their_columns() {
        check(
            "INSERT INTO t (id, `password`, note) VALUES (7, 'hunter2', 'a''b'), (8,'it\\'s x1', NULL) , (9, 48151623, now())",
            "INSERT INTO t (id, `password`, note) VALUES (7, '[PASSWORD]', 'a''b'), (8,'[PASSWORD]', NULL) , (9, 0, now())",
        );
        check(
            "insert into \"t(\" (\"api_key\",x) values('q8f1''o2m3' , lower('password'));",
            "insert into \"t(\" (\"api_key\",x) values('[API_KEY]' , lower('password'));",
        );
        check(
            "INSERT INTO t (a, mail) VALUES ('password', 'to bob@example.com'), ('(,', 'x')",
            "INSERT INTO t (a, mail) VALUES ('password', 'to [EMAIL_ADDRESS]'), ('(,', 'x')",
        );
    }

    #[test]
    fn the_columns_are_those_of_the_table() {
        for (head, behind) in [
            ("-- it's\nINSERT INTO t (n, password) ", ""),
            ("# it's\nINSERT INTO t (n, password) /* don't (x) */ ", ""),
            ("INSERT INTO t (n, password) SETTINGS f=(1) ", ""),
            ("INSERT INTO values (n, password) ", ""),
            ("INSERT INTO FUNCTION remote('a:9000', db.t) (n, password) ", ""),
            ("INSERT INTO t (n, password) FORMAT ", " "),
        ] {
            let statement = |value| format!("{head}VALUES{behind} (7, '{value}')");
            check(&statement("hunter2"), &statement("[PASSWORD]"));
        }
    }

    #[test]
    fn what_names_no_columns_is_text() {
        for statement in [
            "",
            "INSERT INTO t VALUES (1, 'x1y2z3')",
            "INSERT INTO t (password) SELECT 'a' || 'b'",
            "INSERT INTO t (password) VALUES",
            "INSERT INTO t (password) VALUES (concat('x1y2', 'z3'))",
            "INSERT INTO t (n, password) VALUES ('x1y2z3')",
            "INSERT INTO t (password) VALUES (1.5, 'a', -7)",
            "INSERT INTO t (a, password) VALUES ([1, 'x'], {'b': 2}), (1",
        ] {
            check(statement, statement);
        }
        check("INSERT INTO t (password) VALUES ('x1y2z3", "INSERT INTO t (password) VALUES ('[PASSWORD]");
        let long = format!("INSERT INTO t ({}password) VALUES ({}'x1y2z3')", "a,".repeat(9000), "1,".repeat(9000));
        assert_eq!(run(long.as_bytes().chunks(997)), long);
        assert_eq!(run([long.as_bytes()]), long);
    }

    #[test]
    fn a_long_value_streams() {
        let rows = "(2, 'x'),".repeat(50_000);
        let statement = format!("INSERT INTO t (n, password) VALUES (1, '{}'), {rows}", "x1y ".repeat(100_000));
        let (mut stage, mut out) = (ValuesStage::new(&PLAN, TextStage::new(&PLAN, Media::Text)), Vec::new());
        let mut most = 0;
        for chunk in statement.as_bytes().chunks(1 << 12) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            most = most.max(stage.held());
        }
        stage.finish(&mut out).unwrap();
        let out = String::from_utf8(out.concat()).unwrap();
        assert!(out.starts_with("INSERT INTO t (n, password) VALUES (1, '[PASSWORD]'), (2, "), "{}", &out[..80]);
        assert!(most < 200 << 10, "{most}");
    }
}
