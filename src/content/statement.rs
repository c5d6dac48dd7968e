//! Bodies whose format a statement names, as ClickHouse has it:
//!
//! ```text
//! POST /?query=INSERT INTO events FORMAT JSONEachRow      {"a": 1}\n{"a": 2}
//! POST /                INSERT INTO events FORMAT JSONEachRow {"a": 1}\n{"a": 2}
//! ```
//!
//! Which words there are, a protocol pack says ([`NamedFormats`]). A format that it
//! does not know is refused: what holds lengths would break by a change, and what
//! is binary would not be seen through.

use super::ContentError;
use super::body::{BodyFormat, BodyStage, PartRules, Place, Stage};
use super::insert;
use super::media::{ContentType, Media};
use super::spelling::Spelling;
use super::text::TextStage;
use super::values::ValuesStage;
use crate::redact::{Plan, Report};
use crate::rule::protocol::NamedFormats;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Bytes in which a statement names its format; what is longer is text.
const LONGEST: usize = 16 * 1024;
/// Bytes in which it begins.
const LONGEST_LEAD: usize = 1024;

/// The format of a body by what the request says beside its `Content-Type`, which
/// stays where it says nothing.
///
/// # Errors
/// When the format is not understood.
pub fn named_type<'a>(
    formats: &NamedFormats,
    query: &str,
    header: impl Fn(&str) -> Option<&'a [u8]>,
    declared: ContentType,
) -> Result<ContentType, ContentError> {
    let pairs: Vec<(String, String)> = query.split('&').map(pair).collect();
    let values = |names: &[String]| -> Vec<String> {
        pairs.iter().filter(|(name, _)| names.contains(name)).map(|(_, value)| value.clone()).collect()
    };
    if values(&formats.binary).iter().any(|value| !matches!(value.as_str(), "" | "0" | "false")) {
        return Err(ContentError::Media);
    }
    let statements = values(&formats.statement);
    let [statement] = &statements[..] else {
        // Of two nobody knows which one counts.
        return if statements.is_empty() { Ok(declared) } else { Err(ContentError::Media) };
    };
    if !begins_with_verb(statement.as_bytes(), formats).unwrap_or(false) {
        return Ok(declared);
    }
    let (name, head) = match find_name(statement.as_bytes(), formats, true) {
        Named::At(range, _) => (Some(statement[range.clone()].to_owned()), &statement[..range.start]),
        _ => (values(&formats.query).pop(), &statement[..]),
    };
    let columns = columns(head.as_bytes(), formats);
    let of_header = || {
        let value = formats.headers.iter().find_map(|name| header(name))?;
        std::str::from_utf8(value).ok().map(str::to_owned)
    };
    let content = match name.or_else(of_header) {
        Some(name) => content_of(&name, formats)?,
        // Values between brackets.
        None if columns.is_some() => ContentType::parse(Some(b"application/sql")),
        None => ContentType::parse(Some(b"text/plain")),
    };
    Ok(ContentType { utf8: declared.utf8, ..content.with_columns(columns) })
}

/// The columns that a statement names, up to the name of its format.
fn columns(statement: &[u8], formats: &NamedFormats) -> Option<insert::Names> {
    let head = &statement[..statement.len().min(LONGEST)];
    insert::columns(head, formats.keyword.as_bytes(), true).map(|(names, _)| names)
}

/// Name and value of a pair of the query, decoded.
fn pair(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decoded(name), decoded(value))
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&Spelling::Form.read(text.as_bytes())).into_owned()
}

fn content_of(name: &str, formats: &NamedFormats) -> Result<ContentType, ContentError> {
    let known = formats.formats.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let (_, media) = known.ok_or(ContentError::Media)?;
    Ok(ContentType::parse(Some(media.as_bytes())))
}

