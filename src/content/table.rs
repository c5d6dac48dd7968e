//! Tables in text (RFC 4180; IANA's `text/tab-separated-values`): cells stand under the
//! names of their columns, which the first line has.
//!
//! ```text
//! id,password             columns    {"id":"7","password":"x1, \"y\""}
//! 7,"x1, ""y"""           written    7,"[PASSWORD]"
//! ```
//!
//! Twice around: first all of it is redacted as any text, so that nothing is lost that a
//! text tells: what stands across cells or lines, or what is no table, whatever it is
//! said to be. Of what comes of it each cell is looked at under its name, as a member of
//! an object is.

use super::body::Place;
use super::columns::{self, ColumnsStage, Record};
use super::insert::Names;
use super::media::{ContentType, Media};
use super::spelling::{Spelling, escape};
use super::text::TextStage;
use crate::redact::Plan;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// A longer first line names no columns.
const LONGEST_LINE: usize = 16 * 1024;
/// Longer names are those of no secret, and would be written again and again.
const LONGEST_NAME: usize = 48;
/// What may stand between cells; the first one if nothing tells.
const BETWEEN: [u8; 4] = *b",;\t|";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Takes them apart as they stream by.
pub(super) type TableStage = ColumnsStage<Columns>;

/// Looks at cells under their names.
pub(super) struct Columns {
    record: Record,
    /// Nothing of it changes its length.
    same_length: bool,
    quotes: bool,
    between: u8,
    /// The first line, as long as it has not ended.
    line: Option<BytesMut>,
    /// As members of an object; without them no cell is looked at.
    names: Names,
    /// The next line that is not blank has the types of the columns.
    is_typed: bool,
    column: usize,
    cell: Cell,
    /// The cell stands under a name.
    is_named: bool,
    /// The line has a cell.
    in_line: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Begins,
    Plain,
    Quoted,
    /// Behind a quote, which waits for what follows: another one makes it text.
    Quote,
}

impl ColumnsStage<Columns> {
    /// A stage for one body, behind `text`, which redacts all of it. Where `content` names
    /// the columns, the first line does not.
    pub(super) fn new(plan: &Arc<Plan>, content: &ContentType, text: TextStage, place: Place) -> Self {
        let (tabs, same_length) = (matches!(content.media, Media::Tabs(_)), place.same_length);
        let columns = Columns {
            record: Record::new(if same_length { plan.of_same_length() } else { plan }),
            same_length,
            quotes: !tabs,
            between: if tabs { b'\t' } else { BETWEEN[0] },
            line: Some(BytesMut::new()),
            names: content.columns.clone().unwrap_or_default(),
            is_typed: matches!(content.media, Media::Tabs(true) | Media::Table(true)),
            column: 0,
            cell: Cell::Begins,
            is_named: false,
            in_line: false,
        };
        Self::behind(text, columns, place.prompt)
    }
}

impl columns::Columns for Columns {
    fn push(&mut self, mut chunk: Bytes) {
        while self.line.is_some() && !chunk.is_empty() {
            self.first_line(&mut chunk);
        }
        if self.names.is_empty() {
            return self.record.projection.frame(chunk);
        }
        while !chunk.is_empty() {
            self.step(&mut chunk);
        }
    }

    fn finish(&mut self) {
        if let Some(line) = self.line.take() {
            let mut line = line.freeze();
            if !self.names.is_empty() {
                self.find_between(&line, self.names.len().checked_sub(1));
            }
            while !line.is_empty() && !self.names.is_empty() {
                self.step(&mut line);
            }
            self.record.projection.frame(line);
        }
        self.end_cell();
        self.end_record();
    }

    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    fn held(&self) -> usize {
        self.line.as_ref().map_or(0, BytesMut::len)
    }
}

impl Columns {
    /// Takes what `chunk` begins with of the line that has the names.
    fn first_line(&mut self, chunk: &mut Bytes) {
        let mut line = self.line.take().unwrap_or_default();
        let before = line.len();
        // Lines of nothing leave as they came, without a copy of each.
        let space = chunk.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if before == 0
            && let Some(last) = chunk[..space].iter().rposition(|byte| *byte == b'\n')
        {
            self.record.projection.frame(chunk.split_to(last + 1));
        }
        line.extend_from_slice(&chunk[..chunk.len().min(LONGEST_LINE + 1 - before)]);
        let end = line_end(&line, self.quotes);
        if end.is_none() && line.len() <= LONGEST_LINE {
            chunk.clear();
            self.line = Some(line);
            return;
        }
        line.truncate(end.unwrap_or(line.len()));
        let line = line.freeze();
        let _taken = chunk.split_to(line.len() - before);
        if end.is_some() && line.trim_ascii().is_empty() {
            // The next one has them.
            self.line = Some(BytesMut::new());
        } else if !self.names.is_empty() {
            // They were told: it is a line as the others.
            self.find_between(&line, self.names.len().checked_sub(1));
            let mut line = line;
            while !line.is_empty() {
                self.step(&mut line);
            }
            return;
        } else if end.is_some() {
            self.read_names(&line);
        }
        self.record.projection.frame(line);
    }

