//! The built-in packs: the files of `rules/`, embedded in the binary.

/// Name and text of each file, in the order of the names.
pub(super) const FILES: &[(&str, &str)] = &[
    ("builtin/ai.toml", include_str!("../../rules/ai.toml")),
    ("builtin/cloud.toml", include_str!("../../rules/cloud.toml")),
    ("builtin/command.toml", include_str!("../../rules/command.toml")),
    ("builtin/database.toml", include_str!("../../rules/database.toml")),
    ("builtin/generic.toml", include_str!("../../rules/generic.toml")),
    ("builtin/id-africa.toml", include_str!("../../rules/id-africa.toml")),
    ("builtin/id-america.toml", include_str!("../../rules/id-america.toml")),
    ("builtin/id-asia-pacific.toml", include_str!("../../rules/id-asia-pacific.toml")),
    ("builtin/id-europe.toml", include_str!("../../rules/id-europe.toml")),
    ("builtin/identity.toml", include_str!("../../rules/identity.toml")),
    ("builtin/keys.toml", include_str!("../../rules/keys.toml")),
    ("builtin/messaging.toml", include_str!("../../rules/messaging.toml")),
    ("builtin/network.toml", include_str!("../../rules/network.toml")),
    ("builtin/observability.toml", include_str!("../../rules/observability.toml")),
    ("builtin/password-hash.toml", include_str!("../../rules/password-hash.toml")),
    ("builtin/payment.toml", include_str!("../../rules/payment.toml")),
    ("builtin/pii.toml", include_str!("../../rules/pii.toml")),
    ("builtin/saas.toml", include_str!("../../rules/saas.toml")),
    ("builtin/service.toml", include_str!("../../rules/service.toml")),
    ("builtin/source-forge.toml", include_str!("../../rules/source-forge.toml")),
    ("builtin/travel-document.toml", include_str!("../../rules/travel-document.toml")),
    ("builtin/wallet-address.toml", include_str!("../../rules/wallet-address.toml")),
    ("builtin/wallet.toml", include_str!("../../rules/wallet.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Allowed, Matcher, Rule, Ruleset};
    use regex_automata::meta::Regex;
    use regex_automata::util::syntax;
    use regex_automata::{Anchored, Input};

    fn patterns() -> Vec<(Rule, String)> {
        let rules = Ruleset::builtin().expect("the packs are right").rules;
        rules
            .into_iter()
            .filter_map(|rule| match rule.matcher.clone() {
                Matcher::Pattern(pattern) => Some((rule, pattern)),
                Matcher::Detector(_) | Matcher::Key(_) => None,
            })
            .collect()
    }

    fn compile(pattern: &str) -> Regex {
        Regex::builder()
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .configure(Regex::config().utf8_empty(false))
            .build(pattern)
            .expect("the pattern is right")
    }

    /// What the shape alone finds: a match is tried at every byte, and what an
    /// allow expression matches is dropped.
    fn values<'t>(rule: &Rule, pattern: &str, text: &'t str) -> Vec<&'t [u8]> {
        let regex = compile(pattern);
        let allow: Vec<Regex> = rule
            .allow
            .iter()
            .filter_map(|allow| match &allow.what {
                Some(Allowed::Pattern(pattern)) => Some(compile(pattern)),
                _ => None,
            })
            .collect();
        let mut captures = regex.create_captures();
        let mut values = Vec::new();
        for start in 0..text.len() {
            let input = Input::new(text).range(start..).anchored(Anchored::Yes);
            regex.captures(input, &mut captures);
            let Some(found) = captures.get_group_by_name("secret").or(captures.get_group(0)) else {
                continue;
            };
            let value = &text.as_bytes()[found.range()];
            if !allow.iter().any(|allow| allow.is_match(value)) {
                values.push(value);
            }
        }
        values
    }

    #[test]
    fn every_example_is_found_by_its_pattern() {
        for (rule, pattern) in patterns() {
            let in_context = !rule.keywords.is_empty() || pattern.contains("(?P<secret>");
            for example in &rule.examples {
                let values = values(&rule, &pattern, &example.text);
                let longest = values.iter().copied().rev().max_by_key(|value| value.len());
                let expected = match &example.finds {
                    Some(finds) => finds.as_bytes(),
                    None if in_context => longest.unwrap_or(b"something"),
                    None => example.text.as_bytes(),
                };
                let shown = longest.map(String::from_utf8_lossy);
                assert_eq!(longest, Some(expected), "{}: {} finds {shown:?}", rule.id, example.text);
            }
        }
    }

    /// Rules with a validator are judged by `expurgate check`, not here.
    #[test]
    fn no_negative_example_is_found_by_its_pattern() {
        for (rule, pattern) in patterns() {
            if rule.validator.is_some() || !rule.keywords.is_empty() {
                continue;
            }
            for example in &rule.negative_examples {
                let values = values(&rule, &pattern, &example.text);
                assert!(values.is_empty(), "{}: {}", rule.id, example.text);
            }
        }
    }

    #[test]
    fn every_built_in_rule_says_where_its_format_is_documented() {
        for rule in Ruleset::builtin().expect("the packs are right").rules {
            assert!(!rule.references.is_empty(), "{}", rule.id);
        }
    }

    #[test]
    fn every_file_of_the_directory_is_embedded() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .expect("the directory is there")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".toml"))
            .map(|name| format!("builtin/{name}"))
            .collect();
        names.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(embedded, names);
    }
}
