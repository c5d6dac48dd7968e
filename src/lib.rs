//! Expurgate: a streaming PII-redaction reverse proxy.
//!
//! The layers, from the bottom up; a module imports only from those above it
//! in this list (`tests/it/tidy.rs` holds us to it):
//!
//! - [`span`]: byte ranges, and bytes that must never be printed.
//! - [`hyperscan`], [`simd`]: the only modules with `unsafe`.
//! - [`validator`]: pure checks of candidate values, one per file.
//! - [`rule`]: rule files and the built-in packs.
//! - [`scan`]: bytes to findings, across chunk borders.
//! - [`coding`]: content codings, undone and done again.
//! - [`redact`]: the sans-IO [`redact::Redactor`]: `push`, then `finish`.
//! - [`content`]: media types: a body's way through the redactor.
//! - [`metrics`]: every metric in one table.
//! - [`config`]: one configuration from file, environment and flags.
//! - [`manifest`]: Kubernetes manifests, and the sidecar in them.
//! - [`proxy`]: the first layer with sockets: routes, bodies, upstreams.
//! - [`server`]: accept, admin, drain.
//! - [`cli`]: the commands.
//!
//! `docs/architecture.md` has the drawing and the life of a request.

mod causes;
pub mod cli;
pub mod coding;
pub mod config;
pub mod content;
pub mod hyperscan;
pub mod manifest;
pub mod metrics;
pub mod proxy;
pub mod redact;
pub mod rule;
pub mod scan;
pub mod server;
pub mod simd;
pub mod span;
pub mod validator;
