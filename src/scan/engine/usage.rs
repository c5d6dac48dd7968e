//! What a literal of the database stands for, and what tells at a glance that nothing
//! comes of it where it was found.

use super::super::literal::{ByteSet, Needed};
use super::super::place::{NEAR, can_end_escape};
use super::super::{late, packed, zipped};
use crate::simd::BLOCK;

/// What one literal of the database stands for.
#[derive(Debug, Default)]
pub(in crate::scan) struct LiteralUse {
    pub(in crate::scan) length: usize,
    /// Rules whose pattern needs it.
    pub(in crate::scan) patterns: Vec<PatternUse>,
    /// What these ask of the bytes around it.
    around: Option<Box<Around>>,
    /// Part of a member name.
    pub(in crate::scan) key: Option<KeyUse>,
    /// The start of a private key block, with its rule.
    pub(in crate::scan) private_key: Option<usize>,
    /// The name that bytes of OTLP stand under.
    pub(in crate::scan) bytes: bool,
    /// How compressed bytes begin.
    pub(in crate::scan) zipped: bool,
    /// How compressed text begins in base64.
    pub(in crate::scan) packed: bool,
    /// The name that stands before a value whose own name may follow.
    pub(in crate::scan) value: bool,
}

impl LiteralUse {
    /// Whether anything can come of it where it ends at `end` of `data`, as
    /// [`PatternUse::may_lead`] and [`PatternUse::goes_on`].
    pub(in crate::scan) fn goes_on(&self, data: &[u8], end: usize, room: impl Fn() -> usize) -> bool {
        let (before, next) = (&data[..end - self.length], data.get(end));
        self.bytes
            || self.packed && packed::begins_behind(packed::before(data, before.len()))
            || self.value && late::may_open(data, before.len())
            || self.zipped && zipped::may_begin(data, before.len())
            || self.key.is_some()
            || self.private_key.is_some()
            || self.around.as_ref().is_none_or(|around| around.may_match(before, next))
                && self.patterns.iter().any(|usage| usage.goes_on(next, &room) && usage.may_lead(before))
    }

    /// Adds a rule whose pattern needs it.
    pub(in crate::scan) fn add(&mut self, usage: PatternUse) {
        // Most literals have one use, and there are thousands.
        self.patterns.reserve_exact(1);
        self.patterns.push(usage);
        match &mut self.around {
            Some(around) => around.add(self.patterns.len() - 1, &usage),
            None if self.patterns.len() == MANY => self.around = Some(Box::new(Around::of(&self.patterns))),
            None => {}
        }
    }
}

/// From so many uses on a table is worth its memory, of 4 KiB.
const MANY: usize = 6;

/// By each byte next to a literal, the uses of it that it does not rule out, of each a
/// bit: dozens of rules hang on words such as `token`, and most text rules out all of them
/// at once.
#[derive(Debug)]
struct Around {
    before: [u64; 256],
    behind: [u64; 256],
}

impl Around {
    fn of(usages: &[PatternUse]) -> Self {
        let mut around = Self { before: [0; 256], behind: [0; 256] };
        usages.iter().enumerate().for_each(|(index, usage)| around.add(index, usage));
        around
    }

    /// Adds the use at `index`. Those beyond 64 share bits with others, which rules out less.
    fn add(&mut self, index: usize, usage: &PatternUse) {
        let bit = 1 << (index % 64);
        for byte in 0..=u8::MAX {
            let at = usize::from(byte);
            self.before[at] |= if usage.offset.0 == 0 || usage.lead.contains(byte) { bit } else { 0 };
            self.behind[at] |= if usage.follow.contains(byte) { bit } else { 0 };
        }
    }

    /// Whether [`PatternUse::may_lead`] and [`PatternUse::goes_on`] may both say yes for
    /// one of the uses.
    fn may_match(&self, before: &[u8], next: Option<&u8>) -> bool {
        let going_on = match next {
            Some(&next) if !is_escape(next) => self.behind[usize::from(next)],
            _ => u64::MAX,
        };
        let led = before.last().map_or(u64::MAX, |&last| self.before[usize::from(last)]);
        going_on & led != 0 || going_on != 0 && is_hidden(before)
    }
}

/// What part of a member name a literal is.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::scan) struct KeyUse {
    /// Some names are this literal and nothing else.
    pub(in crate::scan) alone: bool,
    /// Some names begin with it.
    pub(in crate::scan) head: bool,
}

/// How a rule's pattern needs a literal.
#[derive(Clone, Copy, Debug)]
pub(in crate::scan) struct PatternUse {
    pub(in crate::scan) rule: usize,
    /// Characters between the start of the match and the literal: at least, at most.
    pub(in crate::scan) offset: (usize, usize),
    /// The bytes that those can be.
    pub(in crate::scan) lead: ByteSet,
    /// The bytes that can stand behind the literal.
    pub(in crate::scan) follow: ByteSet,
    /// Bytes that must stand behind it before the next fence; at most
    /// [`BLOCK`].
    pub(in crate::scan) rest: usize,
}

impl PatternUse {
    pub(in crate::scan) fn new(rule: usize, literal: &Needed) -> Self {
        // Raw bytes are no fewer than those of the text.
        let rest = literal.rest.min(BLOCK);
        Self { rule, offset: literal.offset, lead: literal.lead, follow: literal.follow, rest }
    }

    /// Whether a match can go on with `next`, the raw byte behind the literal (what
    /// an escape means is not looked at), in the `room` before the next fence.
    pub(in crate::scan) fn goes_on(&self, next: Option<&u8>, room: impl Fn() -> usize) -> bool {
        next.is_none_or(|&next| is_escape(next) || self.follow.contains(next)) && self.rest <= room()
    }

    /// Whether a match can have begun in `before`, the raw bytes before the literal, as
    /// far as the last one tells, or an escape near it hides what it is.
    #[inline]
    pub(in crate::scan) fn may_lead(&self, before: &[u8]) -> bool {
        self.offset.0 == 0 || before.last().is_some_and(|&last| self.lead.contains(last)) || is_hidden(before)
    }
}

/// Whether an escape may begin with this byte.
fn is_escape(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%')
}

/// Whether an escape may hide what stands at the end of `before`.
fn is_hidden(before: &[u8]) -> bool {
    before.last().is_some_and(|&last| can_end_escape(last))
        && before.iter().rev().take(NEAR).any(|&byte| is_escape(byte))
}
