//! Tokens by what they begin with: `ghp_`, `sk-ant-`, `AKIA`.
//!
//! Hundreds of such prefixes of three and four letters would make the literal
//! database slow: they stand everywhere. But a token is long, and so they need
//! be looked at only where a long enough run of a token's bytes begins, which
//! [`shape::TOKEN`](super::shape::TOKEN) tells: the cost hardly depends on how
//! many there are.

use super::engine::PatternUse;
use std::collections::HashMap;

/// Prefixes by their first two bytes.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    all: Vec<Token>,
    /// What the prefixes begin with.
    pub(super) pairs: Pairs,
    /// Indices into `all`.
    by_pair: HashMap<[u8; 2], Vec<usize>>,
}

/// A prefix and the patterns that begin with it.
#[derive(Debug)]
pub(super) struct Token {
    prefix: Vec<u8>,
    pub(super) uses: Vec<PatternUse>,
}

impl Token {
    /// Bytes of the prefix.
    pub(super) fn length(&self) -> usize {
        self.prefix.len()
    }
}

impl Tokens {
    /// Adds a pattern that begins with `prefix`, of two bytes or more.
    pub(super) fn add(&mut self, prefix: &[u8], usage: PatternUse) {
        if let Some(known) = self.all.iter_mut().find(|token| token.prefix == prefix) {
            known.uses.push(usage);
            return;
        }
        let pair = [prefix[0], prefix[1]];
        self.pairs.insert(prefix[0], prefix[1]);
        self.by_pair.entry(pair).or_default().push(self.all.len());
        self.all.push(Token { prefix: prefix.to_vec(), uses: vec![usage] });
    }

    /// The prefixes that `text` begins with.
    pub(super) fn find(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        let found = match text {
            [first, second, ..] if self.pairs.begin(text) => self.by_pair.get(&[*first, *second]),
            _ => None,
        };
        let found = found.map_or(&[][..], Vec::as_slice);
        found.iter().copied().filter(|&id| text.starts_with(&self.all[id].prefix))
    }

    pub(super) fn get(&self, id: usize) -> &Token {
        &self.all[id]
    }
}

/// Pairs of bytes, a bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs(Vec<u64>);

impl Pairs {
    pub(super) fn insert(&mut self, first: u8, second: u8) {
        self.0.resize(1 << 10, 0);
        let pair = u16::from_be_bytes([second, first]);
        self.0[usize::from(pair >> 6)] |= 1 << (pair & 63);
    }

    /// Whether `text` begins with one of them.
    #[inline]
    pub(super) fn begin(&self, text: &[u8]) -> bool {
        let [first, second, ..] = *text else { return false };
        let pair = u16::from_be_bytes([second, first]);
        self.0.get(usize::from(pair >> 6)).is_some_and(|bits| bits >> (pair & 63) & 1 == 1)
    }
}
