//! Bytes in, redacted bytes out.
//!
//! The bytes not yet settled are kept in one contiguous buffer, which never
//! grows beyond [`PIECE`] and what the scanner holds back. A large chunk that
//! arrives while nothing is held is scanned where it lies, and its clean
//! stretches are released as slices of it, without a copy.
//!
//! ```text
//!            base            released          settled
//! buffer     | left context  | released now ...| held for the next scan
//! ```

use super::replacement::Replacement;
use super::{Action, Format, Plan, RedactError, Report, Tally};
use crate::scan::meter::{Meter, Unmetered};
use crate::scan::{Finding, Part, Scanner, Traced, Wrap};
use crate::span::Span;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;

mod embedded;
pub(super) use embedded::{DEEPEST, Kind};
use embedded::{Embedded, Packed};

/// Bytes scanned at a time at most: fits the second-level cache.
const PIECE: usize = 64 << 10;
/// Smaller pieces wait for more: scanning has a fixed cost, and what is held
/// back is looked at again.
const SMALLEST: usize = 16 << 10;

/// A byte is looked at so often at most because others follow it one by one.
const AGAIN: usize = 64;

/// One finding as it was acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where it stood, in bytes of the body as it came in.
    pub span: Span,
    /// Index into [`crate::rule::Ruleset::rules`].
    pub rule: usize,
    /// What was done.
    pub action: Action,
    /// It stands in a text in base64: the span is that of all of the text.
    pub base64: bool,
}

/// A stretch of the body that was written anew. What stands in its place is all
/// of the output from `at` on up to where the bytes behind `span` begin, which
/// are the next ones to pass unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// In bytes of the body as it came in. A long finding is several, which
    /// touch each other.
    pub span: Span,
    /// In bytes of the body as it goes out.
    pub at: u64,
}

/// What was written anew, and the count of all output that its places are in.
#[derive(Default)]
struct Edits {
    list: Vec<Edit>,
    /// Bytes of output so far.
    emitted: u64,
    /// How many pieces of the caller's output are counted in `emitted`.
    counted: usize,
}

impl Edits {
    /// Counts what was written since the last call.
    fn count(&mut self, out: &[Bytes]) {
        let new = out.get(self.counted..).unwrap_or_default();
        self.emitted += new.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.counted = out.len();
    }
}

/// Redacts one body.
pub struct Redactor<M = Unmetered> {
    plan: Arc<Plan>,
    format: Format,
    scanner: Scanner<M>,
    /// Bytes from the scanner's origin on.
    buffer: BytesMut,
    /// Bytes at the end of `buffer` that no scan has seen.
    fresh: usize,
    /// Fewer new bytes wait for more.
    smallest: usize,
    /// In bytes of the body: everything before was released.
    released: u64,
    findings: Vec<Finding>,
    /// What stands in the place of a long finding that may go on.
    writing: Option<Replacement>,
    /// `None` unless asked for: see [`Redactor::record`].
    applied: Option<Vec<Applied>>,
    /// `None` unless asked for: see [`Redactor::keep_edits`].
    edits: Option<Edits>,
    /// Whether the last of `applied` is a long finding that may go on.
    open: bool,
    /// Where JSON in base64 begins that was not released.
    starts: VecDeque<u64>,
    packed: Packed,
    /// That which is being released.
    embedded: Option<Box<Embedded>>,
    /// A finding has taken a part of such a run: what is left of it goes too.
    is_cut: bool,
    /// In so many others.
    depth: u8,
    report: Report,
}

impl Redactor {
    /// A redactor for one body. The rules and the policy stay the same for
    /// its whole life, whatever is reloaded meanwhile.
    pub fn new(plan: &Arc<Plan>, format: Format) -> Self {
        Self::metered(plan, format, Unmetered)
    }
}

