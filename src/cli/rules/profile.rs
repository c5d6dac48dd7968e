//! `expurgate rules profile`: what each rule costs on some files.

use crate::cli::input::{InputArgs, InputError, Sink};
use crate::cli::table::{Style, Table, stdout_width, write_json};
use crate::cli::{CliError, Exit};
use crate::content::WireFormat;
use crate::redact::{Format, Plan, Redactor, Report};
use crate::rule::Rule;
use crate::scan::meter::{Cost, Costs, Work};
use bytes::Bytes;
use serde::Serialize;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Instant;

/// Show what each rule costs on files or standard input.
///
/// One row for each rule that was asked: CANDIDATES is how often, CONFIRMED how
/// many findings that came to, REJECTED how many matches its validator turned
/// down, EACH what a candidate took. A key rule is asked once for a member, even
/// when its value is an array of several findings. Rows in brackets are work for
/// no rule in particular. Times are those of a clock: other programs count too.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// table or json
    #[arg(long, value_name = "OUTPUT", default_value = "table")]
    output: Style,
}

/// Profiles all inputs together.
pub(in crate::cli) fn run(args: &Args) -> Result<Exit, CliError> {
    let setup = args.input.setup()?;
    // A policy that blocks would end the scan at its first finding.
    let plan = Arc::new(Plan::new(Arc::clone(&setup.engine), &setup.policy.labelling()));
    let mut profiling = Profiling::new(&plan, clock(), reading());
    args.input.feed(&mut profiling)?;
    let profile = profiling.profile();
    let mut out = BufWriter::new(std::io::stdout());
    let written = match args.output {
        Style::Table => write_table(&profile, stdout_width(), &mut out),
        Style::Json => write_json(&profile, &mut out),
    };
    written
        .and_then(|()| out.flush())
        .map_err(|source| CliError::Io { what: "cannot write to standard output".to_owned(), source })?;
    if args.output == Style::Table {
        // Without a standard error there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{}", summary(&profile));
    }
    Ok(Exit::Clean)
}

/// Nanoseconds since some moment.
fn clock() -> impl FnMut() -> u64 {
    let start = Instant::now();
    move || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What it takes to read the clock.
fn reading() -> u64 {
    const READINGS: u64 = 10_000;
    let mut clock = clock();
    let start = clock();
    for _ in 0..READINGS {
        black_box(clock());
    }
    (clock() - start) / READINGS
}

/// What was found out.
#[derive(Serialize)]
struct Profile<'a> {
    bytes: u64,
    nanoseconds: u64,
    megabytes_per_second: f64,
    /// Enabled rules, asked or not.
    enabled_rules: usize,
    /// By what takes longest.
    shared: Vec<Shared>,
    /// By what takes longest.
    rules: Vec<Row<'a>>,
}

/// Work for no rule in particular.
#[derive(Serialize)]
struct Shared {
    work: &'static str,
    nanoseconds: u64,
    share: f64,
}

/// A rule that was asked.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    entity: &'a str,
    candidates: u64,
    confirmed: u64,
    rejected: u64,
    nanoseconds: u64,
    share: f64,
    nanoseconds_per_candidate: f64,
}

/// Redacts, and keeps account.
struct Profiling<C> {
    plan: Arc<Plan>,
    /// Lent to `body` meanwhile.
    costs: Option<Costs<C>>,
    body: Option<Redactor<Costs<C>>>,
    /// Redacted text, of no use here; kept for its memory.
    released: Vec<Bytes>,
    scanned: u64,
    /// By rule index.
    confirmed: Vec<u64>,
    /// By rule index.
    rejected: Vec<u64>,
}

impl<C: FnMut() -> u64> Profiling<C> {
    fn new(plan: &Arc<Plan>, clock: C, reading: u64) -> Self {
        let rules = plan.engine().ruleset().rules.len();
        Self {
            plan: Arc::clone(plan),
            costs: Some(Costs::new(clock, reading, rules)),
            body: None,
            released: Vec::new(),
            scanned: 0,
            confirmed: vec![0; rules],
            rejected: vec![0; rules],
        }
    }

    fn add(&mut self, report: &Report) {
        self.scanned += report.scanned;
        report.findings.iter().for_each(|tally| self.confirmed[tally.rule] += tally.count);
        report.rejections.iter().for_each(|&(rule, count)| self.rejected[rule] += count);
    }

