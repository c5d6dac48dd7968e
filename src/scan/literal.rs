//! The byte strings that a pattern cannot match without.
//!
//! One of them must occur, as it is, in the raw bytes of every match that is
//! written without escapes. Bytes that JSON writers commonly escape (`/`, quotes,
//! controls, all beyond ASCII) are left out for that reason, unless there are no
//! others: words in other scripts than Latin. Escapes of their letters are
//! looked behind, see [`Letters`].

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A literal that some matches hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needed {
    /// Lower case when `caseless`.
    pub(crate) bytes: Vec<u8>,
    /// ASCII case is to be ignored.
    pub(crate) caseless: bool,
    /// Characters between the start of the match and the literal: at least, at most.
    pub(crate) offset: (usize, usize),
    /// The bytes that those characters can be.
    pub(crate) lead: ByteSet,
    /// The bytes that can stand behind the literal, see [`super::follow`].
    pub(crate) follow: ByteSet,
    /// Bytes of text that a match has behind the literal, at least.
    pub(crate) rest: usize,
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    /// Whether `byte` is in the set.
    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// How many bytes of the set are lower than those of each word of it.
    pub(super) fn below(&self) -> [u8; 4] {
        let ones = |word: &u64| u8::try_from(word.count_ones()).unwrap_or_default();
        let [first, second, third, _] = &self.0;
        [0, ones(first), ones(first) + ones(second), ones(first) + ones(second) + ones(third)]
    }

    /// How many bytes of the set are lower than `byte`, if that is in it, where
    /// [`ByteSet::below`] is known.
    #[inline]
    pub(super) fn rank(&self, below: [u8; 4], byte: u8) -> Option<u32> {
        let word = usize::from(byte >> 6);
        let bit = 1 << (byte & 63);
        let lower = (self.0[word] & (bit - 1)).count_ones();
        (self.0[word] & bit != 0).then(|| u32::from(below[word]) + lower)
    }

    /// All bytes.
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    pub(super) fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Whether `is` holds for all of the set.
    pub(super) fn all(&self, is: impl Fn(u8) -> bool) -> bool {
        (0..=u8::MAX).all(|byte| !self.contains(byte) || is(byte))
    }

    pub(super) fn unite(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }
}

/// Shorter ones would make nearly every byte a candidate.
const SHORTEST: usize = 3;
/// A literal's worth does not grow beyond this length.
const RARE: usize = 6;
/// Longer ones are cut.
const LONGEST: usize = 12;
/// More alternatives than this are not worth having. The database's speed
/// hardly depends on their number.
const MOST: usize = 1000;
/// The same where case counts: more come of ignoring case letter by letter.
const MOST_WITH_CASE: usize = 40;
/// Of a word in more spellings than this case is ignored: `token`, `Token` and `TOKEN` are not.
const MOST_SPELLINGS: usize = 3;
/// Wider classes end a literal.
const WIDEST_CLASS: usize = 6;
/// Letters of both cases and digits.
const MOST_PAIRED: usize = 62;
/// A literal further in than this is not looked for.
const FURTHEST: usize = 256;

/// Literals of which every match of `hir` holds one; `None` when there are
/// none of at least three bytes near its start.
pub(crate) fn needed(hir: &Hir) -> Option<Vec<Needed>> {
    let with_case = best(hir, false);
    let without = best(&fold(hir), true);
    better(with_case, without).map(|mut literals| {
        let shortest = hir.properties().minimum_len().unwrap_or(0);
        for literal in &mut literals {
            literal.rest = literal.rest.max(shortest.saturating_sub(literal.offset.1 + literal.bytes.len()));
        }
        ignore_case(&mut literals);
        literals.sort();
        // What begins with another literal is found by that one.
        literals.dedup_by(|longer, shorter| {
            let same = longer.offset == shorter.offset
                && longer.caseless == shorter.caseless
                && longer.bytes.starts_with(&shorter.bytes);
            if same {
                shorter.lead.unite(&longer.lead);
                shorter.rest = shorter.rest.min(longer.rest);
            }
            same
        });
        literals
    })
}

