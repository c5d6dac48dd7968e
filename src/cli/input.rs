//! Files or standard input, piece by piece: what is compressed is decoded, the
//! format found, and whatever wants the text is fed. What `redact` and `scan`
//! share.

use super::CliError;
use super::coding;
use super::framing::Framing;
use super::progress::Progress;
use super::setup::{self, RuleArgs};
use crate::config::{Offline, Route};
use crate::content::{
    Coding, CodingError, CodingLimits, ContentError, ContentType, Decoder, Level, NotUtf8, PartRules, Utf8Check,
    WireFormat, sniff,
};
use crate::redact::{Format, Plan, Policy, RedactError};
use crate::scan::Engine;
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read at a time.
const READ: usize = 64 * 1024;

/// Which inputs, in which format, by which rules.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// Files to read; none or - for standard input. Gzip, zlib and zstd are
    /// recognised, and br by its name
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// auto, json, ndjson or text, and for redact also form, multipart, sse,
    /// envelope (Sentry's) or otlp (Protocol Buffers); with auto, what is not
    /// UTF-8 is refused
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = parse_format)]
    format: Choice,
    /// How the input is compressed, unless that is to be recognised: gzip,
    /// deflate, zstd, br or identity
    #[arg(long, value_name = "CODING", value_parser = coding::parse)]
    coding: Option<Coding>,
    #[command(flatten)]
    pub(super) rules: RuleArgs,
    /// Whose policy to follow, when the configuration has several routes
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
}

/// What `--format` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// By the file's name, else by its first byte.
    Auto,
    /// As told.
    Told(Format),
    /// As told, for what takes requests apart.
    Framed(Framing),
}

fn parse_format(name: &str) -> Result<Choice, String> {
    match name {
        "auto" => Ok(Choice::Auto),
        "json" => Ok(Choice::Told(Format::Json)),
        "ndjson" => Ok(Choice::Told(Format::Ndjson)),
        "text" => Ok(Choice::Told(Format::Text)),
        name => Framing::from_name(name)
            .map(Choice::Framed)
            .ok_or_else(|| format!("supported: auto, json, ndjson, text, {}", Framing::NAMES)),
    }
}

/// Takes the text of one input.
pub(super) trait Sink {
    /// The input of this name begins, which is encoded in this form, if at all.
    fn begin(&mut self, name: &str, format: Format, form: Option<WireFormat>) -> Result<(), InputError>;
    /// As [`Sink::begin`], for an input that would be sent as this.
    fn begin_framed(&mut self, _: &ContentType, _: Option<WireFormat>) -> Result<(), InputError> {
        Err(InputError::Framed)
    }
    /// More text.
    fn push(&mut self, text: Bytes) -> Result<(), InputError>;
    /// The input has ended.
    fn finish(&mut self) -> Result<(), InputError>;
}

