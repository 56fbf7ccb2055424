//! From a target to a finished deployment: plan, lease, steps, the way back, the record.

use super::ui::Ui;
use crate::apply::context::{Context, Progress, State};
use crate::apply::deploy;
use crate::doors::{documents, env, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names::{self, outputs};
use crate::model::release::{Deployment, Outcome, Release};
use crate::plan::deploy::{Facts, Plan, Source, plan};
use crate::report::deploy::Closing;

/// A planned deployment, ready to be carried out.
pub struct Ready {
    pub context: Context,
    pub facts: Facts,
    pub plan: Plan,
    pub progress: Progress,
    pub started: String,
    pub watch: time::Stopwatch,
}

/// Carries the plan out, goes back where it fails after something was touched, and records either.
pub async fn carry_out(mut ready: Ready, ui: &Ui) -> Result<Closing> {
    let mut result = deploy::run(&ready.context, &ready.plan, &mut ready.progress).await;
    if result.is_err() && ready.plan.is_unchanged() {
        ui.say("Airflow does not answer although nothing changed: the hosts get their revision again");
        ready.facts.unhealthy = true;
        ready.plan = plan(&ready.plan.target, ready.plan.source, &ready.facts);
        result = deploy::run(&ready.context, &ready.plan, &mut ready.progress).await;
    }
    let outcome = match result {
        Ok(()) if ready.plan.is_unchanged() => Ok(Outcome::Unchanged),
        Ok(()) => Ok(Outcome::Deployed),
        Err(fail) => Err(way_back(&mut ready, ui, fail).await),
    };
    close(ready, outcome).await
}

/// The previous release again, by the same machinery; never from within itself.
async fn way_back(ready: &mut Ready, ui: &Ui, fail: Fail) -> Fail {
    let previous = ready.facts.current.clone();
    let (true, Some(previous)) = (ready.progress.state.touched, previous) else { return fail };
    ui.fail(&fail);
    ui.say(&format!("going back to release {}", previous.id()));
    let facts = Facts {
        current: Some(now(ready, &previous)),
        bundle: running_bundle(&ready.progress.state),
        ..Facts::default()
    };
    let back = plan(&previous, Source::Record, &facts);
    ready.progress.state.dags = None;
    match deploy::run(&ready.context, &back, &mut ready.progress).await {
        Ok(()) => fail
            .context(format!("release {} failed and {} is back", ready.plan.target.id(), previous.id()))
            .with_kind(Kind::RolledBack),
        Err(second) => fail
            .context(format!(
                "release {} failed and so did the way back to {}",
                ready.plan.target.id(),
                previous.id()
            ))
            .cause(format!("on the way back: {second}"))
            .hint("repair what is named above, then deploy again: it goes on from whatever state it finds")
            .with_kind(Kind::RollbackFailed),
    }
}

/// What runs at this moment, part by part.
fn now(ready: &Ready, previous: &Release) -> Release {
    let (target, state) = (&ready.plan.target, &ready.progress.state);
    let stack = if state.stack_updated { target } else { previous };
    Release {
        bundle: running_bundle(state).unwrap_or(previous.bundle),
        host: if state.rolled { target.host } else { previous.host },
        template: stack.template,
        parameters: stack.parameters.clone(),
        commit: None,
    }
}

fn running_bundle(state: &State) -> Option<crate::model::digest::Digest> {
    state.pointer.as_ref().map(|found| found.value.bundle)
}

/// Records what happened and gives the lease back; neither can turn a success into a failure.
async fn close(ready: Ready, outcome: Result<Outcome>) -> Result<Closing> {
    let Ready { context, plan, mut progress, started, watch, .. } = ready;
    let word = match &outcome {
        Ok(outcome) => *outcome,
        Err(fail) if fail.kind() == Kind::RolledBack => Outcome::RolledBack,
        Err(_) => Outcome::Failed,
    };
    let deployment = Deployment {
        deployment: time::ulid(),
        release: plan.target.id(),
        previous: plan.previous.clone(),
        outcome: word,
        started,
        seconds: (watch.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        by: env::actor(),
        steps: progress.records,
    };
    if let Some(lease) = progress.lease.take() {
        let key = names::deployment_key(&context.environment, &deployment.deployment);
        if let Err(fail) = documents::put(&context.aws, &context.bucket, &key, &deployment).await {
            context.sink.note("record", format!("the deployment could not be recorded: {fail}"));
        }
        if let Err(fail) = lease.release().await {
            context
                .sink
                .note("record", format!("the lease could not be given back, it ends by itself: {fail}"));
        }
    }
    outcome?;
    Ok(Closing {
        environment: context.environment,
        deployment,
        aws_calls: context.aws.calls(),
        uploads: progress.state.uploads,
        url: progress.state.outputs.get(outputs::AIRFLOW_URL).cloned(),
    })
}
