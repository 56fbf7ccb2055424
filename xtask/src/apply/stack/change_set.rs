//! Change sets: created under a unique name, shown, then executed or deleted; none is left behind.
//!
//! The rules are those of AWS Copilot: with nested stacks, capabilities in so many words, by ARN once there
//! is one, and an empty change set is deleted, since failed ones count to a quota. Unlike there, a stack is
//! created without nested change sets, and updated without them if the service refuses them: it passes tokens
//! for values it does not know yet, and cannot evaluate every template with those.

use super::change_tree;
use super::events::{CLOUDFORMATION, Since, StackWatch, follow};
use super::rejection::{is_of_nested, rejection};
use crate::doors::backoff::Backoff;
use crate::doors::pace::Pace;
use crate::doors::time::Stopwatch;
use crate::doors::{aws, time};
use crate::fail::{Fail, Result};
use crate::model::change::{Change, flatten};
use crate::model::event::Sink;
use crate::model::names;
use crate::model::stack::{Followed, Moment};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetSummary, ChangeSetType, ExecutionStatus, Parameter, StackStatus,
    Tag,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the stack is to become.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The name of the stack.
    pub stack: &'a str,
    pub purpose: Purpose,
    pub template: Template<'a>,
    pub parameters: &'a BTreeMap<String, String>,
    pub tags: &'a BTreeMap<String, String>,
    pub pace: &'a Pace,
}

/// Where the service finds the template.
#[derive(Clone, Copy, Debug)]
pub enum Template<'a> {
    Url(&'a str),
    /// In the request itself, for the stack that makes the bucket; at most 51,200 bytes.
    Body(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Create,
    Update,
}

/// A change set that can be executed. [`execute`] it or [`discard`] it.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    pub arn: String,
    /// The ARN of its stack.
    pub stack: String,
    /// The name of its stack.
    pub stack_name: String,
    pub purpose: Purpose,
    pub changes: Vec<Change>,
    /// Why changes inside nested stacks cannot be seen; none if they can, or if nobody looks.
    pub unseen: Option<String>,
    created: Moment,
}

#[derive(Clone, Debug)]
pub enum Created {
    /// There was nothing to change; nothing is left behind.
    Unchanged,
    Ready(ChangeSet),
}

/// How long the service may take; nested stacks are gone through one by one.
const CREATION: Duration = Duration::from_secs(30 * 60);
/// How long a deletion is waited for before the shell goes too.
const DELETION: Duration = Duration::from_secs(120);
/// Ours are used or taken back within minutes; one this old was left behind by a killed process.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// Whether the service makes a change set for each nested stack, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nesting {
    On,
    Off,
}

enum Refusal {
    /// The service could not look into a nested stack.
    Nested(Fail),
    Whole(Fail),
}

impl From<Fail> for Refusal {
    fn from(fail: Fail) -> Self {
        Self::Whole(fail)
    }
}

/// Makes a change set and reads what it would do. Whatever goes wrong, it is gone afterwards, and so
/// is the shell of a stack that was made for it.
pub async fn create(client: &Client, request: &Request<'_>) -> Result<Created> {
    // Nobody is shown what is created.
    let nesting = if request.purpose == Purpose::Create { Nesting::Off } else { Nesting::On };
    match attempt(client, request, nesting).await {
        Ok(created) => Ok(created),
        Err(Refusal::Whole(fail)) => Err(fail),
        Err(Refusal::Nested(fail)) => unseen(client, request, &fail).await,
    }
}

/// The same without nested change sets. A nested template that is wrong fails while the set runs then, and is
/// rolled back.
async fn unseen(client: &Client, request: &Request<'_>, refused: &Fail) -> Result<Created> {
    let why = refused.causes().into_iter().next().unwrap_or_else(|| refused.message().to_owned());
    let text = format!("changes inside nested stacks cannot be previewed: {why}");
    match attempt(client, request, Nesting::Off).await {
        Ok(Created::Ready(set)) => Ok(Created::Ready(ChangeSet { unseen: Some(text), ..set })),
        Ok(Created::Unchanged) => Ok(Created::Unchanged),
        Err(Refusal::Whole(fail) | Refusal::Nested(fail)) => Err(fail),
    }
}

async fn attempt(
    client: &Client,
    request: &Request<'_>,
    nesting: Nesting,
) -> std::result::Result<Created, Refusal> {
    let mut change_set = send(client, request, nesting).await?;
    let described = match settle(client, request.pace, &change_set.arn).await {
        Ok(described) => described,
        Err(fail) => return Err(taken_back(client, &change_set, fail).await.into()),
    };
    if described.status() != Some(&ChangeSetStatus::CreateComplete) {
        let reason = described.status_reason().unwrap_or("no reason given");
        if is_empty(reason) {
            discard(client, &change_set).await?;
            return Ok(Created::Unchanged);
        }
        let fail = rejection(client, &change_set.arn, reason, unprepared(request.stack)).await;
        let fail = taken_back(client, &change_set, fail).await;
        let nested = nesting == Nesting::On && is_of_nested(reason);
        return Err(if nested { Refusal::Nested(fail) } else { Refusal::Whole(fail) });
    }
    change_set.created =
        Moment(described.creation_time().and_then(|time| time.to_millis().ok()).unwrap_or(0));
    match change_tree::tree(client, &change_set.arn, described).await {
        Ok(changes) => change_set.changes = changes,
        Err(fail) => return Err(taken_back(client, &change_set, fail).await.into()),
    }
    remove_abandoned(client, &change_set).await;
    Ok(Created::Ready(change_set))
}

