//! Carries a deployment plan out, step by step, and remembers how far it got.

use super::context::{Context, Progress};
use super::journal::Journal;
use super::lease;
use super::steps;
use super::timed::timed;
use crate::doors::store::{Condition, Found, Written};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use crate::model::release::Pointer;
use crate::observe::lease::nobody_else;
use crate::plan::deployment::Plan;

/// Runs every step; the first failure ends it. `progress` tells in either case what was reached.
pub async fn run(context: &Context, plan: &Plan, progress: &mut Progress) -> Result<()> {
    for step in &plan.steps {
        if let Some(lease) = &progress.lease {
            lease.check().await?;
        } else if step.needs_lease() {
            take_lease(context, progress).await?;
        }
        if let Some(lease) = &progress.lease {
            lease.covers(step);
        }
        let sink = context.sink.step(step.name());
        let Progress { lease, records, state, journal, .. } = &mut *progress;
        // Boxed: the futures of all steps together would be too large for a thread's stack in a debug build.
        let work = Box::pin(steps::run(context, step, state, &sink));
        let work = async {
            match lease {
                Some(lease) => {
                    // That there is a deployment is recorded before its first step has ended, and beside it.
                    let (ended, ()) = tokio::join!(lease.during(work), recorded(journal, lease.token));
                    Ok((ended?, ()))
                }
                None => Ok((work.await?, ())),
            }
        };
        timed(&sink, records, work).await?;
        progress.state.running.advance(step);
    }
    Ok(())
}

async fn recorded(journal: &mut Option<Journal>, token: u64) {
    if let Some(journal) = journal {
        journal.begin(token).await;
    }
}

/// Takes the lease and makes sure that what the plan was made from is still true: nobody held the lease in between, and
/// nobody moved the pointer without it.
///
/// One round trip, if the lease is still as it was seen: then nobody could move the pointer since, so that the pointer
/// can be read while the lease is being taken.
pub async fn take_lease(context: &Context, progress: &mut Progress) -> Result<()> {
    let (store, environment) = (&context.store, context.environment());
    nobody_else(environment, progress.holder.as_ref())?;
    let next = progress.holder.as_ref().map_or(0, |seen| seen.document().token) + 1;
    let key = names::pointer_key(environment);
    let taking = lease::succeed(store, progress.holder.clone());
    let (taken, read) = tokio::join!(taking, store.read::<Pointer>(&key));
    let (lease, read) = match taken? {
        Some(lease) => (lease, Some(read)),
        // What was read is of before whatever the other one did.
        None => (lease::acquire(store).await?, None),
    };
    let (token, inherited) = (lease.token, lease.inherited);
    let lease = progress.lease.insert(lease);
    progress.state.token = Some(token);
    let now = match read {
        Some(read) => read?,
        None => lease.during(store.read::<Pointer>(&key)).await?,
    };
    let serial = |found: Option<&Found<Pointer>>| found.map(|found| found.value.serial);
    if next != token || serial(now.as_ref()) != serial(progress.state.pointer.as_ref()) {
        return Err(overtaken(environment));
    }
    if let Some(found) = now.filter(|_| inherited) {
        progress.state.pointer = Some(lease.during(marked(context, found, token)).await?);
    }
    Ok(())
}

/// The same pointer with our token: whoever held the lease before and comes back has a tag that fits no more, even if
/// the request left before the lease was lost.
async fn marked(context: &Context, found: Found<Pointer>, token: u64) -> Result<Found<Pointer>> {
    let value = Pointer { token: Some(token), ..found.value };
    let key = names::pointer_key(context.environment());
    match context.store.write(&key, &value, Condition::Same(&found.etag)).await? {
        Written::Yes(etag) => Ok(Found { value, etag }),
        Written::Lost => Err(overtaken(context.environment())),
    }
}

fn overtaken(environment: &str) -> Fail {
    Fail::new(Kind::Locked, format!("`{environment}` was deployed by somebody else just now")).hint(format!(
        "look at what they did, then run the same command again: cargo xtask history --env {environment}"
    ))
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
