//! A sidecar that `inject` did not put in, such as that of `deploy/kustomize`, or of a
//! chart: the webhook leaves it as it is, if it stands where nothing starts before it,
//! and nothing that the webhook was told of goes past it.

use super::endpoint::Endpoint;
use super::inject::Injector;
use super::node::Node;
use super::state::SIDECAR;
use super::verify::{detours, look};

/// Whether a pod has one, and it starts before all others, stays, and is the proxy.
pub(super) fn is_whole(pod: &Node) -> bool {
    let Some(spec) = pod.at(&["spec"]) else { return false };
    let runs = |sidecar: &Node| {
        let first = sidecar.items("args").first().and_then(Node::as_text);
        sidecar.items("command").is_empty() && first.is_none_or(|first| first == "run")
    };
    let is_host = spec.text_of("hostNetwork") == Some("true");
    let first = spec.items("initContainers").first().filter(|first| first.text_of("name") == Some(SIDECAR));
    !is_host && first.is_some_and(|own| own.text_of("restartPolicy") == Some("Always") && runs(own))
}

/// What its creator should look at.
///
/// # Errors
/// When something goes past the sidecar that `inject` would have pointed at it.
pub(super) fn accept(pod: &Node, injector: &Injector) -> Result<Vec<String>, Vec<String>> {
    let settings = injector.settings_of(pod)?;
    let spec = pod.at(&["spec"]).filter(|_| settings.get("inject").is_none_or(|inject| inject != "false"));
    let Some((spec, sidecar)) = spec.and_then(|spec| Some((spec, spec.items("initContainers").first()?))) else {
        return Ok(Vec::new());
    };
    let chosen = injector.chosen(&settings).map_err(|why| vec![why])?;
    let names: Vec<&str> = chosen.iter().flat_map(|pack| Endpoint::of(pack, "")).map(|own| own.name).collect();
    let detours = detours(spec, sidecar, settings.get("keep-variables"), injector.packs());
    let refused: Vec<String> = detours
        .into_iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, problem)| {
            format!("{problem}; point it there, or name it in the annotation expurgate.dev/keep-variables: {name}")
        })
        .collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    let left = "it has a sidecar that inject did not put in, which is left as it is".to_owned();
    Ok(std::iter::once(left).chain(look(pod, injector.packs())).collect())
}
