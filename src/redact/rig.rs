//! What tests share.

use super::{Plan, Policy};
use crate::rule::Ruleset;
use crate::scan::Engine;
use std::sync::{Arc, LazyLock};

/// The built-in rules with the usual labels, compiled once for all tests.
pub(crate) static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let ruleset = Arc::new(Ruleset::builtin().unwrap());
    Arc::new(Plan::new(Arc::new(Engine::compile(ruleset).unwrap()), &Policy::default()))
});
