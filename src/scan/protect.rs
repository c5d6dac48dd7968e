//! Values that a route's protocol pack protects: what is found in them stays.
//!
//! A value is protected by where it stands *and* by what it looks like, and only
//! what stands around the finding, at most [`REACH`] bytes to either side, is
//! looked at. So the verdict depends on the bytes alone, not on how they come,
//! and costs something only where there is a finding. What it costs where there
//! is none is the walk that knows where in the document it is, see
//! [`Places`](super::path::Places).
//!
//! Texts read a second time, and texts within base64, are never protected: there
//! nothing looks like a signature any more.

use super::check::{Value, regex};
use super::path::{PathId, Paths, Places};
use super::unit::{Meaning, unit};
use super::{Format, LOOKAHEAD};
use crate::rule::Ruleset;
use crate::rule::protocol::{Protected, Shape};
use regex_automata::meta::Regex;
use std::ops::Range;
use std::sync::Arc;

/// Raw bytes around a finding by which its value is judged.
pub(super) const REACH: usize = 256;
/// No unit of a protected value has more raw bytes: `\u003d`, twice escaped.
const LONGEST_UNIT: usize = 8;
/// Raw bytes in which a data URL says what it holds.
const DATA_URL: usize = 96;
/// A finding that is longer is judged by what stands before it and by itself.
const LONGEST_FINDING: usize = LOOKAHEAD / 2;
/// Characters of base64 that must stand around a finding. A credential by itself
/// is base64 too, as often as not.
const LEAST_AROUND: usize = 32;
/// Of so many characters of base64 one at least is a digit, and one a capital
/// behind a capital: one in six is. Words that are joined by signs or capitals have
/// fewer.
const PER_DIGIT: usize = 24;

/// The protected values of a pack, compiled for one set of rules. Immutable,
/// shared by all bodies.
pub struct Protections {
    paths: Arc<Paths>,
    entries: Vec<Entry>,
}

struct Entry {
    paths: Vec<PathId>,
    shape: Compiled,
    /// By rule index: whether what it finds is kept.
    rules: Vec<bool>,
    reason: String,
}

enum Compiled {
    Base64,
    Whole(Box<Regex>),
    /// The value of this member, in JSON within the string.
    Member(String, Box<Regex>),
}

impl Protections {
    /// `None` where nothing is protected.
    pub fn compile(ruleset: &Ruleset, protected: &[Protected]) -> Option<Arc<Self>> {
        let mut paths = Paths::default();
        let mut entries = Vec::with_capacity(protected.len());
        for one in protected {
            let shape = match &one.shape {
                Shape::Base64 => Compiled::Base64,
                // The pack was read, so it parses. If not: it protects nothing.
                Shape::Pattern(pattern) => {
                    let regex = Box::new(regex(&format!("^(?:{pattern})$")).ok()?);
                    one.member.clone().map_or(Compiled::Whole(regex.clone()), |member| Compiled::Member(member, regex))
                }
            };
            let ids = one.paths.iter().filter_map(|path| paths.add(path).ok()).collect();
            let rules = ruleset.rules.iter().map(|rule| one.is_from(rule.category, &rule.entity)).collect();
            entries.push(Entry { paths: ids, shape, rules, reason: one.reason.clone() });
        }
        (!entries.is_empty()).then(|| Arc::new(Self { paths: Arc::new(paths), entries }))
    }

    /// Why what [`Verdict::Protected`](super::Verdict) names is protected.
    pub fn reason(&self, index: usize) -> Option<&str> {
        self.entries.get(index).map(|entry| entry.reason.as_str())
    }
}

/// Tells of the findings of one body which are protected.
pub(super) struct Guard {
    protections: Arc<Protections>,
    places: Places,
}

impl Guard {
    /// `None` where there are no places: in text.
    pub(super) fn new(protections: Arc<Protections>, format: Format) -> Option<Self> {
        let places = Places::new(&protections.paths, format)?;
        Some(Self { protections, places })
    }

    /// As [`Places::move_on`].
    pub(super) fn move_on(&mut self, raw: &[u8], origin: u64, keep: usize) {
        self.places.move_on(raw, origin, keep);
    }

