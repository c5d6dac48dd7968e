//! Tests of the configuration's layers and messages.

use super::*;
use crate::redact::{Action, Mask, Treatment};

fn sources(file: &str, environment: &[(&str, &str)], flags: Flags) -> Sources {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    Sources {
        file: (!file.is_empty()).then(|| ("expurgate.toml".to_owned(), file.to_owned())),
        environment: environment.iter().map(owned).collect(),
        flags,
        keys: KeyReader(read_key),
        ..Sources::default()
    }
}

/// Files of keys: a name is what is in the file, with an exclamation mark when
/// everybody may read it.
fn read_key(path: &std::path::Path) -> std::io::Result<KeyFile> {
    let text = path.to_str().unwrap();
    if text == "nowhere" {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    let mode = if text.ends_with('!') { 0o644 } else { 0o600 };
    Ok(KeyFile { content: text.as_bytes().to_vec().into(), mode: Some(mode) })
}

fn from_file(text: &str) -> Result<Config, String> {
    Config::load(&sources(text, &[], Flags::default())).map_err(|error| error.to_string())
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, String> {
    Config::load(&sources("", variables, Flags::default())).map_err(|error| error.to_string())
}

const ALL: &str = r#"
[listener]
address = "127.0.0.1:1"
[listener.tls]
cert = "tls.crt"
key = "tls.key"
client_ca = "clients.pem"
[admin]
address = "127.0.0.1:2"
[rules]
builtin = false
paths = ["mine.toml"]
profile = "strict"
[protocols]
paths = ["packs"]
[hash]
active = "k2"
bits = 128
keys = { k1 = "one of at least thirty-two bytes", k2 = "two of at least thirty-two bytes" }
[log]
level = "debug"
format = "json"
[limits]
buffer_limit = "1KiB"
max_head = "2KiB"
max_body = "3KiB"
max_decoded = "4KiB"
max_ratio = 5
max_requests = 6
max_connections = 7
max_buffered = "8KiB"
[compression]
level = "best"
[timeouts]
head = "1s"
keep_alive = "2s"
body_idle = "3s"
small_body = "11s"
buffer_wait = "12s"
request = "4s"
connect = "5s"
response_head = "6s"
response_idle = "7s"
client_write = "8s"
client_rate = "14B"
upstream_keep_alive = "9s"
upstream_max_age = "13s"
drain = "10s"
drain_grace = "12s"
[[route]]
name = "one"
path = "/v1"
host = "Example.com"
upstream = "https://up.example.com/base"
protocol = "auto"
pass = ["image/png"]
headers = ["X-User"]
query = false
query_allow = ["Token"]
responses = true
http2 = true
upgrades = ["WebSocket"]
breaker.failures = 5
breaker.pause = "14s"
[route.tls]
ca = "ca.pem"
cert = "client.crt"
key = "client.key"
[route.policy]
default = "report"
EMAIL_ADDRESS = "block"
PHONE_NUMBER = "hash"
credential = { action = "mask", keep_last = 4 }
"#;

/// What a route does with what a built-in rule finds.
fn action(route: &Route, rule: &str) -> Action {
    let ruleset = Ruleset::builtin().unwrap();
    route.policy.treatment(ruleset.rules.iter().find(|known| known.id == rule).unwrap()).action()
}

#[test]
fn every_key_of_the_file_is_read() {
    let config = from_file(ALL).unwrap();
    assert_eq!(config.listener.port(), 1);
    let pair = |cert: &str, key: &str| KeyPair { cert: cert.into(), key: key.into() };
    let tls = config.listener_tls.unwrap();
    assert_eq!(tls, ListenerTls { pair: pair("tls.crt", "tls.key"), client_ca: Some("clients.pem".into()) });
    assert_eq!(config.admin.port(), 2);
    assert!(!config.builtin_rules);
    assert_eq!(config.limits.buffer, 1024);
    assert_eq!(config.limits.connections, 7);
    assert_eq!(config.timeouts.request, Some(Duration::from_secs(4)));
    assert_eq!((config.timeouts.drain, config.timeouts.client_rate), (Duration::from_secs(10), 14));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.compression, Level::Best);
    let route = &config.routes[0];
    assert_eq!(route.host.as_deref(), Some("example.com"));
    assert_eq!(action(route, "email.address"), Action::Block);
    assert_eq!(action(route, "iban.code"), Action::Report);
    assert_eq!(action(route, "phone.international"), Action::Hash);
    assert_eq!(action(route, "key.password"), Action::Mask);
    assert!(!route.query && route.responses && route.http2);
    assert_eq!(route.upgrades, ["websocket"]);
    assert_eq!(route.tls, UpstreamTls { ca: Some("ca.pem".into()), pair: Some(pair("client.crt", "client.key")) });
    assert_eq!((route.headers[0].as_str(), route.query_allow[0].as_str()), ("x-user", "token"));
    assert_eq!(route.breaker, Some(Breaker { failures: 5, pause: Duration::from_secs(14) }));
    assert_eq!(config.timeouts.small_body, Duration::from_secs(11));
    assert_eq!(config.timeouts.buffer_wait, Duration::from_secs(12));
    assert_eq!(config.timeouts.drain_grace, Duration::from_secs(12));
    assert_eq!(config.timeouts.upstream_max_age, Duration::from_secs(13));
}

/// The keys in the table of environment variables are those of the file: one
/// that is forgotten there would be a key without a variable.
#[test]
fn every_key_of_the_file_has_a_variable() {
    let table: toml::Table = toml::from_str(ALL).unwrap();
    let mut expected = Vec::new();
    for (section, value) in &table {
        let keys = match value {
            toml::Value::Table(keys) => keys.clone(),
            toml::Value::Array(routes) => routes[0].as_table().unwrap().clone(),
            _ => panic!("a key outside of sections"),
        };
        for key in keys.keys() {
            expected.push(match (section.as_str(), key.as_str()) {
                ("route", "policy") => continue,
                ("route", key) => format!("EXPURGATE_ROUTE_0_{}", key.to_ascii_uppercase()),
                (section, key) => format!("EXPURGATE_{section}_{key}").to_ascii_uppercase(),
            });
            if let (toml::Value::Table(inner), "tls" | "breaker") = (&keys[key], key.as_str()) {
                let section = expected.pop().unwrap();
                expected.extend(inner.keys().map(|key| format!("{section}_{}", key.to_ascii_uppercase())));
            }
        }
    }
    let mut variables = layers::variables();
    expected.sort();
    variables.sort();
    assert_eq!(variables, expected);
}

#[test]
fn the_test_file_has_every_key_that_the_parser_knows() {
    let probes =
        ["", "listener", "listener.tls", "rules", "protocols", "hash", "log", "limits", "compression", "timeouts"];
    for section in probes {
        let text = if section.is_empty() { "nonsense = 1".to_owned() } else { format!("[{section}]\nnonsense = 1") };
        let error = from_file(&text).unwrap_err();
        for key in error.split('`').skip(3).step_by(2) {
            assert!(
                ["\n{} = ", "[{}]", ".{}]"].iter().any(|form| ALL.contains(&form.replace("{}", key))),
                "{key} of [{section}] is not in the test file"
            );
        }
    }
}

/// The reference: its block of TOML and the whole text.
fn reference() -> (&'static str, &'static str) {
    let text = include_str!("../../docs/configuration.md");
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    (block.unwrap(), text)
}

#[test]
fn the_reference_shows_the_defaults() {
    let shown = from_file(reference().0).unwrap();
    let default = from_environment(&[("EXPURGATE_UPSTREAM", "https://api.example.com")]).unwrap();
    assert_eq!(Config { source: None, files: Vec::new(), ..shown }, default);
}

#[test]
fn the_reference_names_every_key_and_every_variable() {
    let (block, text) = reference();
    for variable in layers::variables() {
        assert!(text.contains(&format!("`{variable}`")), "{variable}");
    }
    for short in layers::short_variables() {
        assert!(text.contains(&format!("`{short}`")), "{short}");
    }
    for line in ALL.lines().filter(|line| !line.is_empty()) {
        let key = line.split(" =").next().unwrap();
        assert!(block.contains(key) || key == "[route.tls]" && block.contains("tls.ca"), "{key}");
    }
}

#[test]
fn a_level_of_compression_is_one_of_three() {
    let level = |level| from_environment(&[("EXPURGATE_UPSTREAM", "http://a"), ("EXPURGATE_COMPRESSION_LEVEL", level)]);
    for known in Level::ALL {
        assert_eq!(level(known.name()).unwrap().compression, known);
    }
    for wrong in ["6", "Fast", "slow"] {
        let error = level(wrong).unwrap_err();
        assert!(error.contains("use fast, default or best"), "{error}");
    }
    assert_eq!(from_environment(&[("EXPURGATE_UPSTREAM", "http://a")]).unwrap().compression, Level::Fast);
}

#[test]
fn an_upstream_is_all_that_is_needed() {
    let config = from_environment(&[("EXPURGATE_UPSTREAM", "https://api.example.com")]).unwrap();
    let route = &config.routes[0];
    assert_eq!((route.name.as_str(), route.path.as_str()), ("default", "/"));
    assert_eq!(config.listener.to_string(), "127.0.0.1:8080");
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.timeouts, Timeouts::default());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let flags = Flags {
        listen: Some("127.0.0.1:33".to_owned()),
        upstream: Some("https://flag.example".to_owned()),
        ..Flags::default()
    };
    let environment = [
        ("EXPURGATE_LISTEN", "127.0.0.1:22"),
        ("EXPURGATE_ADMIN", "127.0.0.1:23"),
        ("EXPURGATE_LIMITS_MAX_REQUESTS", "9"),
        ("EXPURGATE_RULES", "a.toml, b.toml"),
        ("EXPURGATE_ROUTE_0_POLICY_IBAN_CODE", "remove"),
    ];
    let config = Config::load(&sources(ALL, &environment, flags)).unwrap();
    assert_eq!(config.listener.port(), 33);
    assert_eq!(config.admin.port(), 23);
    assert_eq!(config.limits.requests, 9);
    assert_eq!(config.limits.ratio, 5);
    assert_eq!(config.rules.len(), 2);
    let route = &config.routes[0];
    assert_eq!(route.upstream.authority, "flag.example");
    assert_eq!(action(route, "iban.code"), Action::Remove);
}

