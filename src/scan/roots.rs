//! Which literals stand in the database.
//!
//! Its speed falls with their number: each is one more that a few bytes of text
//! may look like. Many hold another one, as `_token` and `access_token` hold
//! `token`, or differ in case only: those are looked for where that one, their
//! root, was found.

use super::literal::ByteSet;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::ops::Range;

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
    /// Those around it.
    around: Tree,
}

/// Literals by what stands around the root: first the bytes before it, the nearest
/// first, then those behind. What it takes to look one up hardly grows with their
/// number, though dozens hold a word such as `token`.
#[derive(Debug, Default)]
struct Tree {
    /// The first is for the root by itself. Those of one level follow those of the
    /// level before.
    nodes: Vec<Node>,
    holders: Vec<Holder>,
}

/// Where some bytes around the root lead.
#[derive(Debug, Default)]
struct Node {
    /// The bytes that may come next on the same side, in lower case.
    next: ByteSet,
    /// See [`ByteSet::below`].
    below: [u8; 4],
    /// The node of the lowest of them; those of the others follow in order.
    first: u32,
    /// On the side before the root: the node for the side behind it, where there are
    /// any, at which no byte there is read yet.
    behind: Option<NonZeroU32>,
    /// The holders that have no further byte.
    holders: Range<u32>,
}

/// The way to a literal in the tree: its bytes before the root, the nearest first, and
/// those behind. That they go to the other side is a step of its own.
type Way = Vec<Step>;

/// Literals by their ways.
type Group = Vec<(Way, Vec<Holder>)>;

/// One step of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Behind,
    Byte(u8),
}

/// A literal that holds a root.
#[derive(Clone, Debug)]
struct Holder {
    id: usize,
    /// Bytes of it before the root.
    lead: usize,
    length: usize,
    /// Its bytes, where case counts.
    cased: Option<Box<[u8]>>,
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
        let mut same = vec![None; roots.len()];
        let mut around = vec![BTreeMap::<Way, Vec<Holder>>::new(); roots.len()];
        for (id, key) in keys.iter().enumerate() {
            if let Some(&root) = ids.get(key) {
                same[root] = Some(id);
                continue;
            }
            let of_any_case = ids.get(&caseless(&key.0)).map(|&root| (root, 0));
            let Some((root, lead)) = of_any_case.or_else(|| inner(key, |part| ids.get(part).copied())) else {
                // Cannot be: what is no root holds one.
                continue;
            };
            let cased = (!key.1).then(|| key.0.clone().into());
            let holder = Holder { id, lead, length: key.0.len(), cased };
            around[root].entry(way(&key.0, lead, roots[root].0.len())).or_default().push(holder);
        }
        let trees = around.into_iter().map(|added| Tree::of(added.into_iter().collect()));
        let held = same.into_iter().zip(trees).map(|(same, around)| Held { same, around }).collect();
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
        held.around.push(data, start..end, out);
    }
}

impl Tree {
    /// That of literals in the order of their ways.
    fn of(added: Group) -> Self {
        let mut tree = Self::default();
        // Those that one node is for, and how many of their steps lead to it.
        let mut groups: VecDeque<_> = (!added.is_empty()).then_some((added, 0)).into_iter().collect();
        while let Some((group, depth)) = groups.pop_front() {
            let known = tree.nodes.len() + 1 + groups.len();
            let (node, further) = tree.node(group, depth, known);
            tree.nodes.push(node);
            groups.extend(further.into_iter().map(|group| (group, depth + 1)));
        }
        tree.nodes.shrink_to_fit();
        tree.holders.shrink_to_fit();
        tree
    }

    /// The node of a group, where so many are known before its own children, and the
    /// groups of those, in their order.
    fn node(&mut self, group: Group, depth: usize, known: usize) -> (Node, Vec<Group>) {
        let mut node = Node { first: index(known), ..Node::default() };
        let mut further: Vec<Group> = Vec::new();
        let (from, mut last) = (self.holders.len(), None);
        for (way, holders) in group {
            let Some(&step) = way.get(depth) else {
                self.holders.extend(holders);
                continue;
            };
            match step {
                Step::Behind => (node.behind, node.first) = (NonZeroU32::new(index(known)), index(known + 1)),
                Step::Byte(byte) => node.next.insert(byte),
            }
            if last.replace(step) != Some(step) {
                further.push(Vec::new());
            }
            if let Some(group) = further.last_mut() {
                group.push((way, holders));
            }
        }
        node.below = node.next.below();
        node.holders = index(from)..index(self.holders.len());
        (node, further)
    }

    /// Appends those that stand around the root at `root` of `data`, and where they end.
    fn push(&self, data: &[u8], root: Range<usize>, out: &mut Vec<(usize, usize)>) {
        let Some(mut node) = self.nodes.first() else { return };
        let mut before = data[..root.start].iter().rev();
        loop {
            self.stand(node, data, root.start, out);
            if let Some(behind) = node.behind {
                self.push_behind(behind.get() as usize, data, &root, out);
            }
            let Some(next) = before.next().and_then(|&byte| self.child(node, byte)) else { return };
            node = next;
        }
    }

    /// The same, of those whose bytes before the root lead to `node`.
    fn push_behind(&self, node: usize, data: &[u8], root: &Range<usize>, out: &mut Vec<(usize, usize)>) {
        let mut node = &self.nodes[node];
        for &byte in &data[root.end..] {
            let Some(next) = self.child(node, byte) else { return };
            node = next;
            self.stand(node, data, root.start, out);
        }
    }

    #[inline]
    fn child(&self, node: &Node, byte: u8) -> Option<&Node> {
        let rank = node.next.rank(node.below, byte.to_ascii_lowercase())?;
        self.nodes.get((node.first + rank) as usize)
    }

    /// Appends the holders of a node that case does not rule out.
    #[inline]
    fn stand(&self, node: &Node, data: &[u8], root: usize, out: &mut Vec<(usize, usize)>) {
        for holder in &self.holders[node.holders.start as usize..node.holders.end as usize] {
            out.extend(holder.at(data, root));
        }
    }
}

impl Holder {
    /// The literal and where it ends, of one whose way leads there from the root at
    /// `root`: as it is written, where case counts.
    fn at(&self, data: &[u8], root: usize) -> Option<(usize, usize)> {
        let start = root.checked_sub(self.lead)?;
        let end = start + self.length;
        let stands = self.cased.as_deref().is_none_or(|bytes| data.get(start..end) == Some(bytes));
        stands.then_some((self.id, end))
    }
}

/// The way of a literal of these bytes, `lead` of them before its root of so many.
fn way(bytes: &[u8], lead: usize, root: usize) -> Way {
    let (before, rest) = bytes.split_at(lead);
    let behind = &rest[root..];
    let byte = |byte: &u8| Step::Byte(byte.to_ascii_lowercase());
    let other_side = (!behind.is_empty()).then_some(Step::Behind);
    before.iter().rev().map(byte).chain(other_side).chain(behind.iter().map(byte)).collect()
}

/// An index; there are far fewer than that.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
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
