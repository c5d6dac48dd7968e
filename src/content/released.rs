//! Bytes that may leave. What goes upstream is made of these alone, and nothing but
//! what follows makes some: so whoever forwards an original by mistake, on the way out
//! of an error say, is told by the compiler.
//!
//! - a [`Pipeline`] that was given the body and has released them;
//! - the body itself with an [`Unchanged`], which a pipeline gives that was given all of
//!   it, met no error, and would change nothing;
//! - the body itself with a [`Passes`], which says that a list of media types that may
//!   pass unscanned names its own.
//!
//! [`Pipeline`]: super::Pipeline

use super::media::ContentType;
use crate::coding::{CodingError, Encoder, Level, WireFormat};
use bytes::{Bytes, BytesMut};

/// Pieces shorter than this are copied together where they follow each other:
/// where findings are dense, keeping each would cost more than its bytes.
const SMALL: usize = 512;

/// What a kept piece costs besides its bytes.
const PIECE: u64 = size_of::<Bytes>() as u64;

/// Pieces of a body that may leave, in their order.
///
/// ```compile_fail,E0423
/// expurgate::content::Released(vec![bytes::Bytes::from_static(b"bob@example.com")]);
/// ```
/// ```compile_fail,E0277
/// let original = bytes::Bytes::from_static(b"bob@example.com");
/// let _ = expurgate::content::Released::from(original);
/// ```
#[derive(Debug, Default)]
pub struct Released(Vec<Bytes>);

/// Says that all of a body was looked at, and that nothing in it changes.
///
/// ```compile_fail,E0423
/// expurgate::content::Unchanged(());
/// ```
#[derive(Debug)]
pub struct Unchanged(pub(super) ());

/// Says that a body need not be looked at: its media type is among those that may pass.
///
/// ```compile_fail,E0423
/// expurgate::content::Passes(());
/// ```
#[derive(Debug)]
pub struct Passes(());

impl Passes {
    /// If `pass` names the media type of `content`.
    pub fn of(content: &ContentType, pass: &[String]) -> Option<Self> {
        pass.contains(&content.essence).then_some(Self(()))
    }
}

impl Released {
    /// A body that leaves as it came.
    pub fn original(wire: Vec<Bytes>, _: Unchanged) -> Self {
        Self(wire)
    }

    /// Adds the next bytes of a body that passes.
    pub fn pass(&mut self, wire: Bytes, _: &Passes) {
        self.0.push(wire);
    }

    /// For what stands behind the redactor.
    pub(super) fn pieces(&mut self) -> &mut Vec<Bytes> {
        &mut self.0
    }

    /// Adds all of `more`, and leaves it empty.
    pub fn append(&mut self, more: &mut Self) {
        self.0.append(&mut more.0);
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes them out.
    pub fn drain(&mut self) -> impl Iterator<Item = Bytes> + '_ {
        self.0.drain(..)
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    /// Each piece by itself.
    pub fn split(self) -> impl Iterator<Item = Self> {
        self.0.into_iter().map(|piece| Self(vec![piece]))
    }

    /// As pieces.
    pub fn as_slice(&self) -> &[Bytes] {
        &self.0
    }

    /// Whether there are no pieces.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes they are.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }

    /// All bytes in one piece.
    pub fn concat(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Makes one piece of each run of small ones, and drops empty ones. How much
    /// memory the pieces take that their original, in one piece, does not: copies,
    /// and what each costs by itself.
    pub fn join_small(&mut self) -> u64 {
        let (mut joined, mut copied) = (Vec::with_capacity(self.0.len().min(16)), 0);
        let is_small = |piece: &Bytes| piece.len() < SMALL;
        for run in self.0.chunk_by(|one, next| is_small(one) && is_small(next)) {
            match run {
                [piece] if piece.is_empty() => {}
                [piece] => joined.push(piece.clone()),
                run => {
                    let length = run.iter().map(Bytes::len).sum();
                    let mut one = BytesMut::with_capacity(length);
                    run.iter().for_each(|piece| one.extend_from_slice(piece));
                    copied += length as u64;
                    if length > 0 {
                        joined.push(one.freeze());
                    }
                }
            }
        }
        self.0 = joined;
        copied + self.0.len().saturating_sub(1) as u64 * PIECE
    }
}

/// Encodes what is released, as the body was encoded that it is of.
pub struct Encoding {
    encoder: Encoder,
    encoded: Released,
}

impl Encoding {
    /// For so many bytes, if that is known.
    ///
    /// # Errors
    /// When the encoder cannot be made.
    pub fn new(form: WireFormat, level: Level, length: Option<u64>) -> Result<Self, CodingError> {
        Ok(Self { encoder: Encoder::new(form, level, length)?, encoded: Released::default() })
    }

    /// Memory that the encoder takes, in bytes.
    pub fn memory(&self) -> u64 {
        self.encoder.memory()
    }

    /// Takes all pieces out of `released`.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn add(&mut self, released: &mut Released) -> Result<(), CodingError> {
        released.drain().try_for_each(|piece| self.encoder.push(&piece, self.encoded.pieces()))
    }

    /// All of it.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn finish(mut self) -> Result<Released, CodingError> {
        self.encoder.finish(self.encoded.pieces())?;
        Ok(self.encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_small_pieces_become_one_and_cost_what_they_take() {
        let large = Bytes::from(vec![b'x'; SMALL]);
        let small = Bytes::from_static(b"[EMAIL_ADDRESS]");
        let mut pieces =
            Released(vec![small.clone(), Bytes::new(), large.clone(), small.clone(), small.clone(), large.clone()]);
        let before = pieces.concat();
        let cost = pieces.join_small();
        assert_eq!(pieces.concat(), before);
        let lengths: Vec<usize> = pieces.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [15, SMALL, 30, SMALL]);
        assert_eq!(cost, 15 + 30 + 3 * PIECE);
        let mut nothing = Released(vec![Bytes::new(), Bytes::new()]);
        assert_eq!((nothing.join_small(), nothing.is_empty()), (0, true));
    }

    #[test]
    fn only_what_a_list_names_passes() {
        let listed = [String::from("image/png")];
        let passes = |kind: &[u8]| Passes::of(&ContentType::parse(Some(kind)), &listed).is_some();
        assert!(passes(b"image/png"));
        assert!(!passes(b"image/jpeg"));
        assert!(!passes(b"text/plain"));
    }
}
