//! Workers from zero and back to it, with real Airflow: nobody asks for a host but the tasks themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

use serde_json::json;
use std::time::{Duration, Instant};
use support::project::Project;

const PROBE: &str = "from airflow.sdk import dag, task\n\n\n@dag(schedule=None)\ndef probe():\n    @task\n    \
                     def answer():\n        return 42\n\n    answer()\n\n\nprobe()\n";

/// Waits for something of which an idle or a starting host is capable within `limit`; returns how long it took.
#[track_caller]
fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> f64 {
    let watch = Instant::now();
    while !is_so() {
        assert!(watch.elapsed() < limit, "{what} did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    watch.elapsed().as_secs_f64()
}

#[test]
fn hosts_come_with_the_first_task_and_go_after_the_last() {
    let project = Project::new();
    project.write("dags/probe.py", PROBE);
    let set = "\n[workers.default]\nmin = 0\nmax = 1\nshrink_after_minutes = 1\n";
    project.edit("environments/local.toml", |text| format!("{text}{set}"));
    let works = || project.components().contains_key("worker");

    // The first deployment finds no worker. Its own proof, a task that runs, brings one up.
    let result = project.deploy();
    assert_eq!(result["outcome"], "deployed");
    assert!(works());
    let took = within(Duration::from_secs(240), "the end of the idle host", || !works());
    eprintln!("    no host after {took:.0} s without a task");

    // A worker that ends leaves its last long poll open (10 s), and the queue may still answer it: whatever
    // comes then is invisible until Airflow sends it again, after ten minutes ([scheduler] task_queued_timeout).
    std::thread::sleep(Duration::from_secs(25));
    let airflow = project.airflow();
    let run = airflow.trigger("probe", &json!({})).unwrap();
    let done = || airflow.run_state("probe", &run).unwrap() == "success";
    let took = within(Duration::from_secs(180), "the run", done);
    eprintln!("    executed {took:.0} s after it was asked for");
    assert_eq!(airflow.returned("probe", &run, "answer").unwrap(), 42);

    // Scaling and draining are judged too: the end-to-end run has neither.
    let judged = project.python(&["-m", "localcloud.iam"]).expect(0);
    eprintln!("    {}", judged.stderr.trim());
    let calls = project.read(".ductwork/local/calls.jsonl");
    for action in
        ["SetDesiredCapacity", "CreateDeployment", "SetInstanceProtection", "CompleteLifecycleAction"]
    {
        assert!(calls.contains(action), "nobody called {action}");
    }
    project.run(&["destroy", "--env", "local", "--yes"]).expect(0);
    project.run(&["local", "down"]).expect(0);
}
