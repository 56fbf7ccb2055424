//! What `status` observes of real hosts, by the receipts that their components write.

use crate::support::project::Project;
use crate::support::tasks::until;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn status(project: &Project) -> Value {
    project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json()
}

fn part<'a>(status: &'a Value, component: &str) -> Option<&'a Value> {
    status["parts"].as_array().unwrap().iter().find(|part| part["component"] == component)
}

/// Each component says what it runs: the dag-processor the bundle with its DAGs, the worker its smoke test.
pub fn every_component_says_what_it_runs(project: &Project, components: usize) {
    let bundle = project.pointer()["bundle"].clone();
    until("the receipts of all components", || {
        let status = status(project);
        let parts = status["parts"].as_array().unwrap();
        let has =
            |component: &str, key: &str| part(&status, component).is_some_and(|part| part[key].is_object());
        let all = parts.len() == components && parts.iter().all(|part| part["current"] == true);
        all && has("dag-processor", "bundle") && has("worker", "smoke")
    });
    let status = status(project);
    let parsed = &part(&status, "dag-processor").unwrap()["bundle"];
    assert_eq!((&parsed["version"], &parsed["behind"]), (&bundle, &0.into()), "{parsed}");
    assert!(parsed["dags"].as_u64().unwrap() > 0, "{parsed}");
    assert_eq!(part(&status, "worker").unwrap()["smoke"]["state"], "success", "{status}");
    assert_eq!((&status["unread"], &status["unheard"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert_eq!(status["queues"][0]["name"], "default");
}

/// As if somebody had put another revision on a host by hand, which no record knows of.
pub fn another_revision_is_shown_as_such(project: &Project) {
    let (settings, before) = settings_of(project, "scaler");
    let other = "f".repeat(64);
    let lines = before.lines().map(|line| match line.starts_with("DUCTWORK_REVISION=") {
        true => format!("DUCTWORK_REVISION={other}\n"),
        false => format!("{line}\n"),
    });
    fs::write(&settings, lines.collect::<String>()).unwrap();
    start_again(project, "scaler");
    until("the receipt of the other revision", || {
        part(&status(project), "scaler").is_some_and(|part| part["revision"] == other.as_str())
    });
    let status = status(project);
    assert_eq!(part(&status, "scaler").unwrap()["current"], false);
    assert_eq!(part(&status, "scheduler").unwrap()["current"], true);
    let text = project.run(&["status", "--env", "local"]).expect(0).stdout;
    let line = text.lines().find(|line| line.starts_with("scaler")).unwrap_or_default();
    assert!(line.contains("ffffffffffff") && line.ends_with("ANOTHER REVISION"), "{text}");
    fs::write(&settings, before).unwrap();
    start_again(project, "scaler");
}

/// The settings of the host that runs a component.
fn settings_of(project: &Project, component: &str) -> (PathBuf, String) {
    let pid = project.components()[component];
    let environ = String::from_utf8(fs::read(format!("/proc/{pid}/environ")).unwrap()).unwrap();
    let root = environ.split('\0').find_map(|pair| pair.strip_prefix("DUCTWORK_HOST_ROOT=")).unwrap();
    let file = PathBuf::from(root).join("etc/ductwork/airflow.env");
    let text = fs::read_to_string(&file).unwrap();
    (file, text)
}

/// Its supervisor starts what has ended.
fn start_again(project: &Project, component: &str) {
    let before = project.components()[component];
    let pid = rustix::process::Pid::from_raw(i32::try_from(before).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    until("its next process", || project.components().get(component).is_some_and(|pid| *pid != before));
}
