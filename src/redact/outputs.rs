//! Do rules leave alone what the actions of a policy write?
//!
//! What a rule finds in a label, a mask or a pseudonym would be redacted once
//! more by the next in line, and by a retry. So before a policy is used, all
//! that it may write is looked at by all rules: what it makes of the examples of
//! every rule, where they stand; and labels, masks of many lengths and hashes of
//! many values in the neighbourhoods in which rules expect values.

use super::judge::unstable;
use super::{Action, Format, Plan, Policy, Treatment, find};
use crate::rule::Rule;
use crate::scan::{Engine, Finding, Part, Wrap};
use crate::span::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An action whose output a rule would find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The key of the policy that says so: an entity, a category or `default`.
    pub key: String,
    /// What is written, and which rule finds it where.
    pub message: String,
}

/// Where values stand; `$` is the output.
const TEXTS: &[&str] = &[
    "$",
    "see $ for more",
    "($)",
    "$ $",
    "password=$",
    "api_key: $",
    "token = \"$\"",
    "export SECRET_KEY='$'",
    "Authorization: Bearer $",
    "call $ or mail <$>",
    "card number $, IBAN $, SSN $",
    "https://example.com/?to=$&token=$",
];

/// The same in JSON.
const DOCUMENTS: &[&str] = &[
    r#"{"text": "$"}"#,
    r#"{"text": "see\n$\nfor more"}"#,
    r#"{"password": "$"}"#,
    r#"{"api_keys": ["$", "$"]}"#,
    r#"{"text": "{\"token\": \"$\"}"}"#,
    r#"{"text": "{'secret': '$', 'phone': '$'}"}"#,
    r#"{"text": "password=$"}"#,
    r#"{"key": "db.password", "value": {"stringValue": "$"}}"#,
];

/// The actions of `policy` whose output a rule would find: at most one refusal
/// for each key of the policy.
pub fn judge_policy(engine: &Arc<Engine>, policy: &Policy) -> Vec<Refusal> {
    let mut refused = BTreeMap::new();
    for (treatment, rules) in treatments(engine, policy) {
        let plan = Arc::new(Plan::new(Arc::clone(engine), &Policy::always(treatment.clone())));
        let mut judged = BTreeSet::new();
        for (index, rule) in rules {
            let key = policy.key_for(rule);
            if refused.contains_key(key) {
                continue;
            }
            let message = judge_outputs(&plan, &treatment, index, &mut judged).or_else(|| judge_examples(&plan, rule));
            if let Some(message) = message {
                let remedy = remedy(&treatment);
                let message = format!("\"{}\" of {} {message}; {remedy}", treatment.action(), rule.entity);
                refused.insert(key.to_owned(), Refusal { key: key.to_owned(), message });
            }
        }
    }
    refused.into_values().collect()
}

/// What writes something of its own, with the rules that it is for: not for those
/// that write nothing. Labels as they are by default are judged with the rules.
fn treatments<'a>(engine: &'a Engine, policy: &Policy) -> Vec<(Treatment, Vec<(usize, &'a Rule)>)> {
    let mut treatments: Vec<(Treatment, Vec<_>)> = Vec::new();
    for (index, rule) in engine.ruleset().rules.iter().enumerate().filter(|(_, rule)| rule.enabled && !rule.shadow) {
        let treatment = policy.treatment(rule);
        let writes = match treatment {
            Treatment::Replace(_) => *treatment != Treatment::default(),
            Treatment::Mask(_) | Treatment::Hash(_) => true,
            Treatment::Remove | Treatment::Block | Treatment::Report => false,
        };
        if !writes {
            continue;
        }
        match treatments.iter_mut().find(|(known, _)| known == treatment) {
            Some((_, rules)) => rules.push((index, rule)),
            None => treatments.push((treatment.clone(), vec![(index, rule)])),
        }
    }
    treatments
}

fn remedy(treatment: &Treatment) -> &'static str {
    match treatment {
        Treatment::Replace(_) => "write the template in brackets, like \"<{entity}>\"",
        Treatment::Mask(_) => "keep fewer characters, mask with \"*\", or take another action",
        _ => "take another action",
    }
}

fn judge_examples(plan: &Arc<Plan>, rule: &Rule) -> Option<String> {
    let (by, written, _) = unstable(plan, rule).into_iter().next()?;
    let by = &plan.engine().ruleset().rules[by].id;
    Some(format!("makes `{written}` of an example, in which the rule {by} would find a value again"))
}

/// Looks at what is written for the findings of a rule, unless it was `judged`
/// before.
fn judge_outputs(
    plan: &Arc<Plan>,
    treatment: &Treatment,
    rule: usize,
    judged: &mut BTreeSet<String>,
) -> Option<String> {
    let outputs = samples(treatment).into_iter().map(|sample| output(plan, rule, &sample));
    let outputs: Vec<String> = outputs.filter(|output| judged.insert(output.clone())).collect();
    [(Format::Text, TEXTS), (Format::Json, DOCUMENTS)]
        .into_iter()
        .find_map(|(format, places)| look(plan, format, places, &outputs))
}

/// Values of which masks and hashes are made.
fn samples(treatment: &Treatment) -> Vec<String> {
    const KINDS: [&str; 4] =
        ["4111111111111111", "+14155550123", "aZ3kQ9vT6xR1mB8nW4yU7cE2sD5fG0hJ", "jane.doe@example.com"];
    match treatment {
        Treatment::Mask(_) => {
            let lengths = (3..=40).chain([48, 64, 100, 200, 400]);
            let sample =
                |length: usize| KINDS.iter().map(move |kind| kind.chars().cycle().take(length).collect::<String>());
            lengths.flat_map(sample).collect()
        }
        Treatment::Hash(_) => KINDS.iter().map(|&kind| kind.to_owned()).collect(),
        _ => vec![KINDS[0].to_owned()],
    }
}

