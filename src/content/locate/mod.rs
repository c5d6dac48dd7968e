//! From findings in raw bytes to places in documents, for people and tools:
//! which record, which member, where in the decoded string.
//!
//! The redactor counts in bytes of the body. [`Locator`] walks the same bytes
//! up to what the redactor has settled, and so knows where each finding
//! stands by the time it is handed out. It keeps what is not settled yet, the
//! path to the value it is in, and nothing else.
//!
//! Lenient: broken JSON is walked as well as it goes, since findings in it are
//! redacted too. Formats: RFC 8259, RFC 6901 (JSON Pointer).

use crate::redact::{Applied, Format, Plan, Redactor};
use crate::scan::{Lexer, Mark};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::sync::Arc;

/// Where a finding stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The finding, in bytes of the body.
    pub applied: Applied,
    /// From 1: the line of NDJSON, the document of JSON, 1 for text.
    pub record: u64,
    /// RFC 6901; `None` for text. A member name that holds a finding has the
    /// finding's label in its place, as the redacted document has it.
    pub pointer: Option<String>,
    /// In bytes of the decoded string (UTF-8), of a number's text, or of the
    /// whole body for text.
    pub start: u64,
    /// As `start`, one past the end.
    pub end: u64,
    /// In the name of the member that `pointer` points to, not in its value.
    pub in_name: bool,
}

/// Places the findings of one body.
pub struct Locator {
    plan: Arc<Plan>,
    lexer: Lexer,
    /// The bytes from `lexer.at()` on.
    raw: VecDeque<Bytes>,
    /// Where the finding begins that has begun and is not over.
    begun: Option<Mark>,
    /// Findings in a member name that is not over.
    in_name: Vec<Located>,
    /// The last findings, for those that begin within one: of rules in shadow.
    passed: VecDeque<Passed>,
}

/// A finding that was walked over.
struct Passed {
    /// Where it begins.
    lexer: Lexer,
    /// What it holds, up to [`LONGEST_PASSED`].
    raw: Vec<u8>,
}

/// Findings that are remembered.
const MOST_PASSED: usize = 4;
/// Bytes of each.
const LONGEST_PASSED: usize = 16 * 1024;

impl Locator {
    /// A locator at the first byte of a body.
    pub fn new(plan: &Arc<Plan>, format: Format) -> Self {
        Self {
            plan: Arc::clone(plan),
            lexer: Lexer::new(format),
            raw: VecDeque::new(),
            begun: None,
            in_name: Vec::new(),
            passed: VecDeque::new(),
        }
    }

    /// Takes the bytes that the redactor takes.
    pub fn push(&mut self, chunk: Bytes) {
        self.raw.push_back(chunk);
    }

    /// Places what `redactor`, which must be recording, has settled since the
    /// last call. Call it after each push and after the end.
    pub fn settle(&mut self, redactor: &mut Redactor, found: &mut Vec<Located>) {
        for applied in redactor.take_applied() {
            if applied.base64 && self.again(applied, found) || self.within(applied, found) {
                continue;
            }
            self.begin(applied, found);
            self.advance(applied.span.end, found);
            self.end(applied, found);
        }
        if let Some(open) = redactor.unfinished() {
            self.begin(open, found);
        }
        self.advance(redactor.settled(), found);
    }

    /// The body has ended: gives out what waited for the end of a name.
    pub fn finish(&mut self, found: &mut Vec<Located>) {
        self.flush(found);
    }

    /// Several findings of one text in base64 stand where it does.
    fn again(&mut self, applied: Applied, found: &mut Vec<Located>) -> bool {
        let list = if self.in_name.is_empty() { found } else { &mut self.in_name };
        let same = list.last().filter(|located| located.applied.base64 && located.applied.span == applied.span);
        let again = same.map(|located| Located { applied, ..located.clone() });
        list.extend(again.clone());
        again.is_some()
    }

