//! The layers of the configuration, merged key by key as TOML tables; each is
//! parsed on its own first, so that a mistake is blamed on where it was made.

use super::error::ConfigError;
use super::file::{File, Source};
use super::keys::KeyReader;
use super::protocol::{self, PackReader};
use super::spec::{KEYS, Kind, POLICY_KEYS, ROUTE_KEYS};
use crate::rule::nearest;
use crate::rule::protocol::Packs;
use std::path::PathBuf;
use toml::{Table, Value};

/// All that a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Path and text of the file, if any.
    pub file: Option<(String, String)>,
    /// The process's environment, or what a test makes of it.
    pub environment: Environment,
    /// The command line.
    pub flags: Flags,
    /// How the files of keys are read.
    pub keys: KeyReader,
    /// How the files of protocol packs are read.
    pub packs: PackReader,
}

/// Names and values of environment variables.
pub type Environment = Vec<(String, String)>;

/// The flags that set something, as given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<String>,
    /// `--upstream`
    pub upstream: Option<String>,
    /// `--admin`
    pub admin: Option<String>,
    /// `--protocol`
    pub protocol: Option<String>,
    /// `--rules`, any number of times
    pub rules: Vec<PathBuf>,
    /// `--protocols`, any number of times
    pub protocols: Vec<PathBuf>,
    /// `--profile`
    pub profile: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
    /// `--action ENTITY=ACTION`, any number of times: of all routes
    pub actions: Vec<String>,
}

/// Short names of what is set most often.
const SHORT: &[(&str, &str)] = &[
    ("LISTEN", "LISTENER_ADDRESS"),
    ("ADMIN", "ADMIN_ADDRESS"),
    ("RULES", "RULES_PATHS"),
    ("PROTOCOLS", "PROTOCOLS_PATHS"),
    ("PROFILE", "RULES_PROFILE"),
    ("LOG", "LOG_LEVEL"),
];

/// Variables that set a key of the only route, as the flags of these names do.
const OF_ONLY_ROUTE: &[(&str, &str)] = &[("EXPURGATE_UPSTREAM", "upstream"), ("EXPURGATE_PROTOCOL", "protocol")];

const PREFIX: &str = "EXPURGATE_";
/// Known, and read by others than [`merge`].
const ELSEWHERE: [&str; 1] = ["EXPURGATE_CONFIG"];
/// Kubernetes sets variables that begin like this for a Service of our name.
const KUBERNETES: [&str; 2] = ["EXPURGATE_SERVICE_", "EXPURGATE_PORT"];

/// More routes than this want a file.
const MAX_ROUTES_BY_ENVIRONMENT: usize = 64;

/// What all layers add up to.
pub(super) struct Merged {
    /// Every key as the last layer that sets it has it.
    pub(super) file: File,
    /// The configuration file, for messages about it.
    pub(super) source: Option<Source>,
    /// Variables that look like ours and mean nothing.
    pub(super) ignored: Vec<String>,
    /// Whether the file has routes.
    pub(super) has_routes: bool,
    /// Those that routes may name.
    pub(super) packs: Packs,
    /// Keys of policies that flags set.
    pub(super) flagged: Vec<String>,
}

pub(super) fn merge(sources: &Sources) -> Result<Merged, ConfigError> {
    let source = sources.file.clone().map(|(path, text)| Source { path, text });
    let mut table = source.as_ref().map_or(Ok(Table::new()), read_file)?;
    let has_routes = table.contains_key("route");
    // Long names win over short ones: they are read later. Names of one length
    // are read in order, so that a route comes after those before it.
    let by_length = |(name, _): &&(String, String)| (name.len(), name.clone());
    let mut variables: Vec<_> = sources.environment.iter().collect();
    variables.sort_by_cached_key(by_length);
    let mut ignored = Vec::new();
    for (name, value) in variables {
        if let Some((path, kind)) = name.strip_prefix(PREFIX).and_then(locate) {
            let blame = |message| ConfigError::Environment { name: name.clone(), message };
            set(&mut table, &path, read_value(kind, value).map_err(blame)?).map_err(blame)?;
        } else if let Some((_, key)) = OF_ONLY_ROUTE.iter().find(|(variable, _)| variable == name) {
            let blame = |message| ConfigError::Environment { name: name.clone(), message };
            set_only_route(&mut table, key, value).map_err(blame)?;
        } else if is_mistake(name) {
            ignored.push(name.clone());
        }
    }
    apply_flags(&mut table, &sources.flags)?;
    let file: File =
        table.try_into().map_err(|error: toml::de::Error| ConfigError::Whole(error.message().to_owned()))?;
    let packs = protocol::read(&file, source.as_ref(), sources)?;
    let flagged = sources.flags.actions.iter().filter_map(|action| Some(action.split_once('=')?.0.trim().to_owned()));
    Ok(Merged { file, source, ignored, has_routes, packs, flagged: flagged.collect() })
}

