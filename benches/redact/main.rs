//! In-process redaction beside what bounds it and beside others.
//!
//! ```text
//! cargo bench --bench redact                         # all tables
//! cargo bench --bench redact -- density flat         # some of them
//! cargo bench --bench redact -- --profile CASE [RULES] # nothing but the redactor, for a profiler
//! ```
//!
//! Each table goes to `target/bench/` too. Every case states how many findings
//! it must give; a wrong count fails the run. What is compared runs in turn,
//! round after round, so that a noisy machine hits all alike; times are CPU
//! times of this thread, medians are shown, and the ratios are what to look at.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a program for a terminal")]

mod case;
mod contender;
mod measure;
mod ruleset;
mod start;

use case::{Case, DENSITIES, HOSTILE, Hostile};
use contender::{AllAtOnce, CHUNK, OneByOne, Vectorscan};
use expurgate::redact::Plan;
use measure::{Table, Work, medians, speed};
use std::sync::Arc;

/// The tables by name.
const TABLES: [(&str, fn()); 6] = [
    ("density", density),
    ("others", others),
    ("flat", flat),
    ("encoded", encoded),
    ("hostile", hostile),
    ("start", start::table),
];

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let first = args.next();
    if first.as_deref() == Some("--profile") {
        return profile(&args.next().unwrap(), args.next().map(|rules| rules.parse().unwrap()));
    }
    let wanted: Vec<String> = first.into_iter().chain(args).collect();
    if let Some(unknown) = wanted.iter().find(|name| TABLES.iter().all(|(table, _)| table != name)) {
        panic!("no table is called {unknown}; there are {:?}", TABLES.map(|(name, _)| name));
    }
    for (name, table) in TABLES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            table();
        }
    }
}

/// Redacts one case four times, for a profiler to look at: with so many rules, or all
/// built-in ones.
fn profile(name: &str, rules: Option<usize>) {
    let plan = rules.map_or_else(builtin, |rules| contender::plan(ruleset::of(rules)));
    let hostile = HOSTILE.iter().find(|hostile| hostile.name == name);
    let case = match hostile.map(Hostile::cases) {
        Some([_, whole]) => whole,
        None => case::density(name),
    };
    for _ in 0..4 {
        contender::redact(&plan, &case);
    }
}

fn builtin() -> Arc<Plan> {
    contender::plan(ruleset::builtin())
}

fn rules(plan: &Plan) -> usize {
    plan.engine().ruleset().rules.iter().filter(|rule| rule.enabled).count()
}

/// By how much there is to find, beside a copy and the search for literals.
fn density() {
    const ROUNDS: usize = 9;
    let plan = builtin();
    let about = format!(
        "{} rules, {} KiB chunks, medians of {ROUNDS} rounds; `copy` is a memcpy of each chunk into one buffer, \
         `literals` the literal database by itself.",
        rules(&plan),
        CHUNK >> 10
    );
    let titles = ["case", "MB", "findings", "copy", "literals", "redact", "redact / copy", "redact / literals"];
    let mut table = Table::new(&about, &titles);
    for case in DENSITIES.map(case::density) {
        let works: Vec<Work<'_>> = vec![
            Box::new(|| contender::copy(&case.data)),
            Box::new(|| contender::literals(&plan, &case.data)),
            Box::new(|| contender::redact(&plan, &case)),
        ];
        let times = medians(ROUNDS, works);
        let ratios = vec![format!("{:.3}", times[0] / times[2]), format!("{:.2}", times[1] / times[2])];
        table.row(&[speeds(&case, &times), ratios].concat());
    }
    table.publish("density");
}

/// Of each case, what Vectorscan, one regex after another, all regexes at once
/// and the oracle are given: what each can do in a second or so.
const SLICES: [usize; 4] = [1 << 20, 256 << 10, 16 << 10, 4 << 10];

