//! From a target to a finished deployment: plan, lease, steps, the way back, the record.

use super::ui::Ui;
use super::way_back;
use crate::apply::context::{Context, Progress};
use crate::apply::deploy;
use crate::doors::{documents, env, time};
use crate::fail::{Kind, Result};
use crate::model::names::{self, outputs};
use crate::model::release::{Deployment, Outcome};
use crate::plan::deploy::{Facts, Plan, plan};
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
        Err(fail) => Err(way_back::go(&mut ready, ui, fail).await),
    };
    close(ready, outcome).await
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
        // What is neither the old release nor the new one must not be taken for granted by the next.
        let half_done = outcome.as_ref().is_err_and(|fail| fail.kind() == Kind::RollbackFailed);
        let given = if half_done { lease.abandon().await } else { lease.release().await };
        if let Err(fail) = given {
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
