//! The rollback of a failed deployment: a plan from what runs now to the release before, by the same
//! function and the same steps, never from within itself.

use super::prepare::Prepared;
use crate::apply::rollout::forget_unmade;
use crate::apply::run;
use crate::doors::aws;
use crate::fail::{Fail, Kind};
use crate::model::release::Release;
use crate::plan::deployment::{Facts, Source, plan};
use crate::report::error;
use crate::ui::Ui;
use std::sync::Arc;

/// Rolls back if something was touched and there is a release to go back to; tells how it went.
pub async fn go(prepared: &mut Prepared, ui: &Ui, fail: Fail) -> Fail {
    let failed = prepared.plan.release.id().to_owned();
    if prepared.progress.touched() && aws::credentials_ended(&fail) {
        return stranded(fail, &failed);
    }
    let Some(previous) = destination(prepared, &fail).await else { return fail };
    ui.say(error::text(&fail).trim_end());
    ui.say(&format!("rolling back to release {}", previous.id()));
    let facts = Facts {
        running: prepared.progress.state.running.clone(),
        previous: Some(previous.clone()),
        ..Facts::default()
    };
    let back = plan(&previous, Source::Record, &facts);
    // Whoever agreed to the deployment wants it taken back when it fails; there may be nobody left to ask.
    prepared.context.ask = Arc::new(|_| Ok(()));
    match run::run(&prepared.context, &back, &mut prepared.progress).await {
        Ok(()) => fail
            .context(format!("release {failed} failed and {} is back", previous.id()))
            .with_kind(Kind::RolledBack),
        Err(second) => {
            let fail = fail
                .context(format!("release {failed} failed and so did the rollback to {}", previous.id()))
                .cause(format!("during the rollback: {second}"))
                .hint("fix the problems above, then deploy again: the deployment continues from any state")
                .with_kind(Kind::RollbackFailed);
            forget_unmade(&prepared.context, &mut prepared.progress.state).await;
            match &prepared.progress.state.saved {
                Some(saved) => fail.hint(saved.restore(prepared.context.environment())),
                None => fail,
            }
        }
    }
}

/// Nothing more can be done without credentials, nor undone: a rollback would end at its first step.
fn stranded(fail: Fail, release: &str) -> Fail {
    fail.context(format!("the credentials expired while release {release} was being deployed"))
        .cause("CloudFormation and CodeDeploy finish what they have begun; no rollback was begun")
        .hint("then deploy again: the deployment continues from any state")
}

/// None if nothing was touched, if there was no other release before, or if the environment is somebody
/// else's now: two deployments at once lead nowhere.
async fn destination(prepared: &Prepared, fail: &Fail) -> Option<Release> {
    if !prepared.progress.touched() || fail.kind() == Kind::Locked {
        return None;
    }
    prepared.progress.lease.as_ref()?.check().await.ok()?;
    prepared.facts.previous.clone().filter(|previous| previous.id() != prepared.plan.release.id())
}

#[cfg(test)]
#[path = "rollback_tests.rs"]
mod tests;
