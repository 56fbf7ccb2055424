//! From a target to a finished deployment: plan, lease, steps, the way back, the record.

use super::ui::Ui;
use super::way_back;
use crate::apply::context::{Context, Progress};
use crate::apply::{deploy, lease};
use crate::doors::{documents, env, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names::{self, outputs};
use crate::model::release::{Deployment, Outcome};
use crate::plan::deploy::{Facts, Plan, plan};
use crate::report::deploy::{self as report, Closing};

/// A planned deployment, ready to be carried out.
pub struct Ready {
    pub context: Context,
    pub facts: Facts,
    pub plan: Plan,
    pub progress: Progress,
    /// Who held the lease when the plan was made.
    pub holder: Option<lease::Document>,
    pub started: String,
    pub watch: time::Stopwatch,
}

/// Carries the plan out, goes back where it fails after something was touched, records either, and says
/// how it ended: as data where it went well and in JSON, as an error where it did not.
pub async fn carry_out(mut ready: Ready, ui: &Ui) -> Result<()> {
    let outcome = match steps(&mut ready, ui).await {
        Ok(()) if ready.plan.is_unchanged() => Ok(Outcome::Unchanged),
        Ok(()) => Ok(Outcome::Deployed),
        Err(fail) => Err(way_back::go(&mut ready, ui, fail).await),
    };
    let closing = close(ready, &outcome).await;
    let text = if outcome.is_ok() { report::text(&closing) } else { String::new() };
    ui.data(&text, &report::json(&closing, outcome.as_ref().err()));
    outcome.map(drop)
}

async fn steps(ready: &mut Ready, ui: &Ui) -> Result<()> {
    // Also where nothing seems to be left to do: what is true now need not be when the other is done.
    lease::nobody_else(&ready.context.environment, ready.holder.as_ref())?;
    let result = deploy::run(&ready.context, &ready.plan, &mut ready.progress).await;
    let Err(fail) = result else { return Ok(()) };
    if !ready.plan.is_unchanged() {
        return Err(fail);
    }
    ui.say(&format!("although nothing changed: {fail}"));
    ui.say("the hosts get their revision again");
    ready.facts.unhealthy = true;
    ready.plan = plan(&ready.plan.target, ready.plan.source, &ready.facts);
    deploy::run(&ready.context, &ready.plan, &mut ready.progress).await
}

/// Records what happened and gives the lease back; neither can turn a success into a failure.
async fn close(ready: Ready, outcome: &Result<Outcome>) -> Closing {
    let Ready { context, plan, mut progress, started, watch, .. } = ready;
    let deployment = Deployment {
        deployment: time::ulid(),
        release: plan.target.id(),
        previous: plan.previous.clone(),
        outcome: match outcome {
            Ok(outcome) => *outcome,
            Err(fail) if fail.kind() == Kind::RolledBack => Outcome::RolledBack,
            Err(_) => Outcome::Failed,
        },
        started,
        seconds: (watch.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        by: env::actor(),
        steps: std::mem::take(&mut progress.records),
    };
    if let Some(lease) = progress.lease.take() {
        let key = names::deployment_key(&context.environment, &deployment.deployment);
        if let Err(fail) = documents::put(&context.aws, &context.bucket, &key, &deployment).await {
            context.sink.note("record", format!("the deployment could not be recorded: {fail}"));
        }
        let whole = is_whole(outcome.as_ref().err(), progress.state.touched || lease.inherited);
        let given = if whole { lease.release().await } else { lease.abandon().await };
        if let Err(fail) = given {
            let text = format!("the lease could not be given back, it ends by itself: {fail}");
            context.sink.note("record", text);
        }
    }
    Closing {
        environment: context.environment,
        deployment,
        aws_calls: context.aws.calls(),
        uploads: progress.state.uploads,
        url: progress.state.outputs.get(outputs::AIRFLOW_URL).cloned(),
    }
}

/// Whether the environment is on one release as a whole. What this deployment or an interrupted one
/// before it left between two must not be taken for granted by the next.
fn is_whole(fail: Option<&Fail>, disturbed: bool) -> bool {
    match fail {
        None => true,
        Some(fail) => fail.kind() == Kind::RolledBack || !disturbed,
    }
}