/// Why an input could not be worked through.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Broken compression.
    #[error(transparent)]
    Coding(#[from] CodingError),
    /// Nothing would be found in compressed bytes.
    #[error("this is {0}, which is not understood: decompress it first")]
    Foreign(&'static str),
    /// Nor in an image.
    #[error("this is no text in UTF-8; if it is to be read as it is, say its --format")]
    Binary(#[from] NotUtf8),
    /// The engine, or a policy that blocks.
    #[error(transparent)]
    Redact(#[from] RedactError),
    /// Text of another encoding would pass unseen.
    #[error("the text is UTF-16 or UTF-32; only UTF-8 is understood")]
    Wide,
    /// Places are known in JSON and text only.
    #[error("this command takes json, ndjson and text; redact takes this format too")]
    Framed,
    /// No parts without one.
    #[error("no line begins with the boundary of parts (--...)")]
    Boundary,
    /// What the format asks for is not there.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// What explains holds a payload whole.
    #[error("this is longer than {0} MiB; take a part of it")]
    Long(usize),
    /// The output.
    #[error("cannot write")]
    Write(#[from] std::io::Error),
}

/// Rules and policy, ready for bodies.
pub(super) struct Setup {
    /// The compiled rules.
    pub(super) engine: Arc<Engine>,
    /// What to do with findings.
    pub(super) policy: Policy,
    /// How parts of framed inputs are taken.
    pub(super) parts: PartRules,
    /// How what came compressed is compressed again.
    pub(super) level: Level,
}

impl Setup {
    /// Actions as configured.
    pub(super) fn plan(&self) -> Arc<Plan> {
        Arc::new(Plan::new(Arc::clone(&self.engine), &self.policy))
    }
}

impl InputArgs {
    /// Reads rules and policies.
    pub(super) fn setup(&self) -> Result<Setup, CliError> {
        self.setup_with(&self.rules)
    }

    /// The same, for what acts on findings: the actions are judged too.
    pub(super) fn setup_with_actions(&self) -> Result<Setup, CliError> {
        let offline = self.rules.load()?;
        let setup = self.setup_of(&offline)?;
        offline.check_actions(&setup.engine)?;
        Ok(setup)
    }

    /// With these rules, and all else as given.
    pub(super) fn setup_with(&self, rules: &RuleArgs) -> Result<Setup, CliError> {
        self.setup_of(&rules.load()?)
    }

    fn setup_of(&self, offline: &Offline) -> Result<Setup, CliError> {
        let engine = setup::engine(&setup::offline_ruleset(offline)?)?;
        let route = self.of_route(offline)?;
        let parts = offline.part_rules(route);
        Ok(Setup { engine, policy: route.policy.clone(), parts, level: offline.compression() })
    }

    /// Feeds every input to `sink`, one after the other.
    pub(super) fn feed(&self, sink: &mut impl Sink) -> Result<(), CliError> {
        let standard = [PathBuf::from("-")];
        let files = if self.files.is_empty() { &standard[..] } else { &self.files };
        let mut progress = Progress::over(files);
        for path in files {
            let name = path.display().to_string();
            let reader = open(path).map_err(|source| CliError::Io { what: format!("cannot read {name}"), source })?;
            let mut feed = Feed::new(self, path, &name, sink);
            let fed = feed.run(reader, &mut progress);
            progress.clear();
            fed?;
        }
        Ok(())
    }

    fn of_route<'a>(&self, offline: &'a Offline) -> Result<&'a Route, CliError> {
        let routes = offline.routes();
        let names = || routes.iter().map(|route| &route.name[..]).collect::<Vec<_>>().join(", ");
        match (&self.route, routes) {
            (None, [only]) => Ok(only),
            (None, _) => Err(CliError::Usage(format!("which route's policy? --route is one of: {}", names()))),
            (Some(wanted), routes) => routes
                .iter()
                .find(|route| route.name == *wanted)
                .ok_or_else(|| CliError::Usage(format!("no route is called {wanted}; there are: {}", names()))),
        }
    }
}

fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    if path == Path::new("-") { Ok(Box::new(std::io::stdin())) } else { Ok(Box::new(File::open(path)?)) }
}

/// The way of one input to its sink.
struct Feed<'a, S> {
    choice: Choice,
    /// What is told of it.
    coding: Option<Coding>,
    path: &'a Path,
    name: &'a str,
    /// The first bytes of the text, until they tell the format.
    head: BytesMut,
    begun: bool,
    form: Option<WireFormat>,
    utf8: Utf8Check,
    sink: &'a mut S,
}

impl<'a, S: Sink> Feed<'a, S> {
    fn new(args: &InputArgs, path: &'a Path, name: &'a str, sink: &'a mut S) -> Self {
        let (head, utf8) = (BytesMut::new(), Utf8Check::default());
        Self { choice: args.format, coding: args.coding, path, name, head, begun: false, form: None, utf8, sink }
    }

    fn run(&mut self, mut reader: Box<dyn Read>, progress: &mut Progress) -> Result<(), CliError> {
        let name = self.name;
        let failed = |source| CliError::Input { name: name.to_owned(), source };
        let mut wire = BytesMut::new();
        let mut decoder = None;
        loop {
            let read = read_into(&mut *reader, &mut wire)
                .map_err(|source| CliError::Io { what: format!("cannot read {name}"), source })?;
            progress.add(read);
            if wire.len() < coding::MARK && read > 0 && decoder.is_none() {
                continue;
            }
            let known = match &mut decoder {
                Some(decoder) => decoder,
                none => none.insert(self.recognise(&wire).map_err(failed)?),
            };
            self.decode(known, wire.split().freeze()).map_err(failed)?;
            if read == 0 {
                return self.end(known.as_ref()).map_err(failed);
            }
        }
    }

