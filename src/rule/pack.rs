//! The built-in packs: the files of `rules/`, embedded in the binary.

/// Name and text of files in `rules/`.
macro_rules! files {
    ($($name:literal,)*) => {
        &[$((concat!("builtin/", $name, ".toml"), include_str!(concat!("../../rules/", $name, ".toml")))),*]
    };
}

/// Name and text of each file, in the order of the names: one for a vendor, a region, or
/// a kind of what no vendor has to itself.
pub(super) const FILES: &[(&str, &str)] = files! {
    "ably", "abuseipdb", "adafruit", "adapty", "adobe", "adyen", "aftership", "age", "ai", "airbrake", "airtable",
    "aiven", "akamai", "alchemy", "algolia", "alibaba", "alpaca", "alphavantage", "amazon", "amp", "amplitude",
    "anaconda", "anthropic", "anyscale", "apify", "apollo", "appveyor", "appwrite", "asana", "assemblyai",
    "atlassian", "auth0", "aws", "axiom", "azure", "backblaze", "baidu", "bamboohr", "bannerbear", "beamer",
    "betterstack", "binance", "bitbucket", "bitcoin", "bitwarden", "blockfrost", "bluesky", "blynk", "botpress",
    "box", "braintree", "brave", "brevo", "brex", "browserbase", "browserstack", "bugsnag", "builderio",
    "buildkite", "cal", "cardano", "cartesia", "cerebras", "chapa", "checkly", "checkout-com", "chromatic",
    "circle", "circleci", "clarifai", "clearbit", "clickup", "clockify", "clojars", "close", "cloudflare",
    "cloudfront", "cloudinary", "cloudsmith", "cockroach", "coda", "codeclimate", "codecov", "cohere", "coinbase",
    "coingecko", "coinmarketcap", "command", "confluent", "contentful", "context7", "convertkit", "convex",
    "coralogix", "courier", "covalent", "coveralls", "coze", "crates", "cursor", "cypress", "dashlane",
    "databricks", "datadog", "daytona", "dbt", "deepgram", "deepinfra", "deepl", "deno", "dependency-track",
    "devcycle", "devin", "dify", "digitalocean", "dingtalk", "discord", "docker", "docusign", "doppler", "dropbox",
    "duffel", "duo", "dynamic", "dynatrace", "e2b", "easypost", "ebay", "elastic", "elevenlabs", "emailit",
    "emailoctopus", "ethereum", "etherscan", "exa", "exoscale", "facebook", "fal", "fastgpt", "fastly", "feishu",
    "figma", "finnhub", "firebase", "firecrawl", "fireworks", "flagsmith", "fleetbase", "flexport", "flickr",
    "flutterwave", "flyio", "frameio", "friendli", "frontegg", "fullstory", "galaxy", "gcp", "gemini", "generic",
    "ghost", "giphy", "gitbook", "gitea", "github", "gitlab", "gitpod", "gocardless", "google-chat", "grafana",
    "groq", "growthbook", "harness", "harvest", "hashicorp", "hcaptcha", "helicone", "here", "heroku", "hetzner",
    "hex-pm", "honeycomb", "hubspot", "huggingface", "hunter", "ibm", "id-africa", "id-america", "id-asia-pacific",
    "id-europe", "ifttt", "imagekit", "imgix", "infisical", "influxdb", "infobip", "infura", "inngest", "instagram",
    "instana", "intercom", "ionic", "ipinfo", "ipstack", "jdbc", "jdcloud", "jenkins", "jetbrains", "jfrog", "jina",
    "jira", "jumpcloud", "k3s", "kaggle", "kerberos", "keys", "klarna", "klaviyo", "kong", "kraken", "kubernetes",
    "lakera", "langfuse", "langsmith", "lastfm", "launchdarkly", "letta", "line", "linear", "linkedin", "linode",
    "liveblocks", "llamacloud", "lob", "localstack", "logfire", "loggly", "logzio", "mailchimp", "mailersend",
    "mailgun", "mailjet", "make", "mandrill", "mapbox", "matrix", "mattermost", "maxmind", "medusa", "meilisearch",
    "mem0", "mercadopago", "mercury", "messagebird", "mezmo", "midtrans", "minisign", "mistral", "mixpanel",
    "modal", "mollie", "mongodb", "monnify", "mysql", "n8n", "nats", "neon", "neptune", "netbird", "netlify",
    "network", "newrelic", "newsapi", "nexus", "ngrok", "nightfall", "nomic", "nostr", "notion", "npm", "ntfy",
    "ntlm", "nuget", "nvidia", "nylas", "oauth", "octopus", "okta", "omise", "onelogin", "onepassword", "onesignal",
    "onfido", "openai", "openrouter", "openshift", "openweather", "opsgenie", "oracle", "ory", "packagist",
    "paddle", "pagarme", "pagerduty", "paseto", "password-hash", "paypal", "percy", "permit", "perplexity",
    "persona", "personio", "pgpass", "phabricator", "pii", "pinecone", "pinterest", "pipedrive", "placid", "plaid",
    "planetscale", "plivo", "polygon", "portainer", "posthog", "postman", "postmark", "prefect", "promptlayer",
    "pubnub", "pulumi", "pushbullet", "pusher", "pushover", "putty", "pypi", "quicknode", "railway", "ramp",
    "rancher", "rapidapi", "rapyd", "razorpay", "readme", "recaptcha", "recurly", "reddit", "remote", "render",
    "replicate", "retool", "revenuecat", "revolut", "riot", "roblox", "rollbar", "rootly", "rubygems", "runpod",
    "salesforce", "sambanova", "saml", "samsara", "sanity", "saucelabs", "scaleway", "scalingo", "scrapegraph",
    "scrapfly", "segment", "semgrep", "sendbird", "sendgrid", "sentry", "serpapi", "serper", "service", "shippo",
    "shodan", "shopify", "shortcut", "slack", "smartsheet", "smtp2go", "snyk", "socket", "sonarqube", "sourcegraph",
    "sparkpost", "splunk", "spotify", "square", "stackhawk", "statsig", "statuspage", "steam", "strava", "stripe",
    "stytch", "sumologic", "supabase", "surveymonkey", "svix", "synapse", "tailscale", "tally", "tavily", "taxjar",
    "teamcity", "teams", "teamwork", "telegram", "telnyx", "tencent", "tezos", "thingsboard", "threads", "tigris",
    "tinybird", "tmdb", "todoist", "together", "toggl", "tomtom", "tor", "toss", "totp", "travel-document",
    "travis", "trello", "trigger-dev", "truenas", "turbopuffer", "twilio", "twitch", "twitter", "typeform",
    "ubidots", "unkey", "unleash", "unsplash", "upcloud", "upstage", "uptimerobot", "uri", "urlscan", "valtown",
    "vercel", "virustotal", "vk", "voiceflow", "volcengine", "vonage", "voyage", "vultr", "wallet-address", "wandb",
    "webex", "webflow", "wecom", "wifi", "wireguard", "wise", "wompi", "woocommerce", "wpa", "xai", "xata", "xbox",
    "xendit", "yandex", "you", "zapier", "zendesk", "zep", "zeptomail", "zerobounce", "zhipu", "zoho", "zuplo",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Allowed, Matcher, Rule, Ruleset};
    use regex_automata::meta::Regex;
    use regex_automata::util::syntax;
    use regex_automata::{Anchored, Input};

    fn patterns() -> Vec<(Rule, String)> {
        let rules = Ruleset::builtin().expect("the packs are right").rules;
        rules
            .into_iter()
            .filter_map(|rule| match rule.matcher.clone() {
                Matcher::Pattern(pattern) => Some((rule, pattern)),
                Matcher::Detector(_) | Matcher::Key(_) => None,
            })
            .collect()
    }

    fn compile(pattern: &str) -> Regex {
        Regex::builder()
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .configure(Regex::config().utf8_empty(false))
            .build(pattern)
            .expect("the pattern is right")
    }

    /// What the shape alone finds: a match is tried at every byte, and what an
    /// allow expression matches is dropped.
    fn values<'t>(rule: &Rule, pattern: &str, text: &'t str) -> Vec<&'t [u8]> {
        let regex = compile(pattern);
        let allow: Vec<Regex> = rule
            .allow
            .iter()
            .filter_map(|allow| match &allow.what {
                Some(Allowed::Pattern(pattern)) => Some(compile(pattern)),
                _ => None,
            })
            .collect();
        let mut captures = regex.create_captures();
        let mut values = Vec::new();
        for start in 0..text.len() {
            let input = Input::new(text).range(start..).anchored(Anchored::Yes);
            regex.captures(input, &mut captures);
            let Some(found) = captures.get_group_by_name("secret").or(captures.get_group(0)) else {
                continue;
            };
            let value = &text.as_bytes()[found.range()];
            if !allow.iter().any(|allow| allow.is_match(value)) {
                values.push(value);
            }
        }
        values
    }

    #[test]
    fn every_example_is_found_by_its_pattern() {
        for (rule, pattern) in patterns() {
            let in_context = !rule.keywords.is_empty() || pattern.contains("(?P<secret>");
            for example in &rule.examples {
                let values = values(&rule, &pattern, &example.text);
                let longest = values.iter().copied().rev().max_by_key(|value| value.len());
                let expected = match &example.finds {
                    Some(finds) => finds.as_bytes(),
                    None if in_context => longest.unwrap_or(b"something"),
                    None => example.text.as_bytes(),
                };
                let shown = longest.map(String::from_utf8_lossy);
                assert_eq!(longest, Some(expected), "{}: {} finds {shown:?}", rule.id, example.text);
            }
        }
    }

    /// Rules with a validator are judged by `expurgate check`, not here.
    #[test]
    fn no_negative_example_is_found_by_its_pattern() {
        for (rule, pattern) in patterns() {
            if rule.validator.is_some() || !rule.keywords.is_empty() {
                continue;
            }
            for example in &rule.negative_examples {
                let values = values(&rule, &pattern, &example.text);
                assert!(values.is_empty(), "{}: {}", rule.id, example.text);
            }
        }
    }

    #[test]
    fn every_built_in_rule_says_where_its_format_is_documented() {
        for rule in Ruleset::builtin().expect("the packs are right").rules {
            assert!(!rule.references.is_empty(), "{}", rule.id);
        }
    }

    #[test]
    fn every_file_of_the_directory_is_embedded() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .expect("the directory is there")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".toml"))
            .map(|name| format!("builtin/{name}"))
            .collect();
        names.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(embedded, names);
    }
}
