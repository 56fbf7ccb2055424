//! Finds out what a deployment would do to the stack, and takes back what it needed for that.

use super::change_set::{self, Created, Purpose, Request, Template};
use super::context::Context;
use super::stack;
use super::templates::{self, Bucket};
use crate::doors::documents;
use crate::fail::Result;
use crate::model::change::StackPreview;
use crate::model::dags::DagIndex;
use crate::model::names;
use crate::observe::stack as observed;
use crate::plan::deploy::{Facts, Plan};
use crate::plan::stack::{Action, decide};
use crate::plan::templates::Packaged;

/// Makes a change set, reads it and deletes it; only where there is a stack that takes one.
pub async fn stack(context: &Context, plan: &Plan) -> Result<StackPreview> {
    let root = stack::root(context, plan).await?;
    let facts = observed::stack(&context.aws.cloudformation, &context.stack).await?;
    let decision = decide(&stack::desired(context, plan, &root), facts.as_ref())?;
    match decision.action {
        Action::Create | Action::DeleteThenCreate => Ok(StackPreview::Create),
        Action::None => Ok(StackPreview::None),
        Action::Update => update(context, plan, &root).await,
        Action::Wait | Action::Rollback | Action::ContinueRollback { .. } | Action::Refuse => {
            Ok(StackPreview::Unsettled(decision.reason))
        }
    }
}

async fn update(context: &Context, plan: &Plan, root: &Packaged) -> Result<StackPreview> {
    let desired = stack::desired(context, plan, root);
    let bucket = Bucket { name: context.bucket.clone(), account: context.account.clone() };
    templates::upload(&context.aws.s3, &bucket, &context.artifacts.templates).await?;
    let request = Request {
        stack: &context.stack,
        purpose: Purpose::Update,
        template: Template::Url(&root.url),
        parameters: &desired.parameters,
        tags: &desired.tags,
    };
    let Created::Ready(change_set) = change_set::create(&context.aws.cloudformation, &request).await? else {
        return Ok(StackPreview::None);
    };
    change_set::discard(&context.aws.cloudformation, &change_set).await?;
    Ok(StackPreview::Update(change_set.changes))
}

/// The DAGs of the bundle that the pointer names, as its validation saw them.
pub async fn live_dags(context: &Context, facts: &Facts) -> Result<DagIndex> {
    let Some(bundle) = facts.bundle else { return Ok(DagIndex::default()) };
    let found = documents::read(&context.aws, &context.bucket, &names::bundle_index_key(&bundle)).await?;
    Ok(found.map(|found| found.value).unwrap_or_default())
}
