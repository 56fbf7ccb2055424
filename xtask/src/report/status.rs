//! What an environment runs, as text or as the JSON of the contract.

use super::Output;
use super::table::table;
use crate::model::digest::Digest;
use crate::model::git::GitSource;
use crate::model::loss::Losses;
use crate::model::services::{ServiceState, WorkerHosts};
use crate::model::stack::Status as StackStatus;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Everything that is shown.
#[derive(Clone, Debug)]
pub struct Status {
    pub environment: String,
    pub release: Option<String>,
    pub bundle: Option<Digest>,
    /// The repository that the bundle is of, if it is not of this project.
    pub git: Option<GitSource>,
    /// What the release runs on: the digest of its runtime.
    pub runtime: Option<Digest>,
    /// None if there is no stack.
    pub stack: Option<StackStatus>,
    /// Or why Airflow does not answer.
    pub components: Result<Vec<ComponentHealth>, String>,
    /// Of engines on ECS.
    pub services: Vec<ServiceState>,
    /// Of engine `ec2`.
    pub workers: Vec<WorkerHosts>,
    /// Lately, whoever stopped the workers.
    pub losses: Losses,
    pub work: Option<Work>,
    pub url: Option<String>,
}

/// One component of Airflow.
#[derive(Clone, Debug)]
pub struct ComponentHealth {
    pub name: String,
    pub healthy: bool,
    /// In seconds; none for a component without a heartbeat.
    pub heartbeat_age: Option<f64>,
}

/// A deployment that holds the environment, or held it and was interrupted.
#[derive(Clone, Debug)]
pub struct Work {
    pub live: bool,
    pub by: String,
    pub host: String,
    pub since: String,
    pub url: Option<String>,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json(self).serialize(serializer)
    }
}

impl Output for Status {
    fn text(&self) -> String {
        text(self)
    }
}

fn json(status: &Status) -> Value {
    let revision = status.runtime.map(|runtime| runtime.short());
    let rows = status.components.as_deref().unwrap_or_default();
    let component = |row: &ComponentHealth| {
        json!({
            "name": row.name,
            "healthy": row.healthy,
            "heartbeat_age_s": row.heartbeat_age,
            "revision": revision,
        })
    };
    let work = status.work.as_ref().map(|work| {
        json!({ "live": work.live, "by": work.by, "host": work.host, "since": work.since, "url": work.url })
    });
    json!({
        "environment": status.environment,
        "release": status.release,
        "bundle": status.bundle,
        "git": status.git,
        "stack": status.stack.map(|stack| stack.to_string()),
        "components": rows.iter().map(component).collect::<Vec<_>>(),
        "problem": status.components.as_ref().err(),
        "services": status.services,
        "workers": status.workers,
        "cut_short": status.losses.cut_short,
        "unknown_drains": status.losses.unknown_drains,
        "deployment": work,
        "url": status.url,
    })
}

