//! What [`super::Redactor`] writes, the plain way: the oracle's findings, with
//! each acted on.

use super::{Action, Applied, Plan, RedactError};
use crate::scan::{Finding, Format, Opened, Wrap, naive};
use std::sync::Arc;

/// What the oracle finds, as [`super::find`] has it from the pipeline.
///
/// # Errors
/// When the policy blocks what is found.
pub fn find(plan: &Arc<Plan>, format: Format, document: &[u8]) -> Result<Vec<Applied>, RedactError> {
    let (findings, opened) = naive::all(plan.engine(), plan.protections(), format, document);
    let mut applied = Vec::new();
    for finding in findings {
        let base64 = finding.wrap == Wrap::Base64;
        for rule in rules_of(&finding, &opened) {
            match plan.action(rule) {
                Action::Block => return Err(blocked(plan, rule)),
                action => applied.push(Applied { span: finding.span, rule, action, base64 }),
            }
        }
    }
    Ok(applied)
}

/// The redacted `document`.
///
/// # Errors
/// When the policy blocks what is found.
pub fn redact(plan: &Plan, format: Format, document: &[u8]) -> Result<Vec<u8>, RedactError> {
    let mut redacted = Vec::with_capacity(document.len());
    let mut rest = 0;
    let (findings, opened) = naive::all(plan.engine(), plan.protections(), format, document);
    for finding in findings {
        let rules = rules_of(&finding, &opened);
        if let Some(rule) = rules.iter().find(|&&rule| plan.action(rule) == Action::Block) {
            return Err(blocked(plan, *rule));
        }
        if rules.iter().all(|&rule| plan.action(rule) == Action::Report) {
            continue;
        }
        let place = |at: u64| usize::try_from(at).unwrap_or(document.len());
        let (start, end) = (place(finding.span.start), place(finding.span.end));
        redacted.extend_from_slice(&document[rest..start]);
        let mut pieces = Vec::new();
        if finding.wrap == Wrap::Base64 {
            pieces.push(plan.encoded(&document[start..end], of_run(&finding, &opened)));
        } else if let Some(mut replacement) = plan.begin(&finding, &mut pieces) {
            replacement.push(&document[start..end], &mut pieces);
            replacement.finish(&mut pieces);
        }
        redacted.extend(pieces.concat());
        rest = end;
    }
    redacted.extend_from_slice(&document[rest..]);
    Ok(redacted)
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
