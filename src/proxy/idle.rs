//! A timer for "nothing has moved for too long".

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Fires when a period passes without progress. Costs nothing until the first
/// wait.
#[derive(Debug)]
pub struct IdleTimer {
    period: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether `sleep` counts the wait that goes on now.
    armed: bool,
}

impl IdleTimer {
    /// A timer that is not running.
    pub fn new(period: Duration) -> Self {
        Self { period, sleep: None, armed: false }
    }

    /// Something moved: the next wait begins anew.
    pub fn progress(&mut self) {
        self.armed = false;
    }

    /// As [`IdleTimer::progress`], with another period from now on.
    pub fn restart(&mut self, period: Duration) {
        self.period = period;
        self.armed = false;
    }

    /// Nothing moved: waits on. Ready when the period is over.
    pub fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.period;
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                if !self.armed {
                    sleep.as_mut().reset(deadline);
                }
                sleep
            }
            None => self.sleep.insert(Box::pin(tokio::time::sleep_until(deadline))),
        };
        self.armed = true;
        sleep.as_mut().poll(cx)
    }
}
