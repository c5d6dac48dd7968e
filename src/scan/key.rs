//! Member names, by the rule they belong to; and the ends of what stands under
//! them. [`walk`](super::walk) reads from a name to its value.

use super::unit::{LONGEST_RUN, Meaning, Unit, unit};
use std::collections::HashMap;

/// The longest member name that is looked at, in characters.
pub(crate) const LONGEST_NAME: usize = 64;

/// Member names by the rule they belong to.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Folded names.
    exact: HashMap<Vec<u8>, Vec<usize>>,
    /// Folded last words, with the rule.
    suffixes: Vec<(Vec<u8>, usize)>,
    /// Folded first words, with the rule.
    prefixes: Vec<(Vec<u8>, usize)>,
}

impl Names {
    /// Adds a name such as `api_key`, `*_password` or `password_*`.
    pub(crate) fn add(&mut self, name: &str, rule: usize) {
        let folded = Folded::of(name.trim_matches('*').as_bytes()).bytes;
        if name.starts_with('*') {
            self.suffixes.push((folded, rule));
        } else if name.ends_with('*') {
            self.prefixes.push((folded, rule));
        } else {
            self.exact.entry(folded).or_default().push(rule);
        }
    }

    /// The rules that claim `name`, those of a lower `rank` first.
    pub(crate) fn claimants<R: Ord>(&self, name: &[u8], rank: impl Fn(usize) -> R) -> Option<Claimants> {
        let folded = Folded::of(name);
        let exact = |folded: &[u8]| self.exact.get(folded).into_iter().flatten().copied();
        let last = member(name).map(|member| Folded::of(member).bytes).unwrap_or_default();
        let suffixes = self
            .suffixes
            .iter()
            .filter(|(words, _)| {
                folded.bytes.ends_with(words) && folded.is_word_start(folded.bytes.len() - words.len())
            })
            .map(|&(_, rule)| rule);
        let prefixes = self
            .prefixes
            .iter()
            .filter(|(words, _)| folded.bytes.starts_with(words) && folded.is_word_start(words.len()))
            .map(|&(_, rule)| rule);
        let mut claimants: Option<Claimants> = None;
        for rule in exact(&folded.bytes).chain(exact(&last)).chain(suffixes).chain(prefixes) {
            match &mut claimants {
                Some(claimants) => claimants.add(rule, &rank),
                None => claimants = Some(Claimants::one(rule)),
            }
        }
        claimants
    }

    /// What the literal database looks for to find `name`, in lower case.
    pub(crate) fn spellings(name: &str) -> Vec<Spelling> {
        let words: Vec<&str> = name.trim_matches('*').split('_').filter(|word| !word.is_empty()).collect();
        let is_head = name.ends_with('*') && !name.starts_with('*');
        let few = |number: usize| if is_head { &words[..number] } else { &words[words.len() - number..] };
        let letters = |number: &usize| few(*number).iter().map(|word| word.len()).sum::<usize>();
        let number = (1..words.len()).find(|number| letters(number) >= RARE).unwrap_or(words.len());
        let spelled = ["", "_", "-", ".", " "].map(|by| few(number).join(by));
        let mut texts: Vec<Vec<u8>> = spelled.iter().flat_map(|text| in_all_cases(text)).collect();
        texts.sort();
        texts.dedup();
        texts.into_iter().map(|text| Spelling { text, is_head }).collect()
    }
}

/// The rules that claim one name, in the order in which they are asked. Of more
/// than [`MOST_CLAIMANTS`] the last ones are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimants {
    rules: [usize; MOST_CLAIMANTS],
    number: usize,
}

/// Rules that are asked about one name.
const MOST_CLAIMANTS: usize = 8;

impl Claimants {
    pub(super) fn one(rule: usize) -> Self {
        Self { rules: [rule; MOST_CLAIMANTS], number: 1 }
    }

    fn add<R: Ord>(&mut self, rule: usize, rank: impl Fn(usize) -> R) {
        if self.iter().any(|known| known == rule) {
            return;
        }
        let at = self.iter().take_while(|&known| rank(known) <= rank(rule)).count();
        if at < MOST_CLAIMANTS {
            self.number = MOST_CLAIMANTS.min(self.number + 1);
            self.rules[at..self.number].rotate_right(1);
            self.rules[at] = rule;
        }
    }

    /// The one that is asked first.
    pub(crate) fn first(&self) -> usize {
        self.rules[0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        self.rules.into_iter().take(self.number)
    }
}

/// A name's words are looked for until they have so many letters: `key` alone
/// is everywhere.
const RARE: usize = 3;

/// The last words of a member name, or the first ones, one way to write them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spelling {
    text: Vec<u8>,
    /// Names begin with it; else they end with it.
    is_head: bool,
}

