//! The built-in packs: the files of `protocols/`, embedded in the binary.

/// Name and text of each file, in the order of the names.
pub(super) const FILES: &[(&str, &str)] = &[
    ("builtin/agentops.toml", include_str!("../../../protocols/agentops.toml")),
    ("builtin/amplitude.toml", include_str!("../../../protocols/amplitude.toml")),
    ("builtin/anthropic.toml", include_str!("../../../protocols/anthropic.toml")),
    ("builtin/azure-openai.toml", include_str!("../../../protocols/azure-openai.toml")),
    ("builtin/bedrock.toml", include_str!("../../../protocols/bedrock.toml")),
    ("builtin/braintrust.toml", include_str!("../../../protocols/braintrust.toml")),
    ("builtin/bugsnag.toml", include_str!("../../../protocols/bugsnag.toml")),
    ("builtin/clickhouse.toml", include_str!("../../../protocols/clickhouse.toml")),
    ("builtin/cohere.toml", include_str!("../../../protocols/cohere.toml")),
    ("builtin/datadog.toml", include_str!("../../../protocols/datadog.toml")),
    ("builtin/elastic-apm.toml", include_str!("../../../protocols/elastic-apm.toml")),
    ("builtin/gemini.toml", include_str!("../../../protocols/gemini.toml")),
    ("builtin/groq.toml", include_str!("../../../protocols/groq.toml")),
    ("builtin/helicone.toml", include_str!("../../../protocols/helicone.toml")),
    ("builtin/honeybadger.toml", include_str!("../../../protocols/honeybadger.toml")),
    ("builtin/langfuse.toml", include_str!("../../../protocols/langfuse.toml")),
    ("builtin/langsmith.toml", include_str!("../../../protocols/langsmith.toml")),
    ("builtin/langwatch.toml", include_str!("../../../protocols/langwatch.toml")),
    ("builtin/logfire.toml", include_str!("../../../protocols/logfire.toml")),
    ("builtin/mistral.toml", include_str!("../../../protocols/mistral.toml")),
    ("builtin/mixpanel.toml", include_str!("../../../protocols/mixpanel.toml")),
    ("builtin/mlflow.toml", include_str!("../../../protocols/mlflow.toml")),
    ("builtin/openai.toml", include_str!("../../../protocols/openai.toml")),
    ("builtin/opik.toml", include_str!("../../../protocols/opik.toml")),
    ("builtin/otlp.toml", include_str!("../../../protocols/otlp.toml")),
    ("builtin/phoenix.toml", include_str!("../../../protocols/phoenix.toml")),
    ("builtin/portkey.toml", include_str!("../../../protocols/portkey.toml")),
    ("builtin/posthog.toml", include_str!("../../../protocols/posthog.toml")),
    ("builtin/rollbar.toml", include_str!("../../../protocols/rollbar.toml")),
    ("builtin/segment.toml", include_str!("../../../protocols/segment.toml")),
    ("builtin/sentry.toml", include_str!("../../../protocols/sentry.toml")),
    ("builtin/traceloop.toml", include_str!("../../../protocols/traceloop.toml")),
    ("builtin/weave.toml", include_str!("../../../protocols/weave.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::protocol::Packs;

    #[test]
    fn every_file_of_the_directory_is_embedded_and_named_after_its_pack() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/protocols");
        let entries = std::fs::read_dir(directory).expect("the directory is there");
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(format!("builtin/{}", entry.ok()?.file_name().into_string().ok()?)))
            .collect();
        names.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(embedded, names);
        let packs = Packs::builtin().expect("the packs are right");
        let named: Vec<String> = packs.iter().map(|pack| format!("builtin/{}.toml", pack.name)).collect();
        assert_eq!(named, names);
    }
}
