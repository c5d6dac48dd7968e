//! Do the rules find what their examples say, and nothing else?
//!
//! Each rule is judged alone, so that overlaps with others do not matter, and
//! as if it were enabled and live, so that a rule in shadow is known to work
//! before it is promoted. It is judged as its file has it: an `[[override]]`
//! may well exclude what an example shows, and has examples of its own for the
//! rule that it makes. Paths are looked at where an example says where it
//! stands. Every text goes through the real
//! pipeline, as text and inside a JSON string; the examples of member name
//! rules are JSON already. At last all rules in force, together, look at what
//! all actions write.

use super::{Action, Applied, Format, Plan, Policy, RedactError, Redactor, Treatment, naive};
use crate::rule::{Changes, Example, Matcher, Place, Rule, Ruleset};
use crate::scan::{CompileError, Engine, meaning};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A rule that does not do what its examples say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the example stands that fails, else the rule's id.
    pub place: Place,
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
        write!(f, "{}: {}: {}", self.place, self.rule, self.message)
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
    judge_some(ruleset, |_| true, None)
}

/// As [`judge`] the rules of `engine`, without those that came with the program: its
/// own tests have judged them. Nothing is left to do when there are no others. The
/// engine is [cooled](Engine::cool) now and then, unless somebody else has it too.
///
/// # Errors
/// As [`judge`].
pub fn judge_own(engine: &mut Arc<Engine>) -> Result<Vec<Problem>, CompileError> {
    let ruleset = &Arc::clone(engine.ruleset());
    if ruleset.rules.iter().all(|rule| rule.builtin && rule.changes.is_none()) {
        return Ok(Vec::new());
    }
    let has_tests = |changes: &Changes| !changes.examples.is_empty() || !changes.negative_examples.is_empty();
    let is_own = |rule: &Rule| !rule.builtin || rule.changes.as_ref().is_some_and(|changes| has_tests(changes));
    judge_some(ruleset, is_own, Some(engine))
}

fn judge_some(
    ruleset: &Ruleset,
    wanted: impl Fn(&Rule) -> bool,
    engine: Option<&mut Arc<Engine>>,
) -> Result<Vec<Problem>, CompileError> {
    let tested = test(ruleset, wanted)?;
    let mut problems: Vec<Problem> = tested.into_iter().flat_map(Tested::into_problems).collect();
    match judge_outputs(ruleset, engine) {
        Ok(unstable) => problems.extend(unstable),
        // A rule that cannot be compiled alone cannot be in company.
        Err(CompileError::Pattern { .. }) if !problems.is_empty() => {}
        Err(CompileError::Pattern { id, reason }) => {
            let meant = ruleset.rules.iter().filter(|rule| rule.id == id);
            problems.extend(meant.map(|rule| of_pattern(rule, reason.clone())));
        }
        Err(error) => return Err(error),
    }
    Ok(problems)
}

/// One rule and what its examples came to.
#[derive(Clone, Debug)]
pub struct Tested {
    /// The rule's id.
    pub rule: String,
    /// Where that stands.
    pub place: Place,
    /// Why it cannot be tested at all.
    pub broken: Option<Problem>,
    /// Its examples.
    pub tests: Vec<Test>,
}

impl Tested {
    /// All that is wrong.
    pub fn into_problems(self) -> impl Iterator<Item = Problem> {
        self.broken.into_iter().chain(self.tests.into_iter().flat_map(|test| test.problems))
    }
}

/// One example of a rule.
#[derive(Clone, Debug)]
pub struct Test {
    /// Where it is written.
    pub place: Place,
    /// Its text, which is synthetic.
    pub text: String,
    /// Whether the rule must find nothing in it.
    pub negative: bool,
    /// What is wrong; nothing when it passes.
    pub problems: Vec<Problem>,
}

/// Tests the rules that are `wanted` by their examples, each on its own.
///
/// # Errors
/// When the literals of a rule cannot be compiled.
pub fn test(ruleset: &Ruleset, wanted: impl Fn(&Rule) -> bool) -> Result<Vec<Tested>, CompileError> {
    let mut all = Vec::new();
    for rule in ruleset.rules.iter().filter(|rule| wanted(rule)) {
        let written = rule.as_written();
        let mut tested = Tested { rule: rule.id.clone(), place: rule.place.clone(), broken: None, tests: Vec::new() };
        let mut parts = Vec::new();
        // The program's own tests have judged what came with it.
        if !rule.builtin || rule.changes.is_none() {
            parts.push((written, &written.examples, &written.negative_examples));
        }
        if let Some(changes) = &rule.changes {
            parts.push((rule, &changes.examples, &changes.negative_examples));
        }
        for (rule, examples, negative) in parts {
            match Judge::new(rule) {
                Ok(judge) => {
                    tested.tests.extend(examples.iter().map(|example| judge.example(example)));
                    tested.tests.extend(negative.iter().map(|example| judge.negative_example(example)));
                }
                Err(CompileError::Pattern { reason, .. }) => tested.broken = Some(of_pattern(rule, reason)),
                Err(error) => return Err(error),
            }
        }
        all.push(tested);
    }
    Ok(all)
}

