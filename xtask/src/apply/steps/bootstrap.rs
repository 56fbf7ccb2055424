//! Step `bootstrap`: the stack that holds the artifact bucket.
//!
//! All environments of the account and region share it. So it is left as it is unless this environment
//! asks for something that it lacks, and what another environment asked for stays.

use super::super::context::Context;
use super::super::stack::change_set::Template;
use super::super::stack::{Goal, converge};
use super::super::timed::Ended;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::names;
use crate::model::stack::Protection;
use crate::observe::stack as observed;
use crate::plan::stack::Desired;
use std::collections::BTreeMap;

pub(super) async fn run(context: &Context, sink: &Sink) -> Result<Ended> {
    let (stack, bucket) = (names::BOOTSTRAP_STACK, context.store.bucket());
    let facts = observed::describe_only(&context.aws.cloudformation, stack).await?;
    let deployed = facts.map(|facts| facts.parameters).unwrap_or_default();
    let has = |(name, value): (&String, &String)| value != "true" || deployed.get(name) == Some(value);
    if context.bootstrap.iter().all(has) && context.store.exists().await? {
        return Ok(Ended::skipped(format!("bucket `{bucket}` exists")));
    }
    let template =
        context.artifacts.bootstrap.as_ref().ok_or_else(|| Fail::bug("there is no bootstrap template"))?;
    let desired = Desired {
        template,
        parameters: parameters(&context.bootstrap, deployed),
        tags: BTreeMap::new(),
        protection: Protection::Off,
    };
    let goal = Goal { stack, desired, template: Template::Body(&template.body), uploads: &[], sink };
    converge(context, &goal).await?;
    if !context.store.exists().await? {
        return Err(without_bucket(stack, bucket));
    }
    Ok(Ended::done(format!("bucket `{bucket}`")))
}

/// What this environment asks for, and what others asked for before.
fn parameters(
    asked: &BTreeMap<String, String>,
    deployed: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let kept = deployed.into_iter().filter(|(name, value)| value == "true" && asked.contains_key(name));
    let mut parameters = asked.clone();
    parameters.extend(kept);
    parameters
}

fn without_bucket(stack: &str, bucket: &str) -> Fail {
    Fail::failed(format!("stack `{stack}` exists, but its bucket `{bucket}` does not"))
        .cause("somebody deleted the bucket")
        .hint(format!(
            "delete the stack too, then deploy: aws cloudformation delete-stack --stack-name {stack}"
        ))
}
