//! What a route's protocol pack protects: see [`protect`](super::super::protect).

use super::super::meter::Meter;
use super::super::protect::Protections;
use super::Scanner;
use std::sync::Arc;

impl<M: Meter> Scanner<M> {
    /// From now on what these protect stays. To be called before the first byte.
    pub fn set_protections(&mut self, protections: Option<&Arc<Protections>>) {
        self.checks.set_protections(protections, self.format);
    }
}
