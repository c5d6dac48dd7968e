//! Secrets of a sidecar: keys of pseudonyms, and for the upstream an authority and a
//! certificate. Where each is mounted, and which variables name its files.
//!
//! With a configuration of the user's own they are mounted only: it names the files.

use super::knob::{Settings, members};
use super::sidecar::{Route, setting};

/// A Secret in the sidecar.
#[derive(Debug)]
pub(super) struct Secret {
    /// Of the pod's volume.
    pub(super) volume: String,
    /// The name of the Secret.
    pub(super) name: String,
    /// The folder.
    pub(super) path: String,
    /// Without our prefix.
    pub(super) variables: Vec<(String, String)>,
}

/// All that a sidecar has.
pub(super) fn secrets(settings: &Settings, routes: &[Route]) -> Vec<Secret> {
    let mut secrets: Vec<Secret> =
        settings.get("hash-keys-secret").map(|name| keys(settings, name)).into_iter().collect();
    for (index, route) in routes.iter().enumerate() {
        let pack = route.pack.as_deref().filter(|_| routes.len() > 1);
        let secret = |kind: &str, name: &str, files: &[(&str, &str)]| {
            let path = pack.map_or(format!("/etc/expurgate/{kind}"), |pack| format!("/etc/expurgate/{kind}/{pack}"));
            let variable = |(key, file): &(&str, &str)| (format!("ROUTE_{index}_TLS_{key}"), format!("{path}/{file}"));
            Secret {
                volume: pack.map_or(format!("expurgate-{kind}"), |pack| format!("expurgate-{kind}-{pack}")),
                name: name.to_owned(),
                variables: files.iter().map(variable).collect(),
                path,
            }
        };
        secrets.extend(route.ca.as_ref().map(|name| secret("ca", name, &[("CA", "ca.crt")])));
        let pair = [("CERT", "tls.crt"), ("KEY", "tls.key")];
        secrets.extend(route.certificate.as_ref().map(|name| secret("client", name, &pair)));
    }
    if settings.contains_key("config-configmap") {
        secrets.iter_mut().for_each(|secret| secret.variables.clear());
    }
    secrets
}

fn keys(settings: &Settings, name: &str) -> Secret {
    let path = "/etc/expurgate/keys";
    let ids: Vec<&str> = members(setting(settings, "hash-keys")).collect();
    let files: Vec<String> = ids.iter().map(|id| format!("{id}={path}/{id}.key")).collect();
    let active = ids.first().filter(|_| ids.len() > 1).map(|id| ("HASH_ACTIVE".to_owned(), (*id).to_owned()));
    Secret {
        volume: "expurgate-keys".to_owned(),
        name: name.to_owned(),
        path: path.to_owned(),
        variables: [("HASH_KEYS".to_owned(), files.join(","))].into_iter().chain(active).collect(),
    }
}
