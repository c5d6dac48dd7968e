//! The budget of buffered bytes: who needs more than there is waits a little, and is
//! shed only then.
//!
//! While a body waits nothing more of it is read, so that its client waits too. Bytes
//! that are given back go to bodies that have some already, before those that have
//! none: the more bodies are begun, the less likely any of them ends. Among their like
//! they go to the one that waited first, now or before, and nobody overtakes it but
//! what is there already, as a response that has begun. It asks for all that its body
//! still needs, so that this one ends with it and gives all back.
//!
//! When everything is held by bodies that wait, nobody can give any back: then the one
//! that waited last is shed at once, and what it held goes to the others.

use super::respond::Failure;
use crate::metrics::Metrics;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Sleep;

/// Counts bytes of buffered bodies.
pub(super) struct Budget {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

struct State {
    used: u64,
    limit: u64,
    /// How long one waits.
    wait: Duration,
    /// Those that have some already, and those that have none; in the order of their
    /// tickets.
    queues: [VecDeque<Waiting>; 2],
    /// Of the bytes used, those of bodies that wait.
    idle: u64,
    /// Who waited and has been shed, and does not know yet.
    shed: Vec<u64>,
    /// The next one's.
    ticket: u64,
}

struct Waiting {
    ticket: u64,
    bytes: u64,
    /// What its body has already.
    held: u64,
    waker: Waker,
}

impl Budget {
    pub(super) fn new(limit: u64, wait: Duration, metrics: Arc<Metrics>) -> Arc<Self> {
        metrics.buffered_bytes_limit.set(signed(limit));
        let (queues, shed) = (Default::default(), Vec::new());
        let state = State { used: 0, limit, wait, queues, idle: 0, shed, ticket: 0 };
        Arc::new(Self { state: Mutex::new(state), metrics })
    }

    /// So many from now on, and so long to wait for them.
    pub(super) fn limit(&self, bytes: u64, wait: Duration) {
        let mut state = self.state();
        (state.limit, state.wait) = (bytes, wait);
        self.metrics.buffered_bytes_limit.set(signed(bytes));
        let served = state.serve();
        drop(state);
        wake(served);
    }

    /// A reservation of no bytes, to be grown.
    pub(super) fn open(self: &Arc<Self>) -> Reservation {
        Reservation { budget: Arc::clone(self), bytes: 0, beside: 0, ticket: None, place: None }
    }

    fn give_back(&self, bytes: u64) {
        let mut state = self.state();
        state.used -= bytes;
        let served = state.serve();
        drop(state);
        wake(served);
    }

    /// A panic elsewhere leaves plain numbers behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room_for(&self, bytes: u64) -> bool {
        self.used.checked_add(bytes).is_some_and(|sum| sum <= self.limit)
    }

    /// Takes bytes at once, unless there are none or others wait for them.
    fn take(&mut self, bytes: u64, has_some: bool) -> bool {
        let [holding, empty] = &self.queues;
        let is_next = holding.is_empty() && (has_some || empty.is_empty());
        bytes == 0 || (is_next && self.try_take(bytes))
    }

    /// Takes bytes at once, whoever waits for them, unless there are none.
    fn try_take(&mut self, bytes: u64) -> bool {
        let has_room = self.has_room_for(bytes);
        if has_room {
            self.used += bytes;
        }
        has_room
    }

    /// Puts one at its place among its like.
    fn queue(&mut self, waiting: Waiting) {
        self.idle += waiting.held;
        let queue = &mut self.queues[usize::from(waiting.held == 0)];
        let place = queue.partition_point(|other| other.ticket < waiting.ticket);
        queue.insert(place, waiting);
    }

