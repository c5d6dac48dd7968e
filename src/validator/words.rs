//! Words and names: what people and programs write that is no secret.
//!
//! The lists are our own: words that stand for "no value", that name a secret
//! rather than being one, and English words that only prose has. A value in
//! another language is judged by its shape alone.

/// Longest word; longer runs of letters are keys.
const LONGEST_WORD: usize = 20;
/// The same for capitals alone.
const LONGEST_CAPITALS: usize = 16;
/// Most consonants in a row ("lengths" has five, with its `s`).
const CONSONANTS: usize = 5;

/// Words for "something was taken away here".
const NOTICES: &[&str] = &[
    "redacted",
    "filtered",
    "masked",
    "hidden",
    "removed",
    "scrubbed",
    "sanitized",
    "sanitised",
    "anonymized",
    "anonymised",
    "censored",
    "obfuscated",
    "withheld",
    "truncated",
    "omitted",
];

/// Words that name a value, its type or its absence. Sorted.
const VOCABULARY: &[&str] = &[
    "a",
    "access",
    "account",
    "admin",
    "an",
    "any",
    "api",
    "apikey",
    "app",
    "array",
    "auth",
    "authorization",
    "base64",
    "basic",
    "bearer",
    "bool",
    "boolean",
    "bytes",
    "change",
    "changeit",
    "changeme",
    "changethis",
    "client",
    "config",
    "cookie",
    "credential",
    "credentials",
    "database",
    "db",
    "default",
    "demo",
    "disabled",
    "dummy",
    "empty",
    "enabled",
    "enter",
    "env",
    "example",
    "fake",
    "false",
    "file",
    "fixme",
    "float",
    "foo",
    "foobar",
    "goes",
    "here",
    "id",
    "insert",
    "int",
    "integer",
    "key",
    "login",
    "me",
    "missing",
    "mock",
    "my",
    "n",
    "na",
    "name",
    "nan",
    "nil",
    "no",
    "none",
    "not",
    "notset",
    "null",
    "number",
    "object",
    "off",
    "ok",
    "on",
    "optional",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "placeholder",
    "private",
    "public",
    "pwd",
    "replace",
    "replaceme",
    "required",
    "sample",
    "secret",
    "secrets",
    "service",
    "session",
    "set",
    "str",
    "string",
    "tbd",
    "test",
    "testing",
    "text",
    "the",
    "this",
    "todo",
    "token",
    "tokens",
    "true",
    "type",
    "undefined",
    "unknown",
    "unset",
    "user",
    "username",
    "value",
    "var",
    "xxx",
    "yes",
    "you",
    "your",
    "yours",
];

/// Words that make a phrase a sentence rather than a pass phrase. Sorted.
const FUNCTION_WORDS: &[&str] = &[
    "a", "after", "all", "an", "and", "are", "as", "at", "be", "been", "before", "but", "by", "can", "cannot", "do",
    "does", "for", "from", "has", "have", "he", "how", "i", "if", "in", "into", "is", "it", "its", "least", "may",
    "more", "must", "my", "no", "not", "of", "on", "only", "or", "our", "per", "please", "she", "should", "so", "than",
    "that", "the", "their", "then", "they", "this", "to", "too", "use", "used", "was", "we", "were", "when", "which",
    "will", "with", "without", "would", "you", "your",
];

/// Whether the word says that something was taken away.
pub(super) fn is_notice(word: &[u8]) -> bool {
    NOTICES.iter().any(|notice| word.eq_ignore_ascii_case(notice.as_bytes()))
}

/// Whether the word names a value, its type or its absence.
pub(super) fn is_vocabulary(word: &[u8]) -> bool {
    is_listed(VOCABULARY, word)
}

/// Whether the word is one that only sentences have.
pub(super) fn is_function_word(word: &[u8]) -> bool {
    is_listed(FUNCTION_WORDS, word)
}

/// Whether `value` is made of vocabulary alone: `changeme`, `your-api-key`.
pub(super) fn is_stand_in(value: &[u8]) -> bool {
    let joined = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-. :/<>[](){}\"'`!".contains(byte);
    let mut words = parts(value).peekable();
    words.peek().is_some() && words.all(is_vocabulary) && value.iter().all(joined)
}

/// Whether `name` can be what follows the `$` of a variable rather than of a
/// password: letters and underscores, or upper case with digits too.
pub(super) fn is_variable(name: &[u8]) -> bool {
    let begins = name.first().is_some_and(|&byte| byte.is_ascii_alphabetic() || byte == b'_');
    let plain = name.iter().all(|&byte| byte.is_ascii_alphabetic() || byte == b'_');
    let constant = name.iter().all(|&byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    begins && name.len() <= 40 && (plain || constant)
}

/// The runs of letters and digits in `value`.
pub(super) fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| !byte.is_ascii_alphanumeric()).filter(|part| !part.is_empty())
}

