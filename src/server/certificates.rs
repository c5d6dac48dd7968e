//! New certificates while the process runs.
//!
//! When their files are looked at is told in [`super::hints`]. A bad pair, half of
//! one included, is told, counted, and leaves the old one in use.

use super::hints::{Hints, Settled, apart};
use crate::causes::Causes;
use crate::metrics::Metrics;
use crate::proxy::{Certified, Snapshot};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Everything that is made of files with certificates.
pub(super) struct Certificates {
    hints: Hints,
    users: Vec<User>,
    metrics: Arc<Metrics>,
}

/// One of them, and what its files held.
struct User {
    certified: Arc<dyn Certified>,
    found: Settled<[u8; 32]>,
}

impl Certificates {
    /// Of these, as far as they have any.
    pub(super) fn new(all: Vec<Arc<dyn Certified>>, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let users = users(all, Vec::new());
        Ok(Self { hints: Hints::new(&paths(&users))?, users, metrics: Arc::clone(metrics) })
    }

    /// Puts new certificates in use as they come; of others, once it is told that
    /// there are others.
    pub(super) async fn serve(mut self, mut others: mpsc::Receiver<Vec<Arc<dyn Certified>>>) {
        self.hints.watch();
        loop {
            let waits = self.users.iter().any(|user| user.found.waits());
            let told = tokio::select! {
                Some(all) = others.recv() => {
                    self.users = users(all, self.users);
                    self.hints.look_at(paths(&self.users));
                    continue;
                }
                told = self.hints.next(waits) => told,
            };
            for user in &mut self.users {
                user.look(told, &self.metrics).await;
            }
        }
    }
}

/// One for each that has files, with what is known of those that were there `before`.
fn users(all: Vec<Arc<dyn Certified>>, mut before: Vec<User>) -> Vec<User> {
    let with_files = all.into_iter().filter(|certified| !certified.paths().is_empty());
    let user = |certified: Arc<dyn Certified>| match before.iter().position(|user| is_same(&user.certified, &certified))
    {
        Some(place) => before.swap_remove(place),
        None => User { found: Settled::new(certified.first()), certified },
    };
    with_files.map(user).collect()
}

fn is_same(one: &Arc<dyn Certified>, other: &Arc<dyn Certified>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

fn paths(users: &[User]) -> Vec<PathBuf> {
    users.iter().flat_map(|user| user.certified.paths()).map(Path::to_path_buf).collect()
}

impl User {
    async fn look(&mut self, told: bool, metrics: &Metrics) {
        let certified = Arc::clone(&self.certified);
        let Ok(read) = apart(move || Snapshot::of(&certified.paths())).await else { return };
        if self.found.look(read.hash(), told).is_none() {
            return;
        }
        let certified = Arc::clone(&self.certified);
        let renewed = apart(move || certified.renew(&read)).await.and_then(|renewed| renewed.map_err(Into::into));
        metrics.count_certificate_reload(renewed.is_ok());
        let of = self.certified.name();
        match renewed {
            Ok(()) => tracing::info!(of, "new certificates are in use"),
            Err(error) => {
                tracing::error!(of, error = %Causes(&*error), "the new certificates are not used; the old ones stay");
            }
        }
    }
}
