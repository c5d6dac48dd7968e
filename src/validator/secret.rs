//! Whether a value that stands where secrets stand is plausibly one.
//!
//! Rules that know a secret only by the name beside it (`password = ...`) need
//! this: the same names stand before placeholders, types, code, file names and
//! prose. Everything that cannot be told to be one of these is a secret, since
//! a missed secret costs more than a label too many; so short or plain
//! passwords are accepted as soon as they hold a digit or an odd letter.

use super::label::{is_label, is_placeholder};
use super::words::{self, is_function_word, is_vocabulary, is_word};

/// Fewest bytes of a secret.
const SHORTEST: usize = 4;
/// Fewest digits of a secret that is a number.
const SHORTEST_NUMBER: usize = 6;
/// Bytes that decide; what follows does not change the verdict.
const LOOKED_AT: usize = 256;
/// Least Shannon entropy, in bits per byte, of a secret of eight bytes or more.
const LEAST_ENTROPY: f64 = 2.0;
/// Bytes of a part of a URL that may be a token.
const ODD_PART: usize = 16;
/// Words in a phrase that make it a pass phrase rather than a name.
const PASS_PHRASE: usize = 4;

/// Whether `value` is plausibly a secret.
pub fn accepts(value: &[u8]) -> bool {
    let value = value.get(..LOOKED_AT).unwrap_or(value).trim_ascii();
    value.len() >= SHORTEST
        && !is_placeholder(value)
        && !is_measure(value)
        && !is_code(value)
        && !is_location(value)
        && !is_prose(value)
        && !is_name(value)
        && is_varied(value)
}

/// Numbers, dates, times, sizes and durations; long plain numbers are no
/// measure.
fn is_measure(value: &[u8]) -> bool {
    const UNITS: &[&str] =
        &["s", "ms", "us", "ns", "m", "min", "h", "d", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "px", "k", "usd"];
    let amount = [&b"$"[..], "€".as_bytes(), "£".as_bytes()].iter().find_map(|sign| value.strip_prefix(*sign));
    let priced = amount.is_some();
    let value = amount.unwrap_or(value);
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == value.len() {
        return priced || digits < SHORTEST_NUMBER;
    }
    let unit = value.get(digits..).unwrap_or_default().trim_ascii();
    let with_unit = digits > 0 && UNITS.iter().any(|name| unit.eq_ignore_ascii_case(name.as_bytes()));
    let float = value.contains(&b'.') && std::str::from_utf8(value).is_ok_and(|text| text.parse::<f64>().is_ok());
    with_unit || float || value.iter().all(|byte| byte.is_ascii_digit() || b".:,-/+ TZ%".contains(byte))
}

/// Types, calls, indexing and dotted paths: `Option<String>`, `&str`,
/// `get_password()`, `args[0]`, `self.password`, `Secret::new`.
fn is_code(value: &[u8]) -> bool {
    let named = value.iter().take_while(|&&byte| byte.is_ascii_alphabetic() || b"_.:&".contains(&byte)).count();
    let (name, rest) = value.split_at(named);
    let reads = words::parts(name).all(is_word) && words::parts(name).next().is_some();
    match rest {
        _ if value.starts_with(b"&'") => true,
        _ if !reads => false,
        [] => name.starts_with(b"&") || memchr::memmem::find(name, b"::").is_some(),
        [b'(', inner @ ..] => matches!(inner, [] | [.., b')'] | [.., b')', b';']) || !inner.contains(&b')'),
        [b'[', .., b']'] | [b'<', .., b'>'] => true,
        _ => false,
    }
}

/// URLs without a user or anything long and odd, and paths of names.
fn is_location(value: &[u8]) -> bool {
    let scheme = value.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    if scheme > 1 && value.get(scheme..).is_some_and(|rest| rest.starts_with(b"://")) {
        return !value.contains(&b'@') && words::parts(value).all(|part| part.len() < ODD_PART || is_word(part));
    }
    let rooted = [&b"/"[..], b"./", b"../", b"~/"].iter().any(|root| value.starts_with(root));
    rooted && words::parts(value).all(is_word)
}

/// Two words or more of which none is odd: a sentence, a date, or too few for a
/// pass phrase.
fn is_prose(value: &[u8]) -> bool {
    let mut tokens = 0;
    let mut words = 0;
    let mut labels = 0;
    let mut sentence = false;
    let sign = |token: &&[u8]| token.len() < 3 && token.iter().all(u8::is_ascii_punctuation);
    for written in value.split(u8::is_ascii_whitespace) {
        let token = trim_punctuation(written);
        if sign(&token) {
            continue;
        }
        tokens += 1;
        // What a redactor wrote within a sentence is no odder than a word.
        if is_label(written) {
            (words, labels) = (words + 1, labels + 1);
            continue;
        }
        sentence |= is_function_word(token) || is_vocabulary(token);
        if is_joined(token) {
            words += 1;
        } else if !token.iter().all(|byte| byte.is_ascii_digit() || b".:,-/+".contains(byte)) {
            return false;
        }
    }
    tokens > 1 && (sentence || words < PASS_PHRASE) || labels > 0 && labels == tokens
}

