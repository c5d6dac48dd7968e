//! The integration tests: one binary, so that it links once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy.toml knows test functions only, not what they call"
)]

mod cli;
mod cli_rules;
mod cli_setup;
mod codings;
mod docs;
mod equality;
mod grpc_rig;
mod listener_tls;
mod manifests;
mod mounted;
mod protocols;
mod proxy_admin;
mod proxy_bodies;
mod proxy_client;
mod proxy_codings;
mod proxy_drain;
mod proxy_early;
mod proxy_failures;
mod proxy_findings;
mod proxy_formats;
mod proxy_grpc;
mod proxy_gzip;
mod proxy_headers;
mod proxy_http2;
mod proxy_limits;
mod proxy_parts;
mod proxy_pool;
mod proxy_reconfigure;
mod proxy_refusals;
mod proxy_reload;
mod proxy_responses;
mod proxy_rig;
mod proxy_signed;
mod proxy_sink;
mod proxy_tls;
mod proxy_upgrades;
mod proxy_upstream_http2;
mod redactor;
mod redactor_actions;
mod redactor_base64;
mod redactor_corpus;
mod redactor_folded;
mod redactor_levels;
mod redactor_long;
mod redactor_paths;
mod redactor_rig;
mod redactor_text;
mod redactor_tree;
mod rule_files;
mod tidy;
mod tls_rig;
mod walkthrough;
