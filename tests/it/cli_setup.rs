//! What commands read before they work: flags, variables, files, rules.

use crate::cli::{expurgate, expurgate_with};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

/// A file with this text; its path is `file.to_str()`.
struct File(tempfile::NamedTempFile);

impl File {
    fn new(text: &str) -> Self {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A rule whose pattern is right.
const RULE: &str = "[[rule]]\nid = 'acme.key'\nentity = 'ACME_KEY'\ncategory = 'credential'\ndescription = 'Acme'\n\
                    pattern = 'acme_[a-z0-9]{8}'\nexamples = ['acme_a1b2c3d4']\nnegative_examples = ['acme']\n";

/// One that does not find its example.
fn failing() -> File {
    File::new(&RULE.replace("acme_a1b2c3d4", "acme_"))
}

#[test]
fn check_passes_the_built_in_rules_and_names_what_is_wrong_in_others() {
    let output = expurgate(&["check"], b"");
    assert_eq!((code(&output), told(&output).starts_with("valid: no upstream, ")), (Some(0), true));
    let rule = failing();
    let output = expurgate(&["check", "--rules", rule.path()], b"");
    assert_eq!(code(&output), Some(2));
    let problem = "acme.key: in `acme_` as text: expected `acme_`, the pipeline found nothing";
    assert!(told(&output).contains(&format!("{}:7:13: {problem}", rule.path())), "{}", told(&output));
}

#[test]
fn a_pattern_that_cannot_be_compiled_is_told_with_its_place() {
    let rule = File::new(&RULE.replace("acme_[a-z0-9]{8}", "[a-f0-9]{32}"));
    for command in ["check", "scan"] {
        let output = expurgate(&[command, "--rules", rule.path()], b"");
        assert_eq!(code(&output), Some(2));
        assert!(told(&output).contains(&format!("{}:6:11: ", rule.path())), "{}", told(&output));
        assert!(told(&output).contains("needs a fixed text"), "{}", told(&output));
    }
}

#[test]
fn an_override_that_excludes_an_example_is_valid() {
    let file = File::new("[[override]]\nid = 'us.ssn'\nkeywords = ['ssn']\n");
    assert_eq!(code(&expurgate(&["check", "--rules", file.path()], b"")), Some(0));
}

#[test]
fn check_reads_every_flag_and_variable_without_an_upstream() {
    for (args, variable, expected) in [
        (&["--listen", "nonsense"][..], None, "--listen: \"nonsense\" is not an address"),
        (&["--admin", "nonsense"], None, "--admin: \"nonsense\" is not an address"),
        (&["--log-format", "xml"], None, "--log-format: \"xml\" is not a log format"),
        (&["--protocol", "otpl"], None, "--protocol: unknown protocol"),
        (&[], Some(("EXPURGATE_LIMITS_MAX_BODY", "1cow")), "EXPURGATE_LIMITS_MAX_BODY: \"1cow\" is not a size"),
        (&[], Some(("EXPURGATE_ROUTE_0_POLICY_EMAIL_ADDRES", "report")), "did you mean EMAIL_ADDRESS?"),
        (&["--action", "EMAIL=mask"], None, "no rule finds the entity EMAIL; did you mean EMAIL_ADDRESS?"),
        (&["--listen", "127.0.0.1:9090"], None, "and the admin port 127.0.0.1:9090 are one; give one another port"),
    ] {
        let output = expurgate_with(variable.as_slice(), &[&["check"], args].concat(), b"");
        assert_eq!(code(&output), Some(2), "{expected}");
        assert!(told(&output).contains(expected), "{}", told(&output));
    }
    let output = expurgate_with(&[("EXPURGATE_UPSTREAM", "http://a")], &["check"], b"");
    assert!(told(&output).starts_with("valid: 1 route, "), "{}", told(&output));
}

#[test]
fn check_wants_the_upstream_of_a_route_as_run_does() {
    let file = File::new("# mine\n[[route]]\nname = 'llm'\n");
    for command in ["check", "run"] {
        let output = expurgate(&[command, "--config", file.path()], b"");
        let error = format!("error: {}:2:1: route \"llm\" needs an \"upstream\"\n", file.path());
        assert_eq!((code(&output), told(&output)), (Some(2), error), "{command}");
    }
    let with = ["check", "--config", file.path(), "--upstream", "http://a"];
    assert!(told(&expurgate(&with, b"")).starts_with("valid: 1 route, "));
    let without = ["check", "--action", "EMAIL_ADDRESS=mask"];
    assert!(told(&expurgate(&without, b"")).starts_with("valid: no upstream, "));
    // What sends nothing needs none.
    assert_eq!(code(&expurgate(&["scan", "--config", file.path()], b"{}")), Some(0));
}

#[test]
fn a_directory_without_rule_files_is_told() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.tml"), RULE).unwrap();
    let path = directory.path().to_str().unwrap();
    let told_of = format!("{path}: no *.toml file in it\n");
    let tested = expurgate(&["rules", "test", path], b"");
    assert_eq!((code(&tested), told(&tested)), (Some(2), format!("error: {told_of}")));
    let checked = expurgate(&["check", "--rules", path], b"");
    assert_eq!(code(&checked), Some(0));
    assert!(told(&checked).contains(&format!("warning: {told_of}")), "{}", told(&checked));
    std::fs::write(directory.path().join("rules.toml"), RULE).unwrap();
    assert!(!told(&expurgate(&["check", "--rules", path], b"")).contains("warning"));
}

#[test]
fn check_reads_the_certificates() {
    let route = |ca: &str, upstream: &str| File::new(&format!("[[route]]\ntls.ca = '{ca}'\n{upstream}\n"));
    let none = File::new("no certificate");
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["ca.example".to_owned()]).unwrap();
    let one = File::new(&params.self_signed(&key).unwrap().pem());
    let upstream = "upstream = 'https://a.example'";
    for (ca, expected) in [("/no/such.pem", 3), (none.path(), 2), (one.path(), 0)] {
        let output = expurgate(&["check", "--config", route(ca, upstream).path()], b"");
        assert_eq!(code(&output), Some(expected), "{ca} {}", told(&output));
    }
    let key = File::new(&key.serialize_pem());
    for (key, expected) in [("/no/such.key", 3), (none.path(), 2), (one.path(), 2), (key.path(), 0)] {
        let pair = format!("cert = '{}'\nkey = '{key}'\n", one.path());
        for section in ["[listener.tls]\n", "[[route]]\nupstream = 'https://a.example'\n[route.tls]\n"] {
            let file = File::new(&format!("{section}{pair}"));
            let output = expurgate(&["check", "--config", file.path()], b"");
            assert_eq!(code(&output), Some(expected), "{section}{pair} {}", told(&output));
            let (line, of) = if section.contains("route") { (5, "route \"default\": ") } else { (3, "listener.") };
            // One file for both is first that of the certificate.
            let (line, name) = if key == one.path() { (line - 1, "cert") } else { (line, "key") };
            let place = format!("error: {}:{line}:1: {of}tls.{name}: {key} ", file.path());
            assert!(expected == 0 || told(&output).starts_with(&place), "{}", told(&output));
        }
    }
}

