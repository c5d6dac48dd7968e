//! What a regular expression in a rule file may look like.
//!
//! Patterns match bytes, Unicode off. The scan layer confirms candidates in a
//! window of bounded size, therefore a pattern is at most [`MAX_WIDTH`] bytes
//! wide, except for an open end: one class repeated without limit as the very
//! last element, which is followed at any length.

use regex_syntax::ParserBuilder;
use regex_syntax::ast;
use regex_syntax::hir::{self, Hir, HirKind};

/// The most bytes that a pattern may match, an open end aside.
pub(super) const MAX_WIDTH: usize = 1024;

/// Something wrong with a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PatternMistake {
    /// Byte offset in the pattern.
    pub(super) offset: usize,
    /// What is wrong and what to do.
    pub(super) message: String,
}

/// Checks the `pattern` of a rule.
pub(super) fn check_pattern(pattern: &str) -> Result<(), PatternMistake> {
    let hir = parse(pattern)?;
    check_width(&hir)?;
    check_groups(&hir)
}

/// Checks one regular expression of `allow`.
pub(super) fn check_allow(pattern: &str) -> Result<(), PatternMistake> {
    match parse(pattern)?.properties().minimum_len() {
        Some(0) => Err(whole("matches the empty string, so it would allow every value")),
        _ => Ok(()),
    }
}

/// Parses as the scan layer does.
fn parse(pattern: &str) -> Result<Hir, PatternMistake> {
    ParserBuilder::new().utf8(false).unicode(false).build().parse(pattern).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => {
            PatternMistake { offset: error.span().start.offset, message: syntax_message(error.kind()) }
        }
        regex_syntax::Error::Translate(error) => PatternMistake {
            offset: error.span().start.offset,
            message: match error.kind() {
                hir::ErrorKind::UnicodeNotAllowed => {
                    "patterns match bytes, not Unicode: write ASCII here, or [^...] for what ends the value".to_owned()
                }
                kind => format!("invalid regular expression: {kind}"),
            },
        },
        other => whole(&format!("invalid regular expression: {other}")),
    })
}

fn syntax_message(kind: &ast::ErrorKind) -> String {
    match kind {
        ast::ErrorKind::UnsupportedLookAround => {
            "look-around such as (?=...) is not supported; use \\b for a boundary, and (?P<secret>...) to redact a part of the match".to_owned()
        }
        ast::ErrorKind::UnsupportedBackreference => {
            "backreferences such as \\1 are not supported; write one rule per form".to_owned()
        }
        kind => format!("invalid regular expression: {kind}"),
    }
}

fn check_width(hir: &Hir) -> Result<(), PatternMistake> {
    match hir.properties().minimum_len() {
        None => return Err(whole("can never match: it asks for what excludes itself, such as [a&&b]; take that out")),
        Some(0) => {
            return Err(whole("matches the empty string; make a part of it required"));
        }
        Some(_) => {}
    }
    match bounded_width(hir) {
        Some(width) if width <= MAX_WIDTH => Ok(()),
        Some(width) => Err(whole(&format!(
            "matches up to {width} bytes; the most is {MAX_WIDTH}, apart from one class repeated without limit at the very end, such as [a-z]{{20,}}"
        ))),
        None => Err(whole(&format!(
            "has a repetition without limit; give it one such as {{1,100}} ({MAX_WIDTH} bytes in all), or make it one class at the very end, such as [a-z]{{20,}}"
        ))),
    }
}

/// The width without the open end; `None` when there is no bound even so.
fn bounded_width(hir: &Hir) -> Option<usize> {
    if let Some(width) = hir.properties().maximum_len() {
        return Some(width);
    }
    match hir.kind() {
        HirKind::Repetition(open) => is_one_byte(&open.sub).then_some(open.min as usize),
        HirKind::Capture(group) => bounded_width(&group.sub),
        HirKind::Concat(parts) => {
            let (last, head) = parts.split_last()?;
            head.iter().try_fold(bounded_width(last)?, |sum, part| sum.checked_add(part.properties().maximum_len()?))
        }
        _ => None,
    }
}

fn is_one_byte(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Class(_) | HirKind::Literal(_)) && hir.properties().maximum_len() == Some(1)
}

/// A named group is `secret`, and it never marks nothing.
fn check_groups(hir: &Hir) -> Result<(), PatternMistake> {
    match hir.kind() {
        HirKind::Capture(group) => {
            if let Some(name) = group.name.as_deref() {
                if name != "secret" {
                    return Err(whole(&format!(
                        "has a group named `{name}`; the only name with a meaning is `secret`"
                    )));
                }
                if group.sub.properties().minimum_len() == Some(0) {
                    return Err(whole(
                        "has a `secret` group that can be empty; make a part of it required, such as [a-z]+ for [a-z]*",
                    ));
                }
            }
            check_groups(&group.sub)
        }
        HirKind::Repetition(repetition) => check_groups(&repetition.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().try_for_each(check_groups),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => Ok(()),
    }
}

/// A mistake of the pattern as a whole.
fn whole(message: &str) -> PatternMistake {
    PatternMistake { offset: 0, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(pattern: &str) -> PatternMistake {
        check_pattern(pattern).expect_err("the pattern is wrong")
    }

    #[test]
    fn patterns_with_a_bound_or_one_open_class_at_the_end_are_fine() {
        for pattern in [
            r"\bAKIA[A-Z0-9]{16}\b",
            r"key-[a-z]{20,}",
            r"key=(?P<secret>[^\s]{8,})",
            r"key=(?P<secret>prefix-[^\s]+)",
            r"^abc$",
            "caf\u{e9}",
            r"abc[^\s]{0,1000}d",
        ] {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn repetitions_without_limit_before_the_end_are_refused() {
        for pattern in [r"a+bcd", r"abc(?:de)+", r"abc(?:[a-z]+|[0-9]+)", r"abc[a-z]+\b"] {
            assert!(mistake(pattern).message.contains("without limit"), "{pattern}");
        }
    }

    #[test]
    fn patterns_wider_than_the_limit_are_refused_with_their_width() {
        assert!(mistake(r"abc[a-z]{1,1022}").message.contains("up to 1025 bytes"));
        assert!(mistake(r"abc[a-z]{1022,}").message.contains("up to 1025 bytes"));
        assert_eq!(check_pattern(r"abc[a-z]{1,1021}"), Ok(()));
    }

    #[test]
    fn patterns_that_match_nothing_at_all_are_refused() {
        for pattern in ["", "a*", r"\b", "(?:abc)?"] {
            assert!(mistake(pattern).message.contains("empty string"), "{pattern}");
        }
        assert!(mistake(r"abc[a&&b]").message.contains("never match"));
    }

    #[test]
    fn unsupported_syntax_is_named_and_pointed_at() {
        let look_ahead = mistake(r"abc(?!def)");
        assert_eq!(look_ahead.offset, 3);
        assert!(look_ahead.message.contains("look-around"));
        assert!(mistake(r"(a)\1").message.contains("backreferences"));
        assert!(mistake("abc[\u{e9}]").message.contains("not Unicode"));
        assert_eq!(mistake("abc(def").offset, 3);
    }

    #[test]
    fn a_group_is_named_secret_and_not_empty() {
        assert!(mistake(r"abc(?P<sercet>[a-z]{3})").message.contains("`sercet`"));
        assert!(mistake(r"abc(?P<secret>[a-z]*)").message.contains("can be empty"));
    }

    #[test]
    fn an_allow_that_allows_everything_is_refused() {
        assert!(check_allow("(?:test)?").is_err());
        assert_eq!(check_allow("^test"), Ok(()));
    }
}
