//! A rule set compiled for scanning.

mod keyword;
mod usage;

use super::check::Scope;
use super::embedded;
use super::key::{Claimants, LONGEST_NAME, Names};
use super::late;
use super::literal::Needed;
use super::naive::Plain;
use super::nearby::{Context, Keywords, Sightings, UNLESS, Vocabulary};
use super::packed;
use super::path::Paths;
use super::pattern::{Caches, Pattern};
use super::roots::{Key, Roots};
use super::shape::{self, Kinds};
use super::token::Tokens;
use super::trail::Trail;
use super::typed;
use super::workspace::{Found, Workspace};
use super::zipped;
use super::{Format, detector_kinds};
use crate::hyperscan::{Database, Hits, HyperscanError, Literal, Outcome, Scratch};
use crate::rule::{Detector, Matcher, Rule, Ruleset};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use usage::LiteralUse;
pub(super) use usage::PatternUse;

/// A rule set compiled for scanning. Immutable and shared between threads.
pub struct Engine {
    ruleset: Arc<Ruleset>,
    /// By rule index; `None` for detectors, keys and disabled rules.
    pub(super) patterns: Vec<Option<Pattern>>,
    /// By rule index.
    pub(super) scopes: Vec<Scope>,
    /// The paths of all rules.
    pub(super) paths: Arc<Paths>,
    /// By rule index.
    pub(super) keywords: Vec<Keywords>,
    /// By rule: the words that say that it is something else.
    unless: Vec<Keywords>,
    /// Enabled detector rules.
    pub(super) detectors: Vec<(Detector, usize)>,
    /// Shapes that some enabled rule looks at.
    pub(super) kinds: Kinds,
    pub(super) names: Names,
    /// The keywords of all rules.
    pub(super) vocabulary: Vocabulary,
    /// By literal id.
    pub(super) literals: Vec<LiteralUse>,
    pub(super) longest_literal: usize,
    /// Patterns that begin with a literal of their own, not in the database.
    pub(super) tokens: Tokens,
    /// What the database looks for.
    roots: Roots,
    /// `None` when no rule has a literal.
    database: Option<Database>,
    /// One per thread that scans at the same time.
    workspaces: Mutex<Vec<Workspace>>,
    /// Of the rules that look at text in base64, by the same indices; `None` where
    /// there are none.
    pub(super) encoded: Option<Arc<Engine>>,
    /// What the oracle needs; made at its first use.
    pub(super) naive: OnceLock<Plain>,
}

