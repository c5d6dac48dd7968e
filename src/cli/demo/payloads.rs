//! What the demonstration sends: shortened from what real SDKs send, with
//! invented data.

/// A request of some SDK.
#[derive(Clone, Copy)]
pub(super) struct Payload {
    pub(super) sdk: &'static str,
    pub(super) path: &'static str,
    /// A header of the SDK's own: it passes untouched.
    pub(super) header: (&'static str, &'static str),
    pub(super) body: &'static str,
}

pub(super) const ALL: &[Payload] = &[
    Payload {
        sdk: "OpenAI (Python): a chat completion with tool calls",
        path: "/v1/chat/completions",
        header: ("authorization", "Bearer sk-demo"),
        body: include_str!("openai.json"),
    },
    Payload {
        sdk: "Langfuse (Python): an ingestion batch, ASCII only",
        path: "/api/public/ingestion",
        header: ("authorization", "Basic cGstbGYtdGVzdDpzay1sZi10ZXN0"),
        body: include_str!("langfuse.json"),
    },
    Payload {
        sdk: "PostHog (Python): a batch of events with the project's public key",
        path: "/batch/",
        header: ("user-agent", "posthog-python/7.91.1"),
        body: include_str!("posthog.json"),
    },
    Payload {
        sdk: "OpenTelemetry (Node): a trace as OTLP JSON",
        path: "/v1/traces",
        header: ("user-agent", "OTel-OTLP-Exporter-JavaScript/0.208.0"),
        body: include_str!("otlp.json"),
    },
];
