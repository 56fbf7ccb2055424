//! Carries a deployment plan out, step by step, and remembers how far it got.

use super::context::{Context, Progress};
use super::lease::{self, Lease, Loss};
use super::steps;
use super::timed::{Ended, timed};
use crate::doors::store::Found;
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
        let loss = progress.lease.as_ref().map(Lease::loss);
        let sink = context.sink.step(step.name());
        // Boxed: the futures of all steps together would be too large for a thread's stack in a debug build.
        let work = until(loss, Box::pin(steps::run(context, step, &mut progress.state, &sink)));
        timed(&sink, &mut progress.records, async { Ok((work.await?, ())) }).await?;
        progress.state.running.advance(step);
    }
    Ok(())
}

/// A step takes minutes, and nothing may be written any more once the lease is somebody else's.
async fn until(loss: Option<Loss>, work: impl Future<Output = Result<Ended>>) -> Result<Ended> {
    let Some(loss) = loss else { return work.await };
    tokio::select! {
        ended = work => ended,
        () = loss.happens() => Err(lease::lost()),
    }
}

/// Takes the lease, then makes sure that what the plan was made from is still true: nobody held the lease
/// in between, and nobody moved the pointer without it.
async fn take_lease(context: &Context, progress: &mut Progress) -> Result<()> {
    let lease = lease::acquire(&context.store).await?;
    let token = lease.token;
    let next = progress.token.unwrap_or_default() + 1 == token;
    progress.lease = Some(lease);
    let environment = context.environment();
    let key = names::pointer_key(environment);
    let recorded = async {
        if let Some(journal) = &mut progress.journal {
            journal.begin(token).await;
        }
    };
    let (now, ()) = tokio::join!(context.store.read::<Pointer>(&key), recorded);
    let now = now?;
    let serial = |found: Option<&Found<Pointer>>| found.map(|found| found.value.serial);
    if next && serial(now.as_ref()) == serial(progress.state.pointer.as_ref()) {
        return Ok(());
    }
    Err(Fail::new(Kind::Locked, format!("`{environment}` was deployed by somebody else just now")).hint(
        format!(
            "look at what they did, then run the same command again: cargo xtask history --env {environment}"
        ),
    ))
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
