//! Takes an environment away, in an order that can be broken off anywhere and taken up again.
//!
//! The names of what outlives the stack are noted before the stack goes, since nobody knows them
//! afterwards; the note, the pointer and the lease go last, so that whatever is left is found again.

use super::context::Progress;
use super::deploy::{Ended, timed};
use super::stack_operations::{self as operations, Target};
use crate::doors::aws::{self, Aws};
use crate::doors::{buckets, documents};
use crate::fail::Result;
use crate::model::event::Sink;
use crate::model::names::{self, outputs};
use crate::model::stack::{Operation, StackFacts, Status};
use crate::model::text::count;
use crate::observe::stack as observed;
use crate::plan::root_cause::verdict;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be taken away.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub aws: &'a Aws,
    /// The artifact bucket.
    pub bucket: &'a str,
    pub environment: &'a str,
    pub stack: &'a str,
    pub sink: &'a Sink,
}

/// What stacks of the environment have left behind, `environments/<env>/leftovers.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    pub buckets: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
}

impl Leftovers {
    fn add(&mut self, outputs: &BTreeMap<String, String>) {
        let named = [outputs::LOGS_BUCKET, outputs::ACCESS_LOG_BUCKET].into_iter();
        let named = named.filter_map(|name| outputs.get(name)).filter(|bucket| *bucket != outputs::NONE);
        self.buckets.extend(named.cloned());
        self.secrets.extend(outputs.get(outputs::FERNET_KEY_SECRET).cloned());
    }

    fn of(outputs: &BTreeMap<String, String>) -> Self {
        let mut leftovers = Self::default();
        leftovers.add(outputs);
        leftovers
    }
}

/// Notes what an update has let go of without deleting it, such as the bucket of a load balancer that is
/// gone, so that `destroy` finds it.
pub async fn note(
    aws: &Aws,
    bucket: &str,
    environment: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Result<()> {
    let (before, after) = (Leftovers::of(before), Leftovers::of(after));
    let buckets: BTreeSet<String> = before.buckets.difference(&after.buckets).cloned().collect();
    let secrets: BTreeSet<String> = before.secrets.difference(&after.secrets).cloned().collect();
    if buckets.is_empty() && secrets.is_empty() {
        return Ok(());
    }
    let key = names::leftovers_key(environment);
    let noted = documents::read::<Leftovers>(aws, bucket, &key).await?;
    let mut leftovers = noted.map(|found| found.value).unwrap_or_default();
    leftovers.buckets.extend(buckets);
    leftovers.secrets.extend(secrets);
    documents::put(aws, bucket, &key, &leftovers).await
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

pub async fn look(subject: Subject<'_>) -> Result<Remains> {
    let key = names::leftovers_key(subject.environment);
    let prefix = names::environment_prefix(subject.environment);
    let (stack, noted, records) = tokio::join!(
        observed::stack(&subject.aws.cloudformation, subject.stack),
        documents::read::<Leftovers>(subject.aws, subject.bucket, &key),
        documents::keys(subject.aws, subject.bucket, &prefix),
    );
    let stack = stack?;
    let mut leftovers = noted?.map(|found| found.value).unwrap_or_default();
    if let Some(stack) = &stack {
        leftovers.add(&stack.outputs);
    }
    Ok(Remains { stack, leftovers, records: records? })
}

/// Stack, what it retains, records; the caller holds the lease, which goes with the records.
pub async fn run(subject: Subject<'_>, remains: &Remains, progress: &mut Progress) -> Result<()> {
    let note = names::leftovers_key(subject.environment);
    let records = &mut progress.records;
    timed(subject.sink, "stack", records, async {
        // Without records there is no bucket to note it in, perhaps; whoever deleted that knows.
        if remains.leftovers != Leftovers::default() && !remains.records.is_empty() {
            documents::put(subject.aws, subject.bucket, &note, &remains.leftovers).await?;
        }
        stack(subject, remains.stack.as_ref()).await
    })
    .await?;
    timed(subject.sink, "leftovers", records, leftovers(subject, &remains.leftovers)).await?;
    timed(subject.sink, "records", records, forget(subject)).await
}

/// Deletes the stack with everything below it, after whatever moves it now has ended.
async fn stack(subject: Subject<'_>, facts: Option<&StackFacts>) -> Result<Ended> {
    let Some(facts) = facts else { return Ok(Ended::skipped("there is none")) };
    let client = &subject.aws.cloudformation;
    let target = Target { stack: &facts.arn, step: "stack", sink: subject.sink };
    if is_busy(facts.status) {
        operations::wait(client, target).await?;
    }
    verdict(&operations::delete(client, target).await?, Operation::Delete)?;
    Ok(Ended::done(format!("`{}` deleted", subject.stack)))
}

/// The service takes no deletion while an update runs. It takes one of a shell that waits for its first
/// change set, and one of a stack that is being created or deleted.
fn is_busy(status: Status) -> bool {
    use Status::{CreateInProgress, DeleteInProgress, ReviewInProgress};
    status.in_progress() && !matches!(status, CreateInProgress | DeleteInProgress | ReviewInProgress)
}

async fn leftovers(subject: Subject<'_>, leftovers: &Leftovers) -> Result<Ended> {
    if *leftovers == Leftovers::default() {
        return Ok(Ended::skipped("there are none"));
    }
    let mut objects = 0;
    for bucket in &leftovers.buckets {
        subject.sink.progress("leftovers", format!("emptying bucket `{bucket}`"));
        objects += buckets::delete(&subject.aws.s3, bucket).await?;
    }
    for secret in &leftovers.secrets {
        delete_secret(subject.aws, secret).await?;
    }
    let buckets = count(leftovers.buckets.len(), "bucket");
    Ok(Ended::done(format!(
        "{buckets} with {}, {}",
        count(objects, "object"),
        count(leftovers.secrets.len(), "secret")
    )))
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
async fn forget(subject: Subject<'_>) -> Result<Ended> {
    let last = [
        names::leftovers_key(subject.environment),
        names::pointer_key(subject.environment),
        names::lock_key(subject.environment),
    ];
    let prefix = names::environment_prefix(subject.environment);
    let mut keys = documents::keys(subject.aws, subject.bucket, &prefix).await?;
    keys.sort_by_key(|key| last.iter().position(|late| late == key).map_or(0, |place| place + 1));
    for key in &keys {
        documents::delete(subject.aws, subject.bucket, key).await?;
    }
    Ok(Ended::done(count(keys.len(), "record")))
}

#[cfg(test)]
#[path = "destroy_tests.rs"]
mod tests;
