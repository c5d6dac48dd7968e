//! What [`super::Redactor`] writes, the plain way: the oracle's findings, with
//! each acted on.

use super::packed;
use super::redactor::DEEPEST;
use super::{Action, Applied, Plan, RedactError};
use crate::scan::embedded::{self, Reader};
use crate::scan::{Finding, Format, Opened, Wrap, naive};
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
            if depth < DEEPEST && embedded::begins_plainly(document, start) {
                let mut run = Done::default();
                let end = run.pass_run(plan, &written, 0..written.len(), (depth, false))?;
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

impl Done {
    /// Appends what nothing was found in, but for JSON in base64. Whether that goes on
    /// where the range ends.
    fn pass(&mut self, plan: &Plan, document: &[u8], range: Range<usize>, depth: u8) -> Result<bool, RedactError> {
        let (mut at, mut goes_on) = (range.start, false);
        while at < range.end {
            let is_packed = packed::begins_at(document, at);
            if depth < DEEPEST && (is_packed || embedded::begins_plainly(document, at)) {
                at = self.pass_run(plan, document, at..range.end, (depth, is_packed))?;
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
        (depth, is_packed): (u8, bool),
    ) -> Result<usize, RedactError> {
        let raw = &document[range.clone()];
        let (mut reader, mut text) = (Reader::default(), Vec::new());
        let length = reader.read(raw, true, &mut text).raw;
        let is_token = reader.is_leading() && embedded::is_joint(&raw[length..]);
        let (text, format) = match is_packed {
            true => packed::read_plainly(&text).unwrap_or((Vec::new(), Format::Text)),
            false => (text, Format::Json),
        };
        let inner = if is_token { Done::default() } else { read(plan, format, &text, depth + 1)? };
        if is_token || inner.redacted == text {
            self.redacted.extend_from_slice(&raw[..length]);
        } else if is_packed {
            let written = packed::written(&[inner.redacted.clone().into()])?;
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
