//! Which paths of rules lead to a place in a document.
//!
//! The patterns of all rules are one automaton over the names on the way from
//! the top of a document: a set of states, one bit for each step of each
//! pattern, is carried along by the [`Lexer`]. It costs nothing where no rule
//! has a path, and nothing per rule where some have.

use super::Format;
use super::lexer::Lexer;
use crate::rule::{MOST_STEPS, PathPattern, Segment};
use std::sync::Arc;

/// Steps of all patterns together, at most.
const MOST: usize = MOST_STEPS;
const WORDS: usize = MOST / 64;

/// The states in which the automaton is; those of reached patterns among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct States([u64; WORDS]);

impl States {
    fn add(&mut self, state: usize) {
        self.0[state / 64] |= 1 << (state % 64);
    }

    fn has(self, state: usize) -> bool {
        self.0[state / 64] >> (state % 64) & 1 == 1
    }

    fn is_empty(self) -> bool {
        self.0 == [0; WORDS]
    }

    fn has_any_of(self, others: Self) -> bool {
        self.0.iter().zip(others.0).any(|(own, other)| own & other != 0)
    }

    /// Whether the pattern `path` leads here.
    pub(super) fn leads(self, path: PathId) -> bool {
        self.has(path.0)
    }
}

/// The patterns of a rule set.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// By state: what leads on from it; `None` at the end of a pattern.
    steps: Vec<Option<Segment>>,
    starts: States,
    /// The last states of all patterns.
    ends: States,
    /// Each pattern with its first and its last state.
    patterns: Vec<(String, usize)>,
}

/// One of the patterns of [`Paths`], by its last state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathId(usize);

impl Paths {
    /// Adds a pattern, unless it is there.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn add(&mut self, pattern: &PathPattern) -> Result<PathId, String> {
        if let Some((_, end)) = self.patterns.iter().find(|(source, _)| source == pattern.source()) {
            return Ok(PathId(*end));
        }
        let first = self.steps.len();
        if first + pattern.segments().len() + 1 > MOST {
            return Err(format!("all paths of all rules together have more than {MOST} names"));
        }
        self.steps.extend(pattern.segments().iter().cloned().map(Some));
        self.steps.push(None);
        let end = self.steps.len() - 1;
        self.ends.add(end);
        self.patterns.push((pattern.source().to_owned(), end));
        let mut starts = self.starts;
        self.enter(&mut starts, first);
        self.starts = starts;
        Ok(PathId(end))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// At the top of a document.
    pub(super) fn start(&self) -> States {
        self.starts
    }

    /// From a container to its member of this name.
    pub(super) fn step(&self, from: States, name: &[u8]) -> States {
        let mut to = States::default();
        if from.is_empty() {
            return to;
        }
        for (state, step) in self.steps.iter().enumerate().filter(|&(state, _)| from.has(state)) {
            match step {
                Some(Segment::Deep) => self.enter(&mut to, state),
                Some(Segment::Any) => self.enter(&mut to, state + 1),
                Some(Segment::Name(wanted)) if wanted == name => self.enter(&mut to, state + 1),
                Some(Segment::Name(_)) | None => {}
            }
        }
        to
    }

    /// From an array to its element of this index.
    pub(super) fn step_to(&self, from: States, index: u64) -> States {
        if from.is_empty() { from } else { self.step(from, index.to_string().as_bytes()) }
    }

    /// `**` stands for no name too.
    fn enter(&self, states: &mut States, state: usize) {
        states.add(state);
        if let Some(Some(Segment::Deep)) = self.steps.get(state) {
            states.add(state + 1);
        }
    }
}

/// Tells for places in the data of one scan after the other which paths lead
/// there. Walks over the data only when asked.
pub(super) struct Places {
    format: Format,
    /// Up to where the data has been walked over, in bytes of the body.
    lexer: Lexer,
    /// Where values begin, in order. Of those that no path leads to, only the ones
    /// behind another.
    marks: Vec<Mark>,
    ends: States,
}

/// Where a value begins, in bytes of the body, and which paths lead to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) begin: u64,
    pub(super) states: States,
    /// A string, and no member's name: `begin` is its quote.
    pub(super) text: bool,
}

impl Places {
    /// `None` where no rule asks, or where there are no paths.
    pub(super) fn new(paths: &Arc<Paths>, format: Format) -> Option<Self> {
        if paths.is_empty() || format == Format::Text {
            return None;
        }
        let lexer = Lexer::following(format, Arc::clone(paths));
        let first = Mark { begin: 0, states: paths.start(), text: false };
        Some(Self { format, marks: vec![first], ends: paths.ends, lexer })
    }

