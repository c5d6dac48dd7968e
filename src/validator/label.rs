//! Values that are no data: what a redactor wrote, and what a person wrote in
//! place of a value.

use super::words;

/// Longest label of others looked at.
const LONGEST: usize = 96;
/// Longest labels of our own looked at: several pseudonyms of an entity, a key
/// and a hash.
const LONGEST_OWN: usize = 512;

/// Whether `value` is what this or another redactor writes in place of a value:
/// `[EMAIL_ADDRESS]`, `[EMAIL_ADDRESS:k1:9f86d081884c7d65]`, several of these,
/// `[Filtered]`, `<redacted>`, `[Scrubbed due to 'password']`, `***`, `xxxx`, `••••`.
pub fn is_label(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    is_mask(value) || value.len() <= LONGEST_OWN && is_own(value) || value.len() <= LONGEST && is_notice(value)
}

/// Whether `value` stands where a value would: a label, `<token>`, `${VAR}`,
/// `{{x}}`, `%s`, `null`, `changeme`, `process.env.X`, `vault:app/db`, `your-api-key`, `sk-...`.
pub fn is_placeholder(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    // No one writes more to say that there is nothing.
    if value.len() > LONGEST {
        return is_label(value);
    }
    value.is_empty()
        || is_label(value)
        || is_template(value)
        || is_lookup(value)
        || is_reference(value)
        || is_cut_off(value)
        || words::is_stand_in(value)
}

/// `[ENTITY]` or `[ENTITY:key:hex]`, one or several.
fn is_own(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(inner) = rest.strip_prefix(b"[") {
        let Some(end) = inner.iter().position(|&byte| byte == b']') else { return false };
        if !is_named_own(&inner[..end]) {
            return false;
        }
        rest = &inner[end + 1..];
    }
    rest.is_empty() && !value.is_empty()
}

/// `ENTITY` or `ENTITY:key:hex`.
fn is_named_own(inner: &[u8]) -> bool {
    let mut parts = inner.split(|&byte| byte == b':');
    let entity = parts.next().unwrap_or_default();
    let named = entity.len() >= 2
        && entity.first().is_some_and(u8::is_ascii_uppercase)
        && entity.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_');
    named
        && match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => true,
            (Some(key), Some(hash), None) => {
                let in_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                !key.is_empty() && key.iter().all(in_key) && hash.len() >= 16 && hash.iter().all(u8::is_ascii_hexdigit)
            }
            _ => false,
        }
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

/// `${X}`, `$X`, `$(x)`, `{{x}}`, `{x}`, `<x>`, `%s`, `%(x)s`, `%X%`, `@X@`, `@{x}`, `#{x}`,
/// the last also without its end, where a rule takes no bracket at the end of a value.
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
        [b'{', name @ .., b'}']
        | [b'<', name @ .., b'>']
        | [b'%', name @ .., b'%']
        | [b'@', name @ .., b'@']
        | [b'%', b'(', name @ .., b')']
        | [b'#', b'{', name @ .., b'}', b'#'] => is_named(name),
        [b'#' | b'$', b'{', name @ ..] | [b'%', b'(', name @ ..] => is_named(name),
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

/// Where a value is kept, in place of the value: `vault:secret/data/db#password`,
/// `ssm:/prod/db`, `op://app/db/password`, `file:/run/pw`, `@/run/secrets/pw`.
fn is_reference(value: &[u8]) -> bool {
    const STORES: [&str; 18] = [
        "vault",
        "ssm",
        "file",
        "op",
        "env",
        "secretsmanager",
        "secretmanager",
        "awssm",
        "awskms",
        "gcpsm",
        "gcp",
        "azurekv",
        "akv",
        "keyvault",
        "keychain",
        "sops",
        "arn",
        "ref",
    ];
    let named = |part: &[u8]| part.len() < 3 || words::is_word(part) || part.iter().all(u8::is_ascii_digit);
    let path = match value.iter().position(|&byte| byte == b':') {
        Some(colon) if STORES.iter().any(|store| value[..colon].eq_ignore_ascii_case(store.as_bytes())) => {
            &value[colon + 1..]
        }
        _ => match value.strip_prefix(b"@") {
            Some(path) if path.starts_with(b"/") => path,
            _ => return false,
        },
    };
    let joined = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:#?@=".contains(byte);
    !path.is_empty() && path.iter().all(joined) && words::parts(path).all(named)
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
        "[EMAIL_ADDRESS][PASSWORD:k1:9f86d081884c7d65]",
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
        "%(db_password)",
        "#{db.password}",
        "#{db.password}#",
        "#{password",
        "@PASSWORD@",
        "@db.password@",
        "vault:secret/data/db#password",
        "ssm:/prod/db/password",
        "op://app/db/password",
        "file:/run/pw",
        "@/run/secrets/pw",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:db",
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
        "D0g!--------------------",
        "p4ss____",
        "[EMAIL_ADDRESS]hunter2[PASSWORD]",
        "[PASSWORD:k1:hunter2]",
        "vault:k8Fj3Lq9",
        "file:/k8Fj3Lq9",
        "@/k8Fj3Lq9",
        "@k8Fj3Lq9@",
        "#{k8Fj3Lq9",
        "%(k8Fj3Lq9)",
    ];

    #[test]
    fn labels_are_labels_and_placeholders() {
        for value in LABELS {
            assert!(is_label(value.as_bytes()), "{value}");
            assert!(is_placeholder(value.as_bytes()), "{value}");
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
