//! Rows in a statement of SQL, whose columns it names:
//!
//! ```text
//! INSERT INTO users (id, password) VALUES (7, 'x1y2z3'), (8, NULL)
//!                                    {"id":7,"password":"x1y2z3"}
//! ```
//!
//! As of a [table](super::table), all of it is redacted as a text first, and of what comes
//! of that each value is looked at under the name of its column: texts in single quotes,
//! with backslashes or two quotes for one, heredocs, and numbers, also within arrays, maps,
//! casts and calls of functions. Of a number that is found a zero is left. Comments and
//! names in quotes are no values.
//!
//! Format: <https://clickhouse.com/docs/sql-reference/statements/insert-into>,
//! <https://clickhouse.com/docs/sql-reference/syntax>.

use super::columns::{self, ColumnsStage, Record};
use super::insert::{self, Comment, LONGEST_TAG, Names};
use super::spelling::Spelling;
use super::text::TextStage;
use crate::redact::Plan;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Bytes in which the columns are named.
const LONGEST_HEAD: usize = 16 * 1024;
/// Bytes of a number, at most.
const LONGEST_NUMBER: usize = 80;

/// Takes them apart as they stream by.
pub(super) type ValuesStage = ColumnsStage<Rows>;

/// Looks at values under their names.
pub(super) struct Rows {
    record: Record,
    /// What stands before the rows, as long as those have not begun.
    head: Option<BytesMut>,
    /// As members of an object; without them no value is looked at.
    names: Names,
    depth: u64,
    column: usize,
    place: Place,
    /// The last byte outside of all else, where a comment or a number may begin with it.
    last: u8,
    /// What was gone over and not handed on: a number, or a piece of a text or of the rest.
    run: BytesMut,
    /// What a heredoc begins and ends with, in one or where one may begin.
    tag: Vec<u8>,
    /// The run is a piece of a text.
    is_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In no text, number, comment or name in quotes.
    Outside,
    Number,
    /// In a comment, up to the end of its line.
    Line,
    /// In a comment, up to a star and a slash; whether the last byte was a star.
    Block(bool),
    /// In a name within such quotes.
    Name(u8),
    /// Behind a backslash in one.
    NameBackslash(u8),
    /// In a text; whether that is a value under a name.
    Text(bool),
    /// Behind a backslash in one.
    Backslash(bool),
    /// Behind a quote, which ends it if no other one follows.
    Quote(bool),
    /// Behind the dollar of what may be the tag of a heredoc.
    Tag(bool),
    /// In a heredoc, at whose end so many bytes of its tag stand.
    Heredoc(bool, usize),
}

impl ColumnsStage<Rows> {
    /// A stage for one body, behind `text`, which redacts all of it. The body begins with
    /// the statement, unless the columns are known.
    pub(super) fn new(plan: &Arc<Plan>, columns: Option<Names>, text: TextStage) -> Self {
        let rows = Rows {
            record: Record::new(plan),
            head: columns.is_none().then(BytesMut::new),
            names: columns.unwrap_or_default(),
            depth: 0,
            column: 0,
            place: Place::Outside,
            last: 0,
            run: BytesMut::new(),
            tag: Vec::new(),
            is_text: false,
        };
        Self::behind(text, rows, false)
    }
}

impl columns::Columns for Rows {
    fn push(&mut self, mut chunk: Bytes) {
        if let Some(mut head) = self.head.take() {
            // However it is cut, the same bytes are looked at.
            let before = head.len();
            head.extend_from_slice(&chunk[..chunk.len().min(LONGEST_HEAD - before)]);
            if let Some((names, behind)) = insert::columns(&head, b"values", false) {
                self.names = names;
                head.truncate(behind);
            } else if head.len() < LONGEST_HEAD {
                self.head = Some(head);
                return;
            }
            let _taken = chunk.split_to(head.len() - before);
            self.record.projection.frame(head.freeze());
        }
        if self.names.is_empty() {
            return self.record.projection.frame(chunk);
        }
        chunk.iter().for_each(|&byte| self.step(byte));
        if self.place != Place::Number {
            self.hand_on();
        }
    }

    fn finish(&mut self) {
        if let Some(head) = self.head.take() {
            self.record.projection.frame(head.freeze());
        }
        match self.place {
            Place::Number => self.end_number(true),
            Place::Quote(named) => self.end_text(named),
            Place::Backslash(named) => self.give(b"\\", named),
            Place::Heredoc(named, matched) => {
                let tag = std::mem::take(&mut self.tag);
                self.give(&tag[..matched], named);
                self.tag = tag;
            }
            _ => {}
        }
        self.hand_on();
        self.tag.clear();
    }

    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    fn held(&self) -> usize {
        self.head.as_ref().map_or(0, BytesMut::len) + self.run.len() + self.tag.len()
    }
}