#[test]
fn an_unreadable_file_ends_with_3_whichever_it_is() {
    let ca = File::new("[[route]]\ntls.ca = '/no/such.pem'\nupstream = 'https://a.example'\n");
    for args in [
        &["check", "--config", "/no/such.toml"][..],
        &["check", "--rules", "/no/such.toml"],
        &["rules", "list", "--rules", "/no/such.toml"],
        &["scan", "--rules", "/no/such.toml"],
        &["run", "--upstream", "http://a", "--rules", "/no/such.toml"],
        &["run", "--config", ca.path()],
    ] {
        let output = expurgate(args, b"");
        assert_eq!(code(&output), Some(3), "{args:?}: {}", told(&output));
        assert!(told(&output).contains("/no/such."), "{}", told(&output));
    }
}

#[test]
fn a_relative_path_that_is_not_there_is_told_with_its_place_and_where_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().canonicalize().unwrap();
    let route = "[[route]]\nupstream = 'https://a.example'\n";
    for (text, place) in [
        (format!("[rules]\npaths = ['rules.d']\n{route}"), "2:1: rules.paths: rules.d: cannot be read: "),
        (format!("[protocols]\npaths = ['packs']\n{route}"), "2:1: protocols.paths: packs: cannot be read: "),
        (format!("[hash.keys]\nk1 = 'k1.key'\n{route}"), "2:1: hash.keys.k1: k1.key: cannot be read: "),
        (format!("{route}tls.ca = 'ca.pem'\n"), "3:1: route \"default\": tls.ca: ca.pem cannot be read: "),
    ] {
        let file = File::new(&text);
        for command in ["check", "run"] {
            let output = crate::cli::expurgate_in(folder.path(), &[command, "--config", file.path()]);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(code(&output), Some(3), "{told}");
            assert!(told.starts_with(&format!("error: {}:{place}", file.path())), "{told}");
            let ending = format!("; the path starts at the working directory, {}\n", here.display());
            assert!(told.ends_with(&ending), "{told}");
        }
    }
}