fn text(status: &Status) -> String {
    let none = || "none".to_owned();
    let mut lines = vec![
        ("environment", status.environment.clone()),
        ("release", status.release.clone().unwrap_or_else(none)),
        ("bundle", status.bundle.map_or_else(none, |bundle| bundle.short())),
        ("stack", status.stack.map_or_else(none, |stack| stack.to_string())),
        ("url", status.url.clone().unwrap_or_else(none)),
    ];
    if let Some(git) = &status.git {
        lines.insert(3, ("git", format!("{} {}", git.url, git.shown())));
    }
    if let Some(work) = &status.work {
        let what = if work.live { "under way" } else { "interrupted: deploy again" };
        let url = work.url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
        let who = format!("by {} on {} since {}{url}", work.by, work.host, work.since);
        lines.push(("deployment", format!("{what}, {who}")));
    }
    let mut out = String::new();
    for (name, value) in lines {
        let _ = writeln!(out, "{name:11}  {value}");
    }
    match &status.components {
        _ if status.stack.is_none() => {
            let _ =
                writeln!(out, "\nnot deployed; deploy it: cargo xtask deploy --env {}", status.environment);
        }
        Ok(rows) if rows.is_empty() => {}
        Ok(rows) => {
            let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
            let _ = write!(out, "\n{}", table(&["component", "healthy", "heartbeat"], &rows));
        }
        Err(why) => {
            let _ = writeln!(out, "\nAirflow does not answer: {why}");
        }
    }
    if !status.services.is_empty() {
        let rows: Vec<Vec<String>> = status.services.iter().map(service).collect();
        let _ = write!(out, "\n{}", table(&["service", "tasks", "image", ""], &rows));
    }
    if !status.workers.is_empty() {
        let rows: Vec<Vec<String>> = status.workers.iter().map(workers).collect();
        let _ = write!(out, "\n{}", table(&["workers", "hosts", ""], &rows));
    }
    let lost = status.losses.lines();
    if !lost.is_empty() {
        let _ = writeln!(out, "\nin the last 24 hours:\n{}", lost.join("\n"));
    }
    out
}

fn workers(set: &WorkerHosts) -> Vec<String> {
    let told = [(set.draining, "draining"), (set.standby, "on standby until others have come")];
    let told = told.iter().filter(|(number, _)| *number > 0);
    let told: Vec<String> = told.map(|(number, what)| format!("{number} {what}")).collect();
    vec![set.name.clone(), format!("{} of {}", set.running, set.wanted), told.join(", ")]
}

fn service(service: &ServiceState) -> Vec<String> {
    let digest = service.image.as_deref().and_then(|image| image.rsplit(':').next()).unwrap_or_default();
    let mut told = Vec::new();
    if service.draining > 0 {
        told.push(format!("{} draining", service.draining));
    }
    let there = !service.task_definition.is_empty();
    let odd = [
        (!there, "GONE"),
        (there && !service.current, "ANOTHER TASK DEFINITION"),
        (service.failed, "FAILED"),
    ];
    told.extend(odd.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()));
    vec![
        service.title.clone(),
        format!("{} of {}", service.running, service.wanted),
        digest.chars().take(12).collect(),
        told.join(", "),
    ]
}