/// What is expected in a negative example.
const NOTHING: &str = "nothing";

/// One rule on its own.
struct Judge {
    rule: Rule,
    /// With its paths.
    placed: Arc<Plan>,
    /// Looks everywhere.
    anywhere: Arc<Plan>,
}

impl Judge {
    fn new(rule: &Rule) -> Result<Self, CompileError> {
        let rule = Rule { enabled: true, shadow: false, changes: None, ..rule.clone() };
        let placed = alone(rule.clone())?;
        let has_paths = rule.is_scoped() || rule.allow.iter().any(|allow| allow.path.is_some());
        let anywhere = if has_paths { alone(without_paths(&rule))? } else { Arc::clone(&placed) };
        Ok(Self { rule, placed, anywhere })
    }

    fn example(&self, example: &Example) -> Test {
        self.test(example, false, |values| self.expect(example, values))
    }

    fn negative_example(&self, example: &Example) -> Test {
        self.test(example, true, |values| match values {
            [] => Ok(()),
            _ => Err(NOTHING.to_owned()),
        })
    }

    fn test(&self, example: &Example, negative: bool, expect: impl Fn(&[Value]) -> Result<(), String>) -> Test {
        let messages = self.each_way(example, expect);
        let problem = |message| Problem { place: example.place.clone(), rule: self.rule.id.clone(), message };
        let problems = messages.into_iter().map(problem).collect();
        Test { place: example.place.clone(), text: example.text.clone(), negative, problems }
    }

    /// Judges what every finder finds in an example, in every format that the
    /// rule is for. `expect` answers with what it expected, when that is not so.
    fn each_way(&self, example: &Example, expect: impl Fn(&[Value]) -> Result<(), String>) -> Vec<String> {
        let mut problems = Vec::new();
        let text = &example.text;
        for body in bodies(&self.rule, example) {
            for (finder, find) in FINDERS {
                let plan = if body.placed { &self.placed } else { &self.anywhere };
                let message = match find(plan, body.format, body.raw.as_bytes()) {
                    Err(error) => format!("`{text}` {}: {finder} fails: {error}", body.told),
                    Ok(applied) => {
                        let values: Vec<Value> = applied.iter().map(|found| body.value(found)).collect();
                        let Err(expected) = expect(&values) else { continue };
                        let found = shown(&values);
                        let hint = self.hint(&expected, body.placed);
                        format!("in `{text}` {}: expected {expected}, {finder} found {found}{hint}", body.told)
                    }
                };
                problems.push(message);
                // What the finders after it say would be the same.
                break;
            }
        }
        problems
    }

    /// What is most likely meant by an example without a place in which something is found
    /// that the rule's paths, or an exception at a place, would leave alone.
    fn hint(&self, expected: &str, placed: bool) -> &'static str {
        let is_limited = !self.rule.paths.is_empty() || !self.rule.exclude_paths.is_empty();
        let has_path = self.rule.allow.iter().any(|allow| allow.path.is_some());
        match (expected == NOTHING && !placed, is_limited, has_path) {
            (true, true, _) => {
                "; without a place an example stands where the rule looks: write it as { text = \"...\", path = \"/...\" }"
            }
            (true, false, true) => {
                "; an exception has a path: write the example as { text = \"...\", path = \"/...\" }"
            }
            _ => "",
        }
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
}

fn alone(rule: Rule) -> Result<Arc<Plan>, CompileError> {
    let engine = Engine::compile(Arc::new(Ruleset { rules: vec![rule], hash: String::new() }))?;
    Ok(Arc::new(Plan::new(Arc::new(engine), &Policy::default())))
}

fn without_paths(rule: &Rule) -> Rule {
    let allow = rule.allow.iter().filter(|allow| allow.path.is_none()).cloned().collect();
    Rule { paths: Vec::new(), exclude_paths: Vec::new(), allow, ..rule.clone() }
}

fn problem(rule: &Rule, message: String) -> Problem {
    Problem { place: rule.place.clone(), rule: rule.id.clone(), message }
}

