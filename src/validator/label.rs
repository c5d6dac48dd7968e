//! Values that are no data: what a redactor wrote, and what a person wrote in
//! place of a value.

use super::words;
use std::ops::Range;

/// Longest label of others looked at.
const LONGEST: usize = 96;
/// Longest name of an entity or a key in a label of our own.
const LONGEST_NAME: usize = 64;
/// Most hex digits of a pseudonym: those of SHA-256.
const LONGEST_HASH: usize = 64;
/// Longest label of our own: an entity, a key, a hash and what is around them.
const LONGEST_OWN: usize = 2 * LONGEST_NAME + LONGEST_HASH + 4;
/// What the redactor may mask characters with.
pub const MASKS: [u8; 5] = [b'*', b'x', b'X', b'-', b'_'];
/// Fewest masked characters of a value of which some are kept.
pub const FEWEST_MASKED: usize = 4;

/// Whether `value` is what this or another redactor writes in place of a value:
/// `[EMAIL_ADDRESS]`, `[EMAIL_ADDRESS:k1:9f86d081884c7d65]`, `[Filtered]`,
/// `<redacted>`, `[Scrubbed due to 'password']`, `***`, `xxxx`,
/// `••••`, `j*******n`.
pub fn is_label(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    is_own_output(value) || value.len() <= LONGEST && is_notice(value)
}

/// Whether `value` is a label or a mask of our own: what any rule leaves alone.
/// Asked of every finding, so it looks no further than it must.
pub fn is_own_output(value: &[u8]) -> bool {
    value.len() <= LONGEST_OWN && is_own(value) || is_mask(value) || is_partly_masked(value)
}

/// Whether `value` is what this or another redactor wrote, or a template of ours
/// may have: as [`is_label`], and `<EMAIL_ADDRESS>`.
pub(super) fn is_written(value: &[u8]) -> bool {
    is_label(value) || value.len() <= LONGEST && is_named_entity(value)
}

/// Whether what begins at `range` of `raw` is a part of a pseudonym such as
/// `[EMAIL_ADDRESS:k1:9f86d081884c7d65]`, whose brackets may be percent-encoded,
/// as they are in URLs: all within the brackets is, and what begins with them if
/// it goes no further.
///
/// Hex digits may look like anything, a card's number for one: what stands
/// within is never a value.
pub fn is_in_pseudonym(raw: &[u8], range: Range<usize>) -> bool {
    let in_label = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    let bracket = bracket(raw.get(range.start..).unwrap_or_default(), b'[');
    let at = (range.start + bracket).min(raw.len());
    let before = &raw[at.saturating_sub(LONGEST_OWN)..at];
    let length = before.iter().rev().take_while(|byte| in_label(byte)).count();
    let (outside, inside) = before.split_at(before.len() - length);
    let skipped = match outside {
        [.., b'['] => 0,
        [.., b'%'] if inside.len() >= 2 && inside[..2].eq_ignore_ascii_case(b"5B") => 2,
        _ => return false,
    };
    let begins = at - length + skipped;
    let label = &raw[begins..raw.len().min(at + LONGEST_OWN)];
    let length = label.iter().take_while(|byte| in_label(byte)).count();
    let closing = self::bracket(&label[length..], b']');
    closing > 0 && has_hash(&label[..length]) && (bracket == 0 || range.end <= begins + length + closing)
}

/// The length of the bracket that `raw` begins with, percent-encoded or not.
fn bracket(raw: &[u8], bracket: u8) -> usize {
    match raw {
        [byte, ..] if *byte == bracket => 1,
        [b'%', b'5', digit, ..] if digit.to_ascii_uppercase() == bracket - b'[' + b'B' => 3,
        _ => 0,
    }
}

/// Whether `value` stands where a value would: a label, `<GITHUB_TOKEN>`, `<token>`, `${VAR}`,
/// `{{x}}`, `%s`, `null`, `changeme`, `process.env.X`, `your-api-key`, `sk-...`.
pub fn is_placeholder(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    // No one writes more to say that there is nothing.
    if value.len() > LONGEST {
        return is_label(value);
    }
    value.is_empty()
        || is_written(value)
        || is_template(value)
        || is_lookup(value)
        || is_cut_off(value)
        || words::is_stand_in(value)
}