/// Whether `text` begins with the word by which something is stored; `None` where
/// there is too little of it to tell.
pub(super) fn begins_with_verb(text: &[u8], formats: &NamedFormats) -> Option<bool> {
    let is_all = text.len() >= LONGEST_LEAD;
    let mut text = text[..text.len().min(LONGEST_LEAD)].trim_ascii_start();
    while let Some(length) = insert::comment(text) {
        let Some(length) = length else { return is_all.then_some(false) };
        text = text[length..].trim_ascii_start();
    }
    if let b"-" | b"/" | b"#" = text {
        return is_all.then_some(false);
    }
    let verb = formats.verb.as_bytes();
    let common = text.len().min(verb.len());
    match text[..common].eq_ignore_ascii_case(&verb[..common]) {
        false => Some(false),
        true => text.get(verb.len()).map(u8::is_ascii_whitespace).or(is_all.then_some(false)),
    }
}

/// Where a statement names the format of what follows it.
enum Named {
    /// The name, and where what follows begins.
    At(std::ops::Range<usize>, usize),
    /// It names none: what follows belongs to it.
    Not,
    /// More of it tells.
    Unclear,
}

/// Looks for the keyword, as a word of its own and in no quotes, and the name
/// behind it.
fn find_name(text: &[u8], formats: &NamedFormats, is_whole: bool) -> Named {
    let (mut at, mut after_keyword) = (0, false);
    while let Some(&byte) = text.get(at) {
        if let Some(length) = insert::comment(&text[at..]) {
            let Some(length) = length else { return Named::Unclear };
            at += length;
            continue;
        }
        if let Some(length) = insert::quoted(&text[at..], is_whole) {
            let Some(length) = length else { return Named::Unclear };
            if after_keyword && matches!(byte, b'`' | b'"') {
                return Named::At(at + 1..at + length - 1, at + length);
            }
            at += length;
            after_keyword = false;
            continue;
        }
        let length = insert::word(&text[at..]);
        if length == 0 {
            after_keyword &= byte.is_ascii_whitespace();
            at += 1;
            continue;
        }
        let word = &text[at..at + length];
        if at + length == text.len() {
            return if after_keyword { Named::At(at..at + length, at + length) } else { Named::Unclear };
        }
        if after_keyword {
            return Named::At(at..at + length, at + length);
        }
        if [&b"values"[..], b"select"].iter().any(|other| word.eq_ignore_ascii_case(other)) {
            return Named::Not;
        }
        after_keyword = word.eq_ignore_ascii_case(formats.keyword.as_bytes());
        at += length;
    }
    Named::Unclear
}

/// A body that begins with a statement: that is text, and what follows is what it
/// says.
pub(super) struct StatementStage {
    plan: Arc<Plan>,
    rules: PartRules,
    formats: Arc<NamedFormats>,
    /// The statement, as long as it has not named the format.
    head: BytesMut,
    statement: Option<Box<dyn Stage>>,
    rows: Option<Box<BodyStage>>,
}

impl StatementStage {
    pub(super) fn new(plan: &Arc<Plan>, rules: &PartRules, formats: &Arc<NamedFormats>) -> Self {
        Self {
            plan: Arc::clone(plan),
            rules: PartRules { formats: None, ..rules.clone() },
            formats: Arc::clone(formats),
            head: BytesMut::new(),
            statement: None,
            rows: None,
        }
    }

    /// Looks at what is held of the statement. `ends` tells that there is no more.
    fn decide(&mut self, ends: bool, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        let mut statement: Box<dyn Stage> = Box::new(TextStage::new(&self.plan, Media::Text));
        let is_values = |name: &std::ops::Range<usize>| self.head[name.clone()].eq_ignore_ascii_case(b"values");
        match find_name(&self.head, &self.formats, ends || self.head.len() >= LONGEST) {
            // A name that ends with what is held may go on.
            Named::At(name, behind) if (behind < self.head.len() || ends) && !is_values(&name) => {
                let columns = columns(&self.head[..name.start], &self.formats);
                let content = content_of(&String::from_utf8_lossy(&self.head[name]), &self.formats)?;
                let content = content.with_columns(columns);
                statement.push(self.head.split_to(behind).freeze(), out)?;
                statement.finish(out)?;
                let mut rows = Box::new(BodyStage::new(&self.plan, &content, &self.rules, Place::default())?);
                rows.push(self.head.split().freeze(), out)?;
                self.rows = Some(rows);
            }
            Named::At(_, behind) if behind == self.head.len() && !ends && behind < LONGEST => return Ok(()),
            Named::Unclear if !ends && self.head.len() < LONGEST => return Ok(()),
            _ => {
                statement = Box::new(ValuesStage::new(&self.plan, None, TextStage::new(&self.plan, Media::Text)));
                statement.push(self.head.split().freeze(), out)?;
            }
        }
        self.statement = Some(statement);
        Ok(())
    }
}

