//! The master stack of an environment as a release wants it.

use super::super::context::Context;
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::model::release::StackSpec;
use crate::model::stack::Protection;
use crate::plan::compose::MASTER;
use crate::plan::consent::Guard;
use crate::plan::stack::Desired;
use crate::plan::templates::Packaged;

#[must_use]
pub fn desired<'a>(context: &Context, spec: &StackSpec, release: &str, root: &'a Packaged) -> Desired<'a> {
    let mut tags = context.tags.clone();
    tags.insert(names::RELEASE_TAG.to_owned(), release.to_owned());
    Desired {
        template: root,
        parameters: spec.parameters.clone(),
        tags,
        protection: match context.guard {
            Guard::Protected => Protection::On,
            Guard::Open => Protection::Off,
        },
    }
}

/// The root of the composed templates: the one at hand, or that of a recorded release, from the bucket.
pub async fn root(context: &Context, spec: &StackSpec) -> Result<Packaged> {
    let at_hand = context.artifacts.root.as_ref().filter(|root| root.digest == spec.template);
    if let Some(root) = at_hand {
        return Ok(root.clone());
    }
    let key = names::template_key(&spec.template);
    let body = context.store.text(&key).await?;
    let body = body.ok_or_else(|| Fail::failed(format!("`{}` is gone", context.store.location(&key))))?;
    Ok(Packaged { path: MASTER.to_owned(), digest: spec.template, body })
}

/// What has to be in the bucket before the stack can be changed: nothing for a recorded release.
#[must_use]
pub fn uploads<'a>(context: &'a Context, spec: &StackSpec) -> &'a [Packaged] {
    match context.artifacts.templates.last() {
        Some(root) if root.digest == spec.template => &context.artifacts.templates,
        _ => &[],
    }
}

/// Where CloudFormation reads the root template.
#[must_use]
pub fn url(context: &Context, spec: &StackSpec) -> String {
    let (aws, bucket) = (&context.aws, context.store.bucket());
    names::template_url(aws.endpoint.as_deref(), &aws.region, bucket, &spec.template)
}
