//! What is told of a panic: where, never with which values.

use crate::metrics::Metrics;
use std::panic::PanicHookInfo;
use std::sync::Arc;

/// Replaces the standard hook, which prints the panic's message: it may hold
/// what was in a slice or a map.
pub fn install_panic_hook(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        metrics.panics.inc();
        let place = info.location();
        tracing::error!(
            file = place.map(std::panic::Location::file),
            line = place.map(std::panic::Location::line),
            "panic"
        );
    }));
}