    /// The index of what protects a value from `rule`, in `raw`, which begins at
    /// `origin` of the body.
    pub(super) fn protects(&mut self, rule: usize, (raw, origin): (&[u8], u64), value: &Value<'_>) -> Option<usize> {
        let entries = &self.protections.entries;
        let is_for = |entry: &Entry| entry.rules.get(rule).copied().unwrap_or(false);
        // Of a value that is too long to be looked at nobody knows how it looks.
        if value.text.is_none() || !entries.iter().any(is_for) {
            return None;
        }
        let mark = self.places.mark(raw, origin, value.range.start)?;
        // A number, and no name, begins where it is written.
        let number = (mark.begin == origin + value.range.start as u64).then(|| number(raw, &value.range)).flatten();
        if !mark.text && number.is_none() {
            return None;
        }
        let leads = |entry: &Entry| entry.paths.iter().any(|&path| mark.states.leads(path));
        let mut around = None;
        entries.iter().position(|entry| {
            if !is_for(entry) || !leads(entry) {
                return false;
            }
            if let Some(number) = number {
                return matches!(&entry.shape, Compiled::Whole(regex) if regex.is_match(number));
            }
            let around = around.get_or_insert_with(|| Around::of(raw, origin, mark.begin + 1, value));
            match &entry.shape {
                Compiled::Base64 => around.is_base64(raw),
                Compiled::Whole(regex) => around.whole(raw).is_some_and(|text| regex.is_match(&text)),
                Compiled::Member(name, regex) => around.value_of(raw, name).is_some_and(|text| regex.is_match(&text)),
            }
        })
    }
}

/// The finding at `range` of `raw`, if it is all of a number in digits.
fn number<'a>(raw: &'a [u8], range: &Range<usize>) -> Option<&'a [u8]> {
    let goes_on = raw.get(range.end).is_some_and(|byte| byte.is_ascii_alphanumeric() || b".+-\"\\".contains(byte));
    raw.get(range.clone()).filter(|found| !goes_on && found.iter().all(u8::is_ascii_digit))
}

/// What of a string is seen around a finding.
struct Around {
    seen: Range<usize>,
    finding: Range<usize>,
    /// Whether the string begins and ends with what is seen.
    begins: bool,
    ends: bool,
}

impl Around {
    /// `content` is where the string begins, behind its quote, in bytes of the body.
    fn of(raw: &[u8], origin: u64, content: u64, value: &Value<'_>) -> Self {
        let finding = value.range.clone();
        let from = content.max((origin + finding.start as u64).saturating_sub(REACH as u64));
        let start = usize::try_from(from.saturating_sub(origin)).unwrap_or(finding.start).min(finding.start);
        // So much has come, or the string has ended.
        let limit = (finding.start + LONGEST_FINDING).min(finding.end + REACH).min(raw.len());
        let mut end = finding.end;
        // Escaped quotes belong to it.
        while end < limit && raw[end] != b'"' {
            end += unit(raw, end).len.min(LONGEST_UNIT);
        }
        let ends = raw.get(end).is_none_or(|&byte| byte == b'"');
        Self { seen: start..end.min(raw.len()), finding, begins: from == content, ends }
    }

    /// What all of the string means, if all of it is seen.
    fn whole(&self, raw: &[u8]) -> Option<Vec<u8>> {
        if !self.begins || !self.ends {
            return None;
        }
        let mut text = Vec::with_capacity(self.seen.len());
        let mut at = self.seen.start;
        while at < self.seen.end {
            let unit = unit(raw, at);
            match unit.meaning {
                Meaning::Byte(byte) if unit.len <= LONGEST_UNIT => text.push(byte),
                _ => return None,
            }
            at += unit.len;
        }
        Some(text)
    }

    /// The string around the finding, if it is the value of the member `name` in JSON
    /// within this one.
    fn value_of(&self, raw: &[u8], name: &str) -> Option<Vec<u8>> {
        let before = meaning(raw, self.seen.start..self.finding.start);
        let behind = meaning(raw, self.finding.start..self.seen.end);
        let begin = before.iter().rposition(|&byte| byte == b'"')?;
        let colon = before[..begin].trim_ascii_end().strip_suffix(b":")?;
        let named = colon.trim_ascii_end().strip_suffix(b"\"")?.strip_suffix(name.as_bytes())?;
        let end = behind.iter().position(|&byte| byte == b'"')?;
        named.ends_with(b"\"").then(|| [&before[begin + 1..], &behind[..end]].concat())
    }

