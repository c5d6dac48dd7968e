//! Media types and content codings: what stands between the bytes on the wire
//! and the [`crate::redact::Redactor`].
//!
//! Sans-IO like the layers below. [`Pipeline`] is the whole way of one body:
//! decode the coding, look at the first bytes, redact, encode again.

mod body;
mod coded;
mod columns;
mod envelope;
#[cfg(test)]
pub(crate) mod fault;
mod form;
mod grpc;
mod insert;
mod judge;
mod locate;
mod media;
mod msgpack;
mod multipart;
mod original;
mod output;
mod parameter;
mod part;
mod pipeline;
mod projection;
mod protobuf;
mod recording;
mod released;
mod rows;
mod snappy;
pub mod sniff;
mod spelling;
mod sse;
mod statement;
mod table;
mod text;
mod tree;
mod utf8;
mod values;

pub use crate::coding::{
    Coding, CodingError, CodingLimits, Decoder, Encoder, Level, SLICE, UnsupportedCoding, WireFormat,
};
pub use body::{BodyFormat, PartRules};
pub use grpc::{Messages, Payload};
pub use judge::judge_packs;
pub use locate::{Located, Locator};
pub use media::{ContentType, Media};
pub use pipeline::{ContentError, Delivery, Pipeline};
pub use protobuf::Message;
pub use released::{Encoding, Passes, Released, Unchanged};
pub use statement::named_type;
pub use utf8::{NotUtf8, Utf8Check};
