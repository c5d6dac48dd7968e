//! Protocol packs: what a known upstream needs, and where its bodies hold what
//! must stay. One vendor per file; see `docs/protocols.md` for the format.
//!
//! A pack file is read by `read` (`spec` has all fields), the built-in packs are
//! in `builtin`. A [`Pack`] that exists is valid: its paths and patterns parse,
//! and it has an example. What a pack protects is narrow by its type: a place
//! *and* what the value there must look like, see [`Shape`].

mod builtin;
mod names;
mod read;
mod spec;

pub use names::{covers, is_media_type, may_be_redacted};
pub use spec::schema;

use super::names::nearest;
use super::{Category, PathPattern, Place, RuleError, RuleTexts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of what suits all: no pack.
pub const AUTO: &str = "auto";

/// What is known of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Lower-case words joined by dashes, such as `azure-openai`.
    pub name: String,
    /// The vendor's own spelling.
    pub title: String,
    /// Where requests go unless told; `None` where that depends on an account.
    pub upstream: Option<String>,
    /// Which URL to look for, where there is none.
    pub upstream_hint: Option<String>,
    /// What else the user should know.
    pub note: Option<String>,
    /// What points an SDK at the proxy.
    pub environment: Vec<Variable>,
    /// Parameters of the query by which the upstream knows its client.
    pub query_allow: Vec<String>,
    /// Headers by which it does.
    pub credential_headers: Vec<String>,
    /// Headers that carry data, in lower case; with a star at its end the beginning
    /// of a name.
    pub headers: Vec<String>,
    /// Media types, in lower case, of parts that pass unscanned if they are no text.
    pub pass: Arc<[String]>,
    /// Values that stay.
    pub protected: Arc<[Protected]>,
    /// How the format of a body is named, beside its `Content-Type`.
    pub body: Option<Arc<NamedFormats>>,
    /// Bodies, with what of them must stay and what must not.
    pub examples: Vec<PackExample>,
    /// The vendor's documentation.
    pub references: Vec<String>,
    /// Where its name stands.
    pub place: Place,
    /// Whether it came with the program.
    pub builtin: bool,
    /// Whether it took the place of one that did.
    pub replaces: bool,
    /// The file.
    pub text: Arc<str>,
}

/// A variable by which an SDK is pointed at the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// `OPENAI_BASE_URL`; an argument of the SDK where there is no variable.
    pub name: String,
    /// Its value, with `{listener}` for the proxy's URL.
    pub value: String,
    /// Which SDKs read it, if not all.
    pub sdk: Option<String>,
    /// Whether it matters only where it is set already: it wins over another one.
    pub if_set: bool,
}

/// Values that stay though a rule finds something in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// Where they stand; at least one.
    pub paths: Vec<PathPattern>,
    /// Of JSON that stands in such a string: the name of the member, at any depth.
    pub member: Option<String>,
    /// What they look like.
    pub shape: Shape,
    /// From which rules' findings, by category; with `entities` empty too, all.
    pub categories: Vec<Category>,
    /// The same, by entity.
    pub entities: Vec<String>,
    /// Why.
    pub reason: String,
    /// Where it is written.
    pub place: Place,
}

/// What a protected value must look like. What looks otherwise is redacted as
/// anywhere else: a field's name promises nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Base64 that goes on around the finding: pictures, sound, signatures.
    Base64,
    /// All of the value matches this regular expression.
    Pattern(String),
}

impl Protected {
    /// Whether findings of a rule of this category and entity are meant.
    pub fn is_from(&self, category: Category, entity: &str) -> bool {
        self.categories.is_empty() && self.entities.is_empty()
            || self.categories.contains(&category)
            || self.entities.iter().any(|own| own == entity)
    }
}

/// Names by which a request tells the format of its body, as ClickHouse has them:
/// `INSERT INTO events FORMAT JSONEachRow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFormats {
    /// The first word of statements that store what follows them.
    pub verb: String,
    /// The word before the name in a statement.
    pub keyword: String,
    /// Parameters of the query that hold a statement; it may also begin the body.
    pub statement: Vec<String>,
    /// Parameters of the query that hold a name and nothing else.
    pub query: Vec<String>,
    /// Headers that do.
    pub headers: Vec<String>,
    /// Parameters of the query that say, unless `0`, that the body is binary.
    pub binary: Vec<String>,
    /// The media type of each format. Others are not understood.
    pub formats: BTreeMap<String, String>,
}

