//! Carries a deployment plan out, step by step, and remembers how far it got.

use super::context::{Context, Progress};
use super::lease;
use super::steps;
use super::timed::timed;
use crate::doors::store::{Condition, Found, Written};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use crate::model::release::Pointer;
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
        let Progress { lease, records, state, .. } = &mut *progress;
        // Boxed: the futures of all steps together would be too large for a thread's stack in a debug build.
        let work = Box::pin(steps::run(context, step, state, &sink));
        let work = async {
            match lease {
                Some(lease) => Ok((lease.during(work).await?, ())),
                None => Ok((work.await?, ())),
            }
        };
        timed(&sink, records, work).await?;
        progress.state.running.advance(step);
    }
    Ok(())
}

/// Takes the lease, then makes sure that what the plan was made from is still true: nobody held the lease
/// in between, and nobody moved the pointer without it.
pub async fn take_lease(context: &Context, progress: &mut Progress) -> Result<()> {
    let lease = lease::acquire(&context.store).await?;
    let (token, inherited) = (lease.token, lease.inherited);
    let next = progress.token.unwrap_or_default() + 1 == token;
    let lease = progress.lease.insert(lease);
    progress.state.token = Some(token);
    let environment = context.environment();
    let key = names::pointer_key(environment);
    let recorded = async {
        if let Some(journal) = &mut progress.journal {
            journal.begin(token).await;
        }
    };
    let read = lease.during(context.store.read::<Pointer>(&key));
    let (now, ()) = tokio::join!(read, recorded);
    let now = now?;
    let serial = |found: Option<&Found<Pointer>>| found.map(|found| found.value.serial);
    if !next || serial(now.as_ref()) != serial(progress.state.pointer.as_ref()) {
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
