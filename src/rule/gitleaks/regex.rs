//! A regular expression of Go over files, as one of ours over values: with a
//! bound to its length, and the secret as a group of that name.

use crate::rule::pattern::check_pattern;
use regex_syntax::ast::{self, Ast, GroupKind, RepetitionKind, RepetitionRange};

/// A converted expression.
pub(super) struct Converted {
    pub(super) pattern: String,
    /// What is not as it was.
    pub(super) notes: Vec<String>,
}

/// What repetitions without limit get as one, the first with which all is
/// short enough.
const LIMITS: [u32; 4] = [100, 50, 25, 10];

/// Converts `source`, of which `group` is the secret: the first group that
/// there is, unless given, as with gitleaks.
pub(super) fn convert(source: &str, group: Option<u32>) -> Result<Converted, String> {
    let parsed = ast::parse::Parser::new().parse(source).map_err(|error| error.kind().to_string())?;
    let mut notes = Vec::new();
    let groups = count_groups(&parsed);
    let secret = match group {
        Some(0) | None if groups == 0 => None,
        Some(0) | None => {
            if groups > 1 {
                notes.push(format!("of its {groups} groups the first is taken for the secret"));
            }
            Some(1)
        }
        Some(group) if group > groups => return Err(format!("there is no group {group} for `secretGroup`")),
        Some(group) => Some(group),
    };
    let mut mistake = String::new();
    for limit in LIMITS {
        let mut rewriter = Rewriter { secret, limit, bounded: 0 };
        let mut rewritten = parsed.clone();
        rewriter.rewrite(&mut rewritten, true);
        let pattern = rewritten.to_string();
        match check_pattern(&pattern) {
            Ok(()) => {
                if rewriter.bounded > 0 {
                    let times = if rewriter.bounded == 1 { "a repetition" } else { "repetitions" };
                    notes.push(format!("{times} without limit got one of {limit}"));
                }
                return Ok(Converted { pattern, notes });
            }
            Err(wrong) => mistake = wrong.message,
        }
    }
    Err(mistake)
}

fn count_groups(ast: &Ast) -> u32 {
    match ast {
        Ast::Group(group) => count_groups(&group.ast) + u32::from(group.capture_index().is_some()),
        Ast::Repetition(repetition) => count_groups(&repetition.ast),
        Ast::Concat(concat) => concat.asts.iter().map(count_groups).sum(),
        Ast::Alternation(alternation) => alternation.asts.iter().map(count_groups).sum(),
        _ => 0,
    }
}

struct Rewriter {
    secret: Option<u32>,
    limit: u32,
    bounded: usize,
}

impl Rewriter {
    /// `open`: nothing follows, so that one class may be repeated without limit.
    fn rewrite(&mut self, ast: &mut Ast, open: bool) {
        match ast {
            Ast::Group(group) => {
                self.rewrite(&mut group.ast, open);
                self.mark(group);
            }
            Ast::Repetition(repetition) => {
                let is_class = matches!(*repetition.ast, Ast::ClassPerl(_) | Ast::ClassBracketed(_) | Ast::Literal(_));
                self.rewrite(&mut repetition.ast, false);
                if !(open && is_class) {
                    self.bound(&mut repetition.op.kind);
                }
            }
            Ast::Concat(concat) => {
                let last = concat.asts.len().saturating_sub(1);
                for (index, part) in concat.asts.iter_mut().enumerate() {
                    self.rewrite(part, open && index == last);
                }
            }
            Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(|part| self.rewrite(part, false)),
            _ => {}
        }
    }

    /// The secret's group gets its name, the others need none.
    fn mark(&self, group: &mut ast::Group) {
        let Some(index) = group.capture_index() else { return };
        group.kind = if self.secret == Some(index) {
            let name = ast::CaptureName { span: group.span, name: "secret".to_owned(), index };
            GroupKind::CaptureName { starts_with_p: true, name }
        } else {
            GroupKind::NonCapturing(ast::Flags { span: group.span, items: Vec::new() })
        };
    }

    fn bound(&mut self, kind: &mut RepetitionKind) {
        let least = match kind {
            RepetitionKind::ZeroOrMore => 0,
            RepetitionKind::OneOrMore => 1,
            RepetitionKind::Range(RepetitionRange::AtLeast(least)) => *least,
            _ => return,
        };
        self.bounded += 1;
        let most = self.limit.max(least.saturating_add(self.limit / 2));
        *kind = RepetitionKind::Range(RepetitionRange::Bounded(least, most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(source: &str, group: Option<u32>) -> String {
        convert(source, group).map_or_else(|error| error, |converted| converted.pattern)
    }

    #[test]
    fn the_secret_gets_its_name_and_the_others_lose_theirs() {
        assert_eq!(pattern("abc(x|y)=([a-z]{8})", Some(2)), "abc(?:x|y)=(?P<secret>[a-z]{8})");
        assert_eq!(pattern("abc=(?P<value>[a-z]{8})", None), "abc=(?P<secret>[a-z]{8})");
        assert_eq!(pattern("abc[0-9]{8}", None), "abc[0-9]{8}");
        assert!(pattern("abc[0-9]{8}", Some(1)).contains("no group 1"));
    }

    #[test]
    fn repetitions_get_a_limit_unless_they_are_the_end() {
        assert_eq!(pattern(r"(?i)key\s*=\s*([a-z]{20,})", None), r"(?i)key\s{0,100}=\s{0,100}(?P<secret>[a-z]{20,})");
        assert_eq!(pattern(r"key[a-z]{20,}\b", None), r"key[a-z]{20,100}\b");
        let many = r".*".repeat(30) + "key";
        assert!(pattern(&many, None).contains("{0,25}"), "{}", pattern(&many, None));
    }

    #[test]
    fn what_cannot_be_said_is_told() {
        assert!(pattern(r"abc\pL{8}", None).contains("not Unicode"));
        assert!(pattern(r"abc(", None).contains("unclosed group"));
        assert!(pattern(r"(?:abc)?", None).contains("empty string"));
    }
}
