//! Do the rules find what their examples say, and nothing else?
//!
//! Each rule is judged alone, so that overlaps with others do not matter, and
//! as if it were enabled and live, so that a rule in shadow is known to work
//! before it is promoted. It is judged as its file has it: an `[[override]]`
//! may well exclude what an example shows. Every text goes through the real
//! pipeline, as text and inside a JSON string; the examples of member name
//! rules are JSON already. At last all rules in force, together, look at what
//! all actions write.

use super::{Action, Applied, Format, Plan, Policy, RedactError, Redactor, naive};
use crate::rule::{Example, Matcher, Rule, Ruleset};
use crate::scan::{CompileError, Engine, meaning};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A rule that does not do what its examples say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file of the rule.
    pub source: String,
    /// Where the rule's id stands in it; from 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// The id of the rule.
    pub rule: String,
    /// What was expected and what was found, with the rule's own, synthetic
    /// example.
    pub message: String,
}

impl Problem {
    /// A text of several lines stays on one.
    pub fn on_one_line(&self) -> String {
        self.to_string().replace('\n', "\\n")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.source, self.line, self.column, self.rule, self.message)
    }
}

/// A way to find things; every way must find the same.
pub type Finder = fn(&Arc<Plan>, Format, &[u8]) -> Result<Vec<Applied>, RedactError>;

/// Every finder with its name in messages.
pub const FINDERS: &[(&str, Finder)] = &[("the pipeline", find), ("the oracle", naive::find)];

/// What the real pipeline finds.
///
/// # Errors
/// As [`Redactor::push`].
pub fn find(plan: &Arc<Plan>, format: Format, raw: &[u8]) -> Result<Vec<Applied>, RedactError> {
    redact(plan, format, raw).map(|(_, applied)| applied)
}

/// Judges every rule of `ruleset` by its examples.
///
/// # Errors
/// When the literals of all rules together cannot be compiled.
pub fn judge(ruleset: &Ruleset) -> Result<Vec<Problem>, CompileError> {
    judge_some(ruleset, |_| true)
}

/// As [`judge`], without the rules that came with the program: its own tests
/// have judged those. Nothing is left to do when there are no others.
///
/// # Errors
/// As [`judge`].
pub fn judge_own(ruleset: &Ruleset) -> Result<Vec<Problem>, CompileError> {
    if ruleset.rules.iter().all(|rule| rule.builtin && rule.written.is_none()) {
        return Ok(Vec::new());
    }
    judge_some(ruleset, |rule| !rule.builtin)
}

fn judge_some(ruleset: &Ruleset, wanted: impl Fn(&Rule) -> bool) -> Result<Vec<Problem>, CompileError> {
    let mut problems = Vec::new();
    for rule in ruleset.rules.iter().filter(|rule| wanted(rule)) {
        match Judge::new(rule) {
            Ok(judge) => {
                problems.extend(judge.examples());
                problems.extend(judge.negative_examples());
            }
            Err(CompileError::Pattern { reason, .. }) => problems.push(problem(rule, reason)),
            Err(error) => return Err(error),
        }
    }
    match judge_outputs(ruleset) {
        Ok(unstable) => problems.extend(unstable),
        // A rule that cannot be compiled alone cannot be in company.
        Err(CompileError::Pattern { .. }) if !problems.is_empty() => {}
        Err(error) => return Err(error),
    }
    Ok(problems)
}

/// One rule on its own.
struct Judge {
    rule: Rule,
    plan: Arc<Plan>,
}

impl Judge {
    fn new(rule: &Rule) -> Result<Self, CompileError> {
        let rule = Rule { enabled: true, shadow: false, ..rule.as_written().clone() };
        let ruleset = Ruleset { rules: vec![rule.clone()], hash: String::new() };
        let engine = Arc::new(Engine::compile(Arc::new(ruleset))?);
        Ok(Self { rule, plan: Arc::new(Plan::new(engine, &Policy::default())) })
    }

