//! An error as people read it.

use std::error::Error;
use std::fmt;

/// Shows an error and its causes on one line.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Step(&'static str, #[source] Option<Box<Step>>);

    #[test]
    fn causes_stand_behind_the_error_that_they_led_to() {
        let cause = Step("the disk is on fire", None);
        assert_eq!(Causes(&cause).to_string(), "the disk is on fire");
        let error = Step("cannot start", Some(Step("cannot read", Some(cause.into())).into()));
        assert_eq!(Causes(&error).to_string(), "cannot start: cannot read: the disk is on fire");
    }
}
