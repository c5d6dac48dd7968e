//! Which literals stand in the database.
//!
//! Its speed falls with their number: each is one more that a few bytes of text
//! may look like. Many hold another one, as `_token` and `access_token` hold
//! `token`, or differ in case only: those are looked for where that one, their
//! root, was found.

use super::literal::ByteSet;
use std::collections::{BTreeMap, BTreeSet};

/// A literal: its bytes, in lower case where case is ignored, and whether it is.
pub(super) type Key = (Vec<u8>, bool);

/// Roots are no shorter, as literals are.
const SHORTEST: usize = 3;

/// What the database looks for, and the literals that are told by it.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// In a fixed order.
    keys: Vec<Key>,
    /// By root.
    held: Vec<Held>,
}

/// The literals that hold a root.
#[derive(Debug, Default)]
struct Held {
    /// The root itself, if it is one.
    same: Option<usize>,
    /// Of the same length: case counts.
    cased: Vec<Holder>,
    /// Those that begin before it.
    before: Neighbours,
    /// Those that begin with it.
    behind: Neighbours,
}

/// Literals by the bytes next to the root.
#[derive(Debug, Default)]
struct Neighbours {
    bytes: ByteSet,
    /// What each holder wants to see there, by the nearest byte, ascending: side by
    /// side, since most text next to a root rules all of them out.
    near: Vec<Near>,
    /// In the same order.
    holders: Vec<Holder>,
}

/// Some bytes of a literal next to its root, the nearest lowest, with [`CASE`] in each.
#[derive(Clone, Copy, Debug)]
struct Near {
    bytes: u32,
    mask: u32,
}

/// Letters that differ in this bit only are the same letter.
const CASE: u32 = 0x2020_2020;

impl Near {
    /// Of the text behind a root.
    fn behind(text: &[u8]) -> Self {
        match text.first_chunk() {
            Some(&bytes) => Self { bytes: u32::from_le_bytes(bytes) | CASE, mask: u32::MAX },
            None => Self::of(text.iter().copied()),
        }
    }

    /// Of the text before a root.
    fn before(text: &[u8]) -> Self {
        match text.last_chunk() {
            Some(&bytes) => Self { bytes: u32::from_be_bytes(bytes) | CASE, mask: u32::MAX },
            None => Self::of(text.iter().rev().copied()),
        }
    }

    /// Of `bytes`, the nearest first.
    fn of(bytes: impl Iterator<Item = u8>) -> Self {
        let bytes = bytes.take(4).enumerate();
        let one = |near: Self, (index, byte): (usize, u8)| Self {
            bytes: near.bytes | u32::from(byte) << (8 * index),
            mask: near.mask | 0xff << (8 * index),
        };
        let near = bytes.fold(Self { bytes: 0, mask: 0 }, one);
        Self { bytes: near.bytes | CASE & near.mask, ..near }
    }

    fn nearest(self) -> u32 {
        self.bytes & 0xff
    }

    /// Whether a literal with this may stand where these bytes of the text do.
    fn may_be(self, text: Self) -> bool {
        text.bytes & self.mask == self.bytes
    }
}

/// A literal that holds a root.
#[derive(Debug)]
struct Holder {
    id: usize,
    /// Bytes of it before the root.
    lead: usize,
    key: Key,
}

