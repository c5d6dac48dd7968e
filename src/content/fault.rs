//! Faults on demand, for tests of what happens then: in no other build.

use crate::redact::RedactError;

/// Text that the engine fails at.
pub(crate) const ENGINE: &[u8] = b"<<the engine fails here>>";
/// Text at which there is a bug.
pub(crate) const BUG: &[u8] = b"<<a bug panics here>>";

/// Fails, or panics, when the chunk says so.
pub(super) fn strike(chunk: &[u8]) -> Result<(), RedactError> {
    let holds = |fault| memchr::memmem::find(chunk, fault).is_some();
    assert!(!holds(BUG), "a bug");
    if holds(ENGINE) { Err(RedactError::Engine) } else { Ok(()) }
}
