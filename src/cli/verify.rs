//! `expurgate verify`: pods that should have the sidecar, and do not.

use super::exit::unwritable;
use super::inject::read_input;
use super::table::{self, Style, Table, stdout_width};
use super::{CliError, Exit};
use crate::manifest::{self, Stream, Verdict};
use crate::rule::protocol::Packs;
use serde_json::json;
use std::io::{BufWriter, Write};

/// List pods that should have the sidecar and do not, or go past it.
///
/// Reads pods from standard input. Exit code 1 if there is anything to list.
///
///   kubectl get pods --all-namespaces -o json | expurgate verify
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Look at all pods, but for those with expurgate.dev/inject: "false"; else at those
    /// with "true", and those that inject has changed
    #[arg(long)]
    all: bool,
    /// table or json
    #[arg(long, value_name = "OUTPUT", default_value = "table")]
    output: Style,
}

/// Looks, and lists.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let packs = Packs::builtin()?;
    let wrong = |wrong: manifest::Wrong| CliError::from(manifest::ManifestError::from(wrong));
    let mut stream = Stream::read(&read_input()?).map_err(wrong)?;
    let mut verdict = Verdict::default();
    for node in stream.documents_mut().filter_map(|document| document.node.as_mut()) {
        let own = manifest::verify(node, args.all, &packs);
        verdict.pods += own.pods;
        verdict.meant += own.meant;
        verdict.problems.extend(own.problems);
    }
    let mut out = BufWriter::new(std::io::stdout());
    let written = match args.output {
        Style::Table => write_table(&verdict, &mut out),
        Style::Json => write_json(&verdict, &mut out),
    };
    written.and_then(|()| out.flush()).map_err(unwritable)?;
    // Without a standard error there is nobody to tell.
    let _ = writeln!(
        std::io::stderr(),
        "{} pods, {} of them should have the sidecar, {} problems",
        verdict.pods,
        verdict.meant,
        verdict.problems.len()
    );
    if verdict.pods == 0 {
        return Err(CliError::Usage("standard input has no pods; give it kubectl get pods -o json".to_owned()));
    }
    Ok(if verdict.problems.is_empty() { Exit::Clean } else { Exit::Findings })
}

fn write_table(verdict: &Verdict, out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new(&["NAMESPACE", "POD", "PROBLEM"], stdout_width());
    for problem in &verdict.problems {
        table.add(out, &[problem.namespace.clone(), problem.pod.clone(), problem.problem.clone()])?;
    }
    table.flush(out)
}

fn write_json(verdict: &Verdict, out: &mut impl Write) -> std::io::Result<()> {
    let listed = verdict
        .problems
        .iter()
        .map(|problem| json!({"namespace": problem.namespace, "pod": problem.pod, "problem": problem.problem}));
    table::write_json(&listed.collect::<Vec<_>>(), out)
}
