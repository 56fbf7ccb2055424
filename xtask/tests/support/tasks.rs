//! A DAG of the tests whose first task runs until the test lets it go, and waits for what it does.

use super::project::Project;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use xtask::doors::airflow::Airflow;

/// After this a test gives up. On a busy machine what it waits for only comes later.
const STUCK: Duration = Duration::from_secs(600);

/// Part of an environment file. A worker that is killed leaves its last long poll open, and the queue may still answer
/// it. What comes then is invisible until Airflow sends it again: after ten minutes by default, here after one.
pub const RESEND: &str = "\n[airflow.config]\n'scheduler.task_queued_timeout' = 60\n\
                          'scheduler.task_queued_timeout_check_interval' = 10\n\
                          'scheduler.num_stuck_in_queued_retries' = 100\n";

/// Waits until something is true, and says how long it took.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let watch = Instant::now();
    while !is_so() {
        assert!(watch.elapsed() < STUCK, "{what}: not after {STUCK:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    watch.elapsed()
}

/// A task that a test can hold, until it lets it go.
const HOLD: &str = r#"        held = (params or {}).get("held")
        if held:
            Path(held, "running").touch()
            while Path(held).exists() and not Path(held, "go").exists():
                time.sleep(0.05)
"#;

const PROBE: &str = r#"
"""A probe of the tests."""
import time
from pathlib import Path
from airflow.sdk import dag, task

@dag(schedule=None, catchup=False, tags=["test"])
def probe():
    @task
    def first(params: dict | None = None) -> str:
HOLD        return "VERSION"

    @task
    def second(before: str) -> str:
        return before + " VERSION"

    second(first())

probe()
"#;

/// The DAG `probe`; its tasks return the version.
pub fn probe(version: &str) -> String {
    PROBE.replace("HOLD", HOLD).replace("VERSION", version)
}

const OWN_TASK: &str = r#"
"""A probe of the ECS executor."""
import os, time
from pathlib import Path
from airflow.sdk import dag, get_current_context, task

@dag(schedule=None, catchup=False, tags=["test"])
def own_task():
    @task(executor="ecs", executor_config={"overrides": {"cpu": "1024", "memory": "3072"}})
    def first(params: dict | None = None) -> str:
HOLD        return f"{os.environ['DUCTWORK_SERVICE']}, try {get_current_context()['ti'].try_number}"

    @task
    def second(before: str) -> str:
        return f"{before}, {os.environ['DUCTWORK_SERVICE']}"

    second(first())

own_task()
"#;

/// The DAG `own_task`, whose first task is a task of ECS of its own, and the second one of a worker.
pub fn own_task() -> String {
    OWN_TASK.replace("HOLD", HOLD)
}

/// Waits for a run to end and says how.
#[track_caller]
pub fn finished(airflow: &Airflow, dag: &str, run: &str) -> String {
    let mut state = String::new();
    until(&format!("the end of run `{run}` of `{dag}`"), || {
        state = airflow.run_state(dag, run).unwrap();
        state == "success" || state == "failed"
    });
    state
}

/// What the tasks of a new run return.
#[track_caller]
pub fn run_probe(airflow: &Airflow) -> [Value; 2] {
    let run = airflow.trigger("probe", &json!({})).unwrap();
    assert_eq!(finished(airflow, "probe", &run), "success");
    ["first", "second"].map(|task| airflow.returned("probe", &run, task).unwrap())
}

/// A run whose first task waits on a worker.
pub struct Held {
    pub run: String,
    folder: tempfile::TempDir,
}

impl Held {
    /// Triggers it and waits until the task runs.
    #[track_caller]
    pub fn begin(airflow: &Airflow) -> Self {
        Self::begin_of(airflow, "probe")
    }

    #[track_caller]
    pub fn begin_of(airflow: &Airflow, dag: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A worker may run its tasks as another user.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), everybody).unwrap();
        let run = airflow.trigger(dag, &json!({ "held": folder.path() })).unwrap();
        let running = folder.path().join("running");
        until("the held task runs", || running.exists());
        Self { run, folder }
    }

    pub fn let_go(&self) {
        std::fs::write(self.folder.path().join("go"), "").unwrap();
    }
}

impl Drop for Held {
    /// A stage that fails leaves no task behind that waits for ever.
    fn drop(&mut self) {
        self.let_go();
    }
}

/// How often a worker of this project was told to finish its tasks and end.
pub fn workers_told_to_end(project: &Project) -> usize {
    let logs = project.worker_logs();
    logs.iter().map(|log| log.matches("worker: Warm shutdown").count()).sum()
}
