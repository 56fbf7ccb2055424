//! From a clone to a real Airflow and back, on the local cloud: the whole tool with nothing faked.
//!
//! Stages in one process on one environment, since a first deployment takes a minute on two cores. Each stage
//! deploys what it needs, and a failure of one does not hide the others.

use crate::observed;
use crate::private;
use crate::support::project::Project;
use crate::support::say;
use crate::support::stages::Stages;
use crate::support::tasks::{Held, RESEND, finished, probe, run_probe, until, workers_told_to_end};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;

/// api-server; scheduler, dag-processor, triggerer, scaler; worker, keeper.
const COMPONENTS: usize = 7;

#[test]
fn from_a_clone_to_airflow_and_back() {
    let project = Project::new();
    project.write("dags/probe.py", &probe("one"));
    project.edit("environments/local.toml", |text| format!("{text}{RESEND}"));
    project.keep();
    say("--- first deployment");
    first_deployment(&project);

    let mut stages = Stages::new(&project, |project| drop(project.deploy()));
    stages.run("nothing changed", unchanged);
    stages.run("another revision on a host", observed::another_revision_is_shown_as_such);
    stages.run("a changed DAG", a_changed_dag_is_live_at_once_and_restarts_nothing);
    stages.run("Airflow out of reach", private::a_private_airflow_is_asked_through_s3);
    stages.run(
        "a broken DAG, Airflow out of reach",
        private::a_broken_dag_goes_back_when_airflow_is_out_of_reach,
    );
    stages.run("an address that refuses", private::an_address_that_refuses_is_reached);
    stages.run("an output that no host reads", an_output_that_no_host_reads_restarts_nothing);
    stages.run("broken DAGs", broken_dags_are_refused);
    stages.run("a changed plugin while a task runs", a_changed_plugin_rolls_the_hosts_and_the_task_finishes);
    stages.run("a release that fails its gate", a_release_that_fails_its_gate_is_rolled_back);
    stages.run("a moved DAG with an unfinished run", runs_of_a_moved_dag_are_protected);
    stages.run("rollback and history", rollback_and_history);
    for step in ["validate", "bundle", "pointer", "stack", "hosts"] {
        stages.run(&format!("killed after {step}"), |project| killed_after(project, step));
    }
    stages.run("the local cloud is killed", the_cloud_is_killed);
    stages.run("local down", down_leaves_no_process_and_deploy_comes_back);
    stages.run("roles", roles_allow_what_the_hosts_did_and_nothing_elsewhere);
    stages.run("destroy", destroy);
    stages.end();
}

fn steps(result: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    result["steps"].as_array().unwrap().iter().map(|s| (text(&s["name"]), text(&s["outcome"]))).collect()
}

fn done(result: &Value) -> Vec<String> {
    steps(result).into_iter().filter(|(_, outcome)| outcome == "done").map(|(name, _)| name).collect()
}

fn first_deployment(project: &Project) {
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
    assert_eq!(run_probe(&project.airflow()), ["one", "one one"]);
    observed::every_component_says_what_it_runs(project, COMPONENTS);
}

fn unchanged(project: &Project) {
    let result = project.deploy();
    assert_eq!(result["outcome"], "unchanged");
    assert_eq!(result["uploads"], 0);
    assert!(result["aws_calls"].as_u64().unwrap() < 15, "{result}");
    assert!(steps(&result).iter().all(|(name, _)| name == "setup" || name == "health"), "{result}");
    say(&format!("    {} AWS calls, {} s", result["aws_calls"], result["seconds"]));
}

fn a_changed_dag_is_live_at_once_and_restarts_nothing(project: &Project) {
    project.write("dags/probe.py", &probe("before"));
    project.deploy();
    let airflow = project.airflow();
    let held = Held::begin(&airflow);
    let before = project.components();
    assert_eq!(before.len(), COMPONENTS, "{before:?}");

    project.write("dags/probe.py", &probe("after"));
    let result = project.deploy();
    assert_eq!(done(&result), ["setup", "validate", "bundle", "pointer", "dags"]);
    assert_eq!(result["uploads"], 1);
    assert_eq!(run_probe(&airflow), ["after", "after after"]);
    assert_eq!(project.components(), before, "no process was restarted");

    held.let_go();
    assert_eq!(finished(&airflow, "probe", &held.run), "success");
    let returned = airflow.returned("probe", &held.run, "second").unwrap();
    assert_eq!(returned, "before before", "it ended on its own code");
}

fn an_output_that_no_host_reads_restarts_nothing(project: &Project) {
    project.deploy();
    let before = project.components();
    project.edit("templates/master.yaml", |text| {
        format!("{text}  Note:\n    Description: Read by nobody.\n    Value: something\n")
    });
    let result = project.deploy();
    assert!(done(&result).contains(&"stack".to_owned()), "{result}");
    assert!(!done(&result).contains(&"hosts".to_owned()), "{result}");
    assert_eq!(project.components(), before, "no process was restarted");
}

