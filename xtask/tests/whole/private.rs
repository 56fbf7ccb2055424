//! A tool that cannot reach Airflow, whose deployments are verified through the artifact bucket.

use crate::support::project::Project;
use crate::support::tasks::{Held, probe, run_probe};
use serde_json::Value;

/// A name that means nothing anywhere (RFC 2606): what an internal load balancer is to a runner outside.
pub const NOWHERE: (&str, &str) = ("DUCTWORK_AIRFLOW_URL", "https://airflow.invalid");
const BROKEN: &str = "import os\nfrom airflow.sdk import dag\n\n\
    if os.environ.get('DUCTWORK_COMPONENT') == 'dag-processor':\n    raise RuntimeError('only here')\n";
const DEPLOY: [&str; 6] = ["deploy", "--env", "local", "--yes", "--format", "json"];

/// Deploys from where Airflow cannot be reached.
#[track_caller]
pub fn deploy(project: &Project) -> Value {
    let result = project.run_with(&DEPLOY, &[NOWHERE]).expect(0).json();
    assert_was_verified_through_s3(&result);
    result
}

/// What `--format json` says of a deployment that went that way.
pub fn assert_was_verified_through_s3(result: &Value) {
    assert_eq!(result["unreachable"], "its name is not known here", "{result}");
}

/// A DAG edit is live, a DAG with an unfinished run is not removed, and `status` shows the same.
pub fn a_private_airflow_is_asked_through_s3(project: &Project) {
    project.write("dags/probe.py", &probe("private"));
    let run = project.run_with(&DEPLOY, &[NOWHERE]).expect(0);
    let told = "Airflow cannot be reached from here at `https://airflow.invalid` (its name is not known here): \
                verified through S3 by its API servers";
    assert_eq!(run.stderr.matches(told).count(), 1, "{}", run.stderr);
    let result = run.json();
    assert_was_verified_through_s3(&result);
    assert_eq!(result["outcome"], "deployed");
    let dags = result["steps"].as_array().unwrap().iter().find(|step| step["name"] == "dags").unwrap();
    assert_eq!(dags["outcome"], "done");
    assert_eq!(run_probe(&project.airflow()), ["private", "private private"]);
    let held = Held::begin(&project.airflow());
    project.remove("dags/probe.py");
    let plan = ["plan", "--env", "local", "--check", "--format", "json"];
    let problems = project.run_with(&plan, &[NOWHERE]).expect(2).json()["problems"].to_string();
    assert!(problems.contains("DAG `probe`") && !problems.contains("cannot tell"), "{problems}");
    held.let_go();

    let status =
        project.run_with(&["status", "--env", "local", "--format", "json"], &[NOWHERE]).expect(0).json();
    assert_was_verified_through_s3(&status);
    let components = status["components"].as_array().unwrap();
    assert!(components.len() >= 4 && components.iter().all(|one| one["healthy"] == true), "{status}");
    let plain = project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!(plain["unreachable"], Value::Null);
}

/// What only the dag-processor finds out, after the pointer has moved.
pub fn a_broken_dag_goes_back_when_airflow_is_out_of_reach(project: &Project) {
    project.deploy();
    let pointer = project.pointer();
    project.write("dags/broken.py", BROKEN);
    let run = project.run_with(&DEPLOY, &[NOWHERE]).expect(4);
    let result = run.json();
    assert_was_verified_through_s3(&result);
    assert_eq!(result["outcome"], "rolled_back");
    assert!(result["error"]["causes"].to_string().contains("broken.py: RuntimeError: only here"), "{result}");
    assert_eq!(project.pointer()["release"], pointer["release"]);
}

/// An API server that is down is no way that leads nowhere: nobody asks anywhere else.
pub fn an_address_that_refuses_is_reached(project: &Project) {
    let refuses = ("DUCTWORK_AIRFLOW_URL", "http://127.0.0.1:1");
    let status =
        project.run_with(&["status", "--env", "local", "--format", "json"], &[refuses]).expect(0).json();
    assert_eq!(status["unreachable"], Value::Null);
    assert!(status["problem"].to_string().contains("refused"), "{status}");
}