    fn profile(&self) -> Profile<'_> {
        let costs = self.costs.iter();
        let shared: Vec<(Work, u64)> = costs.clone().flat_map(Costs::shared).collect();
        let rules = &self.plan.engine().ruleset().rules;
        let asked: Vec<(usize, Cost)> = costs.flat_map(|costs| costs.rules().iter().copied().enumerate()).collect();
        let times = shared.iter().map(|(_, time)| time).chain(asked.iter().map(|(_, cost)| &cost.time));
        let total: u64 = times.sum();
        let share = |time: u64| ratio(time, total);
        let mut profile = Profile {
            bytes: self.scanned,
            nanoseconds: total,
            megabytes_per_second: 1e3 * ratio(self.scanned, total),
            enabled_rules: rules.iter().filter(|rule| rule.enabled).count(),
            shared: shared
                .into_iter()
                .map(|(work, time)| Shared { work: name(work), nanoseconds: time, share: share(time) })
                .collect(),
            rules: asked
                .into_iter()
                .filter(|(_, cost)| cost.candidates > 0)
                .map(|(index, cost)| self.row(index, &rules[index], cost, share(cost.time)))
                .collect(),
        };
        profile.shared.sort_by_key(|shared| std::cmp::Reverse(shared.nanoseconds));
        profile.rules.sort_by_key(|row| std::cmp::Reverse(row.nanoseconds));
        profile
    }

    fn row<'a>(&self, index: usize, rule: &'a Rule, cost: Cost, share: f64) -> Row<'a> {
        Row {
            id: &rule.id,
            entity: &rule.entity,
            candidates: cost.candidates,
            confirmed: self.confirmed[index],
            rejected: self.rejected[index],
            nanoseconds: cost.time,
            share,
            nanoseconds_per_candidate: ratio(cost.time, cost.candidates),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people to read")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl<C: FnMut() -> u64> Sink for Profiling<C> {
    fn begin(&mut self, _: &str, format: Format, _: Option<WireFormat>) -> Result<(), InputError> {
        self.body = self.costs.take().map(|costs| Redactor::metered(&self.plan, format, costs));
        Ok(())
    }

    fn push(&mut self, text: Bytes) -> Result<(), InputError> {
        if let Some(redactor) = &mut self.body {
            redactor.push(text, &mut self.released)?;
        }
        self.released.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), InputError> {
        if let Some(mut redactor) = self.body.take() {
            redactor.finish(&mut self.released)?;
            let (report, costs) = redactor.into_parts();
            self.costs = Some(costs);
            self.add(&report);
        }
        self.released.clear();
        Ok(())
    }
}

const fn name(work: Work) -> &'static str {
    match work {
        Work::Masks => "masks",
        Work::Literals => "literals",
        Work::Escapes => "escapes",
        Work::Order => "order",
        Work::Names => "names",
        Work::Idle | Work::Rule(_) => "rules",
    }
}

const COLUMNS: &[&str] = &["RULE", "CANDIDATES", "CONFIRMED", "REJECTED", "TIME", "SHARE", "EACH"];

