//! What stands in the place of a finding.

use super::mask::Masking;
use super::policy::{Action, Treatment};
use super::pseudonym::Hashing;
use crate::rule::Rule;
use crate::scan::{Encoding, Finding, Wrap};
use bytes::{BufMut, Bytes, BytesMut};

/// What is written for the findings of one rule.
pub(super) struct Writing {
    treatment: Treatment,
    entity: String,
    /// What is always the same: the label, or nothing.
    label: Bytes,
}

impl Writing {
    pub(super) fn new(treatment: Treatment, rule: &Rule) -> Self {
        let label = match &treatment {
            Treatment::Replace(template) => template.render(rule),
            _ => Bytes::new(),
        };
        Self { treatment, entity: rule.entity.clone(), label }
    }

    pub(super) fn action(&self) -> Action {
        self.treatment.action()
    }

    pub(super) fn treatment(&self) -> &Treatment {
        &self.treatment
    }

    /// Begins to write what stands in the place of `finding`.
    pub(super) fn begin(&self, finding: &Finding, out: &mut Vec<Bytes>) -> Replacement {
        let wrap = finding.wrap;
        let text = match &self.treatment {
            Treatment::Mask(mask) if wrap == Wrap::Plain => Text::Mask(Masking::new(*mask)),
            Treatment::Mask(mask) => Text::Number(*mask),
            Treatment::Hash(pseudonym) => Text::Hash(Box::new(pseudonym.begin(&self.entity))),
            Treatment::Replace(_) | Treatment::Remove => {
                let label = wrapped(self.label.clone(), wrap);
                if !label.is_empty() {
                    out.push(label);
                }
                Text::Written
            }
            Treatment::Block | Treatment::Report => Text::Written,
        };
        Replacement { wrap, text }
    }
}

/// What is being written in the place of a finding, which may come in pieces.
pub(super) struct Replacement {
    wrap: Wrap,
    text: Text,
}

enum Text {
    /// All of it.
    Written,
    Mask(Masking),
    /// A number comes in one piece.
    Number(super::Mask),
    Hash(Box<Hashing>),
}

impl Replacement {
    /// Takes the next piece of what was found.
    pub(super) fn push(&mut self, raw: &[u8], out: &mut Vec<Bytes>) {
        match &mut self.text {
            Text::Written => {}
            Text::Mask(masking) => masking.push(raw, out),
            Text::Number(mask) => out.push(mask.of_number(raw, self.wrap)),
            Text::Hash(hashing) => hashing.push(raw),
        }
    }

    /// What was found has ended.
    pub(super) fn finish(self, out: &mut Vec<Bytes>) {
        match self.text {
            Text::Written | Text::Number(_) => {}
            Text::Mask(masking) => masking.finish(out),
            Text::Hash(hashing) => out.push(wrapped(hashing.finish().into(), self.wrap)),
        }
    }
}

/// `label`, written so that the document around it stays valid.
pub(super) fn wrapped(label: Bytes, wrap: Wrap) -> Bytes {
    match wrap {
        // A text in base64 is written by `Plan::encoded`, from findings of its own.
        Wrap::Plain | Wrap::Base64 => label,
        Wrap::Zero => Bytes::from_static(b"0"),
        // Labels are written alike in both alphabets.
        Wrap::Encoded => Encoding::read(b"Kg==").1.write(&label).into(),
        Wrap::Apostrophes => [b"'", &label[..], b"'"].concat().into(),
        Wrap::Quoted(level) => {
            let escapes = (1_usize << level.min(10)) - 1;
            let mut quoted = BytesMut::with_capacity(label.len() + 2 * (escapes + 1));
            for part in [&b""[..], &label] {
                quoted.put(part);
                quoted.put_bytes(b'\\', escapes);
                quoted.put_u8(b'"');
            }
            quoted.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_written_for_their_level() {
        let label = Bytes::from_static(b"[PIN]");
        assert_eq!(wrapped(label.clone(), Wrap::Plain), "[PIN]");
        assert_eq!(wrapped(label.clone(), Wrap::Quoted(0)), r#""[PIN]""#);
        assert_eq!(wrapped(label.clone(), Wrap::Quoted(2)), r#"\\\"[PIN]\\\""#);
        assert_eq!(wrapped(label.clone(), Wrap::Apostrophes), "'[PIN]'");
        assert_eq!(wrapped(label.clone(), Wrap::Encoded), "W1BJTl0=");
        assert_eq!(wrapped(label, Wrap::Zero), "0");
    }
}
