//! Log lines on standard error.

use crate::config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging. Whatever the level, libraries log at `info` at most: below
/// that, hyper and rustls may log what passes through them.
pub(super) fn start(log: Log) {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter(log.level));
    match log.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
}

fn filter(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(own.min(LevelFilter::INFO)).with_target("expurgate", own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_never_log_more_than_info() {
        let filter = filter(LogLevel::Trace);
        assert!(filter.would_enable("expurgate::proxy", &Level::TRACE));
        assert!(filter.would_enable("hyper", &Level::INFO));
        for library in ["hyper::proto", "rustls::conn", "tokio", "log"] {
            assert!(!filter.would_enable(library, &Level::DEBUG), "{library}");
        }
    }

    #[test]
    fn a_lower_level_lowers_libraries_too() {
        let filter = filter(LogLevel::Error);
        assert!(!filter.would_enable("hyper", &Level::WARN));
    }
}
