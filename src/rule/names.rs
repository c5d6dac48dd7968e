//! How ids, entities and member names are spelled.

/// Whether `id` is lower-case words joined by dots or dashes.
pub(super) fn is_id(id: &str) -> bool {
    id.split(['.', '-'])
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// Whether `entity` is upper-case words joined by underscores.
pub(super) fn is_entity(entity: &str) -> bool {
    entity.starts_with(|c: char| c.is_ascii_uppercase())
        && entity
            .split('_')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
}

/// What is wrong with the name of a `[[key]]`, if anything.
pub(super) fn key_name_mistake(name: &str) -> Option<String> {
    let words: Vec<&str> = name.split('_').collect();
    let stars = words.iter().filter(|word| **word == "*").count();
    let starred_end = words.first() == Some(&"*") || words.last() == Some(&"*");
    if !name.is_empty() && name.chars().all(|letter| matches!(letter, '*' | '_')) {
        return Some(format!("`{name}` would match every name; add a word"));
    }
    if stars > 1 || (stars == 1 && !starred_end) {
        return Some(format!("`{name}`: `*` stands for whole words, once, first or last"));
    }
    let spelled =
        words.iter().filter(|word| **word != "*").all(|word| !word.is_empty() && word.chars().all(is_in_word));
    (!spelled).then(|| {
        let right = snake_case(name);
        match right != name && key_name_mistake(&right).is_none() {
            true => format!(
                "`{name}` must be lower-case words joined by `_`, such as `{right}`; that matches camelCase, dashes, dots and spaces too"
            ),
            false => format!("`{name}` must be lower-case words joined by `_`, the first or the last of which may be `*`"),
        }
    })
}

/// A letter in lower case, of any script, or a digit.
fn is_in_word(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_lowercase() || c.is_ascii_digit(),
        // Vowel signs and other marks are no letters, but parts of words.
        false => !c.is_uppercase() && !c.is_whitespace() && !c.is_control(),
    }
}

/// The name among `names` that `word` is most likely a slip of.
pub fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    names
        .iter()
        .map(|name| (edits(word, name), *name))
        .filter(|(edits, name)| *edits <= name.len().div_ceil(3))
        .min()
        .map(|(_, name)| name)
}

/// The entity among `names` that `word` is most likely a slip or a part of.
pub fn nearest_entity<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    let word = word.to_ascii_uppercase();
    let shortest = |names: &mut dyn Iterator<Item = &'n str>| names.min_by_key(|name| (name.len(), *name));
    let begins = |name: &&&str| name.strip_prefix(word.as_str()).is_some_and(|rest| rest.starts_with('_'));
    let longest = names.iter().map(|name| shared_prefix(name, &word)).max().filter(|shared| *shared >= 3);
    let of_whole = shortest(&mut names.iter().filter(begins).copied());
    let of_part = || shortest(&mut names.iter().filter(|name| Some(shared_prefix(name, &word)) == longest).copied());
    of_whole.or_else(|| nearest(&word, names)).or_else(of_part)
}

fn shared_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

/// That no rule has this id, and which is meant most likely.
pub fn unknown_rule(id: &str, ids: &[&str]) -> String {
    match nearest(id, ids) {
        Some(near) => format!("no rule has the id `{id}`; did you mean `{near}`?"),
        None => format!("no rule has the id `{id}`; `expurgate rules list` lists the ids"),
    }
}

/// `apiKey`, `X-Api-Key` and `api key` as words joined by `_`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        let wanted = c.is_ascii_alphanumeric() || c == '*' || !c.is_ascii();
        let apart = c.is_uppercase() && after_lower || !wanted || c == '*' || snake.ends_with('*');
        if apart && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        if wanted {
            snake.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    snake.trim_end_matches('_').to_owned()
}

/// Levenshtein's distance in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_lower_case_words_joined_by_dots_or_dashes() {
        assert!(is_id("aws.access-key-id"));
        assert!(is_id("email"));
        for wrong in ["", ".", "aws.", "aws..key", "AWS.key", "aws key", "aws_key", "-aws"] {
            assert!(!is_id(wrong), "{wrong}");
        }
    }

    #[test]
    fn entities_are_upper_case_words_joined_by_underscores() {
        assert!(is_entity("EMAIL_ADDRESS"));
        assert!(is_entity("US_SSN"));
        for wrong in ["", "email", "EMAIL-ADDRESS", "_EMAIL", "EMAIL__X", "1PASSWORD"] {
            assert!(!is_entity(wrong), "{wrong}");
        }
    }

    #[test]
    fn member_names_take_one_star_at_an_end() {
        for right in ["password", "*_password", "password_*", "x_api_key", "password2", "contraseña", "密码", "कूट_शब्द"]
        {
            assert_eq!(key_name_mistake(right), None, "{right}");
        }
        for wrong in ["", "*", "*_password_*", "a_*_b", "pass*", "_password", "api-key", "Пароль"] {
            assert!(key_name_mistake(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_misspelled_member_name_is_shown_as_it_should_be() {
        let message = key_name_mistake("X-ApiKey").unwrap_or_default();
        assert!(message.contains("such as `x_api_key`"), "{message}");
        let message = key_name_mistake("pass*").unwrap_or_default();
        assert!(message.contains("such as `pass_*`"), "{message}");
        for name in ["", "*pass*", "_"] {
            let message = key_name_mistake(name).unwrap_or_default();
            assert!(!message.contains("such as"), "{message}");
        }
        for name in ["*", "**", "*_*"] {
            assert_eq!(key_name_mistake(name), Some(format!("`{name}` would match every name; add a word")));
        }
    }

    #[test]
    fn an_entity_is_known_by_its_beginning_and_the_shortest_is_taken() {
        let names = ["AWS_KEY", "AWS_SECRET_KEY", "EMAIL_ADDRESS", "EMAIL_ADDRESS_HASH", "PHONE_NUMBER"];
        for (word, near) in [
            ("EMAIL", Some("EMAIL_ADDRESS")),
            ("email", Some("EMAIL_ADDRESS")),
            ("AWS", Some("AWS_KEY")),
            ("EMIAL_ADDRESS", Some("EMAIL_ADDRESS")),
            ("PHONE_NUMER", Some("PHONE_NUMBER")),
            ("PHON_NO", Some("PHONE_NUMBER")),
            ("X", None),
        ] {
            assert_eq!(nearest_entity(word, &names), near, "{word}");
        }
    }

    #[test]
    fn the_nearest_name_is_a_slip_away_or_there_is_none() {
        assert_eq!(nearest("patern", &["pattern", "priority"]), Some("pattern"));
        assert_eq!(nearest("keyword", &["keywords", "key"]), Some("keywords"));
        assert_eq!(nearest("colour", &["pattern", "priority"]), None);
    }
}