impl<M: Meter> Redactor<M> {
    /// As [`Redactor::new`], with somebody to tell what the scanner does.
    pub fn metered(plan: &Arc<Plan>, format: Format, meter: M) -> Self {
        let mut scanner = Scanner::metered(Arc::clone(plan.engine()), format, meter);
        scanner.set_quiet(plan.quiet());
        scanner.set_written(plan.written.clone());
        scanner.set_protections(plan.protections());
        Self {
            scanner,
            plan: Arc::clone(plan),
            format,
            buffer: BytesMut::new(),
            fresh: 0,
            smallest: SMALLEST,
            released: 0,
            findings: Vec::new(),
            writing: None,
            applied: None,
            edits: None,
            open: false,
            starts: VecDeque::new(),
            packed: Packed::default(),
            embedded: None,
            is_cut: false,
            depth: 0,
            report: Report::default(),
        }
    }

    /// The counters, and who was told.
    pub fn into_parts(self) -> (Report, M) {
        (self.report, self.scanner.into_meter())
    }

    /// From now on scans as soon as `bytes` new ones have come (16 KiB unless
    /// told), but where few come behind much that is looked at again: less is
    /// held, more is done. The output stays the same.
    pub fn scan_every(&mut self, bytes: usize) {
        self.smallest = bytes.clamp(1, SMALLEST);
    }

    /// From now on keeps each finding for [`Redactor::take_applied`].
    pub fn record(&mut self) {
        self.applied = Some(Vec::new());
    }

    /// From now on keeps what was written where, for [`Redactor::take_edits`].
    pub fn keep_edits(&mut self) {
        self.edits = Some(Edits::default());
    }

    /// What was written anew since the last call, in order.
    pub fn take_edits(&mut self) -> Vec<Edit> {
        self.edits.as_mut().map(|edits| std::mem::take(&mut edits.list)).unwrap_or_default()
    }

    /// From now on keeps what became of each candidate, for
    /// [`Redactor::take_trace`].
    pub fn keep_trace(&mut self) {
        self.scanner.checks().keep_trace();
    }

    /// The candidates judged since the last call, each at least once.
    pub fn take_trace(&mut self) -> Vec<Traced> {
        self.scanner.checks().take_trace()
    }

    /// The findings settled since the last call, in order; none unless
    /// [`Redactor::record`] was called. Each is given once and whole: one that
    /// goes on is given when it is over, see [`Redactor::unfinished`].
    pub fn take_applied(&mut self) -> Vec<Applied> {
        let open = self.unfinished();
        let Some(list) = &mut self.applied else { return Vec::new() };
        let mut taken = std::mem::take(list);
        if open.is_some() {
            taken.pop();
            list.extend(open);
        }
        taken
    }

    /// The long finding that has begun and may go on, as far as it is known.
    pub fn unfinished(&self) -> Option<Applied> {
        let last = *self.applied.as_ref()?.last()?;
        (self.open && last.span.end >= self.released).then_some(last)
    }