/// Makes one that ignores case of those that differ in it: each spelling is one more
/// to tell from the others wherever one of them stands, and the pattern looks anyway.
fn ignore_case(literals: &mut [Needed]) {
    let mut spellings = BTreeMap::<_, usize>::new();
    let same = |literal: &Needed| (literal.bytes.to_ascii_lowercase(), literal.offset);
    literals.iter().for_each(|literal| *spellings.entry(same(literal)).or_default() += 1);
    for literal in literals {
        if spellings.get(&same(literal)).is_some_and(|&number| number > MOST_SPELLINGS) {
            *literal = Needed { bytes: literal.bytes.to_ascii_lowercase(), caseless: true, ..literal.clone() };
        }
    }
}

/// The pairs of bytes that a match can begin with, of patterns without a literal;
/// `None` when a match can be shorter. Only enough where a token begins.
pub(crate) fn pairs(hir: &Hir) -> Option<Vec<Needed>> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_class(MOST_PAIRED).limit_total(MOST).limit_literal_len(2);
    let sequence = extractor.extract(hir);
    let rest = hir.properties().minimum_len().unwrap_or(0).saturating_sub(2);
    let pair = |bytes: &[u8]| {
        let (lead, follow) = (ByteSet::default(), ByteSet::ALL);
        (bytes.len() == 2).then(|| Needed {
            bytes: bytes.to_vec(),
            caseless: false,
            offset: (0, 0),
            lead,
            follow,
            rest,
        })
    };
    sequence.literals()?.iter().map(|literal| pair(literal.as_bytes())).collect()
}

fn best(hir: &Hir, caseless: bool) -> Option<Vec<Needed>> {
    match hir.kind() {
        HirKind::Alternation(branches) => {
            let found: Option<Vec<_>> = branches.iter().map(|branch| best(branch, caseless)).collect();
            let all = found.map(|found| found.concat()).filter(|all| all.len() <= MOST);
            better(all, prefixes(hir, caseless))
        }
        HirKind::Capture(group) => best(&group.sub, caseless),
        HirKind::Repetition(repetition) if repetition.min > 0 => best(&repetition.sub, caseless),
        HirKind::Concat(_) => best_of_sequence(&flatten(hir), caseless),
        _ => prefixes(hir, caseless),
    }
}

fn best_of_sequence(items: &[Hir], caseless: bool) -> Option<Vec<Needed>> {
    let mut found = None;
    for index in 0..items.len() {
        let Some(before) = width(&items[..index]) else { break };
        let whole_rest = prefixes(&Hir::concat(items[index..].to_vec()), caseless);
        let behind: usize = items[index + 1..].iter().filter_map(|item| item.properties().minimum_len()).sum();
        let of_item = best(&items[index], caseless).map(|mut literals| {
            literals.iter_mut().for_each(|literal| literal.rest += behind);
            literals
        });
        let shifted = better(whole_rest, of_item).map(|mut literals| {
            let lead = bytes_of_all(&items[..index]);
            for literal in &mut literals {
                literal.lead.unite(&lead);
                literal.offset = (literal.offset.0 + before.0, literal.offset.1 + before.1);
            }
            literals
        });
        found = better(found, shifted);
    }
    found
}

/// The one of more worth, the first of equals.
fn better(a: Option<Vec<Needed>>, b: Option<Vec<Needed>>) -> Option<Vec<Needed>> {
    match (&a, &b) {
        (Some(x), Some(y)) if worth(y) > worth(x) => b,
        (None, _) => b,
        _ => a,
    }
}