impl Rows {
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
            (Place::Tag(named), b'$') => {
                self.give(b"$", false);
                self.tag.push(byte);
                if named {
                    self.begin_value();
                    self.record.projection.syntax(b"\"");
                }
                self.place = Place::Heredoc(named, 0);
            }
            (Place::Tag(_), b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_') if self.tag.len() <= LONGEST_TAG => {
                self.give(&[byte], false);
                self.tag.push(byte);
            }
            (Place::Tag(_), _) => {
                self.tag.clear();
                (self.place, self.last) = (Place::Outside, b'$');
                self.step(byte);
            }
            (Place::Heredoc(named, matched), _) => self.heredoc(named, matched, byte),
            (Place::Number, _) if goes_on(&self.run, byte) => self.run.extend_from_slice(&[byte]),
            (Place::Number, _) => {
                self.end_number(!is_word(byte));
                self.step(byte);
            }
            (Place::Outside, _) => self.outside(byte),
            (place, _) => {
                self.give(&[byte], false);
                self.place = place.behind(byte);
                if self.place == Place::Outside {
                    // Nothing begins with the end of a comment.
                    self.last = if matches!(place, Place::Name(_)) { byte } else { b' ' };
                }
            }
        }
    }

    /// A byte that is part of no text, number, comment or name in quotes.
    fn outside(&mut self, byte: u8) {
        let named = self.depth > 0 && self.names.get(self.column).is_some_and(|name| !name.is_empty());
        let last = std::mem::replace(&mut self.last, byte);
        if let Some(comment) = insert::begun(last, byte) {
            self.place = if comment == Comment::Line { Place::Line } else { Place::Block(false) };
            return self.give(&[byte], false);
        }
        match (last, byte) {
            (_, b'\'') => {
                self.give(b"'", false);
                if named {
                    self.begin_value();
                    self.record.projection.syntax(b"\"");
                }
                self.place = Place::Text(named);
                return;
            }
            (_, b'0'..=b'9') if named && !is_word(last) => {
                self.hand_on();
                self.run.extend_from_slice(&[byte]);
                self.place = Place::Number;
                return;
            }
            (_, b'$') if !last.is_ascii_alphanumeric() && !matches!(last, b'_' | b'$') => {
                self.tag.push(byte);
                self.place = Place::Tag(named);
            }
            (_, b'"' | b'`') => self.place = Place::Name(byte),
            (_, b'(' | b'[' | b'{') => self.depth += 1,
            (_, b')' | b']' | b'}') => self.depth = self.depth.saturating_sub(1),
            (_, b',') if self.depth == 1 => self.column += 1,
            _ => {}
        }
        self.give(&[byte], false);
        if self.depth == 0 && byte == b')' {
            self.end_record();
        }
    }

    fn begin_value(&mut self) {
        self.hand_on();
        let name = self.names.get(self.column).map(Vec::as_slice).unwrap_or_default();
        self.record.begin(name);
    }

    fn end_text(&mut self, named: bool) {
        self.hand_on();
        if named {
            self.record.projection.syntax(b"\"");
        }
        self.give(b"'", false);
        (self.place, self.last) = (Place::Outside, b'\'');
    }

    /// A byte of a heredoc, behind `matched` bytes of its tag.
    fn heredoc(&mut self, named: bool, matched: usize, byte: u8) {
        let tag = std::mem::take(&mut self.tag);
        let mut behind = matched + 1;
        if tag[matched] != byte {
            self.give(&tag[..matched], named);
            // Of a tag only the first byte may begin it once more.
            behind = usize::from(byte == b'$');
            if behind == 0 {
                self.give(&[byte], named);
            }
        }
        self.place = Place::Heredoc(named, behind);
        self.tag = tag;
        if behind == self.tag.len() {
            self.hand_on();
            if named {
                self.record.projection.syntax(b"\"");
            }
            let tag = std::mem::take(&mut self.tag);
            self.give(&tag, false);
            (self.place, self.last) = (Place::Outside, b' ');
        }
    }

    /// A number, which is a value if it is all of one.
    fn end_number(&mut self, is_whole: bool) {
        let raw = self.run.split().freeze();
        (self.place, self.last) = (Place::Outside, b'0');
        match read_number(&raw).filter(|_| is_whole) {
            Some(number) => {
                self.begin_value();
                self.record.number(raw, &number);
            }
            None => self.record.projection.frame(raw),
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
            true if self.tag.is_empty() => self.record.text(run, Spelling::Quoted),
            true => self.record.text(run, Spelling::Plain),
            false => self.record.projection.frame(run),
        }
    }

    fn end_record(&mut self) {
        self.hand_on();
        self.record.end();
        self.column = 0;
    }
}

