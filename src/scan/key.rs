//! Member names and the values under them.
//!
//! [`Names`] tells which rule, if any, a member name belongs to. From the
//! name's closing quote on, [`Walk`] reads what follows, unit by unit and
//! across chunk borders, until it is at the value or knows that none follows:
//!
//! ```text
//! "password": "..."                                     a member
//! {\"password\": 1234}                                  nested, a number
//! "api_keys": ["...", "..."]                            an array of values
//! {"key": "db.password", "value": {"stringValue": "..."}}   OTLP, split up
//! {'password': b'...', 'token': "..."}        as Python and JavaScript write it
//! ```
//!
//! Of arrays all values are read, `null` and the like passed over. Objects stay (their members are judged by their own names; JSON Schemas
//! put objects there), so do `true`, `false` and `null`.

use super::delimiter::Delimiter;
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
        let exact = self.exact.get(&folded.bytes).into_iter().flatten().copied();
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
        for rule in exact.chain(suffixes).chain(prefixes) {
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
        let mut texts: Vec<Vec<u8>> =
            ["", "_", "-", ".", " "].iter().map(|by| few(number).join(by).into_bytes()).collect();
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
    fn one(rule: usize) -> Self {
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

/// Whether a byte may stand in a member name that is looked at.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ' | b':' | b'/' | b'$' | b'@' | b'#')
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
        let mut before = b'_';
        for &byte in name {
            if byte.is_ascii_alphanumeric() || !byte.is_ascii() {
                let camel = byte.is_ascii_uppercase() && !before.is_ascii_uppercase();
                if (camel || !before.is_ascii_alphanumeric()) && folded.bytes.len() < 128 {
                    folded.word_starts |= 1 << folded.bytes.len();
                }
                folded.bytes.push(byte.to_ascii_lowercase());
            }
            before = byte;
        }
        folded
    }

    /// Whether a word begins at `index`, or the name ends there.
    fn is_word_start(&self, index: usize) -> bool {
        index == self.bytes.len() || (index < 128 && self.word_starts >> index & 1 == 1)
    }
}

/// Where in the text behind a member name the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Behind the closing quote of the name.
    Name,
    /// Behind a comma: `"value"` may follow.
    Comma,
    /// Behind `"value"` or `"stringValue"`.
    ValueName,
    /// Behind a colon: the value follows. `split` allows an OTLP wrapper.
    Colon { split: bool },
    /// Behind the brace of an OTLP wrapper: `"stringValue"` may follow.
    Wrapper,
    /// Behind a value in an array.
    Element,
    /// Behind `"arrayValue"`: `"values"` and a bracket follow.
    List,
    /// In an OTLP array: the brace of a wrapper follows.
    Item,
}

/// Reads from a member name to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// The key rules.
    pub(crate) rules: Claimants,
    /// What the name stands between.
    pub(crate) quote: Delimiter,
    /// Where the name begins, in bytes of the body.
    pub(crate) begins: u64,
    /// What the last value that is a string stands between.
    pub(crate) value: Delimiter,
    stage: Stage,
    /// Arrays around the value.
    depth: u8,
    /// Within an OTLP array, whose elements have wrappers.
    list: bool,
}

/// What a [`Walk`] came to; places are relative to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The data ends at or behind this place, from where to go on.
    More(usize),
    /// No (further) value: go on scanning here.
    Over(usize),
    /// A string whose content begins here.
    Text(usize),
    /// A number begins here.
    Number(usize),
}

impl Walk {
    /// A walk that begins behind the closing quote of a name.
    pub(crate) fn new(rules: Claimants, quote: Delimiter, begins: u64) -> Self {
        Self { rules, quote, begins, value: quote, stage: Stage::Name, depth: 0, list: false }
    }

    /// Whether the values of an array are being read.
    pub(crate) fn in_array(&self) -> bool {
        self.depth > 0
    }