    /// Takes the next bytes of the body and appends to `out` what is safe to
    /// release. May release nothing: see [`Redactor::held`].
    ///
    /// # Errors
    /// After an error nothing more may be released; drop the redactor.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        self.report.scanned += chunk.len() as u64;
        let mut chunk = chunk;
        if !self.buffer.is_empty() && chunk.len() >= self.smallest {
            self.close_gap(&mut chunk, out)?;
        }
        while !chunk.is_empty() {
            if self.buffer.is_empty() && chunk.len() >= self.smallest {
                let piece = chunk.split_to(chunk.len().min(PIECE));
                self.scan_piece(piece, out)?;
                continue;
            }
            let room = PIECE.saturating_sub(self.fresh).max(1);
            let taken = chunk.split_to(chunk.len().min(room));
            self.take(&taken);
            if self.fresh >= self.smallest && self.is_worthwhile() {
                self.scan_buffer(false, out)?;
            }
        }
        Ok(())
    }

    /// Whether a scan, which looks at all that is buffered again, is worth it: so much
    /// is new, or a string or line has ended. Else a body that comes byte by byte would
    /// be looked at a thousand times over.
    fn is_worthwhile(&self) -> bool {
        let old = self.buffer.len() - self.fresh;
        let fence =
            |at: usize| self.buffer[at] == self.fence() && at.checked_sub(1).is_none_or(|at| self.buffer[at] != b'\\');
        self.fresh >= SMALLEST || self.fresh * AGAIN >= old || (old..self.buffer.len()).any(fence)
    }

    /// What most likely nothing is held back behind.
    fn fence(&self) -> u8 {
        if self.format == Format::Text { b'\n' } else { b'"' }
    }

    /// Joins what is held with the beginning of a large chunk, up to a place
    /// at which most likely nothing need be held: then the rest of the chunk
    /// can be scanned where it lies.
    fn close_gap(&mut self, chunk: &mut Bytes, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        let fence = self.fence();
        let near = &chunk[..chunk.len().min(SMALLEST)];
        if let Some(place) = memchr::memchr_iter(fence, near).find(|&at| at > 0 && near[at - 1] != b'\\') {
            let taken = chunk.split_to(place + 1);
            self.take(&taken);
            self.scan_buffer(false, out)?;
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.fresh += bytes.len();
    }

    /// The body has ended: releases all that is held.
    ///
    /// # Errors
    /// As [`Redactor::push`].
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        self.scan_buffer(true, out)?;
        self.end_embedded(out)?;
        self.close(out);
        self.emit(out);
        self.open = false;
        Ok(())
    }

    /// Bytes held back now.
    pub fn held(&self) -> usize {
        // What of the buffer was released is context for what follows.
        let end = self.scanner.origin() + self.buffer.len() as u64;
        relative(end, self.released) + self.embedded.as_ref().map_or(0, |embedded| embedded.held())
    }

    /// In bytes of the body as it came in: everything before has been
    /// released or redacted.
    pub fn settled(&self) -> u64 {
        self.embedded.as_ref().map_or(self.released, |embedded| embedded.passed())
    }

    /// In bytes of the body as it goes out: all that was released or written
    /// since [`Redactor::keep_edits`].
    pub fn emitted(&self) -> u64 {
        self.edits.as_ref().map_or(0, |edits| edits.emitted)
    }

    /// The counters so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Scans a piece in place; keeps a copy of its unsettled rest only.
    fn scan_piece(&mut self, piece: Bytes, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        let base = self.scanner.origin();
        let settled = self.scan(&piece, false)?;
        self.release(&piece, base, settled, out)?;
        let keep = relative(self.scanner.origin(), base);
        self.buffer.extend_from_slice(&piece[keep..]);
        Ok(())
    }

    fn scan_buffer(&mut self, last: bool, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        let base = self.scanner.origin();
        let buffer = std::mem::take(&mut self.buffer);
        self.fresh = 0;
        let settled = self.scan(&buffer, last)?;
        let data = buffer.freeze();
        self.release(&data, base, settled, out)?;
        let keep = relative(self.scanner.origin(), base);
        if keep < data.len() {
            self.buffer = BytesMut::from(&data[keep..]);
        }
        Ok(())
    }

    fn scan(&mut self, data: &[u8], last: bool) -> Result<u64, RedactError> {
        let base = self.scanner.origin();
        let mut settled = self.scanner.scan(data, last, &mut self.findings).map_err(|_| RedactError::Engine)?;
        let mut before = None;
        while self.scanner.is_behind() {
            let rest = data.get(relative(self.scanner.origin(), base)..).unwrap_or_default();
            settled = self.scanner.scan(rest, last, &mut self.findings).map_err(|_| RedactError::Engine)?;
            let now = Some(self.scanner.judged());
            if now == before {
                return Err(RedactError::Engine);
            }
            before = now;
        }
        if last {
            self.report.rejections = self.scanner.checks().rejections().collect();
        }
        self.scanner.take_embedded(&mut self.starts);
        if self.scanner.is_zipped() {
            return Err(RedactError::Zipped);
        }
        self.scanner.take_packed(&mut self.packed.heads);
        self.scanner.take_bytes(&mut self.packed.names);
        self.find_bytes(data, base);
        self.find_packed(data, base, last);
        Ok(settled)
    }

    /// Releases what of `data`, which begins at `base`, is settled, with the
    /// findings acted on.
    fn release(&mut self, data: &Bytes, base: u64, settled: u64, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        if let Some(edits) = &mut self.edits {
            edits.counted = out.len();
        }
        let findings = std::mem::take(&mut self.findings);
        for finding in &findings {
            if finding.wrap == Wrap::Base64 {
                self.release_encoded(finding, data, base, out)?;
                continue;
            }
            let action = self.plan.action(finding.rule);
            self.pass(data, base, finding.span.start, out)?;
            self.count(finding, action)?;
            if action == Action::Report {
                continue;
            }
            self.cut_embedded(finding, data, base, out)?;
            self.act(finding, data, base, out);
            self.released = self.released.max(finding.span.end);
        }
        self.findings = findings;
        self.findings.clear();
        self.scanner.forget_opened(settled);
        self.pass(data, base, settled, out)?;
        self.emit(out);
        Ok(())
    }

    /// The same for a text in base64: all that was found in it counts.
    fn release_encoded(
        &mut self,
        finding: &Finding,
        data: &Bytes,
        base: u64,
        out: &mut Vec<Bytes>,
    ) -> Result<(), RedactError> {
        let is_quiet = |rule: usize| self.plan.action(rule) == Action::Report;
        let quiet = is_quiet(finding.rule);
        let inner = self.scanner.opened(finding.span).iter().filter(|inner| is_quiet(inner.rule) == quiet);
        let inner: Vec<Finding> = inner.copied().collect();
        for one in &inner {
            self.count(&Finding { rule: one.rule, ..*finding }, self.plan.action(one.rule))?;
        }
        if !quiet {
            if inner.is_empty() {
                // Cannot be. Written again as it was, the text would leak.
                return Err(RedactError::Engine);
            }
            self.pass(data, base, finding.span.start, out)?;
            self.cut_embedded(finding, data, base, out)?;
            self.close(out);
            self.note_edit(finding.span, out);
            let raw = relative(finding.span.start, base)..relative(finding.span.end, base);
            let written = self.plan.encoded(data.get(raw).unwrap_or_default(), &inner);
            self.write_run(finding.span, written, out)?;
            self.released = self.released.max(finding.span.end);
        }
        Ok(())
    }

    /// Writes what stands in the place of a finding, or of a piece of one.
    fn act(&mut self, finding: &Finding, data: &Bytes, base: u64, out: &mut Vec<Bytes>) {
        if finding.part != Part::More {
            self.close(out);
        }
        self.note_edit(finding.span, out);
        if finding.part != Part::More {
            self.writing = self.plan.begin(finding, out);
        }
        if let Some(writing) = &mut self.writing {
            let piece = relative(finding.span.start, base)..relative(finding.span.end, base);
            writing.push(data.get(piece).unwrap_or_default(), out);
        }
        if finding.part == Part::Whole {
            self.close(out);
        }
    }

    /// The finding that was written last does not go on.
    fn close(&mut self, out: &mut Vec<Bytes>) {
        if let Some(writing) = self.writing.take() {
            writing.finish(out);
        }
    }

    /// Counts what was written, where somebody wants to know.
    fn emit(&mut self, out: &[Bytes]) {
        if let Some(edits) = &mut self.edits {
            edits.count(out);
        }
    }

    fn note_edit(&mut self, span: Span, out: &[Bytes]) {
        if let Some(edits) = &mut self.edits {
            edits.count(out);
            edits.list.push(Edit { span, at: edits.emitted });
        }
    }

    /// Counts a finding; fails on one that blocks.
    fn count(&mut self, finding: &Finding, action: Action) -> Result<(), RedactError> {
        let applied = Applied { span: finding.span, rule: finding.rule, action, base64: finding.wrap == Wrap::Base64 };
        if let Some(list) = &mut self.applied {
            match list.last_mut() {
                Some(last) if finding.part == Part::More && last.span.end == finding.span.start => {
                    last.span.end = finding.span.end;
                }
                _ => list.push(applied),
            }
            self.open = finding.part != Part::Whole;
        }
        if action == Action::Block {
            self.report.rejections = self.scanner.checks().rejections().collect();
        }
        if finding.part != Part::More {
            self.tally(finding.rule, action);
        }
        if action == Action::Block { Err(self.blocked(finding.rule)) } else { Ok(()) }
    }

    fn tally(&mut self, rule: usize, action: Action) {
        let same = |tally: &&mut Tally| tally.rule == rule && tally.action == action;
        match self.report.findings.iter_mut().find(same) {
            Some(tally) => tally.count += 1,
            None => self.report.findings.push(Tally { rule, action, count: 1 }),
        }
    }

    fn blocked(&self, rule: usize) -> RedactError {
        match self.plan.engine().ruleset().rules.get(rule) {
            Some(rule) => RedactError::Blocked { entity: rule.entity.clone(), rule: rule.id.clone() },
            None => RedactError::Engine,
        }
    }
}