impl Spelling {
    /// The literals that stand in the raw bytes of every name spelled so: a
    /// name's last word has a quote behind it, with backslashes or without.
    pub(crate) fn literals(&self) -> Vec<Vec<u8>> {
        match self.is_head {
            true => vec![self.text.clone()],
            false => [b"\"", b"\\", b"'"].map(|quote| [&self.text[..], quote].concat()).to_vec(),
        }
    }

    /// Whether names begin with it, not end.
    pub(crate) fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether all of a rule's `name` is spelled so.
    pub(crate) fn fits_all_of(&self, name: &str) -> bool {
        let letters = |text: &[u8]| Folded::of(text).bytes;
        letters(&self.text) == letters(name.trim_matches('*').as_bytes())
    }

    /// Whether `name`, in lower case, is spelled so.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        if self.is_head { name.starts_with(&self.text) } else { name.ends_with(&self.text) }
    }
}

/// `text`, in lower case, as the database looks for it: the library ignores the case of
/// ASCII only, so words in other letters stand there with a capital, and in capitals, too.
fn in_all_cases(text: &str) -> Vec<Vec<u8>> {
    let mut letters = text.chars();
    let first = letters.next().map_or_else(String::new, |first| first.to_uppercase().collect());
    let capital = format!("{first}{}", letters.as_str());
    let all = [text.to_owned(), capital, text.to_uppercase()];
    // The capitals of some letters are others of ASCII: `ß`, `SS`.
    all.map(|text| text.into_bytes()).into_iter().map(|text| text.to_ascii_lowercase()).collect()
}

/// Whether a unit may stand in a member name that is looked at.
pub(crate) fn is_in_name(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Char(_)) || matches!(meaning, Meaning::Byte(byte) if is_name_byte(byte))
}

/// Whether a byte may stand in a member name that is looked at.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || !byte.is_ascii()
        || matches!(byte, b'_' | b'-' | b'.' | b' ' | b':' | b'/' | b'$' | b'@' | b'#')
}

/// Whether it is a part of a word, not between two. Marks belong to the letters of many
/// scripts.
fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || !letter.is_ascii()
}

/// Whether a letter may begin a word wherever it stands: Chinese, Japanese and Korean
/// have no spaces, or few.
fn is_word(letter: char) -> bool {
    letter >= '\u{2e80}'
}

/// What a path with dots leads to: `token` of `metadata.token`.
fn member(name: &[u8]) -> Option<&[u8]> {
    memchr::memrchr(b'.', name).and_then(|dot| name.get(dot + 1..)).filter(|member| !member.is_empty())
}

/// A name in lower case without separators, and where its words begin.
struct Folded {
    bytes: Vec<u8>,
    /// Bit per byte of `bytes` (names are at most [`LONGEST_NAME`] long).
    word_starts: u128,
}

impl Folded {
    fn of(name: &[u8]) -> Self {
        let mut folded = Self { bytes: Vec::with_capacity(name.len()), word_starts: 1 };
        let mut before = '_';
        for letter in name.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
            if is_letter(letter) {
                let camel = letter.is_uppercase() && !before.is_uppercase();
                if (camel || !is_letter(before) || is_word(letter)) && folded.bytes.len() < 128 {
                    folded.word_starts |= 1 << folded.bytes.len();
                }
                folded.push(letter);
            }
            before = letter;
        }
        folded
    }

    fn push(&mut self, letter: char) {
        if letter.is_ascii() {
            return self.bytes.push(letter.to_ascii_lowercase() as u8);
        }
        // A sigma at the end of a word has a form of its own.
        let lower = letter.to_lowercase().map(|lower| if lower == 'ς' { 'σ' } else { lower });
        self.bytes.extend(lower.collect::<String>().bytes());
    }

    /// Whether a word begins at `index`, or the name ends there.
    fn is_word_start(&self, index: usize) -> bool {
        index == self.bytes.len() || (index < 128 && self.word_starts >> index & 1 == 1)
    }
}

/// The unit at `at`, or `None` where more data could make it another one, or
/// the data ends. `last` tells that nothing follows.
pub(crate) fn whole_unit(raw: &[u8], at: usize, last: bool) -> Option<Unit> {
    let byte = *raw.get(at)?;
    if last || !matches!(byte, b'\\' | b'%') {
        return Some(unit(raw, at));
    }
    let window = &raw[at..raw.len().min(at + LONGEST_RUN)];
    let run = window.iter().take_while(|&&byte| byte == b'\\').count();
    if run >= LONGEST_RUN {
        // Half a power of two more or less does not change a quote's level.
        return Some(Unit { meaning: Meaning::Byte(b'\\'), len: LONGEST_RUN / 2, escaped: true });
    }
    let longest = match window.get(run) {
        None => return None,
        Some(b'u') if window.get(run + 1) == Some(&b'{') => run + 10,
        Some(b'u') => 2 * (run + 5),
        Some(b'U') => run + 9,
        Some(b'x') => run + 3,
        Some(b'%') if run == 0 => 11,
        Some(_) => run + 1,
    };
    (raw.len() - at >= longest).then(|| unit(raw, at))
}

