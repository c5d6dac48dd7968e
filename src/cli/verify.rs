//! `expurgate verify`: pods that should have the sidecar, and do not.

use super::exit::unwritable;
use super::inject::read_input;
use super::table::{self, Style, Table, stdout_width};
use super::{CliError, Exit};
use crate::manifest::{self, NAMESPACE_LABEL, Scope, Stream, Verdict};
use crate::rule::protocol::Packs;
use serde_json::json;
use std::io::{BufWriter, Write};

/// List pods on standard input that should have the sidecar and do not, or go past it.
///
/// Reads pods, and namespaces, from standard input: what kubectl get says, or manifests of
/// pods. Looked at are pods that say they
/// want the sidecar (expurgate.dev/inject: "true"), that have it, or that are in a
/// namespace with the label expurgate.dev/injection=enabled: those that are older than
/// the label have none. Exit code 1 if there is anything to list.
///
///   kubectl get namespaces,pods --all-namespaces -o json | expurgate verify
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, override_usage = "expurgate verify [OPTIONS] < pods.json")]
pub(super) struct Args {
    /// Look at all pods, but for those with expurgate.dev/inject: "false", and those that
    /// the webhook is never asked about (kube-system, expurgate-system, static pods)
    #[arg(long)]
    all: bool,
    /// Look at all pods of this namespace, as if it had the label; may be repeated
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,
    /// table or json
    #[arg(long, value_name = "OUTPUT", default_value = "table")]
    output: Style,
}

/// Looks, and lists.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let wrong = |wrong: manifest::Wrong| CliError::from(manifest::ManifestError::from(wrong));
    let mut stream = Stream::read(&read_input()?).map_err(wrong)?;
    let scope = Scope { all: args.all, namespaces: args.namespace.iter().cloned().collect() };
    let verdict = manifest::verify(&mut stream, scope, &Packs::builtin()?);
    if verdict.pods == 0 && !verdict.is_answer {
        let what = "standard input has no pods; give it kubectl get namespaces,pods --all-namespaces -o json";
        return Err(CliError::Usage(what.to_owned()));
    }
    let mut out = BufWriter::new(std::io::stdout());
    let written = match args.output {
        Style::Table => write_table(&verdict, &mut out),
        Style::Json => write_json(&verdict, &mut out),
    };
    written.and_then(|()| out.flush()).map_err(unwritable)?;
    // Without a standard error there is nobody to tell.
    let _ = std::io::stderr().write_all(summary(args, &verdict).as_bytes());
    if verdict.pods > 0 && !verdict.missing.is_empty() {
        let what = verdict.missing.join(", ");
        return Err(CliError::Usage(format!("--namespace: no pod of {what} is on standard input; is it spelled so?")));
    }
    Ok(if verdict.problems.is_empty() { Exit::Clean } else { Exit::Findings })
}

/// How much was looked at, and what was not.
fn summary(args: &Args, verdict: &Verdict) -> String {
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (pods, problems) = (plural(verdict.pods, "pod"), plural(verdict.problems.len(), "problem"));
    let mut said = format!("{pods}, {} of them should have the sidecar, {problems}\n", verdict.meant);
    if verdict.pods == 0 {
        said.push_str("note: the list is empty: there are no pods, or you may not see them\n");
    } else if verdict.namespaces == 0 && args.namespace.is_empty() && !args.all {
        said.push_str(&format!(
            "note: no namespaces came along, so it is not known which have the label {}={}; use kubectl get \
             namespaces,pods, or --namespace\n",
            NAMESPACE_LABEL.0, NAMESPACE_LABEL.1
        ));
    }
    said
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