fn broken_dags_are_refused(project: &Project) {
    project.deploy();
    let pointer = project.pointer();
    let duplicate = probe("one");
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
            "from airflow.sdk import dag\nimport time\ntime.sleep(3600)\n",
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

/// A held task keeps the deployer in the step `hosts` for as long as a second one needs to be refused. The plugin stays,
/// so that no later stage rolls all hosts just to be rid of it. The deployer cannot reach Airflow.
fn a_changed_plugin_rolls_the_hosts_and_the_task_finishes(project: &Project) {
    project.deploy();
    let airflow = project.airflow();
    let held = Held::begin(&airflow);
    let (before, told) = (project.components(), workers_told_to_end(project));
    project.write("plugins/marker.py", "\"\"\"A plugin of the tests.\"\"\"\n");
    project.keep();
    let mut deploy = project.command(&["deploy", "--env", "local", "--yes", "--format", "json"]);
    let deploy = deploy.env(private::NOWHERE.0, private::NOWHERE.1);
    let deploy = deploy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lease = || project.object("environments/local/lock.json");
    until("the lease is taken", || lease().is_some_and(|lease| lease["held"] == true));
    let second = project.run(&["deploy", "--env", "local", "--yes"]).expect(6);
    assert!(second.stderr.contains("is being deployed by somebody else"), "{}", second.stderr);
    // Another host has come for the only worker, which goes on until its task ends.
    let result = project.result(deploy);
    assert_eq!((&result["outcome"], &result["draining"]), (&json!("deployed"), &json!(1)), "{result}");
    // By the keeper of its host, once that leaves the group.
    until("the worker is told to finish its tasks", || workers_told_to_end(project) > told);
    held.let_go();
    assert!(done(&result).contains(&"hosts".to_owned()), "{result}");
    assert!(done(&result).contains(&"smoke".to_owned()), "{result}");
    private::assert_was_verified_through_s3(&result);
    assert_eq!(finished(&airflow, "probe", &held.run), "success", "the running task finished");
    let after = || project.components();
    until("every component is another process", || {
        before.iter().all(|(name, pid)| after().get(name) != Some(pid))
    });
    assert_eq!(airflow.returned("probe", &held.run, "first").unwrap(), "one");
}

fn a_release_that_fails_its_gate_is_rolled_back(project: &Project) {
    project.deploy();
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
    assert_eq!(run_probe(&project.airflow()), ["one", "one one"]);
}

/// `plan` refuses what `deploy` refuses, with the same words and code.
fn runs_of_a_moved_dag_are_protected(project: &Project) {
    project.deploy();
    let airflow = project.airflow();
    let held = Held::begin(&airflow);
    let text = project.read("dags/probe.py");
    project.remove("dags/probe.py");
    project.write("dags/renamed.py", &text);
    let plan = project.run(&["plan", "--env", "local", "--check", "--format", "json"]).expect(2).json();
    assert_eq!(plan["dags"]["moved"], json!(["probe"]), "{plan}");
    let gate = plan["gates"].as_array().unwrap().iter().find(|gate| gate["outcome"] == "refused");
    let gate = gate.unwrap_or_else(|| panic!("a gate refuses: {plan}"));
    assert_eq!(gate["name"], "unfinished-runs");
    assert!(gate["problems"].to_string().contains("DAG `probe`"), "{gate}");
    let refused = project.run(&["deploy", "--env", "local"]).expect(2);
    assert!(refused.stderr.contains("DAG `probe`"), "{}", refused.stderr);
    project.run(&["plan", "--env", "local", "--check", "--force"]).expect(3);
    project.remove("dags/renamed.py");
    project.write("dags/probe.py", &text);
    held.let_go();
    assert_eq!(finished(&airflow, "probe", &held.run), "success");
}

fn rollback_and_history(project: &Project) {
    project.write("dags/probe.py", &probe("first"));
    project.deploy();
    let before = project.pointer();
    project.write("dags/probe.py", &probe("second"));
    project.deploy();
    let now = project.pointer();
    let history = project.run(&["history", "--env", "local", "--format", "json"]).expect(0).json();
    let outcomes: Vec<&str> =
        history.as_array().unwrap().iter().map(|d| d["outcome"].as_str().unwrap()).collect();
    assert!(outcomes.iter().filter(|outcome| **outcome == "deployed").count() >= 3, "{history}");

    let back = project.run(&["rollback", "--env", "local", "--yes", "--format", "json"]).expect(0).json();
    assert_eq!(back["outcome"], "deployed");
    assert_eq!(back["release"], before["release"]);
    assert_eq!(project.pointer()["release"], before["release"]);
    assert_eq!(project.pointer()["serial"].as_u64().unwrap(), now["serial"].as_u64().unwrap() + 1);

    let unknown = project.run(&["rollback", "--env", "local", "0123456789ab"]).expect(2);
    assert!(unknown.stderr.contains("no release `0123456789ab`"), "{}", unknown.stderr);
    assert_eq!(project.deploy()["release"], now["release"], "forward again");
}

fn killed_after(project: &Project, step: &str) {
    let version = format!("killed after {step}");
    project.write("dags/probe.py", &probe(&version));
    if step == "stack" || step == "hosts" {
        project.write("plugins/marker.py", &format!("\"\"\"A plugin of the tests, {step}.\"\"\"\n"));
    }
    if step == "stack" {
        let concurrency = "\n[workers.default]\nconcurrency = 3\n";
        project.edit("environments/local.toml", |text| format!("{text}{concurrency}"));
    }
    // What rolls hosts stays, so that no later stage rolls them just to be rid of it.
    project.keep();
    let before = project.pointer();
    let arguments = ["deploy", "--env", "local", "--yes"];
    let killed = project.run_with(&arguments, &[("DUCTWORK_STOP_AFTER", step)]);
    assert_eq!(killed.code, None, "it was killed: {}", killed.stderr);
    let bundle = project.pointer()["bundle"].as_str().unwrap().to_owned();
    if step != "pointer" {
        assert_eq!(project.pointer(), before, "the pointer stays on what is whole");
    }
    let index = project.object(&format!("bundles/{bundle}.dags.json"));
    assert!(index.is_some(), "the pointer names a whole bundle");
    if step == "stack" {
        its_record_tells_how_far_it_came(project);
    }
    assert_ne!(project.deploy()["outcome"], "failed");
    assert_eq!(run_probe(&project.airflow())[0], version);
    assert_eq!(project.deploy()["outcome"], "unchanged");
}

fn its_record_tells_how_far_it_came(project: &Project) {
    let history = project.run(&["history", "--env", "local", "--format", "json"]).expect(0).json();
    let killed = &history[0];
    assert_eq!(killed["outcome"], "interrupted", "{history:#}");
    // Whether the end of the step was written before the kill is a race.
    let cut = &killed["interrupted"];
    let done = cut["done"].as_array().unwrap();
    assert!(cut["during"] == "stack" || done.last().unwrap() == "stack", "{killed:#}");
    assert!(done.iter().any(|step| step == "bundle"), "{killed:#}");
    let text = project.run(&["history", "--env", "local"]).expect(0).stdout;
    assert!(text.contains(": interrupted ") && text.contains("`stack`, "), "{text}");
    let id = killed["release"].as_str().unwrap();
    let whole = project.run(&["history", "--env", "local", "--release", id]).expect(0).stdout;
    assert!(whole.contains("no deployment of it came so far"), "{whole}");
    let args = ["deploy", "--env", "local", "--yes", "--format", "json"];
    let next = project.run(&args).expect(0);
    assert!(next.stderr.contains(&format!("of release {id} by ")), "{}", next.stderr);
    assert!(next.stderr.contains("was interrupted "), "{}", next.stderr);
    releases_are_compared(project, &next.json());
}

fn releases_are_compared(project: &Project, result: &Value) {
    let (old, new) = (result["previous"].as_str().unwrap(), result["release"].as_str().unwrap());
    let diff = project.run(&["diff", old, "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!((&diff["to"]["release"], &diff["unread"]), (&result["release"], &serde_json::json!({})));
    assert_eq!(diff["artifacts"]["host revision"]["before"].as_str().map(str::len), Some(64), "{diff:#}");
    let changed = format!("{}{}", diff["parameters"], diff["templates"]);
    assert!(changed.contains("oncurrency"), "{diff:#}");
    let whole =
        project.run(&["history", "--env", "local", "--release", new, "--format", "json"]).expect(0).json();
    assert_eq!((&whole["current"], &whole["record"]["id"]), (&Value::Bool(true), &result["release"]));
    assert_eq!(whole["deployments"][0]["outcome"], "deployed", "{whole:#}");
}

fn the_cloud_is_killed(project: &Project) {
    project.deploy();
    let cloud: Value = serde_json::from_str(&project.read(".ductwork/local/cloud.json")).unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &cloud["pid"].to_string()]).status().unwrap();
    assert!(killed.success());
    let result = project.deploy();
    assert!(matches!(result["outcome"].as_str(), Some("unchanged" | "deployed")), "{result}");
}

fn down_leaves_no_process_and_deploy_comes_back(project: &Project) {
    project.deploy();
    assert!(!project.processes().is_empty());
    project.run(&["local", "down"]).expect(0);
    assert_eq!(project.processes(), BTreeMap::new());
    let dead = project.run(&["status", "--env", "local"]).expect(2);
    assert!(dead.stderr.contains("cargo xtask local up"), "{}", dead.stderr);
    let result = project.deploy();
    assert_eq!(result["outcome"], "unchanged", "{result}");
    assert_eq!(project.components().len(), COMPONENTS);
}

/// The hosts' calls since the first deployment, against the roles as they are deployed.
fn roles_allow_what_the_hosts_did_and_nothing_elsewhere(project: &Project) {
    let judged = project.python(&["-m", "localcloud.iam"]).expect(0);
    say(&format!("    {}", judged.stderr.trim()));
}

fn destroy(project: &Project) {
    let refused = project.run(&["destroy", "--env", "local"]).expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    project.run(&["destroy", "--env", "local", "--yes"]).expect(0);
    assert_eq!(project.components(), BTreeMap::new(), "no component is left");
    assert_eq!(project.pointer(), Value::Null);
    project.run(&["local", "down"]).expect(0);
    assert_eq!(project.processes(), BTreeMap::new());
}
