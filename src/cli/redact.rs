//! `expurgate redact`: files or standard input to standard output.

use super::coding::{Coding, Encoder};
use super::input::{InputArgs, InputError, Sink};
use super::{CliError, Exit};
use crate::redact::{Format, Plan, Redactor};
use bytes::Bytes;
use std::io::Write;
use std::sync::Arc;

/// Redact files or standard input to standard output.
///
/// The same engine as the proxy's, streaming in constant memory. What came
/// compressed with gzip or zstd goes out compressed with the same.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
}

/// Redacts all inputs.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let setup = args.input.setup_with_actions()?;
    let mut output = Output {
        plan: setup.plan(),
        redactor: None,
        encoder: Encoder::Plain,
        ready: Vec::new(),
        out: std::io::stdout(),
    };
    args.input.feed(&mut output)?;
    Ok(Exit::Clean)
}

/// Standard output behind a redactor and an encoder.
struct Output<W> {
    plan: Arc<Plan>,
    redactor: Option<Redactor>,
    encoder: Encoder,
    /// Redacted text.
    ready: Vec<Bytes>,
    out: W,
}

impl<W: Write> Output<W> {
    fn write(&mut self) -> Result<(), InputError> {
        let mut encoded = Vec::new();
        for piece in self.ready.drain(..) {
            self.encoder.push(piece, &mut encoded)?;
        }
        write_all(&mut self.out, &encoded)
    }
}

impl<W: Write> Sink for Output<W> {
    fn begin(&mut self, _: &str, format: Format, coding: Coding) -> Result<(), InputError> {
        self.redactor = Some(Redactor::new(&self.plan, format));
        self.encoder = Encoder::new(coding)?;
        Ok(())
    }

    fn push(&mut self, text: Bytes) -> Result<(), InputError> {
        if let Some(redactor) = &mut self.redactor {
            redactor.push(text, &mut self.ready)?;
        }
        self.write()
    }

    fn finish(&mut self) -> Result<(), InputError> {
        if let Some(redactor) = &mut self.redactor {
            redactor.finish(&mut self.ready)?;
        }
        self.write()?;
        let mut encoded = Vec::new();
        std::mem::replace(&mut self.encoder, Encoder::Plain).finish(&mut encoded)?;
        write_all(&mut self.out, &encoded)?;
        Ok(self.out.flush()?)
    }
}

fn write_all(out: &mut impl Write, pieces: &[Bytes]) -> Result<(), InputError> {
    pieces.iter().try_for_each(|piece| out.write_all(piece))?;
    Ok(())
}
