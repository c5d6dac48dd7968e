//! How a command ends.

use super::input::InputError;
use crate::causes::Causes;
use crate::config::ConfigError;
use crate::redact::Problem;
use crate::rule::RuleError;
use crate::scan::CompileError;
use crate::server::ServerError;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

/// Exit codes; a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing wrong.
    Clean = 0,
    /// Findings with `--fail-on-findings`, differences, rules left out of an import.
    Findings = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Input or output failed.
    Io = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A rule file.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A rule that cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Rules that do not do what their examples say.
    #[error("{}", lines(.0))]
    Problems(Vec<Problem>),
    /// The sockets or the upstreams.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
    /// An input that cannot be worked through.
    #[error("{name}")]
    Input {
        /// The file, or - for standard input.
        name: String,
        /// Why not.
        source: InputError,
    },
    /// A file, a pipe, the runtime.
    #[error("{what}")]
    Io {
        /// What was tried, with the path if there is one.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl CliError {
    /// The exit code that says what kind of failure it was.
    pub fn exit(&self) -> Exit {
        // A --format that the command does not take: the input is not to blame.
        if matches!(self, Self::Input { source: InputError::Framed, .. }) {
            return Exit::Usage;
        }
        let mut causes = std::iter::successors(Some(self as &dyn Error), |&error| error.source());
        // Broken input is no I/O error to the system, but to the user.
        if matches!(self, Self::Input { .. } | Self::Config(ConfigError::Unreadable(_))) || causes.any(is_io) {
            Exit::Io
        } else {
            Exit::Usage
        }
    }

    /// Tells the user: the error and its causes on one line.
    pub fn print(&self) {
        // Whoever closed the pipe, `head` for one, has seen enough.
        if self.is_broken_pipe() {
            return;
        }
        // Without a standard error there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "error: {}", Causes(self));
    }

    fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Input { source: InputError::Write(source), .. } => {
                source.kind() == std::io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }
}

/// Standard output failed.
pub(super) fn unwritable(source: std::io::Error) -> CliError {
    CliError::Io { what: "cannot write to standard output".to_owned(), source }
}

/// Whether the system could not read, write or listen.
fn is_io(error: &(dyn Error + 'static)) -> bool {
    error.is::<std::io::Error>()
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::on_one_line).collect();
    lines.join("\n")
}
