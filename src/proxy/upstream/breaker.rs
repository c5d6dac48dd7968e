//! A circuit breaker: an upstream that fails all the time is left alone for a
//! while, and its clients are told at once instead of late.
//!
//! ```text
//! closed --failures in a row--> open --pause--> one request on trial --answer--> closed
//!                                 ^------------------failure-----------'
//! ```

use crate::config;
use crate::metrics::RouteMetrics;
use crate::proxy::respond::Failure;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// The breaker of one route's upstream.
pub(in crate::proxy) struct Breaker {
    route: String,
    /// `None` for one that is always closed.
    config: Option<config::Breaker>,
    state: Mutex<State>,
    metrics: Arc<RouteMetrics>,
}

#[derive(Default)]
struct State {
    /// In a row, while closed.
    failures: u32,
    /// Until when nobody passes; `None` while closed.
    open: Option<Instant>,
    /// Whether one has passed to see whether it is over.
    on_trial: bool,
    /// Whether another one is told of in its place.
    retired: bool,
}

/// A request's leave to go to the upstream. To be told how that went; dropped
/// before, it says nothing of the upstream.
pub(in crate::proxy) struct Passage<'a> {
    breaker: &'a Breaker,
    is_trial: bool,
}

impl Breaker {
    pub(super) fn new(route: &config::Route, metrics: &Arc<RouteMetrics>) -> Self {
        let (route, config) = (route.name.clone(), route.breaker);
        Self { route, config, state: Mutex::default(), metrics: Arc::clone(metrics) }
    }

    /// Lets a request pass, unless the upstream is left alone.
    pub(in crate::proxy) fn pass(&self) -> Result<Passage<'_>, Failure> {
        if self.config.is_none() {
            return Ok(Passage { breaker: self, is_trial: false });
        }
        let mut state = self.state();
        let is_trial = match state.open {
            None => false,
            Some(until) if state.on_trial || Instant::now() < until => return Err(Failure::UpstreamCircuitOpen),
            Some(_) => true,
        };
        state.on_trial = is_trial;
        Ok(Passage { breaker: self, is_trial })
    }

    /// Another configuration is in use: the metrics tell of its breaker from now on.
    pub(in crate::proxy) fn retire(&self) {
        self.state().retired = true;
    }

    /// Tells in the metrics how it is.
    pub(in crate::proxy) fn show(&self) {
        self.tell(&self.state());
    }

    fn tell(&self, state: &State) {
        if !state.retired {
            self.metrics.circuit_open.set(i64::from(state.open.is_some()));
        }
    }

    fn answered(&self, is_trial: bool) {
        let mut state = self.state();
        if is_trial {
            *state = State { retired: state.retired, ..State::default() };
            self.tell(&state);
            tracing::info!(route = self.route, "the upstream answers again");
        } else if state.open.is_none() {
            state.failures = 0;
        }
    }

    fn failed(&self, config: config::Breaker, is_trial: bool) {
        let mut state = self.state();
        let retired = state.retired;
        if is_trial {
            *state = State { open: Some(Instant::now() + config.pause), retired, ..State::default() };
        } else if state.open.is_none() {
            state.failures += 1;
            if state.failures >= config.failures {
                *state = State { open: Some(Instant::now() + config.pause), retired, ..State::default() };
                self.tell(&state);
                tracing::warn!(route = self.route, "the upstream fails all the time and is left alone for a while");
            }
        }
    }

    /// A panic elsewhere leaves it whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passage<'_> {
    /// How it went: what is no fault of the upstream says nothing of it.
    pub(in crate::proxy) fn tell<T>(mut self, result: &Result<T, Failure>) {
        let Some(config) = self.breaker.config else { return };
        let is_trial = std::mem::take(&mut self.is_trial);
        match result {
            Ok(_) => self.breaker.answered(is_trial),
            Err(failure) if failure.upstream_kind().is_some() => self.breaker.failed(config, is_trial),
            Err(_) => self.is_trial = is_trial,
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.breaker.state().on_trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use crate::metrics::Metrics;

    fn breaker(keys: &str) -> Breaker {
        let file = format!("[[route]]\nupstream = \"http://a\"\n{keys}");
        let sources = Sources { file: Some(("test.toml".to_owned(), file)), ..Sources::default() };
        let config = Config::load(&sources).unwrap();
        Breaker::new(&config.routes[0], &Arc::new(Metrics::new().route("default")))
    }

    /// `None` when it may not pass.
    fn request(breaker: &Breaker, result: Result<(), Failure>) -> Option<i64> {
        breaker.pass().ok()?.tell(&result);
        Some(breaker.metrics.circuit_open.get())
    }

    const DOWN: Result<(), Failure> = Err(Failure::UpstreamUnreachable);
    const OURS: Result<(), Failure> = Err(Failure::BodyTimeout);

    /// The pause is over.
    fn wait(breaker: &Breaker) {
        breaker.state().open = Some(Instant::now());
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_trial_that_is_answered() {
        let breaker = breaker("breaker.failures = 3\nbreaker.pause = \"1h\"");
        for result in [DOWN, DOWN, Ok(()), DOWN, OURS, DOWN] {
            assert_eq!(request(&breaker, result), Some(0));
        }
        assert_eq!(request(&breaker, Err(Failure::UpstreamTimeout)), Some(1));
        assert_eq!(request(&breaker, Ok(())), None);
        wait(&breaker);
        // One at a time.
        let trial = breaker.pass().unwrap();
        assert_eq!(breaker.pass().err(), Some(Failure::UpstreamCircuitOpen));
        trial.tell(&DOWN);
        assert_eq!(request(&breaker, Ok(())), None);
        wait(&breaker);
        // One that ends before it gets there leaves its place to the next.
        drop(breaker.pass().unwrap());
        assert_eq!(request(&breaker, OURS), Some(1));
        assert_eq!(request(&breaker, Ok(())), Some(0));
        assert_eq!(request(&breaker, DOWN), Some(0));
    }

    #[test]
    fn one_that_is_retired_is_told_of_no_longer() {
        let (old, mut new) = (breaker("breaker.failures = 1"), breaker("breaker.failures = 2"));
        new.metrics = Arc::clone(&old.metrics);
        assert_eq!(request(&old, DOWN), Some(1));
        old.retire();
        new.show();
        assert_eq!(old.metrics.circuit_open.get(), 0);
        wait(&old);
        assert_eq!(request(&old, DOWN), Some(0));
        wait(&old);
        assert_eq!(request(&new, DOWN), Some(0));
        assert_eq!(request(&new, DOWN), Some(1));
        assert_eq!(request(&old, Ok(())), Some(1));
    }

    #[test]
    fn those_that_had_passed_before_it_opened_change_nothing() {
        let breaker = breaker("breaker.failures = 1");
        let (late, later) = (breaker.pass().unwrap(), breaker.pass().unwrap());
        assert_eq!(request(&breaker, DOWN), Some(1));
        late.tell(&Ok(()));
        later.tell(&DOWN);
        assert_eq!(request(&breaker, Ok(())), None);
    }

    #[test]
    fn without_a_count_it_never_opens() {
        let breaker = breaker("");
        assert!((0..1000).all(|_| request(&breaker, DOWN) == Some(0)));
    }
}