    /// Reads on from `at`. `last` tells that nothing follows `raw`.
    pub(crate) fn advance(&mut self, raw: &[u8], at: usize, last: bool) -> Step {
        let mut at = at;
        loop {
            let Some(unit) = whole_unit(raw, at, last) else {
                return if last && at >= raw.len() { Step::Over(at) } else { Step::More(at) };
            };
            let after = at + unit.len;
            if unit.is_space() {
                at = after;
                continue;
            }
            let quote = Delimiter::of(unit, raw, at);
            match (self.stage, unit.meaning) {
                (Stage::Name | Stage::ValueName, Meaning::Byte(b':')) => {
                    self.stage = Stage::Colon { split: self.stage == Stage::ValueName && self.depth == 0 };
                }
                (Stage::Name, Meaning::Byte(b',')) => self.stage = Stage::Comma,
                (Stage::Comma | Stage::Wrapper | Stage::List, _) if quote == Some(self.quote) => {
                    match self.value_name(raw, after, last) {
                        Named::Yes(behind) => {
                            at = behind;
                            continue;
                        }
                        Named::No => return Step::Over(at),
                        Named::More => return Step::More(at),
                    }
                }
                (Stage::Colon { .. }, _) if quote.is_some_and(|quote| self.may_open(quote)) => {
                    self.value = quote.unwrap_or(self.quote);
                    self.stage = Stage::Element;
                    return Step::Text(after);
                }
                // `b'...'`, `u'...'`
                (Stage::Colon { .. }, Meaning::Byte(b'b' | b'u' | b'r' | b'f')) if before_quote(raw, after, last) => {
                    if after >= raw.len() {
                        return Step::More(at);
                    }
                }
                (Stage::Colon { .. }, Meaning::Byte(b'-' | b'0'..=b'9')) if !unit.escaped => {
                    self.stage = Stage::Element;
                    return Step::Number(at);
                }
                (Stage::Colon { split: true }, Meaning::Byte(b'{')) => self.stage = Stage::Wrapper,
                (Stage::Colon { .. }, Meaning::Byte(b'[' | b'(')) if self.depth < u8::MAX => {
                    self.depth += 1;
                    self.stage = Stage::Colon { split: false };
                }
                (Stage::Colon { .. }, Meaning::Byte(b'a'..=b'z' | b'N' | b'T' | b'F')) if self.depth > 0 => {
                    // `null`, `true` and `false` between others.
                    match whole_word(&raw[at..], last) {
                        Word::Is(length) => {
                            at += length;
                            continue;
                        }
                        Word::Cut => return Step::More(at),
                        Word::Other => return Step::Over(at),
                    }
                }
                (Stage::Colon { .. }, Meaning::Byte(b',')) if self.depth > 0 => {}
                (Stage::Colon { .. } | Stage::Element, Meaning::Byte(b']' | b')')) if self.depth > 1 => {
                    self.depth -= 1;
                    self.stage = Stage::Element;
                }
                (Stage::Element, Meaning::Byte(b',')) if self.depth > 0 => {
                    self.stage = if self.list { Stage::Item } else { Stage::Colon { split: false } };
                }
                (Stage::Element, Meaning::Byte(b'}')) if self.list => {}
                (Stage::List, Meaning::Byte(b':' | b'{')) => {}
                (Stage::List, Meaning::Byte(b'[')) => {
                    (self.depth, self.list, self.stage) = (1, true, Stage::Item);
                }
                (Stage::Item, Meaning::Byte(b'{')) => self.stage = Stage::Wrapper,
                _ => return Step::Over(at),
            }
            at = after;
        }
    }

    /// Whether a value may begin with `quote`: the kind that the name stands
    /// between, or, as Python chooses what need not be escaped, the other.
    fn may_open(&self, quote: Delimiter) -> bool {
        match (self.quote, quote) {
            (Delimiter::Double(_), Delimiter::Single(_)) | (Delimiter::Single(_), Delimiter::Double(_)) => true,
            (name, value) => name == value,
        }
    }

    /// Whether what follows is the name of a split member's value and its
    /// closing quote.
    fn value_name(&mut self, raw: &[u8], at: usize, last: bool) -> Named {
        let wanted: &[&[u8]] = match self.stage {
            Stage::Wrapper => &[
                b"stringValue",
                b"string_value",
                b"intValue",
                b"int_value",
                b"bytesValue",
                b"doubleValue",
                b"arrayValue",
                b"array_value",
            ],
            Stage::List => &[b"values"],
            _ => &[b"value", b"Value", b"val"],
        };
        let mut text = Vec::with_capacity(16);
        let mut at = at;
        while text.len() <= 12 {
            let Some(unit) = whole_unit(raw, at, last) else {
                return if last { Named::No } else { Named::More };
            };
            let place = at;
            at += unit.len;
            match unit.meaning {
                _ if Delimiter::of(unit, raw, place) == Some(self.quote) && wanted.contains(&text.as_slice()) => {
                    self.stage = match self.stage {
                        Stage::Wrapper if !text.starts_with(b"array") => Stage::Name,
                        // One array only.
                        Stage::Wrapper if self.list => return Named::No,
                        Stage::Wrapper | Stage::List => Stage::List,
                        _ => Stage::ValueName,
                    };
                    return Named::Yes(at);
                }
                Meaning::Byte(byte) => text.push(byte),
                _ => return Named::No,
            }
        }
        Named::No
    }
}

enum Named {
    Yes(usize),
    No,
    More,
}

/// Whether a quote may stand at `at`, or its data is still to come.
fn before_quote(raw: &[u8], at: usize, last: bool) -> bool {
    raw.get(at).map_or(!last, |byte| matches!(byte, b'"' | b'\'' | b'\\'))
}