impl Stage for StatementStage {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        match (&mut self.rows, &mut self.statement) {
            (Some(rows), _) => rows.push(chunk, out),
            (None, Some(statement)) => statement.push(chunk, out),
            (None, None) => {
                // However the body is cut, the same bytes are looked at.
                let mut chunk = chunk;
                while self.statement.is_none() && !chunk.is_empty() {
                    let room = (self.head.len() + 1).next_multiple_of(LONGEST) - self.head.len();
                    self.head.extend_from_slice(&chunk.split_to(chunk.len().min(room)));
                    self.decide(false, out)?;
                }
                if chunk.is_empty() { Ok(()) } else { self.push(chunk, out) }
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.statement.is_none() {
            self.decide(true, out)?;
        }
        match (&mut self.rows, &mut self.statement) {
            (Some(rows), _) => rows.finish(out),
            (None, Some(statement)) => statement.finish(out),
            (None, None) => Ok(()),
        }
    }

    fn format(&self) -> Option<BodyFormat> {
        match (&self.rows, &self.statement) {
            (Some(rows), _) => rows.format(),
            (None, statement) => statement.as_ref().and_then(|statement| statement.format()),
        }
    }

    fn report(&self) -> Report {
        let mut report = self.statement.as_ref().map_or_else(Report::default, |statement| statement.report());
        if let Some(rows) = &self.rows {
            report.add(&rows.report());
        }
        report
    }

