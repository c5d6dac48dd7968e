//! Names as HTTP knows them: of headers and of media types.

/// Headers that say how to read a request.
const FRAMING: [&str; 7] = ["host", "connection", "transfer-encoding", "expect", "te", "trailer", "upgrade"];
/// What others of them begin with.
const CONTENT: &str = "content-";

/// Whether it is a header's name, or the beginning of some with a star behind it,
/// and of none that says how to read a request.
pub fn may_be_redacted(name: &str) -> bool {
    let (stem, begins) = stem(name);
    let stem = stem.to_ascii_lowercase();
    let is_framing = FRAMING.iter().any(|framing| covers(name, framing));
    let is_content = stem.starts_with(CONTENT) || (begins && CONTENT.starts_with(&stem));
    is_token(&stem) && !is_framing && !is_content
}

/// Whether `name`, which may end with a star, is or begins that of `header`.
pub fn covers(name: &str, header: &str) -> bool {
    match stem(name) {
        (stem, true) => header.get(..stem.len()).is_some_and(|lead| lead.eq_ignore_ascii_case(stem)),
        (stem, false) => header.eq_ignore_ascii_case(stem),
    }
}

/// Whether it is `type/subtype`, without wildcard and parameters: what else is
/// listed would never be met.
pub fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

fn stem(name: &str) -> (&str, bool) {
    name.strip_suffix('*').map_or((name, false), |stem| (stem, true))
}

/// Whether it is a name as HTTP knows them (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_say_how_to_read_a_request_are_not_redacted_whatever_covers_them() {
        for name in ["x-user", "Helicone-Property-*", "x-*", "cookie"] {
            assert!(may_be_redacted(name), "{name}");
        }
        for name in ["", "*", "h*", "te", "T*", "transfer-*", "con*", "content-*", "Content-Type", "content-t*", "a b"]
        {
            assert!(!may_be_redacted(name), "{name}");
        }
    }

    #[test]
    fn a_star_stands_for_the_rest_of_a_name() {
        assert!(covers("helicone-*", "Helicone-Auth") && covers("Cookie", "cookie"));
        assert!(!covers("helicone-*", "helicone") && !covers("cookie", "cookies"));
    }
}
