//! Lays the user's rule files over the built-in packs.

use super::allow::GeneralAllow;
use super::fields::Placed;
use super::mistakes::Mistakes;
use super::names::{nearest_entity, unknown_rule};
use super::syntax::{self, Override, RuleFile};
use super::{
    Allow, Allowed, Category, Changes, Example, Matcher, PathPattern, Place, Profile, Rule, RuleError, RuleTexts,
    Ruleset, pack,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

impl Ruleset {
    /// The packs embedded in the binary, as they are without any configuration.
    ///
    /// # Errors
    /// Never for a binary whose tests have passed.
    pub fn builtin() -> Result<Self, RuleError> {
        Self::from_texts(&[])
    }

    /// How many rules are in use: those that are not disabled.
    pub fn enabled(&self) -> usize {
        self.rules.iter().filter(|rule| rule.enabled).count()
    }

    /// The built-in packs with the user's files, or directories of `*.toml`
    /// in the order of their names, on top: new rules add, rules of the same
    /// id replace, `[[override]]` changes single fields.
    ///
    /// # Errors
    /// When a path cannot be read, else with every mistake in every file.
    pub fn load(paths: &[PathBuf]) -> Result<Self, RuleError> {
        RuleTexts::read(paths)?.ruleset(true)
    }

    /// As [`Ruleset::load`], with the name and the text of each file.
    ///
    /// # Errors
    /// With every mistake in every file.
    pub fn from_texts(files: &[(String, String)]) -> Result<Self, RuleError> {
        Self::layered(pack::FILES.iter().copied(), files)
    }

    /// As [`Ruleset::from_texts`], without the built-in packs.
    ///
    /// # Errors
    /// As there.
    pub fn from_texts_alone(files: &[(String, String)]) -> Result<Self, RuleError> {
        Self::layered(std::iter::empty(), files)
    }

    /// These rules, without those that the profile leaves out: they stay, as
    /// disabled. A rule that names no profile is in all of them if it is the
    /// user's own; a built-in one for personal data is not in
    /// [`Profile::CredentialsOnly`].
    #[must_use]
    pub fn in_profile(mut self, profile: Profile) -> Self {
        for rule in &mut self.rules {
            let is_in = match rule.profiles.as_slice() {
                [] => !rule.builtin || profile != Profile::CredentialsOnly || rule.category == Category::Credential,
                named => named.contains(&profile),
            };
            rule.enabled &= is_in;
        }
        self.hash = hash(&self.rules);
        self
    }

    fn layered<'a>(
        builtin: impl Iterator<Item = (&'a str, &'a str)>,
        user: &'a [(String, String)],
    ) -> Result<Self, RuleError> {
        let mut lower = Layer::read(builtin);
        let mut upper = Layer::read(user.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        let mut rules = lower.take_rules();
        for rule in rules.values_mut() {
            rule.builtin = true;
        }
        rules.extend(upper.take_rules());
        if lower.is_correct() && upper.is_correct() {
            for layer in [&mut lower, &mut upper] {
                layer.apply_overrides(&mut rules);
                layer.apply_allows(&mut rules);
            }
        }
        let mut errors = lower.into_errors();
        errors.extend(upper.into_errors());
        match errors.pop() {
            None => {
                let rules: Vec<Rule> = rules.into_values().collect();
                let hash = hash(&rules);
                Ok(Self { rules, hash })
            }
            Some(only) if errors.is_empty() => Err(only),
            Some(last) => {
                errors.push(last);
                Err(RuleError::Several(errors))
            }
        }
    }
}

/// Files in which every id is unique.
struct Layer<'a> {
    files: Vec<(Mistakes<'a>, RuleFile)>,
}

impl<'a> Layer<'a> {
    fn read(files: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let files = files
            .map(|(path, text)| {
                let mut mistakes = Mistakes::new(path, text);
                let file = syntax::read(&mut mistakes);
                (mistakes, file)
            })
            .collect();
        Self { files }
    }

    fn is_correct(&self) -> bool {
        self.files.iter().all(|(mistakes, _)| mistakes.count() == 0)
    }

    fn take_rules(&mut self) -> BTreeMap<String, Rule> {
        let mut rules = BTreeMap::new();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        for (mistakes, file) in &mut self.files {
            for (rule, offset) in file.rules.drain(..) {
                let place = rule.place.to_string();
                if let Some(first) = places.get(&rule.id) {
                    let message = format!("the id `{}` is taken by the rule at {first}", rule.id);
                    mistakes.add(offset, message);
                    continue;
                }
                places.insert(rule.id.clone(), place);
                rules.insert(rule.id.clone(), rule);
            }
        }
        rules
    }

    fn apply_overrides(&mut self, rules: &mut BTreeMap<String, Rule>) {
        for (mistakes, file) in &mut self.files {
            for change in file.overrides.drain(..) {
                let offset = change.id.span.start;
                let place = mistakes.place(offset);
                let applied = match change.id.value.strip_suffix('*') {
                    Some(beginning) => apply_to_several(beginning, &change, &place, rules),
                    None => apply(change, place, rules),
                };
                if let Err(message) = applied {
                    mistakes.add(offset, message);
                }
            }
        }
    }

    fn apply_allows(&mut self, rules: &mut BTreeMap<String, Rule>) {
        for (mistakes, file) in &mut self.files {
            for general in file.allows.drain(..) {
                apply_allow(&general, mistakes, rules);
            }
        }
    }

    fn into_errors(self) -> Vec<RuleError> {
        self.files.into_iter().flat_map(|(mistakes, _)| mistakes.into_errors()).collect()
    }
}

fn apply(change: Override, place: Place, rules: &mut BTreeMap<String, Rule>) -> Result<(), String> {
    let id = &change.id.value;
    let Some(rule) = rules.get_mut(id) else { return Err(no_rule(id, rules)) };
    if (change.keywords.is_some() || change.proximity.is_some() || change.unless.is_some())
        && matches!(rule.matcher, Matcher::Key(_))
    {
        return Err(format!("`{id}` is a [[key]]: it has no keywords"));
    }
    let changes = changes(rule, place);
    changes.examples.extend(change.examples.iter().cloned());
    changes.negative_examples.extend(change.negative_examples.iter().cloned());
    set(rule, &change);
    rule.proximity = change.proximity.unwrap_or(rule.proximity);
    replace(&mut rule.keywords, change.keywords);
    replace(&mut rule.unless, change.unless);
    replace(&mut rule.paths, change.paths);
    replace(&mut rule.exclude_paths, change.exclude_paths);
    rule.allow.extend(change.allow);
    Ok(())
}

/// What an override may say of several rules at once.
fn set(rule: &mut Rule, change: &Override) {
    rule.enabled = change.enabled.unwrap_or(rule.enabled);
    if change.enabled == Some(true) {
        rule.profiles = Profile::ALL.to_vec();
    }
    rule.shadow = change.shadow.unwrap_or(rule.shadow);
    rule.priority = change.priority.unwrap_or(rule.priority);
    rule.base64 = change.base64.unwrap_or(rule.base64);
}

/// Changes all rules whose ids begin so.
fn apply_to_several(
    beginning: &str,
    change: &Override,
    place: &Place,
    rules: &mut BTreeMap<String, Rule>,
) -> Result<(), String> {
    let mut any = false;
    for (_, rule) in rules.iter_mut().filter(|(id, _)| id.starts_with(beginning)) {
        any = true;
        changes(rule, place.clone());
        set(rule, change);
    }
    match any {
        true => Ok(()),
        false => Err(format!("no rule's id begins with `{beginning}`; `expurgate rules list` lists the ids")),
    }
}

fn replace<T>(own: &mut T, by: Option<T>) {
    if let Some(by) = by {
        *own = by;
    }
}

/// What changed `rule`, of which one more thing is at `place`.
fn changes(rule: &mut Rule, place: Place) -> &mut Changes {
    let changes = match rule.changes.take() {
        Some(changes) => changes,
        None => Box::new(Changes {
            written: rule.clone(),
            places: Vec::new(),
            examples: Vec::new(),
            negative_examples: Vec::new(),
        }),
    };
    let changes = rule.changes.insert(changes);
    changes.places.push(place);
    changes
}

/// Gives the rules that a `[[allow]]` is for the exception.
fn apply_allow(general: &GeneralAllow, mistakes: &mut Mistakes<'_>, rules: &mut BTreeMap<String, Rule>) {
    let before = mistakes.count();
    for id in general.rules.iter().filter(|id| !rules.contains_key(&id.value)) {
        mistakes.add(id.span.start, no_rule(&id.value, rules));
    }
    let known: BTreeSet<&str> = rules.values().map(|rule| rule.entity.as_str()).collect();
    for entity in general.entities.iter().filter(|entity| !known.contains(entity.value.as_str())) {
        let known: Vec<&str> = known.iter().copied().collect();
        let hint = match nearest_entity(&entity.value, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`expurgate rules list` lists the entities".to_owned(),
        };
        mistakes.add(entity.span.start, format!("no rule has the entity `{}`; {hint}", entity.value));
    }
    if mistakes.count() > before {
        return;
    }
    let is_for = |rule: &Rule| {
        let named = |names: &[Placed<String>], own: &str| names.iter().any(|name| name.value == own);
        (general.rules.is_empty() && general.entities.is_empty())
            || named(&general.rules, &rule.id)
            || named(&general.entities, &rule.entity)
    };
    for rule in rules.values_mut().filter(|rule| is_for(rule)) {
        changes(rule, mistakes.place(general.start));
        rule.allow.push(general.allow.clone());
    }
}

fn no_rule(id: &str, rules: &BTreeMap<String, Rule>) -> String {
    let ids: Vec<&str> = rules.keys().map(String::as_str).collect();
    unknown_rule(id, &ids)
}

/// The same for the same rules, wherever their files are mounted.
fn hash(rules: &[Rule]) -> String {
    let mut hasher = Canonical(Sha256::new());
    for rule in rules {
        hasher.rule(rule);
    }
    hasher.finish()
}

/// Writes fields so that different rules never give the same bytes: every
/// text and every list is preceded by its length.
struct Canonical(Sha256);

impl Canonical {
    /// The first eight bytes, in hexadecimal.
    fn finish(self) -> String {
        self.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    fn rule(&mut self, rule: &Rule) {
        self.texts(&[rule.id.as_str(), &rule.entity, rule.category.name(), &rule.description]);
        match &rule.matcher {
            Matcher::Pattern(pattern) => self.texts(&["pattern", pattern]),
            Matcher::Detector(detector) => self.texts(&["detector", detector.name()]),
            Matcher::Key(names) => {
                self.texts(&["key"]);
                self.texts(names);
            }
        }
        self.texts(&[rule.validator.map_or("", |validator| validator.name())]);
        self.texts(&rule.keywords);
        self.texts(&rule.unless);
        self.number(rule.allow.len() as u64);
        rule.allow.iter().for_each(|allow| self.allow(allow));
        for paths in [&rule.paths, &rule.exclude_paths] {
            self.texts(&paths.iter().map(PathPattern::source).collect::<Vec<_>>());
        }
        self.texts(&rule.profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>());
        self.number(rule.proximity as u64);
        self.number(i64::from(rule.priority).cast_unsigned());
        for flag in [rule.numbers, rule.base64, rule.enabled, rule.shadow] {
            self.number(u64::from(flag));
        }
        for examples in [&rule.examples, &rule.negative_examples] {
            self.number(examples.len() as u64);
            examples.iter().for_each(|example| self.example(example));
        }
        self.texts(&rule.references);
    }

    fn allow(&mut self, allow: &Allow) {
        let (kind, what) = match &allow.what {
            Some(Allowed::Value(value)) => ("value", value.as_str()),
            Some(Allowed::Pattern(pattern)) => ("pattern", pattern.as_str()),
            None => ("any", ""),
        };
        let path = allow.path.as_ref().map_or("", PathPattern::source);
        self.texts(&[kind, what, path, allow.reason.as_deref().unwrap_or("")]);
    }

    fn example(&mut self, example: &Example) {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        self.texts(&[&example.text, &part(&example.finds), &part(&example.path)]);
    }

    fn texts<S: AsRef<str>>(&mut self, texts: &[S]) {
        self.number(texts.len() as u64);
        for text in texts {
            let text = text.as_ref();
            self.number(text.len() as u64);
            self.0.update(text.as_bytes());
        }
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validator::Validator;
    use std::fs;

    const RULE: &str = r#"
[[rule]]
id = "acme.key"
entity = "ACME_KEY"
category = "credential"
description = "Acme keys"
pattern = '''\bacme_[a-z0-9]{8}\b'''
examples = ["acme_a1b2c3d4"]
negative_examples = ["acme_a1b2"]
"#;

    const KEY: &str = r#"
[[key]]
id = "key.acme"
entity = "ACME_KEY"
names = ["acme_key", "*_acme_key"]
examples = ['{"acme_key": "a1"}']
negative_examples = ['{"acme": "a1"}']
"#;

    fn load(texts: &[&str]) -> Result<Ruleset, RuleError> {
        let files: Vec<(String, String)> =
            texts.iter().enumerate().map(|(i, text)| (format!("{i}.toml"), (*text).to_owned())).collect();
        Ruleset::from_texts(&files)
    }

    fn message(text: &str) -> String {
        match load(&[text]) {
            Ok(_) => String::from("no mistake"),
            Err(error) => error.to_string(),
        }
    }

    fn find<'r>(ruleset: &'r Ruleset, id: &str) -> &'r Rule {
        ruleset.rules.iter().find(|rule| rule.id == id).expect("the rule is there")
    }

    /// The rule above with one line replaced or, with an empty `old`, added.
    fn changed(old: &str, new: &str) -> String {
        if old.is_empty() { format!("{RULE}{new}\n") } else { RULE.replace(old, new) }
    }

    #[test]
    fn the_built_in_packs_load_sorted_by_id() {
        let ruleset = Ruleset::builtin().expect("the packs are right");
        assert!(ruleset.rules.is_sorted_by(|a, b| a.id < b.id));
        assert!(ruleset.rules.iter().any(|rule| rule.id == "email.address"));
        assert_eq!(ruleset.hash.len(), 16);
    }

    #[test]
    fn fields_left_out_have_their_defaults() {
        let ruleset = load(&[RULE, KEY]).expect("both are right");
        let rule = find(&ruleset, "acme.key");
        assert!(rule.enabled && !rule.shadow && !rule.numbers);
        assert_eq!((rule.priority, rule.proximity), (0, 40));
        assert_eq!((rule.category, &*rule.place.source), (Category::Credential, "0.toml"));
        assert_eq!((rule.place.line, rule.place.column), (3, 6));
        let key = find(&ruleset, "key.acme");
        assert_eq!((key.priority, key.category), (50, Category::Credential));
        assert_eq!(key.description, "Values of `acme_key`, `*_acme_key`");
        assert!(matches!(&key.matcher, Matcher::Key(names) if names.len() == 2));
    }

    #[test]
    fn every_field_is_read() {
        let ruleset = load(&[&changed(
            "",
            r#"
validator = "secret"
keywords = ["acme"]
proximity = 64
allow = ["^acme_0"]
numbers = true
enabled = false
shadow = true
priority = -7
references = ["https://acme.example/keys"]
"#,
        )])
        .expect("all are right");
        let rule = find(&ruleset, "acme.key");
        assert_eq!(rule.validator, Some(Validator::Secret));
        assert_eq!((rule.keywords.as_slice(), rule.proximity), (&["acme".to_owned()][..], 64));
        assert_eq!(rule.allow, [Allow::pattern("^acme_0")]);
        assert!(rule.numbers && !rule.enabled && rule.shadow);
        assert_eq!((rule.priority, rule.references.len()), (-7, 1));
    }

    #[test]
    fn each_mistake_has_its_place_and_says_what_to_do() {
        let cases = [
            (changed("entity =", "entty ="), "0.toml:4:1: unknown field `entty` in [[rule]]; did you mean `entity`?"),
            (changed("", "colour = 1"), "0.toml:10:1: unknown field `colour` in [[rule]]; known are `id`, "),
            (changed("id = \"acme.key\"", ""), "0.toml:2:1: `id` is missing"),
            (changed("acme.key", "Acme Key"), "0.toml:3:6: `Acme Key` must be lower-case words"),
            (changed("\"ACME_KEY\"", "\"acme key\""), "0.toml:4:10: `acme key` must be upper-case words"),
            (
                changed("\"credential\"", "\"secret\""),
                "0.toml:5:12: unknown category `secret`; known are `pii`, `credential`",
            ),
            (changed("\"Acme keys\"", "3"), "0.toml:6:15: `description` must be a string"),
            (changed("{8}\\b", "{8"), "0.toml:7:29: `pattern`: invalid regular expression"),
            (changed("{8}\\b", "{8}(?=x)"), "0.toml:7:32: `pattern`: look-around"),
            (changed("pattern =", "detector ="), "0.toml:7:12: unknown detector"),
            (changed("", "detector = \"card\""), "0.toml:10:12: a rule has a `pattern` or a `detector`, not both"),
            (
                changed("examples = [\"acme_a1b2c3d4\"]\n", "").replace("negative_", ""),
                "0.toml:2:1: `negative_examples` is missing",
            ),
            (changed("[\"acme_a1b2c3d4\"]", "[]"), "0.toml:8:12: `examples` is missing"),
            (
                changed("[\"acme_a1b2c3d4\"]", "[{text = \"x acme_1\", fins = \"acme_1\"}]"),
                "unknown field `fins` in an example; did you mean `finds`?",
            ),
            (
                changed("[\"acme_a1b2c3d4\"]", "[{text = \"x acme_1\", finds = \"acme_2\"}]"),
                "`finds` does not occur in `text`",
            ),
            (changed("", "validator = \"lun\""), "unknown validator `lun`; known are `luhn`, "),
            (changed("", "keywords = [\"\"]"), "0.toml:10:13: an empty keyword"),
            (changed("", "unless = [\" \"]"), "0.toml:10:11: an empty keyword"),
            (changed("", "proximity = 0"), "0.toml:10:13: `proximity` must be a whole number from 1 to 256"),
            (changed("", "allow = [\"(\"]"), "0.toml:10:11: `allow`: invalid regular expression"),
            (changed("", "allow = [\"x*\"]"), "would allow every value"),
            (changed("", "enabled = \"no\""), "`enabled` must be true or false"),
            (changed("", "references = [\"acme.example\"]"), "a reference is a URL"),
            (changed("", "id = "), "invalid TOML"),
            (RULE.replace("[[rule]]", "[rule]"), "0.toml:2:2: write [[rule]] with two brackets"),
            (
                RULE.replace("[[rule]]", "[[rules]]"),
                "0.toml:2:3: unknown field `rules` in a rule file; did you mean `rule`?",
            ),
            (
                KEY.replace("\"acme_key\"", "\"acmeKey\""),
                "0.toml:5:10: `acmeKey` must be lower-case words joined by `_`, such as `acme_key`",
            ),
            (KEY.replace("names", "keywords"), "unknown field `keywords` in [[key]]"),
            (KEY.replace("'{\"acme\": \"a1\"}'", "'acme: a1'"), "0.toml:7:22: not valid JSON"),
        ];
        for (text, expected) in cases {
            let shown = message(&text);
            assert!(shown.contains(expected), "expected: {expected}\nshown: {shown}\nfor:{text}");
        }
    }

    #[test]
    fn all_mistakes_of_all_files_are_shown_one_per_line() {
        let broken = format!("{}\n{}", RULE.replace("entity", "entty"), KEY.replace("names", "nams"));
        let shown = match load(&[&broken, "[[rle]]"]) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 5, "{shown}");
        assert!(lines[4].starts_with("1.toml:1:3: unknown field `rle`"), "{shown}");
    }

    #[test]
    fn the_same_id_twice_among_the_users_files_is_refused() {
        let shown = match load(&[RULE, &format!("\n\n{RULE}")]) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, "1.toml:5:6: the id `acme.key` is taken by the rule at 0.toml:3:6");
    }

    #[test]
    fn a_rule_with_a_built_in_id_replaces_the_built_in() {
        let builtin = Ruleset::builtin().expect("the packs are right");
        let ruleset = load(&[&RULE.replace("acme.key", "email.address")]).expect("it is right");
        assert_eq!(ruleset.rules.len(), builtin.rules.len());
        assert_eq!(find(&ruleset, "email.address").entity, "ACME_KEY");
        assert_ne!(ruleset.hash, builtin.hash);
    }

    #[test]
    fn an_override_changes_the_fields_it_names_and_no_others() {
        let ruleset = load(&[
            &changed("", "allow = [\"^acme_0\"]\nkeywords = [\"acme\"]"),
            "[[override]]\nid = \"acme.key\"\nenabled = false\npriority = 9\nallow = [\"^acme_1\"]\nkeywords = [\"a\", \"b\"]",
            "[[override]]\nid = \"email.address\"\nshadow = true",
        ])
        .expect("all are right");
        let rule = find(&ruleset, "acme.key");
        assert!(!rule.enabled && !rule.shadow);
        assert_eq!((rule.priority, rule.description.as_str()), (9, "Acme keys"));
        assert_eq!(rule.allow, ["^acme_0", "^acme_1"].map(Allow::pattern));
        assert_eq!(rule.keywords, ["a", "b"]);
        assert_eq!(rule.as_written().keywords, ["acme"]);
        let email = find(&ruleset, "email.address");
        assert!(email.shadow && email.enabled && email.builtin && !rule.builtin);
    }

    #[test]
    fn an_override_of_nothing_or_with_nothing_is_refused() {
        let typo = "[[override]]\nid = \"email.adress\"\nenabled = false";
        assert_eq!(message(typo), "0.toml:2:6: no rule has the id `email.adress`; did you mean `email.address`?");
        assert!(message("[[override]]\nid = \"email.address\"").contains("changes nothing"));
        let keyed = format!("{KEY}\n[[override]]\nid = \"key.acme\"\nkeywords = [\"x\"]");
        assert!(message(&keyed).contains("it has no keywords"));
        assert!(message("[[override]]\nid = \"email.address\"\npattern = \"x\"").contains("unknown field `pattern`"));
    }

    #[test]
    fn the_hash_depends_on_the_rules_and_not_on_the_files() {
        let one = load(&[&format!("{RULE}{KEY}")]).expect("it is right");
        let two = load(&[KEY, RULE]).expect("both are right");
        assert_eq!(one.hash, two.hash);
        let other = load(&[KEY, &changed("", "shadow = true")]).expect("both are right");
        assert_ne!(one.hash, other.hash);
    }

    #[test]
    fn a_directory_stands_for_its_toml_files_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).expect("the file is written");
        };
        write("b.toml", "[[override]]\nid = \"acme.key\"\npriority = 2");
        write("a.toml", &format!("{RULE}\n[[override]]\nid = \"acme.key\"\npriority = 1"));
        write("notes.txt", "not TOML");
        write("..data.toml", "not TOML");
        let ruleset = Ruleset::load(&[directory.path().to_owned()]).expect("it is right");
        assert_eq!(find(&ruleset, "acme.key").priority, 2);
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let error = Ruleset::load(&[PathBuf::from("no/such.toml")]).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("no/such.toml: cannot be read"));
    }
}
