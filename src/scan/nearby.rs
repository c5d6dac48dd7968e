//! Keywords near a match: `call 0044...` is a phone number, `id 0044...` none.
//!
//! A keyword is looked for when a match asks for it, in the bytes right before
//! the match, and not by the literal database: words such as `key` or `net`
//! stand everywhere, while few matches ask. What was seen is kept, since where
//! one match asks others do: [`Sightings`].

use super::Format;
use super::labels::Labels;
use super::window::{Window, sync};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::OnceLock;

/// Raw bytes for each letter of a keyword that is written with escapes.
const LONGEST_LETTER: usize = 12;
/// Raw bytes in which the beginning of a unit is surely found.
const SYNC: usize = 64;

/// The bytes before the data of a scan, as far as keywords may stand there.
#[derive(Debug, Default)]
pub(super) struct Context {
    bytes: VecDeque<u8>,
    /// Nothing came before them.
    is_start: bool,
}

impl Context {
    /// The context of a body's first byte.
    pub(super) fn at_start() -> Self {
        Self { bytes: VecDeque::new(), is_start: true }
    }

    /// `gone` is no longer part of the data; `reach` bytes of it are kept.
    pub(super) fn push(&mut self, gone: &[u8], reach: usize) {
        let fresh = &gone[gone.len().saturating_sub(reach)..];
        self.is_start &= self.bytes.len() + gone.len() <= reach;
        let surplus = (self.bytes.len() + fresh.len()).saturating_sub(reach).min(self.bytes.len());
        self.bytes.drain(..surplus);
        self.bytes.extend(fresh);
    }

    /// The last `most` bytes of them.
    pub(super) fn last(&self, most: usize) -> impl Iterator<Item = u8> + '_ {
        self.bytes.iter().skip(self.bytes.len().saturating_sub(most)).copied()
    }
}

/// The keywords of all rules.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    /// Numbers of the words, which are in lower case.
    numbers: BTreeMap<Vec<u8>, usize>,
    compiled: OnceLock<Option<Words>>,
    /// What finds any of the words of a rule, for each list that rules have.
    lists: BTreeMap<Vec<usize>, usize>,
    any: Vec<OnceLock<Option<AhoCorasick>>>,
    /// What is written in place of values: words in these are none.
    pub(super) labels: Labels,
    /// The raw bytes before a match that any rule may ask about.
    pub(super) reach: usize,
}

/// Words to look for all at once.
#[derive(Debug)]
struct Words {
    /// Whose patterns are the numbers.
    automaton: AhoCorasick,
    /// By number.
    list: Vec<Vec<u8>>,
    longest: usize,
}

impl Vocabulary {
    fn number(&mut self, word: &[u8]) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(word.to_vec()).or_insert(next)
    }

    fn list(&mut self, numbers: &[usize]) -> usize {
        let next = self.any.len();
        let list = *self.lists.entry(numbers.to_vec()).or_insert(next);
        if list == next {
            self.any.push(OnceLock::new());
        }
        list
    }

    /// Gives back the memory of what was made for the text seen so far.
    pub(super) fn cool(&mut self) {
        self.compiled.take();
        self.any.iter_mut().for_each(|any| *any = OnceLock::new());
    }

    fn words(&self) -> Option<&Words> {
        self.compiled.get_or_init(|| self.compile()).as_ref()
    }

    fn compile(&self) -> Option<Words> {
        let mut list = vec![Vec::new(); self.numbers.len()];
        for (word, &number) in &self.numbers {
            list[number].clone_from(word);
        }
        let automaton = automaton(&list, AhoCorasickKind::ContiguousNFA)?;
        let longest = list.iter().map(Vec::len).max().unwrap_or(0);
        Some(Words { automaton, list, longest })
    }
}

impl Words {
    /// The words, whole ones, that begin with `letter` and go on as `text` does:
    /// their numbers and how much of the text they take.
    fn at_letter<'a>(&'a self, letter: u8, text: &'a [u8]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let words = self.list.iter().enumerate().filter(move |(_, word)| word.first() == Some(&letter));
        words.filter_map(move |(number, word)| {
            let rest = word.len() - 1;
            let found = text.get(..rest).filter(|found| found.eq_ignore_ascii_case(&word[1..]))?;
            ends_word(*found.last().unwrap_or(&letter), text.get(rest)).then_some((number, rest))
        })
    }
}