#[test]
fn the_protocol_of_the_only_route_is_a_variable_like_its_upstream() {
    let upstream = ("EXPURGATE_UPSTREAM", "http://a");
    let config = from_environment(&[upstream, ("EXPURGATE_PROTOCOL", "auto")]).unwrap();
    assert_eq!(config.ignored, Vec::<String>::new());
    let error = from_environment(&[upstream, ("EXPURGATE_PROTOCOL", "otpl")]).unwrap_err();
    assert!(error.starts_with("environment variable EXPURGATE_PROTOCOL: unknown protocol"), "{error}");
}

#[test]
fn a_protocol_alone_is_enough_where_its_pack_has_an_upstream() {
    let flags = Flags { protocol: Some("langsmith".to_owned()), ..Flags::default() };
    let config = Config::load(&sources("", &[], flags)).unwrap();
    assert_eq!(config.routes[0].upstream.to_string(), "https://api.smith.langchain.com");
    assert_eq!(config.routes[0].protocol.as_ref().unwrap().name, "langsmith");
    let config = from_environment(&[("EXPURGATE_PROTOCOL", "gemini"), ("EXPURGATE_UPSTREAM", "http://a")]).unwrap();
    let route = &config.routes[0];
    assert_eq!((route.upstream.to_string(), &route.query_allow), ("http://a".to_owned(), &vec!["key".to_owned()]));
    assert!(!route.policy.protected.is_empty());
}

