//! What workers have cut short during a deployment, by the loss reports that are new since it began to drain them.
//!
//! Never fails: a watcher's error is no reason to call a good deployment bad. It is told.

use super::context::{Context, State};
use crate::model::event::Sink;
use crate::model::loss::Losses;
use crate::observe::losses;
use std::collections::BTreeSet;

/// Notes which loss reports are there, once, before anything is drained.
pub(super) async fn expect(context: &Context, state: &mut State, sink: &Sink) {
    if state.drained.is_some() {
        return;
    }
    match losses::keys(&context.store).await {
        Ok(keys) => state.drained = Some(keys.into_iter().collect::<BTreeSet<_>>()),
        Err(fail) => sink.note(format!("what is cut short cannot be told: {fail}")),
    }
}

/// What has been left since. Empty if nothing was drained.
pub async fn losses(context: &Context, state: &State) -> Losses {
    let Some(before) = &state.drained else { return Losses::default() };
    match losses::read(&context.store, |key| !before.contains(key)).await {
        Ok(found) => Losses::of(found),
        Err(fail) => {
            context.sink.step("record").note(format!("what was cut short cannot be told: {fail}"));
            Losses::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Log, context};
    use super::*;
    use crate::doors::aws::Aws;
    use crate::doors::fake::Bucket;
    use crate::model::names;
    use serde_json::json;

    fn leave(bucket: &Bucket, time: &str, task: &str) {
        let task =
            json!({ "dag_id": "etl", "run_id": "r", "task_id": task, "map_index": -1, "try_number": 1 });
        let report = json!({ "host": "h", "at": time, "why": "rollout", "tasks": [task], "unknown": null });
        bucket.set(&format!("{}{time}-h-1.json", names::losses_prefix("dev")), &report);
    }

    #[tokio::test]
    async fn only_what_was_left_since_the_first_drain_is_of_this_deployment() {
        let bucket = Bucket::default();
        let mut state = State::default();
        let context = context(bucket.aws());
        leave(&bucket, "20261129T110000Z", "before");
        assert!(losses(&context, &state).await.is_empty(), "nothing was drained");
        expect(&context, &mut state, &Sink::null()).await;
        assert!(losses(&context, &state).await.is_empty());
        leave(&bucket, "20261129T105900Z", "since, by a clock that is late");
        expect(&context, &mut state, &Sink::null()).await;
        let found = losses(&context, &state).await;
        let names: Vec<&str> = found.cut_short.iter().map(|one| one.task.task_id.as_str()).collect();
        assert_eq!(names, ["since, by a clock that is late"]);
    }

    #[tokio::test]
    async fn a_bucket_that_does_not_answer_is_told_and_fails_nothing() {
        let log = Log::default();
        let mut state = State::default();
        expect(&context(Aws::nowhere()), &mut state, &log.sink()).await;
        assert!(state.drained.is_none());
        assert!(log.lines().contains("note: what is cut short cannot be told"), "{}", log.lines());
    }
}