/// Whether letters alone read like a word or like words in camel case, by
/// length, vowels, and how often the case changes.
pub(super) fn is_word(letters: &[u8]) -> bool {
    let length = letters.len();
    if length == 0 || !letters.iter().all(|&byte| byte.is_ascii_alphabetic() || byte >= 0x80) {
        return false;
    }
    if letters.iter().any(|&byte| byte >= 0x80) {
        return !capitals_within(letters);
    }
    let joints = letters.windows(2).filter(|pair| begins_word(pair[0], pair[1], None)).count();
    let acronyms = letters.windows(3).filter(|three| begins_word(three[0], three[1], Some(three[2]))).count();
    let words = 1 + joints + acronyms;
    let vowels = letters.iter().filter(|&&byte| is_vowel(byte)).count();
    let restless = words > 1 && (length < 3 * words || (length >= 9 && 2 * length < 7 * words));
    let spoken = length <= 4 || (vowels * 8 >= length && longest_consonants(letters) <= CONSONANTS);
    let longest = if letters.iter().all(u8::is_ascii_uppercase) { LONGEST_CAPITALS } else { LONGEST_WORD * words };
    !restless && spoken && length <= longest
}

/// Whether a capital stands right behind a letter beyond ASCII, with small ones
/// before: `huwKéDOGH`. Words of other languages do so in capitals alone.
fn capitals_within(letters: &[u8]) -> bool {
    let small = letters.iter().position(u8::is_ascii_lowercase).unwrap_or(letters.len());
    letters[small..].windows(2).any(|pair| pair[0] >= 0x80 && pair[1].is_ascii_uppercase())
}

/// Whether a word of camel case begins at `byte`: a capital after a small
/// letter, or, when the byte after is given, the last capital of several.
fn begins_word(earlier: u8, byte: u8, later: Option<u8>) -> bool {
    match later {
        None => earlier.is_ascii_lowercase() && byte.is_ascii_uppercase(),
        Some(later) => earlier.is_ascii_uppercase() && byte.is_ascii_uppercase() && later.is_ascii_lowercase(),
    }
}

fn is_vowel(byte: u8) -> bool {
    matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y')
}

/// The longest run of consonants; a new word of camel case begins a new run.
fn longest_consonants(letters: &[u8]) -> usize {
    let mut longest = 0;
    let mut run = 0;
    let mut earlier = b' ';
    for (index, &byte) in letters.iter().enumerate() {
        let begins = begins_word(earlier, byte, None) || begins_word(earlier, byte, letters.get(index + 1).copied());
        run = match (is_vowel(byte), begins) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => run + 1,
        };
        longest = longest.max(run);
        earlier = byte;
    }
    longest
}

fn is_listed(list: &[&str], word: &[u8]) -> bool {
    let folded = |entry: &str| entry.bytes().cmp(word.iter().map(u8::to_ascii_lowercase));
    list.binary_search_by(|entry| folded(entry)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(VOCABULARY.is_sorted());
        assert!(FUNCTION_WORDS.is_sorted());
    }

    #[test]
    fn words_of_prose_and_code_are_words() {
        for word in [
            "reset",
            "required",
            "tokens",
            "expire",
            "strength",
            "lengths",
            "Password",
            "REQUIRED",
            "accessToken",
            "HttpClientFactory",
            "internationalization",
            "пароль",
            "contraseña",
            "CONTRASEÑA",
            "Überschrift",
            "密码Password",
            "GitHub",
            "XMLHttpRequest",
            "AWSSecretKey",
            "isOAuthEnabled",
            "getUserPassword",
        ] {
            assert!(is_word(word.as_bytes()), "{word}");
        }
    }

    #[test]
    fn random_letters_are_no_words() {
        for letters in [
            "CahFhIoiEkuJcHKm",
            "HSqdztBjNpwWc",
            "rGIvrTJUq",
            "DmtJOhlqeCOcWUMs",
            "JCVIYbDLiRNzbjMe",
            "qzxvkjwpt",
            "AKIABYXFETUWYTPVNONJ",
            "huwKéDOGH",
            "kwéDpxz",
            "abcd1",
            "a-b",
            "",
        ] {
            assert!(!is_word(letters.as_bytes()), "{letters}");
        }
    }
}
