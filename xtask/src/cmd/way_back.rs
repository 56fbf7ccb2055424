//! The way back: the release that ran before, by the same machinery, never from within itself.

use super::release::Ready;
use super::ui::Ui;
use crate::apply::context::State;
use crate::apply::deploy;
use crate::fail::{Fail, Kind};
use crate::model::digest::Digest;
use crate::model::release::Release;
use crate::plan::deploy::{Facts, Source, plan};
use crate::report::error;
use std::sync::Arc;

/// Goes back where something was touched and there is something to go back to; tells how it went.
pub async fn go(ready: &mut Ready, ui: &Ui, fail: Fail) -> Fail {
    let Some(previous) = destination(ready, &fail) else { return fail };
    ui.say(error::text(&fail).trim_end());
    ui.say(&format!("going back to release {}", previous.id()));
    let state = &ready.progress.state;
    let facts = Facts {
        current: Some(now(ready, &previous)),
        bundle: running_bundle(state),
        named: state.pointer.as_ref().map(|found| found.value.release.clone()),
        // An interrupted deployment before this one may have changed what this one did not come to.
        interrupted: ready.facts.interrupted,
        ..Facts::default()
    };
    let back = plan(&previous, Source::Record, &facts);
    ready.progress.state.dags = None;
    // Who agreed to the deployment wants it taken back when it fails; there may be nobody left to ask.
    ready.context.ask = Arc::new(|_| Ok(()));
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

/// None where nothing was touched, where there was nothing before or only the same, and where the
/// environment is somebody else's now: two ways at once lead nowhere.
fn destination(ready: &Ready, fail: &Fail) -> Option<Release> {
    let lost = ready.progress.lease.as_ref().is_none_or(|lease| lease.check().is_err());
    if !ready.progress.state.touched || lost || fail.kind() == Kind::Locked {
        return None;
    }
    ready.facts.current.clone().filter(|previous| previous.id() != ready.plan.target.id())
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

fn running_bundle(state: &State) -> Option<Digest> {
    state.pointer.as_ref().map(|found| found.value.bundle)
}

#[cfg(test)]
#[path = "way_back_tests.rs"]
mod tests;