fn output(plan: &Plan, rule: usize, value: &str) -> String {
    let finding = Finding { span: Span::new(0, value.len() as u64), rule, wrap: Wrap::Plain, part: Part::Whole };
    let mut out = Vec::new();
    if let Some(mut replacement) = plan.begin(&finding, &mut out) {
        replacement.push(value.as_bytes(), &mut out);
        replacement.finish(&mut out);
    }
    String::from_utf8_lossy(&out.concat()).into_owned()
}

/// What is found of `outputs` in `places`, if anything is.
fn look(plan: &Arc<Plan>, format: Format, places: &[&str], outputs: &[String]) -> Option<String> {
    let lines: Vec<(&String, &str)> =
        outputs.iter().flat_map(|output| places.iter().map(move |place| (output, *place))).collect();
    let written: Vec<String> = lines.iter().map(|(output, place)| place.replace('$', output)).collect();
    let found = match find(plan, format, written.join("\n").as_bytes()) {
        Ok(found) => found,
        Err(error) => return Some(format!("cannot be judged: {error}")),
    };
    let first = found.iter().find(|finding| plan.action(finding.rule) != Action::Report)?;
    let mut end = 0;
    let line = written.iter().position(|line| {
        end += line.len() as u64 + 1;
        first.span.start < end
    })?;
    let (output, by) = (lines.get(line)?.0, &plan.engine().ruleset().rules.get(first.rule)?.id);
    Some(format!("writes `{output}`, in which the rule {by} would find a value again: `{}`", written[line]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{HashKey, Mask, Pseudonym, Template};
    use crate::rule::{Category, Ruleset};
    use std::sync::LazyLock;

    static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
        let ruleset = Ruleset::from_texts(&[]).unwrap();
        Arc::new(Engine::compile(Arc::new(ruleset)).unwrap())
    });

    fn refusals(policy: &Policy) -> Vec<String> {
        judge_policy(&ENGINE, policy)
            .into_iter()
            .map(|refusal| format!("{}: {}", refusal.key, refusal.message))
            .collect()
    }

    fn template(text: &str) -> Treatment {
        Treatment::Replace(text.parse::<Template>().unwrap())
    }

    fn hash(bits: u32) -> Treatment {
        let key = Arc::new(HashKey::new("k1", b"Only for tests: thirty-two bytes").unwrap());
        Treatment::Hash(Pseudonym::new(key, bits).unwrap())
    }

    #[test]
    fn nothing_is_found_in_pseudonyms() {
        for bits in [64, 128, 160, 256] {
            assert_eq!(refusals(&Policy::always(hash(bits))), [""; 0], "{bits}");
        }
    }

    #[test]
    fn nothing_is_found_in_masks() {
        let mask = Mask::default();
        for mask in [mask, mask.of_same_length(), mask.of_length(8).unwrap(), mask.with_character('-').unwrap()] {
            assert_eq!(refusals(&Policy::always(Treatment::Mask(mask))), [""; 0], "{mask:?}");
        }
    }

    #[test]
    fn nothing_is_found_in_masks_with_ends() {
        let mask = Mask::default();
        for mask in [mask.keeping(0, 4).unwrap(), mask.keeping(2, 2).unwrap().of_same_length()] {
            assert_eq!(refusals(&Policy::always(Treatment::Mask(mask))), [""; 0], "{mask:?}");
        }
    }

    #[test]
    fn nothing_is_found_in_templates_in_brackets() {
        for text in ["<{entity}>", "[{category}: {entity}]", "{{{entity}}}", "[REDACTED]"] {
            assert_eq!(refusals(&Policy::always(template(text))), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_rule_in_shadow_writes_nothing_and_so_is_not_judged() {
        let shadow = r"
            [[rule]]
            id = 'acme.key'
            entity = 'ACME_KEY'
            category = 'credential'
            description = 'Keys of the tests'
            pattern = '\bacme_[a-z0-9]{8}\b'
            shadow = true
            examples = ['acme_a1b2c3d4']
            negative_examples = ['acme_a1']
        ";
        let ruleset = Ruleset::from_texts(&[("acme.toml".to_owned(), shadow.to_owned())]).unwrap();
        let engine = Arc::new(Engine::compile(Arc::new(ruleset)).unwrap());
        for treatment in [Treatment::Mask(Mask::default()), hash(64), template("<{entity}>")] {
            assert_eq!(judge_policy(&engine, &Policy::always(treatment)), []);
        }
    }

    #[test]
    fn what_is_found_again_is_refused_with_the_rule_that_finds_it() {
        let mut policy = Policy::default();
        policy.entities.insert("PHONE_NUMBER".to_owned(), template("call 415-555-0123"));
        policy.entities.insert("EMAIL_ADDRESS".to_owned(), template("gone"));
        policy.categories.insert(Category::Credential, Treatment::Mask(Mask::default().with_character('x').unwrap()));
        let refused = refusals(&policy);
        // What is exactly a label is known to be one.
        assert_eq!(refused.len(), 1, "{refused:?}");
        let expected = "PHONE_NUMBER: \"replace\" of PHONE_NUMBER writes `call 415-555-0123`, in which the rule \
                        phone.nanp would find a value again: `call 415-555-0123`; write the template in brackets";
        assert!(refused[0].starts_with(expected), "{refused:?}");
    }
}