    /// Whether the pattern `path` leads to the value at `at` of `raw`, which
    /// begins at `origin` of the body.
    pub(super) fn lead(&mut self, path: PathId, raw: &[u8], origin: u64, at: usize) -> bool {
        self.mark(raw, origin, at).is_some_and(|mark| mark.states.leads(path))
    }

    /// The value around `at`, or one before it if no path leads to it.
    pub(super) fn mark(&mut self, raw: &[u8], origin: u64, at: usize) -> Option<Mark> {
        debug_assert!(self.format != Format::Text);
        // The byte there tells that a number begins.
        self.walk(raw, origin, at + 1);
        let place = origin + at as u64;
        let behind = self.marks.partition_point(|mark| mark.begin <= place);
        behind.checked_sub(1).map(|mark| self.marks[mark])
    }

    /// The data moves on: `raw`, which began at `origin`, will begin `keep`
    /// bytes further on.
    pub(super) fn move_on(&mut self, raw: &[u8], origin: u64, keep: usize) {
        self.walk(raw, origin, keep);
        let from = origin + keep as u64;
        let gone = self.marks.partition_point(|mark| mark.begin <= from);
        self.marks.drain(..gone.saturating_sub(1));
    }

    fn walk(&mut self, raw: &[u8], origin: u64, to: usize) {
        let to = to.min(raw.len());
        loop {
            let at = usize::try_from(self.lexer.at().saturating_sub(origin)).unwrap_or(usize::MAX);
            if at >= to {
                return;
            }
            let before = self.lexer.values();
            self.lexer.token_over(&raw[at..to]);
            if self.lexer.values() > before {
                self.note(origin + at as u64);
            }
        }
    }
}

impl Places {
    /// A value has begun. Between two to which no path leads nobody tells.
    fn note(&mut self, begin: u64) {
        let states = self.lexer.states();
        let mut near = self.marks.last().map(|mark| mark.states).into_iter().chain([states]);
        if near.any(|states| states.has_any_of(self.ends)) {
            self.marks.push(Mark { begin, states, text: self.lexer.is_in_value() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(pattern: &str, document: &str, value: &str) -> bool {
        let at = document.find(value).unwrap();
        let mut paths = Paths::default();
        let path = paths.add(&PathPattern::parse(pattern).unwrap()).unwrap();
        let paths = Arc::new(paths);
        let raw = document.as_bytes();
        let whole = Places::new(&paths, Format::Json).unwrap().lead(path, raw, 0, at);
        for cut in 0..=at {
            let mut places = Places::new(&paths, Format::Json).unwrap();
            places.move_on(&raw[..raw.len().min(cut + 3)], 0, cut);
            assert_eq!(places.lead(path, &raw[cut..], cut as u64, at - cut), whole, "{pattern} cut at {cut}");
        }
        whole
    }

    const DOCUMENT: &str = r#"{"a": {"b/c": ["one", "two", {"d": 3333}], "n\u0061me": "four"}, "a2": "five"}"#;

    #[test]
    fn a_pattern_leads_where_its_pointer_does() {
        for (pattern, value) in [
            ("/a/b~1c/0", "one"),
            ("/a/b~1c/1", "two"),
            ("/a/*/*", "two"),
            ("/a/b~1c/2/d", "3333"),
            ("/a/**", "3333"),
            ("/**/d", "3333"),
            ("/**", "five"),
            ("/a/name", "four"),
            ("/a2/**", "five"),
            ("/a", "n\\u0061me"),
        ] {
            assert!(leads(pattern, DOCUMENT, value), "{pattern} {value}");
        }
    }

    #[test]
    fn a_pattern_leads_nowhere_else() {
        for (pattern, value) in [
            ("/a/b~1c/0", "two"),
            ("/a/*", "two"),
            ("/a", "four"),
            ("/a2/*", "five"),
            ("/**/d/*", "3333"),
            ("/a/name", "n\\u0061me"),
            ("/b", "five"),
        ] {
            assert!(!leads(pattern, DOCUMENT, value), "{pattern} {value}");
        }
    }

    #[test]
    fn more_names_than_fit_are_refused() {
        let mut paths = Paths::default();
        let path = |index: usize| PathPattern::parse(&format!("/a/b/c/{index}")).unwrap();
        assert!((0..51).all(|index| paths.add(&path(index)).is_ok()));
        assert!(paths.add(&path(51)).is_err());
        assert!(paths.add(&path(0)).is_ok());
    }
}
