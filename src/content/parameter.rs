//! Header values with parameters (RFC 9110, section 5.6.6):
//! `type; name=value; name="quoted \"value\""`.
//!
//! Parsers differ where a value breaks the grammar. A quote that is never closed
//! is taken for part of a value without quotes, so that what follows the next
//! semicolon is still seen as parameters.

use std::ops::Range;

/// One parameter, as ranges of the header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    /// May be empty.
    pub(super) name: Range<usize>,
    /// Without its quotes; `None` when there is no `=`.
    pub(super) value: Option<Range<usize>>,
    /// Whether the value stands between quotes.
    pub(super) quoted: bool,
}

impl Parameter {
    /// Whether it has this name, which is given in lower case.
    pub(super) fn is(&self, header: &[u8], name: &str) -> bool {
        header[self.name.clone()].eq_ignore_ascii_case(name.as_bytes())
    }

    /// What its value means.
    pub(super) fn text(&self, header: &[u8]) -> Option<Vec<u8>> {
        let raw = &header[self.value.clone()?];
        Some(if self.quoted { unquoted(raw) } else { raw.to_vec() })
    }
}

/// What stands before the first semicolon, without white space around it, and
/// the parameters behind it.
pub(super) fn split(header: &[u8]) -> (Range<usize>, Vec<Parameter>) {
    let end = until_semicolon(header, 0);
    let (mut at, mut parameters) = (end, Vec::new());
    while at < header.len() {
        let (parameter, next) = parameter(header, at + 1);
        if parameter.value.is_some() || !parameter.name.is_empty() {
            parameters.push(parameter);
        }
        at = next;
    }
    (trim(header, 0..end), parameters)
}

/// The parameter from `from` on, and where the semicolon behind it stands.
fn parameter(header: &[u8], from: usize) -> (Parameter, usize) {
    let end = until_semicolon(header, from);
    let Some(sign) = memchr::memchr(b'=', &header[from..end]).map(|at| from + at) else {
        return (Parameter { name: trim(header, from..end), value: None, quoted: false }, end);
    };
    let name = trim(header, from..sign);
    let begin = trim(header, sign + 1..header.len()).start;
    if header.get(begin) == Some(&b'"')
        && let Some(close) = closing_quote(header, begin + 1)
    {
        let value = Some(begin + 1..close);
        return (Parameter { name, value, quoted: true }, until_semicolon(header, close));
    }
    (Parameter { name, value: Some(trim(header, sign + 1..end)), quoted: false }, end)
}

fn until_semicolon(header: &[u8], from: usize) -> usize {
    memchr::memchr(b';', &header[from..]).map_or(header.len(), |at| from + at)
}

fn closing_quote(header: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', header.get(at..)?)?;
        if header[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// What the text between quotes means.
pub(super) fn unquoted(raw: &[u8]) -> Vec<u8> {
    let (mut text, mut bytes) = (Vec::with_capacity(raw.len()), raw.iter());
    while let Some(&byte) = bytes.next() {
        text.push(if byte == b'\\' { bytes.next().copied().unwrap_or(byte) } else { byte });
    }
    text
}

/// Without the white space at both ends.
pub(super) fn trim(header: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &header[range.clone()];
    let start = range.start + (text.len() - text.trim_ascii_start().len());
    start..start + text.trim_ascii().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> (String, Vec<(String, Option<String>)>) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (first, parameters) = split(header.as_bytes());
        let parameters = parameters.iter().map(|parameter| {
            let value = parameter.text(header.as_bytes()).map(|value| text(&value));
            (header[parameter.name.clone()].to_owned(), value)
        });
        (header[first].to_owned(), parameters.collect())
    }

    #[test]
    fn names_and_values_are_read_with_and_without_quotes() {
        let (first, parameters) = read("form-data; name=\"a;b\\\"c\" ;filename = x.txt;flag; ;e=");
        assert_eq!(first, "form-data");
        let some = |text: &str| Some(text.to_owned());
        let expected = [("name", some("a;b\"c")), ("filename", some("x.txt")), ("flag", None), ("e", some(""))];
        assert_eq!(parameters, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(read("text/plain"), ("text/plain".to_owned(), Vec::new()));
        assert_eq!(read(""), (String::new(), Vec::new()));
    }

    #[test]
    fn a_quote_that_is_not_closed_hides_no_parameter() {
        for header in ["a; x=\"y; charset=utf-16", "a; x=\"\\\"; charset=utf-16", "a;x=\"; charset=utf-16"] {
            let (_, parameters) = read(header);
            assert_eq!(parameters[1], ("charset".to_owned(), Some("utf-16".to_owned())), "{header}");
        }
    }
}