/// Longer is rarer, up to a point; every further place at which a match may
/// begin costs a trial; then nearer to the start, then fewer.
fn worth(literals: &[Needed]) -> (isize, Reverse<usize>, Reverse<usize>) {
    let shortest = literals.iter().map(|literal| literal.bytes.len()).min().unwrap_or(0);
    let starts = literals.iter().map(|literal| literal.offset.1 - literal.offset.0).max().unwrap_or(0);
    let furthest = literals.iter().map(|literal| literal.offset.1).max().unwrap_or(0);
    let rarity = 8 * shortest.min(RARE);
    (rarity.cast_signed() - starts.cast_signed(), Reverse(furthest), Reverse(literals.len() / 16))
}

fn width(items: &[Hir]) -> Option<(usize, usize)> {
    let mut total = (0, 0);
    for item in items {
        total.0 += item.properties().minimum_len()?;
        total.1 += item.properties().maximum_len()?;
    }
    (total.1 <= FURTHEST).then_some(total)
}

fn prefixes(hir: &Hir, caseless: bool) -> Option<Vec<Needed>> {
    let most = if caseless { MOST } else { MOST_WITH_CASE };
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_class(WIDEST_CLASS).limit_total(most).limit_repeat(4);
    let sequence = extractor.limit_literal_len(48).extract(hir);
    let shortest = hir.properties().minimum_len().unwrap_or(0);
    let mut needed = Vec::new();
    for literal in sequence.literals()? {
        let bytes = literal.as_bytes();
        let plain = || longest_run(bytes, is_plain).or_else(|| longest_run(bytes, is_plain_or_slash));
        let (start, run) = plain().or_else(|| longest_run(bytes, is_plain_or_beyond))?;
        let offset = (start, start);
        let mut lead = ByteSet::default();
        for &byte in &bytes[..start] {
            insert_cases(&mut lead, byte);
        }
        needed.extend(slash_spellings(run).into_iter().map(|bytes| Needed {
            bytes,
            caseless,
            offset,
            lead,
            follow: ByteSet::ALL,
            rest: shortest.saturating_sub(start + run.len()),
        }));
    }
    (!needed.is_empty()).then_some(needed)
}

/// All bytes that `items` can match, in both cases.
pub(super) fn bytes_of_all(items: &[Hir]) -> ByteSet {
    let mut set = ByteSet::default();
    for item in items {
        insert_bytes(item, &mut set);
    }
    set
}

fn insert_bytes(hir: &Hir, set: &mut ByteSet) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|&byte| insert_cases(set, byte)),
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().flat_map(|range| range.start()..=range.end()).for_each(|byte| insert_cases(set, byte));
        }
        HirKind::Class(Class::Unicode(_)) => *set = ByteSet::ALL,
        HirKind::Repetition(repetition) => insert_bytes(&repetition.sub, set),
        HirKind::Capture(group) => insert_bytes(&group.sub, set),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().for_each(|part| insert_bytes(part, set)),
    }
}

/// Folded patterns are in lower case; the text is not.
fn insert_cases(set: &mut ByteSet, byte: u8) {
    set.insert(byte.to_ascii_lowercase());
    set.insert(byte.to_ascii_uppercase());
}

/// The bytes that a match of `hir` can begin with.
pub(crate) fn first_bytes(hir: &Hir) -> Box<[bool; 256]> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_class(256).limit_total(4096).limit_literal_len(1).limit_repeat(1);
    let mut first = Box::new([false; 256]);
    match extractor.extract(hir).literals() {
        Some(literals) if literals.iter().all(|literal| !literal.is_empty()) => {
            for literal in literals {
                first[usize::from(literal.as_bytes()[0])] = true;
            }
        }
        _ => first.fill(true),
    }
    first
}