    /// A finding that begins before the place that was come to, within another one.
    fn within(&mut self, applied: Applied, found: &mut Vec<Located>) -> bool {
        if self.begun.is_some() || applied.span.start >= self.lexer.at() {
            return false;
        }
        let offset = |passed: &Passed, at: u64| usize::try_from(at.checked_sub(passed.lexer.at())?).ok();
        let around = self.passed.iter().rev().find_map(|passed| {
            let start = offset(passed, applied.span.start)?;
            let end = offset(passed, applied.span.end)?.min(passed.raw.len());
            (start < end).then_some((passed, start, end))
        });
        let Some((passed, start, end)) = around else { return false };
        let mut lexer = passed.lexer.clone();
        lexer.over(&passed.raw[..start], false);
        let begun = lexer.mark();
        lexer.over(&passed.raw[start..end], false);
        let (start, last) = (begun, lexer.mark());
        // What goes on behind the other one is as long as it is written.
        let more = applied.span.end.saturating_sub(lexer.at());
        let end = if last.value == start.value { last.offset + more } else { start.offset + applied.span.len() };
        let Mark { record, pointer, offset, in_name, .. } = start;
        let located = Located { applied, record, pointer, start: offset, end, in_name };
        let list = if in_name && !self.in_name.is_empty() { &mut self.in_name } else { found };
        list.push(located);
        true
    }

    fn begin(&mut self, applied: Applied, found: &mut Vec<Located>) {
        if self.begun.is_some() {
            return;
        }
        self.advance(applied.span.start, found);
        if self.passed.len() == MOST_PASSED {
            self.passed.pop_front();
        }
        self.passed.push_back(Passed { lexer: self.lexer.clone(), raw: Vec::new() });
        self.begun = Some(self.lexer.mark());
        let rules = &self.plan.engine().ruleset().rules;
        self.lexer.hide(rules.get(applied.rule).map_or("", |rule| &rule.entity));
    }

    fn end(&mut self, applied: Applied, found: &mut Vec<Located>) {
        self.lexer.show();
        let Some(start) = self.begun.take() else { return };
        let end = self.lexer.mark();
        // A finding across several values of broken JSON has raw offsets.
        let end = if end.value == start.value { end.offset } else { start.offset + applied.span.len() };
        let located =
            Located { applied, record: start.record, pointer: None, start: start.offset, end, in_name: start.in_name };
        self.in_name.push(located);
        if !(start.in_name && self.lexer.is_in_name()) {
            self.flush_at(start.pointer, found);
        }
    }

    /// Walks up to `to`; a name that ends on the way frees its findings.
    fn advance(&mut self, to: u64, found: &mut Vec<Located>) {
        while self.lexer.at() < to {
            let Some(first) = self.raw.front_mut() else { return };
            let wanted = usize::try_from(to - self.lexer.at()).unwrap_or(usize::MAX);
            let taken = wanted.min(first.len());
            let waits = !self.in_name.is_empty();
            let walked = self.lexer.over(&first[..taken], waits);
            if self.begun.is_some()
                && let Some(passed) = self.passed.back_mut()
            {
                let room = LONGEST_PASSED - passed.raw.len();
                passed.raw.extend_from_slice(&first[..walked.min(room)]);
            }
            first.advance(walked);
            if first.is_empty() {
                self.raw.pop_front();
            }
            if waits && !self.lexer.is_in_name() {
                self.flush(found);
            }
        }
    }

    fn flush(&mut self, found: &mut Vec<Located>) {
        if !self.in_name.is_empty() {
            let pointer = self.lexer.pointer();
            self.flush_at(pointer, found);
        }
    }

    fn flush_at(&mut self, pointer: Option<String>, found: &mut Vec<Located>) {
        found.extend(self.in_name.drain(..).map(|located| Located { pointer: pointer.clone(), ..located }));
    }
}

#[cfg(test)]
mod tests;
