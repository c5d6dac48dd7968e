//! Which protocol pack a route has: `protocol` names it, `[protocols]` adds files
//! of packs to those that came with the program.

use super::error::ConfigError;
use super::file::{self, File, Source};
use super::layers::Sources;
use super::types::Upstream;
use crate::rule::protocol::{AUTO, Pack, Packs, covers};
use crate::rule::{RuleError, RuleTexts};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// How files of packs are read. The default has none.
#[derive(Clone, Copy)]
pub struct PackReader(pub fn(&[PathBuf]) -> Result<RuleTexts, RuleError>);

impl Default for PackReader {
    fn default() -> Self {
        Self(|_| RuleTexts::read(&[]))
    }
}

impl fmt::Debug for PackReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PackReader")
    }
}

/// All packs that routes may name.
///
/// # Errors
/// When a file cannot be read, with every mistake in all of them, or when a route
/// names a pack that is in none.
pub(super) fn read(file: &File, source: Option<&Source>, sources: &Sources) -> Result<Packs, ConfigError> {
    if file.protocols.paths.is_empty() && file.route.iter().all(|route| named(route).is_none()) {
        return Ok(Packs::default());
    }
    let texts = (sources.packs.0)(&file.protocols.paths).map_err(|error| blame(error, source))?;
    let packs = Packs::of(&texts).map_err(|error| blame(error, source))?;
    for pack in packs.iter() {
        if let Some(Err(wrong)) = pack.upstream.as_ref().map(|upstream| upstream.parse::<Upstream>()) {
            return Err(ConfigError::Whole(format!("{}: `upstream`: {wrong}", pack.place)));
        }
    }
    for (nth, route) in file.route.iter().enumerate() {
        if let Some(Err(message)) = named(route).map(|name| packs.find(name)) {
            return Err(place(nth, route, source, sources, message));
        }
    }
    Ok(packs)
}

fn blame(error: RuleError, file: Option<&Source>) -> ConfigError {
    match error {
        RuleError::Read { path, source } => {
            let message = format!("protocols.paths: {path}: cannot be read: {source}");
            // Else a flag or a variable names it.
            let file = file.filter(|file| file.text.contains(&path));
            ConfigError::Unreadable(Box::new(ConfigError::at_section_key(file, "protocols", "paths", message)))
        }
        wrong => ConfigError::Whole(wrong.to_string()),
    }
}

/// The mistake in the layer that made it: the last one that sets the route's
/// protocol.
fn place(nth: usize, route: &file::Route, source: Option<&Source>, sources: &Sources, message: String) -> ConfigError {
    let written = route.protocol.as_ref();
    if nth == 0 && sources.flags.protocol.as_ref() == written {
        return ConfigError::Flag { flag: "--protocol", message };
    }
    let own = [format!("EXPURGATE_ROUTE_{nth}_PROTOCOL"), "EXPURGATE_PROTOCOL".to_owned()];
    let variable = sources.environment.iter().find(|(name, value)| own.contains(name) && Some(value) == written);
    match variable {
        Some((name, _)) => ConfigError::Environment { name: name.clone(), message },
        None => ConfigError::at_route_key(source, nth, "protocol", message),
    }
}

fn named(route: &file::Route) -> Option<&str> {
    route.protocol.as_deref().filter(|name| *name != AUTO)
}

/// The pack of a route; `None` with `auto`.
pub(super) fn of_route(route: &file::Route, packs: &Packs) -> Option<Arc<Pack>> {
    named(route).and_then(|name| packs.find(name).ok()).cloned()
}

/// Where a route's requests go: as it says, else as its pack does.
pub(super) fn upstream(route: &file::Route, pack: Option<&Pack>) -> Option<Upstream> {
    route.upstream.clone().or_else(|| pack?.upstream.as_ref()?.parse().ok())
}

/// What the user is told of a route without an upstream.
pub(super) fn no_upstream(route: &str, pack: Option<&Pack>) -> String {
    match pack {
        Some(Pack { title, upstream_hint: Some(hint), .. }) => {
            format!("route \"{route}\" needs an \"upstream\" (or --upstream URL): of {title}, {hint}")
        }
        _ => format!("route \"{route}\" needs an \"upstream\""),
    }
}

/// The warning that a pack of the user is in the place of a built-in one.
pub(super) fn replacement(pack: &Pack) -> String {
    let Pack { name, place, .. } = pack;
    format!("{place}: the pack \"{name}\" takes the place of the built-in one; another name would leave both")
}

/// A warning if the route redacts what its upstream knows its client by.
pub(super) fn warning(route: &str, headers: &[String], pack: Option<&Pack>) -> Option<String> {
    let Pack { title, credential_headers, .. } = pack?;
    let needed = |header: &&String| credential_headers.iter().any(|own| covers(header, own));
    let header = headers.iter().find(needed)?;
    Some(format!(
        "route \"{route}\": \"headers\" names {header}, by which {title} knows its client: it may be redacted"
    ))
}
