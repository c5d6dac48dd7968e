//! What [`super::Redactor`] writes, the plain way: the oracle's findings, with
//! each acted on.

use super::{Action, Applied, Plan, RedactError};
use crate::scan::{Format, naive};
use std::sync::Arc;

/// What the oracle finds, as [`super::find`] has it from the pipeline.
///
/// # Errors
/// When the policy blocks what is found.
pub fn find(plan: &Arc<Plan>, format: Format, document: &[u8]) -> Result<Vec<Applied>, RedactError> {
    naive::findings(plan.engine(), format, document)
        .into_iter()
        .map(|finding| match plan.action(finding.rule) {
            Action::Block => Err(blocked(plan, finding.rule)),
            action => Ok(Applied { span: finding.span, rule: finding.rule, action }),
        })
        .collect()
}

/// The redacted `document`.
///
/// # Errors
/// When the policy blocks what is found.
pub fn redact(plan: &Plan, format: Format, document: &[u8]) -> Result<Vec<u8>, RedactError> {
    let mut redacted = Vec::with_capacity(document.len());
    let mut rest = 0;
    for finding in naive::findings(plan.engine(), format, document) {
        match plan.action(finding.rule) {
            Action::Report => continue,
            Action::Block => return Err(blocked(plan, finding.rule)),
            _ => {}
        }
        let place = |at: u64| usize::try_from(at).unwrap_or(document.len());
        let (start, end) = (place(finding.span.start), place(finding.span.end));
        redacted.extend_from_slice(&document[rest..start]);
        let mut pieces = Vec::new();
        if let Some(mut replacement) = plan.begin(&finding, &mut pieces) {
            replacement.push(&document[start..end], &mut pieces);
            replacement.finish(&mut pieces);
        }
        redacted.extend(pieces.concat());
        rest = end;
    }
    redacted.extend_from_slice(&document[rest..]);
    Ok(redacted)
}

fn blocked(plan: &Plan, rule: usize) -> RedactError {
    match plan.engine().ruleset().rules.get(rule) {
        Some(rule) => RedactError::Blocked { entity: rule.entity.clone(), rule: rule.id.clone() },
        None => RedactError::Engine,
    }
}
