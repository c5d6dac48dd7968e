//! Kubernetes manifests, and the sidecar in them: text to text, without I/O.
//!
//! A [`Stream`] is read into [`Node`]s, which keep whatever a reader could see. The
//! [`Injector`] changes the templates of pods, and notes in an annotation what was
//! there before, so that injecting twice is injecting once, and [`uninject`] gives the
//! original back.

mod admission;
mod endpoint;
mod foreign;
mod inject;
mod json;
mod kind;
mod knob;
mod node;
mod patch;
mod secret;
mod sidecar;
mod state;
mod stream;
mod verify;
mod workload;
mod yaml;

pub use admission::review;
pub use inject::{Injector, Outcome};
pub use json::{read_json, write_json};
pub use kind::{Named, each_document};
pub use knob::{KNOBS, Knob, LABEL, PREFIX, RULES, STATE, Settings};
pub use node::{Map, Node, Scalar};
pub use state::SIDECAR;
pub use stream::{Document, Stream};
pub use verify::{NAMESPACE_LABEL, Problem, Scope, Verdict, verify};
pub use workload::{Changed, ManifestError, inject, uninject};
pub use yaml::{Wrong, read_yaml, write_yaml};
