//! From a prepared deployment to a finished one: lease, steps, rollback, record.

use super::prepare::Prepared;
use super::rollback;
use crate::apply::rollout::forget_unmade;
use crate::apply::run;
use crate::doors::{env, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names::{self, outputs};
use crate::model::release::{Deployment, Outcome};
use crate::observe::lease;
use crate::plan::deployment::plan;
use crate::report::deploy::Closing;
use crate::ui::Ui;

/// Carries the plan out, rolls back if it fails after something was touched, records either, and says how
/// it ended: as data if it went well and in JSON, as an error if it did not.
pub async fn carry_out(mut prepared: Prepared, ui: &Ui) -> Result<()> {
    let outcome = match steps(&mut prepared, ui).await {
        Ok(()) if prepared.plan.is_unchanged() => Ok(Outcome::Unchanged),
        Ok(()) => Ok(Outcome::Deployed),
        Err(fail) => Err(rollback::go(&mut prepared, ui, fail).await),
    };
    let closing = close(prepared, &outcome).await;
    ui.show(&closing.with(outcome.as_ref().err()));
    outcome.map(drop)
}

async fn steps(prepared: &mut Prepared, ui: &Ui) -> Result<()> {
    // Even if nothing seems to be left to do: what is true now need not be when the other one is done.
    lease::nobody_else(prepared.context.environment(), prepared.holder.as_ref())?;
    let result = run::run(&prepared.context, &prepared.plan, &mut prepared.progress).await;
    let Err(fail) = result else { return Ok(()) };
    if !prepared.plan.is_unchanged() {
        return Err(with_secrets(fail, &prepared.plan.secrets));
    }
    ui.say(&format!("health check failed although nothing changed: {fail}"));
    ui.say("redeploying the current host revision");
    prepared.facts.unhealthy = true;
    prepared.plan = plan(&prepared.plan.release, prepared.plan.source, &prepared.facts);
    run::run(&prepared.context, &prepared.plan, &mut prepared.progress).await
}

/// A new value can be what is wrong, and no rollback takes it back.
fn with_secrets(fail: Fail, changed: &[String]) -> Fail {
    match changed {
        [] => fail,
        _ => fail
            .cause(format!("these secrets have new values, which a rollback keeps: {}", changed.join(", "))),
    }
}

/// Records what happened and gives the lease back; neither can turn a success into a failure.
async fn close(prepared: Prepared, outcome: &Result<Outcome>) -> Closing {
    let touched = prepared.progress.touched();
    let Prepared { context, plan, dags, mut progress, started, watch, .. } = prepared;
    forget_unmade(&context, &mut progress.state).await;
    let deployment = Deployment {
        deployment: time::ulid(),
        release: plan.release.id().to_owned(),
        previous: plan.previous.clone(),
        outcome: match outcome {
            Ok(outcome) => *outcome,
            Err(fail) if fail.kind() == Kind::RolledBack => Outcome::RolledBack,
            Err(_) => Outcome::Failed,
        },
        started,
        seconds: time::seconds(watch.elapsed()),
        by: env::actor(),
        run_url: env::run_url(),
        saved: progress.state.saved.as_ref().map(|saved| saved.name().to_owned()),
        steps: std::mem::take(&mut progress.records),
    };
    if let Some(lease) = progress.lease.take() {
        let sink = context.sink.step("record");
        let key = names::deployment_key(context.environment(), &deployment.deployment);
        if let Err(fail) = context.store.put(&key, &deployment).await {
            sink.note(format!("the deployment could not be recorded: {fail}"));
        }
        let whole = is_whole(outcome.as_ref().err(), touched || lease.inherited);
        let given = if whole { lease.release().await } else { lease.abandon().await };
        if let Err(fail) = given {
            sink.note(format!("the lease could not be released and will expire by itself: {fail}"));
        }
    }
    Closing {
        environment: context.environment().to_owned(),
        aws_calls: context.aws.calls(),
        uploads: progress.state.uploads,
        dags,
        draining: progress.state.draining,
        url: progress.state.outputs.get(outputs::AIRFLOW_URL).cloned(),
        deployment,
        error: None,
    }
}

/// Whether the environment is on one release as a whole. What this deployment, or an interrupted one before
/// it, left between two releases must not be taken for granted by the next.
fn is_whole(fail: Option<&Fail>, disturbed: bool) -> bool {
    match fail {
        None => true,
        Some(fail) => fail.kind() == Kind::RolledBack || !disturbed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::error;

    #[test]
    fn a_failed_rollout_names_the_secrets_that_have_changed() {
        let told = |changed: &[String]| {
            let text = error::text(&with_secrets(Fail::failed("hosts failed"), changed));
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(&[]), "error: hosts failed");
        let changed = told(&["ductwork/dev/login/google".to_owned()]);
        assert!(changed.ends_with("which a rollback keeps: ductwork/dev/login/google"), "{changed}");
    }
}