#[test]
fn what_a_route_says_itself_wins_over_its_pack() {
    let text = "[[route]]\nprotocol = 'gemini'\nquery_allow = ['x']\nheaders = ['X-Goog-Api-Key']\n";
    let config = from_file(text).unwrap();
    assert_eq!(config.routes[0].query_allow, ["x"]);
    let warning =
        "route \"default\": \"headers\" names x-goog-api-key, by which Gemini knows its client: it may be redacted";
    assert_eq!(config.warnings, [warning]);
    assert!(from_file("[[route]]\nprotocol = 'auto'\nupstream = 'http://a'").unwrap().routes[0].protocol.is_none());
}

/// One pack in a file that may be read.
fn read_packs(paths: &[PathBuf]) -> Result<crate::rule::RuleTexts, crate::rule::RuleError> {
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("acme.toml");
    let text = "name = 'acme'\ntitle = 'Acme'\nupstream = 'http://acme.example'\nreferences = ['https://a.example']\n\
                [[example]]\nbody = '\"bob@example.com\"'\nremoves = ['bob@example.com']\n";
    std::fs::write(&path, text).unwrap();
    assert_eq!(paths, [PathBuf::from("packs")]);
    crate::rule::RuleTexts::read(&[path])
}

#[test]
fn packs_of_the_user_are_read_where_the_configuration_says() {
    let with = |sources: Sources| Config::load(&Sources { packs: PackReader(read_packs), ..sources });
    let route = "[[route]]\nprotocol = 'acme'\n";
    let file = format!("[protocols]\npaths = ['packs']\n{route}");
    let flags = Flags { protocols: vec![PathBuf::from("packs")], ..Flags::default() };
    for sources in [
        sources(&file, &[], Flags::default()),
        sources(route, &[("EXPURGATE_PROTOCOLS", "packs")], Flags::default()),
        sources(route, &[], flags),
    ] {
        let config = with(sources).unwrap();
        assert_eq!(config.routes[0].upstream.to_string(), "http://acme.example");
        assert_eq!(config.packs.len(), 1);
    }
}

#[test]
fn a_pack_of_the_user_in_the_place_of_a_built_in_one_is_warned_of() {
    let read = |_: &[PathBuf]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        let text = "title = 'Own'\nname = 'openai'\nupstream = 'http://a'\nreferences = ['https://a.example']\n\
                    [[example]]\nbody = '\"bob@example.com\"'\nremoves = ['bob@example.com']\n";
        std::fs::write(&path, text).unwrap();
        crate::rule::RuleTexts::read(&[path])
    };
    let sources = sources("[[route]]\nprotocol = 'openai'\n", &[("EXPURGATE_PROTOCOLS", "x")], Flags::default());
    let config = Config::load(&Sources { packs: PackReader(read), ..sources }).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    let told = "own.toml:2:8: the pack \"openai\" takes the place of the built-in one; another name would leave both";
    assert!(config.warnings[0].ends_with(told), "{:?}", config.warnings);
}

