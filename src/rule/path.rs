//! Where in a document: patterns over JSON Pointers (RFC 6901).
//!
//! `/messages/*/content` is a pointer in which `*` stands for any one member
//! or element, and `/trace/**` is everything from `/trace` on down.

use std::fmt;

/// The longest name in a pattern, in bytes.
const LONGEST_NAME: usize = 256;
/// Names in patterns that are followed together, at most; the end of each pattern
/// counts as one.
pub const MOST_STEPS: usize = 256;

/// A valid pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    source: String,
    segments: Vec<Segment>,
}

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The member of this name, or the element of this index.
    Name(Vec<u8>),
    /// `*`: any one member or element.
    Any,
    /// `**`: any number of them, none included.
    Deep,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// With what is wrong, and what to do.
    pub fn parse(source: &str) -> Result<Self, String> {
        let Some(rest) = source.strip_prefix('/') else {
            return Err(format!(
                "`{source}` must begin with `/`, like the JSON Pointers that `expurgate scan` shows: `/messages/*/content`"
            ));
        };
        let segments = rest.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        if segments.windows(2).any(|pair| pair == [Segment::Deep, Segment::Deep]) {
            return Err("one `**` stands for any number of names; remove the other".to_owned());
        }
        Ok(Self { source: source.to_owned(), segments })
    }

    /// As it is written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its steps.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    match text {
        "*" => return Ok(Segment::Any),
        "**" => return Ok(Segment::Deep),
        _ if text.contains('*') => {
            return Err(format!(
                "`{text}`: `*` stands for a whole name and `**` for any number of them, not for a part"
            ));
        }
        _ if text.len() > LONGEST_NAME => return Err(format!("a name is longer than {LONGEST_NAME} bytes")),
        _ => {}
    }
    let mut name = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, char == '~') {
            (_, false) => name.push(char),
            _ => match chars.next() {
                Some('0') => name.push('~'),
                Some('1') => name.push('/'),
                _ => return Err(format!("`{text}`: write `~0` for `~` and `~1` for `/` (RFC 6901)")),
            },
        }
    }
    Ok(Segment::Name(name.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_pointer_with_stars() {
        let pattern = PathPattern::parse("/a~1b/*/**/0").unwrap();
        let name = |name: &str| Segment::Name(name.as_bytes().to_vec());
        assert_eq!(pattern.segments(), [name("a/b"), Segment::Any, Segment::Deep, name("0")]);
        assert_eq!(pattern.to_string(), "/a~1b/*/**/0");
        assert_eq!(PathPattern::parse("/").unwrap().segments(), [name("")]);
    }

    #[test]
    fn what_is_no_pointer_is_told_with_what_to_do() {
        for (wrong, told) in [
            ("messages", "must begin with `/`"),
            ("/a*", "not for a part"),
            ("/a~", "`~0` for `~`"),
            ("/a~2", "`~0` for `~`"),
            ("/**/**", "remove the other"),
        ] {
            let message = PathPattern::parse(wrong).unwrap_err();
            assert!(message.contains(told), "{wrong}: {message}");
        }
        assert!(PathPattern::parse(&format!("/{}", "a".repeat(300))).is_err());
    }
}