/// A body, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackExample {
    /// All of it.
    pub body: String,
    /// Its `Content-Type`.
    pub content_type: String,
    /// Parts of it that must stay.
    pub keeps: Vec<String>,
    /// Parts of it that must not.
    pub removes: Vec<String>,
    /// Where it is written.
    pub place: Place,
}

/// All packs, by name.
#[derive(Clone, Debug, Default)]
pub struct Packs(BTreeMap<String, Arc<Pack>>);

impl Packs {
    /// Those that came with the program.
    ///
    /// # Errors
    /// Never for a binary whose tests have passed.
    pub fn builtin() -> Result<Self, RuleError> {
        Self::from_texts(&[])
    }

    /// The built-in ones and those of the user's files, which take the place of
    /// built-in ones of the same name.
    ///
    /// # Errors
    /// With every mistake in every file.
    pub fn from_texts(files: &[(String, String)]) -> Result<Self, RuleError> {
        read::layered(builtin::FILES, files).map(Self)
    }

    /// As [`Packs::from_texts`], with files as they were read.
    ///
    /// # Errors
    /// As there.
    pub fn of(texts: &RuleTexts) -> Result<Self, RuleError> {
        Self::from_texts(texts.files())
    }

    /// The pack of this name.
    ///
    /// # Errors
    /// With what the user is told when there is none.
    pub fn find(&self, name: &str) -> Result<&Arc<Pack>, String> {
        self.0.get(name).ok_or_else(|| {
            let names: Vec<&str> = std::iter::once(AUTO).chain(self.0.keys().map(String::as_str)).collect();
            let hint = nearest(name, &names).map_or_else(String::new, |near| format!("did you mean \"{near}\"? "));
            format!("unknown protocol \"{name}\"; {hint}known are {}", names.join(", "))
        })
    }

