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

/// How long somebody may still be waited for.
///
/// A leaky bucket as large as a period: waits fill it, and bytes that come empty it
/// at a rate. So who keeps to the rate may be silent for the whole period each time,
/// and who never does is out of time, however often a byte comes. Time in which
/// nobody waits, since something else is slower, does not count.
#[derive(Debug)]
pub struct Pace {
    period: Duration,
    /// Bytes a second; with 0 any byte empties the bucket.
    rate: u64,
    behind: Duration,
    /// When the wait that goes on now began.
    since: Option<Instant>,
}

impl Pace {
    /// Of one who has not been waited for.
    pub fn new(period: Duration, rate: u64) -> Self {
        Self { period, rate, behind: Duration::ZERO, since: None }
    }

    /// Waits, or waits on; until when.
    pub fn wait(&mut self) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        since + self.period.saturating_sub(self.behind)
    }

    /// So many bytes came: the wait is over.
    pub fn progress(&mut self, bytes: usize) {
        let waited = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.settle(waited, bytes);
    }

    /// From when on it has been one wait, if those before, as far as they were not
    /// made up for, are put together with this one. Nobody, without a rate.
    pub fn late_since(&self) -> Option<Instant> {
        self.since.filter(|_| self.rate > 0)?.checked_sub(self.behind)
    }

    /// Whether time was lost to a lack of pace, not all of it to one silence.
    pub fn is_slow(&self) -> bool {
        self.behind > self.period / 10
    }

    fn settle(&mut self, waited: Duration, bytes: usize) {
        let microseconds = (bytes as u64).saturating_mul(1_000_000).checked_div(self.rate);
        let made_up = microseconds.map_or(Duration::MAX, Duration::from_micros);
        self.behind = (self.behind + waited).min(self.period).saturating_sub(made_up);
    }
}

/// Fires when a period passes without progress, or without enough of it.
#[derive(Debug)]
pub struct IdleTimer {
    pace: Pace,
    timer: Timer,
}

impl IdleTimer {
    /// A timer that is not running.
    pub fn new(period: Duration) -> Self {
        Self::paced(Pace::new(period, 0))
    }

    /// The same, for one who has to keep a pace.
    pub fn paced(pace: Pace) -> Self {
        Self { pace, timer: Timer::default() }
    }

    /// Something moved: the next wait begins anew.
    pub fn progress(&mut self) {
        self.pace.progress(0);
    }

    /// So many bytes moved.
    pub fn advance(&mut self, bytes: usize) {
        self.pace.progress(bytes);
    }

    /// As [`IdleTimer::progress`], with another period from now on.
    pub fn restart(&mut self, period: Duration) {
        self.pace = Pace::new(period, self.pace.rate);
    }

    /// Nothing moved: waits on. Ready when the period is over.
    pub fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_until(self.pace.wait(), cx)
    }

    /// Whether it was slowness, and not one silence.
    pub fn is_slow(&self) -> bool {
        self.pace.is_slow()
    }

    /// Who is waited for.
    pub fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// After how many waits of `waited`, each ended by so many bytes, the time is over.
    fn waits(pace: &mut Pace, waited: Duration, bytes: usize) -> Option<usize> {
        (1..=1000).find(|_| {
            let over = pace.behind + waited >= pace.period;
            pace.settle(waited, bytes);
            over
        })
    }

    #[test]
    fn who_sends_a_byte_now_and_then_is_out_of_time() {
        let pace = || Pace::new(30 * SECOND, 240);
        assert_eq!(waits(&mut pace(), 5 * SECOND, 2), Some(7));
        // At the rate, and just below it.
        assert_eq!(waits(&mut pace(), 20 * SECOND, 240 * 20), None);
        assert_eq!(waits(&mut pace(), 20 * SECOND, 240 * 19), Some(11));
        // What came before is no credit for later.
        let mut late = pace();
        late.settle(SECOND, 1 << 30);
        assert_eq!(waits(&mut late, 5 * SECOND, 2), Some(7));
        assert!(late.is_slow());
        assert_eq!(waits(&mut Pace::new(30 * SECOND, 0), 29 * SECOND, 1), None, "without a rate");
    }

    #[test]
    fn silence_is_not_slowness_and_no_credit_is_lost_by_it() {
        let mut pace = Pace::new(30 * SECOND, 240);
        pace.settle(3600 * SECOND, 240);
        assert_eq!(pace.behind, 29 * SECOND, "not more than the period");
        assert!(pace.is_slow(), "no silence was so long");
        pace.settle(Duration::ZERO, 240 * 27);
        assert!(!pace.is_slow());
        let until = pace.wait();
        assert_eq!(pace.wait(), until, "the wait goes on");
        assert_eq!(pace.late_since(), Some(until - 30 * SECOND));
        pace.progress(240 * 30);
        assert_eq!(pace.late_since(), None, "nobody waits");
    }

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
