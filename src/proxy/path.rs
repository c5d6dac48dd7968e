//! What upstreams may take a path for.
//!
//! Servers decode, merge slashes, resolve dots and cut parameters off before
//! they look for what a path names, each in its own way. A path that one of them
//! takes for a path of another route would pass that route's policy by.

/// Of servers: those that decode what means the same encoded, or all of it, and
/// those that cut parameters off or not.
pub(super) const KINDS: usize = 4;

/// A path as a server may see it: whole segments, with `/` before each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading(Vec<u8>);

impl Reading {
    /// The path as it is written.
    pub(super) fn plain(path: &str) -> Self {
        Self(path.as_bytes().to_vec())
    }

    /// All that a path may be taken for, one for each kind of server.
    pub(super) fn all(path: &str) -> [Self; KINDS] {
        let (strict, lenient) = (decode(path.as_bytes(), is_unreserved), decode_all(path.as_bytes()));
        [
            Self(segments(&strict, |byte| byte == b'/', false)),
            Self(segments(&strict, |byte| byte == b'/', true)),
            Self(segments(&lenient, is_slash, false)),
            Self(segments(&lenient, is_slash, true)),
        ]
    }

    /// The same, unless the path leaves no choice.
    pub(super) fn others(path: &str) -> Option<[Self; KINDS]> {
        let is_odd = path.contains(['%', ';', '\\']) || path.contains("//") || path.contains("/.");
        is_odd.then(|| Self::all(path))
    }

    /// Bytes that a path has to begin with to have it as its prefix.
    pub(super) fn length(&self) -> usize {
        self.0.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1)
    }

    /// Whether `prefix` ends where a segment of this ends.
    pub(super) fn has_prefix(&self, prefix: &Self) -> bool {
        let rest = self.0.strip_prefix(&prefix.0[..prefix.length()]);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

/// Those that mean the same encoded and not (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Undoes the percent-encoding of what is `wanted`.
fn decode(path: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let byte = if *first == b'%' { encoded(after).filter(|&byte| wanted(byte)) } else { None };
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    decoded
}

/// Undoes it until nothing is left of it: some servers decode twice, what stands
/// before them included.
fn decode_all(path: &[u8]) -> Vec<u8> {
    let mut decoded = path.to_vec();
    for _ in 0..MOST_TIMES {
        let again = decode(&decoded, |_| true);
        if again == decoded {
            break;
        }
        decoded = again;
    }
    decoded
}

const MOST_TIMES: usize = 4;

/// The byte of which these are the two digits.
fn encoded(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*digits.first()?)? << 4 | digit(*digits.get(1)?)?)
}

/// The path without empty segments and dots, and `cut` if parameters are none of
/// its names.
fn segments(path: &[u8], is_slash: impl Fn(u8) -> bool, cut: bool) -> Vec<u8> {
    let mut found: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| is_slash(byte)) {
        let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        match name {
            b"" if cut || segment.is_empty() => {}
            b"." => {}
            b".." => drop(found.pop()),
            _ => found.push(if cut { name } else { segment }),
        }
    }
    let mut whole: Vec<u8> = Vec::with_capacity(path.len());
    for segment in found {
        whole.push(b'/');
        whole.extend_from_slice(segment);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_path_leaves_no_choice() {
        for path in ["/", "/api/v1", "/api/", "/a.b/c..d", "/a:b/c@d,e"] {
            assert_eq!(Reading::others(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_may_be_taken_for_the_one_that_it_is_resolved_to() {
        for (path, resolved) in [
            ("//api", "/api"),
            ("/%61pi", "/api"),
            ("/%61%70%69/x", "/api/x"),
            ("/api;x=1/y", "/api/y"),
            ("/;x/api", "/api"),
            ("/x/..;/api", "/api"),
            ("/.//./api", "/api"),
            ("/x/../api", "/api"),
            ("/../api", "/api"),
            ("/x%2f..%2fapi", "/api"),
            ("\\api", "/api"),
            ("/x/%5c../..\\api", "/api"),
            ("/%2561pi", "/api"),
            ("/x/%25252e%25252e/api", "/api"),
            ("/api%3bx", "/api"),
        ] {
            let others = Reading::others(path).unwrap();
            assert!(others.contains(&Reading::plain(resolved)), "{path}: {others:?}");
        }
    }

    #[test]
    fn an_encoding_that_is_none_stays() {
        for path in ["/%", "/%6", "/%6g", "/%zz%"] {
            assert!(Reading::all(path).contains(&Reading::plain(path)), "{path}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let has = |path: &str, prefix: &str| Reading::plain(path).has_prefix(&Reading::plain(prefix));
        for (path, prefix) in [("/api", "/api"), ("/api/x", "/api"), ("/api/x", "/api/"), ("/x", "/"), ("", "/")] {
            assert!(has(path, prefix), "{path} {prefix}");
        }
        for (path, prefix) in [("/apix", "/api"), ("/ap", "/api"), ("/", "/api"), ("/api;x", "/api")] {
            assert!(!has(path, prefix), "{path} {prefix}");
        }
    }
}
