//! `expurgate webhook`: `inject`, for pods as they are created.

use super::knobs::Knobs;
use super::{CliError, Exit, log};
use crate::config::{KeyPair, ListenerTls, Log, LogFormat, LogLevel};
use crate::manifest::{self, Injector};
use crate::metrics::Metrics;
use crate::rule::Ruleset;
use crate::rule::protocol::Packs;
use crate::server::{self, Webhook};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Run the admission webhook that adds the sidecar to new pods.
///
/// The API server asks POST /inject; probes ask /livez and /readyz at the same port.
/// The other flags hold for all pods; annotations of a pod, expurgate.dev/ and the name
/// of a flag, win. deploy/webhook has the manifests.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// File of the certificate (PEM), with those between it and its authority; read
    /// again when it changes
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// File of its private key (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the API server connects
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    knobs: Knobs,
}

/// Serves until told to stop.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let injector = Injector::new(Packs::builtin()?, args.knobs.0.clone(), false).map_err(CliError::Usage)?;
    let injector = injector.knowing(&Ruleset::builtin()?);
    let metrics = Arc::new(Metrics::new());
    let logged = Log { level: LogLevel::default(), format: LogFormat::Json };
    let _flushed = log::start(logged, metrics.log_lines_dropped.clone())
        .map_err(|source| failed("cannot start the log", source))?;
    let files = ListenerTls { pair: KeyPair { cert: args.cert.clone(), key: args.key.clone() }, client_ca: None };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| failed("cannot start the runtime", source))?;
    let serving = async {
        let stop = server::stop_signals().map_err(|source| failed("cannot install the signal handlers", source))?;
        server::install_panic_hook(Arc::clone(&metrics));
        let review = move |text: &str| manifest::review(text, &injector);
        let webhook = Webhook::bind(args.listen, &files, &metrics, review).await?;
        let address = webhook.address().map_err(|source| failed("cannot tell the address", source))?;
        tracing::info!(%address, version = server::VERSION, "listening for admission reviews");
        webhook.run(stop).await;
        Ok::<_, CliError>(())
    };
    runtime.block_on(serving)?;
    runtime.shutdown_background();
    Ok(Exit::Clean)
}

fn failed(what: &str, source: std::io::Error) -> CliError {
    CliError::Io { what: what.to_owned(), source }
}
