//! A worker set of two on ECS, of which one has a release first: its receipt decides about the others.

use super::{Stage, announce};
use crate::environments::write;
use crate::support::project::Project;
use crate::support::tasks::until;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Child, Output};

const SET: &str = "worker-default";
const CANARY: &str = "canary-default";
const PLUGIN: &str = "plugins/release.py";

const OF_TWO: &str = "\n[workers.default]\nmin = 2\nmax = 2\n\n[release]\ncanary_minutes = 1\n";

pub fn of_tasks(stage: &Stage) {
    announce("canary");
    let project = &stage.project;
    write(project, &format!("{}{OF_TWO}", stage.engine.smallest()));
    let new = one_goes_first(project);
    none_follows_one_that_fails(project, &new);
    project.remove(PLUGIN);
}

/// An operation of ECS, as the local cloud does it for anybody.
fn ecs(project: &Project, operation: &str, mut input: Value) -> Value {
    input["cluster"] = "ductwork-local".into();
    let request = ureq::post(format!("{}/", project.endpoint()))
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("X-Amz-Target", format!("AmazonEC2ContainerServiceV20141113.{operation}"))
        .header("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ecs/aws4_request");
    let mut answer = request.send(input.to_string()).unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

fn service(project: &Project, name: &str) -> Value {
    ecs(project, "DescribeServices", json!({ "services": [name] }))["services"][0].clone()
}

/// The tasks of a service that are not told to end, by their ARNs.
fn tasks(project: &Project, service: &str) -> BTreeSet<String> {
    let listed = ecs(project, "ListTasks", json!({ "serviceName": service }));
    listed["taskArns"].as_array().unwrap().iter().map(|arn| arn.as_str().unwrap().to_owned()).collect()
}

/// A deployment of another image, once its canary says that it runs; and the id of that task.
fn begun(project: &Project, release: &str) -> (Child, String) {
    project.write(PLUGIN, &format!("RELEASE = \"{release}\"\n"));
    let child = project.spawn(&["deploy", "--env", "local", "--yes", "--format", "json"]);
    let mut found = None;
    until("a canary runs", || {
        // Before the first deployment with one, there is no such service.
        let there = service(project, CANARY)["desiredCount"] == 1;
        let arn = there.then(|| tasks(project, CANARY).pop_first()).flatten();
        found = arn.map(|arn| arn.rsplit('/').next().unwrap().to_owned());
        found.as_ref().is_some_and(|id| receipt(project, id).is_some())
    });
    (child, found.unwrap())
}

fn receipt(project: &Project, task: &str) -> Option<Value> {
    project.object(&format!("receipts/local/{task}/worker.json"))
}

/// Lets its worker have run a task that ended so.
fn has_run(project: &Project, task: &str, state: &str) {
    project.write(&format!(".ductwork/local/tasks/{task}/run/ran"), state);
}

#[track_caller]
fn ended(child: Child, code: i32) -> (Value, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{said}");
    (serde_json::from_slice(&stdout).unwrap(), said)
}

#[track_caller]
fn there_is_none_any_more(project: &Project) {
    assert_eq!(service(project, CANARY)["desiredCount"], 0);
    until("the canary has ended", || service(project, CANARY)["runningCount"] == 0);
}

/// The definition that the set has then.
fn one_goes_first(project: &Project) -> Value {
    let before = service(project, SET);
    let (child, canary) = begun(project, "first");
    let now = service(project, SET);
    assert_eq!(now["taskDefinition"], before["taskDefinition"]);
    assert_eq!(now["deployments"].as_array().map(Vec::len), Some(1), "{now:#}");
    let new = service(project, CANARY)["taskDefinition"].clone();
    assert_ne!(new, before["taskDefinition"]);
    has_run(project, &canary, "SUCCESS");
    let (result, said) = ended(child, 0);
    assert_eq!(result["outcome"], "deployed", "{result:#}");
    assert!(said.contains("canary of worker default: has run etl manual__1 load (try 1)"), "{said}");
    assert_eq!(service(project, SET)["taskDefinition"], new);
    let receipt = receipt(project, &canary).unwrap();
    let definition = new.as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(
        (&receipt["task"]["state"], &receipt["task_definition"]),
        (&json!("success"), &json!(definition))
    );
    there_is_none_any_more(project);
    new
}

fn none_follows_one_that_fails(project: &Project, good: &Value) {
    let before = tasks(project, SET);
    assert_eq!(before.len(), 2);
    let (child, canary) = begun(project, "second");
    has_run(project, &canary, "FAILURE");
    let (result, said) = ended(child, 4);
    assert_eq!(result["outcome"], "rolled_back", "{result:#}");
    let why = "the canary of worker default ran no task that ended well within 1 min";
    assert!(result["error"].to_string().contains(why), "{said}");
    assert_eq!(tasks(project, SET), before, "none of them was touched, not even on the way back");
    assert_eq!(service(project, SET)["taskDefinition"], *good);
    there_is_none_any_more(project);
}
