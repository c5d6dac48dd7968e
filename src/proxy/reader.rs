//! How the client of a response takes it: whoever writes to it tells, and the response
//! that was not taken gives that as the reason.

use super::respond::Failure;
use std::sync::atomic::{AtomicU8, Ordering};

/// The client, as one that reads.
#[derive(Debug, Default)]
pub struct Reader(AtomicU8);

const STOPPED: u8 = 1;
const SLOW: u8 = 2;

impl Reader {
    /// It was waited for too long: since it takes nothing, or too little.
    pub fn give_up(&self, is_slow: bool) {
        self.0.store(if is_slow { SLOW } else { STOPPED }, Ordering::Relaxed);
    }

    /// Why it did not take all of a response.
    pub(super) fn failure(&self) -> Failure {
        match self.0.load(Ordering::Relaxed) {
            STOPPED => Failure::ClientStopped,
            SLOW => Failure::ClientTooSlow,
            _ => Failure::ClientGone,
        }
    }
}
