//! What is done to a stack as a whole, besides change sets; each is followed to its end.

use super::events::{Since, StackWatch, follow, newest};
use crate::doors::pace::Pace;
use crate::doors::{aws, time};
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::stack::{Followed, Protection, StackEvent, Status, Stuck};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

/// Which stack, and where to tell what happens to it.
#[derive(Clone, Copy, Debug)]
pub struct StackHandle<'a> {
    /// The ARN: a name is gone with the stack.
    pub stack: &'a str,
    pub sink: &'a Sink,
    pub pace: &'a Pace,
}

impl<'a> StackHandle<'a> {
    fn watch(self, since: Since) -> StackWatch<'a> {
        StackWatch { stack: self.stack, since, expected: 0, sink: self.sink, pace: self.pace }
    }
}

/// Follows what somebody has under way.
pub async fn wait(client: &Client, target: StackHandle<'_>) -> Result<Followed> {
    follow(client, &target.watch(Since::LastStart)).await
}

/// Deletes the stack. Whether it is gone says `plan::root_cause::verdict`.
pub async fn delete(client: &Client, target: StackHandle<'_>) -> Result<Followed> {
    let since = newest(client, target.stack).await;
    let call = client.delete_stack().stack_name(target.stack).client_request_token(token());
    call.send().await.map_err(|error| {
        let protected = error.message().is_some_and(|text| text.contains("TerminationProtection"));
        let fail = refused("cannot delete the stack", error);
        if protected { fail.hint("remove the environment's protection and deploy that first") } else { fail }
    })?;
    follow(client, &target.watch(since)).await
}

/// Back to the last state that worked, after an update with rollback switched off.
pub async fn roll_back(client: &Client, target: StackHandle<'_>) -> Result<Followed> {
    let since = newest(client, target.stack).await;
    let call = client.rollback_stack().stack_name(target.stack).client_request_token(token());
    call.send().await.map_err(|error| refused("cannot roll the stack back", error))?;
    follow(client, &target.watch(since)).await
}

/// Goes on with a rollback that got stuck: first as it is, since the cause may be cured; if it gets
/// stuck again, once more without those of `skip` that still fail.
pub async fn continue_rollback(client: &Client, target: StackHandle<'_>, skip: &[Stuck]) -> Result<Followed> {
    let first = continue_without(client, target, &[]).await?;
    let still: Vec<String> =
        skip.iter().filter(|stuck| still_fails(&first, stuck)).map(|stuck| stuck.skip_name.clone()).collect();
    if first.status != Status::UpdateRollbackFailed || still.is_empty() {
        return Ok(first);
    }
    target.sink.note(format!("stuck again; leaving these as they are: {}", still.join(", ")));
    continue_without(client, target, &still).await
}

async fn continue_without(client: &Client, target: StackHandle<'_>, skip: &[String]) -> Result<Followed> {
    let since = newest(client, target.stack).await;
    let call = client
        .continue_update_rollback()
        .stack_name(target.stack)
        .client_request_token(token())
        .set_resources_to_skip((!skip.is_empty()).then(|| skip.to_vec()));
    call.send().await.map_err(|error| refused("cannot continue the rollback", error))?;
    follow(client, &target.watch(since)).await
}

/// Whether the last word on the resource is a failure, or there is none.
fn still_fails(followed: &Followed, stuck: &Stuck) -> bool {
    let last = followed.events.iter().rev().find(|event| event.path == stuck.path);
    last.is_none_or(StackEvent::failed)
}

/// Switches termination protection.
pub async fn protect(client: &Client, stack: &str, protection: Protection) -> Result<()> {
    let on = protection == Protection::On;
    let call = client.update_termination_protection().stack_name(stack).enable_termination_protection(on);
    call.send().await.map_err(|error| refused("cannot switch termination protection", error))?;
    Ok(())
}

/// Makes a repeated request the same request.
fn token() -> String {
    format!("ductwork-{}", time::ulid())
}

fn refused<E, R>(what: &str, error: SdkError<E, R>) -> Fail
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    aws::failure("CloudFormation", what, error)
}

#[cfg(test)]
#[path = "operations_tests.rs"]
mod tests;