/// Beside other ways to look for the same.
fn others() {
    const ROUNDS: usize = 3;
    let plan = builtin();
    let expressions = contender::expressions(plan.engine().ruleset());
    let (mut vectorscan, refused) = Vectorscan::new(&expressions);
    let (one_by_one, all) = (OneByOne::new(&expressions), AllAtOnce::new(&expressions));
    let about = format!(
        "`redact`: {} rules, the whole job on the whole document. The others search only, for {} of the rules as \
         plain regular expressions, without keywords, validators, escapes and member names: Vectorscan (ends of \
         matches, not where they begin; it refuses {refused} expressions as too large), the `regex` crate with one after another and with all in one `RegexSet` \
         (which match, not where). They have the first {} KiB of each case; so has the oracle, which does the whole \
         job. Medians of {ROUNDS} rounds.",
        rules(&plan),
        expressions.len(),
        SLICES.map(|bytes| (bytes >> 10).to_string()).join(", "),
    );
    let titles = [
        "case",
        "redact",
        "Vectorscan",
        "regex by regex",
        "regex set",
        "oracle",
        "redact / Vectorscan",
        "redact / regex by regex",
    ];
    let mut table = Table::new(&about, &titles);
    for case in DENSITIES.map(case::density) {
        let slices = SLICES.map(|bytes| case.data.slice(..bytes));
        let found = contender::findings(&plan, &slices[3]);
        let works: Vec<Work<'_>> = vec![
            Box::new(|| contender::redact(&plan, &case)),
            Box::new(|| vectorscan.scan(&slices[0])),
            Box::new(|| one_by_one.scan(&slices[1])),
            Box::new(|| all.scan(&slices[2])),
            Box::new(|| assert_eq!(contender::oracle(&plan, &slices[3]), found, "{}", case.name)),
        ];
        let bytes = [&[case.data.len()][..], &SLICES].concat();
        let times = medians(ROUNDS, works);
        let measured: Vec<(usize, f64)> = bytes.into_iter().zip(times).collect();
        let rates: Vec<f64> = measured.iter().map(|&(bytes, time)| bytes as f64 / time).collect();
        let speeds = measured.iter().map(|&(bytes, time)| speed(bytes, time));
        let ratios = [rates[0] / rates[1], rates[0] / rates[2]].map(|ratio| format!("{ratio:.1}"));
        table.row(&[case.name.to_owned()].into_iter().chain(speeds).chain(ratios).collect::<Vec<_>>());
    }
    table.publish("others");
}

/// Numbers of rules to compare; `None` stands for all built-in ones.
const NUMBERS: [Option<usize>; 5] = [Some(50), Some(150), Some(400), None, Some(1500)];

/// The same documents by more and more rules.
fn flat() {
    const ROUNDS: usize = 7;
    let all = ruleset::builtin().rules.len();
    let plans = NUMBERS.map(|number| contender::plan(ruleset::of(number.unwrap_or(all))));
    let last = plans.last().unwrap();
    for rule in last.engine().ruleset().rules.iter().filter(|rule| !rule.builtin) {
        let text = rule.examples[0].text.clone().into();
        assert_eq!(contender::findings(last, &text), 1, "{}", rule.id);
    }
    let about = format!(
        "Time by number of rules, as ratio to {} rules; medians of {ROUNDS} rounds. The built-in ones are {all}; \
         smaller sets are parts of them, the largest has further ones, made by the bench.",
        rules(&plans[0])
    );
    let mut titles = vec!["case".to_owned(), "findings".to_owned()];
    titles.push(format!("{} rules", rules(&plans[0])));
    let title =
        |number: Option<usize>, plan| format!("{}{} rules", if number.is_none() { "all " } else { "" }, rules(plan));
    titles.extend(NUMBERS.into_iter().zip(&plans).skip(1).map(|(number, plan)| title(number, plan)));
    let mut table = Table::new(&about, &titles.iter().map(String::as_str).collect::<Vec<_>>());
    for case in DENSITIES.map(case::density) {
        let case = &case;
        let redact = |plan| -> Work<'_> { Box::new(move || contender::redact(plan, case)) };
        let times = medians(ROUNDS, plans.iter().map(redact).collect());
        let first = speed(case.data.len(), times[0]);
        let ratios = times[1..].iter().map(|time| format!("{:.2}", time / times[0]));
        let head = [case.name.to_owned(), case.findings.to_string(), first];
        table.row(&head.into_iter().chain(ratios).collect::<Vec<_>>());
    }
    table.publish("flat");
}