/// Why a rule set cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A rule's pattern cannot be used.
    #[error("rule {id}: {reason}")]
    Pattern {
        /// The rule's id.
        id: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The literal database could not be built.
    #[error("cannot build the literal database")]
    Database(#[from] HyperscanError),
}

/// Literals that no text holds, in every database beside the rules' own. They
/// keep libhs off three of its ways: the one for a handful of literals with one
/// first byte, on which Vectorscan 5.4.9 misses matches (`AKIA` beside `ACDb`,
/// at most alignments, when more than some 70 bytes stand before); the one for
/// literals of five bytes and more, which is three times slower; and that of
/// looking at every second byte only, which it takes when all have three bytes
/// or more (`findDesiredStride` in its `fdr_engine_description.cpp`): with some
/// hundred of three bytes nearly every pair of letters is then a candidate.
const SENTINELS: [&[u8]; 5] =
    [b"\x01\x02\x03\x04", b"\x02\x04\x01\x03", b"\x05\x01\x06\x02", b"\x06\x05\x04\x03", b"\xff\xfe"];

/// Checks that the library finds what it was given, wherever in memory it
/// stands: what it misses would leak.
fn prove(database: &Database, keys: &[Key]) -> Result<(), HyperscanError> {
    const BEFORE: usize = 96;
    let mut scratch = Scratch::new(&[database])?;
    let mut hits = Hits::with_limit(64);
    let mut text = Vec::with_capacity(512);
    for (id, (literal, _)) in keys.iter().enumerate() {
        for shift in (0..64).step_by(5) {
            text.clear();
            text.resize(shift + BEFORE, b'x');
            text.extend_from_slice(literal);
            text.extend_from_slice(&b"TCIuxw=="[..shift % 9]);
            database.scan(&text[shift..], &mut scratch, &mut hits)?;
            let end = BEFORE + literal.len();
            if !hits.as_slice().iter().any(|hit| (hit.id as usize, hit.end as usize) == (id, end)) {
                return Err(HyperscanError::Blind);
            }
        }
    }
    Ok(())
}

/// Sorts hits by their ends, then by literal. They nearly are: roots come by their
/// ends, those that end at one place in the library's order, and a literal ends at
/// most its length behind its root.
fn put_in_order(hits: &mut [(usize, usize)]) {
    let order = |&(id, end): &(usize, usize)| (end, id);
    for index in 1..hits.len() {
        let hit = hits[index];
        let later = hits[..index].iter().rev().take_while(|before| order(before) > order(&hit)).count();
        if later > 0 {
            hits[index - later..=index].rotate_right(1);
        }
    }
}

/// What a private key block begins with (RFC 7468 section 2).
const PRIVATE_KEY_HEAD: &[u8] = b"-----BEGIN ";

/// Hits of one scan beyond this make it stop early and go on in another.
const MOST_HITS: usize = 1 << 16;

impl Engine {
    /// Compiles the enabled rules of `ruleset`.
    ///
    /// # Errors
    /// When a pattern is invalid or too wide to bound.
    pub fn compile(ruleset: Arc<Ruleset>) -> Result<Self, CompileError> {
        let mut builder = Builder::default();
        let rules = ruleset.rules.len();
        let mut engine = Self {
            patterns: Vec::with_capacity(rules),
            scopes: Vec::with_capacity(rules),
            paths: Arc::default(),
            keywords: Vec::with_capacity(rules),
            unless: Vec::with_capacity(rules),
            detectors: Vec::new(),
            kinds: 0,
            names: Names::default(),
            vocabulary: Vocabulary::default(),
            literals: Vec::new(),
            longest_literal: 0,
            tokens: Tokens::default(),
            roots: Roots::default(),
            database: None,
            workspaces: Mutex::new(Vec::new()),
            encoded: Self::of_encoded(&ruleset)?,
            naive: OnceLock::new(),
            ruleset: Arc::clone(&ruleset),
        };
        for (index, rule) in ruleset.rules.iter().enumerate() {
            engine.vocabulary.labels.add(&rule.entity);
            engine.add(index, rule, &mut builder)?;
        }
        engine.tokens.watch(embedded::pairs());
        zipped::marks().for_each(|mark| builder.literal(mark, true).zipped = true);
        packed::heads().for_each(|head| builder.literal(head, false).packed = true);
        late::LITERALS.iter().for_each(|name| builder.literal(name.to_vec(), true).value = true);
        typed::BYTES.iter().for_each(|name| builder.literal(name.to_vec(), false).bytes = true);
        engine.paths = Arc::new(std::mem::take(&mut builder.paths));
        engine.longest_literal = builder.literals.keys().map(|(bytes, _)| bytes.len()).max().unwrap_or(0);
        engine.build_database(builder)?;
        Ok(engine)
    }

    /// That of the rules which look at text in base64.
    fn of_encoded(ruleset: &Ruleset) -> Result<Option<Arc<Self>>, CompileError> {
        if !ruleset.rules.iter().any(|rule| rule.enabled && rule.base64) {
            return Ok(None);
        }
        // Text in base64 within such a text is not looked at.
        let one = |rule: &Rule| Rule { enabled: rule.enabled && rule.base64, base64: false, ..rule.clone() };
        let rules = ruleset.rules.iter().map(one).collect();
        Self::compile(Arc::new(Ruleset { rules, hash: String::new() })).map(|engine| Some(Arc::new(engine)))
    }

    /// The rules it was compiled from.
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    fn add(&mut self, index: usize, rule: &Rule, builder: &mut Builder) -> Result<(), CompileError> {
        let refuse = |reason: String| CompileError::Pattern { id: rule.id.clone(), reason };
        let mut pattern = None;
        if rule.enabled {
            match &rule.matcher {
                Matcher::Pattern(source) => {
                    let compiled = Pattern::compile(source).map_err(refuse)?;
                    let needed = compiled.needed.as_ref().ok_or_else(|| refuse(super::pattern::LACKS_TEXT.into()))?;
                    if let Some(run) = &compiled.token {
                        self.kinds |= shape::TOKEN;
                        for literal in needed {
                            self.tokens.add(&literal.bytes, PatternUse::new(index, literal), run);
                        }
                    } else {
                        builder.pattern(index, needed);
                    }
                    pattern = Some(compiled);
                }
                Matcher::Detector(Detector::PrivateKey) => {
                    let known = &mut builder.literal(PRIVATE_KEY_HEAD.to_vec(), false).private_key;
                    // A shadow rule does not stand before a real one.
                    if known.is_none_or(|first| self.ruleset.rules[first].shadow && !rule.shadow) {
                        *known = Some(index);
                    }
                }
                Matcher::Detector(detector) => {
                    self.detectors.push((*detector, index));
                    self.kinds |= detector_kinds(*detector);
                }
                Matcher::Key(names) => {
                    if rule.is_scoped() {
                        self.claim(index, names).map_err(refuse)?;
                    }
                    self.add_names(index, names, builder);
                }
            }
        }
        self.patterns.push(pattern);
        self.scopes.push(Scope::compile(rule, &mut builder.paths).map_err(refuse)?);
        self.keywords.push(Keywords::new(&rule.keywords, rule.proximity, &mut self.vocabulary));
        self.unless.push(Keywords::new(&rule.unless, UNLESS, &mut self.vocabulary));
        Ok(())
    }

    /// Whether a keyword at `at` counts for a match that stands in `string`, behind
    /// its start. For national phone numbers not one of another string: key rules
    /// know the names of members, and what other members hold says nothing.
    pub(super) fn counts(&self, rule: usize, at: usize, string: Range<usize>) -> bool {
        let matcher = self.ruleset.rules.get(rule).map(|rule| &rule.matcher);
        !matches!(matcher, Some(Matcher::Detector(Detector::PhoneNational)))
            || self.keywords[rule].is_empty()
            || string.contains(&at)
    }

    /// The key rules that a member's name belongs to: those that change what they
    /// find before those that do not, and those that look everywhere before those
    /// that ask for the place.
    pub(super) fn key_rules(&self, name: &[u8], is_quiet: impl Fn(usize) -> bool) -> Option<Claimants> {
        let limited = |rule: usize| self.scopes.get(rule).is_some_and(Scope::is_limited);
        self.names.claimants(name, |rule| (u8::from(is_quiet(rule)), u8::from(limited(rule))))
    }

    /// Two rules for one name that both ask for the place are most often a mistake:
    /// where their places overlap, the first one finds all.
    fn claim(&self, index: usize, names: &[String]) -> Result<(), String> {
        let before = self.ruleset.rules[..index].iter().filter(|other| other.enabled && other.is_scoped());
        for other in before {
            if let Matcher::Key(taken) = &other.matcher
                && let Some(name) = names.iter().find(|name| taken.contains(name))
            {
                return Err(format!(
                    "`{name}` is a name of {} too, and both ask for the place: make them one rule with all paths",
                    other.id
                ));
            }
        }
        Ok(())
    }

    fn add_names(&mut self, index: usize, names: &[String], builder: &mut Builder) {
        for name in names {
            self.names.add(name, index);
            for spelling in Names::spellings(name) {
                for literal in spelling.literals() {
                    let usage = builder.literal(literal, true).key.get_or_insert_default();
                    usage.alone |= spelling.fits_all_of(name);
                    usage.head |= spelling.is_head();
                }
            }
        }
    }

    fn build_database(&mut self, builder: Builder) -> Result<(), CompileError> {
        let keys: Vec<Key> = builder.literals.keys().cloned().collect();
        keys.iter().for_each(|(bytes, _)| self.tokens.pairs.letters.add(bytes));
        self.literals = builder.literals.into_values().collect();
        if keys.is_empty() {
            return Ok(());
        }
        self.roots = Roots::of(&keys);
        let keys = self.roots.keys();
        let mut literals: Vec<Literal<'_>> =
            keys.iter().map(|(bytes, caseless)| Literal { bytes, caseless: *caseless }).collect();
        literals.extend(SENTINELS.iter().map(|bytes| Literal { bytes, caseless: false }));
        let database = Database::literals(&literals)?;
        prove(&database, keys)?;
        self.database = Some(database);
        Ok(())
    }

    /// The literals in `data`, in the order of their ends.
    pub(super) fn find_literals(
        &self,
        data: &[u8],
        scratch: &mut Option<(Scratch, Hits)>,
        found: &mut Found,
    ) -> Result<(), HyperscanError> {
        found.hits.clear();
        found.cut = None;
        let (Some(database), Some((scratch, hits))) = (&self.database, scratch) else { return Ok(()) };
        let outcome = database.scan(data, scratch, hits)?;
        for hit in hits.as_slice() {
            let (root, end) = (hit.id as usize, hit.end as usize);
            // Sentinels stand behind the others.
            if root < self.roots.keys().len() {
                self.roots.push(data, (root, end), &mut found.hits);
            }
        }
        if outcome != Outcome::Complete {
            found.cut = hits.as_slice().last().map(|last| last.end as usize);
        }
        put_in_order(&mut found.hits);
        Ok(())
    }

    /// The literal of a rule's pattern that stands in `text`, to tell by what a
    /// match was found.
    pub fn literal_in(&self, rule: usize, text: &[u8]) -> Option<String> {
        let needed = self.patterns.get(rule)?.as_ref()?.needed.as_ref()?;
        let stands = |literal: &&Needed| {
            text.windows(literal.bytes.len()).any(|found| match literal.caseless {
                true => found.eq_ignore_ascii_case(&literal.bytes),
                false => found == literal.bytes,
            })
        };
        let literal = needed.iter().filter(stands).max_by_key(|literal| literal.bytes.len())?;
        Some(String::from_utf8_lossy(&literal.bytes).into_owned())
    }

    /// Whether `name` is a member's name that key rule `rule` looks for.
    pub fn is_key_of(&self, rule: usize, name: &[u8]) -> bool {
        let Some(Matcher::Key(known)) = self.ruleset.rules.get(rule).map(|rule| &rule.matcher) else { return false };
        let mut names = Names::default();
        known.iter().for_each(|known| names.add(known, rule));
        name.len() <= LONGEST_NAME && names.claimants(name, |_| 0).is_some()
    }

    /// The keyword of a rule that stands near before `place` of `raw`, the
    /// beginning of a body.
    pub fn keyword_before(&self, rule: usize, format: Format, raw: &[u8], place: usize) -> Option<&str> {
        let known = self.ruleset.rules.get(rule)?;
        let stands = |keyword: &&String| {
            let mut vocabulary = Vocabulary::default();
            let keyword = Keywords::new(std::slice::from_ref(*keyword), known.proximity, &mut vocabulary);
            let data = (&Context::at_start(), raw);
            Sightings::default()
                .stand_before((&vocabulary, &keyword), known.proximity, data, place, (1, format))
                .is_some()
        };
        known.keywords.iter().find(stands).map(String::as_str)
    }

    /// How many literals the database finds in `data`: the first step of a
    /// scan by itself, for benchmarks to compare with.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn count_literals(&self, data: &[u8]) -> Result<usize, HyperscanError> {
        let mut work = self.take_workspace()?;
        let result = self.find_literals(data, &mut work.scratch, &mut work.found);
        let number = work.found.hits.len();
        self.put_workspace(work);
        result.map(|()| number)
    }

    /// Gives back the memory of all that was made for the text seen so far: much of
    /// it, once the rules have been judged by the examples of all of them.
    pub fn cool(&mut self) {
        self.lock_workspaces().clear();
        self.patterns.iter_mut().flatten().for_each(Pattern::cool);
        self.vocabulary.cool();
    }

    /// Working memory for one scan; as many come to be as threads scan at the
    /// same time.
    pub(super) fn take_workspace(&self) -> Result<Workspace, HyperscanError> {
        if let Some(workspace) = self.lock_workspaces().pop() {
            return Ok(workspace);
        }
        let scratch = match &self.database {
            Some(database) => Some((Scratch::new(&[database])?, Hits::with_limit(MOST_HITS))),
            None => None,
        };
        let caches = std::iter::repeat_with(Caches::default).take(self.patterns.len()).collect();
        let trails = std::iter::repeat_with(Trail::default).take(self.patterns.len()).collect();
        Ok(Workspace { scratch, caches, trails, ..Workspace::default() })
    }

    /// Gives working memory back.
    pub(super) fn put_workspace(&self, mut workspace: Workspace) {
        workspace.look_at_caches();
        self.lock_workspaces().push(workspace);
    }

    fn lock_workspaces(&self) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        // Nothing can panic while the lock is held; the list is whole anyway.
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Literals by their bytes and whether case is ignored, in a fixed order, so
/// that every replica builds the same database.
#[derive(Default)]
struct Builder {
    literals: BTreeMap<Key, LiteralUse>,
    paths: Paths,
}

impl Builder {
    fn literal(&mut self, bytes: Vec<u8>, caseless: bool) -> &mut LiteralUse {
        let length = bytes.len();
        let usage = self.literals.entry((bytes, caseless)).or_default();
        usage.length = length;
        usage
    }

    fn pattern(&mut self, rule: usize, needed: &[Needed]) {
        for literal in needed {
            let usage = self.literal(literal.bytes.clone(), literal.caseless);
            usage.add(PatternUse::new(rule, literal));
        }
    }
}
