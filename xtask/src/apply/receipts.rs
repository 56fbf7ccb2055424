//! What workers have cut short during a deployment, by the receipts that are new since it began to drain them.
//!
//! Never fails: a watcher's error is no reason to call a good deployment bad. It is told.

use super::context::{Context, State};
use crate::model::event::Sink;
use crate::model::receipt::Losses;
use crate::observe::receipts;
use std::collections::BTreeSet;

/// Notes which receipts are there, once, before anything is drained.
pub(super) async fn expect(context: &Context, state: &mut State, sink: &Sink) {
    if state.receipts.is_some() {
        return;
    }
    match receipts::keys(&context.store).await {
        Ok(keys) => state.receipts = Some(keys.into_iter().collect::<BTreeSet<_>>()),
        Err(fail) => sink.note(format!("what is cut short cannot be told: {fail}")),
    }
}

/// What has been left since. Empty if nothing was drained.
pub async fn losses(context: &Context, state: &State) -> Losses {
    let Some(before) = &state.receipts else { return Losses::default() };
    match receipts::read(&context.store, |key| !before.contains(key)).await {
        Ok(found) => Losses::of(found),
        Err(fail) => {
            context.sink.step("record").note(format!("what was cut short cannot be told: {fail}"));
            Losses::default()
        }
    }
}