    fn examples(&self) -> Vec<Problem> {
        let each = |example: &Example| self.each_way(&example.text, |values| self.expect(example, values));
        self.rule.examples.iter().flat_map(each).collect()
    }

    fn negative_examples(&self) -> Vec<Problem> {
        let nothing = |values: &[Value]| match values {
            [] => Ok(()),
            _ => Err("nothing".to_owned()),
        };
        self.rule.negative_examples.iter().flat_map(|text| self.each_way(text, nothing)).collect()
    }

    /// Judges what every finder finds in `text`, in every format that the rule
    /// is for. `expect` answers with what it expected, when that is not so.
    fn each_way(&self, text: &str, expect: impl Fn(&[Value]) -> Result<(), String>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for body in bodies(&self.rule, text) {
            for (finder, find) in FINDERS {
                let message = match find(&self.plan, body.format, body.raw.as_bytes()) {
                    Err(error) => format!("`{text}` {}: {finder} fails: {error}", body.told),
                    Ok(applied) => {
                        let values: Vec<Value> = applied.iter().map(|found| body.value(found)).collect();
                        let Err(expected) = expect(&values) else { continue };
                        let found = shown(&values);
                        format!("in `{text}` {}: expected {expected}, {finder} found {found}", body.told)
                    }
                };
                problems.push(self.problem(message));
                // What the finders after it say would be the same.
                break;
            }
        }
        problems
    }

    fn expect(&self, example: &Example, values: &[Value]) -> Result<(), String> {
        let wanted = match (&example.finds, needs_context(&self.rule)) {
            (Some(finds), _) => finds,
            (None, false) => &example.text,
            (None, true) if values.is_empty() => return Err("something".to_owned()),
            (None, true) => return Ok(()),
        };
        match values {
            [] => Err(format!("`{wanted}`")),
            _ if values.iter().all(|value| value.is(wanted)) => Ok(()),
            _ => Err(format!("`{wanted}` and nothing else")),
        }
    }

    fn problem(&self, message: String) -> Problem {
        problem(&self.rule, message)
    }
}

fn problem(rule: &Rule, message: String) -> Problem {
    Problem { source: rule.source.clone(), line: rule.line, column: rule.column, rule: rule.id.clone(), message }
}

/// Whether the rule finds a part of what it looks at.
fn needs_context(rule: &Rule) -> bool {
    match &rule.matcher {
        Matcher::Pattern(pattern) => pattern.contains("(?P<secret>") || !rule.keywords.is_empty(),
        Matcher::Detector(_) => !rule.keywords.is_empty(),
        Matcher::Key(_) => true,
    }
}

/// A text as the pipeline gets it.
struct Body {
    format: Format,
    raw: String,
    told: &'static str,
}

impl Body {
    fn value(&self, found: &Applied) -> Value {
        let range = usize::try_from(found.span.start).unwrap_or(0)..usize::try_from(found.span.end).unwrap_or(0);
        let raw = self.raw.as_bytes().get(range).unwrap_or_default();
        let text = String::from_utf8_lossy(raw).into_owned();
        let string = serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.clone());
        Value { text: if self.format == Format::Text { text } else { string }, meaning: meaning(raw) }
    }
}

/// What was found.
struct Value {
    /// As it stands in the text or the JSON string.
    text: String,
    /// With every escape decoded.
    meaning: Vec<u8>,
}

impl Value {
    fn is(&self, wanted: &str) -> bool {
        self.text == wanted || self.meaning == wanted.as_bytes()
    }
}

fn bodies(rule: &Rule, text: &str) -> Vec<Body> {
    if matches!(rule.matcher, Matcher::Key(_)) {
        return vec![Body { format: Format::Json, raw: text.to_owned(), told: "as JSON" }];
    }
    vec![
        Body { format: Format::Text, raw: text.to_owned(), told: "as text" },
        Body { format: Format::Json, raw: in_json(text), told: "in a JSON string" },
    ]
}

