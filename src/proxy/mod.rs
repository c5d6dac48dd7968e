//! The proxy: one request in, one redacted request out, its response back.
//!
//! The first layer with sockets. [`Proxy::handle`] is the life of a request;
//! the only bodies that can be written to an upstream are those of `body`,
//! and the only place where a failure becomes a status is `respond`.

mod admission;
mod body;
mod budget;
mod certificate;
mod digest;
mod exchange;
mod fields;
mod grpc;
mod headers;
mod idle;
mod lasting;
mod path;
mod query;
mod reader;
mod relay;
mod request_id;
mod respond;
mod response;
mod route;
mod service;
mod signature;
mod text;
mod tunnel;
mod upload;
mod upstream;

#[cfg(test)]
mod tests;

pub use body::RedactedBody;
pub use certificate::{Certified, Snapshot, TlsError, not_after, provider, read_pair, read_roots};
pub use exchange::InProgress;
pub use idle::{IdleTimer, Pace, Timer};
pub use reader::Reader;
pub use relay::ResponseBody;
pub use respond::{Failure, LacksTls, UnreadBody};
pub use service::Proxy;
pub use tunnel::Tunnel;
pub use upstream::UpstreamError;