/// `[ENTITY]` or `[ENTITY:key:hex]`.
fn is_own(value: &[u8]) -> bool {
    inside(value, b'[', b']').is_some_and(|inner| is_entity(inner) || has_hash(inner))
}

/// `EMAIL_ADDRESS`
fn is_entity(name: &[u8]) -> bool {
    name.len() >= 2
        && name.first().is_some_and(u8::is_ascii_uppercase)
        && name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

/// `ENTITY:key:hex`
fn has_hash(inner: &[u8]) -> bool {
    let mut parts = inner.split(|&byte| byte == b':');
    let (Some(entity), Some(key), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let in_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    is_entity(entity)
        && (1..=LONGEST_NAME).contains(&key.len())
        && key.iter().all(in_key)
        && (16..=LONGEST_HASH).contains(&hash.len())
        && hash.iter().all(u8::is_ascii_hexdigit)
}

/// An entity in brackets of any kind, alone or with words that say that it is
/// hidden: `<EMAIL_ADDRESS>`, `{{API_KEY}}`, `[redacted: US_SSN]`, `(PASSWORD removed)`,
/// `[credential: PASSWORD]`.
fn is_named_entity(value: &[u8]) -> bool {
    let mut inner = value;
    let brackets = [(b'[', b']'), (b'<', b'>'), (b'(', b')'), (b'{', b'}')];
    while let Some(within) = brackets.iter().find_map(|&(open, close)| inside(inner, open, close)) {
        inner = within;
    }
    let mut parts = inner.split(|byte| matches!(byte, b' ' | b':' | b'-')).filter(|part| !part.is_empty()).peekable();
    // A token is upper case too, but has more digits than `AUTH0` and `ROUTE53`.
    let spelled = |word: &[u8]| word.len() <= 3 || word.iter().filter(|byte| byte.is_ascii_digit()).count() <= 2;
    let is_said = |part: &[u8]| words::is_notice(part) || matches!(part, b"pii" | b"credential");
    let entity = |part: &[u8]| is_entity(part) && part.split(|&byte| byte == b'_').all(spelled);
    inner.len() < value.len() && parts.peek().is_some() && parts.all(|part| entity(part) || is_said(part))
}

/// At least half of it is one masking character, without a gap.
fn is_partly_masked(value: &[u8]) -> bool {
    // A run that is long enough has every fourth place in it.
    if !value.iter().skip(FEWEST_MASKED - 1).step_by(FEWEST_MASKED).any(|byte| MASKS.contains(byte)) {
        return false;
    }
    let characters = value.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
    let fewest = characters.div_ceil(2).max(FEWEST_MASKED);
    let mut runs = value.chunk_by(|one, other| one == other);
    runs.any(|run| run.len() >= fewest && MASKS.contains(&run[0]))
}

/// One masking character, repeated.
fn is_mask(value: &[u8]) -> bool {
    match *value {
        [b'*', ..] => value.iter().all(|&byte| byte == b'*'),
        [mask @ (b'x' | b'X' | b'#' | b'-' | b'_'), _, _, ..] => value.iter().all(|&byte| byte == mask),
        // Bullet, black circle, full block.
        [0xe2, second, third, ..] => {
            matches!((second, third), (0x80, 0xa2) | (0x97, 0x8f) | (0x96, 0x88))
                && value.chunks(3).all(|character| character == [0xe2, second, third])
        }
        _ => false,
    }
}

/// A word such as `redacted` in brackets or between marks, an explanation
/// after it or not.
fn is_notice(value: &[u8]) -> bool {
    let brackets = [(b'[', b']'), (b'<', b'>'), (b'(', b')'), (b'{', b'}'), (b'*', b'*'), (b'_', b'_'), (b'#', b'#')];
    let mut inner = value;
    while let Some(within) = brackets.iter().find_map(|&(open, close)| inside(inner, open, close)) {
        inner = within;
    }
    let word = inner.split(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
    let alone = word.len() == inner.len();
    let counted = |part: &[u8]| part.len() < 5 && part.iter().all(u8::is_ascii_digit);
    // A secret may stand beside the word.
    let explained = || words::parts(inner).all(|part| words::is_word(part) || counted(part));
    words::is_notice(word) && (alone || inner.len() < value.len() && explained())
}

/// `...`, `sk-...`, `eyJ...`: so little of a value that it is none.
fn is_cut_off(value: &[u8]) -> bool {
    let head = value.strip_suffix(b"...").or_else(|| value.strip_suffix("…".as_bytes()));
    head.is_some_and(|head| head.len() <= 12 && !head.iter().any(u8::is_ascii_digit))
}

/// `${X}`, `$X`, `$(x)`, `{{x}}`, `{x}`, `<x>`, `%s`, `%(x)s`, `%X%`, `@{x}`.
fn is_template(value: &[u8]) -> bool {
    const EXPRESSIONS: [(&[u8], &[u8]); 7] =
        [(b"${", b"}"), (b"$(", b")"), (b"@{", b"}"), (b"{{", b"}}"), (b"<%", b"%>"), (b"#{", b"}"), (b"%(", b")s")];
    let wrapped = |&(open, close): &(&[u8], &[u8])| {
        value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|inner| {
            // One expression, or several nested ones, and nothing behind the first.
            let last = inner.iter().rposition(|byte| *byte != close[0]).map_or(0, |last| last + 1);
            !inner.is_empty() && !inner[..last].contains(&close[0])
        })
    };
    match value {
        _ if EXPRESSIONS.iter().any(wrapped) => true,
        [b'%', b's' | b'd' | b'v' | b'r' | b'@'] => true,
        [b'{', name @ .., b'}'] | [b'<', name @ .., b'>'] | [b'%', name @ .., b'%'] => is_named(name),
        [b'$', name @ ..] => words::is_variable(name),
        _ => false,
    }
}

/// Words, or small numbers among them, as the names of fields are.
fn is_named(name: &[u8]) -> bool {
    let joined = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.- ".contains(byte);
    let counted = |part: &[u8]| part.len() < 3 && part.iter().all(u8::is_ascii_digit);
    let mut parts = words::parts(name).peekable();
    parts.peek().is_some() && name.iter().all(joined) && parts.all(|part| words::is_word(part) || counted(part))
}

/// Code that fetches a value: `process.env.X`, `os.environ["X"]`, `getenv("X")`.
fn is_lookup(value: &[u8]) -> bool {
    const LOOKUPS: [&str; 14] = [
        "process.env",
        "import.meta.env",
        "os.environ",
        "os.getenv(",
        "getenv(",
        "env(",
        "env.",
        "env[",
        "env::var",
        "std::env",
        "system.getenv",
        "secrets.",
        "vault.",
        "keyring.",
    ];
    let named = |part: &[u8]| part.len() < 3 || words::is_word(part);
    let code = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:()[]'\"/, ?|;$".contains(byte);
    if value.len() > LONGEST || !value.iter().all(code) || !words::parts(value).all(named) {
        return false;
    }
    LOOKUPS
        .iter()
        .any(|lookup| value.get(..lookup.len()).is_some_and(|head| head.eq_ignore_ascii_case(lookup.as_bytes())))
}

/// What stands between the two bytes, when they enclose `value`.
fn inside(value: &[u8], open: u8, close: u8) -> Option<&[u8]> {
    match value {
        [first, inner @ .., last] if *first == open && *last == close && !inner.is_empty() => Some(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: &[&str] = &[
        "[EMAIL_ADDRESS]",
        "[EMAIL_ADDRESS:k1:9f86d081884c7d65]",
        "[REDACTED]",
        "[Filtered]",
        "[FILTERED]",
        "<redacted>",
        "<REDACTED>",
        "(redacted)",
        "REDACTED",
        "**REDACTED**",
        "__redacted__",
        "[Scrubbed due to 'password']",
        "[[masked]]",
        "*",
        "***",
        "xxxx",
        "XXXXXXXX",
        "••••••",
        " *** ",
        "____",
        "j*******n",
        "+4915******",
        "hxxxx2",
        "[EMAIL_ADDRESS:k_2-b:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08]",
    ];

    const PLACEHOLDERS: &[&str] = &[
        "changeme",
        "CHANGE_ME",
        "change-me",
        "password",
        "Password",
        "example",
        "<token>",
        "<YOUR_API_KEY>",
        "${VAR}",
        "${VAR:-default}",
        "$VAR",
        "$(cat /run/secret)",
        "{{x}}",
        "{{ .Values.password }}",
        "{password}",
        "%s",
        "%(password)s",
        "%DB_PASSWORD%",
        "None",
        "null",
        "true",
        "False",
        "undefined",
        "required",
        "string",
        "process.env.DB_PASSWORD",
        "os.environ['X']",
        "os.getenv(\"X\")",
        "your-api-key",
        "YOUR_TOKEN_HERE",
        "sk-...",
        "<EMAIL_ADDRESS>",
        "{{API_KEY}}",
        "(GITHUB_TOKEN removed)",
        "[credential: US_SSN]",
        "",
    ];

    const SECRETS: &[&str] = &[
        "hunter2!",
        "**Dr=w7GUE5BWAKp",
        "!_fYuq2zkkSCMkV0",
        "harbor-violet-maple-saturn1334",
        "$2b$12$KIXQmDfD0u0kq1mJ8xYf3O",
        "x1x2x3",
        "[abc]def",
        "[EMAIL_ADDRESS] bob",
        "xx",
        "redacted-8f3k2Lq",
        "<k8Fj3Lq9>",
        "{\"a\":1}",
        "env.hunter2!xyz",
        "vault.S3cr3t99",
        "secrets.of my p4ssw0rd",
        "hunter2secret...",
        "${x} hunter2!}",
        "$(x)hunter2)",
        "<redacted hunter2>",
        "[masked: AKIAZ3kQ9vT6xR1mB8n]",
        "***hunter2",
        "hunter2****",
        "<AKIA hunter2>",
        "<AB12CD34EF>",
        "[PASSWORD:k1:hunter2]",
    ];

    #[test]
    fn labels_are_labels_and_placeholders() {
        for value in LABELS {
            assert!(is_label(value.as_bytes()), "{value}");
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_is_within_a_pseudonym_is_told_from_what_is_not() {
        for text in ["x [CREDIT_CARD:k1:4111111111111111] y", "?a=%5BCREDIT_CARD:k1:4111111111111111%5D&b"] {
            let from = text.find("CREDIT").unwrap();
            let to = text.find("]").or(text.find("%5D")).unwrap();
            for at in 0..=text.len() {
                let expected = (from..=to).contains(&at);
                // That is the bracket.
                let begins = text[at..].starts_with('[') || text[at..].starts_with('%') && at < from;
                // The digits behind a percent sign are still the bracket.
                let is_bracket = text.contains('%') && at < from;
                let whole = is_in_pseudonym(text.as_bytes(), at..text.len());
                assert!(is_bracket || whole == expected, "{text} {at}");
                assert_eq!(is_in_pseudonym(text.as_bytes(), at..to + 1), whole || begins, "{text} {at}");
            }
        }
        for text in ["[CREDIT_CARD:4111111111111111]", "[CARD:k1:411111111111111]", "[CARD:k1:4111111111111111 "] {
            assert!((0..=text.len()).all(|at| !is_in_pseudonym(text.as_bytes(), at..text.len())), "{text}");
        }
    }

    #[test]
    fn placeholders_are_no_labels() {
        for value in PLACEHOLDERS {
            assert!(is_placeholder(value.as_bytes()), "{value}");
            assert!(!is_label(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn secrets_are_neither() {
        for value in SECRETS {
            assert!(!is_label(value.as_bytes()), "{value}");
            assert!(!is_placeholder(value.as_bytes()), "{value}");
        }
    }
}
