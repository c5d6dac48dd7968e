//! `expurgate rules test`: do rules find what their examples say?

use crate::cli::exit::unwritable;
use crate::cli::junit::{self, Case};
use crate::cli::setup;
use crate::cli::setup::{RuleArgs, offline_ruleset_of, unknown_rule};
use crate::cli::{CliError, Exit};
use crate::redact::{Test, Tested, test};
use crate::rule::Rule;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Run the tests that rules carry: their examples and negative examples.
///
/// Of the rules that you give and those that you change; of the built-in ones
/// with --builtin. Exits with 0 when all pass, with 2 after telling which fail.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Rule files or directories, as with --rules
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the rule of this id; may be repeated
    #[arg(long, value_name = "ID")]
    rule: Vec<String>,
    /// The built-in rules too
    #[arg(long)]
    builtin: bool,
    /// text or junit
    #[arg(long, value_name = "OUTPUT", default_value = "text")]
    output: Style,
    #[command(flatten)]
    rules: RuleArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Style {
    Text,
    Junit,
}

/// Tests them.
pub(in crate::cli) fn run(args: &Args) -> Result<Exit, CliError> {
    let offline = args.rules.and(&args.paths).load()?;
    let texts = setup::read_rules(offline.as_written())?;
    if let Some(directory) = texts.empty_directories().next() {
        return Err(CliError::Usage(setup::no_rule_file(directory)));
    }
    let ruleset = offline_ruleset_of(&offline, &texts)?;
    if let Some(id) = args.rule.iter().find(|id| !ruleset.rules.iter().any(|rule| rule.id == **id)) {
        return Err(unknown_rule(id, &ruleset));
    }
    let wanted = |rule: &Rule| match args.rule.as_slice() {
        [] => args.builtin || !rule.builtin || rule.changes.is_some(),
        ids => ids.contains(&rule.id),
    };
    let tested = test(&ruleset, wanted)?;
    let mut out = BufWriter::new(std::io::stdout());
    let failed = tested.iter().any(|rule| rule.clone().into_problems().next().is_some());
    let told = match args.output {
        Style::Text => tell(&tested, &mut out),
        Style::Junit => junit::write("expurgate rules test", &cases(&tested), &mut out),
    };
    told.and_then(|()| out.flush()).map_err(unwritable)?;
    Ok(if failed { Exit::Usage } else { Exit::Clean })
}

fn tell(tested: &[Tested], out: &mut impl Write) -> std::io::Result<()> {
    for problem in tested.iter().flat_map(|rule| rule.clone().into_problems()) {
        writeln!(out, "{}", problem.on_one_line())?;
    }
    let broken = tested.iter().filter(|rule| rule.broken.is_some()).count();
    let tests = || tested.iter().flat_map(|rule| &rule.tests);
    let failed = tests().filter(|test| !test.problems.is_empty()).count() + broken;
    let (rules, tests) = (tested.len(), tests().count());
    writeln!(out, "{rules} {}, {tests} examples, {failed} failed", if rules == 1 { "rule" } else { "rules" })
}

fn cases(tested: &[Tested]) -> Vec<Case> {
    let each = |rule: &Tested| {
        let broken = rule.broken.iter().map(|problem| Case {
            class: rule.place.source.to_string(),
            name: rule.rule.clone(),
            line: rule.place.line,
            failures: vec![problem.on_one_line()],
        });
        broken.chain(rule.tests.iter().map(|test| case(&rule.rule, test))).collect::<Vec<_>>()
    };
    tested.iter().flat_map(each).collect()
}

fn case(rule: &str, test: &Test) -> Case {
    let kind = if test.negative { "negative example" } else { "example" };
    Case {
        class: test.place.source.to_string(),
        name: format!("{rule}: {kind} {}", test.text.replace('\n', "\\n")),
        line: test.place.line,
        failures: test.problems.iter().map(crate::redact::Problem::on_one_line).collect(),
    }
}