/// A word, or words joined as in names and file names. Four words or more that
/// name nothing are a pass phrase.
fn is_name(value: &[u8]) -> bool {
    let value = trim_punctuation(value);
    let words = || joined_words(value);
    let pass_phrase = words().count() >= PASS_PHRASE
        && value.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-')
        && !words().any(|word| is_vocabulary(word) || is_function_word(word));
    !pass_phrase && is_joined(value)
}

/// Whether all of `value` is words, joined as in names or not.
fn is_joined(value: &[u8]) -> bool {
    joined_words(value).next().is_some() && joined_words(value).all(is_word)
}

fn joined_words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| b"_-./".contains(byte)).filter(|word| !word.is_empty())
}

/// Without the punctuation that stands around words.
fn trim_punctuation(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [b'.' | b',' | b':' | b';' | b'!' | b'?' | b'(' | b'"' | b'\'' | b'`' | b')', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b'.' | b',' | b':' | b';' | b'!' | b'?' | b'(' | b'"' | b'\'' | b'`' | b')'] = value {
        value = rest;
    }
    value
}

/// Whether the bytes differ enough: no ruler, no run of one or two characters.
fn is_varied(value: &[u8]) -> bool {
    let mut counts = [0_u16; 256];
    for &byte in value {
        counts[usize::from(byte)] += 1;
    }
    let mut used = 0;
    let mut repeated = 0.0;
    for &byte in value {
        let count = std::mem::take(&mut counts[usize::from(byte)]);
        used += usize::from(count > 0);
        if count > 1 {
            let count = f64::from(count);
            repeated += count * count.log2();
        }
    }
    if value.len() < 8 {
        return used >= 3;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most LOOKED_AT bytes")]
    let length = value.len() as f64;
    // Of `-sum(p * log2(p))` with `p = count / length`.
    length.log2() - repeated / length >= LEAST_ENTROPY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_machines_and_people_are_accepted() {
        for value in [
            "harbor-violet-maple-saturn1334",
            "hunter2!",
            "hunter2",
            "!_fYuq2zkkSCMkV0",
            "pässwörd-lz8IGKCv-ß€",
            "Violet!8627Maple",
            "**Dr=w7GUE5BWAKp",
            "0Pul8i\"BN2J\\Ucl3",
            "CahFhIoiEkuJcHKm",
            "rGIvrTJUq9RXGITE",
            "zB4ctuCoY-8XUB2A",
            "0LA6BbX7rE-5cskms",
            "P+##fPzRiJlzK0=k",
            "+SSVJxwAYMf%sW-T",
            "0092c2a216a0cae714082165db5b2d3b",
            "+O4sa26AN2TnSRlKbD1Ny91KNHJBQfAL/SMd3s+I",
            "/NC9tZ0SuKqt31f8BdZCMW1zED8HwLuFoRw+aJ1t",
            "123e4567-e89b-12d3-a456-426614174000",
            "correct-horse-battery-staple",
            "correct horse battery staple",
            "p4ss",
            "123456",
            "test1234",
            "password1",
            "$ecret99",
            "qzxvkjwptmbr",
            "JBSWY3DPEHPK3PXP",
            "s3cr3t(really)",
            "https://hooks.example.com/services/T030GDBU3Y4/9PqiiG1500qzfTRDXDHCzr1C",
            "AKIABYXFETUWYTPVNONJ",
            "DmtJOhlqeCOcWUMs",
            "123456789012345678901234567890123456.XYZabcdXYZabcd",
            "{\"cert\":DFD5dC97C711CE1E}",
            "A,.:-¨@*¿?!",
            "Tr0ub4dor&3",
        ] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn words_and_prose_are_refused() {
        for value in [
            "reset",
            "required",
            "tokens",
            "expire",
            "password",
            "Password.",
            "accessToken",
            "RESET_PASSWORD",
            "api_key",
            "my-secret-name",
            "must be at least 12 characters",
            "Bearer tokens expire after one hour",
            "is required",
            "token_count and max_tokens are integers",
            "reset flow",
            "(optional)",
            "пароль",
            "sk-learn-contrib",
            "sk_buff_head_init",
            "config.yaml",
            "example.com",
        ] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn code_types_and_references_are_refused() {
        for value in [
            "String",
            "&str",
            "&'static str",
            "Option<String>",
            "Vec<u8>",
            "get_password()",
            "getpass.getpass(",
            "hash_password(plain)",
            "self.password",
            "request.headers.authorization",
            "config[\"password\"]",
            "Secret::new",
            "std::string::String",
            "process.env.SECRET",
            "os.environ['TOKEN']",
            "${DB_PASSWORD}",
            "$DB_PASSWORD",
            "{{ password }}",
            "%s",
            "<token>",
            "/run/secrets/database",
            "./secret.txt",
            "https://example.com/reset",
            "string | null",
        ] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn measures_and_monotony_are_refused() {
        for value in [
            "$3,662.82",
            "6.9983e+00",
            "Mon, 19 Jul 2021 14:40:07 GMT",
            "06/04/2022 02:28 PM",
            "3600s",
            "1024",
            "30m",
            "1.5",
            "2025-01-01",
            "12:30:00",
            "10 MB",
            "xxxxxxxx",
            "--------",
            "abababababab",
            "****",
        ] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn labels_are_refused() {
        for value in ["[REDACTED]", "[EMAIL_ADDRESS]", "[PASSWORD:k1:9f86d081884c7d65]", "[Filtered]", "********"] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