fn in_json(text: &str) -> String {
    serde_json::json!([text]).to_string()
}

fn shown(values: &[Value]) -> String {
    if values.is_empty() {
        return "nothing".to_owned();
    }
    let values: Vec<String> = values.iter().map(|value| format!("`{}`", value.text)).collect();
    values.join(" and ")
}

/// Whether what the actions write is left alone by all rules together; at most
/// one problem for each rule.
fn judge_outputs(ruleset: &Ruleset) -> Result<Vec<Problem>, CompileError> {
    let rules: Vec<Rule> = ruleset.rules.iter().map(|rule| Rule { shadow: false, ..rule.clone() }).collect();
    let engine = Arc::new(Engine::compile(Arc::new(Ruleset { rules, hash: String::new() }))?);
    let mut problems = BTreeMap::new();
    for default in [Action::Replace, Action::Remove] {
        let policy = Policy { default, entities: BTreeMap::new() };
        let plan = Arc::new(Plan::new(Arc::clone(&engine), &policy));
        for rule in ruleset.rules.iter().filter(|rule| rule.enabled) {
            for problem in unstable(&plan, default, rule) {
                problems.entry(problem.rule.clone()).or_insert(problem);
            }
        }
    }
    Ok(problems.into_values().collect())
}

/// The rules that find something in what was written for examples of `rule`.
fn unstable(plan: &Arc<Plan>, action: Action, rule: &Rule) -> Vec<Problem> {
    let bodies = rule.examples.iter().flat_map(|example| bodies(rule, &example.text));
    let judged = bodies.filter_map(|body| {
        let (once, _) = redact(plan, body.format, body.raw.as_bytes()).ok()?;
        let (_, again) = redact(plan, body.format, &once).ok()?;
        let by = plan.engine().ruleset().rules.get(again.first()?.rule)?;
        let once = String::from_utf8_lossy(&once);
        let of = if by.id == rule.id { String::new() } else { format!(" of {}", rule.id) };
        let message = format!("`{once}`, the output of `{action}` for an example{of} {}, is found again", body.told);
        Some(problem(by, message))
    });
    judged.collect()
}