enum Word {
    /// It has this length.
    Is(usize),
    Other,
    /// More data tells.
    Cut,
}

/// Whether `raw` begins with one of the words of JSON or Python.
fn whole_word(raw: &[u8], last: bool) -> Word {
    for word in [&b"null"[..], b"true", b"false", b"None", b"True", b"False"] {
        if raw.starts_with(word) {
            return Word::Is(word.len());
        }
        if !last && word.starts_with(raw) {
            return Word::Cut;
        }
    }
    Word::Other
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
    fn all_rules_that_claim_a_name_are_asked_in_the_order_of_their_ranks() {
        assert_eq!(claimants("password_db_password", |_| 0), [2, 3]);
        assert_eq!(claimants("password_db_password", |rule| 9 - rule), [3, 2]);
        let mut many = Claimants::one(7);
        for rule in [9, 3, 7, 11, 5, 12, 1, 13, 2, 14] {
            many.add(rule, |rule| (rule % 2 == 0, rule));
        }
        assert_eq!(many.iter().collect::<Vec<_>>(), [1, 3, 5, 7, 9, 11, 13, 2]);
    }

    /// Walks over `raw` from behind its first `|`.
    fn walk(raw: &str, level: u32) -> (Step, String) {
        let at = raw.find('|').unwrap();
        let raw = raw.replacen('|', "", 1);
        let step = Walk::new(Claimants::one(0), Delimiter::Double(level), 0).advance(raw.as_bytes(), at, true);
        let place = match step {
            Step::More(at) | Step::Over(at) | Step::Text(at) | Step::Number(at) => at,
        };
        (step, raw[place..].to_owned())
    }

    #[test]
    fn the_value_is_reached_at_every_level_and_spelling() {
        for (raw, level, rest) in [
            (r#""p"| : "v""#, 0, "v\""),
            (r#"{\"p\"|:\n \"v\"}"#, 1, r#"v\"}"#),
            (r#"{"key":"p"|,"value":{"stringValue":"v"}}"#, 0, "v\"}}"),
            (r#"{"key":"p"|, "value": "v"}"#, 0, "v\"}"),
            (r#""p"|: ["v"]"#, 0, "v\"]"),
            (r#""p"|: [null, [], [true, "v"]]"#, 0, "v\"]]"),
            (r#"{"key":"p"|,"value":{"arrayValue":{"values":[{"stringValue":"v"}]}}}"#, 0, "v\"}]}}}"),
        ] {
            let (step, found) = walk(raw, level);
            assert!(matches!(step, Step::Text(_)), "{raw}: {step:?}");
            assert_eq!(found, rest, "{raw}");
        }
        assert!(matches!(walk(r#""p"|: -12"#, 0), (Step::Number(_), rest) if rest == "-12"));
    }

    #[test]
    fn all_values_of_an_array_are_reached() {
        for raw in [
            r#""p": ["v", null, "v"], "q""#,
            r#""p": [["v"], ["v"]], "q""#,
            r#""p","value":{"arrayValue":{"values":[{"stringValue":"v"},{"stringValue":"v"}]}}, "q""#,
        ] {
            let mut walk = Walk::new(Claimants::one(0), Delimiter::Double(0), 0);
            let (mut at, mut found) = (3, 0);
            while let Step::Text(start) = walk.advance(raw.as_bytes(), at, true) {
                assert!(raw[start..].starts_with('v'), "{raw}");
                found += 1;
                at = start + 2;
            }
            assert_eq!(found, 2, "{raw}");
        }
    }

    #[test]
    fn what_is_no_value_ends_the_walk() {
        for raw in [r#""p"|: null"#, r#""p"|: {"a": 1}"#, r#""p"|, "q""#, r#""p"|]"#, r#""p"|: \"x\""#, r#""p"|"#] {
            assert!(matches!(walk(raw, 0).0, Step::Over(_)), "{raw}");
        }
    }

    #[test]
    fn a_walk_cut_anywhere_comes_to_the_same() {
        let raw = br#"{\"key\":\"p\" , \"value\" : { \"stringValue\"\n: \"v\"}}"#;
        let start = 14;
        let mut whole = Walk::new(Claimants::one(0), Delimiter::Double(1), 0);
        let expected = whole.advance(raw, start, true);
        assert!(matches!(expected, Step::Text(_)));
        for cut in start..raw.len() {
            let mut walk = Walk::new(Claimants::one(0), Delimiter::Double(1), 0);
            let step = walk.advance(&raw[..cut], start, false);
            let step = if let Step::More(at) = step { walk.advance(raw, at, true) } else { step };
            assert_eq!(step, expected, "cut at {cut}");
        }
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