/// Whether `byte` belongs to the number, or what begins as one, that begins with `run`.
fn goes_on(run: &[u8], byte: u8) -> bool {
    let is_exponent = matches!(run, [.., b'e' | b'E']) && !matches!(run, [b'0', b'x' | b'X', ..]);
    let belongs = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    run.len() < LONGEST_NUMBER && (belongs || is_exponent && matches!(byte, b'+' | b'-'))
}

/// A number as JSON has it; `None` if `raw` is none.
fn read_number(raw: &[u8]) -> Option<String> {
    let text: String = std::str::from_utf8(raw).ok()?.to_ascii_lowercase().replace('_', "");
    for (prefix, base) in [("0x", 16), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
            // What is too large is no less a value.
            return is_number.then(|| u128::from_str_radix(digits, base).unwrap_or(u128::MAX).to_string());
        }
    }
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let are_digits = [whole, fraction, power].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    (are_digits && !power.is_empty()).then(|| match text.strip_suffix('.') {
        Some(whole) => whole.to_owned(),
        None => text.replace(".e", ".0e"),
    })
}

/// Whether a digit behind `byte` is part of what that belongs to.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'\'' | b'$') || !byte.is_ascii()
}

impl Place {
    /// Where in a comment, or in a name in quotes, the reader is behind `byte`.
    fn behind(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Line, b'\n') | (Self::Block(true), b'/') => Self::Outside,
            (Self::Block(_), _) => Self::Block(byte == b'*'),
            (Self::Name(quote), b'\\') => Self::NameBackslash(quote),
            // Two of them are as two names, of which none is anything.
            (Self::Name(quote), _) if byte == quote => Self::Outside,
            (Self::NameBackslash(quote), _) => Self::Name(quote),
            (place, _) => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::Stage;
    use super::super::media::Media;
    use super::*;
    use crate::redact::rig::PLAN;

