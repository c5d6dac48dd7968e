//! An error as people read it.

use std::error::Error;
use std::fmt;

/// Shows an error and its causes on one line. Of an error of HTTP/2 only the
/// reason: what else its peer wrote beside that may be anything.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_one(self.0, f)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            f.write_str(": ")?;
            write_one(error, f)?;
            cause = error.source();
        }
        Ok(())
    }
}

fn write_one(error: &(dyn Error + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error.downcast_ref::<h2::Error>().and_then(h2::Error::reason) {
        Some(reason) => write!(f, "HTTP/2 error: {reason}"),
        None => write!(f, "{error}"),
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

    #[tokio::test]
    async fn what_a_peer_says_of_its_reason_is_not_shown() {
        use tokio::io::AsyncWriteExt;
        let (near, mut far) = tokio::io::duplex(1024);
        // An empty SETTINGS, and a GOAWAY with the last stream, PROTOCOL_ERROR and
        // words of its own (RFC 9113, sections 6.5 and 6.8).
        let words = b"bob@example.com";
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let length = u8::try_from(8 + words.len()).unwrap();
        let head = [0, 0, length, 7, 0, 0, 0, 0, 0];
        far.write_all(&[&settings[..], &head, &[0, 0, 0, 0, 0, 0, 0, 1], words].concat()).await.unwrap();
        let (_requests, connection) = h2::client::handshake(near).await.unwrap();
        let error = connection.await.unwrap_err();
        assert!(error.to_string().contains("bob"), "{error}");
        let shown = Causes(&error).to_string();
        assert!(shown.starts_with("HTTP/2 error: ") && !shown.contains("bob"), "{shown}");
    }
}