#[test]
fn run_does_not_start_with_a_rule_that_fails_its_examples() {
    // Taken, so that a proxy that got this far would end, with 3.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = |rules: &File| {
        expurgate(&["run", "--upstream", "http://a", "--listen", &address, "--rules", rules.path()], b"")
    };
    assert_eq!(code(&run(&File::new(RULE))), Some(3));
    let rule = failing();
    let output = run(&rule);
    assert_eq!(code(&output), Some(2));
    assert!(told(&output).contains(&format!("{}:7:13: acme.key: in `acme_`", rule.path())), "{}", told(&output));
}

#[test]
fn all_commands_read_the_same_layers() {
    let (rule, input) = (File::new(RULE), b"acme_a1b2c3d4 bob@example.com");
    let redacted = |variables: &[(&str, &str)], args: &[&str]| {
        let output = expurgate_with(variables, &[&["redact"], args].concat(), input);
        String::from_utf8(output.stdout).unwrap()
    };
    let paths = ("EXPURGATE_RULES_PATHS", rule.path());
    let alone = ("EXPURGATE_RULES_BUILTIN", "false");
    assert_eq!(redacted(&[paths], &[]), "[ACME_KEY] [EMAIL_ADDRESS]");
    assert_eq!(redacted(&[("EXPURGATE_RULES", rule.path())], &[]), "[ACME_KEY] [EMAIL_ADDRESS]");
    assert_eq!(redacted(&[alone, paths], &[]), "[ACME_KEY] bob@example.com");
    let policy = ("EXPURGATE_ROUTE_0_POLICY_EMAIL_ADDRESS", "report");
    assert_eq!(redacted(&[paths, policy], &[]), "[ACME_KEY] bob@example.com");

    let report = ("EXPURGATE_ROUTE_0_POLICY_ACME_KEY", "report");
    let scanned = told(&expurgate_with(&[report, alone, paths], &["scan", "--output", "jsonl"], input));
    assert!(scanned.contains(r#""rule":"acme.key","category":"credential","action":"report""#), "{scanned}");
    assert!(!scanned.contains("EMAIL_ADDRESS"), "{scanned}");
    let listed = told(&expurgate_with(&[alone, paths], &["rules", "list"], b""));
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let checked = told(&expurgate_with(&[alone, paths], &["check"], b""));
    assert!(checked.starts_with("valid: no upstream, 1 rules"), "{checked}");
}

#[test]
fn rules_list_reads_the_configuration() {
    let rule = File::new(RULE);
    let config = File::new(&format!("[rules]\nbuiltin = false\npaths = ['{}']\n", rule.path()));
    for (variables, args) in
        [(&[][..], &["--config", config.path()][..]), (&[("EXPURGATE_CONFIG", config.path())], &[])]
    {
        let listed = told(&expurgate_with(variables, &[&["rules", "list"], args].concat(), b""));
        assert!(listed.lines().count() == 2 && listed.contains("acme.key"), "{listed}");
    }
}

#[test]
fn a_variable_that_is_not_known_is_warned_of_by_every_command() {
    for args in [&["redact"][..], &["scan"], &["check"], &["rules", "list"]] {
        let output = expurgate_with(&[("EXPURGATE_LIMITS_MAX_BODI", "1KiB")], args, b"");
        assert_eq!(code(&output), Some(0));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("EXPURGATE_LIMITS_MAX_BODI is not known"), "{args:?} {error}");
    }
}

#[test]
fn rules_are_given_one_by_one() {
    let (one, two) = (File::new(RULE), File::new(&RULE.replace("acme.key", "acme.other")));
    for command in [&["check"][..], &["redact"], &["scan"], &["rules", "list"]] {
        let repeated = [command, &["--rules", one.path(), "--rules", two.path()]].concat();
        assert_eq!(code(&expurgate(&repeated, b"")), Some(0), "{command:?}");
    }
    for command in ["run", "check"] {
        assert_eq!(code(&expurgate(&[command, "--rules", one.path(), two.path()], b"")), Some(2), "{command}");
    }
}

/// A file with a key, which these permission bits protect.
fn key_file(content: &str, mode: u32) -> File {
    let file = File::new(content);
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    file
}

#[test]
fn key_files_are_checked_and_never_shown() {
    let key = "hex:6f1d0c5b8a9e42d7b3f86a1c95e07d42c4a8f16e3b7d905a2e8c41f7d6093bb5\n";
    for (content, mode, expected, wanted) in [
        (key, 0o600, 0, ""),
        (key, 0o644, 0, "may be read by everybody; `chmod 600` it"),
        (key, 0o606, 2, "may be written by everybody; `chmod 600` it"),
        ("hex:6f1d0c5b8a9e42d7", 0o600, 2, "the key has 8 bytes, but needs 32; make one with `openssl rand -hex 32`"),
        ("hex:6f1d0c5b8a9e42dx", 0o600, 2, "is not valid hex behind"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0o600, 2, "the key is not random"),
    ] {
        let file = key_file(content, mode);
        let keys = format!("k1={}", file.path());
        let variables = [("EXPURGATE_HASH_KEYS", keys.as_str()), ("EXPURGATE_ROUTE_0_POLICY_DEFAULT", "hash")];
        let output = expurgate_with(&variables, &["redact"], b"mail jane@example.com");
        assert_eq!(code(&output), Some(expected), "{}", told(&output));
        assert!(told(&output).contains(wanted) && !told(&output).contains("6f1d0c5b"), "{}", told(&output));
        assert_eq!(told(&output).contains("mail [EMAIL_ADDRESS:k1:8cd3a9676750d4d7]"), expected == 0);
    }
    let missing = [("EXPURGATE_HASH_KEYS", "k1=/nowhere/k1.key")];
    let output = expurgate_with(&missing, &["check"], b"");
    assert_eq!(code(&output), Some(3));
    assert!(told(&output).starts_with("error: hash.keys.k1: /nowhere/k1.key: cannot be read: "), "{}", told(&output));
}

#[test]
fn an_action_whose_output_would_be_found_again_starts_nothing() {
    let template = "PHONE_NUMBER={ action = \"replace\", template = \"call 415-555-0123\" }";
    let mistake = "error: --action: PHONE_NUMBER: \"replace\" of PHONE_NUMBER writes `call 415-555-0123`, in which the \
                   rule phone.nanp would find a value again";
    for command in
        [&["check"][..], &["redact"], &["run", "--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0"]]
    {
        let output = expurgate(&[command, &["--action", template]].concat(), b"");
        assert_eq!(code(&output), Some(2), "{command:?}: {}", told(&output));
        assert!(told(&output).contains(mistake), "{command:?}: {}", told(&output));
    }
    let output = expurgate(&["redact", "--action", "EMAIL_ADDRES=mask"], b"");
    assert_eq!(code(&output), Some(2));
    let mistake = "error: --action: no rule finds the entity EMAIL_ADDRES; did you mean EMAIL_ADDRESS?";
    assert!(told(&output).starts_with(mistake), "{}", told(&output));
}
