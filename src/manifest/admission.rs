//! The same for pods that are being created: what the API server asks a mutating
//! admission webhook (admission.k8s.io/v1), and what it is answered.

use super::foreign;
use super::inject::Injector;
use super::json::{read_json, write_json};
use super::kind::Named;
use super::knob::STATE;
use super::node::Node;
use super::patch::patch;
use super::state::{self, SIDECAR};
use super::verify::MIRROR;

/// The version that is spoken.
const VERSION: &str = "admission.k8s.io/v1";
/// The API server cuts longer warnings off.
const LONGEST_WARNING: usize = 256;

/// The answer to a review.
///
/// # Errors
/// When it is none, with what is wrong.
pub fn review(text: &str, injector: &Injector) -> Result<String, String> {
    let review = read_json(text).map_err(|why| format!("no JSON: {why}"))?;
    let (version, kind) = (review.text_of("apiVersion"), review.text_of("kind"));
    if (version, kind) != (Some(VERSION), Some("AdmissionReview")) {
        return Err(format!("no AdmissionReview of {VERSION}"));
    }
    let request = review.at(&["request"]).ok_or("an AdmissionReview without a request")?;
    let uid = request.text_of("uid").ok_or("a request without a uid")?;
    let mut response = Node::map([("uid", Node::text(uid))]);
    let map = response.as_map_mut().expect("it is one");
    match decide(request, injector) {
        Ok((patch, warnings)) => {
            map.set("allowed", Node::plain("true"));
            if let Some(patch) = patch {
                map.set("patchType", Node::text("JSONPatch"));
                map.set("patch", Node::text(base64(write_json(&patch, None).as_bytes())));
            }
            if !warnings.is_empty() {
                let warnings = warnings.iter().map(|warning| Node::text(cut(&format!("expurgate: {warning}"))));
                map.set("warnings", Node::List(warnings.collect()));
            }
        }
        Err(message) => {
            map.set("allowed", Node::plain("false"));
            let status = [("code", Node::plain("422")), ("message", Node::text(format!("expurgate: {message}")))];
            map.set("status", Node::map(status));
        }
    }
    let review = [("apiVersion", Node::text(VERSION)), ("kind", Node::text("AdmissionReview")), ("response", response)];
    Ok(write_json(&Node::map(review), None))
}

/// What is changed in a pod, if anything, and what its creator should look at; or why
/// it cannot be let in.
fn decide(request: &Node, injector: &Injector) -> Result<(Option<Node>, Vec<String>), String> {
    let nothing = Ok((None, Vec::new()));
    let is_pod = request.at(&["kind"]).is_some_and(|kind| {
        kind.text_of("kind") == Some("Pod") && kind.text_of("group").unwrap_or_default().is_empty()
    });
    let is_created = request.text_of("operation") == Some("CREATE");
    let Some(pod) = request.at(&["object"]).filter(|pod| is_pod && is_created && pod.as_map().is_some()) else {
        return nothing;
    };
    if request.text_of("subResource").is_some_and(|part| !part.is_empty())
        || pod.at(&["metadata", "annotations", MIRROR]).is_some()
    {
        return nothing;
    }
    if state::is_injected(pod) {
        // By the command, or by an earlier call for the same pod.
        let mut containers = pod.at(&["spec"]).map_or(&[][..], |spec| spec.items("initContainers")).iter();
        return match containers.any(|container| container.text_of("name") == Some(SIDECAR)) {
            true => nothing,
            false => Err(format!("{}: annotation {STATE} is there, but no sidecar; take it out", Named::of(pod))),
        };
    }
    if foreign::is_whole(pod) {
        let told = |whys: Vec<String>| format!("{}: {}", Named::of(pod), whys.join("; "));
        return foreign::accept(pod, injector).map(|warnings| (None, warnings)).map_err(told);
    }
    let mut changed = pod.clone();
    match injector.inject(&mut changed) {
        Ok(outcome) => Ok(((&changed != pod).then(|| patch(pod, &changed)), outcome.warnings)),
        Err(whys) => Err(format!("{}: {}", Named::of(pod), whys.join("; "))),
    }
}

