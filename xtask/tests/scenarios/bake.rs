//! A release that is watched once it runs: an alarm brings the one before back, and whoever is interrupted watches again.

use super::announce;
use crate::support::project::Project;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;

const DEPLOY: [&str; 6] = ["deploy", "--env", "local", "--yes", "--format", "json"];

/// An operation of CloudWatch, as the local cloud does it for anybody.
fn cloudwatch(project: &Project, operation: &str, input: &Value) -> Value {
    let request = ureq::post(format!("{}/", project.endpoint()))
        .header("Content-Type", "application/x-amz-json-1.0")
        .header("X-Amz-Target", format!("GraniteServiceVersion20100801.{operation}"))
        .header(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/monitoring/aws4_request",
        );
    let mut answer = request.send(input.to_string()).unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap_or_default()
}

/// The alarm of the environment with this logical id.
fn alarm(project: &Project, id: &str) -> String {
    let all = cloudwatch(project, "DescribeAlarms", &json!({ "AlarmNamePrefix": "ductwork-local-" }));
    let mut names =
        all["MetricAlarms"].as_array().unwrap().iter().filter_map(|alarm| alarm["AlarmName"].as_str());
    names.find(|name| name.contains(id)).unwrap_or_else(|| panic!("no {id} in {all:#}")).to_owned()
}

fn rings(project: &Project, name: &str) {
    let input = json!({ "AlarmName": name, "StateValue": "ALARM", "StateReason": "a test says so" });
    cloudwatch(project, "SetAlarmState", &input);
}

/// A deployment of something small, once it is watched; and what it has said so far.
fn begun(project: &Project, variable: &str) -> (Child, BufReader<std::process::ChildStderr>, String) {
    project.write(
        "airflow/objects.toml",
        &format!("[variables]\nlake = \"{variable}\"\n[pools.heavy]\nslots = 1\n"),
    );
    let mut child = project.spawn(&DEPLOY);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("bake: in alarm before the release, so not counted") {
        assert!(said.read_line(&mut text).unwrap() > 0, "it was never watched: {text}");
    }
    (child, said, text)
}

pub fn watched(project: &Project) {
    announce("bake");
    project.edit("environments/local.toml", |text| format!("{text}\n[release]\nbake_minutes = 1\n"));
    let before = project.pointer();
    let (old, new) = (alarm(project, "ImportErrorAlarm"), alarm(project, "SchedulerHeartbeatAlarm"));
    rings(project, &old);
    let (child, mut said, mut text) = begun(project, "s3://one");
    assert_ne!(project.pointer()["release"], before["release"], "it runs while it is watched");
    assert!(text.contains(&old), "{text}");
    rings(project, &new);
    said.read_to_string(&mut text).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(4), "{text}");
    let result: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(result["outcome"], "rolled_back", "{result:#}");
    let told = result["error"].to_string();
    assert!(told.contains("did not pass its bake: 1 alarm since the release"), "{told}");
    assert!(
        told.contains(&new) && told.contains("has no heartbeat: nothing is queued. a test says so"),
        "{told}"
    );
    assert!(!told.contains(&old), "{told}");
    let steps: Vec<&Value> = result["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
    assert_eq!(steps, ["setup", "validate", "pointer", "bake", "pointer"], "{result:#}");
    assert_eq!(project.pointer()["release"], before["release"]);

    // Nobody knows whether a release is good whose watch was killed: the next deployment watches it again.
    let (mut child, ..) = begun(project, "s3://two");
    child.kill().unwrap();
    child.wait().unwrap();
    let plan = project.run(&["plan", "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!(plan["release"], project.pointer()["release"], "{plan:#}");
    assert_eq!(plan["steps"].as_array().unwrap().last(), Some(&json!("bake")), "{plan:#}");
}
