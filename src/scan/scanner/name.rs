//! Names of members that key rules know.

use super::super::delimiter::Delimiter;
use super::super::late::{self, Late};
use super::super::meter::{Meter, Work};
use super::super::mode::Mode;
use super::super::place;
use super::super::walk::{Step, Walk};
use super::super::workspace::Workspace;
use super::{DEEPEST, Data, Scanner};

impl<M: Meter> Scanner<M> {
    /// A literal of some member name: walks on from the name if it is one.
    /// Whether it does.
    pub(super) fn confirm_key(&mut self, work: &mut Workspace, data: Data<'_>, literal: usize) -> bool {
        self.meter.turn(Work::Names);
        let bounds = self.bounds(work, data, literal);
        let Some(name) = place::member_name(data.raw, &bounds, literal, &mut work.window) else { return false };
        let text = &work.window.text()[name.text];
        let Some(rules) = data.engine.key_rules(text, |rule| self.is_quiet(rule)) else { return false };
        self.meter.ask(rules.iter());
        let at = self.absolute(name.end);
        // Most names in prose lead nowhere: what begins here is no member's value.
        let walk = Walk::new(rules, name.quote, self.absolute(name.start), text);
        if matches!({ walk }.advance(data.raw, name.end, data.last), Step::Over(_)) {
            return false;
        }
        self.enter(Mode::Walking { walk, at });
        true
    }

    /// A literal of the name `value`: if that is the first of an object, and no key rule
    /// knows it, the name that says what the value is may follow.
    pub(super) fn confirm_value(&mut self, work: &mut Workspace, data: Data<'_>, literal: usize) {
        // A name before the object may have claimed the value; if it is none of its, the
        // one behind counts.
        let is_claimed = !self.may_enter();
        if is_claimed && (matches!(self.mode, Mode::Swallowing { .. }) || self.outer.len() >= DEEPEST) {
            return;
        }
        self.meter.turn(Work::Names);
        let bounds = self.bounds(work, data, literal);
        let Some(name) = place::member_name(data.raw, &bounds, literal, &mut work.window) else { return };
        let text = &work.window.text()[name.text];
        if !late::is_value(text) || data.engine.key_rules(text, |_| false).is_some() {
            return;
        }
        let missing = late::BEFORE.saturating_sub(name.start);
        let near = &data.raw[name.start.saturating_sub(late::BEFORE)..name.start];
        let before: Vec<u8> = self.context.last(missing).chain(near.iter().copied()).collect();
        if late::opens_object(&before) {
            let (begins, at) = (self.absolute(name.start), self.absolute(name.end));
            let seeking = Mode::Seeking { quote: name.quote, begins, at };
            if is_claimed {
                self.outer.push(seeking);
            } else {
                self.enter(seeking);
            }
        }
    }

    /// Looks for the name behind the value whose own name, `value`, ends at `at`.
    pub(super) fn seek(&mut self, data: Data<'_>, quote: Delimiter, (begins, at): (u64, u64)) {
        let rules = |name: &[u8]| data.engine.key_rules(name, |rule| self.is_quiet(rule));
        let mut text = Vec::new();
        let is_known = |name: &[u8]| rules(name).is_some();
        let found = late::name_near(data.raw, self.relative(at), quote, data.last, is_known, &mut text);
        self.mode = match found {
            Late::More => return,
            Late::None => Mode::Open,
            Late::Name => rules(&text).map_or(Mode::Open, |rules| {
                let walk = Walk::to_value(rules, quote, begins);
                Mode::Walking { walk, at }
            }),
        };
    }
}