impl Roots {
    /// The roots of `keys`, whose ids are their indices.
    pub(super) fn of(keys: &[Key]) -> Self {
        let shared = shared_but_for_case(keys);
        let unshared = |key: &Key| if shared.contains(&lower(&key.0)) { caseless(&key.0) } else { key.clone() };
        let all: BTreeSet<Key> = keys.iter().map(unshared).collect();
        let is_root = |key: &&Key| inner(key, |part| all.contains(part).then_some(())).is_none();
        let roots: Vec<Key> = all.iter().filter(is_root).cloned().collect();
        let ids: BTreeMap<&Key, usize> = roots.iter().enumerate().map(|(id, key)| (key, id)).collect();
        let mut held: Vec<Held> = roots.iter().map(|_| Held::default()).collect();
        for (id, key) in keys.iter().enumerate() {
            if let Some(&root) = ids.get(key) {
                held[root].same = Some(id);
                continue;
            }
            let of_any_case = ids.get(&caseless(&key.0)).map(|&root| (root, 0));
            let Some((root, lead)) = of_any_case.or_else(|| inner(key, |part| ids.get(part).copied())) else {
                // Cannot be: what is no root holds one.
                continue;
            };
            held[root].add(Holder { id, lead, key: key.clone() }, roots[root].0.len());
        }
        held.iter_mut().zip(&roots).for_each(|(held, root)| held.sort(root.0.len()));
        Self { keys: roots, held }
    }

    /// What the database looks for.
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Appends the literals that stand in `data` around the root that ends at `end`.
    pub(super) fn push(&self, data: &[u8], (root, end): (usize, usize), out: &mut Vec<(usize, usize)>) {
        let held = &self.held[root];
        let start = end - self.keys[root].0.len();
        out.extend(held.same.map(|id| (id, end)));
        out.extend(held.cased.iter().filter_map(|holder| holder.at(data, start)));
        if let Some(&next) = start.checked_sub(1).and_then(|before| data.get(before)) {
            held.before.push(data, next, start, || Near::before(&data[..start]), out);
        }
        if let Some(&next) = data.get(end) {
            held.behind.push(data, next, start, || Near::behind(&data[end..]), out);
        }
    }
}

impl Held {
    fn add(&mut self, holder: Holder, root: usize) {
        let bytes = &holder.key.0;
        if bytes.len() == root {
            self.cased.push(holder);
            return;
        }
        let side = if holder.lead > 0 { &mut self.before } else { &mut self.behind };
        let next = holder.beside(root).next().unwrap_or_default();
        side.bytes.insert(next.to_ascii_lowercase());
        side.bytes.insert(next.to_ascii_uppercase());
        side.holders.push(holder);
    }

    fn sort(&mut self, root: usize) {
        for side in [&mut self.before, &mut self.behind] {
            let near = |holder: &Holder| Near::of(holder.beside(root));
            side.holders.sort_by_key(|holder| (near(holder).nearest(), holder.id));
            side.near = side.holders.iter().map(near).collect();
        }
    }
}

impl Neighbours {
    /// Those that stand around the root at `start`, where `next` is next to it, and
    /// `text` tells what else.
    fn push(&self, data: &[u8], next: u8, start: usize, text: impl Fn() -> Near, out: &mut Vec<(usize, usize)>) {
        if !self.bytes.contains(next) {
            return;
        }
        let text = text();
        let from = self.near.partition_point(|near| near.nearest() < text.nearest());
        let alike = self.near[from..].iter().take_while(|near| near.nearest() == text.nearest());
        for (near, holder) in alike.zip(&self.holders[from..]) {
            if near.may_be(text) {
                out.extend(holder.at(data, start));
            }
        }
    }
}

impl Holder {
    /// Its bytes next to the root, of so many bytes, the nearest first: those before
    /// it, or else those behind.
    fn beside(&self, root: usize) -> impl Iterator<Item = u8> + '_ {
        let (before, rest) = self.key.0.split_at(self.lead);
        let behind = if before.is_empty() { rest.get(root..).unwrap_or_default() } else { &[] };
        before.iter().rev().chain(behind).copied()
    }

    /// The literal and where it ends, if it stands around the root at `root`.
    fn at(&self, data: &[u8], root: usize) -> Option<(usize, usize)> {
        let (bytes, caseless) = &self.key;
        let start = root.checked_sub(self.lead)?;
        let end = start + bytes.len();
        let found = data.get(start..end)?;
        let stands = if *caseless { found.eq_ignore_ascii_case(bytes) } else { found == bytes };
        stands.then_some((self.id, end))
    }
}