/// The keywords seen in a stretch of the data of one scan.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    scan: u64,
    /// The text of the stretch.
    window: Window,
    /// The raw bytes that it stands for.
    range: Range<usize>,
    /// All keywords that end up to this index of the text have been seen.
    looked: usize,
    /// In the order of their ends.
    seen: Vec<Sighting>,
    /// For sorting.
    fresh: Vec<Sighting>,
    /// By list of words: where a quick look has been.
    stretches: Vec<Stretch>,
}

/// Bytes of the data of one scan in which a list's words were looked for, so that
/// dense anchors do not look at the same bytes again and again.
#[derive(Clone, Debug, Default)]
struct Stretch {
    scan: u64,
    seen: Range<usize>,
    /// The end of the last word among them.
    last: Option<usize>,
}

impl Stretch {
    /// Whether a word that `any` finds, of `longest` bytes at most, may stand in
    /// `range` of `data`. It does when it ends there.
    fn may_hold(&mut self, (any, longest): (&AhoCorasick, usize), data: &[u8], range: Range<usize>, scan: u64) -> bool {
        let goes_on = self.scan == scan && (self.seen.start..=self.seen.end).contains(&range.start);
        if !goes_on {
            *self = Self { scan, seen: range.start..range.start, last: None };
        }
        if range.end > self.seen.end {
            let from = self.seen.end.saturating_sub(longest).max(self.seen.start);
            let ends = any.find_overlapping_iter(&data[from..range.end]).map(|found| from + found.end());
            self.last = ends.last().or(self.last);
            self.seen.end = range.end;
        }
        self.last.is_some_and(|end| end > range.start)
    }
}

/// A keyword that is a word of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sighting {
    end: usize,
    start: usize,
    number: usize,
}

/// At most so many raw bytes stand between a value and the word that says that it is
/// something else: quotes and a colon, also of JSON within JSON.
pub(super) const UNLESS: usize = 12;

/// Longer stretches are not kept.
const LONGEST: usize = 16 << 10;

impl Sightings {
    /// Where the nearest of `wanted` begins that stands before `place` of `data`,
    /// which `context` precedes, as a word of its own, with `proximity` raw bytes
    /// in between at most; `place` where it stands in the context. The data of one
    /// `scan` is the same in all calls.
    pub(super) fn stand_before(
        &mut self,
        (vocabulary, wanted): (&Vocabulary, &Keywords),
        proximity: usize,
        data: (&Context, &[u8]),
        place: usize,
        now: (u64, Format),
    ) -> Option<usize> {
        // Without the automaton nothing can be told, and nothing may leak.
        let Some(words) = vocabulary.words() else { return Some(place) };
        self.last_before((vocabulary, words), wanted, proximity, data, place, now).map(|(start, _)| start)
    }

    /// Whether one of `wanted` may stand before a value that begins at most `lead` bytes
    /// before `anchor` of `data`, or behind it: a quick look. As
    /// [`Sightings::stand_before`] otherwise.
    pub(super) fn may_stand_before(
        &mut self,
        (vocabulary, wanted): (&Vocabulary, &Keywords),
        proximity: usize,
        (data, scan): (&[u8], u64),
        (anchor, lead): (usize, usize),
    ) -> bool {
        let all = anchor >= wanted.reach(proximity) + lead;
        // With escapes, what the value begins with would be longer.
        let plain = |before: &[u8]| memchr::memchr2(b'\\', b'%', before).is_none();
        !all || !plain(&data[anchor - lead..anchor])
            || self.may_stand((vocabulary, wanted), (&data[..anchor], scan), proximity + lead)
    }

