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

/// Literals by the byte next to the root.
#[derive(Debug, Default)]
struct Neighbours {
    bytes: ByteSet,
    /// In lower case, ascending.
    holders: Vec<(u8, Holder)>,
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
        held.iter_mut().for_each(Held::sort);
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
            held.before.push(data, next, start, out);
        }
        if let Some(&next) = data.get(end) {
            held.behind.push(data, next, start, out);
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
        let (side, next) = match holder.lead.checked_sub(1) {
            Some(before) => (&mut self.before, bytes[before]),
            None => (&mut self.behind, bytes[root]),
        };
        side.bytes.insert(next.to_ascii_lowercase());
        side.bytes.insert(next.to_ascii_uppercase());
        side.holders.push((next.to_ascii_lowercase(), holder));
    }

    fn sort(&mut self) {
        for side in [&mut self.before, &mut self.behind] {
            side.holders.sort_by_key(|(next, holder)| (*next, holder.id));
        }
    }
}

impl Neighbours {
    /// Those that stand around the root at `start`, where `next` is next to it.
    fn push(&self, data: &[u8], next: u8, start: usize, out: &mut Vec<(usize, usize)>) {
        if !self.bytes.contains(next) {
            return;
        }
        let next = next.to_ascii_lowercase();
        let from = self.holders.partition_point(|&(byte, _)| byte < next);
        let same = self.holders[from..].iter().take_while(|&&(byte, _)| byte == next);
        out.extend(same.filter_map(|(_, holder)| holder.at(data, start)));
    }
}

impl Holder {
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