fn lower(bytes: &[u8]) -> Vec<u8> {
    bytes.to_ascii_lowercase()
}

fn caseless(bytes: &[u8]) -> Key {
    (lower(bytes), true)
}

/// What several keys are in lower case.
fn shared_but_for_case(keys: &[Key]) -> BTreeSet<Vec<u8>> {
    let mut number = BTreeMap::<Vec<u8>, usize>::new();
    for (bytes, _) in keys {
        *number.entry(lower(bytes)).or_default() += 1;
    }
    number.into_iter().filter(|&(_, number)| number > 1).map(|(bytes, _)| bytes).collect()
}

/// What `find` knows of the longest literal that `key` holds and that is found
/// wherever `key` stands, and how many bytes of `key` stand before it.
fn inner<T>(key: &Key, find: impl Fn(&Key) -> Option<T>) -> Option<(T, usize)> {
    let (bytes, caseless_key) = key;
    let length = bytes.len();
    for size in (SHORTEST..length).rev() {
        for start in 0..=length - size {
            let part = &bytes[start..start + size];
            let with_case = (!caseless_key).then(|| (part.to_vec(), false)).and_then(|part| find(&part));
            if let Some(found) = with_case.or_else(|| find(&caseless(part))) {
                return Some((found, start));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(words: &[(&str, bool)]) -> Vec<Key> {
        words.iter().map(|&(word, caseless)| (word.as_bytes().to_vec(), caseless)).collect()
    }

    fn stands(data: &[u8], start: usize, (bytes, caseless): &Key) -> bool {
        let found = data.get(start..start + bytes.len());
        found.is_some_and(|found| if *caseless { found.eq_ignore_ascii_case(bytes) } else { found == bytes })
    }

    /// What `push` gives for every place of every root.
    fn by_roots(keys: &[Key], data: &[u8]) -> Vec<(usize, usize)> {
        let roots = Roots::of(keys);
        let mut found = Vec::new();
        for (root, key) in roots.keys().iter().enumerate() {
            for start in (0..data.len()).filter(|&start| stands(data, start, key)) {
                roots.push(data, (root, start + key.0.len()), &mut found);
            }
        }
        found.sort_unstable();
        found
    }

    fn one_by_one(keys: &[Key], data: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (id, key) in keys.iter().enumerate() {
            let places = (0..data.len()).filter(|&start| stands(data, start, key));
            found.extend(places.map(|start| (id, start + key.0.len())));
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn what_holds_another_or_differs_in_case_is_no_root() {
        let keys = keys(&[
            ("token", true),
            ("_token", true),
            ("Bot token", false),
            ("exa", false),
            ("EXA", false),
            ("exact", false),
            ("ghost", true),
        ]);
        let roots = Roots::of(&keys);
        let shown: Vec<_> = roots.keys().iter().map(|(bytes, _)| String::from_utf8_lossy(bytes)).collect();
        assert_eq!(shown, ["exa", "ghost", "token"]);
    }

    #[test]
    fn a_word_that_ignores_case_is_not_told_by_one_that_does_not() {
        let keys = keys(&[("key", false), ("monkey", true)]);
        assert_eq!(Roots::of(&keys).keys().len(), 2);
    }

    proptest! {
        #[test]
        fn each_literal_is_told_once_wherever_it_stands(
            words in prop::collection::btree_set(("[aAbB_]{3,6}", any::<bool>()), 1..12),
            data in "[aAbB_]{0,60}",
        ) {
            let keys: BTreeSet<Key> = words
                .iter()
                .map(|(word, caseless)| (if *caseless { word.to_lowercase() } else { word.clone() }, *caseless))
                .map(|(word, caseless)| (word.into_bytes(), caseless))
                .collect();
            let keys: Vec<Key> = keys.into_iter().collect();
            prop_assert_eq!(by_roots(&keys, data.as_bytes()), one_by_one(&keys, data.as_bytes()));
        }
    }
}
