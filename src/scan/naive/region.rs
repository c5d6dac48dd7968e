//! Values under key rules, private key blocks, and tokens longer than the
//! look-ahead, found the plain way.

use super::super::check::Value;
use super::super::delimiter::Delimiter;
use super::super::detector::private_key;
use super::super::key::{LONGEST_NAME, is_in_name, whole_unit};
use super::super::late::{self, Late};
use super::super::region::{FOOTER_REACH, LONGEST_FOOTER};
use super::super::resolve::Wrap;
use super::super::unit::Meaning;
use super::super::walk::{Step, Walk};
use super::super::{Format, LOOKAHEAD};
use super::Search;
use super::document::Text;
use super::folded::folded_units;
use crate::validator::is_placeholder;
use std::ops::Range;

/// A secret that beats every match.
pub(super) struct Region {
    pub(super) span: Range<usize>,
    /// Where what it belongs to begins: a member's name.
    pub(super) begins: usize,
    pub(super) rule: usize,
    pub(super) wrap: Wrap,
}

/// What a region may begin with.
#[derive(Clone, Copy)]
enum Opener {
    /// A member name: the walk from it, and the unit behind its closing quote.
    Key { walk: Walk, behind: usize },
    /// The same of `value`, where the name that counts stands behind the value.
    Late { walk: Walk, behind: usize },
    /// The unit at which a block's begin line starts, and the rule.
    PrivateKey { at: usize, rule: usize },
    /// Index of a candidate.
    Tail(usize),
    /// Index of what a second reading found.
    Folded(usize),
}