/// What a case is, and how fast it went in each of these times.
fn speeds(case: &Case, times: &[f64]) -> Vec<String> {
    let bytes = case.data.len();
    let head = [case.name.to_owned(), format!("{:.1}", bytes as f64 / 1e6), case.findings.to_string()];
    head.into_iter().chain(times.iter().map(|&time| speed(bytes, time))).collect()
}

/// With every rule looking into base64, beside the same rules that do not.
fn encoded() {
    const ROUNDS: usize = 5;
    let plans = [builtin(), contender::plan(ruleset::looking_into_base64())];
    let about = format!(
        "{} rules, medians of {ROUNDS} rounds: `without` as they are, `with` all of them with `base64 = true`.",
        rules(&plans[0])
    );
    let titles = ["case", "MB", "findings", "without", "with", "time with / without"];
    let mut table = Table::new(&about, &titles);
    let others = ["low", "none", "base64"].map(case::density);
    for case in others.iter().chain(&case::encoded()) {
        // Who does not look into it finds less, or as much.
        let works: Vec<Work<'_>> = vec![
            Box::new(|| assert!(contender::findings(&plans[0], &case.data) <= case.findings)),
            Box::new(|| contender::redact(&plans[1], case)),
        ];
        let times = medians(ROUNDS, works);
        table.row(&[speeds(case, &times), vec![format!("{:.2}", times[1] / times[0])]].concat());
    }
    table.publish("encoded");
}

/// Texts made to cost as much as they can. Fails if a byte of any of them costs more than
/// a microsecond, or more the more there are.
fn hostile() {
    const ROUNDS: usize = 3;
    /// In seconds: what is promised of every text, on any machine of these years.
    const MOST_PER_BYTE: f64 = 1e-6;
    /// Time per byte beside that of a quarter; 4 is quadratic.
    const MOST_GROWTH: f64 = 1.6;
    let plan = builtin();
    let document = case::density("none").data;
    let copy = medians(2 * ROUNDS, vec![Box::new(|| contender::copy(&document))])[0] / document.len() as f64;
    let about = format!(
        "{} rules, medians of {ROUNDS} rounds, the copy as above. `of a quarter`: time per byte beside that of a \
         quarter of the text; about 1 where a byte costs the same however many there are.",
        rules(&plan)
    );
    let titles = ["case", "text", "MB", "findings", "redact", "ns/byte", "of a quarter", "redact / copy"];
    let mut table = Table::new(&about, &titles);
    let repeated = HOSTILE.iter().map(|hostile| (hostile.shown(), hostile.cases()));
    let others = [("`\"a\",`, 10 million", case::tiny_strings()), ("100,000 `[`, 100,000 `]`", case::nested())];
    let others = others.map(|(text, cases)| (text.to_owned(), cases));
    for (text, [part, whole]) in repeated.chain(others) {
        let works: Vec<Work<'_>> =
            vec![Box::new(|| contender::redact(&plan, &part)), Box::new(|| contender::redact(&plan, &whole))];
        let times = medians(ROUNDS, works);
        let bytes = whole.data.len() as f64;
        let (of_part, per_byte) = (times[0] / part.data.len() as f64, times[1] / bytes);
        assert!(per_byte < MOST_PER_BYTE, "{}: {:.0} ns per byte", whole.name, per_byte * 1e9);
        assert!(per_byte / of_part < MOST_GROWTH, "{}: {:.2} times a quarter's", whole.name, per_byte / of_part);
        table.row(&[
            whole.name.to_owned(),
            text,
            format!("{:.1}", bytes / 1e6),
            whole.findings.to_string(),
            speed(whole.data.len(), times[1]),
            format!("{:.2}", per_byte * 1e9),
            format!("{:.2}", per_byte / of_part),
            format!("{:.5}", copy / per_byte),
        ]);
    }
    table.publish("hostile");
}