/// The longest stretch of bytes that are all `fit`, and where it starts. It ends with
/// a whole character.
fn longest_run(literal: &[u8], fit: fn(u8) -> bool) -> Option<(usize, &[u8])> {
    let mut best: Option<(usize, &[u8])> = None;
    let mut start = 0;
    for run in literal.split(|&byte| !fit(byte)) {
        let run_start = start;
        start += run.len() + 1;
        if run.len() >= SHORTEST && best.is_none_or(|(_, best)| run.len() > best.len()) {
            let most = run.len().min(LONGEST);
            let end = (1..=most).rev().find(|&end| run.get(end).is_none_or(|next| next & 0xc0 != 0x80));
            best = Some((run_start, &run[..end.unwrap_or(most)]));
        }
    }
    best
}

/// Bytes that no JSON writer escapes.
fn is_plain(byte: u8) -> bool {
    is_plain_or_slash(byte) && byte != b'/'
}

fn is_plain_or_slash(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\' | b'%')
}

fn is_plain_or_beyond(byte: u8) -> bool {
    is_plain(byte) || !byte.is_ascii()
}

/// Letters beyond ASCII that literals hold. An escape of one of them (`\u043f`) may
/// hide a literal; of others none.
#[derive(Clone, Debug, Default)]
pub(super) struct Letters(Vec<char>);

impl Letters {
    /// Adds those of a literal.
    pub(super) fn add(&mut self, literal: &[u8]) {
        for letter in literal.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).filter(|letter| !letter.is_ascii())
        {
            if let Err(place) = self.0.binary_search(&letter) {
                self.0.insert(place, letter);
            }
        }
    }

    pub(super) fn contains(&self, letter: char) -> bool {
        self.0.binary_search(&letter).is_ok()
    }
}

/// Backslashes before a slash, at most: those of three writers, each within a
/// string of the next, who all escape slashes.
const MOST_ESCAPES: usize = 7;

/// A literal as it stands in the raw bytes: slashes are escaped by some
/// writers, once more at each of the first levels of nesting.
fn slash_spellings(literal: &[u8]) -> Vec<Vec<u8>> {
    if !literal.contains(&b'/') {
        return vec![literal.to_vec()];
    }
    let spell = |escapes: &[u8]| -> Vec<u8> {
        let byte = |&byte: &u8| if byte == b'/' { [escapes, b"/"].concat() } else { vec![byte] };
        literal.iter().flat_map(byte).collect()
    };
    (0..=MOST_ESCAPES).map(|escapes| spell(&b"\\".repeat(escapes))).collect()
}

/// The parts of a sequence, without the groups around them.
pub(super) fn flatten(hir: &Hir) -> Vec<Hir> {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().flat_map(flatten).collect(),
        HirKind::Capture(group) => flatten(&group.sub),
        _ => vec![hir.clone()],
    }
}

/// `hir` over text in lower case.
fn fold(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Literal(literal) => Hir::literal(literal.0.to_ascii_lowercase()),
        HirKind::Class(Class::Bytes(class)) => fold_class(class),
        HirKind::Class(Class::Unicode(class)) => {
            class.to_byte_class().map_or_else(|| hir.clone(), |class| fold_class(&class))
        }
        HirKind::Repetition(repetition) => {
            let mut repetition = repetition.clone();
            repetition.sub = Box::new(fold(&repetition.sub));
            Hir::repetition(repetition)
        }
        HirKind::Capture(group) => {
            let mut group = group.clone();
            group.sub = Box::new(fold(&group.sub));
            Hir::capture(group)
        }
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(fold).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(fold).collect()),
        _ => hir.clone(),
    }
}

