//! A worker set with two hosts, of which one gets each release first. Their hooks run the real election; how a task ends
//! on the canary is said here.

use crate::announce;
use crate::support::project::Project;
use crate::support::tasks::until;
use serde_json::{Value, json};
use std::process::{Child, Output};

const DEPLOY: [&str; 6] = ["deploy", "--env", "local", "--yes", "--format", "json"];
const INSTANCES: &str = ".ductwork/local/instances";

/// Hosts of the set.
fn workers(project: &Project) -> Vec<String> {
    let hosts = std::fs::read_dir(project.path().join(INSTANCES)).unwrap().flatten();
    let names = hosts.map(|host| host.file_name().into_string().unwrap());
    names.filter(|name| !ran(project, name).is_empty()).collect()
}

/// The revisions that a worker host has run, in their order.
fn ran(project: &Project, host: &str) -> Vec<String> {
    let file = project.path().join(format!("{INSTANCES}/{host}/run/revisions"));
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn token(project: &Project) -> Value {
    project.object("environments/local/canaries/default.json").unwrap_or_default()["token"].clone()
}

/// A deployment of another host revision, once its canary runs it: the canary, and the host that waits for it.
fn begun(project: &Project, note: &str) -> (Child, String, String) {
    project.write("airflow/host/note", note);
    follows(project)
}

/// The same for what is there.
fn follows(project: &Project) -> (Child, String, String) {
    let (before, waiting) = (token(project), waiting(project));
    let child = project.spawn(&DEPLOY);
    let claim = || project.object(&format!("receipts/local/claims/{}.json", token(project).as_str()?));
    until("a canary", || token(project) != before && claim().is_some());
    let canary = claim().unwrap()["host"].as_str().unwrap().to_owned();
    let other = workers(project).into_iter().find(|host| *host != canary).unwrap();
    until("the other one waits for it", || self::waiting(project) > waiting);
    (child, canary, other)
}

/// How many hosts have said so.
fn waiting(project: &Project) -> usize {
    let logs = project.deployment_logs();
    logs.iter().map(|log| log.matches("waits until the canary, i-").count()).sum()
}

fn task_ends(project: &Project, host: &str, state: &str) {
    project.write(&format!("{INSTANCES}/{host}/run/ran"), state);
}

fn ended(child: Child, code: i32) -> (Value, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(code), "{said}");
    (serde_json::from_slice(&stdout).unwrap(), said)
}

#[test]
fn one_host_first() {
    let project = Project::without_airflow();
    let plain = project.read("environments/local.toml");
    let write = |min: u32, minutes: u32| {
        let canary = format!("\n[release]\ncanary_minutes = {minutes}\n");
        let set = format!("[workers.default]\nmin = {min}\nmax = 2\n");
        project.write("environments/local.toml", &format!("{plain}{canary}{set}"));
    };
    write(2, 20);
    assert_eq!(project.deploy()["outcome"], "deployed", "the first one has nobody to wait for");
    assert_eq!((workers(&project).len(), token(&project)), (2, Value::Null));
    // From now on one may be without: hosts are changed in place, one at a time.
    write(1, 20);
    follows_what_is_proven(&project);
    write(1, 2);
    keeps_what_it_has(&project);
    write(1, 20);
    begins_anew_where_the_tool_was_killed(&project);
    // And from now on none: others are launched, and elect one among them.
    write(2, 20);
    among_hosts_that_were_launched(&project);
}

fn follows_what_is_proven(project: &Project) {
    announce("the second host follows once the canary has run a task");
    let (child, canary, other) = begun(project, "good");
    assert_eq!((ran(project, &canary).len(), ran(project, &other).len()), (2, 1));
    assert!(project.path().join(format!("{INSTANCES}/{other}/run/stub.json")).exists(), "it goes on");
    task_ends(project, &canary, "success");
    let (result, said) = ended(child, 0);
    assert_eq!(result["outcome"], "deployed", "{result:#}");
    let noted = format!("the canary {canary} has run etl manual__1 load (try 1); the others follow");
    assert!(said.contains(&noted), "{said}");
    assert_eq!(ran(project, &other).last(), ran(project, &canary).last());
}

fn keeps_what_it_has(project: &Project) {
    announce("a canary whose tasks fail goes back, and the second host never changes");
    let before = project.pointer();
    let (child, canary, other) = begun(project, "bad");
    task_ends(project, &canary, "failure");
    let bad = ran(project, &canary).pop().unwrap();
    let (result, said) = ended(child, 4);
    assert_eq!(result["outcome"], "rolled_back", "{said}");
    let told = result["error"].to_string();
    assert!(told.contains("ran no task that ended well within 2 min"), "{told}");
    assert!(told.contains(&format!("{canary}: the last one failed: etl manual__1 load (try 1)")), "{told}");
    assert!(!ran(project, &other).contains(&bad));
    assert_ne!(ran(project, &canary).last(), Some(&bad));
    assert_eq!(project.pointer()["release"], before["release"]);
}

fn begins_anew_where_the_tool_was_killed(project: &Project) {
    announce("the tool is killed while a host waits");
    let (mut child, ..) = begun(project, "killed");
    child.kill().unwrap();
    child.wait().unwrap();
    let (child, canary, other) = follows(project);
    task_ends(project, &canary, "success");
    let (result, _) = ended(child, 0);
    assert_eq!(result["outcome"], "deployed", "{result:#}");
    assert_eq!(ran(project, &other).last(), ran(project, &canary).last());
}

fn among_hosts_that_were_launched(project: &Project) {
    announce("hosts that are replaced");
    let old = workers(project);
    let (child, canary, _) = begun(project, "launched");
    assert!(!old.contains(&canary), "{canary} of {old:?}");
    task_ends(project, &canary, "success");
    let (result, said) = ended(child, 0);
    assert_eq!((&result["outcome"], &result["draining"]), (&json!("deployed"), &json!(0)), "{said}");
    let now = workers(project).into_iter().filter(|host| !old.contains(host));
    let runs: Vec<String> = now.filter_map(|host| ran(project, &host).pop()).collect();
    assert!(runs.len() == 2 && runs[0] == runs[1], "{runs:?}");
}