    /// What stands between the cells of the first line: `wanted` of it, where that is known,
    /// else what stands there most often.
    fn find_between(&mut self, line: &[u8], wanted: Option<usize>) {
        if !self.quotes {
            return;
        }
        let count = |between: u8| outside_quotes(line).filter(|&(_, byte)| byte == between).count();
        // Of as many the first one.
        let most = BETWEEN.into_iter().rev().max_by_key(|&between| (Some(count(between)) == wanted, count(between)));
        self.between = most.filter(|&between| count(between) > 0).unwrap_or(BETWEEN[0]);
    }

    /// The names in the first line, if it has some.
    fn read_names(&mut self, line: &[u8]) {
        let line = line.strip_prefix(BOM).unwrap_or(line).trim_ascii_end();
        if line.is_empty() || line.trim_ascii_start().starts_with(b"{") || line.trim_ascii_start().starts_with(b"[") {
            return;
        }
        self.find_between(line, None);
        let (mut names, mut from) = (Vec::new(), 0);
        let ends = outside_quotes(line).filter(|&(_, byte)| byte == self.between).map(|(at, _)| at);
        for end in ends.chain([line.len()]).collect::<Vec<_>>() {
            let name = line[from..end].trim_ascii();
            let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
            from = end + 1;
            let mut escaped = Vec::new();
            if name.len() <= LONGEST_NAME {
                name.iter().for_each(|&byte| escape(byte, &mut escaped));
            }
            names.push(escaped);
        }
        self.names = names.into();
    }

    /// Takes what `chunk` begins with, up to where something else begins.
    fn step(&mut self, chunk: &mut Bytes) {
        let first = chunk[0];
        let ends = first == self.between || matches!(first, b'\n' | b'\r');
        if self.cell == Cell::Begins && !ends {
            self.begin_cell();
            self.in_line = true;
            if self.quotes && first == b'"' {
                self.cell = Cell::Quoted;
                return self.record.projection.frame(chunk.split_to(1));
            }
        }
        if self.cell == Cell::Quote {
            if first == b'"' {
                // Both are one: the first one waits for this.
                self.cell = Cell::Quoted;
                let _second = chunk.split_to(1);
                return self.text(Bytes::from_static(b"\"\""));
            }
            self.record.projection.frame(Bytes::from_static(b"\""));
            self.cell = Cell::Plain;
        }
        let end = match self.cell {
            Cell::Quoted => memchr::memchr(b'"', chunk),
            _ => memchr::memchr3(self.between, b'\n', b'\r', chunk),
        };
        if end != Some(0) {
            let piece = chunk.split_to(end.unwrap_or(chunk.len()));
            return self.text(piece);
        }
        let end = chunk.split_to(1);
        if self.cell == Cell::Quoted {
            self.cell = Cell::Quote;
            return;
        }
        if first != b'\r' {
            self.end_cell();
            self.column += 1;
        }
        if first == b'\n' {
            self.end_record();
        }
        self.record.projection.frame(end);
    }

    fn begin_cell(&mut self) {
        self.cell = Cell::Plain;
        let named = self.names.get(self.column).filter(|name| !name.is_empty() && !self.is_typed);
        let Some(name) = named else { return };
        self.record.begin(name);
        self.record.projection.syntax(b"\"");
        self.is_named = true;
    }

    fn text(&mut self, piece: Bytes) {
        let spelling = match self.cell {
            _ if !self.is_named => return self.record.projection.frame(piece),
            _ if self.same_length => Spelling::Fixed,
            Cell::Quoted => Spelling::Doubled,
            _ => Spelling::Plain,
        };
        self.record.text(piece, spelling);
    }

    fn end_cell(&mut self) {
        if self.cell == Cell::Quote {
            self.record.projection.frame(Bytes::from_static(b"\""));
        }
        if std::mem::take(&mut self.is_named) {
            self.record.projection.syntax(b"\"");
        }
        self.cell = Cell::Begins;
    }

    fn end_record(&mut self) {
        self.record.end();
        self.is_typed &= !std::mem::take(&mut self.in_line);
        self.column = 0;
    }
}

/// Bytes that stand in no quotes, with their places.
fn outside_quotes(line: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let mut quoted = false;
    line.iter().copied().enumerate().filter(move |&(_, byte)| {
        quoted ^= byte == b'"';
        !quoted
    })
}