#[test]
fn headers_of_a_pack_are_redacted_beside_the_usual_ones_unless_the_route_says_which() {
    let headers = |route: &str| {
        from_file(&format!("[[route]]\nprotocol = 'helicone'\n{route}")).unwrap().routes[0].headers.clone()
    };
    let usual = headers("");
    assert!(
        ["referer", "helicone-user-id", "helicone-property-*"].iter().all(|name| usual.iter().any(|own| own == name))
    );
    assert_eq!(headers("headers = ['X-*']"), ["x-*"]);
    assert!(from_file("[[route]]\nupstream = 'http://a'\nheaders = ['con*']").is_err());
    let config = from_file("[[route]]\nprotocol = 'helicone'\nheaders = ['helicone-*']\n").unwrap();
    assert!(
        config.warnings[0].contains("names helicone-*, by which Helicone knows its client"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn offline_only_the_upstreams_may_be_missing() {
    let offline = |file: &str, environment: &[(&str, &str)]| {
        Offline::load(&sources(file, environment, Flags::default())).map_err(|error| error.to_string())
    };
    let nothing = offline("", &[]).unwrap();
    assert!(nothing.complete().is_none());
    assert_eq!(
        nothing.routes().iter().map(|route| (&route.name[..], &route.policy)).collect::<Vec<_>>(),
        [("default", &Policy::default())]
    );
    let policy = offline("", &[("EXPURGATE_ROUTE_0_POLICY_DEFAULT", "report")]).unwrap();
    assert!(policy.routes().iter().all(|route| route.policy.default == Treatment::Report));
    assert!(offline("", &[("EXPURGATE_UPSTREAM", "http://a")]).unwrap().complete().is_some());
    let two = "[[route]]\nname = \"a\"\n[[route]]\nname = \"b\"\npath = \"/b\"\n";
    assert_eq!(offline(two, &[]).unwrap().routes().len(), 2);
    assert!(offline("[[route]]\ntls.cert = \"a\"\ntls.key = \"b\"", &[]).unwrap().complete().is_none());
    for (file, variable, expected) in [
        ("[limits]\nmax_ratio = 0", ("A", ""), "\"max_ratio\" must be at least 1"),
        ("[[route]]\npath = \"v1\"", ("A", ""), "\"path\" must begin with /"),
        ("", ("EXPURGATE_LIMITS_MAX_BODY", "1cow"), "EXPURGATE_LIMITS_MAX_BODY: \"1cow\" is not a size"),
        (two, ("EXPURGATE_ROUTE_0_UPSTREAM", "http://a"), "route \"b\" needs an \"upstream\""),
    ] {
        let error = offline(file, &[variable]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn addresses_that_only_look_alike_are_told_apart() {
    for right in [
        "[[route]]\nupstream = \"http://127.0.0.1:8081\"",
        "[[route]]\nupstream = \"http://10.0.0.1:8080\"",
        "[listener]\naddress = \"127.0.0.2:9090\"\n[[route]]\nupstream = \"http://a\"",
        "[listener]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[[route]]\nupstream = \"http://a\"",
        "[listener]\naddress = \"0.0.0.0:8080\"\n[[route]]\nupstream = \"http://10.0.0.1:8080\"",
    ] {
        assert!(from_file(right).is_ok(), "{right}");
    }
}

#[test]
fn the_rehearsal_has_the_routes_with_certificates() {
    let route = |name: &str, tls: &str| format!("[[route]]\nname = \"{name}\"\npath = \"/{name}\"\n{tls}\n");
    let tls = "tls.ca = \"b.pem\"\ntls.cert = \"b.crt\"\ntls.key = \"b.key\"";
    let text = route("a", "") + &route("b", tls);
    let offline = Offline::load(&sources(&text, &[], Flags::default())).unwrap();
    let names: Vec<String> = offline.rehearsal().routes.into_iter().map(|route| route.name).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let route = "[[route]]\nupstream = \"https://a\"\n";
    for (text, expected) in [
        ("tls.cert = \"a\"", ":2:1: route \"default\": \"tls.cert\" needs \"tls.key\""),
        ("tls.key = \"a\"", ":2:1: route \"default\": \"tls.key\" needs \"tls.cert\""),
        ("tls.ca = \"a\"\n[listener.tls]\n cert = \"a\"", ":6:2: \"listener.tls.cert\" needs \"listener.tls.key\""),
        ("[listener]\ntls = { key = \"a\" }", ":5:9: \"listener.tls.key\" needs \"listener.tls.cert\""),
        ("[listener]\ntls.client_ca = \"a\"", ":5:5: \"listener.tls.client_ca\" needs \"listener.tls.cert\""),
        ("tls.cert = \"a\"\ntls.key = \"b\"\n[listener.tls]\ncert = \"c\"", ":7:1: \"listener.tls.cert\""),
        (
            "[listener.tls]\n# cert = 1",
            ":4:1: [listener.tls] needs \"cert\" and \"key\"; remove the table for plain text",
        ),
        ("[listener]\ntls = {}", ":5:1: [listener.tls] needs"),
    ] {
        let error = from_file(&format!("\n{route}{text}\n")).unwrap_err();
        assert!(error.contains(&format!("expurgate.toml{expected}")), "{error}");
    }
    for key in ["ca", "cert", "key"] {
        let error = from_file(&format!("[[route]]\nupstream = \"http://a\"\ntls.{key} = \"a\"")).unwrap_err();
        assert!(error.contains(&format!("\"tls.{key}\" has no use with an http:// upstream")), "{error}");
    }
    let upstream = ("EXPURGATE_UPSTREAM", "http://a");
    let error = from_environment(&[upstream, ("EXPURGATE_LISTENER_TLS_KEY", "a")]).unwrap_err();
    assert!(error.contains("\"listener.tls.key\" needs \"listener.tls.cert\""), "{error}");
    let pair = [upstream, ("EXPURGATE_LISTENER_TLS_KEY", "a"), ("EXPURGATE_LISTENER_TLS_CERT", "b")];
    assert!(from_environment(&pair).unwrap().listener_tls.is_some());
    let file = sources("[listener.tls]\n", &pair, Flags::default());
    assert!(Config::load(&file).unwrap().listener_tls.is_some());
}

#[test]
fn what_kubernetes_sets_for_a_service_of_our_name_is_ignored() {
    let config = from_environment(&[
        ("EXPURGATE_UPSTREAM", "http://a"),
        ("EXPURGATE_PORT", "tcp://10.0.0.1:8080"),
        ("EXPURGATE_SERVICE_HOST", "10.0.0.1"),
        ("EXPURGATE_PORT_8080_TCP_PROTO", "tcp"),
    ]);
    assert_eq!(config.unwrap().ignored, Vec::<String>::new());
}

#[test]
fn a_misspelt_variable_is_named() {
    let config = from_environment(&[
        ("EXPURGATE_UPSTREAM", "http://a"),
        ("EXPURGATE_CONFIG", "read elsewhere"),
        ("EXPURGATE_LIMITS_MAX_BODI", "1KiB"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(config.unwrap().ignored, ["EXPURGATE_LIMITS_MAX_BODI"]);
}

#[test]
fn mistakes_in_the_file_name_line_column_and_remedy() {
    let cases = [
        (
            "[limits]\nbufer_limit = \"1KiB\"",
            "expurgate.toml:2:1: unknown field `bufer_limit`; did you mean `buffer_limit`?",
        ),
        ("[listner]\naddress = \"a\"", "expurgate.toml:1:2: unknown field `listner`; did you mean `listener`?"),
        ("[[route]]\nprotcol = \"auto\"", "expurgate.toml:2:1: unknown field `protcol`; did you mean `protocol`?"),
        (
            "admin = \"127.0.0.1:9090\"",
            "expurgate.toml:1:9: invalid type: string \"127.0.0.1:9090\", expected a section: [admin], and in it address = \"127.0.0.1:9090\"",
        ),
        ("[log]\ncolour = 1", "expurgate.toml:2:1: unknown field `colour`, expected `level` or `format`"),
        ("[rules]\npaths = \"rules.d\"", "expurgate.toml:2:9: write a list, like [\"rules.d\"]"),
        ("[limits]\nbuffer_limit = \"1 cow\"", "expurgate.toml:2:16: \"1 cow\" is not a size"),
        ("[listener]\naddress = \"8080\"", "expurgate.toml:2:11: \"8080\" is not an address"),
        ("[[route]]\nupstream = \"api\"", "expurgate.toml:2:12: not an upstream"),
        (
            "[[route]]\nupstream = \"http://a\"\n[route.policy]\nX = \"hide\"",
            "expurgate.toml:4:5: unknown action \"hide\"",
        ),
        (
            "[[route]]\nname=\"a\"\nupstream=\"http://a\"\n[[route]]\nname=\"b\"\n",
            "expurgate.toml:4:1: route \"b\" needs an \"upstream\"",
        ),
        (
            "[[route]]\nupstream = \"http://a\"\n[route.policy]\nX = { action = \"mask\", keep_last = 99 }",
            "expurgate.toml:4:5: \"keep_first\" and \"keep_last\" must not exceed 16",
        ),
        (
            "[[route]]\nupstream = \"http://a\"\n[route.policy]\nX = { action = \"mask\", template = \"a\" }",
            "expurgate.toml:4:5: \"template\" is an option of \"replace\", not of \"mask\"",
        ),
        (
            "[[route]]\nupstream = \"http://a\"\n[route.policy]\nX = { action = \"replace\", template = \"a'\" }",
            "expurgate.toml:4:5: a template must not hold '\\''",
        ),
        ("[[route]]\npolicy.X = { action = \"mask\", keep = 1 }", "expurgate.toml:2:31: unknown field `keep`"),
        (
            "[[route]]\npolicy.X = 1",
            "expurgate.toml:2:12: invalid type: integer `1`, expected an action, like \"mask\"",
        ),
        (
            "[[route]]\nupstream = \"http://a\"\n[route.policy]\nY = \"mask\"\nX = \"hash\"",
            "expurgate.toml:5:1: route \"default\": X: \"hash\" needs a key: set hash.keys.k1 = \"/path/to/a/file\", or \
             EXPURGATE_HASH_KEYS=k1=/path/to/a/file",
        ),
        ("[hash.keys]\nk1 = \"hex:6f1d0c5b\"", "expurgate.toml:2:1: hash.keys.k1: this is a key; write it"),
        ("[hash.keys]\nk1 = \"nowhere\"", "expurgate.toml:2:1: hash.keys.k1: nowhere: cannot be read: "),
        ("[hash.keys]\nk1 = \"short\"", "expurgate.toml:2:1: hash.keys.k1: short: the key has 5 bytes, but needs 32"),
        (
            "[hash.keys]\na = \"one of at least thirty-two bytes\"\nb = \"one of at least thirty-two bytes\"",
            "expurgate.toml:3:1: hash.keys.b: one of at least thirty-two bytes: holds the same key as a",
        ),
        ("[hash]\nactive = \"k9\"", "expurgate.toml:2:1: hash.active: there is no key \"k9\": set hash.keys.k9"),
        ("[hash]\nbits = 63", "expurgate.toml:2:1: hash.bits: \"bits\" must be a multiple of 8 from 64 to 256"),
        (
            "[[route]]\nprotocol = \"otpl\"",
            "expurgate.toml:2:1: unknown protocol \"otpl\"; did you mean \"otlp\"? known are auto, agentops, ",
        ),
        (
            "[[route]]\nprotocol = \"sentry\"",
            "expurgate.toml:1:1: route \"default\" needs an \"upstream\" (or --upstream URL): of Sentry, the host of your DSN",
        ),
        ("a = [", "expurgate.toml:1:"),
        ("[route]\nupstream = \"http://a\"", "expurgate.toml:1:1: write [[route]], with two brackets"),
        (
            "[limits]\nmax_body = 1048576",
            "expurgate.toml:2:12: invalid type: integer `1048576`, expected a size; write one like \"256KiB\"",
        ),
        (
            "[timeouts]\ndrain = 30",
            "expurgate.toml:2:9: invalid type: integer `30`, expected a duration; write one like \"30s\"",
        ),
        ("[timeouts]\ndrain = \"1.5s\"", "expurgate.toml:2:9: \"1.5s\" is not a whole number with a unit, such as 30s"),
        ("[timeouts]\ndrain = \"0s\"", "expurgate.toml:2:9: \"0s\" is not a duration above zero"),
        (
            "[[route]]\nupstream = \"http://localhost:8080/v1\"",
            "expurgate.toml:2:1: route \"default\": the upstream is this proxy's own address",
        ),
        (
            "[listener]\naddress = \"0.0.0.0:80\"\n[[route]]\nupstream = \"http://127.0.0.1\"",
            "expurgate.toml:4:1: route \"default\": the upstream is this proxy's own address",
        ),
        (
            "[listener]\naddress = \"127.0.0.1:9090\"\n[[route]]\nupstream = \"http://a\"",
            "the listener 127.0.0.1:9090 and the admin port 127.0.0.1:9090 are one; give one another port",
        ),
        (
            "[admin]\naddress = \"[::]:8080\"\n[[route]]\nupstream = \"http://a\"",
            "expurgate.toml:2:1: the listener 127.0.0.1:8080 and the admin port [::]:8080 are one; give one another port",
        ),
    ];
    for (text, expected) in cases {
        let error = from_file(text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn routes_may_come_from_variables_in_any_order() {
    let mut variables = [
        ("EXPURGATE_ROUTE_1_NAME", "b"),
        ("EXPURGATE_ROUTE_1_PATH", "/b"),
        ("EXPURGATE_ROUTE_1_UPSTREAM", "http://b"),
        ("EXPURGATE_ROUTE_0_NAME", "a"),
        ("EXPURGATE_ROUTE_0_UPSTREAM", "http://a"),
    ];
    for _ in 0..variables.len() {
        variables.rotate_left(1);
        let config = from_environment(&variables).unwrap();
        let names: Vec<&str> = config.routes.iter().map(|route| route.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "{variables:?}");
    }
}

#[test]
fn what_could_never_be_met_is_a_mistake() {
    let route = |key: &str| from_file(&format!("[[route]]\nupstream = \"http://a\"\n{key}"));
    for wrong in [
        "pass = [\"image/*\"]",
        "pass = [\"png\"]",
        "pass = [\"\"]",
        "host = \"a.example:8080\"",
        "path = \"/a/../b\"",
        "headers = [\"a b\"]",
        "headers = [\"Content-Type\"]",
        "headers = [\"host\"]",
    ] {
        let error = route(wrong).unwrap_err();
        assert!(error.starts_with("expurgate.toml:1:1: route \"default\": "), "{error}");
    }
    for right in ["pass = [\"application/vnd.x+json\"]", "host = \"[::1]\"", "host = \"::1\""] {
        assert!(route(right).is_ok(), "{right}");
    }
}

#[test]
fn the_builtin_rules_are_used_unless_told_otherwise() {
    let upstream = ("EXPURGATE_UPSTREAM", "http://a");
    assert!(from_environment(&[upstream]).unwrap().builtin_rules);
    let without = from_environment(&[upstream, ("EXPURGATE_RULES_BUILTIN", "false")]);
    assert!(!without.unwrap().builtin_rules);
    let error = from_environment(&[upstream, ("EXPURGATE_RULES_BUILTIN", "off")]).unwrap_err();
    assert!(error.starts_with("environment variable EXPURGATE_RULES_BUILTIN: "), "{error}");
}

#[test]
fn mistakes_in_variables_and_flags_name_them() {
    let error = from_environment(&[("EXPURGATE_TIMEOUTS_HEAD", "soon")]).unwrap_err();
    assert!(error.starts_with("environment variable EXPURGATE_TIMEOUTS_HEAD: \"soon\" is not"), "{error}");
    let flags = Flags { upstream: Some("nowhere".to_owned()), ..Flags::default() };
    let error = Config::load(&sources("", &[], flags)).unwrap_err();
    assert!(error.to_string().starts_with("--upstream: not an upstream"));
    let error = from_environment(&[]).unwrap_err();
    assert!(error.contains("EXPURGATE_UPSTREAM"), "{error}");
}

#[test]
fn an_entity_that_no_rule_finds_is_an_error_with_its_place() {
    let config = from_file(ALL).unwrap();
    let ruleset = Ruleset { rules: Vec::new(), hash: String::new() };
    let error = config.check_entities(&ruleset).unwrap_err().to_string();
    assert!(error.contains("no rule finds the entity EMAIL_ADDRESS"), "{error}");
    assert!(error.starts_with("expurgate.toml:"), "{error}");
}

#[test]
fn hosts_and_paths_are_written_in_one_way() {
    let place = |path: &str, host: &str| {
        let route = format!("[[route]]\nupstream = \"http://a\"\npath = \"{path}\"\nhost = \"{host}\"");
        let route = from_file(&route).unwrap().routes.remove(0);
        (route.path, route.host.unwrap())
    };
    assert_eq!(place("/api/", "::1"), ("/api".to_owned(), "[::1]".to_owned()));
    assert_eq!(place("/", "[0::1]"), ("/".to_owned(), "[::1]".to_owned()));
    assert_eq!(place("//", "A.example."), ("/".to_owned(), "a.example".to_owned()));
}

#[test]
fn two_routes_may_share_neither_name_nor_place() {
    let route =
        |name: &str, path: &str| format!("[[route]]\nname = \"{name}\"\npath = \"{path}\"\nupstream = \"http://a\"\n");
    assert!(from_file(&(route("a", "/") + &route("b", "/b"))).is_ok());
    assert!(from_file(&(route("a", "/") + &route("a", "/b"))).is_err());
    assert!(from_file(&(route("a", "/") + &route("b", "/"))).is_err());
    assert!(from_file(&(route("a", "/api") + &route("b", "/api/"))).is_err());
}

const TWO_KEYS: &str = "k1=one of at least thirty-two bytes, k2=two of at least thirty-two bytes!";

#[test]
fn actions_and_keys_may_come_from_variables_and_flags() {
    let environment = [
        ("EXPURGATE_UPSTREAM", "http://a"),
        ("EXPURGATE_HASH_KEYS", TWO_KEYS),
        ("EXPURGATE_HASH_ACTIVE", "k2"),
        ("EXPURGATE_ROUTE_0_POLICY_PII", "hash"),
        ("EXPURGATE_ROUTE_0_POLICY_US_SSN", "{ action = \"mask\", keep_last = 4 }"),
    ];
    let flags = Flags { actions: vec!["default=remove".into(), "IBAN_CODE=block".into()], ..Flags::default() };
    let config = Config::load(&sources("", &environment, flags)).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].ends_with("may be read by everybody; `chmod 600` it"), "{:?}", config.warnings);
    let route = &config.routes[0];
    for (rule, expected) in [
        ("email.address", Action::Hash),
        ("us.ssn", Action::Mask),
        ("iban.code", Action::Block),
        ("key.password", Action::Remove),
    ] {
        assert_eq!(action(route, rule), expected, "{rule}");
    }
    let mask = Treatment::Mask(Mask::default().keeping(0, 4).unwrap());
    assert_eq!(route.policy.entities["US_SSN"], mask);
    for (name, value, expected) in [
        (
            "EXPURGATE_HASH_KEYS",
            "k1=/a,k1=/b",
            "environment variable EXPURGATE_HASH_KEYS: k1 is named twice; leave one out",
        ),
        ("EXPURGATE_HASH_KEYS", "k1", "environment variable EXPURGATE_HASH_KEYS: \"k1\" has no ="),
        ("EXPURGATE_HASH_BITS", "many", "environment variable EXPURGATE_HASH_BITS: \"many\" is not a whole number"),
        ("EXPURGATE_ROUTE_0_POLICY_X", "{ action", "environment variable EXPURGATE_ROUTE_0_POLICY_X: not a table"),
        ("EXPURGATE_ROUTE_0_POLICY_X", "hide", "environment variable EXPURGATE_ROUTE_0_POLICY_X: unknown action"),
        ("EXPURGATE_ROUTE_0_POLICY_X", "hash", "route \"default\": X: which key? set hash.active to one of k1, k2"),
    ] {
        let variables = [("EXPURGATE_UPSTREAM", "http://a"), ("EXPURGATE_HASH_KEYS", TWO_KEYS), (name, value)];
        let error = from_environment(&variables).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let wrong = Flags { actions: vec!["mask".into()], ..Flags::default() };
    let error = Config::load(&sources("", &environment, wrong)).unwrap_err().to_string();
    assert!(error.starts_with("--action: \"mask\" is not ENTITY=ACTION"), "{error}");
}

#[test]
fn a_route_may_use_another_key_than_the_active_one() {
    let route = |name: &str, action: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"http://a\"\npolicy.default = {action}\n"
        )
    };
    let keys = "hash = { active = \"k2\", keys = { k1 = \"one of at least thirty-two bytes\", \
                k2 = \"two of at least thirty-two bytes\" } }\n";
    let text = [keys, &route("a", "\"hash\""), &route("b", "{ action = \"hash\", key = \"k1\", bits = 96 }")].concat();
    let config = from_file(&text).unwrap();
    let used: Vec<String> = config.routes.iter().map(|route| format!("{:?}", route.policy.default)).collect();
    assert!(used[0].contains("\"k2\"") && used[0].contains("digits: 16"), "{used:?}");
    assert!(used[1].contains("\"k1\"") && used[1].contains("digits: 24"), "{used:?}");
    let error = from_file(&text.replace("key = \"k1\"", "key = \"k3\"")).unwrap_err();
    let expected = "expurgate.toml:11:8: route \"b\": default: there is no key \"k3\"; hash.keys has k1, k2";
    assert_eq!(error, expected);
}

/// What may and what must not stand where a schema is, as TOML.
fn samples(schema: &serde_json::Value) -> (Vec<String>, Vec<&'static str>) {
    if let Some(names) = schema["enum"].as_array() {
        return (names.iter().map(ToString::to_string).collect(), vec!["\"nonsense\"", "1"]);
    }
    let (good, bad) = match (schema["type"].as_str(), schema["pattern"].as_str()) {
        (None, _) => ("\"mask\"", vec!["\"nonsense\"", "{ keep_last = 1 }", "1"]),
        (Some("boolean"), _) => ("false", vec!["\"no\"", "0"]),
        (Some("array"), _) => ("[\"x-a\"]", vec!["\"a/b\"", "[1]"]),
        (Some("object"), _) => ("{ k1 = \"one of at least thirty-two bytes\" }", vec!["\"a\"", "{ k1 = 1 }"]),
        (Some("integer"), _) if schema["multipleOf"] == 8 => ("72", vec!["70", "56", "264", "\"72\""]),
        (Some("integer"), _) => ("1", vec!["0", "-1", "4294967296", "\"1\""]),
        (_, None) => ("\"k1\"", vec!["1", "[]"]),
        (_, Some(pattern)) if pattern.contains("KiB") => ("\"9 KiB\"", vec!["\"9 cows\"", "9"]),
        (_, Some(pattern)) if pattern.contains("ms") => ("\"9ms\"", vec!["\"9\"", "\"9 years\"", "9"]),
        (_, Some("^/")) => ("\"/a\"", vec!["\"a\"", "1"]),
        (_, Some("^https?://")) => ("\"https://a\"", vec!["\"ftp://a\"", "1"]),
        (_, Some(pattern)) if pattern == spec::PACK => ("\"langsmith\"", vec!["\"own\"", "\"Own\"", "1"]),
        _ => ("\"127.0.0.1:1\"", vec!["\"127.0.0.1\"", "1"]),
    };
    (vec![good.to_owned()], bad)
}

/// A file in which a key of a section has a value, and all else that it needs.
fn with(section: &str, key: &str, value: &str) -> String {
    let keys = match key {
        "active" => "keys = { k1 = \"one of at least thirty-two bytes\" }\n",
        "breaker.pause" => "breaker.failures = 1\n",
        "tls.cert" => "tls.key = \"b\"\n",
        "tls.key" => "tls.cert = \"b\"\n",
        "tls.client_ca" => "tls.key = \"b\"\ntls.cert = \"b\"\n",
        _ => "",
    };
    let upstream = if key == "upstream" { "" } else { "upstream = \"https://a\"\n" };
    match section {
        "route" => format!("[[route]]\n{upstream}{keys}{key} = {value}\n"),
        _ => format!("[{section}]\n{keys}{key} = {value}\n[[route]]\n{upstream}"),
    }
}

#[test]
fn the_schema_says_what_the_parser_takes() {
    let schema = schema();
    let mut seen = 0;
    let mut check = |section: &str, key: &str, schema: &serde_json::Value| {
        assert!(schema["description"].is_string(), "{section}.{key}");
        let (good, bad) = samples(schema);
        for value in good {
            let value = match key {
                // A list that is not one of names.
                "pass" => value.replace("x-a", "a/b"),
                // More than the buffer of one.
                "max_buffered" => value.replace("KiB", "GiB"),
                _ => value,
            };
            let file = with(section, key, &value);
            assert_eq!(from_file(&file).err(), None, "{section}.{key} = {value}");
        }
        for value in bad {
            assert!(from_file(&with(section, key, value)).is_err(), "{section}.{key} = {value}");
        }
        seen += 1;
    };
    for (section, table) in schema["properties"].as_object().unwrap() {
        let table = if section == "route" { &table["items"] } else { table };
        assert_eq!(table["additionalProperties"], false, "{section}");
        for (key, value) in table["properties"].as_object().unwrap() {
            match value["properties"].as_object() {
                None => check(section, key, value),
                Some(keys) => keys.iter().for_each(|(inner, value)| check(section, &format!("{key}.{inner}"), value)),
            }
        }
    }
    assert_eq!(seen, layers::variables().len() + spec::POLICY_KEYS.len());
}

#[test]
fn the_schema_of_actions_has_the_options_of_each() {
    let schema = schema();
    let forms = schema["$defs"]["action"]["anyOf"].as_array().unwrap();
    let mut options = 0;
    for form in forms.iter().filter(|form| form["type"] == "object") {
        let properties = form["properties"].as_object().unwrap();
        let action = properties["action"]["const"].as_str().unwrap();
        for (option, schema) in properties.iter().filter(|(option, _)| *option != "action") {
            let value = match (option.as_str(), schema["minimum"].as_u64()) {
                ("template", _) => "\"<{entity}>\"".to_owned(),
                ("key", _) => "\"k1\"".to_owned(),
                ("character", _) => schema["enum"][0].to_string(),
                (_, Some(minimum)) => minimum.to_string(),
                _ => "true".to_owned(),
            };
            let keys = "hash.keys.k1 = \"one of at least thirty-two bytes\"\n";
            let file = |action: &str| {
                keys.to_owned()
                    + &with("route", "policy.default", &format!("{{ action = \"{action}\", {option} = {value} }}"))
            };
            assert_eq!(from_file(&file(action)).err(), None, "{action} {option}");
            let other = if action == "remove" { "block" } else { "remove" };
            assert!(from_file(&file(other)).is_err(), "{other} {option}");
            options += 1;
        }
        let known = from_file(&with("route", "policy.default", &format!("{{ action = \"{action}\", nonsense = 1 }}")));
        let known = known.unwrap_err();
        assert!(known.contains("unknown field `nonsense`"), "{known}");
        for option in known.split('`').skip(3).step_by(2) {
            let in_schema = forms.iter().any(|form| form["properties"].get(option).is_some());
            assert!(in_schema, "{option} is not in the schema");
        }
    }
    assert_eq!(options, 8);
}
