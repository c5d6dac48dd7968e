//! Rows of values, one array a line, whose first line has the names of the columns:
//!
//! ```text
//! ["id","password"]        columns    {"id":7,"password":"x1y2z3"}
//! [7,"x1y2z3"]             written    [7,"[PASSWORD]"]
//! ```
//!
//! As of a [table](super::table), all of it is redacted as lines of JSON first, and of what
//! comes of that each value is looked at under the name of its column.
//!
//! Format: <https://clickhouse.com/docs/interfaces/formats/JSONCompactEachRowWithNames>.

use super::columns::{self, ColumnsStage, Record};
use super::insert::Names;
use super::media::ContentType;
use super::text::TextStage;
use crate::redact::Plan;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// A longer first row names no columns.
const LONGEST_ROW: usize = 16 * 1024;
/// Longer names are those of no secret, and would be written again and again.
const LONGEST_NAME: usize = 48;

/// Takes them apart as they stream by.
pub(super) type RowsStage = ColumnsStage<Columns>;

/// Looks at values under their names.
pub(super) struct Columns {
    record: Record,
    /// The first row, as long as it has not ended.
    first: Option<BytesMut>,
    /// As members of an object, in JSON; without them no value is looked at.
    names: Names,
    /// The next row has the types of the columns.
    is_typed: bool,
    /// Brackets and braces around.
    depth: u64,
    /// The outermost one is a bracket.
    in_row: bool,
    text: InText,
    column: usize,
    place: Place,
}

/// Whether the reader is in a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InText {
    No,
    Yes,
    /// Behind a backslash.
    Escape,
}

/// Where in a row the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between values, or in no row.
    Between,
    /// In a value without a name.
    Unnamed,
    Named,
}

impl ColumnsStage<Columns> {
    /// A stage for one body, behind `text`, which redacts all of it; whether its second
    /// row has types. Where `content` names the columns, the first row does not.
    pub(super) fn new(plan: &Arc<Plan>, content: &ContentType, is_typed: bool, text: TextStage, prompt: bool) -> Self {
        let columns = Columns {
            record: Record::new(plan),
            first: content.columns.is_none().then(BytesMut::new),
            names: content.columns.clone().unwrap_or_default(),
            is_typed,
            depth: 0,
            in_row: false,
            text: InText::No,
            column: 0,
            place: Place::Between,
        };
        Self::behind(text, columns, prompt)
    }
}

impl columns::Columns for Columns {
    fn push(&mut self, chunk: Bytes) {
        let mut from = 0;
        for (at, &byte) in chunk.iter().enumerate() {
            if self.is_border(byte) {
                self.give(chunk.slice(from..at));
                from = at;
                match self.place {
                    Place::Between => self.begin_value(),
                    _ => self.place = Place::Between,
                }
            }
            if self.step(byte) {
                self.give(chunk.slice(from..=at));
                from = at + 1;
                self.end_row();
            }
        }
        self.give(chunk.slice(from..));
    }

    fn finish(&mut self) {
        self.first = None;
        if self.text == InText::No {
            self.end_record();
        }
    }

    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    fn held(&self) -> usize {
        self.first.as_ref().map_or(0, BytesMut::len)
    }
}

impl Columns {
    /// Whether a value begins or ends before `byte`.
    fn is_border(&self, byte: u8) -> bool {
        let is_in_row = self.in_row && self.depth == 1 && self.text == InText::No;
        let is_between = byte.is_ascii_whitespace() || matches!(byte, b',' | b']');
        is_in_row && (if self.place == Place::Between { !is_between } else { matches!(byte, b',' | b']') })
    }

    /// Goes over `byte`; whether a row ends with it.
    fn step(&mut self, byte: u8) -> bool {
        let before = self.text;
        self.text = match (before, byte) {
            (InText::Escape, _) | (InText::No, b'"') => InText::Yes,
            (InText::Yes, b'\\') => InText::Escape,
            (InText::Yes, b'"') => InText::No,
            (text, _) => text,
        };
        match byte {
            _ if before != InText::No => {}
            b'[' | b'{' => {
                self.in_row |= self.depth == 0 && byte == b'[';
                self.depth += 1;
            }
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0 && std::mem::take(&mut self.in_row);
            }
            b',' if self.depth == 1 => self.column += 1,
            _ => {}
        }
        false
    }

    fn begin_value(&mut self) {
        let named = self.names.get(self.column).filter(|name| !name.is_empty() && !self.is_typed);
        let Some(name) = named.filter(|_| self.first.is_none()) else {
            self.place = Place::Unnamed;
            return;
        };
        self.record.begin(name);
        self.place = Place::Named;
    }

    /// Hands on what was gone over.
    fn give(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if let Some(first) = self.first.as_mut().filter(|first| first.len() <= LONGEST_ROW) {
            first.extend_from_slice(&piece[..piece.len().min(LONGEST_ROW + 1)]);
        }
        match self.place {
            Place::Named => self.record.projection.json(piece),
            _ => self.record.projection.frame(piece),
        }
    }

    fn end_row(&mut self) {
        self.end_record();
        if let Some(first) = self.first.take() {
            self.names = names(&first);
        } else {
            self.is_typed = false;
        }
    }

    fn end_record(&mut self) {
        self.record.end();
        (self.column, self.place) = (0, Place::Between);
    }
}

