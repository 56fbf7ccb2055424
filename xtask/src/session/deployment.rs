//! From a prepared deployment to a finished one: lease, steps, rollback, record.

use super::prepare::Prepared;
use super::{interrupted, rollback};
use crate::apply::context::{Before, Context, Progress};
use crate::apply::journal::Journal;
use crate::apply::lease::Lease;
use crate::apply::rollout::forget_unmade;
use crate::apply::{losses, run};
use crate::doors::{env, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names::outputs;
use crate::model::release::{Deployment, Outcome};
use crate::observe::lease;
use crate::plan::deployment::plan;
use crate::report::deploy::Closing;
use crate::ui::Ui;

/// A longer text is cut in the record, in characters.
const ERROR: usize = 4000;

/// Carries the plan out, rolls back if it fails after something was touched, records either, and says how
/// it ended: as data if it went well and in JSON, as an error if it did not.
pub async fn carry_out(mut prepared: Prepared, ui: &Ui) -> Result<()> {
    let journal = journal(&prepared);
    prepared.context.sink = journal.listen(&prepared.context.sink);
    prepared.progress.journal = Some(journal);
    let outcome = match steps(&mut prepared, ui).await {
        Ok(()) if prepared.plan.is_unchanged() => Ok(Outcome::Unchanged),
        Ok(()) => Ok(Outcome::Deployed),
        Err(fail) => Err(rollback::go(&mut prepared, ui, fail).await),
    };
    let closing = close(prepared, &outcome).await;
    ui.show(&closing.with(outcome.as_ref().err()));
    outcome.map(drop)
}

/// What is known of a deployment before its first step.
fn journal(prepared: &Prepared) -> Journal {
    let Prepared { context, plan, promoted, progress, started, watch, .. } = prepared;
    let deployment = Deployment {
        deployment: time::ulid(),
        release: plan.release.id().to_owned(),
        previous: plan.previous.clone(),
        started: started.clone(),
        by: env::actor(),
        run_url: env::run_url(),
        from: promoted.clone(),
        steps: progress.records.clone(),
        ..Deployment::default()
    };
    Journal::new(&context.store, deployment, *watch)
}

async fn steps(prepared: &mut Prepared, ui: &Ui) -> Result<()> {
    // Even if nothing seems to be left to do: what is true now need not be when the other one is done.
    lease::nobody_else(prepared.context.environment(), prepared.progress.holder.as_ref())?;
    if let Some(told) = interrupted::before(&prepared.context.store, prepared.progress.holder.as_ref()).await
    {
        ui.say(&told);
    }
    let result = carried_out(prepared).await;
    let Err(fail) = result else { return Ok(()) };
    if !prepared.plan.is_unchanged() {
        return Err(with_secrets(fail, &prepared.plan.secrets));
    }
    ui.say(&format!("health check failed although nothing changed: {fail}"));
    ui.say("redeploying the current host revision");
    prepared.facts.unhealthy = true;
    prepared.plan = plan(&prepared.plan.release, prepared.plan.source, &prepared.facts);
    carried_out(prepared).await
}

async fn carried_out(prepared: &mut Prepared) -> Result<()> {
    let Prepared { context, plan, progress, .. } = prepared;
    progress.state.before = Before::look(context, plan).await;
    run::run(context, plan, progress).await
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
async fn close(mut prepared: Prepared, outcome: &Result<Outcome>) -> Closing {
    let touched = prepared.progress.touched();
    let journal = prepared.progress.journal.take().unwrap_or_else(|| journal(&prepared));
    let Prepared { context, dags, mut progress, watch, .. } = prepared;
    forget_unmade(&context, &mut progress.state).await;
    let lease = still_held(&mut progress, &context).await;
    let losses = losses::losses(&context, &progress.state).await;
    let ended = |deployment: &mut Deployment| {
        deployment.outcome = match outcome {
            Ok(outcome) => *outcome,
            Err(fail) if fail.kind() == Kind::RolledBack => Outcome::RolledBack,
            Err(_) => Outcome::Failed,
        };
        deployment.seconds = time::seconds(watch.elapsed());
        deployment.error = outcome.as_ref().err().map(|fail| fail.to_string().chars().take(ERROR).collect());
        deployment.saved = progress.state.saved.as_ref().map(|saved| saved.name().to_owned());
        deployment.losses = losses;
    };
    let (deployment, recorded) = journal.end(lease.as_ref().map(|lease| lease.token), ended).await;
    if let Some(lease) = lease {
        let sink = context.sink.step("record");
        if let Err(fail) = recorded {
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
        unreachable: progress.state.instead.clone(),
        url: progress.state.outputs.get(outputs::AIRFLOW_URL).cloned(),
        deployment,
        error: None,
    }
}

/// The lease, unless it was lost: then neither records nor anything else of the environment are ours to write.
async fn still_held(progress: &mut Progress, context: &Context) -> Option<Lease> {
    let lease = progress.lease.take()?;
    if lease.check().await.is_ok() {
        return Some(lease);
    }
    context.sink.step("record").note("not recorded: the environment is somebody else's now");
    None
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