    /// Whether one of `wanted` stands before `place` with at most [`UNLESS`] raw bytes
    /// in between, of which none is a letter or a digit. As
    /// [`Sightings::stand_before`] otherwise.
    pub(super) fn stand_right_before(
        &mut self,
        (vocabulary, wanted): (&Vocabulary, &Keywords),
        data: (&Context, &[u8]),
        place: usize,
        now: (u64, Format),
    ) -> bool {
        // Without the automaton nothing can be told, and nothing may leak.
        let Some(words) = vocabulary.words() else { return false };
        let last = self.last_before((vocabulary, words), wanted, UNLESS, data, place, now);
        last.is_some_and(|(_, is_right_before)| is_right_before)
    }

    /// Where the nearest begins, and whether neither letter nor digit stands between it
    /// and `place`.
    fn last_before(
        &mut self,
        (vocabulary, words): (&Vocabulary, &Words),
        wanted: &Keywords,
        proximity: usize,
        (context, data): (&Context, &[u8]),
        place: usize,
        (scan, format): (u64, Format),
    ) -> Option<(usize, bool)> {
        let told = |raw: &[u8], seen: &Sighting, place| {
            (seen.start, !raw[seen.end..place].iter().any(u8::is_ascii_alphanumeric))
        };
        let reach = wanted.reach(proximity);
        let missing = reach.saturating_sub(place).min(context.bytes.len());
        if missing == 0 {
            if !self.may_stand((vocabulary, wanted), (&data[..place], scan), proximity) {
                return None;
            }
            let from = place.saturating_sub(reach);
            // Further on, looking at what lies between costs more than a new beginning.
            let goes_on = self.scan == scan && self.range.start <= from && place <= self.range.end + reach;
            if !goes_on || self.range.len() > LONGEST {
                self.begin(scan, if from == 0 { 0 } else { sync(data, from, place) });
            }
            self.look(words, data, place, format);
            let data = (&vocabulary.labels, data);
            return self.nearest(words, wanted, proximity, data, place).map(|seen| told(data.1, seen, place));
        }
        let mut raw: Vec<u8> = context.bytes.iter().skip(context.bytes.len() - missing).copied().collect();
        raw.extend_from_slice(&data[..data.len().min(place + SYNC)]);
        let (asked, place) = (place, missing + place);
        let mut across = Self::default();
        let is_whole = context.is_start && missing == context.bytes.len();
        across.begin(scan, if is_whole { 0 } else { sync(&raw, 0, place) });
        across.look(words, &raw, place, format);
        let nearest = across.nearest(words, wanted, proximity, (&vocabulary.labels, &raw), place)?;
        let (start, is_right_before) = told(&raw, nearest, place);
        Some((start.checked_sub(missing).unwrap_or(asked), is_right_before))
    }

    /// Whether one can stand in the raw bytes `before` a match, by a quick look: most
    /// matches have none.
    fn may_stand(
        &mut self,
        (vocabulary, wanted): (&Vocabulary, &Keywords),
        (before, scan): (&[u8], u64),
        proximity: usize,
    ) -> bool {
        let make = || {
            let words = vocabulary.words()?;
            automaton(wanted.numbers.iter().map(|&number| &words.list[number]), AhoCorasickKind::DFA)
        };
        // Without the automaton nothing can be told.
        let Some(any) = vocabulary.any.get(wanted.list).and_then(|any| any.get_or_init(make).as_ref()) else {
            return true;
        };
        if self.stretches.len() <= wanted.list {
            self.stretches.resize(wanted.list + 1, Stretch::default());
        }
        let range = before.len().saturating_sub(proximity + wanted.longest)..before.len();
        let hidden = &before[before.len().saturating_sub(proximity + wanted.longest * LONGEST_LETTER)..];
        self.stretches[wanted.list].may_hold((any, wanted.longest), before, range, scan) || hides_letters(hidden)
    }

    fn nearest(
        &self,
        words: &Words,
        wanted: &Keywords,
        proximity: usize,
        (labels, raw): (&Labels, &[u8]),
        place: usize,
    ) -> Option<&Sighting> {
        let last = self.seen.partition_point(|seen| seen.end <= place);
        let mut near = self.seen[..last].iter().rev().take_while(|seen| place - seen.end <= proximity);
        near.find(|seen| {
            let longest = words.list[seen.number].len() * LONGEST_LETTER;
            wanted.numbers.binary_search(&seen.number).is_ok()
                && seen.start + proximity + longest >= place
                && labels.end_around(raw, seen.start).is_none()
        })
    }

