//! Finds out what a deployment would do to the stack, and removes what it needed for that.

use super::super::context::Context;
use super::change_set::{self, Created, Purpose, Request, Template};
use super::{master, templates};
use crate::fail::Result;
use crate::model::change::StackPreview;
use crate::model::release::Release;
use crate::plan::stack::{Decision, StackAction};

/// Makes a change set, reads it and deletes it, if there is a stack that takes one.
pub async fn preview(context: &Context, release: &Release, decision: &Decision) -> Result<StackPreview> {
    match decision.action {
        StackAction::Create | StackAction::DeleteThenCreate => Ok(StackPreview::Create),
        StackAction::None => Ok(StackPreview::None),
        StackAction::Update => update(context, release).await,
        StackAction::Wait
        | StackAction::Rollback
        | StackAction::ContinueRollback { .. }
        | StackAction::Refuse => Ok(StackPreview::Unsettled(decision.reason.clone())),
    }
}

async fn update(context: &Context, release: &Release) -> Result<StackPreview> {
    let root = master::root(context, &release.stack).await?;
    let desired = master::desired(context, &release.stack, release.id(), &root);
    templates::upload(&context.store, master::uploads(context, &release.stack)).await?;
    let url = master::url(context, &release.stack);
    let request = Request {
        stack: &context.stack,
        purpose: Purpose::Update,
        template: Template::Url(&url),
        parameters: &desired.parameters,
        tags: &desired.tags,
        pace: &context.aws.pace,
    };
    let client = &context.aws.cloudformation;
    let Created::Ready(change_set) = change_set::create(client, &request).await? else {
        return Ok(StackPreview::None);
    };
    change_set::discard(client, &change_set).await?;
    Ok(StackPreview::Update { changes: change_set.changes, unseen: change_set.unseen })
}
