//! `expurgate protocols list`: which upstreams are known.

use super::packs;
use crate::cli::exit::unwritable;
use crate::cli::setup::RuleArgs;
use crate::cli::table::{self, Style, Table, stdout_width};
use crate::cli::{CliError, Exit};
use crate::rule::protocol::{Pack, Packs, Variable};
use serde_json::json;
use std::io::{BufWriter, Write};

/// List all packs.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// table or json
    #[arg(long, value_name = "OUTPUT", default_value = "table")]
    output: Style,
    #[command(flatten)]
    rules: RuleArgs,
}

/// Lists them.
pub(in crate::cli) fn run(args: &Args) -> Result<Exit, CliError> {
    let packs = packs(&args.rules)?;
    let mut out = BufWriter::new(std::io::stdout());
    let written = match args.output {
        Style::Table => write_table(&packs, stdout_width(), &mut out),
        Style::Json => write_json(&packs, &mut out),
    };
    written.and_then(|()| out.flush()).map_err(unwritable)?;
    Ok(Exit::Clean)
}

fn upstream(pack: &Pack) -> &str {
    pack.upstream.as_deref().or(pack.upstream_hint.as_deref()).unwrap_or_default()
}

fn write_table(packs: &Packs, width: Option<usize>, out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new(&["NAME", "TITLE", "UPSTREAM", "SET"], width);
    for pack in packs.iter() {
        let set = pack.environment.iter().filter(|one| !one.if_set);
        let set: Vec<String> = set.map(|one| format!("{}={}", one.name, one.value)).collect();
        table.add(out, &[pack.name.clone(), pack.title.clone(), upstream(pack).to_owned(), set.join(" ")])?;
    }
    table.flush(out)
}

fn write_json(packs: &Packs, out: &mut impl Write) -> std::io::Result<()> {
    let listed = |pack: &Pack| {
        let variable =
            |one: &Variable| json!({"name": one.name, "value": one.value, "sdk": one.sdk, "if_set": one.if_set});
        let variables = pack.environment.iter().map(variable);
        json!({
            "name": pack.name,
            "title": pack.title,
            "upstream": pack.upstream,
            "upstream_hint": pack.upstream_hint,
            "note": pack.note,
            "environment": variables.collect::<Vec<_>>(),
            "query_allow": pack.query_allow,
            "credential_headers": pack.credential_headers,
            "headers": pack.headers,
            "pass": &*pack.pass,
            "source": &*pack.place.source,
        })
    };
    let listed: Vec<_> = packs.iter().map(|pack| listed(pack)).collect();
    table::write_json(&listed, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pack_is_listed_once_in_both_forms() {
        let packs = Packs::builtin().unwrap();
        let (mut table, mut json) = (Vec::new(), Vec::new());
        write_table(&packs, Some(100), &mut table).unwrap();
        write_json(&packs, &mut json).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert_eq!(table.lines().count(), packs.iter().count() + 1);
        let json: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!(json.len(), packs.iter().count());
        let openai = json.iter().find(|pack| pack["name"] == "openai").unwrap();
        assert_eq!(openai["environment"][0]["value"], "{listener}/v1");
    }
}