async fn send(client: &Client, request: &Request<'_>, nesting: Nesting) -> Result<ChangeSet> {
    let parameter = |(key, value): (&String, &String)| {
        Parameter::builder().parameter_key(key).parameter_value(value).build()
    };
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let name = names::change_set(request.stack, &time::ulid());
    let capabilities =
        [Capability::CapabilityIam, Capability::CapabilityNamedIam, Capability::CapabilityAutoExpand];
    let call = client.create_change_set();
    let call = match request.template {
        Template::Url(url) => call.template_url(url),
        Template::Body(body) => call.template_body(body),
    };
    let sent = call
        .stack_name(request.stack)
        .change_set_name(&name)
        .change_set_type(match request.purpose {
            Purpose::Create => ChangeSetType::Create,
            Purpose::Update => ChangeSetType::Update,
        })
        .client_token(&name)
        .include_nested_stacks(nesting == Nesting::On)
        .set_capabilities(Some(capabilities.to_vec()))
        .set_parameters(Some(request.parameters.iter().map(parameter).collect()))
        .set_tags(Some(request.tags.iter().map(tag).collect()))
        .send()
        .await;
    let (arn, stack) = match sent {
        Ok(sent) => (sent.id, sent.stack_id),
        Err(error) => {
            let code = aws::code(&error).to_owned();
            let unanswered = aws::passes(&error);
            let fail = aws::failure("CloudFormation", unprepared(request.stack), error);
            match code.as_str() {
                "AlreadyExistsException" => {
                    let fail = fail.hint("somebody else made the stack just now: run the command again");
                    made_already(client, request.stack, &name, fail).await?
                }
                "LimitExceededException" => {
                    return Err(fail.hint("delete old change sets of the stack, or old stacks"));
                }
                _ if unanswered => made_already(client, request.stack, &name, fail).await?,
                _ => return Err(fail),
            }
        }
    };
    Ok(ChangeSet {
        arn: arn.unwrap_or(name),
        stack: stack.unwrap_or_else(|| request.stack.to_owned()),
        stack_name: request.stack.to_owned(),
        purpose: request.purpose,
        changes: Vec::new(),
        unseen: None,
        created: Moment(0),
    })
}

fn unprepared(stack: &str) -> String {
    format!("cannot prepare the changes of the stack `{stack}`")
}

/// The ARNs of a change set under this name, which is used once: if it exists, this process made it, and only
/// the answer was lost. Otherwise it was not made, and `fail` says why.
async fn made_already(
    client: &Client,
    stack: &str,
    name: &str,
    fail: Fail,
) -> Result<(Option<String>, Option<String>)> {
    match client.describe_change_set().stack_name(stack).change_set_name(name).send().await {
        Ok(found) => Ok((found.change_set_id, found.stack_id)),
        Err(_) => Err(fail),
    }
}

/// Waits until the change set is made, or not.
async fn settle(client: &Client, pace: &Pace, arn: &str) -> Result<DescribeChangeSetOutput> {
    let start = Stopwatch::start();
    let mut backoff = Backoff::polling();
    loop {
        pace.turn(CLOUDFORMATION).await;
        let described = client.describe_change_set().change_set_name(arn).send().await;
        let described = described
            .map_err(|error| aws::failure("CloudFormation", "cannot look at the change set", error))?;
        let pending = [ChangeSetStatus::CreatePending, ChangeSetStatus::CreateInProgress];
        if !described.status().is_some_and(|status| pending.contains(status)) {
            return Ok(described);
        }
        if start.elapsed() > CREATION {
            return Err(Fail::failed("the change set was not ready within half an hour"));
        }
        backoff.wait().await;
    }
}