fn cells(row: &ComponentHealth) -> Vec<String> {
    let age = row.heartbeat_age.map(|age| format!("{age:.0} s ago")).unwrap_or_default();
    vec![row.name.clone(), if row.healthy { "yes" } else { "NO" }.to_owned(), age]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Status {
        let row = |name: &str, healthy, heartbeat_age| ComponentHealth {
            name: name.to_owned(),
            healthy,
            heartbeat_age,
        };
        Status {
            environment: "dev".to_owned(),
            release: Some("0123456789ab".to_owned()),
            bundle: Some(Digest::of(b"bundle")),
            git: None,
            runtime: Some(Digest::of(b"host")),
            stack: Some(StackStatus::UpdateComplete),
            components: Ok(vec![row("metadatabase", true, None), row("scheduler", false, Some(61.2))]),
            services: Vec::new(),
            workers: Vec::new(),
            losses: Losses::default(),
            work: None,
            url: Some("http://127.0.0.1:8080".to_owned()),
        }
    }

    #[test]
    fn a_sick_component_is_seen_at_once() {
        insta::assert_snapshot!(text(&running()), @r"
        environment  dev
        release      0123456789ab
        bundle       1e6ed65d77d6
        stack        UPDATE_COMPLETE
        url          http://127.0.0.1:8080

        component     healthy  heartbeat
        metadatabase  yes
        scheduler     NO       61 s ago
        ");
    }

    #[test]
    fn an_environment_that_never_was_is_an_answer_and_no_error() {
        let absent = Status {
            release: None,
            bundle: None,
            git: None,
            runtime: None,
            stack: None,
            url: None,
            components: Ok(Vec::new()),
            ..running()
        };
        assert!(text(&absent).ends_with("\nnot deployed; deploy it: cargo xtask deploy --env dev\n"));
        let value = json(&absent);
        assert!(value["release"].is_null() && value["stack"].is_null() && value["components"] == json!([]));
    }

    #[test]
    fn hosts_that_drain_are_shown_and_what_was_cut_short() {
        let set = |name: &str, draining, standby| WorkerHosts {
            name: name.to_owned(),
            running: 2,
            wanted: 2,
            draining,
            standby,
        };
        let report = r#"{"host": "ip-1", "at": "2026-11-29T11:05:00Z", "why": "a rollout has replaced this host",
            "tasks": [{"dag_id": "etl", "run_id": "r1", "task_id": "load", "map_index": -1, "try_number": 1}]}"#;
        let losses = Losses::of([serde_json::from_str(report).unwrap()]);
        let workers = vec![set("default", 3, 0), set("big", 0, 1), set("small", 0, 0)];
        let status = Status { workers, losses, ..running() };
        insta::assert_snapshot!(text(&status).split_once("61 s ago\n\n").unwrap().1, @r"
        workers  hosts
        default  2 of 2  3 draining
        big      2 of 2  1 on standby until others have come
        small    2 of 2

        in the last 24 hours:
        cut short: etl r1 load (try 1) on ip-1, a rollout has replaced this host
        ");
        assert_eq!(json(&status)["workers"][0]["draining"], 3);
        assert_eq!(json(&status)["cut_short"][0]["host"], "ip-1");
    }

    #[test]
    fn services_tell_what_is_not_as_it_should_be() {
        let service = |title: &str, running| ServiceState {
            title: title.to_owned(),
            task_definition: "p-dev-x:3".to_owned(),
            image: Some(format!("r/i@sha256:{}", Digest::of(b"image"))),
            current: true,
            running,
            wanted: 2,
            ..ServiceState::default()
        };
        let services = vec![
            service("api-server", 2),
            ServiceState { current: false, failed: true, ..service("scheduler", 1) },
            ServiceState { draining: 3, ..service("worker default", 2) },
            ServiceState { title: "triggerer".to_owned(), ..ServiceState::default() },
        ];
        let status = Status { services, ..running() };
        let rows = text(&status);
        insta::assert_snapshot!(rows.split_once("61 s ago\n\n").unwrap().1, @r"
        service         tasks   image
        api-server      2 of 2  6105d6cc76af
        scheduler       1 of 2  6105d6cc76af  ANOTHER TASK DEFINITION, FAILED
        worker default  2 of 2  6105d6cc76af  3 draining
        triggerer       0 of 0                GONE
        ");
        assert_eq!(json(&status)["services"][2]["draining"], 3);
        assert_eq!(json(&running())["services"], json!([]));
    }

    #[test]
    fn whoever_holds_the_environment_is_shown() {
        let work = |live| Work {
            live,
            by: "me".to_owned(),
            host: "h".to_owned(),
            since: "2026-11-20T10:00:00.000Z".to_owned(),
            url: None,
        };
        let status = |live| Status { work: Some(work(live)), ..running() };
        let line = "deployment   under way, by me on h since 2026-11-20T10:00:00.000Z\n";
        assert!(text(&status(true)).contains(line));
        assert!(text(&status(false)).contains("interrupted: deploy again, by me"));
        assert_eq!(json(&status(true))["deployment"]["live"], true);
    }

    #[test]
    fn the_json_has_the_keys_of_the_contract() {
        let value = json(&Status { components: Err("no answer".to_owned()), ..running() });
        for key in ["environment", "release", "bundle", "components", "url"] {
            assert!(value.get(key).is_some(), "{key}");
        }
        assert_eq!(value["problem"], "no answer");
        for key in ["name", "healthy", "heartbeat_age_s", "revision"] {
            assert!(json(&running())["components"][0].get(key).is_some(), "{key}");
        }
    }
}
