//! `expurgate redact`: files or standard input to standard output.

use super::input::{InputArgs, InputError, Sink};
use super::{CliError, Exit};
use crate::content::{
    Coding, CodingLimits, ContentError, ContentType, Delivery, Encoder, Level, PartRules, Pipeline, Released,
    WireFormat,
};
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
        parts: setup.parts,
        body: None,
        level: setup.level,
        encoder: None,
        ready: Vec::new(),
        out: std::io::stdout(),
    };
    args.input.feed(&mut output)?;
    Ok(Exit::Clean)
}

/// What redacts one input.
enum Body {
    /// One text.
    Plain(Box<Redactor>),
    /// A body as it would be sent.
    Framed(Box<Pipeline>),
}

impl Body {
    fn push(&mut self, text: Bytes, ready: &mut Vec<Bytes>) -> Result<(), InputError> {
        match self {
            Self::Plain(redactor) => Ok(redactor.push(text, ready)?),
            Self::Framed(pipeline) => framed(ready, |out| pipeline.push(text, out)),
        }
    }

    fn finish(&mut self, ready: &mut Vec<Bytes>) -> Result<(), InputError> {
        match self {
            Self::Plain(redactor) => Ok(redactor.finish(ready)?),
            Self::Framed(pipeline) => framed(ready, |out| pipeline.finish(out)),
        }
    }
}

fn framed(
    ready: &mut Vec<Bytes>,
    work: impl FnOnce(&mut Released) -> Result<(), ContentError>,
) -> Result<(), InputError> {
    let mut out = Released::default();
    let done = work(&mut out);
    ready.extend(out.drain());
    Ok(done?)
}

/// Standard output behind a redactor and an encoder.
struct Output<W> {
    plan: Arc<Plan>,
    parts: PartRules,
    body: Option<Body>,
    level: Level,
    encoder: Option<Encoder>,
    /// Redacted text.
    ready: Vec<Bytes>,
    out: W,
}

impl<W: Write> Output<W> {
    /// What leaves is encoded as what came was.
    fn encode(&mut self, form: Option<WireFormat>) -> Result<(), InputError> {
        self.encoder = form.map(|form| Encoder::new(form, self.level, None)).transpose()?;
        Ok(())
    }

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
        self.body = Some(Body::Plain(Box::new(Redactor::new(&self.plan, format))));
        self.encode(form)
    }

    fn begin_framed(&mut self, content: &ContentType, form: Option<WireFormat>) -> Result<(), InputError> {
        let (plan, parts) = (&self.plan, &self.parts);
        // What the input is compressed with is undone by now.
        let pipeline =
            Pipeline::new(plan, content, Coding::Identity, CodingLimits::NONE, Delivery::Streaming(self.level), parts)?;
        self.body = Some(Body::Framed(Box::new(pipeline)));
        self.encode(form)
    }

    fn push(&mut self, text: Bytes) -> Result<(), InputError> {
        if let Some(body) = &mut self.body {
            body.push(text, &mut self.ready)?;
        }
        self.write()
    }

    fn finish(&mut self) -> Result<(), InputError> {
        if let Some(mut body) = self.body.take() {
            body.finish(&mut self.ready)?;
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