/// Whether a variable that is not known was most likely meant for us.
fn is_mistake(name: &str) -> bool {
    name.starts_with(PREFIX) && !ELSEWHERE.contains(&name) && !KUBERNETES.iter().any(|prefix| name.starts_with(prefix))
}

fn read_file(source: &Source) -> Result<Table, ConfigError> {
    let blame = |error: &toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start);
        ConfigError::at_offset(source, offset, with_hint(error.message()))
    };
    toml::from_str::<File>(&source.text).map_err(|error| blame(&error))?;
    toml::from_str(&source.text).map_err(|error| blame(&error))
}

/// What the library of TOML says, with what is meant most likely.
fn with_hint(message: &str) -> String {
    let quoted = |text: &'_ str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    if let Some((unknown, known)) =
        message.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected"))
    {
        let (unknown, known) = (unknown.trim_matches('`'), quoted(known));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return match nearest(unknown, &known) {
            Some(near) => format!("unknown field `{unknown}`; did you mean `{near}`?"),
            None => message.to_owned(),
        };
    }
    let text =
        message.strip_prefix("invalid type: string ").and_then(|rest| rest.strip_suffix(", expected a sequence"));
    text.map_or_else(|| message.to_owned(), |text| format!("write a list, like [{text}]"))
}

/// Where a variable's value goes, by its name without the prefix.
fn locate(name: &str) -> Option<(Vec<String>, Kind)> {
    let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    if let Some(rest) = name.strip_prefix("ROUTE_") {
        return locate_in_route(rest);
    }
    KEYS.iter()
        .find(|(section, key, ..)| name == variable(section, key))
        .map(|&(section, key, kind, _)| (section.split('.').chain([key]).map(str::to_owned).collect(), kind))
}

/// The name of a key's variable, without the prefix.
fn variable(section: &str, key: &str) -> String {
    format!("{section}_{key}").replace('.', "_").to_ascii_uppercase()
}

fn locate_in_route(name: &str) -> Option<(Vec<String>, Kind)> {
    let (index, key) = name.split_once('_')?;
    index.parse::<usize>().ok().filter(|&index| index < MAX_ROUTES_BY_ENVIRONMENT)?;
    let mut path = vec!["route".to_owned(), index.to_owned()];
    if let Some(entity) = key.strip_prefix("POLICY_") {
        let known = POLICY_KEYS.iter().find(|(key, _)| key.eq_ignore_ascii_case(entity));
        path.extend(["policy", known.map_or(entity, |(key, _)| key)].map(str::to_owned));
        return Some((path, Kind::Action));
    }
    let (keys, kind, _) = ROUTE_KEYS.iter().find(|(keys, ..)| key == keys.join("_").to_ascii_uppercase())?;
    path.extend(keys.iter().map(|&key| key.to_owned()));
    Some((path, *kind))
}