/// As much of a warning as gets through.
fn cut(warning: &str) -> String {
    match warning.char_indices().map(|(at, char)| at + char.len_utf8()).rfind(|end| *end <= LONGEST_WARNING - 3) {
        Some(end) if warning.len() > LONGEST_WARNING => format!("{}...", &warning[..end]),
        _ => warning.to_owned(),
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let joined = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let digit = usize::try_from(joined >> (18 - 6 * index) & 63).unwrap_or(0);
            out.push(if index <= group.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Settings;
    use crate::rule::protocol::Packs;

    fn injector() -> Injector {
        let settings = Settings::from([("protocol", "openai".to_owned())]);
        Injector::new(Packs::builtin().unwrap(), settings, false).unwrap()
    }

    fn request(kind: &str, operation: &str, object: &str) -> String {
        format!(
            r#"{{"apiVersion":"{VERSION}","kind":"AdmissionReview","request":{{"uid":"u-1","kind":{{"group":"","version":"v1","kind":"{kind}"}},"operation":"{operation}","object":{object}}}}}"#
        )
    }

    fn response(text: &str) -> Node {
        let answer = read_json(&review(text, &injector()).unwrap()).unwrap();
        let response = answer.at(&["response"]).unwrap().clone();
        assert_eq!((answer.text_of("apiVersion"), response.text_of("uid")), (Some(VERSION), Some("u-1")));
        response
    }

    const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a-"},"spec":{"containers":[{"name":"app","image":"a"}]}}"#;

    #[test]
    fn a_pod_is_patched_once() {
        let first = response(&request("Pod", "CREATE", POD));
        assert_eq!((first.text_of("allowed"), first.text_of("patchType")), (Some("true"), Some("JSONPatch")));
        let mut pod = read_json(POD).unwrap();
        injector().inject(&mut pod).unwrap();
        let again = response(&request("Pod", "CREATE", &write_json(&pod, None)));
        assert_eq!((again.text_of("allowed"), again.at(&["patch"])), (Some("true"), None));
    }

    #[test]
    fn what_needs_nothing_is_let_in() {
        let out = POD.replace(r#""generateName":"a-""#, r#""name":"a","annotations":{"expurgate.dev/inject":"false"}"#);
        let mirror = POD.replace(r#""generateName":"a-""#, r#""annotations":{"kubernetes.io/config.mirror":"x"}"#);
        for text in [
            request("Pod", "CREATE", &out),
            request("Pod", "CREATE", &mirror),
            request("Pod", "UPDATE", POD),
            request("Pod", "DELETE", "null"),
            request("Deployment", "CREATE", POD),
        ] {
            let response = response(&text);
            assert_eq!((response.text_of("allowed"), response.at(&["patch"])), (Some("true"), None), "{text}");
        }
    }

    #[test]
    fn what_would_go_past_the_sidecar_is_refused_with_what_to_do() {
        let secret = POD.replace(
            r#""image":"a""#,
            r#""env":[{"name":"OPENAI_BASE_URL","valueFrom":{"secretKeyRef":{"name":"llm","key":"url"}}}]"#,
        );
        let marked =
            POD.replace(r#""generateName":"a-""#, r#""name":"a","annotations":{"expurgate.dev/injected":"{}"}"#);
        for (object, told) in [
            (POD.replace(r#""spec":{"#, r#""spec":{"hostNetwork":true,"#), "Pod a-*: it has hostNetwork: true"),
            (secret, "container app: OPENAI_BASE_URL comes from Secret llm"),
            (marked, "but no sidecar"),
            (r#"{"kind":"Pod"}"#.to_owned(), "it has no spec"),
        ] {
            let response = response(&request("Pod", "CREATE", &object));
            assert_eq!(response.text_of("allowed"), Some("false"), "{object}");
            let message = response.at(&["status"]).unwrap().text_of("message").unwrap();
            assert!(message.starts_with("expurgate: ") && message.contains(told), "{message}");
        }
    }

    #[test]
    fn a_whole_sidecar_of_somebody_else_is_let_in_with_a_warning() {
        let sidecar = r#"{"name":"expurgate","image":"e","args":["run"],"restartPolicy":"Always"}"#;
        let with = |sidecar: &str, env: &str| {
            let init = format!(r#""spec":{{"initContainers":[{sidecar}],"#);
            POD.replace(r#""spec":{"#, &init).replace(r#""image":"a""#, &format!(r#""image":"a","env":[{env}]"#))
        };
        let variable = |name: &str, value: &str| format!(r#"{{"name":"{name}","value":"{value}"}}"#);
        let points = variable("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1");
        let warnings = |object: &str| {
            let response = response(&request("Pod", "CREATE", object));
            assert_eq!((response.text_of("allowed"), response.at(&["patch"])), (Some("true"), None), "{object}");
            response.items("warnings").iter().filter_map(Node::as_text).map(str::to_owned).collect::<Vec<_>>()
        };
        let said = warnings(&with(sidecar, &points));
        assert!(said.len() == 1 && said[0].contains("that inject did not put in"), "{said:?}");
        // Nobody has told that the sidecar is to have that one.
        let other = format!("{points},{}", variable("SENTRY_DSN", "https://k@h.example/1"));
        let said = warnings(&with(sidecar, &other));
        assert!(said.len() == 2 && said[1].contains("SENTRY_DSN goes past the sidecar"), "{said:?}");
        let out =
            with(sidecar, "").replace(r#""generateName":"a-""#, r#""annotations":{"expurgate.dev/inject":"false"}"#);
        assert!(warnings(&out).is_empty());

        let past = variable("OPENAI_BASE_URL", "https://api.openai.com/v1");
        let late = format!(r#"{{"name":"migrate"}},{sidecar}"#);
        let own = "a container called expurgate that inject did not put in";
        for (object, told) in [
            (with(sidecar, &past), "container app: OPENAI_BASE_URL goes past the sidecar"),
            (with(&sidecar.replace("Always", "Never"), &points), own),
            (with(&sidecar.replace("run", "check"), &points), own),
            (with(&late, &points), own),
            (with(sidecar, &points).replace(r#""spec":{"#, r#""spec":{"hostNetwork":true,"#), own),
        ] {
            let response = response(&request("Pod", "CREATE", &object));
            assert_eq!(response.text_of("allowed"), Some("false"), "{object}");
            let message = response.at(&["status"]).unwrap().text_of("message").unwrap();
            assert!(message.contains(told), "{message}");
        }
    }

    #[test]
    fn what_is_no_review_is_told_so() {
        let v1beta1 = request("Pod", "CREATE", POD).replace(VERSION, "admission.k8s.io/v1beta1");
        let without = format!(r#"{{"apiVersion":"{VERSION}","kind":"AdmissionReview"}}"#);
        for text in ["", "{}", &v1beta1, &without] {
            assert!(review(text, &injector()).is_err(), "{text}");
        }
    }

    #[test]
    fn base64_is_padded_and_warnings_are_cut_between_characters() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}\u{fe}", "w7/Dvg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        let long = "ü".repeat(300);
        assert!(cut(&long).len() <= LONGEST_WARNING && cut(&long).ends_with("ü..."));
        assert_eq!(cut("short"), "short");
    }
}