    fn recognise(&self, wire: &[u8]) -> Result<Option<Decoder>, InputError> {
        let coding = self.coding.unwrap_or_else(|| coding::recognise(self.path, wire));
        // A file of one's own may grow as much as it likes: it streams.
        Ok(Decoder::new(coding, CodingLimits::NONE)?)
    }

    fn decode(&mut self, decoder: &mut Option<Decoder>, wire: Bytes) -> Result<(), InputError> {
        let Some(decoder) = decoder else { return self.text(wire) };
        decoder.push(wire);
        while let Some(text) = decoder.next_piece()? {
            self.form = Some(decoder.wire_format());
            self.text(text)?;
        }
        Ok(())
    }

    fn text(&mut self, text: Bytes) -> Result<(), InputError> {
        if self.begun {
            return self.pass(text);
        }
        self.head.extend_from_slice(&text);
        if self.suffices() { self.begin() } else { Ok(()) }
    }

    /// Whether the first bytes are enough to begin with.
    fn suffices(&self) -> bool {
        if let Choice::Framed(framing) = self.choice {
            return framing.suffices(&self.head);
        }
        sniff::suffices(&self.head)
    }

    fn begin(&mut self) -> Result<(), InputError> {
        self.begun = true;
        if let Choice::Framed(framing) = self.choice {
            self.sink.begin_framed(&framing.content(&self.head)?, self.form)?;
            return self.sink.push(self.head.split().freeze());
        }
        if is_wide(&self.head) {
            return Err(InputError::Wide);
        }
        let format = match self.choice {
            Choice::Told(format) => format,
            _ => self.guess()?,
        };
        self.sink.begin(self.name, format, self.form)?;
        let head = self.head.split().freeze();
        self.pass(head)
    }

    fn guess(&self) -> Result<Format, InputError> {
        if let Some(name) = coding::foreign(&self.head) {
            return Err(InputError::Foreign(name));
        }
        Ok(by_name(self.path).unwrap_or_else(|| sniff::format(&self.head)))
    }

    /// What is not text reaches the sink only where the user said what it is.
    fn pass(&mut self, text: Bytes) -> Result<(), InputError> {
        if self.choice == Choice::Auto {
            self.utf8.push(&text)?;
        }
        self.sink.push(text)
    }

    fn end(&mut self, decoder: Option<&Decoder>) -> Result<(), InputError> {
        decoder.map_or(Ok(()), Decoder::finish)?;
        self.form = decoder.map(Decoder::wire_format);
        if !self.begun {
            self.begin()?;
        }
        self.utf8.finish()?;
        self.sink.finish()
    }
}

fn read_into(reader: &mut dyn Read, wire: &mut BytesMut) -> std::io::Result<usize> {
    let from = wire.len();
    wire.resize(from + READ, 0);
    let read = loop {
        match reader.read(&mut wire[from..]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    wire.truncate(from + read.as_ref().map_or(0, |&read| read));
    read
}

fn is_wide(head: &[u8]) -> bool {
    head.starts_with(&[0xfe, 0xff]) || head.starts_with(&[0xff, 0xfe]) || head.iter().take(4).any(|&byte| byte == 0)
}

fn by_name(path: &Path) -> Option<Format> {
    match coding::inner_name(path).extension()?.to_str()? {
        "json" => Some(Format::Json),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_known_by_name() {
        let by_name = |name: &str| by_name(Path::new(name));
        assert_eq!(by_name("a.json"), Some(Format::Json));
        assert_eq!(by_name("a/b.jsonl.gz"), Some(Format::Ndjson));
        assert_eq!(by_name("b.ndjson.zst"), Some(Format::Ndjson));
        assert_eq!(by_name("a.log"), None);
        assert_eq!(by_name("-"), None);
    }

    #[test]
    fn a_format_that_is_not_known_is_refused_with_those_that_are() {
        assert_eq!(parse_format("json"), Ok(Choice::Told(Format::Json)));
        assert_eq!(parse_format("otlp"), Ok(Choice::Framed(Framing::Otlp)));
        assert!(parse_format("yaml").unwrap_err().contains("auto, json, ndjson, text, form, "));
    }
}