fn redact(plan: &Arc<Plan>, format: Format, raw: &[u8]) -> Result<(Vec<u8>, Vec<Applied>), RedactError> {
    let mut redactor = Redactor::new(plan, format);
    redactor.record();
    let mut out = Vec::new();
    redactor.push(Bytes::copy_from_slice(raw), &mut out)?;
    redactor.finish(&mut out)?;
    Ok((out.concat(), redactor.take_applied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let ruleset = Ruleset::from_texts(&[("acme.toml".to_owned(), text.to_owned())]).unwrap();
        judge(&ruleset)
            .unwrap()
            .iter()
            .filter(|problem| problem.source == "acme.toml")
            .map(Problem::to_string)
            .collect()
    }

    fn acme(examples: &str, negative: &str, more: &str) -> Vec<String> {
        problems(&format!(
            "[[rule]]\nid = 'acme.key'\nentity = 'ACME_KEY'\ncategory = 'credential'\ndescription = 'Acme'\n\
             pattern = 'acme_[a-z0-9]{{8}}'\nexamples = [{examples}]\nnegative_examples = [{negative}]\n{more}"
        ))
    }

    #[test]
    fn every_built_in_rule_does_what_its_examples_say() {
        let problems = judge(&Ruleset::builtin().unwrap()).unwrap();
        let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert!(lines.is_empty(), "{} problems\n{}", lines.len(), lines.join("\n"));
    }

    #[test]
    fn an_example_must_be_found_whole() {
        assert!(acme("'acme_a1b2c3d4'", "'acme_'", "").is_empty());
        let found = acme("'acme_a1b2c3d4 !'", "'acme_'", "");
        assert_eq!(
            found,
            [
                "acme.toml:2:6: acme.key: in `acme_a1b2c3d4 !` as text: \
                 expected `acme_a1b2c3d4 !` and nothing else, the pipeline found `acme_a1b2c3d4`",
                "acme.toml:2:6: acme.key: in `acme_a1b2c3d4 !` in a JSON string: \
                 expected `acme_a1b2c3d4 !` and nothing else, the pipeline found `acme_a1b2c3d4`",
            ]
        );
    }

    #[test]
    fn an_example_that_says_what_it_finds_is_held_to_it() {
        let good = r#"{ text = "x acme_a1b2c3d4\n", finds = "acme_a1b2c3d4" }"#;
        assert!(acme(good, "'acme_'", "").is_empty());
        let bad = "{ text = 'x acme_a1b2c3d4', finds = 'x acme' }";
        assert_eq!(acme(bad, "'acme_'", "").len(), 2);
    }

    #[test]
    fn a_negative_example_must_not_be_found() {
        let found = acme("'acme_a1b2c3d4'", "'x acme_a1b2c3d4'", "");
        assert_eq!(found.len(), 2);
        assert!(found[0].ends_with("expected nothing, the pipeline found `acme_a1b2c3d4`"), "{}", found[0]);
    }

    #[test]
    fn rules_in_shadow_and_disabled_ones_are_judged_too() {
        for more in ["shadow = true", "enabled = false"] {
            assert_eq!(acme("'acme'", "'acme_'", more).len(), 2, "{more}");
        }
    }

    #[test]
    fn a_rule_that_finds_labels_is_a_problem() {
        let found = problems(
            "[[rule]]\nid = 'acme.label'\nentity = 'ACME_KEY'\ncategory = 'credential'\ndescription = 'Acme'\n\
             pattern = 'ACME_[A-Z]{3}'\nexamples = ['ACME_ABC']\nnegative_examples = ['acme_']",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("acme.toml:2:6: acme.label: `[ACME_KEY]`, the output of"), "{found:?}");
        assert!(found[0].ends_with("for an example as text, is found again"), "{found:?}");
    }

    #[test]
    fn an_override_may_exclude_what_an_example_shows() {
        for (id, change) in [("us.ssn", "keywords = ['ssn']"), ("email.address", "allow = ['example']")] {
            let text = format!("[[override]]\nid = '{id}'\n{change}");
            let ruleset = Ruleset::from_texts(&[("acme.toml".to_owned(), text)]).unwrap();
            assert_eq!(judge(&ruleset).unwrap(), [], "{id}");
            assert_eq!(judge_own(&ruleset).unwrap(), [], "{id}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_is_a_problem_with_its_place() {
        for more in ["", "enabled = false"] {
            let found = problems(&format!(
                "[[rule]]\nid = 'acme.hex'\nentity = 'ACME_KEY'\ncategory = 'credential'\ndescription = 'Acme'\n\
                 pattern = '[a-f0-9]{{32}}'\nexamples = ['a']\nnegative_examples = ['b']\n{more}"
            ));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("acme.toml:2:6: acme.hex: the pattern needs a fixed text"), "{found:?}");
        }
    }

    #[test]
    fn own_rules_are_judged_without_the_built_in_ones() {
        assert_eq!(judge_own(&Ruleset::builtin().unwrap()).unwrap(), []);
        let text = "[[rule]]\nid = 'acme.key'\nentity = 'ACME_KEY'\ncategory = 'credential'\ndescription = 'Acme'\n\
                    pattern = 'acme_[a-z0-9]{8}'\nexamples = ['acme']\nnegative_examples = ['acme_']";
        let ruleset = Ruleset::from_texts(&[("acme.toml".to_owned(), text.to_owned())]).unwrap();
        assert_eq!(judge_own(&ruleset).unwrap().len(), 2);
    }
}