    fn run<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let (mut stage, mut out) = (ValuesStage::new(&PLAN, None, TextStage::new(&PLAN, Media::Text)), Vec::new());
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
            "INSERT INTO t (a, mail) VALUES ('password', 'x'), ('(,', 'to bob@example.com')",
            "INSERT INTO t (a, mail) VALUES ('password', 'x'), ('(,', 'to [EMAIL_ADDRESS]')",
        );
    }

    #[test]
    fn values_within_expressions_are_values() {
        for (given, expected) in [
            ("['x1y2', 'z3']", "['[PASSWORD]', '[PASSWORD]']"),
            ("[[4815], [-1623,42]]", "[[0], [-0,0]]"),
            ("{'a': 'x1y2'}", "{'a': '[PASSWORD]'}"),
            ("concat('x1y2', 'z3')", "concat('[PASSWORD]', '[PASSWORD]')"),
            ("-48151623", "-0"),
            ("toString(48151623)", "toString(0)"),
            ("'x1y2'::String", "'[PASSWORD]'::String"),
            ("48151623::String", "0::String"),
            ("48151623/*c*/", "0/*c*/"),
            ("48151623--c\n", "0--c\n"),
            ("48151623# it's\n", "0# it's\n"),
            ("(48151623+48151623-48151623*48151623/48151623%48151623)", "(0+0-0*0/0%0)"),
            ("48151623=48151623", "0=0"),
            ("48_151_623", "0"),
            ("0x2dec0b7", "0"),
            ("0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "0"),
            ("0b10110111101100000010110111", "0"),
            ("48151623.5", "0"),
            ("48151623.", "0"),
            ("0048151623", "0"),
            ("[48151623e9,4.8151623E+42,4.8151623e-42]", "[0,0,0]"),
            ("1e9", "0"),
            ("48151623x, '\u{e9}'48151623, a$48151623", "48151623x, '\u{e9}'48151623, a$48151623"),
            ("CAST('x1y2' AS String)", "CAST('[PASSWORD]' AS String)"),
            ("toUInt8(a1, 1.5, x.1)", "toUInt8(a1, 0, x.1)"),
        ] {
            let statement =
                |value: &str| format!("INSERT INTO t (a, password, n) VALUES ([1, 'x'], {value}, 2), (1,{value},2)");
            check(&statement(given), &statement(expected));
        }
    }

    #[test]
    fn heredocs_are_texts() {
        for (given, expected) in [
            ("$$x1y2z3$$", "$$[PASSWORD]$$"),
            ("$a$x1y2z3$a$", "$a$[PASSWORD]$a$"),
            ("$a_1$it's $ $$ $a $a_1 \\ x1y2z3$$a_1$", "$a_1$[PASSWORD]$a_1$"),
            ("concat($$x1y2$$,$b$z3$b$)", "concat($$[PASSWORD]$$,$b$[PASSWORD]$b$)"),
            ("$$it's ) -- , /* \"x1y2z3$$", "$$[PASSWORD]$$"),
            ("-$$x1y2z3$$/48151623", "-$$[PASSWORD]$$/0"),
            ("$$$$", "$$$$"),
            ("$a-$b $5 a$$ $ 'a'", "$a-$b $5 a$$ $ 'a'"),
        ] {
            let statement = |value: &str, text: &str| {
                format!(
                    "INSERT INTO t (a, password, n) VALUES ($$it's )$$, {value}, 2), ($x$$$'$x$,{value},$$'$$),(1, '{text}')"
                )
            };
            check(&statement(given, "x1y2z3"), &statement(expected, "[PASSWORD]"));
        }
        check("INSERT INTO t (password) VALUES ($a$x1y2z3$a", "INSERT INTO t (password) VALUES ($a$[PASSWORD]");
        check("INSERT INTO t (password) VALUES ($a", "INSERT INTO t (password) VALUES ($a");
        // What is too long for a tag is a word.
        let word = format!("INSERT INTO t (password) VALUES (${}$'", "a".repeat(LONGEST_TAG + 1));
        check(&format!("{word}x1y2z3')"), &format!("{word}[PASSWORD]')"));
    }

    #[test]
    fn a_number_may_end_the_statement() {
        for (given, expected) in [("48151623;", "0;"), ("48151623", "0"), ("48151623.5", "0"), ("48151623/", "0/")] {
            let statement = |value| format!("INSERT INTO t (id, password) VALUES (1, {value}");
            check(&statement(given), &statement(expected));
        }
        let long = format!("INSERT INTO t (password) VALUES ({})", "4".repeat(LONGEST_NUMBER + 1));
        check(&long, &long);
    }

    #[test]
    fn quotes_in_comments_and_names_are_none() {
        for between in [
            " -- it's\n",
            "/* it's **/",
            "/* it's '( */ -- '\n /*'*/",
            "# it's\n",
            "#! it's\n",
            "#",
            " \"it's\" ",
            "`it's \\` ' ``' `",
            " - / * ",
        ] {
            let rows = |value: &str| {
                format!("INSERT INTO t (a, password) VALUES (1, '{value}'),{between}(2,{between}'{value}'{between})")
            };
            check(&rows("x1y2"), &rows("[PASSWORD]"));
        }
        check(
            "INSERT INTO t (`a,b`, `c)`, \"d'\", password) VALUES (1, 2, 3, 'x1y2')",
            "INSERT INTO t (`a,b`, `c)`, \"d'\", password) VALUES (1, 2, 3, '[PASSWORD]')",
        );
    }

    #[test]
    fn nothing_begins_with_what_stands_before_a_comment_or_a_name() {
        for before in ["-- note\n-", "--\n--\n-", "/**/-", "-/* it's */-", "`-`-", "-`a`-", "# -\n", "/**/*"] {
            let rows = |number: &str, text: &str| {
                format!("INSERT INTO t (id, password) VALUES (1, {before}{number}), (3, {before}'{text}')")
            };
            check(&rows("48151623", "x1y2z3"), &rows("0", "[PASSWORD]"));
        }
    }

    #[test]
    fn columns_may_be_told_beside_the_rows() {
        let columns: Names = vec![b"id".to_vec(), b"password".to_vec()].into();
        for lead in ["", "VALUES ", "\n"] {
            let rows = |value: &str| format!("{lead}(7, '{value}'), (8, '{value}')");
            for cut in 1..30 {
                let text = TextStage::new(&PLAN, Media::Text);
                let (mut stage, mut out) = (ValuesStage::new(&PLAN, Some(columns.clone()), text), Vec::new());
                for chunk in rows("x1y2").as_bytes().chunks(cut) {
                    stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
                }
                stage.finish(&mut out).unwrap();
                assert_eq!(out.concat(), rows("[PASSWORD]").as_bytes());
            }
        }
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
            "INSERT INTO t (password) VALUES -- don't\n ;",
            "INSERT INTO t (n, password) VALUES ('x1y')",
            "INSERT INTO t (password) VALUES (now(), 'a', -7)",
            "INSERT INTO t (a, password) VALUES ([1, 'x'], {}), (1, now64()), (0x12, toUInt8(NULL)), (1",
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
        let (mut stage, mut out) = (ValuesStage::new(&PLAN, None, TextStage::new(&PLAN, Media::Text)), Vec::new());
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
