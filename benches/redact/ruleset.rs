//! Sets of so many rules: a choice of the built-in ones, or those and others
//! such as a user would add.

use expurgate::rule::{Matcher, Profile, Ruleset};
use std::fmt::Write;

/// The built-in rules of the profile that users have without asking.
pub(crate) fn builtin() -> Ruleset {
    with("")
}

/// The same, and those of a file.
fn with(text: &str) -> Ruleset {
    let files = [("further.toml".to_owned(), text.to_owned())];
    let mut ruleset = Ruleset::from_texts(&files).unwrap().in_profile(Profile::Default);
    ruleset.rules.retain(|rule| rule.enabled);
    ruleset
}

/// So many rules. All sets have those for personal data and for member names,
/// so that all find the same in the documents of the bench; a smaller set is a
/// part of each larger one.
pub(crate) fn of(number: usize) -> Ruleset {
    let builtin = builtin();
    if number > builtin.rules.len() {
        return with(&further(number - builtin.rules.len()));
    }
    let mut order: Vec<usize> = (0..builtin.rules.len()).collect();
    // Multiplied by a large odd number, neighbours of one vendor go apart.
    let shuffled = |index: usize| (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    order.sort_by_key(|&index| (matches!(builtin.rules[index].matcher, Matcher::Pattern(_)), shuffled(index)));
    order.truncate(number);
    order.sort_unstable();
    let rules = order.into_iter().map(|index| builtin.rules[index].clone()).collect();
    Ruleset { rules, hash: builtin.hash }
}

/// The built-in rules, of which each looks into base64.
pub(crate) fn looking_into_base64() -> Ruleset {
    with("[[override]]\nid = \"*\"\nbase64 = true\n")
}

/// Names that are words of the bench's own documents, among the others: not
/// every vendor has a name that nobody else uses.
const WORDS: [&str; 8] = ["retrieval", "planner", "passages", "particular", "arguments", "tokens", "query", "select"];

/// `number` further rules as a file: by turns a token with a prefix of its own,
/// a key that its vendor's name stands before, and a member name.
fn further(number: usize) -> String {
    let mut text = String::new();
    for index in 0..number {
        let name = match index % 20 {
            19 => format!("{}{}", WORDS[index / 20 % WORDS.len()], index),
            _ => vendor(index),
        };
        let entity = format!("{}_KEY", name.to_ascii_uppercase());
        let secret = secret(index);
        match index % 3 {
            0 => writeln!(
                text,
                "[[rule]]\nid = \"{name}.token\"\nentity = \"{entity}\"\ncategory = \"credential\"\n\
                 description = \"{name} tokens\"\npattern = '''\\b{prefix}_(?:live|test)_[A-Za-z0-9]{{32}}\\b'''\n\
                 examples = [\"{prefix}_live_{secret}\"]\nnegative_examples = [\"{prefix}_live_short\"]",
                prefix = &name[..4],
            ),
            1 => writeln!(
                text,
                "[[rule]]\nid = \"{name}.assigned\"\nentity = \"{entity}\"\ncategory = \"credential\"\n\
                 description = \"{name} keys\"\n\
                 pattern = '''(?i)\\b{name}[_-]?(?:api[_-]?)?(?:key|token)[ ]?[:=][ ]?(?P<secret>[a-z0-9]{{32}})\\b'''\n\
                 examples = [\"{name}_api_key={secret}\"]\nnegative_examples = [\"{name}_api_key=short\"]",
            ),
            _ => writeln!(
                text,
                "[[key]]\nid = \"key.{name}\"\nentity = \"{entity}\"\ndescription = \"{name} members\"\n\
                 names = [\"{name}_token\", \"{name}_api_key\"]\n\
                 examples = ['{{\"{name}_token\": \"{secret}\"}}']\n\
                 negative_examples = ['{{\"{name}_token\": null}}']",
            ),
        }
        .unwrap();
    }
    text
}

/// A name of three syllables, another one for each `index` below 14,000.
fn vendor(index: usize) -> String {
    const HEADS: [&str; 24] = [
        "b", "br", "c", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "k", "l", "m", "n", "p", "pl", "qu", "r", "s",
        "st", "t", "v", "z",
    ];
    const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
    let syllable = |number: usize| [HEADS[number / 5 % 24], VOWELS[number % 5]].concat();
    // 120 syllables; the last two tell the index, the first varies the rest.
    [syllable(index * 7), syllable(index), syllable(index / 120)].concat()
}

/// 32 letters and digits.
fn secret(index: usize) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = index as u64 + 0x2545_F491_4F6C_DD1D;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(ALPHABET[(state >> 32) as usize % 36])
    };
    (0..32).map(|_| next()).collect()
}