/// The end of a string's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The content ends here.
    At(usize),
    /// Not in this data: go on here.
    More(usize),
}

/// The end of a JSON number that begins at `at`.
pub(crate) fn number_end(raw: &[u8], at: usize, last: bool) -> End {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    match raw[at..].iter().position(|byte| !is_part(byte)) {
        Some(length) => End::At(at + length),
        None if last => End::At(raw.len()),
        None => End::More(raw.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        names.add("api_key", 1);
        names.add("*_password", 2);
        names.add("password_*", 3);
        names
    }

    fn claimants(name: &str, rank: impl Fn(usize) -> usize) -> Vec<usize> {
        names().claimants(name.as_bytes(), rank).iter().flat_map(Claimants::iter).collect()
    }

    #[test]
    fn case_and_separators_do_not_count() {
        for name in ["api_key", "apiKey", "API-KEY", "Api Key", "apikey", "api.key"] {
            assert_eq!(claimants(name, |_| 0), [1], "{name}");
        }
        for name in ["db_password", "dbPassword", "metadata.db.password", "DB_PASSWORD"] {
            assert_eq!(claimants(name, |_| 0), [2], "{name}");
        }
        assert_eq!(claimants("passwordHash", |_| 0), [3]);
        for name in ["api_keys", "my_api_key", "nopasswordx", "passwords", "key"] {
            assert_eq!(claimants(name, |_| 0), [0; 0], "{name}");
        }
    }

    #[test]
    fn of_a_path_with_dots_the_last_name_counts_alone() {
        for name in ["user.api_key", "a.b.apiKey", "user.API-KEY", "..api_key"] {
            assert_eq!(claimants(name, |_| 0), [1], "{name}");
        }
        for name in ["api_key.name", "my api_key", "user/api_key", "user.my_api_key", "."] {
            assert_eq!(claimants(name, |_| 0), [0; 0], "{name}");
        }
    }

    #[test]
    fn names_are_words_of_any_script() {
        let mut names = Names::default();
        for (rule, name) in ["*_пароль", "contraseña", "*_密码", "κωδικός", "पासवर्ड"].into_iter().enumerate()
        {
            names.add(name, rule);
        }
        let claims = |name: &str| names.claimants(name.as_bytes(), |_| 0).map(|claimants| claimants.first());
        for (name, rule) in [
            ("пароль", 0),
            ("ПАРОЛЬ", 0),
            ("dbПароль", 0),
            ("db_пароль", 0),
            ("Новый пароль", 0),
            ("Contraseña", 1),
            ("CONTRASEÑA", 1),
            ("密码", 2),
            ("用户密码", 2),
            ("ΚΩΔΙΚΌΣ", 3),
            ("पासवर्ड", 4),
        ] {
            assert_eq!(claims(name), Some(rule), "{name}");
        }
        for name in ["автопароль", "contrasena", "密码学", "пароли", "micontraseña"] {
            assert_eq!(claims(name), None, "{name}");
        }
        let texts = |name| Names::spellings(name).into_iter().map(|spelling| spelling.text).collect::<Vec<_>>();
        assert_eq!(texts("*_пароль"), ["ПАРОЛЬ", "Пароль", "пароль"].map(|text| text.as_bytes().to_vec()));
    }

    #[test]
    fn all_rules_that_claim_a_name_are_asked_in_the_order_of_their_ranks() {
        assert_eq!(claimants("password_db_password", |_| 0), [2, 3]);
        assert_eq!(claimants("password_db_password", |rule| 9 - rule), [3, 2]);
        let mut many = Claimants::one(7);
        for rule in [9, 3, 7, 11, 5, 12, 1, 13, 2, 14] {
            many.add(rule, |rule| (rule % 2 == 0, rule));
        }
        assert_eq!(many.iter().collect::<Vec<_>>(), [1, 3, 5, 7, 9, 11, 13, 2]);
    }

    #[test]
    fn long_runs_of_backslashes_keep_their_level() {
        let raw = [vec![b'\\'; 5000], b"\" x".to_vec()].concat();
        let mut at = 0;
        while at < raw.len() {
            let unit = whole_unit(&raw, at, false).unwrap();
            if let Meaning::Quote(level) = unit.meaning {
                assert_eq!((at, level), (5000, 0));
                return;
            }
            at += unit.len;
        }
        panic!("no quote");
    }
}