    fn next_ticket(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    /// Gives what there is to those that wait, and sheds the last of them if nobody
    /// else can give anything back. They are to be woken, not under the lock.
    #[must_use]
    fn serve(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        for queue in 0..self.queues.len() {
            while let Some(first) = self.queues[queue].front() {
                if !self.has_room_for(first.bytes) {
                    woken.extend(self.shed_if_stuck());
                    return woken;
                }
                self.used += first.bytes;
                if let Some(served) = self.queues[queue].pop_front() {
                    self.idle -= served.held;
                    woken.push(served.waker);
                }
            }
        }
        woken
    }

    /// What it holds is free once it knows, and those that are left may be stuck again.
    fn shed_if_stuck(&mut self) -> Option<Waker> {
        let last = if self.idle < self.used { None } else { self.queues[0].pop_back() }?;
        self.idle -= last.held;
        self.shed.push(last.ticket);
        Some(last.waker)
    }

    /// The one with this ticket, unless it waits no more.
    fn waiting(&mut self, ticket: u64) -> Option<&mut Waiting> {
        self.queues.iter_mut().flatten().find(|waiting| waiting.ticket == ticket)
    }

    /// Whether the one with this ticket has been shed, which it knows now.
    fn was_shed(&mut self, ticket: u64) -> bool {
        let place = self.shed.iter().position(|&shed| shed == ticket);
        place.map(|place| self.shed.swap_remove(place)).is_some()
    }

    /// It waits no longer; one that was served meanwhile gives that back.
    fn leave(&mut self, place: &Place) -> Vec<Waker> {
        match self.waiting(place.ticket).map(|waiting| waiting.held) {
            Some(held) => self.idle -= held,
            None if self.was_shed(place.ticket) => {}
            None => self.used -= place.bytes,
        }
        self.queues.iter_mut().for_each(|queue| queue.retain(|waiting| waiting.ticket != place.ticket));
        // The one behind it may need less.
        self.serve()
    }
}

/// Bytes reserved for one body, until it is dropped.
pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
    /// What the body has in other ones.
    beside: u64,
    /// That it had when it first waited.
    ticket: Option<u64>,
    /// While it waits for more.
    place: Option<Box<Place>>,
}

struct Place {
    ticket: u64,
    bytes: u64,
    over: Pin<Box<Sleep>>,
}

impl Reservation {
    /// Its body has so many bytes in other ones.
    pub(super) fn stands_beside(&mut self, bytes: u64) {
        self.beside = bytes;
    }

    /// What is reserved.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// See [`Reservation::stands_beside`].
    pub(super) fn beside(&self) -> u64 {
        self.beside
    }

    /// Makes it so many bytes more, once there are so many.
    pub(super) async fn grow(&mut self, bytes: u64) -> Result<(), Failure> {
        self.grow_to(self.bytes.saturating_add(bytes)).await
    }

    /// Makes it at least so many bytes, once there are so many.
    pub(super) async fn grow_to(&mut self, bytes: u64) -> Result<(), Failure> {
        self.grow_towards(bytes, bytes).await
    }

    /// The same for a body that will need `all` in the end: if it has to wait, it
    /// waits for them at once.
    pub(super) async fn grow_towards(&mut self, bytes: u64, all: u64) -> Result<(), Failure> {
        poll_fn(|cx| self.poll_grow_towards(bytes, all, cx)).await
    }

    /// As [`Reservation::grow_to`]. Whoever polls goes on until it is ready, or drops it.
    pub(super) fn poll_grow_to(&mut self, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll_grow_towards(bytes, bytes, cx)
    }