    /// Whether all that is seen is base64, and enough of it around the finding.
    fn is_base64(&self, raw: &[u8]) -> bool {
        let mut tally = Tally::default();
        let mut at = self.seen.start;
        if self.begins {
            at += data_url_head(&raw[self.seen.clone()]);
        }
        if at > self.finding.start {
            return false;
        }
        while at < self.seen.end {
            let unit = unit(raw, at);
            let Meaning::Byte(byte) = unit.meaning else { return false };
            if unit.len > LONGEST_UNIT || !tally.add(byte, !self.finding.contains(&at)) {
                return false;
            }
            at += unit.len;
        }
        tally.is_base64(self.ends)
    }
}

/// What `range` of `raw` means, with quotes of all levels as they are.
fn meaning(raw: &[u8], range: Range<usize>) -> Vec<u8> {
    let mut text = Vec::with_capacity(range.len());
    let mut at = range.start;
    while at < range.end {
        let unit = unit(raw, at);
        match unit.meaning {
            Meaning::Byte(byte) => text.push(byte),
            Meaning::Quote(_) => text.push(b'"'),
            Meaning::Char(char) => text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at += unit.len;
    }
    text
}

/// Length of `data:...;base64,`, if a string begins so.
fn data_url_head(text: &[u8]) -> usize {
    const BASE64: &[u8] = b";base64,";
    let head = &text[..text.len().min(DATA_URL)];
    match memchr::memmem::find(head, BASE64) {
        Some(at) if head.starts_with(b"data:") => at + BASE64.len(),
        _ => 0,
    }
}

/// Of so many characters one at most is a sign: one in 32 is, and more in paths.
const PER_SIGN: usize = 8;

/// What was seen of a text that may be base64.
#[derive(Default)]
struct Tally {
    /// Characters outside of the finding.
    around: usize,
    small: usize,
    digits: usize,
    /// `+`, `/`, `-` and `_`.
    signs: usize,
    /// Capitals behind capitals.
    pairs: usize,
    /// The last one is a capital.
    capital: bool,
    /// `+` or `/`, and `-` or `_`: no text has both.
    alphabets: [bool; 2],
    padded: bool,
}

impl Tally {
    /// Whether the text may go on so.
    fn add(&mut self, byte: u8, is_around: bool) -> bool {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => {}
            b'+' | b'/' | b'-' | b'_' => self.alphabets[usize::from(matches!(byte, b'-' | b'_'))] = true,
            b'=' => {
                self.padded = true;
                return true;
            }
            _ => return false,
        }
        if is_around {
            self.around += 1;
            self.small += usize::from(byte.is_ascii_lowercase());
            self.digits += usize::from(byte.is_ascii_digit());
            self.signs += usize::from(!byte.is_ascii_alphanumeric());
            self.pairs += usize::from(self.capital && byte.is_ascii_uppercase());
        }
        self.capital = is_around && byte.is_ascii_uppercase();
        !self.padded && self.alphabets != [true, true]
    }

    fn is_base64(&self, ends: bool) -> bool {
        let least = self.around.div_ceil(PER_DIGIT);
        self.around >= LEAST_AROUND
            && self.signs <= self.around / PER_SIGN
            && [self.small, self.digits, self.pairs].iter().all(|&number| number >= least)
            && (ends || !self.padded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a text is kept of which `finding` is found.
    fn keeps(text: &str, finding: &str) -> bool {
        let raw = format!("\"{text}\"");
        let start = raw.find(finding).unwrap();
        let value = Value::whole(None, start..start + finding.len());
        Around::of(raw.as_bytes(), 0, 1, &value).is_base64(raw.as_bytes())
    }

    const RANDOM: &str = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds";
    const KEY: &str = "AKIAZ3KQ7VT6XR2MB5NW";

    #[test]
    fn a_number_is_all_of_its_digits() {
        let whole = |raw: &str| {
            let start = raw.find('4').unwrap();
            number(raw.as_bytes(), &(start..start + 4)).is_some()
        };
        for raw in ["[4111]", "[4111 , 5]", "{\"a\":4111}", "4111", "[4111\n]"] {
            assert!(whole(raw), "{raw}");
        }
        for raw in ["[41112]", "[4111.0]", "[4111e5]", "\"4111\"", "[4111-1]", "[41-11]"] {
            assert!(!whole(raw), "{raw}");
        }
    }

    #[test]
    fn a_finding_within_base64_is_kept() {
        for text in [
            format!("{RANDOM}/{KEY}+{RANDOM}=="),
            format!("{RANDOM}/{KEY}"),
            format!("{KEY}+{RANDOM}"),
            format!("{RANDOM}_{KEY}-{RANDOM}"),
            format!("{RANDOM}\\/{KEY}+{RANDOM}\\u003d"),
            format!("data:image/png;base64,{RANDOM}/{KEY}+{RANDOM}"),
            format!("{}/{KEY}+{RANDOM}", RANDOM.repeat(40)),
        ] {
            assert!(keeps(&text, KEY), "{text}");
        }
    }

    #[test]
    fn a_finding_in_what_is_no_base64_is_not_kept() {
        for text in [
            KEY.to_owned(),
            format!("{KEY} {RANDOM}"),
            format!("key={KEY}&x={RANDOM}"),
            format!("my-key-is-{KEY}-please-keep-it-secret-and-do-not-tell"),
            format!("MyKeyIs/{KEY}/PleaseKeepItSecretAndDoNotTell123"),
            format!("{RANDOM}-{KEY}+{RANDOM}"),
            format!("{RANDOM}={KEY}+{RANDOM}"),
            format!("{RANDOM}.{KEY}.{RANDOM}"),
            format!("{RANDOM}\\n{KEY}"),
            format!("{RANDOM}\u{e9}{KEY}"),
            format!("data:text/plain,{RANDOM}/{KEY}"),
            format!("data:{KEY};base64,{RANDOM}{RANDOM}"),
        ] {
            assert!(!keeps(&text, KEY), "{text}");
        }
    }

    #[test]
    fn what_is_far_away_does_not_tell() {
        let far = format!("contact bob {}/{KEY}+{} and more", RANDOM.repeat(5), RANDOM.repeat(5));
        assert!(keeps(&far, KEY));
        let near = format!("contact bob {}/{KEY}+{}", RANDOM.repeat(4), RANDOM.repeat(5));
        assert!(!keeps(&near, KEY));
    }

    #[test]
    fn a_member_of_json_within_a_string_has_its_value() {
        let text = r#""[{\"properties\": {\"token\" : \"0123abcd\", \"user_token\": \"0123abcd\", \"a\": \"token 0123abcd\"}}]""#;
        let value_of = |start: usize| {
            let value = Value::whole(None, start..start + 4);
            Around::of(text.as_bytes(), 0, 1, &value).value_of(text.as_bytes(), "token")
        };
        let places: Vec<usize> = text.match_indices("0123abcd").map(|(at, _)| at).collect();
        assert_eq!(value_of(places[0]).as_deref(), Some(&b"0123abcd"[..]));
        assert_eq!(value_of(places[0] + 4).as_deref(), Some(&b"0123abcd"[..]));
        assert_eq!(places[1..].iter().map(|&at| value_of(at)).collect::<Vec<_>>(), [None, None]);
    }

    #[test]
    fn all_of_a_value_is_what_it_means() {
        let raw = br#""ph\u0063_1\/2" "#;
        let value = Value::whole(None, 1..4);
        assert_eq!(Around::of(raw, 0, 1, &value).whole(raw).as_deref(), Some(&b"phc_1/2"[..]));
        let long = format!("\"{}\"", "a".repeat(2 * REACH));
        let value = Value::whole(None, 1..4);
        assert_eq!(Around::of(long.as_bytes(), 0, 1, &value).whole(long.as_bytes()), None);
    }
}
