//! From a clone to a real Airflow and back, on the local cloud: the whole tool with nothing faked.
//!
//! One test after the other in one process, since each stands on the state the one before left; a first
//! deployment takes a minute on two cores.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::project::Project;

fn steps(result: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    result["steps"].as_array().unwrap().iter().map(|s| (text(&s["name"]), text(&s["outcome"]))).collect()
}

fn done(result: &Value) -> Vec<String> {
    steps(result).into_iter().filter(|(_, outcome)| outcome == "done").map(|(name, _)| name).collect()
}

/// Waits for a run to end and says how.
#[track_caller]
fn finished(airflow: &xtask::doors::airflow::Airflow, dag: &str, run: &str) -> String {
    let watch = Instant::now();
    loop {
        let state = airflow.run_state(dag, run).unwrap();
        if state == "success" || state == "failed" {
            return state;
        }
        assert!(watch.elapsed() < Duration::from_secs(120), "run `{run}` of `{dag}` is still {state}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

const PROBE: &str = r#"
"""A probe of the tests."""
import time
from airflow.sdk import dag, task

@dag(schedule=None, catchup=False, tags=["test"])
def probe():
    @task
    def first(params: dict | None = None) -> str:
        time.sleep(float((params or {}).get("sleep", 0)))
        return "VERSION"

    @task
    def second(before: str) -> str:
        return before + " VERSION"

    second(first())

probe()
"#;

/// api-server; scheduler, dag-processor, triggerer, scaler; worker, keeper.
const COMPONENTS: usize = 7;

fn probe(version: &str) -> String {
    PROBE.replace("VERSION", version)
}

fn announce(what: &str) {
    eprintln!("--- {what}");
}

#[test]
fn from_a_clone_to_airflow_and_back() {
    let project = Project::new();
    project.write("dags/probe.py", &probe("one"));

    first_deployment(&project);
    unchanged(&project);
    a_changed_dag_is_live_at_once_and_restarts_nothing(&project);
    broken_dags_are_refused(&project);
    a_changed_plugin_rolls_the_hosts_and_the_running_task_finishes(&project);
    two_deployers_do_not_collide(&project);
    a_broken_plugin_is_rolled_back(&project);
    runs_of_a_moved_dag_are_protected(&project);
    rollback_and_history(&project);
    killed_at_every_boundary(&project);
    the_cloud_is_killed(&project);
    down_leaves_no_process_and_deploy_comes_back(&project);
    roles_allow_what_the_hosts_did_and_nothing_elsewhere(&project);
    destroy(&project);
}

fn first_deployment(project: &Project) {
    announce("first deployment");
    let result = project.deploy();
    assert_eq!(result["outcome"], "deployed");
    assert_eq!(result["previous"], Value::Null);
    let all = ["setup", "validate", "bootstrap", "bundle", "stack", "hosts", "pointer", "dags", "smoke"];
    assert_eq!(done(&result), all);
    assert_eq!(result["url"], format!("http://127.0.0.1:{}", project.port));
    assert_eq!(project.pointer()["release"], result["release"]);

    let status = project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!(status["release"], result["release"]);
    let components = status["components"].as_array().unwrap();
    assert!(components.iter().all(|c| c["healthy"] == true), "{components:?}");
    assert!(components.len() >= 4, "{components:?}");

    let airflow = project.airflow();
    let run = airflow.trigger("probe", &json!({})).unwrap();
    assert_eq!(finished(&airflow, "probe", &run), "success");
    assert_eq!(airflow.returned("probe", &run, "second").unwrap(), "one one");
}

fn unchanged(project: &Project) {
    announce("nothing changed");
    let result = project.deploy();
    assert_eq!(result["outcome"], "unchanged");
    assert_eq!(result["uploads"], 0);
    assert!(result["aws_calls"].as_u64().unwrap() < 15, "{result}");
    assert!(steps(&result).iter().all(|(name, _)| name == "setup" || name == "health"), "{result}");
    eprintln!("    {} AWS calls, {} s", result["aws_calls"], result["seconds"]);
}

fn a_changed_dag_is_live_at_once_and_restarts_nothing(project: &Project) {
    announce("a changed DAG");
    let airflow = project.airflow();
    let in_flight = airflow.trigger("probe", &json!({ "sleep": 12 })).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    let before = project.components();
    assert_eq!(before.len(), COMPONENTS, "{before:?}");

    project.write("dags/probe.py", &probe("two"));
    let watch = Instant::now();
    let result = project.deploy();
    let deployed = watch.elapsed();
    assert_eq!(done(&result), ["setup", "validate", "bundle", "pointer", "dags"]);
    assert_eq!(result["uploads"], 1);
    let run = airflow.trigger("probe", &json!({})).unwrap();
    assert_eq!(finished(&airflow, "probe", &run), "success");
    eprintln!(
        "    deploy {:.1} s, executed after {:.1} s",
        deployed.as_secs_f64(),
        watch.elapsed().as_secs_f64()
    );
    assert_eq!(airflow.returned("probe", &run, "first").unwrap(), "two");
    assert_eq!(project.components(), before, "no process was restarted");

    assert_eq!(finished(&airflow, "probe", &in_flight), "success");
    assert_eq!(
        airflow.returned("probe", &in_flight, "second").unwrap(),
        "one one",
        "it ended on its own code"
    );
}

fn broken_dags_are_refused(project: &Project) {
    announce("broken DAGs");
    let pointer = project.pointer();
    let duplicate = probe("two");
    let cases = [
        (
            "import_error",
            "dags/broken.py",
            "from airflow.sdk import dag\n\nundefined_name\n",
            "dags/broken.py:3",
        ),
        ("duplicate_dag_id", "dags/twin.py", duplicate.as_str(), "probe"),
        (
            "timeout",
            "dags/slow.py",
            "from airflow.sdk import dag\nimport time\ntime.sleep(600)\n",
            "dags/slow.py",
        ),
    ];
    for (kind, file, text, place) in cases {
        project.write(file, text);
        let run = project.run(&["deploy", "--env", "local", "--format", "json"]).expect(2);
        let problems = run.json()["error"]["problems"].clone();
        let found = problems.as_array().unwrap().iter().find(|p| p["kind"] == kind);
        let found = found.unwrap_or_else(|| panic!("no {kind} in {problems}"));
        assert!(found.to_string().contains(place), "{found} names {place}");
        project.remove(file);
        assert_eq!(project.pointer(), pointer, "nothing was touched");
    }
    let result = project.deploy();
    assert_eq!(result["outcome"], "unchanged", "{result}");
}

fn a_changed_plugin_rolls_the_hosts_and_the_running_task_finishes(project: &Project) {
    announce("a changed plugin while a task runs");
    let airflow = project.airflow();
    let run = airflow.trigger("probe", &json!({ "sleep": 15 })).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    let before = project.components();
    project.write("plugins/marker.py", "\"\"\"A plugin of the tests.\"\"\"\n");
    let result = project.deploy();
    assert_eq!(result["outcome"], "deployed");
    assert!(done(&result).contains(&"hosts".to_owned()), "{result}");
    assert!(done(&result).contains(&"smoke".to_owned()), "{result}");
    let after = project.components();
    for (component, pid) in &before {
        assert_ne!(after.get(component), Some(pid), "{component} was restarted");
    }
    assert_eq!(finished(&airflow, "probe", &run), "success", "the running task finished");
    assert_eq!(airflow.returned("probe", &run, "first").unwrap(), "two");
}

fn two_deployers_do_not_collide(project: &Project) {
    announce("two deployers");
    project.write("plugins/marker.py", "\"\"\"A plugin of the tests, by the first deployer.\"\"\"\n");
    let first = project.spawn(&["deploy", "--env", "local", "--yes", "--format", "json"]);
    let watch = Instant::now();
    while project.object("environments/local/lock.json").is_none_or(|lock| lock["held"] != true) {
        assert!(watch.elapsed() < Duration::from_secs(60), "the first deployer takes the lease");
        std::thread::sleep(Duration::from_millis(50));
    }
    let second = project.run(&["deploy", "--env", "local", "--yes"]).expect(6);
    assert!(second.stderr.contains("is being deployed by somebody else"), "{}", second.stderr);
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(project.deploy()["outcome"], "unchanged");
}

fn a_broken_plugin_is_rolled_back(project: &Project) {
    announce("a release that fails its gate");
    let before = project.pointer();
    let hook = project.read("airflow/host/hooks/validate_service");
    project.write(
        "airflow/host/hooks/validate_service",
        "#!/usr/bin/env bash\necho 'this gate says no' >&2\nexit 1\n",
    );
    let run = project.run(&["deploy", "--env", "local", "--yes"]).expect(4);
    assert!(run.stderr.contains("this gate says no"), "the hook's own words: {}", run.stderr);
    assert!(run.stderr.contains("is back"), "{}", run.stderr);
    assert_eq!(project.pointer(), before);
    project.write("airflow/host/hooks/validate_service", &hook);
    assert_eq!(project.deploy()["outcome"], "unchanged", "the previous release runs everywhere");
    let airflow = project.airflow();
    let run = airflow.trigger("probe", &json!({})).unwrap();
    assert_eq!(finished(&airflow, "probe", &run), "success");
}

fn runs_of_a_moved_dag_are_protected(project: &Project) {
    announce("a moved DAG with an unfinished run");
    let airflow = project.airflow();
    let run = airflow.trigger("probe", &json!({ "sleep": 10 })).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let text = project.read("dags/probe.py");
    project.remove("dags/probe.py");
    project.write("dags/renamed.py", &text);
    let plan = project.run(&["plan", "--env", "local", "--check", "--format", "json"]).expect(3);
    assert_eq!(plan.json()["dags"]["moved"], json!(["probe"]), "{}", plan.stdout);
    let refused = project.run(&["deploy", "--env", "local"]).expect(2);
    assert!(refused.stderr.contains("DAG `probe`"), "{}", refused.stderr);
    project.remove("dags/renamed.py");
    project.write("dags/probe.py", &text);
    assert_eq!(finished(&airflow, "probe", &run), "success");
}

fn rollback_and_history(project: &Project) {
    announce("rollback and history");
    let now = project.pointer();
    let history = project.run(&["history", "--env", "local", "--format", "json"]).expect(0).json();
    let outcomes: Vec<&str> =
        history.as_array().unwrap().iter().map(|d| d["outcome"].as_str().unwrap()).collect();
    assert!(outcomes.iter().filter(|outcome| **outcome == "deployed").count() >= 3, "{history}");

    let back = project.run(&["rollback", "--env", "local", "--yes", "--format", "json"]).expect(0).json();
    assert_eq!(back["outcome"], "deployed");
    assert_ne!(project.pointer()["release"], now["release"]);
    assert_eq!(project.pointer()["release"], back["release"]);
    assert_eq!(project.pointer()["serial"].as_u64().unwrap(), now["serial"].as_u64().unwrap() + 1);

    let unknown = project.run(&["rollback", "--env", "local", "0123456789ab"]).expect(2);
    assert!(unknown.stderr.contains("no release `0123456789ab`"), "{}", unknown.stderr);
    assert_eq!(project.deploy()["release"], now["release"], "forward again");
}

fn killed_at_every_boundary(project: &Project) {
    for (turn, step) in ["validate", "bundle", "pointer", "stack", "hosts"].into_iter().enumerate() {
        announce(&format!("killed after {step}"));
        project.write("dags/probe.py", &probe(&format!("killed{turn}")));
        if step == "stack" || step == "hosts" {
            project.write("plugins/marker.py", &format!("\"\"\"A plugin of the tests, {step}.\"\"\"\n"));
        }
        if step == "stack" {
            let concurrency = "\n[workers.default]\nconcurrency = 3\n";
            project.edit("environments/local.toml", |text| format!("{text}{concurrency}"));
        }
        let before = project.pointer();
        let arguments = ["deploy", "--env", "local", "--yes"];
        let killed = project.run_with(&arguments, &[("DUCTWORK_STOP_AFTER", step)]);
        assert_eq!(killed.code, None, "it was killed: {}", killed.stderr);
        let bundle = project.pointer()["bundle"].as_str().unwrap().to_owned();
        if step != "pointer" {
            assert_eq!(project.pointer(), before, "the pointer stays on what is whole");
        }
        assert!(
            project.object(&format!("bundles/{bundle}.dags.json")).is_some(),
            "the pointer names a whole bundle"
        );
        let result = project.deploy();
        assert_ne!(result["outcome"], "failed");
        let airflow = project.airflow();
        let run = airflow.trigger("probe", &json!({})).unwrap();
        assert_eq!(finished(&airflow, "probe", &run), "success");
        assert_eq!(airflow.returned("probe", &run, "first").unwrap(), format!("killed{turn}"));
        assert_eq!(project.deploy()["outcome"], "unchanged");
    }
}

fn the_cloud_is_killed(project: &Project) {
    announce("the local cloud is killed");
    let cloud: Value = serde_json::from_str(&project.read(".ductwork/local/cloud.json")).unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &cloud["pid"].to_string()]).status().unwrap();
    assert!(killed.success());
    let result = project.deploy();
    assert!(matches!(result["outcome"].as_str(), Some("unchanged" | "deployed")), "{result}");
}

fn down_leaves_no_process_and_deploy_comes_back(project: &Project) {
    announce("local down");
    assert!(!project.processes().is_empty());
    project.run(&["local", "down"]).expect(0);
    assert_eq!(project.processes(), std::collections::BTreeMap::new());
    let dead = project.run(&["status", "--env", "local"]).expect(2);
    assert!(dead.stderr.contains("cargo xtask local up"), "{}", dead.stderr);
    let result = project.deploy();
    assert!(matches!(result["outcome"].as_str(), Some("unchanged" | "deployed")), "{result}");
    assert_eq!(project.components().len(), COMPONENTS);
}

/// The hosts' calls since the first deployment, against the roles as they are deployed.
fn roles_allow_what_the_hosts_did_and_nothing_elsewhere(project: &Project) {
    announce("roles");
    let judged = project.python(&["-m", "localcloud.iam"]).expect(0);
    eprintln!("    {}", judged.stderr.trim());
}

fn destroy(project: &Project) {
    announce("destroy");
    let refused = project.run(&["destroy", "--env", "local"]).expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    project.run(&["destroy", "--env", "local", "--yes"]).expect(0);
    assert_eq!(project.components(), std::collections::BTreeMap::new(), "no component is left");
    assert_eq!(project.pointer(), Value::Null);
    project.run(&["local", "down"]).expect(0);
    assert_eq!(project.processes(), std::collections::BTreeMap::new());
}