    fn begin(&mut self, scan: u64, at: usize) {
        self.scan = scan;
        self.window.clear();
        self.range = at..at;
        self.looked = 0;
        self.seen.clear();
    }

    /// Sees every keyword that ends before `place`.
    fn look(&mut self, words: &Words, data: &[u8], place: usize, format: Format) {
        let to = data.len().min(place + SYNC);
        self.range.end = self.window.push_units(data, self.range.end..to).max(self.range.end);
        let text = self.window.text();
        // What follows a word tells whether it goes on.
        let known = if self.range.end == data.len() { text.len() } else { text.len().saturating_sub(1) };
        if known <= self.looked {
            return;
        }
        let from = self.looked.saturating_sub(words.longest);
        let new = self.looked + 1..=known;
        for found in words.automaton.find_overlapping_iter(&text[from..]) {
            let range = from + found.start()..from + found.end();
            if new.contains(&range.end) && is_word(text, range.clone()) {
                let raw = self.window.raw_range(range);
                self.fresh.push(Sighting { end: raw.end, start: raw.start, number: found.pattern().as_usize() });
            }
        }
        for index in from..known {
            let letter = self.window.letter_at(data, index, format);
            for (number, end) in letter.into_iter().flat_map(|letter| words.at_letter(data[letter], &text[index + 1..]))
            {
                let (letter, end) = (self.window.raw_end(index) - 1, index + 1 + end);
                if new.contains(&end) {
                    let raw_end = if end == index + 1 { letter + 1 } else { self.window.raw_end(end - 1) };
                    self.fresh.push(Sighting { end: raw_end, start: letter, number });
                }
            }
        }
        self.looked = known;
        self.fresh.sort_unstable();
        self.seen.append(&mut self.fresh);
    }
}

/// The keywords of one rule.
#[derive(Debug, Default)]
pub(super) struct Keywords {
    /// Their numbers in the vocabulary, in order.
    numbers: Vec<usize>,
    /// Bytes of the longest.
    longest: usize,
    /// Which list they are.
    list: usize,
}

impl Keywords {
    /// Whose matches have a keyword within `proximity`.
    pub(super) fn new(keywords: &[String], proximity: usize, vocabulary: &mut Vocabulary) -> Self {
        let word = |keyword: &String| vocabulary.number(keyword.to_ascii_lowercase().as_bytes());
        let mut numbers: Vec<usize> = keywords.iter().map(word).collect();
        numbers.sort_unstable();
        let longest = keywords.iter().map(String::len).max().unwrap_or(0);
        let list = vocabulary.list(&numbers);
        let keywords = Self { numbers, longest, list };
        if !keywords.is_empty() {
            vocabulary.reach = vocabulary.reach.max(keywords.reach(proximity));
        }
        keywords
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// How many raw bytes before a match matter.
    fn reach(&self, proximity: usize) -> usize {
        proximity + self.longest * LONGEST_LETTER + SYNC
    }
}

/// What finds `words`, whatever their case. As a DFA it takes some twenty times the
/// memory and a third of the time.
fn automaton<'a>(words: impl IntoIterator<Item = &'a Vec<u8>>, kind: AhoCorasickKind) -> Option<AhoCorasick> {
    AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(kind)).build(words).ok()
}

/// Whether letters may be written with escapes in `raw`: `\u0063all`, `%63all`.
fn hides_letters(raw: &[u8]) -> bool {
    memchr::memchr2_iter(b'\\', b'%', raw)
        .any(|at| raw[at] == b'%' || raw.get(at + 1).is_none_or(|next| matches!(next, b'u' | b'U' | b'x' | b'X')))
}