/// A place of the body, counted from `base`.
fn relative(place: u64, base: u64) -> usize {
    usize::try_from(place.saturating_sub(base)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::rig::PLAN;
    use crate::redact::{Policy, Treatment};
    use crate::rule::Ruleset;
    use crate::scan::Engine;
    use crate::scan::meter::Work;

    #[test]
    fn a_finding_longer_than_many_chunks_is_one_entry() {
        let body = format!(r#"{{"password": "{}", "mail": "bob@example.com"}}"#, "aZ3kQ9".repeat(50_000));
        let mut redactor = Redactor::new(&PLAN, Format::Json);
        redactor.record();
        let (mut out, mut applied, mut unfinished) = (Vec::new(), Vec::new(), 0);
        for chunk in body.as_bytes().chunks(10_000) {
            redactor.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            applied.extend(redactor.take_applied());
            unfinished += usize::from(redactor.unfinished().is_some_and(|open| open.span.start == 14));
        }
        redactor.finish(&mut out).unwrap();
        applied.extend(redactor.take_applied());
        assert_eq!(out.concat(), br#"{"password": "[PASSWORD]", "mail": "[EMAIL_ADDRESS]"}"#);
        let spans: Vec<Span> = applied.iter().map(|found| found.span).collect();
        assert_eq!(spans, [Span::new(14, 300_014), Span::new(300_026, 300_041)]);
        assert!(unfinished > 5, "{unfinished}");
    }

    /// How often the scanner begins.
    struct Scans(usize);

    impl Meter for Scans {
        fn turn(&mut self, work: Work) {
            self.0 += usize::from(work == Work::Masks);
        }

        fn ask(&mut self, _: impl IntoIterator<Item = usize>) {}
    }

    #[test]
    fn a_body_that_comes_byte_by_byte_is_not_looked_at_for_each() {
        for (format, text) in [(Format::Json, r"\u0040"), (Format::Text, "xxx "), (Format::Text, "12 3 45 6 ")] {
            let body = text.repeat(16_384 / text.len());
            let (mut redactor, mut out) = (Redactor::metered(&PLAN, format, Scans(0)), Vec::new());
            redactor.scan_every(1);
            for byte in body.bytes() {
                redactor.push(Bytes::copy_from_slice(&[byte]), &mut out).unwrap();
            }
            let scans = redactor.into_parts().1.0;
            assert!((100..body.len() / 8).contains(&scans), "{text}: {scans}");
        }
    }

    fn redacted(user: &str, policy: Policy, body: &str) -> String {
        let ruleset = Ruleset::from_texts(&[("user.toml".into(), user.into())]).unwrap();
        let plan = Arc::new(Plan::new(Arc::new(Engine::compile(Arc::new(ruleset)).unwrap()), &policy));
        let (mut redactor, mut out) = (Redactor::new(&plan, Format::Json), Vec::new());
        redactor.push(Bytes::copy_from_slice(body.as_bytes()), &mut out).unwrap();
        redactor.finish(&mut out).unwrap();
        String::from_utf8(out.concat()).unwrap()
    }

    #[test]
    fn what_is_only_reported_hides_nothing() {
        let mut policy = Policy::default();
        policy.entities.insert("PASSWORD".into(), Treatment::Report);
        let long = "bob@example.com ".repeat(2000);
        for (value, expected) in [
            ("bob@example.com", "[EMAIL_ADDRESS]".to_owned()),
            (long.as_str(), "[EMAIL_ADDRESS] ".repeat(2000)),
            (r#"{\"api_key\": \"aZ3kQ9vT6xR1mB8n\"}"#, r#"{\"api_key\": \"[API_KEY]\"}"#.to_owned()),
        ] {
            let (value, expected) = (value.replace(r"\\", r"\"), expected.replace(r"\\", r"\"));
            let body = format!(r#"{{"password": "{value}", "b": "bob@example.com"}}"#);
            let expected = format!(r#"{{"password": "{expected}", "b": "[EMAIL_ADDRESS]"}}"#);
            assert_eq!(redacted("", policy.clone(), &body), expected);
        }
    }

    #[test]
    fn a_shadow_rule_hides_no_other() {
        let shadow = r#"
[[key]]
id = "a.shadow"
entity = "ACME"
names = ["db_password", "password", "note"]
shadow = true
examples = ['{"note": "a1"}']
negative_examples = ['{"acme": "a1"}']

[[rule]]
id = "a.wide"
entity = "ACME"
category = "pii"
description = "Wide"
pattern = '''mail [a-z@.]{4,}'''
priority = 100
shadow = true
examples = ["mail bob@example.com"]
negative_examples = ["x"]
"#;
        for name in ["db_password", "password"] {
            let body = format!(r#"{{"{name}": "hunter2!", "a": "mail bob@example.com"}}"#);
            let expected = format!(r#"{{"{name}": "[PASSWORD]", "a": "mail [EMAIL_ADDRESS]"}}"#);
            assert_eq!(redacted(shadow, Policy::default(), &body), expected);
        }
        assert_eq!(
            redacted(shadow, Policy::default(), r#"{"note": "bob@example.com"}"#),
            r#"{"note": "[EMAIL_ADDRESS]"}"#
        );
    }

    #[test]
    fn more_literals_than_fit_are_looked_at_bit_by_bit() {
        let dense = r#"
[[rule]]
id = "a.dense"
entity = "DENSE"
category = "pii"
description = "Dense"
pattern = '''zzz[0-9]{4}'''
keywords = ["zzz", "zzzz", "zzzzz", "zzzzzz"]
examples = ["zzz zzz1234"]
negative_examples = ["x"]
"#;
        let body = format!(r#"{{"a": "{} zzz zzz1234", "b": "bob@example.com"}}"#, "z".repeat(200_000));
        let expected = body.replace("zzz1234", "[DENSE]").replace("bob@example.com", "[EMAIL_ADDRESS]");
        assert!(redacted(dense, Policy::default(), &body) == expected);
    }

    #[test]
    fn an_escaped_literal_is_found_behind_long_runs_of_letters() {
        let token = r"AK\u0049AZ3KQ7VT6XR2MB5NW";
        let body = format!(r#"{{"a": "{}\n{token}"}}"#, "a".repeat(300));
        assert_eq!(redacted("", Policy::default(), &body), body.replace(token, "[AWS_ACCESS_KEY_ID]"));
    }
}
