//! Timers for what hardly ever takes too long.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A timer whose deadline moves. Each wait may name another one; a later one
/// costs nothing, since what sleeps underneath wakes at the earlier one and is
/// set anew then. Allocates with the first wait.
#[derive(Debug, Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once `deadline` is over.
    pub fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            let slept = sleep.as_mut().poll(cx);
            // Work that always has more uses up what one turn of a task may do, and
            // the sleep is not asked; nor do timers go off while a worker is busy.
            if slept.is_pending() {
                return if Instant::now() < deadline { Poll::Pending } else { Poll::Ready(()) };
            }
            if sleep.deadline() == deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }

    /// What `work` comes to, or `None` when it takes until `deadline`.
    pub async fn limit<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll_until(deadline, cx).map(|()| None),
        })
        .await
    }
}

/// Fires when a period passes without progress.
#[derive(Debug)]
pub struct IdleTimer {
    period: Duration,
    timer: Timer,
    /// When the wait that goes on now began.
    since: Option<Instant>,
}

impl IdleTimer {
    /// A timer that is not running.
    pub fn new(period: Duration) -> Self {
        Self { period, timer: Timer::default(), since: None }
    }

    /// Something moved: the next wait begins anew.
    pub fn progress(&mut self) {
        self.since = None;
    }

    /// As [`IdleTimer::progress`], with another period from now on.
    pub fn restart(&mut self, period: Duration) {
        self.period = period;
        self.since = None;
    }

    /// Nothing moved: waits on. Ready when the period is over.
    pub fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.timer.poll_until(since + self.period, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_always_has_more_is_limited_too() {
        let busy = poll_fn(|cx| {
            while pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
            Poll::<()>::Pending
        });
        let mut timer = Timer::default();
        let limited = timer.limit(Instant::now() + Duration::from_millis(20), busy);
        assert_eq!(tokio::time::timeout(Duration::from_secs(30), limited).await, Ok(None));
    }

    #[tokio::test]
    async fn the_deadline_that_was_named_last_is_the_one_that_counts() {
        let mut timer = Timer::default();
        for milliseconds in [3_600_000, 10, 40, 20] {
            let deadline = Instant::now() + Duration::from_millis(milliseconds);
            assert_eq!(timer.limit(deadline, async { 7 }).await, Some(7));
            if milliseconds > 1000 {
                let named = poll_fn(|cx| Poll::Ready(timer.poll_until(deadline, cx))).await;
                assert!(named.is_pending());
                continue;
            }
            assert_eq!(timer.limit(deadline, std::future::pending::<()>()).await, None);
            assert!(Instant::now() >= deadline, "{milliseconds}");
        }
    }
}
