//! What can stand behind a literal in a match of its pattern.
//!
//! A literal such as `pass` hits in every text about passengers. One look at
//! the byte behind it spares most of the trials. The set is found by stepping
//! through the pattern's automaton, all states at once: first over the
//! characters that may come before the literal, then over the literal.

use super::literal::{ByteSet, Needed};
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

/// The bytes that can follow `needed` in a match, too many rather than too
/// few; all of them where the match can end there.
pub(super) fn follow(nfa: &NFA, needed: &Needed) -> ByteSet {
    let mut walk = Walk { nfa, seen: vec![false; nfa.states().len()] };
    let mut current = walk.closure([nfa.start_anchored()]);
    let mut before = Vec::new();
    let (least, most) = needed.offset;
    for characters in 0..=most {
        if characters >= least {
            before.extend_from_slice(&current);
        }
        current = walk.step(&current, |byte| needed.lead.contains(byte));
    }
    let mut states = walk.closure(before);
    // The backslashes are those of a writer that escapes slashes.
    for &byte in needed.bytes.iter().filter(|&&byte| byte != b'\\') {
        let other = if needed.caseless { byte.to_ascii_uppercase() } else { byte };
        states = walk.step(&states, |found| found == byte || found == other);
    }
    let mut follow = ByteSet::default();
    for &state in &states {
        match nfa.state(state) {
            State::Match { .. } => return ByteSet::ALL,
            state => transitions(state, |first, last, _| (first..=last).for_each(|byte| follow.insert(byte))),
        }
    }
    follow
}

struct Walk<'a> {
    nfa: &'a NFA,
    /// By state; all false between calls.
    seen: Vec<bool>,
}

impl Walk<'_> {
    /// The states after one byte that `takes` accepts.
    fn step(&mut self, states: &[StateID], takes: impl Fn(u8) -> bool) -> Vec<StateID> {
        let mut next = Vec::new();
        for &state in states {
            transitions(self.nfa.state(state), |first, last, to| {
                if (first..=last).any(&takes) {
                    next.push(to);
                }
            });
        }
        self.closure(next)
    }

    /// All states reached without a byte. What a look-around asks for is taken
    /// for granted.
    fn closure(&mut self, states: impl IntoIterator<Item = StateID>) -> Vec<StateID> {
        let mut stack: Vec<StateID> = states.into_iter().collect();
        let mut reached = Vec::new();
        while let Some(state) = stack.pop() {
            if std::mem::replace(&mut self.seen[state.as_usize()], true) {
                continue;
            }
            reached.push(state);
            match self.nfa.state(state) {
                State::Look { next, .. } | State::Capture { next, .. } => stack.push(*next),
                State::Union { alternates } => stack.extend(alternates.iter().copied()),
                State::BinaryUnion { alt1, alt2 } => stack.extend([*alt1, *alt2]),
                _ => {}
            }
        }
        for state in &reached {
            self.seen[state.as_usize()] = false;
        }
        reached
    }
}

/// Calls `each` with the byte ranges that lead on from `state`.
fn transitions(state: &State, mut each: impl FnMut(u8, u8, StateID)) {
    match state {
        State::ByteRange { trans } => each(trans.start, trans.end, trans.next),
        State::Sparse(sparse) => sparse.transitions.iter().for_each(|one| each(one.start, one.end, one.next)),
        State::Dense(dense) => {
            for byte in 0..=u8::MAX {
                let to = dense.transitions[usize::from(byte)];
                if to != StateID::ZERO {
                    each(byte, byte, to);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Pattern;

    /// The printable bytes that can follow each literal of `pattern`.
    fn shown(pattern: &str) -> Vec<(String, String)> {
        let pattern = Pattern::compile(pattern).unwrap();
        let needed = pattern.needed.clone().unwrap();
        let follow = |one: &super::Needed| {
            let set = one.follow;
            (0x20..0x7f).filter(|&byte| set.contains(byte)).map(char::from).collect()
        };
        needed.iter().map(|one| (String::from_utf8_lossy(&one.bytes).into_owned(), follow(one))).collect()
    }

    #[test]
    fn what_follows_a_literal_is_known() {
        assert_eq!(shown(r"\btok_[0-9]{4}\b"), [("tok_".into(), "0123456789".into())]);
        assert_eq!(shown(r"(?i)\bpassphrase[0-9]{0,9}="), [("passphrase".into(), "0123456789=".into())]);
        assert_eq!(shown(r"[0-9]{2}-usa[0-9]{1,90}x"), [("-usa".into(), "0123456789".into())]);
        assert_eq!(shown(r"bcd/[0-9]{3}"), [("bcd".into(), "/".into())]);
    }

    #[test]
    fn anything_follows_a_literal_that_ends_a_match() {
        assert_eq!(shown(r"abcd(?:efgh)?")[0].1.len(), 95);
    }
}