    fn poll_grow_towards(&mut self, bytes: u64, all: u64, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let Some(place) = &mut self.place else {
                let missing = bytes.saturating_sub(self.bytes);
                let held = self.bytes + self.beside;
                let mut state = self.budget.state();
                if state.take(missing, held > 0) {
                    drop(state);
                    self.took(missing);
                    return Poll::Ready(Ok(()));
                }
                if state.wait.is_zero() || bytes > state.limit {
                    return Poll::Ready(Err(Failure::BufferedTooMuch));
                }
                let missing = all.min(state.limit).max(bytes) - self.bytes;
                let ticket = *self.ticket.get_or_insert_with(|| state.next_ticket());
                state.queue(Waiting { ticket, bytes: missing, held, waker: cx.waker().clone() });
                let over = Box::pin(tokio::time::sleep(state.wait));
                let woken = state.serve();
                drop(state);
                wake(woken);
                self.place = Some(Box::new(Place { ticket, bytes: missing, over }));
                self.budget.metrics.buffer_waiting.inc();
                continue;
            };
            let mut state = self.budget.state();
            let woken = if state.was_shed(place.ticket) {
                Vec::new()
            } else if let Some(waiting) = state.waiting(place.ticket) {
                waiting.waker.clone_from(cx.waker());
                if place.over.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                state.leave(place)
            } else {
                drop(state);
                let served = place.bytes;
                self.stop_waiting();
                self.took(served);
                self.budget.metrics.count_buffer_wait(true);
                continue;
            };
            drop(state);
            wake(woken);
            self.stop_waiting();
            self.budget.metrics.count_buffer_wait(false);
            return Poll::Ready(Err(Failure::BufferedTooMuch));
        }
    }

    /// Makes it at least so many bytes, if there are so many now. For what is there
    /// already and does not wait for others: it ends the sooner.
    pub(super) fn try_grow_to(&mut self, bytes: u64) -> Result<(), Failure> {
        let missing = bytes.saturating_sub(self.bytes);
        if missing > 0 && !self.budget.state().try_take(missing) {
            return Err(Failure::BufferedTooMuch);
        }
        self.took(missing);
        Ok(())
    }

    fn stop_waiting(&mut self) -> Option<Box<Place>> {
        let place = self.place.take()?;
        self.budget.metrics.buffer_waiting.dec();
        Some(place)
    }

    /// The state counts them already.
    fn took(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.budget.metrics.buffered_bytes.add(signed(bytes));
    }

    /// Takes what is reserved beyond `bytes` out of it.
    pub(super) fn split(&mut self, bytes: u64) -> Self {
        let taken = self.bytes.saturating_sub(bytes);
        self.bytes -= taken;
        Self { budget: Arc::clone(&self.budget), bytes: taken, beside: 0, ticket: None, place: None }
    }

    /// Gives back what is reserved beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let back = self.bytes.saturating_sub(bytes);
        if back > 0 {
            self.bytes -= back;
            self.budget.metrics.buffered_bytes.sub(signed(back));
            self.budget.give_back(back);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(place) = self.stop_waiting() {
            let served = self.budget.state().leave(&place);
            wake(served);
        }
        self.shrink_to(0);
    }
}

