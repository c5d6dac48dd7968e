//! `expurgate run`: the proxy.

use super::setup::{self, ConfigArgs};
use super::{CliError, Exit, log};
use crate::config::Config;
use crate::content::judge_packs;
use crate::hyperscan::give_memory_back;
use crate::metrics::Metrics;
use crate::redact::judge_own;
use crate::rule::RuleTexts;
use crate::rule::protocol::AUTO;
use crate::scan::Engine;
use crate::server::{self, ConfigSource, Server};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Run the proxy until SIGTERM or SIGINT.
///
/// Flags win over EXPURGATE_... variables, those over the file, and that over
/// the defaults. `--upstream URL` alone is enough, and so is
/// `--protocol PACK` for a pack that has an upstream.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Serves until told to stop.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| failed("cannot start the runtime", source))?;
    // First of all, so that no signal is missed, however early: as the first process of a
    // container one without a handler would not end by it.
    let stop = runtime.block_on(async { server::stop_signals() });
    let stop = stop.map_err(|source| failed("cannot install the signal handlers", source))?;
    let config = Arc::new(args.config.load()?);
    let metrics = Arc::new(Metrics::new());
    let _flushed = log::start(config.log, metrics.log_lines_dropped.clone())
        .map_err(|source| failed("cannot start the log", source))?;
    if let Err(error) = server::disable_core_dumps() {
        tracing::warn!(%error, "core dumps could not be disabled");
    }
    runtime.block_on(serve(args.config.clone(), &config, metrics, stop))?;
    // Whatever still runs is aborted with the runtime.
    runtime.shutdown_background();
    Ok(Exit::Clean)
}

async fn serve(
    args: ConfigArgs,
    config: &Arc<Config>,
    metrics: Arc<Metrics>,
    stop: mpsc::Receiver<()>,
) -> Result<(), CliError> {
    server::install_panic_hook(Arc::clone(&metrics));
    let texts = Arc::new(setup::read_rules(config)?);
    let read = move || Ok(args.load()?);
    let load = |config: &Config, texts: &RuleTexts| Ok(judged_engine(config, texts)?);
    let source = ConfigSource::new(Arc::clone(config), Arc::clone(&texts), read, load)
        .map_err(|source| failed("cannot install the signal handlers", source))?;
    let engine = judged_engine(config, &texts)?;
    give_memory_back();
    let server = Server::bind(config, &engine, metrics).await?.reload_from(source);
    announce(config, &engine, &server)?;
    for directory in texts.empty_directories() {
        tracing::warn!("{}", setup::no_rule_file(directory));
    }
    // Until others come, the server has them.
    drop(engine);
    server.run(stop).await;
    Ok(())
}

/// The rules, compiled, once they have shown that they do what they say: a
/// rule that finds something else would break or leak what nobody looks at.
fn judged_engine(config: &Config, texts: &RuleTexts) -> Result<Arc<Engine>, CliError> {
    let ruleset = setup::ruleset(config.builtin_rules, texts, config.profile)?;
    config.check_entities(&ruleset)?;
    let mut engine = setup::engine(&ruleset)?;
    let mut problems = judge_own(&mut engine)?;
    problems.extend(judge_packs(&engine, &config.packs));
    match problems {
        problems if problems.is_empty() => {
            config.check_actions(&engine)?;
            if let Some(engine) = Arc::get_mut(&mut engine) {
                engine.cool();
            }
            Ok(engine)
        }
        problems => Err(CliError::Problems(problems)),
    }
}

fn announce(config: &Config, engine: &Engine, server: &Server) -> Result<(), CliError> {
    let unknown = |source| failed("cannot tell the address", source);
    for name in &config.ignored {
        tracing::warn!(name, "an unknown environment variable is ignored");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for route in &config.routes {
        tracing::info!(
            route = route.name,
            path = route.path,
            upstream = %route.upstream,
            protocol = route.protocol.as_ref().map_or(AUTO, |pack| &pack.name),
            "route"
        );
    }
    tracing::info!(
        address = %server.address().map_err(unknown)?,
        admin = %server.admin_address().map_err(unknown)?,
        tls = config.listener_tls.is_some(),
        rules = engine.ruleset().enabled(),
        ruleset = engine.ruleset().hash,
        version = server::VERSION,
        "listening"
    );
    Ok(())
}

fn failed(what: &str, source: std::io::Error) -> CliError {
    CliError::Io { what: what.to_owned(), source }
}