/// Whether the word at `range` is not a part of a longer one, except of a name
/// such as `phoneNumber` or in the plural.
pub(super) fn is_word(text: &[u8], range: Range<usize>) -> bool {
    let (first, last) = (text[range.start], text[range.end - 1]);
    let begins = match range.start.checked_sub(1).map(|at| text[at]) {
        Some(before) if before.is_ascii_lowercase() => first.is_ascii_uppercase() || !first.is_ascii(),
        Some(before) => !before.is_ascii_alphabetic(),
        None => true,
    };
    begins && ends_word(last, text.get(range.end))
}

fn ends_word(last: u8, next: Option<&u8>) -> bool {
    match next {
        Some(b's') => true,
        Some(next) if next.is_ascii_uppercase() => last.is_ascii_lowercase(),
        Some(next) => !next.is_ascii_alphabetic(),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(text: &str, keyword: &str) -> bool {
        let place = text.find("0044").unwrap();
        let mut vocabulary = Vocabulary::default();
        let wanted = Keywords::new(&[keyword.to_owned(), "other".to_owned()], 12, &mut vocabulary);
        let mut sightings = Sightings::default();
        let mut ask = |context: &Context, data: &str, place: usize, scan: usize| {
            let data = (context, data.as_bytes());
            sightings.stand_before((&vocabulary, &wanted), 12, data, place, (scan as u64, Format::Json)).is_some()
        };
        let whole = ask(&Context::at_start(), text, place, place + 1);
        for cut in 0..place {
            let mut context = Context::at_start();
            context.push(&text.as_bytes()[..cut], vocabulary.reach);
            assert_eq!(ask(&context, &text[cut..], place - cut, cut), whole, "{text} cut at {cut}");
        }
        whole
    }

    #[test]
    fn a_word_right_before_is_told_from_one_with_others_between() {
        let right_before = |text: &str| {
            let place = text.find("0044").unwrap();
            let mut vocabulary = Vocabulary::default();
            let wanted = Keywords::new(&["id".to_owned()], UNLESS, &mut vocabulary);
            let mut sightings = Sightings::default();
            let answers: Vec<bool> = (0..=place)
                .map(|cut| {
                    let mut context = Context::at_start();
                    context.push(&text.as_bytes()[..cut], vocabulary.reach);
                    let (data, now) = ((&context, &text.as_bytes()[cut..]), (cut as u64 + 1, Format::Json));
                    sightings.stand_right_before((&vocabulary, &wanted), data, place - cut, now)
                })
                .collect();
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{text}: {answers:?}");
            answers[0]
        };
        for text in
            ["id 0044", r#"{"span_id": "0044"#, r#"{"spanId":0044"#, r#"\\\"id\\\": \\\"0044"#, "id=0044", "ID#0044"]
        {
            assert!(right_before(text), "{text}");
        }
        for text in ["id of 0044", "ids, card 0044", "void 0044", "id              0044", "idle 0044", "0044 id"] {
            assert!(!right_before(text), "{text}");
        }
    }

    #[test]
    fn a_keyword_counts_as_a_word_and_within_its_proximity() {
        for text in ["call 0044", "Call: 0044", "my_call\":\"0044", "homeCall 0044", r"\ncall 0044", r"\\call 0044"] {
            assert!(near(text, "call"), "{text}");
        }
        for text in ["recall 0044", "callus 0044", "call 123456789012 0044", "0044 call", "calm 0044"] {
            assert!(!near(text, "call"), "{text}");
        }
        assert!(near(r"c\u0061ll 0044", "call") && near(r"\\net 0044", "net"));
    }

    proptest! {
        /// Asking again and again, at whatever places, gives what asking once does.
        #[test]
        fn what_was_seen_before_changes_nothing(
            parts in prop::collection::vec(
                prop::sample::select(vec!["call", "Tel", "key", " ", "x", "s", ":", r"\n", r"\\t", r"\u0063", "%6b", "0", r#"\""#]),
                1..400,
            ),
            asked in prop::collection::vec((any::<prop::sample::Index>(), 0..2_usize), 1..40),
        ) {
            let text: String = parts.concat();
            let mut vocabulary = Vocabulary::default();
            let names = [["call".to_owned(), "tel".to_owned()], ["key".to_owned(), "ncall".to_owned()]];
            let wanted = names.map(|names| Keywords::new(&names, 20, &mut vocabulary));
            let mut kept = Sightings::default();
            for (place, which) in asked {
                let place = place.index(text.len() + 1);
                let context = Context::at_start();
                let ask = |sightings: &mut Sightings| {
                    let data = (&context, text.as_bytes());
                    sightings.stand_before((&vocabulary, &wanted[which]), 20, data, place, (1, Format::Json))
                };
                prop_assert_eq!(ask(&mut kept), ask(&mut Sightings::default()), "at {} of {}", place, text);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// The same in texts longer than what is kept, with gaps wider than what is
        /// walked over, and in one scan after the other, each of which begins
        /// further on.
        #[test]
        fn nor_do_scans_of_long_texts_one_after_the_other(
            parts in prop::collection::vec(
                prop_oneof![
                    20 => prop::sample::select(vec!["call ", "Tel", "key:", " ", r"\n", r"\\tel ", r"\u0063all ", "%6bey ", "00441 "])
                        .prop_map(str::to_owned),
                    1 => (1_usize..3000).prop_map(|length| "- ".repeat(length / 2)),
                ],
                1..9000,
            ),
            scans in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<prop::sample::Index>(), 1..60)), 1..5),
        ) {
            let text: String = parts.concat();
            let mut vocabulary = Vocabulary::default();
            let wanted = Keywords::new(&["call".to_owned(), "tel".to_owned(), "key".to_owned()], 20, &mut vocabulary);
            let (mut kept, mut context, mut begin) = (Sightings::default(), Context::at_start(), 0);
            let mut origins: Vec<_> = scans.iter().map(|(cut, asked)| (cut.index(text.len() + 1), asked)).collect();
            origins.sort_by_key(|&(origin, _)| origin);
            for (scan, (origin, asked)) in origins.into_iter().enumerate() {
                context.push(&text.as_bytes()[begin..origin], vocabulary.reach);
                begin = origin;
                let mut places: Vec<usize> = asked.iter().map(|place| place.index(text.len() - origin + 1)).collect();
                // Most come in order, a few do not.
                let in_order = places.len() * 9 / 10;
                places[..in_order].sort_unstable();
                for place in places {
                    let ask = |sightings: &mut Sightings, context: &Context, from: usize| {
                        let data = (context, &text.as_bytes()[from..]);
                        let now = (scan as u64 + 1, Format::Json);
                        sightings.stand_before((&vocabulary, &wanted), 20, data, origin + place - from, now)
                    };
                    let found = ask(&mut kept, &context, origin);
                    let whole = ask(&mut Sightings::default(), &Context::at_start(), 0);
                    prop_assert_eq!(found.is_some(), whole.is_some(), "at {} of {} behind {}", place, text.len(), origin);
                }
            }
        }
    }

    #[test]
    fn a_stretch_that_is_too_long_is_begun_anew() {
        let mut vocabulary = Vocabulary::default();
        let wanted = Keywords::new(&["call".to_owned()], 20, &mut vocabulary);
        let text = "call 0044 ".repeat(2 * LONGEST / 10);
        let mut sightings = Sightings::default();
        for (place, _) in text.match_indices("0044") {
            let data = (&Context::at_start(), text.as_bytes());
            let near = sightings.stand_before((&vocabulary, &wanted), 20, data, place, (1, Format::Json));
            assert_eq!(near, Some(place - 5));
            assert!(sightings.range.len() <= LONGEST + 1024, "{}", sightings.range.len());
            assert!(sightings.range.contains(&(place - 5)));
        }
        assert!(sightings.range.start > 0);
    }

    #[test]
    fn no_more_context_is_kept_than_is_asked_for() {
        let mut context = Context::at_start();
        for _ in 0..100 {
            context.push(b"0123456789", 25);
            assert!(context.bytes.len() <= 25);
        }
        assert!(!context.is_start);
        context.push(&[b'x'; 1000], 25);
        assert_eq!(context.bytes, [b'x'; 25]);
    }
}