fn fold_class(class: &ClassBytes) -> Hir {
    let bytes = class.iter().flat_map(|range| range.start()..=range.end());
    let lower = bytes.map(|byte| byte.to_ascii_lowercase()).map(|byte| ClassBytesRange::new(byte, byte));
    Hir::class(Class::Bytes(ClassBytes::new(lower)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> Option<Vec<Needed>> {
        let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).unwrap();
        needed(&hir)
    }

    fn shown(pattern: &str) -> String {
        let Some(needed) = of(pattern) else { return "none".into() };
        let show = |one: &Needed| {
            let case = if one.caseless { "i" } else { "" };
            format!("{}{case}{:?}", String::from_utf8_lossy(&one.bytes), one.offset)
        };
        needed.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn prefixes_come_first() {
        assert_eq!(shown(r"\bgh[po]_[A-Za-z0-9]{36}\b"), "gho_(0, 0) ghp_(0, 0)");
        assert_eq!(shown(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "AKIA(0, 0) ASIA(0, 0)");
        assert_eq!(shown(r"\blogin[ \t]{1,4}\S{1,100}[ \t]{1,4}password"), "login(0, 0)");
    }

    #[test]
    fn case_is_folded_where_the_pattern_ignores_it() {
        assert_eq!(shown(r"(?i)\bpassword[ \t]*="), "passwordi(0, 0)");
    }

    #[test]
    fn a_word_in_many_spellings_is_one_that_ignores_case() {
        assert_eq!(shown(r"(?i:abc)[0-9]|wxyz"), "abci(0, 0) wxyz(0, 0)");
        assert_eq!(shown(r"(?:abcd|Abcd|ABCD)[0-9]"), "ABCD(0, 0) Abcd(0, 0) abcd(0, 0)");
    }

    #[test]
    fn inner_literals_have_an_offset() {
        assert_eq!(shown(r"\b[0-9a-f]{32}-us[0-9]{1,2}\b"), "-us(32, 32)");
        assert_eq!(shown(r"https?://hooks\.slack\.com/services/T"), "hooks.slack.(7, 7) hooks.slack.(8, 8)");
    }

    #[test]
    fn branches_have_literals_of_their_own() {
        let needed = "_tokeni(1, 1) api-keyi(0, 0) api_keyi(0, 0) apikeyi(0, 0) secreti(0, 0)";
        assert_eq!(shown(r"(?i)(?:secret|api[_-]?key|[a-z]_token)="), needed);
    }

    #[test]
    fn a_literal_of_two_branches_has_the_lead_of_both() {
        let needed = of(r"\b(?:[0-9]{4}-abcd|[a-f]{4}-abcd)[0-9]{4}\b").unwrap();
        assert!(needed.iter().all(|one| one.lead.contains(b'7') && one.lead.contains(b'b')), "{needed:?}");
    }

    #[test]
    fn slashes_come_in_every_spelling_when_there_is_nothing_else() {
        let spelled = |escapes| format!(r"1{0}/{0}/0(0, 0)", r"\".repeat(escapes));
        assert_eq!(shown(r"\b1//0[a-z]{9}"), (0..=7).map(spelled).collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn words_beyond_ascii_are_literals_where_there_are_no_others() {
        assert_eq!(shown("(?:пароль|口令):"), "пароль(0, 0) 口令:(0, 0)");
        // Cut between two characters.
        assert_eq!(shown("(?:รหัสผ่าน|a口令口令)"), "a口令口(0, 0) รหัส(0, 0)");
    }

    #[test]
    fn patterns_without_a_literal_have_none() {
        assert_eq!(shown(r"\b[A-Z]{2}[0-9]{6}\b"), "none");
        assert_eq!(shown(r"[a-z]+foobar"), "none");
    }

    #[test]
    fn first_bytes_are_those_that_a_match_can_begin_with() {
        let first = |pattern: &str| {
            let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).unwrap();
            let set = first_bytes(&hir);
            (0..=255).filter(|&byte: &u8| set[usize::from(byte)]).map(char::from).collect::<String>()
        };
        assert_eq!(first(r"\b(?:ab|cd)[0-9]{3}"), "ac");
        assert_eq!(first(r"(?i)--x?"), "-");
        assert_eq!(first(r"[0-9]{2}-us"), "0123456789");
        assert_eq!(first(r"a?b"), "ab");
        assert!(first(r"(?s).*x").chars().count() > 200);
    }
}