    fn held(&self) -> usize {
        let of_rows = self.rows.as_ref().map_or(0, |rows| rows.held());
        self.head.len() + self.statement.as_ref().map_or(0, |statement| statement.held()) + of_rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::CodingLimits;
    use crate::redact::rig::PLAN;
    use crate::rule::protocol::Packs;

    fn formats() -> Arc<NamedFormats> {
        Packs::builtin().unwrap().find("clickhouse").unwrap().body.clone().unwrap()
    }

    fn media(query: &str, header: Option<&str>) -> Result<Media, ContentError> {
        let declared = ContentType::parse(Some(b"application/x-www-form-urlencoded"));
        let header = |_: &str| header.map(str::as_bytes);
        named_type(&formats(), query, header, declared).map(|content| content.media)
    }

    #[test]
    fn the_query_names_the_format() {
        for (query, expected) in [
            ("query=INSERT%20INTO%20t%20FORMAT%20JSONEachRow", Ok(Media::Ndjson)),
            ("query=insert+into+t+format+jsoneachrow&database=x", Ok(Media::Ndjson)),
            ("query=INSERT%20INTO%20%60FORMAT%20x%60%20FORMAT%20CSV", Ok(Media::Text)),
            ("query=INSERT+INTO+t+VALUES", Ok(Media::Text)),
            ("query=INSERT+INTO+t&default_format=JSONEachRow", Ok(Media::Ndjson)),
            ("query=SELECT+1+FORMAT+JSON", Ok(Media::Form)),
            ("database=x", Ok(Media::Form)),
            ("query=INSERT+INTO+t+FORMAT+RowBinary", Err(ContentError::Media)),
            ("query=INSERT+INTO+t+FORMAT+Native", Err(ContentError::Media)),
            ("query=/*+x+*/+INSERT+INTO+t+FORMAT+Native", Err(ContentError::Media)),
            ("query=%23!+x%0AINSERT+INTO+t+SETTINGS+a%3D$$+FORMAT+CSV+it's+$$+FORMAT+Native", Err(ContentError::Media)),
            ("query=INSERT+INTO+$a$+FORMAT+Native", Err(ContentError::Media)),
            ("query=INSERT+INTO+t+FORMAT+`Native`", Err(ContentError::Media)),
            ("query=INSERT+INTO+t+FORMAT+%22RowBinary%22", Err(ContentError::Media)),
            ("query=INSERT+INTO+t+SETTINGS+a%3D'%5C'+FORMAT+CSV+'+FORMAT+Native", Err(ContentError::Media)),
            ("query=INSERT+INTO+t+FORMAT+CSV&decompress=1", Err(ContentError::Media)),
            ("query=INSERT+INTO+t+FORMAT+CSV&decompress=0", Ok(Media::Text)),
            ("query=INSERT+INTO+t+FORMAT+CSV&query=INSERT+INTO+t+FORMAT+Native", Err(ContentError::Media)),
        ] {
            assert_eq!(media(query, None), expected, "{query}");
        }
        for (query, expected) in [
            ("query=INSERT+INTO+t+(a,password)+FORMAT+JSONCompactEachRow", Media::Rows(false)),
            ("query=INSERT+INTO+t+(a,password)+FORMAT+CSV", Media::Table(false)),
            ("query=INSERT+INTO+t+(a,password)+FORMAT+TSV", Media::Tabs(false)),
            ("query=INSERT+INTO+t+(a,password)+FORMAT+Values", Media::Values),
            ("query=INSERT+INTO+t+(a,password)+VALUES", Media::Values),
            ("query=INSERT+INTO+t+(a,password)", Media::Values),
            ("query=INSERT+INTO+t+(a,password)&default_format=CSV", Media::Table(false)),
            ("query=INSERT+INTO+t+(a,password)+FORMAT+CSVWithNamesAndTypes", Media::Table(true)),
            ("query=INSERT+INTO+t+(a,password)+FORMAT+TSVWithNames", Media::Tabs(false)),
            ("query=--+it's%0A+/*+don't+*/INSERT+INTO+t+(a,password)+FORMAT+/*+FORMAT+x+*/+CSV", Media::Table(false)),
        ] {
            assert_eq!(media(query, None), Ok(expected), "{query}");
        }
        assert_eq!(media("query=INSERT+INTO+t", Some("JSONEachRow")), Ok(Media::Ndjson));
        assert_eq!(media("query=INSERT+INTO+t", Some("Native")), Err(ContentError::Media));
    }

    fn redact(body: &str, cut: usize) -> Result<(String, Option<BodyFormat>), ContentError> {
        let rules = PartRules {
            limit: 1 << 16,
            pass: Arc::default(),
            media: Arc::default(),
            formats: Some(formats()),
            coding: CodingLimits::NONE,
        };
        let content = ContentType::parse(None);
        let mut stage = BodyStage::new(&PLAN, &content, &rules, Place::default())?;
        let mut out = Vec::new();
        for part in [&body[..cut], &body[cut..]] {
            stage.push(Bytes::copy_from_slice(part.as_bytes()), &mut out)?;
        }
        stage.finish(&mut out)?;
        Ok((String::from_utf8(out.concat()).unwrap(), stage.format()))
    }

    #[test]
    fn a_statement_before_the_rows_names_their_format_at_every_split() {
        for (body, expected, format) in [
            (
                "INSERT INTO t FORMAT JSONEachRow\n{\"mail\": \"bob@example.com\", \"api_key\": 12345678}\n",
                "INSERT INTO t FORMAT JSONEachRow\n{\"mail\": \"[EMAIL_ADDRESS]\", \"api_key\": \"[API_KEY]\"}\n",
                BodyFormat::Ndjson,
            ),
            (
                " insert into t (mail) values ('bob@example.com')",
                " insert into t (mail) values ('[EMAIL_ADDRESS]')",
                BodyFormat::Text,
            ),
            (
                "INSERT INTO t (n, password) FORMAT Values (7, 'hunter2x')",
                "INSERT INTO t (n, password) FORMAT Values (7, '[PASSWORD]')",
                BodyFormat::Text,
            ),
            (
                "INSERT INTO t (n, `pass,word`, password) FORMAT CSV\n7,x,hunter2x\n",
                "INSERT INTO t (n, `pass,word`, password) FORMAT CSV\n7,x,[PASSWORD]\n",
                BodyFormat::Text,
            ),
            (
                "-- it's\n/* x */ INSERT INTO t (n, password) FORMAT TSV\n7\thunter2x\n",
                "-- it's\n/* x */ INSERT INTO t (n, password) FORMAT TSV\n7\t[PASSWORD]\n",
                BodyFormat::Text,
            ),
            (
                "#! it's\nINSERT INTO t (n, password) SETTINGS a=$b$ FORMAT $$ JSON $b$ FORMAT CSV\n7,hunter2x\n",
                "#! it's\nINSERT INTO t (n, password) SETTINGS a=$b$ FORMAT $$ JSON $b$ FORMAT CSV\n7,[PASSWORD]\n",
                BodyFormat::Text,
            ),
            (
                "INSERT INTO $t$ (n, password) FORMAT CSV\n7,hunter2x\n",
                "INSERT INTO $t$ (n, password) FORMAT CSV\n7,[PASSWORD]\n",
                BodyFormat::Text,
            ),
            ("#", "#", BodyFormat::Text),
            ("-", "-", BodyFormat::Text),
            ("/* x", "/* x", BodyFormat::Text),
            ("# x\nbob@example.com", "# x\n[EMAIL_ADDRESS]", BodyFormat::Text),
            (
                "INSERT INTO t (n, password) FORMAT TSV\n7\thunter2x\n",
                "INSERT INTO t (n, password) FORMAT TSV\n7\t[PASSWORD]\n",
                BodyFormat::Text,
            ),
            (
                "INSERT INTO t (n, password) FORMAT \"CSV\"\n7,hunter2x\n",
                "INSERT INTO t (n, password) FORMAT \"CSV\"\n7,[PASSWORD]\n",
                BodyFormat::Text,
            ),
            (
                "INSERT INTO t (n, password) FORMAT JSONCompactEachRow\n[7,\"hunter2x\"]\n",
                "INSERT INTO t (n, password) FORMAT JSONCompactEachRow\n[7,\"[PASSWORD]\"]\n",
                BodyFormat::Ndjson,
            ),
            (
                "INSERT INTO t SETTINGS a='FORMAT' FORMAT CSV\nbob@example.com,1\n",
                "INSERT INTO t SETTINGS a='FORMAT' FORMAT CSV\n[EMAIL_ADDRESS],1\n",
                BodyFormat::Text,
            ),
            ("{\"mail\": \"bob@example.com\"}", "{\"mail\": \"[EMAIL_ADDRESS]\"}", BodyFormat::Json),
            ("INSERT", "INSERT", BodyFormat::Text),
            ("INSERT INTO t FORMAT CSV", "INSERT INTO t FORMAT CSV", BodyFormat::Text),
        ] {
            for cut in 0..=body.len() {
                assert_eq!(redact(body, cut), Ok((expected.to_owned(), Some(format))), "{body} cut at {cut}");
            }
        }
    }

    #[test]
    fn rows_in_a_binary_format_are_refused_at_every_split() {
        for body in ["INSERT INTO t FORMAT RowBinary \u{3}bob", "INSERT INTO t FORMAT `RowBinary` \u{3}bob"] {
            for cut in 0..=body.len() {
                assert_eq!(redact(body, cut), Err(ContentError::Media), "{body} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_long_statement_is_text() {
        let body =
            format!("INSERT INTO t ({}) FORMAT JSONEachRow {{\"a\": \"bob@example.com\"}}", "a, ".repeat(LONGEST));
        let expected = body.replace("bob@example.com", "[EMAIL_ADDRESS]");
        for cut in [0, 1, LONGEST - 1, LONGEST, LONGEST + 1, body.len()] {
            assert_eq!(redact(&body, cut), Ok((expected.clone(), Some(BodyFormat::Text))), "cut at {cut}");
        }
    }
}
