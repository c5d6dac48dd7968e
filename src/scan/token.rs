//! Tokens by what they begin with: `ghp_`, `sk-ant-`, `AKIA`.
//!
//! Hundreds of such prefixes of three and four letters would make the literal
//! database slow: they stand everywhere. But a token is long, and so they need
//! be looked at only where a long enough run of a token's bytes begins, which
//! [`shape::TOKEN`](super::shape::TOKEN) tells: the cost hardly depends on how
//! many there are.

use super::engine::PatternUse;
use super::literal::{self, ByteSet, Letters, Needed};
use super::shape::{TOKEN_RUN, is_token_byte, is_word_byte};
use regex_syntax::hir::{Hir, HirKind, Look};

/// Prefixes by their first two bytes.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    all: Vec<Token>,
    /// What the prefixes begin with.
    pub(super) pairs: Pairs,
    /// Those that are told without a prefix.
    watched: Pairs,
    /// Indices into `all`, by the rank of the pair.
    by_pair: Vec<Vec<usize>>,
}

/// A prefix and the patterns that begin with it.
#[derive(Debug)]
pub(super) struct Token {
    prefix: Vec<u8>,
    /// With what the patterns begin.
    opening: Opening,
    pub(super) uses: Vec<PatternUse>,
}

impl Token {
    /// Bytes of the prefix.
    pub(super) fn length(&self) -> usize {
        self.prefix.len()
    }
}

impl Tokens {
    /// Adds a pattern that begins with `prefix`, of two bytes or more, and with
    /// such a `run`.
    pub(super) fn add(&mut self, prefix: &[u8], usage: PatternUse, run: &Opening) {
        if let Some(known) = self.all.iter_mut().find(|token| token.prefix == prefix) {
            known.uses.push(usage);
            known.opening.widen(run);
            return;
        }
        let id = self.all.len();
        self.list([prefix[0], prefix[1]]).push(id);
        self.all.push(Token { prefix: prefix.to_vec(), opening: run.clone(), uses: vec![usage] });
    }

    /// Has runs told that begin with one of `pairs`, which no pattern does.
    pub(super) fn watch(&mut self, pairs: impl IntoIterator<Item = [u8; 2]>) {
        for pair in pairs {
            self.list(pair);
            self.watched.insert(pair);
        }
    }

    /// Whether `text` begins as some token does, or with a pair that is watched.
    #[inline]
    pub(super) fn begin(&self, text: &[u8]) -> bool {
        self.pairs.begin(text) && (self.watched.begin(text) || self.find(text).next().is_some())
    }

    /// The prefixes that begin with `pair`.
    fn list(&mut self, pair: [u8; 2]) -> &mut Vec<usize> {
        let (rank, is_new) = self.pairs.insert(pair);
        if is_new {
            self.by_pair.insert(rank, Vec::new());
        }
        &mut self.by_pair[rank]
    }

    /// The prefixes that `text` begins with, and goes on as their patterns can.
    pub(super) fn find(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        let found = self.pairs.rank(text).map_or(&[][..], |rank| &self.by_pair[rank]);
        let fits = |token: &Token| text.starts_with(&token.prefix) && token.opening.may_begin(text);
        found.iter().copied().filter(move |&id| fits(&self.all[id]))
    }

    pub(super) fn get(&self, id: usize) -> &Token {
        &self.all[id]
    }
}

/// The bytes with which all matches of some patterns begin, at least so many.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    bytes: ByteSet,
    length: usize,
}

impl Opening {
    /// What every match of a pattern begins with, if [`shape::TOKEN`] sees them
    /// all: a match begins a word, with one of `needed` as it is, and its first
    /// bytes are a token's.
    ///
    /// [`shape::TOKEN`]: super::shape::TOKEN
    pub(super) fn of(hir: &Hir, needed: &[Needed]) -> Option<Self> {
        let parts = literal::flatten(hir);
        let begins = matches!(parts.first().map(Hir::kind), Some(HirKind::Look(Look::WordAscii)));
        let is_first = |one: &Needed| {
            let plain = one.bytes.iter().copied().all(is_token_byte);
            plain && one.bytes.first().is_some_and(|&b| is_word_byte(b)) && one.offset == (0, 0) && !one.caseless
        };
        let mut opening = Self { bytes: ByteSet::default(), length: 0 };
        for part in &parts {
            let some = literal::bytes_of_all(std::slice::from_ref(part));
            if !some.all(is_token_byte) {
                break;
            }
            opening.bytes.unite(&some);
            opening.length += part.properties().minimum_len().unwrap_or(0);
        }
        (begins && needed.iter().all(is_first) && opening.length >= TOKEN_RUN).then_some(opening)
    }

    fn widen(&mut self, other: &Self) {
        self.bytes.unite(&other.bytes);
        self.length = self.length.min(other.length);
    }

    /// Whether such a run may stand at the beginning of `text`, as far as it goes
    /// without escapes: it may be any other token, or too short.
    fn may_begin(&self, text: &[u8]) -> bool {
        let plain = text.iter().take(self.length).take_while(|byte| !matches!(byte, b'\\' | b'%'));
        plain.copied().all(|byte| self.bytes.contains(byte))
    }
}

/// Pairs of bytes, a bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    bits: Vec<u64>,
    /// How many pairs are in the words before each.
    before: Vec<usize>,
    /// Those of all literals.
    pub(super) letters: Letters,
}

impl Pairs {
    /// Adds a pair; its rank among all, and whether it is new.
    pub(super) fn insert(&mut self, pair: [u8; 2]) -> (usize, bool) {
        self.bits.resize(1 << 10, 0);
        self.before.resize(1 << 10, 0);
        let (word, bit) = Self::place(pair);
        let is_new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        self.before[word + 1..].iter_mut().for_each(|before| *before += usize::from(is_new));
        (self.rank_at(word, bit), is_new)
    }

    /// Whether `text` begins with one of them.
    #[inline]
    fn begin(&self, text: &[u8]) -> bool {
        let [first, second, ..] = *text else { return false };
        let (word, bit) = Self::place([first, second]);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// How many of them are lower than the one that `text` begins with, if it does.
    fn rank(&self, text: &[u8]) -> Option<usize> {
        let [first, second, ..] = *text else { return None };
        let (word, bit) = Self::place([first, second]);
        self.begin(text).then(|| self.rank_at(word, bit))
    }

    fn rank_at(&self, word: usize, bit: u64) -> usize {
        self.before[word] + (self.bits[word] & (bit - 1)).count_ones() as usize
    }

    /// The word, and the bit in it.
    fn place(pair: [u8; 2]) -> (usize, u64) {
        let pair = u16::from_le_bytes(pair);
        (usize::from(pair >> 6), 1 << (pair & 63))
    }
}
