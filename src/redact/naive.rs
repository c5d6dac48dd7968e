//! What [`super::Redactor`] writes, the plain way: the oracle's findings, with
//! each acted on.

use super::packed;
use super::redactor::{DEEPEST, Kind};
use super::{Action, Applied, Plan, RedactError};
use crate::scan::embedded::{self, Reader};
use crate::scan::{Finding, Format, Opened, Wrap, naive, packed as scan_packed, typed, zipped};
use crate::span::Span;
use std::ops::Range;
use std::sync::Arc;

/// What the oracle finds, as [`super::find`] has it from the pipeline.
///
/// # Errors
/// When the policy blocks what is found.
pub fn find(plan: &Arc<Plan>, format: Format, document: &[u8]) -> Result<Vec<Applied>, RedactError> {
    Ok(read(plan, format, document, 0)?.applied)
}

/// The redacted `document`.
///
/// # Errors
/// When the policy blocks what is found.
pub fn redact(plan: &Plan, format: Format, document: &[u8]) -> Result<Vec<u8>, RedactError> {
    Ok(read(plan, format, document, 0)?.redacted)
}

/// What comes of a document.
#[derive(Default)]
struct Done {
    redacted: Vec<u8>,
    applied: Vec<Applied>,
}

/// Reads a document that stands within `depth` others, in base64.
fn read(plan: &Plan, format: Format, document: &[u8], depth: u8) -> Result<Done, RedactError> {
    let (findings, opened) = naive::all(plan.engine(), plan.protections(), format, document);
    let (mut done, mut rest) = (Done::default(), 0);
    let place = |at: u64| usize::try_from(at).unwrap_or(document.len());
    for finding in findings {
        let base64 = finding.wrap == Wrap::Base64;
        let rules = rules_of(&finding, &opened);
        let acts = rules.iter().any(|&rule| plan.action(rule) != Action::Report);
        let (start, end) = (place(finding.span.start), place(finding.span.end));
        let is_cut = acts && done.pass(plan, document, rest..start, depth)?;
        for rule in rules {
            match plan.action(rule) {
                Action::Block => return Err(blocked(plan, rule)),
                action => done.applied.push(Applied { span: finding.span, rule, action, base64 }),
            }
        }
        if !acts {
            continue;
        }
        if base64 {
            let written = plan.encoded(&document[start..end], of_run(&finding, &opened));
            if let Some(kind) = kind_at(document, start).filter(|kind| depth < DEEPEST && *kind != Kind::Packed) {
                let mut run = Done::default();
                let end = run.pass_run(plan, &written, 0..written.len(), (depth, kind))?;
                done.redacted.extend([&run.redacted, &written[end..]].concat());
                done.applied.extend(run.applied.into_iter().map(|applied| Applied { span: finding.span, ..applied }));
            } else {
                done.redacted.extend_from_slice(&written);
            }
        } else {
            let mut pieces = Vec::new();
            if let Some(mut replacement) = plan.begin(&finding, &mut pieces) {
                replacement.push(&document[start..end], &mut pieces);
                replacement.finish(&mut pieces);
            }
            done.redacted.extend(pieces.concat());
        }
        rest = end;
        if is_cut {
            let goes_on = |byte: &&u8| embedded::is_character(**byte) || **byte == b'=';
            rest += document[end..].iter().take_while(goes_on).count();
        }
    }
    done.pass(plan, document, rest..document.len(), depth)?;
    Ok(done)
}

/// What in base64 begins at `at`.
fn kind_at(document: &[u8], at: usize) -> Option<Kind> {
    match () {
        () if packed::begins_at(document, at) || scan_packed::begins(document, at) => Some(Kind::Packed),
        () if embedded::begins_plainly(document, at) => Some(Kind::Json),
        () if typed::bytes_begin(document, at) && length_of_run(&document[at..]) > 0 => Some(Kind::Bytes),
        () => None,
    }
}

fn length_of_run(raw: &[u8]) -> usize {
    Reader::default().read(raw, true, &mut Vec::new()).raw
}

impl Done {
    /// Appends what nothing was found in, but for JSON in base64. Whether that goes on
    /// where the range ends.
    fn pass(&mut self, plan: &Plan, document: &[u8], range: Range<usize>, depth: u8) -> Result<bool, RedactError> {
        let (mut at, mut goes_on) = (range.start, false);
        while at < range.end {
            if zipped::begins(document, at) {
                return Err(RedactError::Zipped);
            }
            if let Some(kind) = kind_at(document, at).filter(|_| depth < DEEPEST) {
                at = self.pass_run(plan, document, at..range.end, (depth, kind))?;
                goes_on = at == range.end;
            } else {
                self.redacted.push(document[at]);
                (at, goes_on) = (at + 1, false);
            }
        }
        Ok(goes_on && document.get(range.end).copied().is_some_and(embedded::is_character))
    }

    /// The same of a run that the range begins with; where it ends.
    fn pass_run(
        &mut self,
        plan: &Plan,
        document: &[u8],
        range: Range<usize>,
        (depth, kind): (u8, Kind),
    ) -> Result<usize, RedactError> {
        let raw = &document[range.clone()];
        let (mut reader, mut text) = (Reader::default(), Vec::new());
        let length = reader.read(raw, true, &mut text).raw;
        let is_token = reader.is_leading() && embedded::is_joint(&raw[length..]);
        let bytes = text.clone();
        let (text, format) = match kind {
            Kind::Packed => packed::read_plainly(&text).unwrap_or((Vec::new(), Format::Text)),
            Kind::Json => (text, Format::Json),
            Kind::Bytes => {
                let format = packed::format_of(&text);
                (text, format)
            }
        };
        let inner = if is_token { Done::default() } else { read(plan, format, &text, depth + 1)? };
        if is_token || inner.redacted == text {
            self.redacted.extend_from_slice(&raw[..length]);
        } else if kind == Kind::Packed {
            let written = packed::written(&bytes, &[inner.redacted.clone().into()])?;
            self.redacted.extend(reader.encoding().write(&written));
        } else {
            let same = inner.redacted.iter().zip(&text).take_while(|(new, old)| new == old).count() / 3;
            let before = embedded::length_of(raw, same as u64 * 4);
            let written = reader.encoding().write(&inner.redacted[same * 3..]);
            self.redacted.extend_from_slice(&raw[..before]);
            self.redacted.extend(if plan.keeps_length {
                embedded::laid_out(&raw[before..length], &written)
            } else {
                written
            });
        }
        let end = range.start + length;
        let span = Span::new(range.start as u64, end as u64);
        self.applied.extend(inner.applied.into_iter().map(|applied| Applied { span, base64: true, ..applied }));
        Ok(end)
    }
}

/// What was found in a text in base64.
fn of_run<'a>(finding: &Finding, opened: &'a [Opened]) -> &'a [Finding] {
    opened.iter().find(|one| one.run == finding.span).map_or(&[], |one| &one.findings)
}

/// The rules of a finding: of a text in base64, those of all that it holds.
fn rules_of(finding: &Finding, opened: &[Opened]) -> Vec<usize> {
    match finding.wrap {
        Wrap::Base64 => of_run(finding, opened).iter().map(|inner| inner.rule).collect(),
        _ => vec![finding.rule],
    }
}

fn blocked(plan: &Plan, rule: usize) -> RedactError {
    match plan.engine().ruleset().rules.get(rule) {
        Some(rule) => RedactError::Blocked { entity: rule.entity.clone(), rule: rule.id.clone() },
        None => RedactError::Engine,
    }
}
