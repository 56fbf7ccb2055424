//! Carries a deployment plan out, step by step, and remembers how far it came.

use super::context::{Context, Progress, State};
use super::lease::{self, Lease, Loss};
use super::steps;
use crate::doors::documents::{self, Found};
use crate::doors::{env, proc, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::event::{Ending, Event, Sink};
use crate::model::names;
use crate::model::release::{Pointer, StepRecord};
use crate::plan::deploy::{Plan, Step};
use std::time::Duration;

/// How a step ended: with something done, or with nothing to do; and a few words about it.
#[derive(Debug)]
pub struct Ended {
    pub ending: Ending,
    pub summary: String,
}

impl Ended {
    pub fn done(summary: impl Into<String>) -> Self {
        Self { ending: Ending::Done, summary: summary.into() }
    }

    pub fn skipped(summary: impl Into<String>) -> Self {
        Self { ending: Ending::Skipped, summary: summary.into() }
    }
}

/// Runs every step; the first failure ends it. `progress` tells in either case what was reached.
pub async fn run(context: &Context, plan: &Plan, progress: &mut Progress) -> Result<()> {
    for &step in &plan.steps {
        if step.needs_lease() && progress.lease.is_none() {
            take_lease(context, progress).await?;
        }
        if let Some(lease) = &progress.lease {
            lease.check()?;
        }
        let loss = progress.lease.as_ref().map(Lease::loss);
        let work = until(loss, perform(context, plan, step, &mut progress.state));
        timed(&context.sink, step.name(), &mut progress.records, work).await?;
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

/// Takes the lease, then makes sure that the plan was made from what is still true: nobody held the
/// lease in between, and nobody moved the pointer without it.
async fn take_lease(context: &Context, progress: &mut Progress) -> Result<()> {
    let lease = lease::acquire(&context.aws, &context.bucket, &context.environment).await?;
    let next = progress.token.unwrap_or_default() + 1 == lease.token;
    progress.lease = Some(lease);
    let key = names::pointer_key(&context.environment);
    let now = documents::read::<Pointer>(&context.aws, &context.bucket, &key).await?;
    let serial = |found: Option<&Found<Pointer>>| found.map(|found| found.value.serial);
    if next && serial(now.as_ref()) == serial(progress.state.pointer.as_ref()) {
        return Ok(());
    }
    Err(Fail::new(Kind::Locked, format!("`{}` was deployed by somebody else just now", context.environment))
        .hint(format!(
            "look at what they did, then run the same command again: cargo xtask history --env {}",
            context.environment
        )))
}

async fn perform(context: &Context, plan: &Plan, step: Step, state: &mut State) -> Result<Ended> {
    match step {
        Step::Validate => steps::validate(context, state).await,
        Step::Bootstrap => steps::bootstrap(context).await,
        Step::Bundle => steps::bundle(context, plan, state).await,
        Step::Stack => super::stack::update(context, plan, state).await,
        Step::Hosts => steps::hosts(context, plan, state).await,
        Step::Pointer => steps::pointer(context, plan, state).await,
        Step::Dags => steps::dags(context, plan, state).await,
        Step::Smoke => steps::smoke(context, plan, state).await,
        Step::Health => steps::health(context, state).await,
    }
}

/// Tells the beginning and the end of a step, and keeps its record.
pub async fn timed(
    sink: &Sink,
    name: &str,
    records: &mut Vec<StepRecord>,
    work: impl Future<Output = Result<Ended>>,
) -> Result<()> {
    let watch = time::Stopwatch::start();
    sink.send(Event::Started { step: name.to_owned() });
    let result = work.await;
    let took = watch.elapsed();
    let (ending, summary) = match &result {
        Ok(ended) => (ended.ending, ended.summary.clone()),
        Err(_) => (Ending::Failed, String::new()),
    };
    sink.send(Event::Ended { step: name.to_owned(), ending, took, summary });
    records.push(record(name, ending, took));
    if env::stop_after().as_deref() == Some(name) {
        proc::kill_self();
    }
    result.map(drop)
}

fn record(name: &str, ending: Ending, took: Duration) -> StepRecord {
    let outcome = match ending {
        Ending::Done => "done",
        Ending::Skipped => "skipped",
        Ending::Failed => "failed",
    };
    let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
    StepRecord { name: name.to_owned(), outcome: outcome.to_owned(), seconds }
}

#[cfg(test)]
#[path = "deploy_tests.rs"]
mod tests;
