//! What a scan costs, rule by rule, for `expurgate rules profile`.
//!
//! The scanner tells its [`Meter`] what it turns to. [`Unmetered`], which all
//! bodies of the proxy have, is nothing once compiled. [`Costs`] reads a clock
//! at every turn and charges the time since the last one to what was turned
//! to then; the clock comes from above, since there is none down here.

/// What a scanner is at work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing: between two scans.
    Idle,
    /// The classes of all bytes, and the shapes in them.
    Masks,
    /// The literals of all rules.
    Literals,
    /// Looking again at what stands near escapes.
    Escapes,
    /// Going from candidate to candidate, and settling overlaps.
    Order,
    /// Member names that no rule has claimed yet.
    Names,
    /// The rule with this index.
    Rule(usize),
}

impl Work {
    /// What is done for no rule in particular.
    pub const SHARED: [Self; 5] = [Self::Masks, Self::Literals, Self::Escapes, Self::Order, Self::Names];
}

/// Is told what a scanner does.
pub trait Meter {
    /// The scanner turns to `work`.
    fn turn(&mut self, work: Work);

    /// The scanner turns to a candidate, for each of `rules` (of a detector,
    /// several can be) to judge.
    fn ask(&mut self, rules: impl IntoIterator<Item = usize>);
}

/// Costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmetered;

impl Meter for Unmetered {
    #[inline(always)]
    fn turn(&mut self, _: Work) {}

    #[inline(always)]
    fn ask(&mut self, _: impl IntoIterator<Item = usize>) {}
}

/// What one rule cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How often it was asked.
    pub candidates: u64,
    /// In ticks of the clock.
    pub time: u64,
}

/// Keeps account by a clock.
#[derive(Debug)]
pub struct Costs<C> {
    clock: C,
    /// Ticks that reading the clock takes; not charged to anybody.
    reading: u64,
    work: Work,
    since: u64,
    /// By place in [`Work::SHARED`].
    shared: [u64; Work::SHARED.len()],
    /// By rule index.
    rules: Vec<Cost>,
}

impl<C: FnMut() -> u64> Costs<C> {
    /// Nothing yet, of this many rules. Of each turn, `reading` ticks are taken
    /// to be the clock's own.
    pub fn new(clock: C, reading: u64, rules: usize) -> Self {
        let shared = Default::default();
        Self { clock, reading, work: Work::Idle, since: 0, shared, rules: vec![Cost::default(); rules] }
    }

    /// By rule index.
    pub fn rules(&self) -> &[Cost] {
        &self.rules
    }

    /// What is no rule's, with the ticks it took.
    pub fn shared(&self) -> impl Iterator<Item = (Work, u64)> {
        Work::SHARED.into_iter().zip(self.shared)
    }
}

impl<C: FnMut() -> u64> Meter for Costs<C> {
    fn turn(&mut self, work: Work) {
        let now = (self.clock)();
        let time = now.saturating_sub(self.since).saturating_sub(self.reading);
        match self.work {
            Work::Idle => {}
            Work::Rule(rule) => self.rules[rule].time += time,
            work => {
                let place = Work::SHARED.iter().position(|shared| *shared == work);
                place.into_iter().for_each(|place| self.shared[place] += time);
            }
        }
        (self.work, self.since) = (work, now);
    }

    fn ask(&mut self, rules: impl IntoIterator<Item = usize>) {
        let mut first = None;
        for rule in rules {
            self.rules[rule].candidates += 1;
            first = first.or(Some(rule));
        }
        first.into_iter().for_each(|rule| self.turn(Work::Rule(rule)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Ruleset;
    use crate::scan::{Engine, Format, Scanner};
    use std::sync::Arc;

    /// A clock that goes on by ten whenever it is read.
    fn steps() -> impl FnMut() -> u64 {
        let mut now = 0;
        move || {
            now += 10;
            now
        }
    }

    #[test]
    fn time_belongs_to_what_was_turned_to_last() {
        let mut costs = Costs::new(steps(), 1, 2);
        costs.turn(Work::Masks);
        costs.turn(Work::Literals);
        costs.ask([1, 0]);
        costs.turn(Work::Rule(0));
        costs.turn(Work::Idle);
        costs.turn(Work::Masks);
        costs.turn(Work::Idle);
        assert_eq!(costs.rules(), [Cost { candidates: 1, time: 9 }, Cost { candidates: 1, time: 9 }]);
        let shared: Vec<u64> = costs.shared().map(|(_, time)| time).collect();
        assert_eq!(shared, [18, 9, 0, 0, 0]);
    }

    #[test]
    fn each_kind_of_rule_is_asked_and_charged() {
        let engine = Arc::new(Engine::compile(Arc::new(Ruleset::builtin().unwrap())).unwrap());
        let rules = &engine.ruleset().rules;
        let mut scanner = Scanner::metered(Arc::clone(&engine), Format::Json, Costs::new(steps(), 0, rules.len()));
        let text = br#"{"mail":"jane@example.com","password":"Violet!3325Harbor","db":"postgres://u:Violet3325@db/x"}"#;
        let mut found = Vec::new();
        scanner.scan(text, true, &mut found).unwrap();
        let costs = scanner.into_meter();
        for finding in &found {
            let Cost { candidates, time } = costs.rules()[finding.rule];
            assert!(candidates > 0 && time > 0, "{}", rules[finding.rule].id);
        }
        assert!(found.len() >= 3, "{found:?}");
        assert!(costs.shared().all(|(work, time)| time > 0 || work == Work::Names), "{costs:?}", costs = costs.shared);
        let idle = rules.iter().position(|rule| rule.id == "us.ssn").unwrap();
        assert_eq!(costs.rules()[idle], Cost::default(), "{}", rules[idle].id);
    }
}
