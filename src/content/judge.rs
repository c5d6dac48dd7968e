//! Do protocol packs do what their examples say? Each body goes through the real
//! pipeline, whole and byte by byte, with all rules in force and what the pack
//! protects.

use super::body::PartRules;
use super::media::ContentType;
use super::pipeline::{Delivery, Pipeline};
use super::released::Released;
use super::{ContentError, SLICE};
use crate::coding::{Coding, CodingLimits};
use crate::redact::{Plan, Policy, Problem};
use crate::rule::protocol::{Pack, PackExample};
use crate::scan::Engine;
use bytes::Bytes;
use std::sync::Arc;

/// What is wrong with the examples of packs.
pub fn judge_packs<'p>(engine: &Arc<Engine>, packs: impl IntoIterator<Item = &'p Arc<Pack>>) -> Vec<Problem> {
    packs.into_iter().flat_map(|pack| judge_pack(engine, pack)).collect()
}

fn judge_pack(engine: &Arc<Engine>, pack: &Pack) -> Vec<Problem> {
    let policy = Policy { protected: Arc::clone(&pack.protected), ..Policy::default() };
    let plan = Arc::new(Plan::new(Arc::clone(engine), &policy));
    let mut problems = Vec::new();
    for example in &pack.examples {
        problems.extend(judge_example(&plan, pack, example).into_iter().map(|message| Problem {
            place: example.place.clone(),
            rule: format!("protocol.{}", pack.name),
            message,
        }));
    }
    problems
}

fn judge_example(plan: &Arc<Plan>, pack: &Pack, example: &PackExample) -> Vec<String> {
    let redact = |body: &str, step: usize| redact(plan, pack, &example.content_type, body, step);
    let redacted = match redact(&example.body, SLICE) {
        Ok(redacted) => redacted,
        Err(error) => return vec![format!("the example is refused: {error}")],
    };
    let mut wrong = Vec::new();
    for kept in example.keeps.iter().filter(|kept| !redacted.contains(*kept)) {
        wrong.push(format!("`{kept}` must stay, but what leaves is `{redacted}`"));
    }
    for removed in example.removes.iter().filter(|removed| redacted.contains(*removed)) {
        wrong.push(format!("`{removed}` must not stay, but what leaves is `{redacted}`"));
    }
    if redact(&example.body, 1).ok().as_ref() != Some(&redacted) {
        wrong.push("what leaves depends on how the example comes".to_owned());
    }
    if redact(&redacted, SLICE).ok().as_ref() != Some(&redacted) {
        wrong.push(format!("what leaves, `{redacted}`, is changed when it comes again"));
    }
    wrong
}

/// What leaves of a body that comes `step` bytes at a time.
fn redact(plan: &Arc<Plan>, pack: &Pack, kind: &str, body: &str, step: usize) -> Result<String, ContentError> {
    let content = ContentType::parse(Some(kind.as_bytes()));
    let parts = PartRules {
        limit: SLICE as u64,
        pass: Arc::default(),
        media: Arc::clone(&pack.pass),
        formats: pack.body.clone(),
        coding: CodingLimits::NONE,
    };
    let mut pipeline = Pipeline::new(plan, &content, Coding::Identity, CodingLimits::NONE, Delivery::Whole, &parts)?;
    let mut out = Released::default();
    for chunk in body.as_bytes().chunks(step) {
        pipeline.push(Bytes::copy_from_slice(chunk), &mut out)?;
    }
    pipeline.finish(&mut out)?;
    Ok(String::from_utf8_lossy(&out.concat()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::rig::PLAN;
    use crate::rule::protocol::Packs;

    fn problems(packs: &Packs) -> Vec<String> {
        judge_packs(PLAN.engine(), packs.iter()).iter().map(Problem::on_one_line).collect()
    }

    #[test]
    fn every_built_in_pack_does_what_its_examples_say() {
        let problems = problems(&Packs::builtin().unwrap());
        assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
    }

    /// Takes what a pack protects out of it: then its examples must fail where they
    /// show that something is kept from the rules.
    #[test]
    fn without_their_protections_packs_that_have_some_against_rules_fail() {
        for name in ["openai", "anthropic", "gemini", "amplitude", "mixpanel", "agentops", "langsmith", "bedrock"] {
            let packs = Packs::builtin().unwrap();
            let bare = Pack { protected: Arc::default(), ..(**packs.find(name).unwrap()).clone() };
            assert!(!judge_pack(PLAN.engine(), &bare).is_empty(), "{name}");
        }
    }

    #[test]
    fn an_example_that_is_not_so_is_a_problem_with_its_place() {
        let text = "name = 'acme'\ntitle = 'Acme'\nupstream = 'http://a'\nreferences = ['https://a.example']\n\
                    [[example]]\nbody = '{\"a\": \"bob@example.com\", \"b\": \"x\"}'\n\
                    keeps = ['bob@example.com']\nremoves = ['x']\n";
        let packs = Packs::from_texts(&[("acme.toml".to_owned(), text.to_owned())]).unwrap();
        let acme = packs.find("acme").unwrap();
        let told: Vec<String> = judge_pack(PLAN.engine(), acme).iter().map(Problem::on_one_line).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("acme.toml:5:1: protocol.acme: `bob@example.com` must stay, but what"), "{told:?}");
        assert!(told[1].contains("`x` must not stay"), "{told:?}");
    }
}
