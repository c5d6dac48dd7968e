//! Values under key rules, private key blocks, and tokens longer than the
//! look-ahead, found the plain way.

use super::super::detector::private_key;
use super::super::key::{LONGEST_NAME, Step, Walk, is_name_byte};
use super::super::resolve::Wrap;
use super::super::unit::Meaning;
use super::super::{Format, LOOKAHEAD};
use super::Search;
use super::document::Text;
use crate::validator::is_placeholder;
use std::ops::Range;

/// A secret that beats every match.
pub(super) struct Region {
    pub(super) span: Range<usize>,
    pub(super) rule: usize,
    pub(super) wrap: Wrap,
}

/// What a region may begin with.
#[derive(Clone, Copy)]
enum Opener {
    /// A member name: the unit behind its closing quote.
    Key { rule: usize, level: u32, behind: usize },
    /// The unit at which a block's begin line starts, and the rule.
    PrivateKey { at: usize, rule: usize },
    /// Index of a candidate.
    Tail(usize),
}

impl Search<'_> {
    /// Values under key rules, private key blocks and what is longer than the
    /// look-ahead, from left to right.
    pub(super) fn find_regions(&mut self) {
        let mut openers = self.names();
        openers.extend(self.private_keys());
        let open = self.candidates.iter().enumerate().filter(|(_, candidate)| candidate.open);
        openers.extend(open.map(|(index, candidate)| (candidate.whole_start, Opener::Tail(index))));
        openers.sort_by_key(|&(at, _)| at);
        for (at, opener) in openers {
            if self.regions.iter().any(|region| region.span.contains(&at)) {
                continue;
            }
            match opener {
                Opener::Key { rule, level, behind } => self.take_values(rule, level, behind),
                Opener::PrivateKey { at, rule } => {
                    let span = self.document.start(at)..self.document.start(self.block_end(at));
                    if !self.is_valid(rule, None, span.clone()) {
                        continue;
                    }
                    self.regions.push(Region { span, rule, wrap: Wrap::Plain });
                }
                Opener::Tail(index) => self.take_tail(index),
            }
        }
        // What stands in a value of an array comes after what follows it.
        self.regions.sort_by_key(|region| region.span.start);
    }

    /// The member names that a key rule knows.
    fn names(&self) -> Vec<(usize, Opener)> {
        let document = self.document;
        let mut names = Vec::new();
        for open in 0..document.units.len() {
            let Some(Meaning::Quote(level)) = document.meaning(open) else { continue };
            let name: Vec<u8> = document.units[open + 1..]
                .iter()
                .map_while(|(_, unit)| match unit.meaning {
                    Meaning::Byte(byte) if is_name_byte(byte) => Some(byte),
                    _ => None,
                })
                .collect();
            let close = open + 1 + name.len();
            let spelled = || {
                let lower = name.to_ascii_lowercase();
                self.plain.spellings.iter().any(|spelling| spelling.fits(&lower))
            };
            if document.meaning(close) == Some(Meaning::Quote(level))
                && name.len() <= LONGEST_NAME
                && spelled()
                && let Some(rule) = self.engine.key_rule(&name, |_| false)
            {
                names.push((document.start(open + 1), Opener::Key { rule, level, behind: close + 1 }));
            }
        }
        names
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

    /// The unit behind a private key block whose begin line starts at `head`.
    fn block_end(&self, head: usize) -> usize {
        // A block goes over lines, in text too.
        let fence = |at: usize| self.document.format != Format::Text && self.document.is_fence(at);
        let mut at = head + private_key::head(&self.line(head, 512), 0).map_or(0, |line| line.end);
        while let Some(Meaning::Byte(byte)) = self.document.meaning(at).filter(|_| !fence(at)) {
            if let Some(length) = private_key::footer_length(&self.line(at, 80)) {
                return at + length;
            }
            if !private_key::is_body_byte(byte) {
                break;
            }
            at += 1;
        }
        at
    }

    /// A match that is longer than the look-ahead.
    fn take_tail(&mut self, index: usize) {
        let candidate = &self.candidates[index];
        let rule = candidate.rule;
        let Some(pattern) = &self.engine.patterns[rule] else { return };
        if !self.is_wanted(candidate) {
            return;
        }
        let mut span = candidate.secret.clone();
        for (at, unit) in &self.document.units[self.document.units.partition_point(|&(at, _)| at < span.end)..] {
            let taken = unit.bytes(&mut [0; 4]).iter().all(|&byte| pattern.tail_takes(byte));
            if !taken || *at >= candidate.haystack.end {
                break;
            }
            span.end = at + unit.len;
        }
        self.regions.push(Region { span, rule, wrap: Wrap::Plain });
    }

    /// The values of the member whose name ends before the unit at `behind`,
    /// by the same walk as the scanner's, over the whole document.
    fn take_values(&mut self, rule: usize, level: u32, behind: usize) {
        let mut walk = Walk::new(rule, level);
        let mut at = self.document.start(behind);
        loop {
            let taken = match walk.advance(self.document.raw, at, true) {
                Step::Text(start) => Some(self.take_text(rule, level, start)),
                Step::Number(start) => self.take_number(rule, level, start),
                Step::More(_) | Step::Over(_) => None,
            };
            let Some(Taken { behind, secret }) = taken else { return };
            if !secret && !walk.in_array() {
                return;
            }
            at = behind;
        }
    }

    fn take_text(&mut self, rule: usize, level: u32, start: usize) -> Taken {
        let document = self.document;
        let first = document.units.partition_point(|&(at, _)| at < start);
        let ends = |&at: &usize| {
            matches!(document.meaning(at), Some(Meaning::Quote(found)) if found <= level)
                || document.format == Format::Text && document.is_line_feed(at)
        };
        let end = (first..document.units.len()).find(ends).unwrap_or(document.units.len());
        let span = document.start(first)..document.start(end);
        let text = Text::of(&document.units[first..end]).bytes;
        let behind = document.start(end + 1);
        let long = behind > span.start + LOOKAHEAD || (behind == span.end && span.len() >= LOOKAHEAD);
        let secret = match long {
            true => self.is_valid(rule, None, span.clone()),
            false => !is_placeholder(&text) && self.is_valid(rule, Some(&text), span.clone()),
        };
        if secret {
            self.regions.push(Region { span, rule, wrap: Wrap::Plain });
        }
        Taken { behind, secret }
    }

    fn take_number(&mut self, rule: usize, level: u32, start: usize) -> Option<Taken> {
        let is_part = |byte: &&u8| byte.is_ascii_digit() || b"-+.eE".contains(byte);
        let length = self.document.raw[start..].iter().take_while(is_part).count();
        if length >= LOOKAHEAD {
            return None;
        }
        let span = start..start + length;
        if self.is_valid(rule, Some(&self.document.raw[span.clone()]), span.clone()) {
            self.regions.push(Region { span, rule, wrap: Wrap::Quoted(level) });
        }
        Some(Taken { behind: start + length, secret: true })
    }
}

/// A value that was looked at.
struct Taken {
    /// The place behind it.
    behind: usize,
    /// Whether it is redacted, or a number.
    secret: bool,
}
