//! Values under key rules.

use super::super::LOOKAHEAD;
use super::super::check::{Value, Verdict};
use super::super::delimiter::{self, Extent};
use super::super::finding::Finding;
use super::super::key::{End, number_end};
use super::super::meter::Meter;
use super::super::mode::Mode;
use super::super::region::Region;
use super::super::resolve::Wrap;
use super::super::unit::unit;
use super::super::walk::{Step, Walk};
use super::super::workspace::Workspace;
use super::{Data, Scanner};
use crate::validator::is_placeholder;

impl<M: Meter> Scanner<M> {
    pub(super) fn walk(&mut self, data: Data<'_>, mut walk: Walk, at: u64) {
        let step = walk.advance(data.raw, self.relative(at), data.last);
        self.mode = match step {
            Step::More(at) => Mode::Walking { walk, at: self.absolute(at) },
            Step::Over(_) => Mode::Open,
            Step::Text(at) => Mode::Judging { walk, at: self.absolute(at), number: false },
            Step::Number(at) => Mode::Judging { walk, at: self.absolute(at), number: true },
        };
    }

    pub(super) fn judge_text(
        &mut self,
        work: &mut Workspace,
        data: Data<'_>,
        walk: Walk,
        at: u64,
        out: &mut Vec<Finding>,
    ) {
        let start = self.relative(at);
        let text = delimiter::Text { at: start, quote: walk.value, name: walk.quote };
        let extent = match delimiter::extent(self.format, data.raw, text, data.last, &mut work.doubts) {
            Extent::Unclear if !data.last => return,
            extent => extent,
        };
        let (end, text) = match extent {
            Extent::Ends(end) => {
                work.window.decode(data.raw, start..end);
                (end, Some(work.window.text()))
            }
            Extent::None | Extent::Unclear | Extent::Long => (start, None),
        };
        if let Extent::Ends(end) = extent
            && let Some(inner) = walk.within(data.raw, start..end)
        {
            return self.walk_within(data, walk, inner, (start, end));
        }
        let wrap = walk.wrap_text(text);
        let rule = if text.is_some_and(|text| is_placeholder(text) || walk.is_written(text)) {
            self.checks.keep(walk.rules.first(), self.origin, start..end, start, Verdict::Placeholder);
            None
        } else if extent == Extent::None {
            None
        } else {
            let seen = if text.is_some() { end } else { data.raw.len().min(start + LOOKAHEAD) };
            self.claim(data, walk, &Value::whole(text, start..end), seen, wrap)
        };
        match (extent, rule) {
            (Extent::None | Extent::Unclear | Extent::Long, None) => self.mode = Mode::Open,
            (Extent::None | Extent::Unclear | Extent::Long, Some(rule)) => {
                self.open_region(Region::Text { quote: walk.value }, rule, start, start, Some(walk), out)
            }
            (Extent::Ends(_), None) if !walk.in_array() => self.mode = Mode::Open,
            (Extent::Ends(end), rule) => {
                if let Some(rule) = rule {
                    self.add_region(rule, start..end, wrap, out);
                }
                let after = data.raw.get(end).map_or(end, |_| end + unit(data.raw, end).len);
                self.mode = Mode::Walking { walk, at: self.absolute(after) };
            }
        }
    }

    /// Goes on with the strings that the value `start..end` holds, and behind it with what
    /// follows in the array around it.
    fn walk_within(&mut self, data: Data<'_>, walk: Walk, inner: Walk, (start, end): (usize, usize)) {
        let behind = data.raw.get(end).map_or(end, |_| end + unit(data.raw, end).len);
        self.enter(Mode::Walking { walk, at: self.absolute(behind) });
        self.enter(Mode::Walking { walk: inner, at: self.absolute(start) });
    }

    /// The first of the key rules of `walk` that takes `value`. Those that change
    /// nothing add it up to `seen`, and the next one is asked.
    fn claim(&mut self, data: Data<'_>, walk: Walk, value: &Value<'_>, seen: usize, wrap: Wrap) -> Option<usize> {
        let mut rules = walk.rules.iter().filter(|&rule| {
            self.accepts(data, rule, value) && {
                self.log(rule, self.relative(walk.begins), &value.range);
                let quiet = self.is_quiet(rule);
                if quiet {
                    self.add_quiet(rule, value.range.start..seen, wrap);
                }
                !quiet
            }
        });
        rules.next()
    }

    pub(super) fn judge_number(&mut self, data: Data<'_>, walk: Walk, at: u64, out: &mut Vec<Finding>) {
        let start = self.relative(at);
        let limit = data.raw.len().min(start + LOOKAHEAD);
        match number_end(&data.raw[..limit], start, data.last && limit == data.raw.len()) {
            End::At(end) => {
                let value = Value::whole(Some(&data.raw[start..end]), start..end);
                if !walk.is_written(&data.raw[start..end])
                    && let Some(rule) = self.claim(data, walk, &value, end, walk.wrap())
                {
                    self.add_region(rule, start..end, walk.wrap(), out);
                }
                self.mode = Mode::Walking { walk, at: self.absolute(end) };
            }
            // No number has thousands of digits.
            End::More(_) if limit - start >= LOOKAHEAD => self.mode = Mode::Open,
            End::More(_) => {}
        }
    }
}
