//! Bytes to findings, across chunk borders.
//!
//! One pass over the raw bytes finds *candidates*: the literals of all rules
//! in one Hyperscan database, and the shapes of [`shape`] by bit masks. Each
//! candidate is confirmed where it stands, on the text that the bytes mean
//! ([`unit`]), looking at a bounded stretch around it:
//!
//! ```text
//!          LOOKBACK            LOOKAHEAD
//! |<--------------------|------------------------->|
//!                    trigger
//! ```
//!
//! A match never crosses a *fence* (see [`shape`]). So a candidate can be
//! judged as soon as a fence or LOOKAHEAD bytes behind it have arrived, and
//! the judgement does not depend on how the bytes were cut. What is longer
//! than LOOKAHEAD is a *region*: its head is judged, the rest is swallowed as
//! it streams by.
//!
//! [`naive`] finds the same the slow way; the properties hold us to it.

mod address;
mod again;
mod around;
mod base64;
mod check;
mod closer;
mod delimiter;
pub mod detector;
pub(crate) mod embedded;
mod engine;
mod finding;
mod fold;
mod follow;
mod horizon;
mod key;
mod labels;
mod late;
mod lexer;
mod line;
mod literal;
pub mod meter;
mod mode;
pub mod naive;
mod nearby;
mod number;
pub(crate) mod packed;
mod path;
mod pattern;
mod place;
mod protect;
mod region;
mod resolve;
mod roots;
mod scanner;
mod shape;
mod token;
mod trail;
mod trigger;
pub(crate) mod typed;
mod unit;
mod walk;
mod window;
mod workspace;
mod written;
pub(crate) mod zipped;

pub use base64::Encoding;
pub use check::{Checks, Traced, Verdict};
pub use engine::{CompileError, Engine};
pub use finding::{Finding, Opened, Part, ScanError};
pub use lexer::{Lexer, Mark};
pub use protect::Protections;
pub use resolve::Wrap;
pub use scanner::Scanner;
pub(crate) use unit::{LONGEST_RUN, unit};
pub use written::{FEWEST_MASKED, Written};

use crate::rule::Detector;
use shape::Kinds;

/// How the bytes of a body are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON document, or several concatenated.
    #[default]
    Json,
    /// One JSON document per line.
    Ndjson,
    /// Anything else: scanned as UTF-8 text.
    Text,
}

/// Raw bytes before a trigger in which its match may begin.
pub const LOOKBACK: usize = 4096;

/// Raw bytes from the start of a match in which it is judged.
pub const LOOKAHEAD: usize = 8192;

/// What `raw`, which begins with a whole character, means with the escapes of
/// every level decoded.
pub fn meaning(raw: &[u8]) -> Vec<u8> {
    let mut window = window::Window::default();
    window.decode(raw, 0..raw.len());
    window.text().to_vec()
}

/// The shapes that hint at what a detector looks for.
fn detector_kinds(detector: Detector) -> Kinds {
    match detector {
        Detector::Email => shape::AT,
        Detector::PhoneInternational => shape::PLUS | shape::RUN,
        Detector::PhoneNanp => shape::NANP,
        Detector::PhoneNational => shape::NATIONAL,
        Detector::Card => shape::CARD,
        Detector::Iban => shape::IBAN,
        Detector::UsSsn => shape::SSN,
        Detector::IpAddress => shape::IP,
        Detector::MacAddress => shape::MAC,
        Detector::PrivateKey => 0,
    }
}