fn wake(served: Vec<Waker>) {
    served.into_iter().for_each(Waker::wake);
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    const HOUR: Duration = Duration::from_secs(3600);

    fn budget(limit: u64, wait: Duration) -> Arc<Budget> {
        Budget::new(limit, wait, Arc::new(Metrics::new()))
    }

    fn holding(budget: &Arc<Budget>, bytes: u64) -> Reservation {
        let mut reservation = budget.open();
        reservation.try_grow_to(bytes).unwrap();
        reservation
    }

    fn poll(reservation: &mut Reservation, bytes: u64) -> Poll<Result<(), Failure>> {
        reservation.poll_grow_to(bytes, &mut Context::from_waker(Waker::noop()))
    }

    /// As the state counts them and as the metrics tell.
    fn used(budget: &Budget) -> u64 {
        let used = budget.state().used;
        assert_eq!(budget.metrics.buffered_bytes.get(), signed(used));
        used
    }

    #[tokio::test]
    async fn a_reservation_that_fails_takes_nothing() {
        let budget = budget(10, Duration::ZERO);
        let mut one = budget.open();
        one.grow(6).await.unwrap();
        let mut other = budget.open();
        assert_eq!(other.grow(5).await, Err(Failure::BufferedTooMuch));
        other.grow_to(4).await.unwrap();
        other.grow_to(3).await.unwrap();
        assert_eq!(used(&budget), 10);
        one.shrink_to(2);
        one.shrink_to(5);
        assert_eq!(used(&budget), 6);
        let (rest, nothing) = (other.split(1), other.split(1));
        assert_eq!(used(&budget), 6);
        drop(rest);
        assert_eq!(used(&budget), 3);
        drop((one, other, nothing));
        assert_eq!(used(&budget), 0);
    }

    #[tokio::test]
    async fn who_needs_more_waits_until_it_is_given_back() {
        let budget = budget(10, HOUR);
        let held = holding(&budget, 8);
        let mut waits = budget.open();
        {
            let mut growing = pin!(waits.grow(5));
            assert!(poll_fn(|cx| Poll::Ready(growing.as_mut().poll(cx))).await.is_pending());
            drop(held);
            assert_eq!(growing.await, Ok(()));
        }
        drop(waits);
        assert_eq!(used(&budget), 0);
        let told = budget.metrics.render();
        assert!(told.contains("expurgate_buffer_waits_total{outcome=\"success\"} 1"), "{told}");
    }

    #[tokio::test]
    async fn those_that_hold_some_come_first_and_nobody_overtakes() {
        let budget = budget(10, HOUR);
        let (mut first, mut second, rest) = (holding(&budget, 2), holding(&budget, 2), holding(&budget, 6));
        let (mut new, mut newer) = (budget.open(), budget.open());
        assert!(poll(&mut new, 1).is_pending() && poll(&mut first, 7).is_pending());
        assert!(poll(&mut second, 3).is_pending() && poll(&mut newer, 1).is_pending());
        drop(rest);
        // Six were given back: five of them to the first, and one to the second.
        assert_eq!((poll(&mut first, 7), poll(&mut second, 3)), (Poll::Ready(Ok(())), Poll::Ready(Ok(()))));
        assert!(poll(&mut new, 1).is_pending());
        assert_eq!(newer.try_grow_to(0), Ok(()));
        second.shrink_to(2);
        assert!(poll(&mut newer, 1).is_pending());
        assert_eq!(poll(&mut new, 1), Poll::Ready(Ok(())));
        // There is room for it, but it is not its turn.
        first.shrink_to(0);
        assert_eq!(budget.state().queues.iter().map(VecDeque::len).sum::<usize>(), 0);
        assert_eq!(poll(&mut newer, 1), Poll::Ready(Ok(())));
        assert_eq!(used(&budget), 4);
    }

    #[tokio::test]
    async fn one_that_waits_is_not_overtaken_by_one_that_needs_less() {
        let budget = budget(10, HOUR);
        let held = holding(&budget, 6);
        let (mut large, mut small) = (budget.open(), budget.open());
        assert!(poll(&mut large, 8).is_pending());
        assert!(poll(&mut small, 1).is_pending());
        // But by what is there already.
        let there = holding(&budget, 1);
        drop((held, there));
        assert_eq!((poll(&mut large, 8), poll(&mut small, 1)), (Poll::Ready(Ok(())), Poll::Ready(Ok(()))));
    }

    #[tokio::test]
    async fn more_for_a_body_that_has_some_comes_before_bodies_that_have_none() {
        let budget = budget(10, HOUR);
        let (whole, held) = (holding(&budget, 6), holding(&budget, 4));
        let (mut new, mut decoder) = (budget.open(), budget.open());
        decoder.stands_beside(whole.bytes());
        assert!(poll(&mut new, 4).is_pending());
        assert!(poll(&mut decoder, 4).is_pending());
        drop(held);
        assert!(poll(&mut new, 4).is_pending());
        assert_eq!(poll(&mut decoder, 4), Poll::Ready(Ok(())));
        drop((whole, decoder));
        assert_eq!(poll(&mut new, 4), Poll::Ready(Ok(())));
    }

    #[tokio::test]
    async fn who_goes_while_it_waits_leaves_nothing_behind() {
        let budget = budget(10, HOUR);
        let held = holding(&budget, 10);
        let (mut gone, mut served, mut stays) = (budget.open(), budget.open(), budget.open());
        for reservation in [&mut gone, &mut served, &mut stays] {
            assert!(poll(reservation, 6).is_pending());
        }
        assert_eq!(budget.metrics.buffer_waiting.get(), 3);
        drop(gone);
        drop(held);
        // Given to the second, which has not seen it yet.
        assert!(poll(&mut stays, 6).is_pending());
        drop(served);
        assert_eq!(poll(&mut stays, 6), Poll::Ready(Ok(())));
        assert_eq!((used(&budget), budget.metrics.buffer_waiting.get()), (6, 0));
    }

    #[tokio::test]
    async fn the_time_of_one_that_waits_serves_the_others() {
        let budget = budget(12, Duration::from_millis(20));
        let (mut one, mut other, busy) = (holding(&budget, 5), holding(&budget, 5), holding(&budget, 2));
        let first = async {
            let grown = one.grow(3).await;
            drop(one);
            grown
        };
        let (first, second) = tokio::join!(first, async {
            tokio::task::yield_now().await;
            budget.limit(12, HOUR);
            other.grow(3).await
        });
        assert_eq!((first, second), (Err(Failure::BufferedTooMuch), Ok(())));
        drop(busy);
        assert_eq!(used(&budget), 8);
    }

    fn poll_towards(reservation: &mut Reservation, bytes: u64, all: u64) -> Poll<Result<(), Failure>> {
        reservation.poll_grow_towards(bytes, all, &mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn the_last_is_shed_when_all_that_is_used_belongs_to_those_that_wait() {
        let budget = budget(12, HOUR);
        let mut bodies: Vec<_> = (0..3).map(|_| holding(&budget, 4)).collect();
        let mut new = budget.open();
        assert!(poll(&mut new, 1).is_pending());
        assert!(poll_towards(&mut bodies[0], 5, 10).is_pending());
        assert!(poll_towards(&mut bodies[1], 5, 10).is_pending());
        // Now nobody is left to give any back.
        assert_eq!(poll_towards(&mut bodies[2], 5, 10), Poll::Ready(Err(Failure::BufferedTooMuch)));
        // What it held is too little for the first, and so the second is shed, too.
        assert!(poll_towards(&mut bodies[0], 5, 10).is_pending());
        drop(bodies.pop());
        assert_eq!(poll_towards(&mut bodies[1], 5, 10), Poll::Ready(Err(Failure::BufferedTooMuch)));
        drop(bodies.pop());
        // It has all that it will need.
        assert_eq!(poll_towards(&mut bodies[0], 5, 10), Poll::Ready(Ok(())));
        assert_eq!(poll_towards(&mut bodies[0], 10, 10), Poll::Ready(Ok(())));
        assert_eq!(poll(&mut new, 1), Poll::Ready(Ok(())));
        assert_eq!(used(&budget), 11);
        drop((bodies, new));
        assert_eq!(used(&budget), 0);
        assert_eq!(budget.state().idle, 0);
        assert_eq!(budget.state().shed.len(), 0);
        assert_eq!(budget.metrics.buffer_waiting.get(), 0);
    }

    #[tokio::test]
    async fn one_that_was_shed_may_go_before_it_knows() {
        let budget = budget(8, HOUR);
        let (mut first, mut last) = (holding(&budget, 4), holding(&budget, 4));
        assert!(poll(&mut last, 5).is_pending());
        // It waited before, and so is not the last.
        last.stop_waiting().into_iter().for_each(|place| wake(budget.state().leave(&place)));
        assert!(poll(&mut first, 6).is_pending());
        assert!(poll(&mut last, 6).is_pending());
        assert_eq!(budget.state().shed.len(), 1);
        drop(first);
        assert_eq!(budget.state().shed.len(), 0);
        assert_eq!(poll(&mut last, 6), Poll::Ready(Ok(())));
        assert_eq!(used(&budget), 6);
    }

    #[tokio::test]
    async fn what_can_never_be_is_not_waited_for() {
        let budget = budget(10, HOUR);
        assert_eq!(budget.open().grow(11).await, Err(Failure::BufferedTooMuch));
        // A limit that is raised serves those that wait, and one that is lowered takes
        // nothing away.
        let held = holding(&budget, 10);
        let mut waits = budget.open();
        assert!(poll(&mut waits, 5).is_pending());
        budget.limit(15, HOUR);
        assert_eq!(poll(&mut waits, 5), Poll::Ready(Ok(())));
        budget.limit(1, HOUR);
        assert_eq!(used(&budget), 15);
        assert_eq!(budget.metrics.buffered_bytes_limit.get(), 1);
        drop((held, waits));
        assert_eq!(used(&budget), 0);
    }
}