/// Where the first line ends.
fn line_end(text: &[u8], quotes: bool) -> Option<usize> {
    let end = match quotes {
        true => outside_quotes(text).find(|&(_, byte)| byte == b'\n').map(|(at, _)| at),
        false => memchr::memchr(b'\n', text),
    };
    end.filter(|&end| end < LONGEST_LINE).map(|end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::super::body::Stage;
    use super::*;
    use crate::redact::rig::PLAN;
    use crate::redact::{Format, Redactor};
    use proptest::prelude::*;

    fn stage(media: Media, same_length: bool) -> TableStage {
        let plan = if same_length { PLAN.of_same_length() } else { &*PLAN };
        let content = ContentType { media, ..ContentType::parse(None) };
        TableStage::new(&PLAN, &content, TextStage::new(plan, Media::Text), Place { same_length, ..Place::default() })
    }

    fn run<'a>(mut stage: TableStage, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut out = Vec::new();
        for chunk in chunks {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        }
        stage.finish(&mut out).unwrap();
        assert_eq!(stage.held(), 0);
        String::from_utf8(out.concat()).unwrap()
    }

    /// Whole, cut in two everywhere, byte by byte and once more.
    #[track_caller]
    fn redacted_as(media: Media, table: &str) -> String {
        let whole = run(stage(media, false), [table.as_bytes()]);
        for at in 0..=table.len() {
            let (one, other) = table.as_bytes().split_at(at);
            assert_eq!(run(stage(media, false), [one, other]), whole, "cut at {at}");
        }
        assert_eq!(run(stage(media, false), table.as_bytes().chunks(1)), whole);
        assert_eq!(run(stage(media, false), [whole.as_bytes()]), whole, "twice");
        whole
    }

    #[test]
    fn lines_of_nothing_are_not_copied() {
        let chunk = Bytes::from(format!("{}id,password\n7,hunter2\n", "\n \r\n".repeat(1000)));
        let (mut stage, mut out) = (stage(Media::Table(false), false), Vec::new());
        stage.push(chunk.clone(), &mut out).unwrap();
        let mut copied = out.iter().filter(|piece| !chunk.as_ptr_range().contains(&piece.as_ptr()));
        assert!(copied.clone().map(Bytes::len).sum::<usize>() < 100, "{:?}", copied.next());
        stage.finish(&mut out).unwrap();
        assert!(out.concat().ends_with(b"\n7,[PASSWORD]\n"));
    }

    #[test]
    fn types_are_no_cells() {
        for blank in ["", "\n", "\r\n"] {
            for (media, between) in [(Media::Table(true), ","), (Media::Tabs(true), "\t")] {
                let table = |value: &str| {
                    format!("id,password\n{blank}UInt8,String\n{blank}7,{value}\n8,{value}").replace(',', between)
                };
                assert_eq!(redacted_as(media, &table("hunter2")), table("[PASSWORD]"));
            }
        }
    }

    #[test]
    fn columns_may_be_told_beside_the_table() {
        let columns = Some(vec![b"id".to_vec(), b"password".to_vec()].into());
        for (media, between) in [(Media::Table(false), ","), (Media::Table(false), ";"), (Media::Tabs(false), "\t")] {
            let content = ContentType { media, columns: columns.clone(), ..ContentType::parse(None) };
            for table in ["", "\n", "7", "\n\n7\n"] {
                let stage = TableStage::new(&PLAN, &content, TextStage::new(&PLAN, Media::Text), Place::default());
                assert_eq!(run(stage, [table.as_bytes()]), table);
            }
            let table = |value: &str| format!("\n7,{value}\n8,{value}").replace(',', between);
            for cut in 1..20 {
                let stage = TableStage::new(&PLAN, &content, TextStage::new(&PLAN, Media::Text), Place::default());
                assert_eq!(run(stage, table("hunter2").as_bytes().chunks(cut)), table("[PASSWORD]"));
            }
        }
    }

    #[track_caller]
    fn check(table: &str, expected: &str) {
        for end in ["\n", "\r\n"] {
            assert_eq!(redacted_as(Media::Table(false), &table.replace('\n', end)), expected.replace('\n', end));
        }
    }

    #[test]
    fn cells_are_looked_at_under_the_names_of_their_columns() {
        check(
            "id,password,note\n7,hunter2,fine\n8,correct horse,\"a, b\"\n9,,\n",
            "id,password,note\n7,[PASSWORD],fine\n8,[PASSWORD],\"a, b\"\n9,,\n",
        );
        check("api_key;x\nq8f1o2m3;1", "api_key;x\n[API_KEY];1");
        check("\n  \npassword\nhunter2\n", "\n  \npassword\n[PASSWORD]\n");
        let blank = "\n".repeat(200_000);
        let out = run(stage(Media::Table(false), false), [format!("{blank}password\nhunter2\n").as_bytes()]);
        assert!(out == format!("{blank}password\n[PASSWORD]\n"));
        check("password\nhunter2\n\nhunter3", "password\n[PASSWORD]\n\n[PASSWORD]");
        check("\u{feff}\"Password\",\"n\"\n\"hunter2\",\"1\"\n", "\u{feff}\"Password\",\"n\"\n\"[PASSWORD]\",\"1\"\n");
        check("a,b,\"c, d\",password\n1,2,3,hunter2\n", "a,b,\"c, d\",password\n1,2,3,[PASSWORD]\n");
    }

    #[test]
    fn quotes_are_read_through() {
        check(
            "n,password\n\"a \"\"b\"\", c\nd\",\"hun,\"\"\nter2\"\n\"\",x1y2z3\n",
            "n,password\n\"a \"\"b\"\", c\nd\",\"[PASSWORD]\"\n\"\",[PASSWORD]\n",
        );
        check(
            "note,x\n\"say \"\"to bob@example.com\"\"\",\"\"\"\"\n",
            "note,x\n\"say \"\"to [EMAIL_ADDRESS]\"\"\",\"\"\"\"\n",
        );
    }

    #[test]
    fn tabs_are_no_quotes() {
        assert_eq!(
            redacted_as(Media::Tabs(false), "a\tpassword\n\"\thunter2\n\"x\ty1y2y3\n"),
            "a\tpassword\n\"\t[PASSWORD]\n\"x\t[PASSWORD]\n"
        );
    }

    #[test]
    fn what_a_text_tells_is_found_as_ever() {
        check("mail,n\nto bob@example.com,1\n", "mail,n\nto [EMAIL_ADDRESS],1\n");
        check("bob@example.com,1\njane@example.com,2", "[EMAIL_ADDRESS],1\n[EMAIL_ADDRESS],2");
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----";
        check(&format!("a,b\n1,2\n{key}\n"), "a,b\n1,2\n[PRIVATE_KEY]\n");
    }

    #[test]
    fn what_is_no_table_is_text() {
        for text in ["", "\n", "a", "\"", "\"\n", ",,,\n,,\n", "{\"password\":\n1}", "a,b\n\"open", "a\n\"x\"y\"z\n"] {
            assert_eq!(redacted_as(Media::Table(false), text).replace("\"[PASSWORD]\"", "1"), text);
        }
        let long = format!("{}password\nhunter2", "a,".repeat(LONGEST_LINE / 2));
        assert_eq!(run(stage(Media::Table(false), false), [long.as_bytes()]), long);
        assert_eq!(run(stage(Media::Table(false), false), long.as_bytes().chunks(7)), long);
    }

    #[test]
    fn lengths_stay_where_they_have_to() {
        let out = run(stage(Media::Table(false), true), [&b"n,password\n1,hunter2\n2,\"x\"\"y1z2\"\n"[..]]);
        assert_eq!(out, "n,password\n1,*******\n2,\"*******\"\n");
    }

    #[test]
    fn a_long_cell_streams() {
        let table = format!("n,password\n1,\"{}\"\n{}", "x1\"\"y ".repeat(100_000), "2,z\n".repeat(50_000));
        let (mut stage, mut out, mut most) = (stage(Media::Table(false), false), Vec::new(), 0);
        for chunk in table.as_bytes().chunks(1 << 12) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            most = most.max(stage.held());
        }
        stage.finish(&mut out).unwrap();
        let out = String::from_utf8(out.concat()).unwrap();
        assert!(out.starts_with("n,password\n1,\"[PASSWORD]\"\n2,") && !out.contains('x'), "{}", &out[..60]);
        assert!(most < 100 << 10, "{most}");
    }

    proptest! {
        /// Whatever it is, nothing is found in it that a text has and it has not.
        #[test]
        fn a_table_is_redacted_alike_however_it_is_cut(
            cells in prop::collection::vec("(password|hunter2|bob@example[.]com|\"|\"\"|,|;|\n|\r\n|[a-z é]){0,6}", 0..12),
            cut in 1usize..30,
        ) {
            let table = cells.join(",");
            let whole = run(stage(Media::Table(false), false), [table.as_bytes()]);
            prop_assert_eq!(&run(stage(Media::Table(false), false), table.as_bytes().chunks(cut)), &whole);
            prop_assert!(!whole.contains("bob@example.com") || text(&table).contains("bob@example.com"));
            prop_assert_eq!(&text(&whole), &whole);
        }
    }

    fn text(text: &str) -> String {
        let (mut redactor, mut out) = (Redactor::new(&PLAN, Format::Text), Vec::new());
        redactor.push(text.to_owned().into(), &mut out).unwrap();
        redactor.finish(&mut out).unwrap();
        String::from_utf8(out.concat()).unwrap()
    }
}
