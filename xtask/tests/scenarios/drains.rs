//! Workers whose tasks outlast CodeDeploy's hour: new hosts take over, the old ones end after the release.

use super::{Stage, announce};
use crate::cloud::text;
use crate::environments::deploy;
use crate::support::project::Project;
use crate::support::tasks::until;
use serde_json::{Value, json};

/// Two releases, each with another budget, which hosts read. The only worker has a task from before the first until
/// after the second.
pub fn longer_than_a_hook(stage: &Stage) {
    announce("drains of more than an hour");
    let project = &stage.project;
    let worker = worker(stage);
    let busy = format!(".ductwork/local/instances/{worker}/run/busy");
    project.write(&busy, "");
    let protected = || group(stage)["Instances"][0]["ProtectedFromScaleIn"] == true;
    until("the worker is protected", protected);

    let released = deploy(project, "[hosts]\ndrain_minutes = 60\n");
    assert_eq!((&released["outcome"], &released["draining"]), (&json!("deployed"), &json!(1)));
    assert_eq!(released["cut_short"][0]["task_id"], "load", "{released:#}");
    let id = text(&released["release"]);
    let history = project.run(&["history", "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!((text(&history[0]["release"]), &history[0]["cut_short"]), (id, &released["cut_short"]));
    let shown = status(project);
    assert_eq!(
        shown["workers"],
        json!([{ "name": "default", "running": 1, "wanted": 1, "draining": 1, "standby": 0 }])
    );
    assert_eq!(shown["cut_short"], released["cut_short"]);

    let again = deploy(project, "[hosts]\ndrain_minutes = 61\n");
    assert_eq!((&again["outcome"], &again["draining"]), (&json!("deployed"), &json!(1)));
    assert_eq!(again["cut_short"], json!([]), "that was the release before");
    assert_ne!(self::worker(stage), worker);
    assert!(project.path().join(&busy).exists(), "the first one's host still drains");
    project.remove(&busy);
    until("the last one ends with its task", || status(project)["workers"][0]["draining"] == 0);
}

fn status(project: &Project) -> Value {
    project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json()
}

fn group(stage: &Stage) -> Value {
    stage.made().group("WorkerDefaultAutoScalingGroup").clone()
}

/// The host that is in service.
#[track_caller]
fn worker(stage: &Stage) -> String {
    let group = group(stage);
    let hosts = group["Instances"].as_array().unwrap();
    let serving = hosts.iter().find(|host| host["LifecycleState"] == "InService").unwrap();
    text(&serving["InstanceId"]).to_owned()
}