fn read_value(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Integer(_) | Kind::Bits => {
            text.parse().map(Value::Integer).map_err(|_| format!("\"{text}\" is not a whole number"))
        }
        Kind::Boolean => text.parse().map(Value::Boolean).map_err(|_| format!("\"{text}\" is neither true nor false")),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Kind::Action if text.trim_start().starts_with('{') => {
            let mut table: Table = format!("action = {text}").parse().map_err(|error: toml::de::Error| {
                format!("not a table, like {{ action = \"mask\", keep_last = 4 }}: {}", error.message())
            })?;
            Ok(table.remove("action").unwrap_or_else(|| Value::Table(Table::new())))
        }
        Kind::Table => {
            let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
            let entry = |pair: &str| match pair.split_once('=') {
                Some((name, value)) => Ok((name.trim().to_owned(), Value::String(value.trim().to_owned()))),
                None => Err(format!("\"{pair}\" has no =; write name=value, separated by commas")),
            };
            let mut table = Table::new();
            for (name, value) in pairs.map(entry).collect::<Result<Vec<_>, _>>()? {
                if table.insert(name.clone(), value).is_some() {
                    return Err(format!("{name} is named twice; leave one out"));
                }
            }
            Ok(Value::Table(table))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// Puts a value into its place, after a look whether it is valid there.
fn set(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    let mut alone = Table::new();
    place(&mut alone, path, value.clone(), true)?;
    alone.try_into::<File>().map_err(|error| error.message().to_owned())?;
    place(table, path, value, false)
}

/// Walks down `path`, making tables, and the next route, as needed.
fn place(table: &mut Table, path: &[String], value: Value, alone: bool) -> Result<(), String> {
    match path {
        [route, index, rest @ ..] if route == "route" && !rest.is_empty() => {
            let routes = table.entry("route").or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(routes) = routes else {
                return Err("\"route\" must be written [[route]]".to_owned());
            };
            let index = if alone { 0 } else { index.parse().unwrap_or(0) };
            if index > routes.len() {
                return Err(format!("there is no route {} before it", routes.len()));
            }
            if index == routes.len() {
                routes.push(Value::Table(Table::new()));
            }
            match routes.get_mut(index) {
                Some(Value::Table(route)) => place(route, rest, value, alone),
                _ => Err("a route must be a table".to_owned()),
            }
        }
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => {
            let section = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            match section {
                Value::Table(section) => place(section, rest, value, alone),
                _ => Err("a section must be a table".to_owned()),
            }
        }
        [] => Ok(()),
    }
}

/// Sets a key of the only route, or of a new one when there is none.
fn set_only_route(table: &mut Table, key: &str, value: &str) -> Result<(), String> {
    let count = match table.get("route") {
        Some(Value::Array(routes)) => routes.len(),
        _ => 0,
    };
    if count > 1 {
        return Err(format!("this sets the {key} of the only route, but there are {count}; set it in the file"));
    }
    let path = ["route", "0", key].map(str::to_owned);
    set(table, &path, Value::String(value.to_owned()))
}

/// Sets what `ENTITY=ACTION` says in the policies of all routes, of a new one
/// when there is none.
fn set_of_all_routes(table: &mut Table, action: &str) -> Result<(), String> {
    let Some((entity, action)) = action.split_once('=') else {
        return Err(format!("\"{action}\" is not ENTITY=ACTION; write one like EMAIL_ADDRESS=mask"));
    };
    let value = read_value(Kind::Action, action)?;
    let routes = match table.get("route") {
        Some(Value::Array(routes)) => routes.len().max(1),
        _ => 1,
    };
    for route in 0..routes {
        let path = ["route", &route.to_string(), "policy", entity.trim()].map(str::to_owned);
        set(table, &path, value.clone())?;
    }
    Ok(())
}

fn apply_flags(table: &mut Table, flags: &Flags) -> Result<(), ConfigError> {
    let sections = [
        ("--listen", "listener", "address", &flags.listen),
        ("--admin", "admin", "address", &flags.admin),
        ("--profile", "rules", "profile", &flags.profile),
        ("--log-format", "log", "format", &flags.log_format),
    ];
    for (flag, section, key, value) in sections {
        if let Some(value) = value {
            let path = [section, key].map(str::to_owned);
            set(table, &path, Value::String(value.clone())).map_err(|message| ConfigError::Flag { flag, message })?;
        }
    }
    let of_route = [("--upstream", "upstream", &flags.upstream), ("--protocol", "protocol", &flags.protocol)];
    for (flag, key, value) in of_route {
        if let Some(value) = value {
            set_only_route(table, key, value).map_err(|message| ConfigError::Flag { flag, message })?;
        }
    }
    for action in &flags.actions {
        set_of_all_routes(table, action).map_err(|message| ConfigError::Flag { flag: "--action", message })?;
    }
    for (section, files) in [("rules", &flags.rules), ("protocols", &flags.protocols)] {
        if files.is_empty() {
            continue;
        }
        let text = |path: &PathBuf| Value::String(path.display().to_string());
        let paths = Value::Array(files.iter().map(text).collect());
        let path = [section, "paths"].map(str::to_owned);
        set(table, &path, paths).map_err(ConfigError::Whole)?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) fn short_variables() -> Vec<String> {
    let of_sections = SHORT.iter().map(|(short, _)| format!("{PREFIX}{short}"));
    of_sections.chain(OF_ONLY_ROUTE.iter().map(|(name, _)| (*name).to_owned())).collect()
}

#[cfg(test)]
pub(super) fn variables() -> Vec<String> {
    let of_sections = KEYS.iter().map(|(section, key, ..)| format!("{PREFIX}{}", variable(section, key)));
    let of_routes = ROUTE_KEYS.iter().map(|(keys, ..)| format!("{PREFIX}route_0_{}", keys.join("_")));
    of_sections.chain(of_routes).map(|name| name.to_ascii_uppercase()).collect()
}
