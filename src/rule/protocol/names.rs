//! Names as HTTP knows them: of headers and of media types.

/// Headers that say how to read a request.
const FRAMING: [&str; 7] = ["host", "connection", "transfer-encoding", "expect", "te", "trailer", "upgrade"];
/// What others of them begin with.
const CONTENT: &str = "content-";

/// Whether it is a header's name, or a part of some with a star for what is before or behind
/// it, and of none that says how to read a request.
pub fn may_be_redacted(name: &str) -> bool {
    let (stem, ends, begins) = stem(name);
    let stem = stem.to_ascii_lowercase();
    let is_framing = FRAMING.iter().any(|framing| covers(name, framing));
    let is_content = !ends && (stem.starts_with(CONTENT) || (begins && CONTENT.starts_with(&stem)));
    // What is shorter is part of anything.
    let is_loose = ends && !(stem.starts_with('-') && stem.len() >= 4);
    is_token(&stem) && !stem.contains('*') && !is_framing && !is_content && !is_loose
}

/// Whether `name`, which may begin and end with a star, is that of `header`, or of a part
/// of it.
pub fn covers(name: &str, header: &str) -> bool {
    let same = |part: Option<&str>, stem: &str| part.is_some_and(|part| part.eq_ignore_ascii_case(stem));
    match stem(name) {
        (stem, false, false) => header.eq_ignore_ascii_case(stem),
        (stem, false, true) => same(header.get(..stem.len()), stem),
        (_, true, _) if header.len() >= CONTENT.len() && same(header.get(..CONTENT.len()), CONTENT) => false,
        (stem, true, false) => same(header.len().checked_sub(stem.len()).and_then(|at| header.get(at..)), stem),
        (stem, true, true) => (0..header.len()).any(|at| same(header.get(at..at + stem.len()), stem)),
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

/// `name` without its stars, and whether one stands before and behind it.
fn stem(name: &str) -> (&str, bool, bool) {
    let (stem, begins) = name.strip_suffix('*').map_or((name, false), |stem| (stem, true));
    stem.strip_prefix('*').map_or((stem, false, begins), |stem| (stem, true, begins))
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
        for name in ["x-user", "Helicone-Property-*", "x-*", "cookie", "*-meta-*", "*-metadata"] {
            assert!(may_be_redacted(name), "{name}");
        }
        for name in [
            "",
            "*",
            "h*",
            "te",
            "T*",
            "transfer-*",
            "con*",
            "content-*",
            "Content-Type",
            "content-t*",
            "a b",
            "**",
            "*-*",
            "*-id",
            "*type",
            "*-encoding",
            "x-*-y",
        ] {
            assert!(!may_be_redacted(name), "{name}");
        }
    }

    #[test]
    fn a_star_stands_for_the_rest_of_a_name() {
        assert!(covers("helicone-*", "Helicone-Auth") && covers("Cookie", "cookie"));
        assert!(!covers("helicone-*", "helicone") && !covers("cookie", "cookies"));
        assert!(covers("*-meta-*", "x-amz-meta-Owner") && covers("*-metadata", "Upload-Metadata"));
        assert!(!covers("*-meta-*", "x-meta") && !covers("*-metadata", "x-metadata-directive"));
        assert!(!covers("*-md5", "content-md5") && !covers("*-metadata", "metadata") && !covers("*-meta-*", "é-meta"));
    }
}
