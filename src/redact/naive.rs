//! What [`super::Redactor`] writes, the plain way: the oracle's findings, with
//! each acted on.

use super::{Action, Applied, Plan, RedactError, label};
use crate::scan::{Format, Wrap, naive};
use bytes::Bytes;
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
        let place = |at: u64| usize::try_from(at).unwrap_or(document.len());
        let replacement = match (plan.action(finding.rule), finding.wrap) {
            (Action::Report, _) => continue,
            (Action::Block, _) => return Err(blocked(plan, finding.rule)),
            (Action::Remove, Wrap::Plain) => Bytes::new(),
            (Action::Remove, wrap) => label::wrapped(Bytes::new(), wrap),
            (Action::Replace, wrap) => label::wrapped(plan.label(finding.rule), wrap),
        };
        redacted.extend_from_slice(&document[rest..place(finding.span.start)]);
        redacted.extend_from_slice(&replacement);
        rest = place(finding.span.end);
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