fn write_table(profile: &Profile<'_>, width: Option<usize>, out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new(COLUMNS, width);
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    for row in &profile.rules {
        let counts = [row.candidates, row.confirmed, row.rejected].map(|count| count.to_string());
        let each = duration(row.nanoseconds_per_candidate);
        let time = [duration(ratio(row.nanoseconds, 1)), percent(row.share), each];
        table.add(out, &[&[row.id.to_owned()][..], &counts, &time].concat())?;
    }
    for shared in &profile.shared {
        let none = ["-", "-", "-"].map(str::to_owned);
        let time = [duration(ratio(shared.nanoseconds, 1)), percent(shared.share), "-".to_owned()];
        table.add(out, &[&[format!("({})", shared.work)][..], &none, &time].concat())?;
    }
    let sum = |count: fn(&Row<'_>) -> u64| profile.rules.iter().map(count).sum::<u64>().to_string();
    let counts = [sum(|row| row.candidates), sum(|row| row.confirmed), sum(|row| row.rejected)];
    let time = [duration(ratio(profile.nanoseconds, 1)), percent(1.0), "-".to_owned()];
    table.add(out, &[&["total".to_owned()][..], &counts, &time].concat())?;
    table.flush(out)
}

fn summary(profile: &Profile<'_>) -> String {
    let shared: f64 = profile.shared.iter().map(|shared| shared.share).sum();
    format!(
        "{} bytes in {}, {:.0} MB/s; {} of {} rules were asked; {:.0} % of the time is no rule's",
        profile.bytes,
        duration(ratio(profile.nanoseconds, 1)),
        profile.megabytes_per_second,
        profile.rules.len(),
        profile.enabled_rules,
        shared * 100.0,
    )
}

/// Nanoseconds in a unit that suits them.
fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        few if few < 1e3 => format!("{few:.0} ns"),
        more if more < 1e6 => format!("{:.1} us", more / 1e3),
        more if more < 1e9 => format!("{:.1} ms", more / 1e6),
        many => format!("{:.2} s", many / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Policy;
    use crate::rule::Ruleset;
    use crate::scan::Engine;

    /// Profiles texts by a clock that goes on by one whenever it is read.
    fn profiled(texts: &[&str], show: impl FnOnce(&Profile<'_>)) {
        let ruleset = Arc::new(Ruleset::builtin().unwrap());
        let plan = Arc::new(Plan::new(Arc::new(Engine::compile(ruleset).unwrap()), &Policy::default()));
        let mut now = 0;
        let clock = || {
            now += 1;
            now
        };
        let mut profiling = Profiling::new(&plan, clock, 0);
        for text in texts {
            profiling.begin("-", Format::Json, None).unwrap();
            profiling.push(Bytes::copy_from_slice(text.as_bytes())).unwrap();
            profiling.finish().unwrap();
        }
        show(&profiling.profile());
    }

    #[test]
    fn counts_and_times_of_several_inputs_add_up() {
        let token = format!("eyJ{}.{}", "a".repeat(40), "b".repeat(40));
        let text = format!(r#"{{"mail":"jane@example.com, joe@example.com","at":"@","no":"{token}"}}"#);
        profiled(&[&text, &text], |profile| {
            let row = |id: &str| profile.rules.iter().find(|row| row.id == id).unwrap();
            let mail = row("email.address");
            assert_eq!((mail.candidates, mail.confirmed, mail.rejected), (6, 4, 0));
            let token = row("jwt");
            assert_eq!((token.candidates, token.confirmed, token.rejected), (2, 0, 2));
            assert_eq!(profile.bytes, 2 * text.len() as u64);
            let shared: u64 = profile.shared.iter().map(|shared| shared.nanoseconds).sum();
            let rules: u64 = profile.rules.iter().map(|row| row.nanoseconds).sum();
            assert_eq!(profile.nanoseconds, shared + rules);
            assert!(profile.rules.is_sorted_by_key(|row| std::cmp::Reverse(row.nanoseconds)));
            assert!(profile.rules.iter().all(|row| row.candidates > 0));
        });
    }

    #[test]
    fn the_table_ends_with_what_is_shared_and_the_total() {
        profiled(&[r#"{"mail":"jane@example.com"}"#], |profile| {
            let mut out = Vec::new();
            write_table(profile, None, &mut out).unwrap();
            let table = String::from_utf8(out).unwrap();
            assert!(table.starts_with("RULE "), "{table}");
            assert!(table.lines().any(|line| line.starts_with("email.address ")), "{table}");
            for work in Work::SHARED {
                assert!(table.contains(&format!("\n({}) ", name(work))), "{table}");
            }
            assert!(table.lines().last().unwrap().starts_with("total "), "{table}");
            assert!(!table.contains("jane"), "{table}");
        });
    }

    #[test]
    fn nothing_at_all_takes_no_time() {
        profiled(&[], |profile| {
            assert_eq!((profile.bytes, profile.nanoseconds, profile.rules.len()), (0, 0, 0));
            assert!(summary(profile).starts_with("0 bytes in 0 ns, 0 MB/s; 0 of "), "{}", summary(profile));
        });
    }

    #[test]
    fn durations_have_a_unit_that_suits_them() {
        let shown = [12.4, 1250.0, 3.25e6, 2.5e9].map(duration);
        assert_eq!(shown, ["12 ns", "1.2 us", "3.2 ms", "2.50 s"]);
    }
}