/// The names in the first row, as they stand in JSON, if it has some.
fn names(row: &[u8]) -> Names {
    let names: Vec<String> = match serde_json::from_slice(row) {
        Ok(names) if row.len() <= LONGEST_ROW => names,
        _ => return Names::default(),
    };
    let written = |name: String| {
        let mut text = Vec::new();
        if name.len() <= LONGEST_NAME {
            name.bytes().for_each(|byte| super::spelling::escape(byte, &mut text));
        }
        text
    };
    names.into_iter().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::super::body::Stage;
    use super::super::media::Media;
    use super::*;
    use crate::redact::rig::PLAN;

    fn run<'a>(is_typed: bool, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut stage =
            RowsStage::new(&PLAN, &ContentType::parse(None), is_typed, TextStage::new(&PLAN, Media::Ndjson), false);
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
    fn check(is_typed: bool, rows: &str, expected: &str) {
        assert_eq!(run(is_typed, [rows.as_bytes()]), expected);
        for at in 0..=rows.len() {
            let (one, other) = rows.as_bytes().split_at(at);
            assert_eq!(run(is_typed, [one, other]), expected, "cut at {at}");
        }
        assert_eq!(run(is_typed, rows.as_bytes().chunks(1)), expected);
        assert_eq!(run(is_typed, [expected.as_bytes()]), expected, "twice");
    }

    #[test]
    fn values_are_looked_at_under_the_names_of_their_columns() {
        check(
            false,
            "[\"id\", \"password\",\"note\"]\n[7,\"hunter22x\", \"fine\"]\r\n[8 , 12345678 ,[\"a\",{\"b\":\"]\\\",\"}]]\n",
            "[\"id\", \"password\",\"note\"]\n[7,\"[PASSWORD]\", \"fine\"]\r\n[8 , \"[PASSWORD]\" ,[\"a\",{\"b\":\"]\\\",\"}]]\n",
        );
        check(false, "[\"api_key\"]\n[\"q8f1o2m3\"]", "[\"api_key\"]\n[\"[API_KEY]\"]");
        check(
            false,
            "[\"a\",\"mail\"]\n[\"password\",\"bob@example.com\"]\n[]\n[null,\"jane@example.com\"]\n",
            "[\"a\",\"mail\"]\n[\"password\",\"[EMAIL_ADDRESS]\"]\n[]\n[null,\"[EMAIL_ADDRESS]\"]\n",
        );
    }

    #[test]
    fn types_are_no_values() {
        check(
            true,
            "[\"id\",\"password\"]\n[\"UInt8\",\"String\"]\n[7,\"hunter22x\"]\n",
            "[\"id\",\"password\"]\n[\"UInt8\",\"String\"]\n[7,\"[PASSWORD]\"]\n",
        );
    }

    #[test]
    fn columns_may_be_told_beside_the_rows() {
        let columns = Some(vec![b"id".to_vec(), b"password".to_vec()].into());
        let content = ContentType { columns, ..ContentType::parse(None) };
        let rows = |value: &str| format!("[7,\"{value}\"]\n{{\"id\":[1,\"x\"]}}\n[8 , \"{value}\"]\n");
        for cut in 1..30 {
            let mut stage = RowsStage::new(&PLAN, &content, false, TextStage::new(&PLAN, Media::Ndjson), false);
            let mut out = Vec::new();
            for chunk in rows("hunter22x").as_bytes().chunks(cut) {
                stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            }
            stage.finish(&mut out).unwrap();
            assert_eq!(out.concat(), rows("[PASSWORD]").as_bytes());
        }
    }

    #[test]
    fn what_has_no_names_is_lines_of_json() {
        for rows in
            ["", "\n", "[1,2]\n[\"password\",3]\n", "{\"a\":1}\n[2]\n", "[\"password\"", "\"", "]", "[\"a\",1]\n[2,3]"]
        {
            check(false, rows, rows);
        }
        check(false, "{\"password\":\"hunter22x\"}\n", "{\"password\":\"[PASSWORD]\"}\n");
        check(false, "[\"password\"]\n[\"hunter22x", "[\"password\"]\n[\"[PASSWORD]");
        let long = format!("[{}\"password\"]\n[{}\"hunter22x\"]\n", "\"a\",".repeat(5000), "1,".repeat(5000));
        assert_eq!(run(false, long.as_bytes().chunks(997)), long);
    }

    #[test]
    fn a_long_value_streams() {
        let rows = format!("[\"n\",\"password\"]\n[1,\"{}\"]\n{}", "x1y ".repeat(100_000), "[2,null]\n".repeat(50_000));
        let mut stage =
            RowsStage::new(&PLAN, &ContentType::parse(None), false, TextStage::new(&PLAN, Media::Ndjson), false);
        let (mut out, mut most) = (Vec::new(), 0);
        for chunk in rows.as_bytes().chunks(1 << 12) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            most = most.max(stage.held());
        }
        stage.finish(&mut out).unwrap();
        let out = String::from_utf8(out.concat()).unwrap();
        assert!(
            out.starts_with("[\"n\",\"password\"]\n[1,\"[PASSWORD]\"]\n[2,") && !out.contains('x'),
            "{}",
            &out[..60]
        );
        assert!(most < 100 << 10, "{most}");
    }
}
