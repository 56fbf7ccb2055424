//! Deletes an environment, in an order that can be interrupted anywhere and continued.
//!
//! The names of what outlives the stack are noted before the stack goes, since nobody knows them
//! afterwards; the note, the pointer and the lease go last, so that whatever is left is found again.

use super::leftovers::{self, Leftovers};
use super::stack::operations::{self, StackHandle};
use super::timed::{Ended, timed};
use super::workers;
use crate::doors::aws::{self, Aws};
use crate::doors::buckets;
use crate::doors::ecs;
use crate::doors::store::Store;
use crate::fail::Result;
use crate::model::event::Sink;
use crate::model::names;
use crate::model::release::StepRecord;
use crate::model::stack::{Operation, StackFacts, Status};
use crate::model::text::count;
use crate::observe::stack as observed;
use crate::plan::root_cause::verdict;

/// The environment to delete.
#[derive(Clone, Copy, Debug)]
pub struct Doomed<'a> {
    pub aws: &'a Aws,
    pub store: &'a Store,
    pub stack: &'a str,
    pub sink: &'a Sink,
}

/// What there is of an environment.
#[derive(Clone, Debug)]
pub struct Remains {
    pub stack: Option<StackFacts>,
    pub leftovers: Leftovers,
    /// Keys of its records, the lease among them.
    pub records: Vec<String>,
}

impl Remains {
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.stack.is_none() && self.records.is_empty()
    }
}

pub async fn look(doomed: Doomed<'_>) -> Result<Remains> {
    let prefix = names::environment_prefix(doomed.store.environment());
    let (stack, noted, records) = tokio::join!(
        observed::stack(&doomed.aws.cloudformation, doomed.stack),
        leftovers::noted(doomed.store),
        doomed.store.keys(&prefix),
    );
    let (stack, mut leftovers) = (stack?, noted?);
    if let Some(stack) = &stack {
        leftovers.add(&stack.outputs);
    }
    Ok(Remains { stack, leftovers, records: records? })
}

/// Stack, what it retains, records; the caller holds the lease, which goes with the records.
pub async fn run(doomed: Doomed<'_>, remains: &Remains, records: &mut Vec<StepRecord>) -> Result<()> {
    let sink = doomed.sink.step("stack");
    timed(&sink, records, async {
        // Without records there may be no bucket to note it in; whoever deleted that knows.
        if remains.leftovers != Leftovers::default() && !remains.records.is_empty() {
            let key = names::leftovers_key(doomed.store.environment());
            doomed.store.put(&key, &remains.leftovers).await?;
        }
        Ok((stack(doomed, remains.stack.as_ref(), &sink).await?, ()))
    })
    .await?;
    let sink = doomed.sink.step("leftovers");
    let work = async { Ok((clear(doomed, &remains.leftovers, &sink).await?, ())) };
    timed(&sink, records, work).await?;
    let sink = doomed.sink.step("records");
    timed(&sink, records, async { Ok((forget(doomed).await?, ())) }).await
}

/// Deletes the stack with everything below it, after whatever moves it now has ended.
async fn stack(doomed: Doomed<'_>, facts: Option<&StackFacts>, sink: &Sink) -> Result<Ended> {
    let Some(facts) = facts else { return Ok(Ended::skipped("there is none")) };
    let client = &doomed.aws.cloudformation;
    let target = StackHandle { stack: &facts.arn, sink, pace: &doomed.aws.pace };
    if is_busy(facts.status) {
        operations::wait(client, target).await?;
    }
    workers::dismiss(doomed.aws, &facts.outputs, sink).await?;
    verdict(&operations::delete(client, target).await?, Operation::Delete)?;
    Ok(Ended::done(format!("`{}` deleted", doomed.stack)))
}

/// The service takes no deletion while an update runs. It takes one of a shell that waits for its first
/// change set, and one of a stack that is being created or deleted.
fn is_busy(status: Status) -> bool {
    use Status::{CreateInProgress, DeleteInProgress, ReviewInProgress};
    status.in_progress() && !matches!(status, CreateInProgress | DeleteInProgress | ReviewInProgress)
}

async fn clear(doomed: Doomed<'_>, leftovers: &Leftovers, sink: &Sink) -> Result<Ended> {
    if *leftovers == Leftovers::default() {
        return Ok(Ended::skipped("there are none"));
    }
    let mut objects = 0;
    for bucket in &leftovers.buckets {
        sink.progress(format!("emptying bucket `{bucket}`"));
        objects += buckets::delete(&doomed.aws.s3, bucket).await?;
    }
    for secret in &leftovers.secrets {
        delete_secret(doomed.aws, secret).await?;
    }
    let buckets = count(leftovers.buckets.len(), "bucket");
    let secrets = count(leftovers.secrets.len(), "secret");
    let mut told = format!("{buckets} with {}, {secrets}", count(objects, "object"));
    if leftovers.task_definitions {
        sink.progress("deregistering task definitions");
        let revisions = count(deregister(doomed).await?, "revision");
        told.push_str(&format!(", {revisions} of task definitions"));
    }
    Ok(Ended::done(told))
}

/// Revisions that an update of the stack has replaced, kept for tasks that ran on them. The tag says whose they are: the
/// name of another environment may continue this one's.
async fn deregister(doomed: Doomed<'_>) -> Result<usize> {
    let (aws, environment) = (doomed.aws, doomed.store.environment());
    let mut gone = 0;
    for arn in ecs::active(aws, &format!("{}-", doomed.stack)).await? {
        if ecs::tag(aws, &arn, "environment").await?.as_deref() == Some(environment) {
            ecs::deregister(aws, &arn).await?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// With the recovery window of the service: a snapshot of the database is of no use without its key.
async fn delete_secret(aws: &Aws, arn: &str) -> Result<()> {
    match aws.secrets.delete_secret().secret_id(arn).send().await {
        Ok(_) => Ok(()),
        // Gone, or already scheduled to go.
        Err(error)
            if matches!(aws::code(&error), "ResourceNotFoundException" | "InvalidRequestException") =>
        {
            Ok(())
        }
        Err(error) => Err(aws::failure("Secrets Manager", format!("cannot delete `{arn}`"), error)),
    }
}

/// Deletes the records: what is only history first, then what a later attempt goes by.
async fn forget(doomed: Doomed<'_>) -> Result<Ended> {
    let (store, environment) = (doomed.store, doomed.store.environment());
    let last =
        [names::leftovers_key(environment), names::pointer_key(environment), names::lock_key(environment)];
    let mut keys = store.keys(&names::environment_prefix(environment)).await?;
    keys.extend(store.keys(&names::receipts_prefix(environment)).await?);
    keys.sort_by_key(|key| last.iter().position(|late| late == key).map_or(0, |at| at + 1));
    for key in &keys {
        store.delete(key).await?;
    }
    Ok(Ended::done(count(keys.len(), "record")))
}

#[cfg(test)]
#[path = "destroy_tests.rs"]
mod tests;
