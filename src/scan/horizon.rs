//! Up to where the data of a scan can be judged.

use super::LOOKAHEAD;
use super::shape::Shapes;
use super::workspace::Found;

/// Up to where triggers can be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    pub(super) at: usize,
    /// No match crosses this place.
    pub(super) hard: bool,
    /// It is nearer than the data allows.
    pub(super) early: bool,
}

impl Horizon {
    /// That of `length` bytes with these shapes and literals. `last` tells that
    /// nothing follows.
    pub(super) fn of(shapes: &Shapes, found: &Found, length: usize, last: bool) -> Self {
        let soft = length.saturating_sub(LOOKAHEAD);
        let fence = shapes.fence_before(length).map(|fence| fence + 1).filter(|&fence| fence >= soft);
        let horizon = match fence {
            _ if last => Self { at: length, hard: true, early: false },
            Some(fence) => Self { at: fence, hard: true, early: false },
            None => Self { at: soft, hard: false, early: false },
        };
        match found.cut {
            Some(end) if end <= horizon.at => Self { at: end - 1, hard: false, early: true },
            _ => horizon,
        }
    }
}
