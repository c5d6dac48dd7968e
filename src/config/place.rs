//! Where the files stand that the configuration names, for messages about them.

use super::error::ConfigError;
use super::{Config, KeyPair, UpstreamTls};
use std::path::Path;

/// A file of certificates or of a key, and which key of the configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFile<'a> {
    /// Of the listener, or of this route (from 0).
    pub route: Option<usize>,
    /// Behind `tls.`
    key: &'static str,
    /// As configured.
    pub path: &'a Path,
}

impl Config {
    /// The files of certificates and their keys.
    pub fn tls_files(&self) -> Vec<TlsFile<'_>> {
        let listener =
            self.listener_tls.iter().flat_map(|tls| files(None, Some(&tls.pair), "client_ca", &tls.client_ca));
        let routes = self.routes.iter().enumerate().flat_map(|(nth, route)| {
            let UpstreamTls { ca, pair } = &route.tls;
            files(Some(nth), pair.as_ref(), "ca", ca)
        });
        listener.chain(routes).collect()
    }

    /// Where the configuration file names the paths of rules, if it is the file that does.
    pub fn place_of_rules(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        let table: toml::Table = source.text.parse().ok()?;
        let named = table.get("rules")?.get("paths")?.as_array()?;
        let is_same = named.len() == self.rules.len()
            && named.iter().zip(&self.rules).all(|(named, path)| named.as_str().map(Path::new) == Some(path));
        let place =
            || ConfigError::at_section_key(Some(source), "rules", "paths", "rules.paths".to_owned()).to_string();
        is_same.then(place)
    }

    /// The key that names the file, with its place if the configuration file has it.
    pub fn place_of(&self, file: &TlsFile<'_>) -> String {
        let (source, key) = (self.source.as_ref(), format!("tls.{}", file.key));
        let at = |key: &str| match file.route {
            None => ConfigError::at_section_key(source, "listener", key, format!("listener.tls.{}", file.key)),
            Some(nth) => {
                let name = &self.routes[nth].name;
                ConfigError::at_route_key(source, nth, key, format!("route \"{name}\": tls.{}", file.key))
            }
        };
        match at(&key) {
            ConfigError::Whole(_) => at(file.key).to_string(),
            error => error.to_string(),
        }
    }
}

fn files<'a>(
    route: Option<usize>,
    pair: Option<&'a KeyPair>,
    ca: &'static str,
    path: &'a Option<std::path::PathBuf>,
) -> impl Iterator<Item = TlsFile<'a>> {
    let pair = pair.into_iter().flat_map(|pair| [("cert", &pair.cert), ("key", &pair.key)]);
    pair.chain(path.iter().map(move |path| (ca, path))).map(move |(key, path)| TlsFile { route, key, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Sources};

    #[test]
    fn each_file_is_found_where_it_is_named() {
        let text =
            "[listener]\ntls.cert = \"a\"\ntls.key = \"b\"\n[[route]]\nname = \"one\"\nupstream = \"https://a\"\n\
                    tls.ca = \"x\"\n[[route]]\nname = \"two\"\npath = \"/two\"\nupstream = \"https://a\"\n\
                    [route.tls]\nca = \"c\"\nkey = \"d\"\ncert = \"e\"\n"
                .to_owned();
        let config = Config::load(&Sources { file: Some(("x.toml".to_owned(), text)), ..Sources::default() }).unwrap();
        let places: Vec<_> = config.tls_files().iter().map(|file| config.place_of(file)).collect();
        let wanted = [
            "x.toml:2:1: listener.tls.cert",
            "x.toml:3:1: listener.tls.key",
            "x.toml:7:1: route \"one\": tls.ca",
            "x.toml:15:1: route \"two\": tls.cert",
            "x.toml:14:1: route \"two\": tls.key",
            "x.toml:13:1: route \"two\": tls.ca",
        ];
        assert_eq!(places, wanted);
    }

    #[test]
    fn paths_of_rules_are_found_where_they_are_named_unless_a_flag_names_others() {
        let place = |text: &str, rules: &[&str]| {
            let flags = Flags { rules: rules.iter().map(Into::into).collect(), ..Flags::default() };
            let file = Some(("x.toml".to_owned(), format!("{text}[[route]]\nupstream = \"http://a\"\n")));
            Config::load(&Sources { file, flags, ..Sources::default() }).unwrap().place_of_rules()
        };
        let text = "[rules]\nbuiltin = true\n paths = [\"a\", \"b\"]\n";
        assert_eq!(place(text, &[]).as_deref(), Some("x.toml:3:2: rules.paths"));
        assert_eq!(place(text, &["c"]), None);
        assert_eq!(place("", &["c"]), None);
    }

    #[test]
    fn what_comes_after_a_route_is_not_taken_for_its_keys() {
        let environment = vec![("EXPURGATE_ROUTE_0_TLS_CA".to_owned(), "c".to_owned())];
        let text =
            "[[route]]\nupstream = \"https://a\"\n[rules]\n# ca = 1\n[listener.tls]\ncert = \"a\"\nkey = \"b\"\n";
        let file = Some(("x.toml".to_owned(), text.to_owned()));
        let config = Config::load(&Sources { file, environment, ..Sources::default() }).unwrap();
        let places: Vec<_> = config.tls_files().iter().map(|file| config.place_of(file)).collect();
        assert_eq!(
            places,
            ["x.toml:6:1: listener.tls.cert", "x.toml:7:1: listener.tls.key", "route \"default\": tls.ca"]
        );
    }
}
