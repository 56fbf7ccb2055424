//! Whether the rest of a worker set may follow the one that got the release first, its canary: by what its receipt says
//! of the last task that it has run.

use crate::model::digest::Digest;
use crate::model::receipt::{Receipt, TaskRun};
use std::time::Duration;

const WORKER: &str = "worker";

/// What is known of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not up yet, or has not run a task that ended well, and has time left.
    Waiting,
    /// It has run this task to its good end.
    Proven(TaskRun),
    /// No task came in all the time: there is nothing against the release, nor anything to be gained by waiting.
    NothingRan,
    /// Its tasks failed; this is the last one.
    Failed(TaskRun),
}

/// Judges a canary by its own receipts: those of other revisions, which it ran before, count for nothing. `waited` is
/// how long it has been able to run tasks.
#[must_use]
pub fn judge<'a>(
    receipts: impl IntoIterator<Item = &'a Receipt>,
    runtime: &Digest,
    waited: Duration,
    limit: Duration,
) -> Verdict {
    let revision = runtime.to_string();
    let is_of_it = |one: &&Receipt| one.component == WORKER && one.revision == revision;
    let ran = receipts.into_iter().filter(is_of_it).filter_map(|one| one.task.clone());
    let (good, others): (Vec<TaskRun>, Vec<TaskRun>) = ran.partition(|task| task.state == TaskRun::SUCCESS);
    let failed = others.into_iter().rfind(|task| task.state == TaskRun::FAILURE);
    match (good.into_iter().next(), failed) {
        (Some(task), _) => Verdict::Proven(task),
        _ if waited < limit => Verdict::Waiting,
        (None, Some(task)) => Verdict::Failed(task),
        (None, None) => Verdict::NothingRan,
    }
}

/// Whether a worker of the runtime has said that it runs, so that tasks can come.
#[must_use]
pub fn serves<'a>(receipts: impl IntoIterator<Item = &'a Receipt>, runtime: &Digest) -> bool {
    let revision = runtime.to_string();
    receipts.into_iter().any(|one| one.component == WORKER && one.revision == revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(600);

    fn receipt(component: &str, revision: &Digest, state: Option<&str>) -> Receipt {
        let task = |state: &str| TaskRun { state: state.to_owned(), ..TaskRun::default() };
        Receipt {
            component: component.to_owned(),
            revision: revision.to_string(),
            task: state.map(task),
            ..Receipt::default()
        }
    }

    #[test]
    fn a_task_that_ended_well_on_the_new_revision_is_the_proof() {
        let (new, old) = (Digest::of(b"new"), Digest::of(b"old"));
        let worker = |revision, state| receipt("worker", revision, state);
        let cases: [(Vec<Receipt>, &str, &str); 9] = [
            (vec![], "waiting", "nothing ran"),
            (vec![worker(&new, None)], "waiting", "nothing ran"),
            (vec![worker(&old, Some("success"))], "waiting", "nothing ran"),
            (vec![receipt("scheduler", &new, Some("success"))], "waiting", "nothing ran"),
            (vec![worker(&new, Some("success"))], "proven", "proven"),
            (vec![worker(&new, Some("failure"))], "waiting", "failed"),
            (vec![worker(&old, Some("failure"))], "waiting", "nothing ran"),
            // One that was deferred says nothing yet.
            (vec![worker(&new, Some("unknown"))], "waiting", "nothing ran"),
            // Tasks of ECS: the first one ended, and another came in its stead.
            (vec![worker(&new, Some("failure")), worker(&new, Some("success"))], "proven", "proven"),
        ];
        for (receipts, early, late) in cases {
            let word = |waited| match judge(&receipts, &new, waited, LIMIT) {
                Verdict::Waiting => "waiting",
                Verdict::Proven(task) if task.state == "success" => "proven",
                Verdict::Failed(task) if task.state == "failure" => "failed",
                Verdict::NothingRan => "nothing ran",
                other => panic!("{other:?}"),
            };
            assert_eq!((word(Duration::ZERO), word(LIMIT)), (early, late), "{receipts:?}");
        }
    }

    #[test]
    fn tasks_can_come_once_a_worker_of_the_revision_says_that_it_runs() {
        let (new, old) = (Digest::of(b"new"), Digest::of(b"old"));
        assert!(!serves(&[], &new));
        assert!(!serves(&[receipt("worker", &old, None), receipt("keeper", &new, None)], &new));
        assert!(serves(&[receipt("worker", &new, None)], &new));
    }
}
