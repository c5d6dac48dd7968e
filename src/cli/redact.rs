//! `expurgate redact`: files or standard input to standard output.

use super::input::{InputArgs, InputError, Sink};
use super::{CliError, Exit};
use crate::content::{Encoder, Level, WireFormat};
use crate::redact::{Format, Plan, Redactor};
use bytes::Bytes;
use std::io::Write;
use std::sync::Arc;

/// Redact files or standard input to standard output.
///
/// The same engine as the proxy's, streaming in constant memory. What came
/// compressed with gzip, deflate, zstd or br goes out compressed with the same.
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
        level: setup.level,
        encoder: None,
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
    level: Level,
    encoder: Option<Encoder>,
    /// Redacted text.
    ready: Vec<Bytes>,
    out: W,
}

impl<W: Write> Output<W> {
    fn write(&mut self) -> Result<(), InputError> {
        let Some(encoder) = &mut self.encoder else {
            write_all(&mut self.out, &self.ready)?;
            self.ready.clear();
            return Ok(());
        };
        let mut encoded = Vec::new();
        for piece in self.ready.drain(..) {
            encoder.push(&piece, &mut encoded)?;
        }
        write_all(&mut self.out, &encoded)
    }
}

impl<W: Write> Sink for Output<W> {
    fn begin(&mut self, _: &str, format: Format, form: Option<WireFormat>) -> Result<(), InputError> {
        self.redactor = Some(Redactor::new(&self.plan, format));
        self.encoder = form.map(|form| Encoder::new(form, self.level, None)).transpose()?;
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
        if let Some(encoder) = self.encoder.take() {
            let mut encoded = Vec::new();
            encoder.finish(&mut encoded)?;
            write_all(&mut self.out, &encoded)?;
        }
        Ok(self.out.flush()?)
    }
}

fn write_all(out: &mut impl Write, pieces: &[Bytes]) -> Result<(), InputError> {
    pieces.iter().try_for_each(|piece| out.write_all(piece))?;
    Ok(())
}