/// The two ways in which the service says that nothing would change; it has no code for it.
fn is_empty(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

/// The same failure, after the change set is gone; says so where it would not go.
async fn taken_back(client: &Client, change_set: &ChangeSet, fail: Fail) -> Fail {
    match discard(client, change_set).await {
        Ok(()) => fail,
        Err(left) => fail.cause(format!("and it could not be undone: {left}")),
    }
}

/// Takes a change set back: nothing of it stays, nor of a stack that was only made for it.
pub async fn discard(client: &Client, change_set: &ChangeSet) -> Result<()> {
    delete(client, &change_set.arn).await?;
    match change_set.purpose {
        Purpose::Create => remove_shell(client, change_set).await,
        Purpose::Update => Ok(()),
    }
}

async fn delete(client: &Client, arn: &str) -> Result<()> {
    let deleted = client.delete_change_set().change_set_name(arn).send().await;
    deleted.map_err(|error| aws::failure("CloudFormation", "cannot delete a change set", error))?;
    Ok(())
}

/// A stack that never was, unless somebody else has a change set for it.
async fn remove_shell(client: &Client, change_set: &ChangeSet) -> Result<()> {
    let state = client.describe_stacks().stack_name(&change_set.stack).send().await;
    let is_shell = state.is_ok_and(|state| {
        state.stacks().iter().any(|stack| stack.stack_status() == Some(&StackStatus::ReviewInProgress))
    });
    if !is_shell {
        return Ok(());
    }
    // A change set with nested ones goes in its own time, and the shells of nested stacks with it.
    let start = Stopwatch::start();
    let mut backoff = Backoff::polling();
    while is_there(client, &change_set.arn).await && start.elapsed() < DELETION {
        backoff.wait().await;
    }
    let others = list(client, &change_set.stack_name).await?;
    let other = |found: &ChangeSetSummary| {
        found.stack_id() == Some(&change_set.stack) && found.change_set_id() != Some(&change_set.arn)
    };
    if others.iter().any(other) {
        return Ok(());
    }
    let deleted = client.delete_stack().stack_name(&change_set.stack).send().await;
    deleted.map_err(|error| aws::failure("CloudFormation", "cannot delete the empty stack", error))?;
    Ok(())
}

async fn is_there(client: &Client, arn: &str) -> bool {
    let described = client.describe_change_set().change_set_name(arn).send().await;
    described.is_ok_and(|described| {
        !matches!(
            described.status(),
            Some(ChangeSetStatus::DeleteComplete | ChangeSetStatus::DeleteFailed) | None
        )
    })
}

async fn list(client: &Client, stack: &str) -> Result<Vec<ChangeSetSummary>> {
    let mut pages = client.list_change_sets().stack_name(stack).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(item) = pages.next().await {
        found.push(
            item.map_err(|error| aws::failure("CloudFormation", "cannot list the change sets", error))?,
        );
    }
    Ok(found)
}

/// Deletes change sets that a killed process of ours left. It is housekeeping: trouble is ignored,
/// and the next change tries again.
async fn remove_abandoned(client: &Client, own: &ChangeSet) {
    let ours = names::change_set(&own.stack_name, "");
    for found in list(client, &own.stack_name).await.unwrap_or_default() {
        let created = found.creation_time().and_then(|time| time.to_millis().ok()).map(Moment);
        let old = created.is_some_and(|created| created.until(own.created) > ABANDONED);
        let named_by_us = found.change_set_name().is_some_and(|name| name.starts_with(&ours));
        let idle = !was_executed(found.execution_status());
        if let Some(arn) = found.change_set_id().filter(|_| old && named_by_us && idle) {
            let _ = delete(client, arn).await;
        }
    }
}

fn was_executed(status: Option<&ExecutionStatus>) -> bool {
    use ExecutionStatus::{ExecuteComplete, ExecuteFailed, ExecuteInProgress};
    matches!(status, Some(ExecuteInProgress | ExecuteComplete | ExecuteFailed))
}

async fn is_executed(client: &Client, arn: &str) -> bool {
    let described = client.describe_change_set().change_set_name(arn).send().await;
    described.is_ok_and(|described| was_executed(described.execution_status()))
}

/// Executes the change set and follows it. Whether all went well says `plan::root_cause::verdict`.
pub async fn execute(client: &Client, change_set: &ChangeSet, sink: &Sink, pace: &Pace) -> Result<Followed> {
    let call = client
        .execute_change_set()
        .change_set_name(&change_set.arn)
        .client_request_token(format!("ductwork-{}", time::ulid()))
        // What a failed deployment had just made is removed even where it is retained otherwise:
        // it holds nothing yet, and its name would be in the way of the next attempt.
        .retain_except_on_create(true);
    if let Err(error) = call.send().await {
        let stale = matches!(aws::code(&error), "InvalidChangeSetStatus" | "ChangeSetNotFound");
        let unanswered = aws::passes(&error);
        let what = format!("cannot execute the changes of the stack `{}`", change_set.stack_name);
        let fail = aws::failure("CloudFormation", what, error);
        // The SDK repeats a request whose answer was lost, and the repetition is then refused; nobody else
        // executes a change set of ours.
        if !((stale || unanswered) && is_executed(client, &change_set.arn).await) {
            let fail =
                if stale { fail.hint("the stack changed in between: run the command again") } else { fail };
            return Err(taken_back(client, change_set, fail).await);
        }
    }
    let watch = StackWatch {
        stack: &change_set.stack,
        since: Since::After(change_set.created),
        expected: flatten(&change_set.changes).len(),
        sink,
        pace,
    };
    follow(client, &watch).await
}

#[cfg(test)]
#[path = "change_set_tests.rs"]
mod tests;