fn of_pattern(rule: &Rule, message: String) -> Problem {
    Problem { place: rule.pattern_place.clone(), ..problem(rule, message) }
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
    /// Whether what it is made of stands where its paths say.
    placed: bool,
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

fn bodies(rule: &Rule, example: &Example) -> Vec<Body> {
    let text = &example.text;
    let is_key = matches!(rule.matcher, Matcher::Key(_));
    if let Some(path) = &example.path {
        let value = if is_key { text.clone() } else { serde_json::json!(text).to_string() };
        let raw = at_path(path, value);
        return vec![Body { format: Format::Json, raw, told: "at its path", placed: true }];
    }
    if is_key {
        return vec![Body { format: Format::Json, raw: text.to_owned(), told: "as JSON", placed: true }];
    }
    vec![
        Body { format: Format::Text, raw: text.to_owned(), told: "as text", placed: false },
        Body {
            format: Format::Json,
            raw: serde_json::json!([text]).to_string(),
            told: "in a JSON string",
            placed: false,
        },
    ]
}

/// A document in which `value` stands at the pointer `path`.
fn at_path(path: &str, value: String) -> String {
    let names = path.get(1..).unwrap_or_default().split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
    names.rev().fold(value, |value, name| format!("{{{}:{value}}}", serde_json::json!(name)))
}

fn shown(values: &[Value]) -> String {
    if values.is_empty() {
        return "nothing".to_owned();
    }
    let values: Vec<String> = values.iter().map(|value| format!("`{}`", value.text)).collect();
    values.join(" and ")
}

/// Rules whose examples are looked at before the engine is cooled: together they use
/// all that the rules can compile, some 20 MB.
const RULES_AT_ONCE: usize = 64;

/// Whether what the actions write is left alone by all rules together; at most
/// one problem for each rule. `engine` is the rules as they are, if that is known.
fn judge_outputs(ruleset: &Ruleset, engine: Option<&mut Arc<Engine>>) -> Result<Vec<Problem>, CompileError> {
    let mut live = None;
    let engine = match engine.filter(|_| !ruleset.rules.iter().any(|rule| rule.shadow)) {
        Some(engine) => engine,
        None => {
            let rules = ruleset.rules.iter().map(|rule| Rule { shadow: false, ..rule.clone() }).collect();
            live.insert(Arc::new(Engine::compile(Arc::new(Ruleset { rules, hash: String::new() }))?))
        }
    };
    let mut problems = BTreeMap::new();
    let enabled: Vec<&Rule> = ruleset.rules.iter().filter(|rule| rule.enabled).collect();
    for some in enabled.chunks(RULES_AT_ONCE) {
        for treatment in [Treatment::default(), Treatment::Remove] {
            let default = treatment.action();
            let plan = Arc::new(Plan::new(Arc::clone(engine), &Policy::always(treatment)));
            for rule in some {
                for (by, once, told) in unstable(&plan, rule) {
                    let by = &ruleset.rules[by];
                    let of = if by.id == rule.id { String::new() } else { format!(" of {}", rule.id) };
                    let message =
                        format!("`{once}`, the output of `{default}` for an example{of} {told}, is found again");
                    problems.entry(by.id.clone()).or_insert_with(|| problem(by, message));
                }
            }
        }
        if let Some(engine) = Arc::get_mut(engine) {
            engine.cool();
        }
    }
    Ok(problems.into_values().collect())
}

/// The rules that find something in what was written for examples of `rule`,
/// by index, with what was written and where.
pub(super) fn unstable(plan: &Arc<Plan>, rule: &Rule) -> Vec<(usize, String, &'static str)> {
    let bodies = rule.examples.iter().flat_map(|example| bodies(rule, example));
    let judged = bodies.filter_map(|body| {
        let (once, _) = redact(plan, body.format, body.raw.as_bytes()).ok()?;
        let (_, again) = redact(plan, body.format, &once).ok()?;
        let found = again.iter().find(|found| plan.action(found.rule) != Action::Report)?;
        Some((found.rule, String::from_utf8_lossy(&once).into_owned(), body.told))
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
            .filter(|problem| &*problem.place.source == "acme.toml")
            .map(Problem::to_string)
            .collect()
    }

    fn engine(ruleset: Ruleset) -> Arc<Engine> {
        Arc::new(Engine::compile(Arc::new(ruleset)).unwrap())
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
                "acme.toml:7:13: acme.key: in `acme_a1b2c3d4 !` as text: \
                 expected `acme_a1b2c3d4 !` and nothing else, the pipeline found `acme_a1b2c3d4`",
                "acme.toml:7:13: acme.key: in `acme_a1b2c3d4 !` in a JSON string: \
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
            assert_eq!(judge_own(&mut engine(ruleset)).unwrap(), [], "{id}");
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
            assert!(found[0].starts_with("acme.toml:6:11: acme.hex: the pattern needs a fixed text"), "{found:?}");
        }
    }

    #[test]
    fn own_rules_are_judged_without_the_built_in_ones() {
        assert_eq!(judge_own(&mut engine(Ruleset::builtin().unwrap())).unwrap(), []);
        let text = "[[rule]]\nid = 'acme.key'\nentity = 'ACME_KEY'\ncategory = 'credential'\ndescription = 'Acme'\n\
                    pattern = 'acme_[a-z0-9]{8}'\nexamples = ['acme']\nnegative_examples = ['acme_']";
        let ruleset = Ruleset::from_texts(&[("acme.toml".to_owned(), text.to_owned())]).unwrap();
        assert_eq!(judge_own(&mut engine(ruleset)).unwrap().len(), 2);
    }
}
