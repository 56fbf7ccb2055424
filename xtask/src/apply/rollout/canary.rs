//! Looks at the worker of a set that has a release before the others, its canary, until the verdict is in.

use crate::doors::store::Store;
use crate::doors::time::Stopwatch;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::receipt::{Receipt, TaskRun};
use crate::observe::receipts;
use crate::plan::canary::{self, Verdict};
use std::time::Duration;

/// A canary that is watched.
pub(super) struct Watch<'a> {
    store: &'a Store,
    runtime: Digest,
    limit: Duration,
    /// Since tasks can come.
    serving: Option<Stopwatch>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(store: &'a Store, runtime: Digest, limit: Duration) -> Self {
        Self { store, runtime, limit, serving: None }
    }

    /// How it is by now, by the receipts of these hosts or tasks. Its time begins when its worker says that it runs, or
    /// when the service that keeps it says that it `is_up`.
    pub(super) async fn look(&mut self, ids: &[String], is_up: bool) -> Result<Verdict> {
        let mut found: Vec<Receipt> = Vec::new();
        for id in ids {
            found.extend(receipts::of_worker(self.store, id).await?);
        }
        if self.serving.is_none() && (is_up || canary::serves(&found, &self.runtime)) {
            self.serving = Some(Stopwatch::start());
        }
        Ok(canary::judge(&found, &self.runtime, self.waited(), self.limit))
    }

    fn waited(&self) -> Duration {
        self.serving.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// For people, while there is no verdict.
    pub(super) fn told(&self) -> String {
        match self.serving {
            None => "is being set up".to_owned(),
            Some(since) => {
                let minutes = |time: Duration| time.as_secs() / 60;
                format!(
                    "waits for its first task, {} of {} min",
                    minutes(since.elapsed()),
                    minutes(self.limit)
                )
            }
        }
    }
}

/// A set whose canary has only run tasks that failed.
pub(super) fn failed(set: &str, canary: &str, task: &TaskRun, limit: Duration) -> Fail {
    let minutes = limit.as_secs() / 60;
    Fail::failed(format!("the canary of {set} ran no task that ended well within {minutes} min"))
        .cause(format!("{canary}: the last one failed: {task}"))
        .cause("none of the others has the release")
        .hint("look at the log of that task in Airflow")
        .hint("how long the others wait is `canary_minutes` under `[release]` in the environment file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;
    use crate::doors::time;
    use serde_json::{Value, json};

    const LIMIT: Duration = Duration::from_secs(600);

    fn write(bucket: &Bucket, id: &str, revision: &Digest, task: &Value) {
        let mut receipt =
            json!({ "component": "worker", "id": id, "revision": revision.to_string(), "started": "t" });
        if task.is_string() {
            receipt["task"] = json!({ "dag_id": "etl", "run_id": "r", "task_id": "load", "try_number": 1,
                "state": task, "ended": "e" });
        }
        bucket.set(&format!("receipts/dev/{id}/worker.json"), &receipt);
    }

    #[tokio::test(start_paused = true)]
    async fn its_time_begins_when_it_can_run_tasks() {
        let (bucket, new, old) = (Bucket::default(), Digest::of(b"new"), Digest::of(b"old"));
        let store = bucket.store();
        let ids = ["i-1".to_owned()];
        let mut watch = Watch::new(&store, new, LIMIT);
        write(&bucket, "i-1", &old, &json!("failure"));
        write(&bucket, "i-2", &new, &json!("success"));
        assert_eq!(watch.look(&ids, false).await.unwrap(), Verdict::Waiting, "another one has run a task");
        time::sleep(LIMIT * 2).await;
        assert_eq!(watch.look(&ids, false).await.unwrap(), Verdict::Waiting, "it drains and is set up");
        assert_eq!(watch.told(), "is being set up");
        write(&bucket, "i-1", &new, &Value::Null);
        assert_eq!(watch.look(&ids, false).await.unwrap(), Verdict::Waiting);
        time::sleep(LIMIT / 2).await;
        assert_eq!(watch.told(), "waits for its first task, 5 of 10 min");
        write(&bucket, "i-1", &new, &json!("failure"));
        assert_eq!(watch.look(&ids, false).await.unwrap(), Verdict::Waiting, "the next one may end well");
        time::sleep(LIMIT / 2).await;
        let Verdict::Failed(task) = watch.look(&ids, false).await.unwrap() else { panic!("it has not") };
        let fail = failed("worker-default", "i-1", &task, LIMIT).to_string();
        assert_eq!(fail, "the canary of worker-default ran no task that ended well within 10 min");
        write(&bucket, "i-1", &new, &json!("success"));
        assert!(matches!(watch.look(&ids, false).await.unwrap(), Verdict::Proven(_)));
    }

    /// A host that cannot write receipts, or a task that was replaced before it wrote one.
    #[tokio::test(start_paused = true)]
    async fn one_that_says_nothing_is_not_waited_for_longer() {
        let (bucket, new) = (Bucket::default(), Digest::of(b"new"));
        let store = bucket.store();
        let mut watch = Watch::new(&store, new, LIMIT);
        assert_eq!(watch.look(&["i-1".to_owned()], true).await.unwrap(), Verdict::Waiting);
        time::sleep(LIMIT).await;
        assert_eq!(watch.look(&["i-1".to_owned()], false).await.unwrap(), Verdict::NothingRan);
        assert_eq!(watch.look(&[], true).await.unwrap(), Verdict::NothingRan);
    }
}
