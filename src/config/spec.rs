//! The keys of the configuration, in one table: variables are read by it, and
//! the JSON Schema of `expurgate schema config` is written from it.

use super::types::{LogFormat, LogLevel};
use crate::content::Level;
use crate::rule::Profile;

/// What may be written as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text; a path, for one.
    Text,
    /// Looks like this.
    Spelled(&'static str),
    /// An IP address and a port.
    Address,
    /// `256KiB`
    Size,
    /// `30s`
    Period,
    /// A whole number of at least so much.
    Integer(u32),
    /// From 64 to 256, by eights.
    Bits,
    Boolean,
    /// In variables separated by commas.
    List,
    Profile,
    Level,
    LogLevel,
    LogFormat,
    /// Paths by name; in variables with `=` between, separated by commas.
    Table,
    /// A name, or a table.
    Action,
}

/// Every key outside of routes: section, with a point for one in another, key, what
/// may be written, meaning.
pub(super) const KEYS: &[(&str, &str, Kind, &str)] = &[
    ("listener", "address", Kind::Address, "where clients connect"),
    ("listener.tls", "cert", Kind::Text, "file of the certificate (PEM), with those between it and its authority"),
    ("listener.tls", "key", Kind::Text, "file of the certificate's private key (PEM)"),
    ("listener.tls", "client_ca", Kind::Text, "file of the certificates (PEM) of which clients must have one"),
    ("admin", "address", Kind::Address, "where probes and Prometheus connect"),
    ("rules", "builtin", Kind::Boolean, "whether the built-in rules are used"),
    ("rules", "paths", Kind::List, "rule files, or directories of them"),
    ("rules", "profile", Kind::Profile, "which rules are enabled"),
    ("protocols", "paths", Kind::List, "files of protocol packs, or directories of them"),
    ("hash", "active", Kind::Text, "the key of new pseudonyms"),
    ("hash", "bits", Kind::Bits, "bits of the hash that are written"),
    ("hash", "keys", Kind::Table, "files of keys by name"),
    ("log", "level", Kind::LogLevel, "how much is logged"),
    ("log", "format", Kind::LogFormat, "for people, or one object per line"),
    ("limits", "buffer_limit", Kind::Size, "bodies up to this size are redacted before the upstream is called"),
    ("limits", "max_head", Kind::Size, "request line and headers"),
    ("limits", "max_body", Kind::Size, "a body on the wire"),
    ("limits", "max_decoded", Kind::Size, "a body after decompression"),
    ("limits", "max_ratio", Kind::Integer(1), "decoded bytes per encoded byte"),
    ("limits", "max_requests", Kind::Integer(1), "requests at a time"),
    ("limits", "max_connections", Kind::Integer(1), "client connections at a time"),
    ("limits", "max_buffered", Kind::Size, "bytes of buffered bodies at a time"),
    ("compression", "level", Kind::Level, "how much time is spent to compress again what changed"),
    ("timeouts", "head", Kind::Period, "from the first byte of a request to the end of its head"),
    ("timeouts", "keep_alive", Kind::Period, "between two requests on a client's connection"),
    ("timeouts", "body_idle", Kind::Period, "between two pieces of a request's body"),
    ("timeouts", "buffer_wait", Kind::Period, "for room in `limits.max_buffered`, before a request is shed"),
    ("timeouts", "small_body", Kind::Period, "all of a body that is redacted before the upstream is called"),
    ("timeouts", "request", Kind::Period, "the whole exchange"),
    ("timeouts", "connect", Kind::Period, "name resolution, TCP and TLS to the upstream"),
    ("timeouts", "response_head", Kind::Period, "from the request's last progress to the response's head"),
    ("timeouts", "response_idle", Kind::Period, "between two pieces of the response's body"),
    ("timeouts", "client_write", Kind::Period, "a client that does not read its response"),
    ("timeouts", "client_rate", Kind::Size, "bytes a second that a client sends or takes while it is waited for"),
    ("timeouts", "upstream_keep_alive", Kind::Period, "an unused connection to the upstream"),
    ("timeouts", "upstream_max_age", Kind::Period, "how long a connection to the upstream takes requests"),
    ("timeouts", "drain", Kind::Period, "for requests in flight when the process is told to stop"),
    ("timeouts", "drain_grace", Kind::Period, "how much of that connections are still accepted"),
];

/// The name of a protocol pack.
pub(super) const PACK: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

/// Every key of a route: where it stands, what may be written, meaning.
pub(super) const ROUTE_KEYS: &[(&[&str], Kind, &str)] = &[
    (&["name"], Kind::Text, "unique; a label of metrics"),
    (&["path"], Kind::Spelled("^/"), "prefix of the path, whole segments"),
    (&["host"], Kind::Text, "the request's host, without port"),
    (&["upstream"], Kind::Spelled("^https?://"), "where requests go"),
    (&["protocol"], Kind::Spelled(PACK), "what the upstream speaks: the name of a protocol pack, or auto"),
    (&["pass"], Kind::List, "media types that pass unscanned, of bodies and of their parts"),
    (&["headers"], Kind::List, "headers that are redacted"),
    (&["query"], Kind::Boolean, "whether the query string is redacted"),
    (&["responses"], Kind::Boolean, "whether responses are redacted, too"),
    (&["http2"], Kind::Boolean, "whether the upstream is asked over HTTP/2"),
    (&["upgrades"], Kind::List, "protocols that clients may upgrade to, unredacted"),
    (&["query_allow"], Kind::List, "parameters of the query by which the upstream knows its client"),
    (&["breaker", "failures"], Kind::Integer(1), "failures of the upstream in a row after which it is left alone"),
    (&["breaker", "pause"], Kind::Period, "how long it is left alone"),
    (&["tls", "ca"], Kind::Text, "file of the certificates (PEM) that are trusted"),
    (&["tls", "cert"], Kind::Text, "file of the certificate (PEM) by which the upstream knows us"),
    (&["tls", "key"], Kind::Text, "file of its private key (PEM)"),
];

/// The keys of a route's policy, besides entities.
pub(super) const POLICY_KEYS: &[(&str, &str)] = &[
    ("default", "what is done with findings"),
    ("pii", "the same for personal data"),
    ("credential", "the same for credentials"),
];

/// The names that a kind is limited to.
pub(super) fn names(kind: Kind) -> Option<Vec<&'static str>> {
    match kind {
        Kind::Profile => Some(Profile::ALL.iter().map(|profile| profile.name()).collect()),
        Kind::Level => Some(Level::ALL.map(Level::name).to_vec()),
        Kind::LogLevel => Some(LogLevel::NAMES.to_vec()),
        Kind::LogFormat => Some(LogFormat::NAMES.to_vec()),
        _ => None,
    }
}