    /// Adds packs, which take the place of those of the same name.
    pub fn add(&mut self, packs: &[Arc<Pack>]) {
        self.0.extend(packs.iter().map(|pack| (pack.name.clone(), Arc::clone(pack))));
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = r#"
name = "acme"
title = "Acme"
upstream = "https://in.acme.example"
environment = [{ name = "ACME_URL", value = "{listener}/v1" }]
references = ["https://acme.example/docs"]

[[protected]]
paths = ["/key"]
pattern = '[0-9a-f]{8}'
categories = ["credential"]
reason = "Acme knows its client by it"

[[example]]
body = '{"key": "0123abcd", "mail": "bob@example.com"}'
keeps = ["0123abcd"]
removes = ["bob@example.com"]
"#;

    fn packs(text: &str) -> Result<Packs, String> {
        Packs::from_texts(&[("acme.toml".to_owned(), text.to_owned())]).map_err(|error| error.to_string())
    }

    /// What is told of the pack above with one line replaced, added if `old` is empty.
    fn mistake(old: &str, new: &str) -> String {
        let text = if old.is_empty() { format!("{new}\n{ACME}") } else { ACME.replace(old, new) };
        assert_ne!(text, ACME, "{old}");
        packs(&text).map_or_else(|told| told, |_| "no mistake".to_owned())
    }

    #[test]
    fn a_pack_of_a_file_is_known_by_its_name_beside_the_built_in_ones() {
        let packs = packs(ACME).unwrap();
        let acme = packs.find("acme").unwrap();
        assert_eq!((acme.title.as_str(), acme.builtin, acme.place.line), ("Acme", false, 2));
        assert_eq!(acme.upstream.as_deref(), Some("https://in.acme.example"));
        assert_eq!(acme.environment[0].value, "{listener}/v1");
        assert_eq!(acme.protected[0].shape, Shape::Pattern("[0-9a-f]{8}".to_owned()));
        assert!(packs.find("langsmith").unwrap().builtin);
    }

    #[test]
    fn a_pack_of_the_user_takes_the_place_of_a_built_in_one() {
        let packs = packs(&ACME.replace("\"acme\"", "\"openai\"")).unwrap();
        let openai = packs.find("openai").unwrap();
        assert_eq!((openai.title.as_str(), openai.replaces), ("Acme", true));
        assert!(packs.iter().all(|pack| pack.replaces == (pack.name == "openai")));
    }

    #[test]
    fn an_unknown_protocol_is_told_with_the_nearest_name_first_and_all_others() {
        let told = Packs::builtin().unwrap().find("langsmit").unwrap_err();
        assert!(
            told.starts_with("unknown protocol \"langsmit\"; did you mean \"langsmith\"? known are auto, "),
            "{told}"
        );
        assert!(told.contains("openai") && told.contains("clickhouse"), "{told}");
    }

    #[test]
    fn each_kind_of_mistake_is_told_with_its_place_and_what_to_do() {
        for (old, new, told) in [
            ("title =", "titel =", "unknown field `titel` in a protocol pack; did you mean `title`?"),
            ("title = \"Acme\"\n", "", "acme.toml:1:1: `title` is missing"),
            ("\"acme\"", "\"Acme\"", "2:8: `Acme` must be lower-case words joined by dashes"),
            ("\"acme\"", "\"auto\"", "`auto` stands for no pack"),
            ("https://in.acme.example", "in.acme.example", "`upstream` must be a URL"),
            ("upstream = \"https://in.acme.example\"\n", "", "give an `upstream`, or an `upstream_hint`"),
            ("{listener}/v1", "http://x/v1", "`{listener}` stands for the proxy's URL"),
            ("[\"/key\"]", "[\"key\"]", "must begin with `/`"),
            ("paths = [\"/key\"]", "paths = []", "`paths` is missing"),
            ("'[0-9a-f]{8}'", "'[0-9'", "`pattern`:"),
            ("pattern = '[0-9a-f]{8}'\n", "", "give a `pattern` or a `shape`"),
            ("'[0-9a-f]{8}'\n", "'[0-9a-f]{8}'\nshape = 'base64'\n", "not both"),
            ("pattern = '[0-9a-f]{8}'", "shape = 'base65'", "unknown shape `base65`; known are `base64`"),
            ("'[0-9a-f]{8}'\ncategories = [\"credential\"]", "'.+'", "takes `bob@example.com` too"),
            ("[\"credential\"]", "[\"credentials\"]", "unknown categories `credentials`"),
            ("reason = \"Acme knows its client by it\"\n", "", "`reason` is missing"),
            ("keeps = [\"0123abcd\"]", "keeps = [\"0123abce\"]", "`0123abce` does not occur in `body`"),
            ("[\"https://acme.example/docs\"]", "[\"docs\"]", "a reference is a URL"),
            ("[[example]]", "[example]", "write [[example]] with two brackets"),
            ("", "name = 'x'", "duplicate key"),
            ("", "headers = ['content-*']", "1:12: `content-*` in `headers` is not a header that may be redacted"),
            ("", "pass = ['image']", "`image` in `pass` is not a picture, sound or a film"),
            ("", "pass = ['image/png', 'text/plain']", "1:22: `text/plain` in `pass`"),
            ("", "pass = ['image/svg+xml']", "`image/svg+xml` in `pass`"),
            (
                "[[example]]",
                "[body]\nverb = 'A'\nkeyword = 'B'\nformats = { C = 'csv' }\n[[example]]",
                "`csv`, for `C`, is not a media type; write one like \"text/csv\"",
            ),
        ] {
            let mistake = mistake(old, new);
            assert!(mistake.contains(told), "{new}: {mistake}");
            assert!(mistake.starts_with("acme.toml:"), "{mistake}");
        }
        let without_examples = &ACME[..ACME.find("[[example]]").unwrap()];
        assert!(packs(without_examples).unwrap_err().contains("`example` is missing"));
    }

    #[test]
    fn two_packs_of_one_name_are_a_mistake() {
        let files = [("a.toml".to_owned(), ACME.to_owned()), ("b.toml".to_owned(), ACME.to_owned())];
        let told = Packs::from_texts(&files).unwrap_err().to_string();
        assert!(told.contains("b.toml:2:8: the name `acme` is taken by the pack at a.toml:2:8"), "{told}");
    }

    #[test]
    fn more_names_in_paths_than_fit_are_refused() {
        let paths: Vec<String> = (0..80).map(|index| format!("'/a/b/{index}'")).collect();
        assert!(mistake("[\"/key\"]", &format!("[{}]", paths.join(", "))).contains("more than 256 names"));
    }
}
