//! Pure checks of candidate values, one per file.

/// A check that a rule file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validator {
    /// Luhn's check digit.
    Luhn,
}
