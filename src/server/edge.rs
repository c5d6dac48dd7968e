//! What connections of clients are held to: a connection keeps what it began with.

use super::tls::Tls;
use super::{ServerError, listener_tls};
use crate::config::{Config, ListenerTls, Timeouts};
use crate::metrics::Metrics;
use std::sync::Arc;

/// For those that begin with one configuration.
pub(super) struct Edge {
    /// Unless clients are served in plain text.
    pub(super) tls: Option<Arc<Tls>>,
    files: Option<ListenerTls>,
    pub(super) timeouts: Timeouts,
    /// At a time, all in all.
    pub(super) max_connections: usize,
    pub(super) max_head: usize,
}

impl Edge {
    /// With the TLS of the one `before`, where it is of the same files.
    pub(super) fn new(config: &Config, metrics: &Arc<Metrics>, before: Option<&Self>) -> Result<Self, ServerError> {
        let same = before.filter(|before| before.files == config.listener_tls);
        let tls = match same {
            Some(same) => same.tls.clone(),
            None => listener_tls(config, metrics)?,
        };
        Ok(Self {
            tls,
            files: config.listener_tls.clone(),
            timeouts: config.timeouts.clone(),
            max_connections: usize::try_from(config.limits.connections).unwrap_or(usize::MAX),
            max_head: usize::try_from(config.limits.head).unwrap_or(usize::MAX),
        })
    }
}