impl Search<'_> {
    /// Values under key rules, private key blocks and what is longer than the
    /// look-ahead, from left to right.
    pub(super) fn find_regions(&mut self) {
        let mut openers = self.names();
        openers.extend(self.private_keys());
        let open = self.candidates.iter().enumerate().filter(|(_, candidate)| candidate.open);
        openers.extend(open.map(|(index, candidate)| (candidate.whole_start, Opener::Tail(index))));
        let heads = self.folded.iter().enumerate().filter(|(_, folded)| folded.is_head);
        openers.extend(heads.map(|(index, folded)| (folded.at, Opener::Folded(index))));
        openers.sort_by_key(|&(at, _)| at);
        // Of tails: from where the match begins to its secret. Of members: the names.
        let mut leads: Vec<Range<usize>> = Vec::new();
        let mut members: Vec<Range<usize>> = Vec::new();
        for (at, opener) in openers {
            if self.is_taken(at) {
                continue;
            }
            match opener {
                // The match has begun before the name, and goes on behind it.
                Opener::Key { .. } | Opener::Late { .. } if leads.iter().any(|lead| lead.contains(&at)) => {}
                Opener::Key { walk, behind } => {
                    let end = self.document.start(behind);
                    let step = { walk }.advance(self.document.raw, end, true);
                    members.extend((!matches!(step, Step::Over(_))).then_some(at..end));
                    self.take_values(walk, behind);
                }
                // A name before it has led to the same value.
                Opener::Late { .. } if self.is_passed(at) => {}
                Opener::Late { walk, behind } => self.take_values(walk, behind),
                Opener::PrivateKey { at: head, rule } => {
                    let line = private_key::head(&self.line(head, 512), 0).map_or(0, |line| line.end);
                    let span = at..self.block_end(head + line);
                    if !self.is_valid(rule, &Value::whole(None, span.clone())) {
                        continue;
                    }
                    self.regions.push(Region { begins: at, span, rule, wrap: Wrap::Plain });
                }
                // The value goes on behind quotes that would end the tail.
                Opener::Tail(_) if members.iter().any(|name| name.contains(&at)) => {}
                // Of two tails with one secret the first has it.
                Opener::Tail(index) if self.is_taken(self.candidates[index].secret.start) => {}
                Opener::Tail(index) => {
                    let before = self.regions.len();
                    self.take_tail(index);
                    leads.extend(self.regions.get(before).map(|tail| at..tail.span.start));
                }
                Opener::Folded(index) => self.take_block(index),
            }
        }
        // What stands in a value of an array comes after what follows it.
        self.regions.sort_by_key(|region| region.span.start);
    }

    /// Whether `at` lies in a region.
    fn is_taken(&self, at: usize) -> bool {
        self.regions.iter().any(|region| region.span.contains(&at))
    }

    /// Whether a value that lies behind `at` has been taken under a name before it.
    fn is_passed(&self, at: usize) -> bool {
        self.regions.iter().any(|region| region.begins < at && at < region.span.end)
    }

    /// The member names that a key rule knows.
    fn names(&self) -> Vec<(usize, Opener)> {
        let document = self.document;
        let mut names = Vec::new();
        for open in 0..document.units.len() {
            let Some(quote) = document.delimiter(open) else { continue };
            let units = document.units[open + 1..].iter().take_while(|(_, unit)| is_in_name(unit.meaning)).count();
            let close = open + 1 + units;
            let name = Text::of(&document.units[open + 1..close]).bytes;
            let spelled = || {
                let lower = name.to_ascii_lowercase();
                self.plain.spellings.iter().any(|spelling| spelling.fits(&lower))
            };
            if document.delimiter(close) == Some(quote)
                && name.len() <= LONGEST_NAME
                && spelled()
                && let Some(rules) = self.engine.key_rules(&name, |_| false)
            {
                let begins = document.start(open + 1);
                let walk = Walk::new(rules, quote, begins as u64, &name);
                names.push((begins, Opener::Key { walk, behind: close + 1 }));
            } else if document.delimiter(close) == Some(quote)
                && let Some(walk) = self.late(open, (close, quote), &name)
            {
                names.push((document.start(open + 1), Opener::Late { walk, behind: close + 1 }));
            }
        }
        names
    }

    /// The walk from `name`, whose quotes are the units at `open` and `close`, where it is
    /// `value` and the name that counts stands behind.
    fn late(&self, open: usize, (close, quote): (usize, Delimiter), name: &[u8]) -> Option<Walk> {
        let (begins, behind) = (self.document.start(open + 1), self.document.start(close + 1));
        let raw = self.document.raw;
        let is_first = late::is_value(name) && late::opens_object(&raw[..begins]);
        if !is_first || self.engine.key_rules(name, |_| false).is_some() {
            return None;
        }
        let rules = |name: &[u8]| self.engine.key_rules(name, |_| false);
        let mut text = Vec::new();
        let found = late::name_near(raw, behind, quote, true, |name| rules(name).is_some(), &mut text);
        let rules = rules(&text).filter(|_| found == Late::Name)?;
        Some(Walk::to_value(rules, quote, begins as u64))
    }

    fn private_keys(&self) -> Vec<(usize, Opener)> {
        let Some(rule) = self.plain.private_key else { return Vec::new() };
        let starts = (0..self.document.units.len()).filter(|&at| self.document.is(at, b'-'));
        starts
            .filter(|&at| private_key::head(&self.line(at, 512), 0).is_some())
            .map(|at| (self.document.start(at), Opener::PrivateKey { at, rule }))
            .collect()
    }

    /// The text from the unit at `at` on, of as many units at most, up to a
    /// fence.
    fn line(&self, at: usize, most: usize) -> Vec<u8> {
        let end =
            (at..self.document.units.len()).take(most).take_while(|&index| !self.document.is_fence(index)).count();
        Text::of(&self.document.units[at..at + end]).bytes
    }

    /// Where a private key block ends whose begin line ends before the unit at
    /// `behind`.
    fn block_end(&self, behind: usize) -> usize {
        // A block goes over lines, in text too.
        let fence = |at: usize| self.document.format != Format::Text && self.document.is_fence(at);
        let mut at = behind;
        while at < self.document.units.len() && !fence(at) {
            if let Some(end) = self.footer_end(at) {
                return end;
            }
            let (units, byte) = match (folded_units(&self.document.units[at..]), self.document.meaning(at)) {
                (Some(folded), _) => folded,
                (None, Some(Meaning::Byte(byte))) => (1, Some(byte)),
                _ => (1, Some(b'"')),
            };
            if byte.is_none_or(private_key::is_body_byte) {
                at += units;
                continue;
            }
            let Some(line) = self.next_line(at, fence) else { break };
            at = line;
        }
        self.document.start(at)
    }

    /// The unit with which the next line of a block begins, behind what the unit at
    /// `at` and others put between lines.
    fn next_line(&self, at: usize, fence: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.document.start(at);
        let mut text = Text::default();
        let mut next = at;
        while next < self.document.units.len()
            && !fence(next)
            && text.bytes.len() < private_key::LONGEST_GAP
            && self.document.start(next) < start + FOOTER_REACH
        {
            next += self.push_folded(next, &mut text);
        }
        let private_key::Gap::Over(length) = private_key::gap(&text.bytes, self.document.format != Format::Text, true)
        else {
            return None;
        };
        let behind = text.raw(0..length).end;
        Some(self.document.units.partition_point(|&(at, _)| at < behind))
    }

    /// Appends the unit at `at`, or the character that is read otherwise: so many
    /// units.
    fn push_folded(&self, at: usize, text: &mut Text) -> usize {
        let rest = &self.document.units[at..];
        let Some((units, byte)) = folded_units(rest) else {
            text.extend(Text::of(&rest[..1]));
            return 1;
        };
        let span = self.document.start(at)..self.document.start(at + units);
        byte.into_iter().for_each(|byte| text.push(byte, span.clone()));
        units
    }

    /// Where the end line of a block ends that begins with the unit at `at`.
    fn footer_end(&self, at: usize) -> Option<usize> {
        let start = self.document.start(at);
        let mut text = Text::default();
        let mut next = at;
        while text.bytes.len() < LONGEST_FOOTER && self.document.start(next) < start + FOOTER_REACH {
            self.document.units.get(next)?;
            next += self.push_folded(next, &mut text);
            if let Some(length) = private_key::footer_length(&text.bytes) {
                return Some(text.raw(0..length).end);
            }
        }
        None
    }

    /// A match that is longer than the look-ahead.
    fn take_tail(&mut self, index: usize) {
        let candidate = &self.candidates[index];
        let rule = candidate.rule;
        let Some(pattern) = &self.engine.patterns[rule] else { return };
        let Some(begins) = self.begin_of(candidate) else { return };
        let mut span = candidate.secret.clone();
        let first = self.document.units.partition_point(|&(at, _)| at < span.end);
        for (index, (at, unit)) in self.document.units.iter().enumerate().skip(first) {
            let taken = unit.bytes(&mut [0; 4]).iter().all(|&byte| pattern.tail_takes(byte));
            let ends = |level| match self.document.meaning(index + 1).filter(|_| !self.document.is_fence(index + 1)) {
                None | Some(Meaning::Byte(b',' | b':' | b'}' | b']')) => true,
                Some(Meaning::Quote(around)) => around < level,
                Some(_) => false,
            };
            let closes = matches!(unit.meaning, Meaning::Quote(level) if ends(level));
            if !taken || *at >= candidate.haystack.end || closes {
                break;
            }
            span.end = at + unit.len;
        }
        self.regions.push(Region { begins: begins.min(span.start), span, rule, wrap: Wrap::Plain });
    }

    /// A private key block whose head holds a character that hides it.
    fn take_block(&mut self, index: usize) {
        let folded = &self.folded[index];
        let Some(head) = self.rest_of(folded) else { return };
        let behind = self.document.units.partition_point(|&(at, _)| at < head.end);
        let span = head.start..self.block_end(behind);
        self.regions.push(Region { begins: span.start, span, rule: folded.rule, wrap: Wrap::Plain });
    }

    /// The values of the member whose name ends before the unit at `behind`,
    /// by the same walk as the scanner's, over the whole document.
    fn take_values(&mut self, mut walk: Walk, behind: usize) {
        let mut at = self.document.start(behind);
        loop {
            let taken = match walk.advance(self.document.raw, at, true) {
                Step::Text(start) => self.take_text(walk, start),
                Step::Number(start) => self.take_number(walk, start),
                Step::More(_) | Step::Over(_) => None,
            };
            let Some(Taken { behind, secret }) = taken else { return };
            if !secret && !walk.in_array() {
                return;
            }
            at = behind;
        }
    }

    fn take_text(&mut self, walk: Walk, start: usize) -> Option<Taken> {
        let (name, value) = (walk.quote, walk.value);
        let document = self.document;
        let first = document.units.partition_point(|&(at, _)| at < start);
        let end = match (name, value) {
            (_, Delimiter::Single(run)) => self.single_end(first, run),
            (Delimiter::Single(_), Delimiter::Double(level)) => Some(self.guarded_end(first, level)?),
            (Delimiter::Double(_), Delimiter::Double(level)) => Some(self.string_end(first, level)),
        };
        let is_unseen = end.is_none();
        let end = end.unwrap_or_else(|| self.strict_end(first, value));
        let span = document.start(first)..document.start(end);
        let text = Text::of(&document.units[first..end]).bytes;
        let behind = document.start(end + 1);
        let double = matches!(value, Delimiter::Double(_));
        let long = behind > span.start + LOOKAHEAD || (behind == span.end && span.len() >= LOOKAHEAD);
        let is_long = is_unseen || double && long;
        if let Some(inner) = walk.within(document.raw, span.clone()).filter(|_| !is_long) {
            let before = self.regions.len();
            self.take_values(inner, first);
            return Some(Taken { behind, secret: self.regions.len() > before });
        }
        let secret = match is_long {
            true => self.claim(walk, None, &span),
            false if is_placeholder(&text) || walk.is_written(&text) => None,
            false => self.claim(walk, Some(&text), &span),
        };
        if let Some(rule) = secret {
            let begins = place(walk.begins);
            let wrap = walk.wrap_text((!is_long).then_some(&text));
            self.regions.push(Region { span, begins, rule, wrap });
        }
        Some(Taken { behind, secret: secret.is_some() })
    }

    /// The first of the key rules of a walk that takes a value.
    fn claim(&self, walk: Walk, text: Option<&[u8]>, span: &Range<usize>) -> Option<usize> {
        walk.rules.iter().find(|&rule| self.is_valid(rule, &Value::whole(text, span.clone())))
    }

    fn ends_line(&self, index: usize) -> bool {
        self.document.format == Format::Text && self.document.is_line_feed(index)
    }

    /// The unit that ends a string of `level`.
    fn string_end(&self, first: usize, level: u32) -> usize {
        let ends = |&at: &usize| {
            matches!(self.document.meaning(at), Some(Meaning::Quote(found)) if found <= level) || self.ends_line(at)
        };
        let last = self.document.units.len();
        (first..last).find(ends).unwrap_or(last)
    }

    /// The same behind a name in single quotes: `None` unless a quote of the
    /// level closes it as a value.
    fn guarded_end(&self, first: usize, level: u32) -> Option<usize> {
        if level == 0 && self.document.format != Format::Text {
            return None;
        }
        let (start, end) = (self.document.start(first), self.string_end(first, level));
        let limit = start + LOOKAHEAD;
        let outer = |at: usize| matches!(self.document.meaning(at), Some(Meaning::Quote(found)) if found < level);
        let is_value = match self.document.meaning(end) {
            Some(Meaning::Quote(found)) if found == level => {
                self.closes_value(end, start) || (outer(end + 1) && self.document.start(end + 2) <= limit)
            }
            // Cut off.
            next => {
                let mut text = Text::of(&self.document.units[first..end]).bytes;
                text.retain(|byte| !b" \t\r\n".contains(byte));
                let seen = self.document.start(end + 1) <= limit - usize::from(next.is_none());
                seen && text.first().is_some_and(|first| !b",:}]".contains(first))
            }
        };
        is_value.then_some(end)
    }

    /// Whether a value ends behind the quote at `index`, near enough to `start`.
    fn closes_value(&self, index: usize, start: usize) -> bool {
        let whole = self.document.raw.len() < start + LOOKAHEAD;
        let seen = &self.document.raw[..self.document.raw.len().min(start + LOOKAHEAD)];
        for &(at, _) in self.document.units.get(index + 1..).unwrap_or_default() {
            match whole_unit(seen, at, whole) {
                Some(unit) if unit.is_space() => {}
                Some(unit) => return matches!(unit.meaning, Meaning::Byte(byte) if b",}])".contains(&byte)),
                None => return false,
            }
        }
        whole
    }

    /// The unit that ends a string behind a `'` with so many backslashes;
    /// `None` when that cannot be seen.
    fn single_end(&self, first: usize, run: usize) -> Option<usize> {
        let document = self.document;
        let start = document.start(first);
        let mut doubt = None;
        for index in first..document.units.len() {
            if document.start(index + 1) > start + LOOKAHEAD {
                return doubt;
            }
            let fence = document.format != Format::Text && document.meaning(index) == Some(Meaning::Quote(0));
            if self.ends_line(index) || fence {
                return doubt.or(Some(index));
            }
            match document.delimiter(index) {
                Some(Delimiter::Double(_)) if doubt.is_none() && self.ends_json(index, start) => return Some(index),
                Some(Delimiter::Double(_)) => doubt = doubt.or(Some(index)),
                Some(Delimiter::Single(found))
                    if found <= run && (doubt.is_none() || self.closes_value(index, start)) =>
                {
                    return Some(index);
                }
                _ => {}
            }
        }
        let last = document.units.len();
        doubt.or((document.raw.len() < start + LOOKAHEAD).then_some(last))
    }

    /// Whether the quote at `index` ends a string of JSON, as far as is seen from
    /// `start` on.
    fn ends_json(&self, index: usize, start: usize) -> bool {
        let space = |index: &usize| self.document.units.get(*index).is_some_and(|(_, unit)| unit.is_space());
        let next = index + 1 + (index + 1..).take_while(space).count();
        let seen = self.document.start(next) < start + LOOKAHEAD;
        !seen || self.document.meaning(next).is_none_or(|next| matches!(next, Meaning::Byte(b',' | b':' | b'}' | b']')))
    }

    /// The unit that ends a long string, whatever follows.
    fn strict_end(&self, first: usize, value: Delimiter) -> usize {
        let ends = |&at: &usize| match (self.document.delimiter(at), value) {
            (Some(Delimiter::Single(found)), Delimiter::Single(run)) => found <= run,
            (Some(Delimiter::Double(_)), _) => true,
            _ => self.ends_line(at),
        };
        let last = self.document.units.len();
        (first..last).find(ends).unwrap_or(last)
    }

    fn take_number(&mut self, walk: Walk, start: usize) -> Option<Taken> {
        let is_part = |byte: &&u8| byte.is_ascii_digit() || b"-+.eE".contains(byte);
        let length = self.document.raw[start..].iter().take_while(is_part).count();
        if length >= LOOKAHEAD {
            return None;
        }
        let span = start..start + length;
        if !walk.is_written(&self.document.raw[span.clone()])
            && let Some(rule) = self.claim(walk, Some(&self.document.raw[span.clone()]), &span)
        {
            let begins = place(walk.begins);
            self.regions.push(Region { span, begins, rule, wrap: walk.wrap() });
        }
        Some(Taken { behind: start + length, secret: true })
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// A value that was looked at.
struct Taken {
    /// The place behind it.
    behind: usize,
    /// Whether it is redacted, or a number.
    secret: bool,
}
