//! What an environment runs, as text or as the JSON of the contract.

use super::table::{seconds, table};
use super::{Output, parts};
use crate::model::digest::Digest;
use crate::model::git::GitSource;
use crate::model::loss::Losses;
use crate::model::receipt::Parts;
use crate::model::release::Deployment;
use crate::model::services::{ServiceState, WorkerHosts};
use crate::model::stack::Status as StackStatus;
use crate::model::status::{Drift, Load};
use crate::model::watched::Alarm;
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
    /// The name of the master stack.
    pub stack_name: String,
    /// None if there is no stack.
    pub stack: Option<StackStatus>,
    /// Or why Airflow does not answer.
    pub components: Result<Vec<ComponentHealth>, String>,
    /// Why Airflow's address leads nowhere from here, so that it was asked through S3.
    pub unreachable: Option<String>,
    /// What hosts and tasks say of themselves.
    pub parts: Parts,
    pub loads: Vec<Load>,
    pub alarms: Vec<Alarm>,
    pub drift: Option<Drift>,
    pub last: Option<Deployment>,
    /// What could not be read.
    pub unread: Vec<String>,
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

impl Status {
    /// All of it in a line, for whoever watches without a terminal.
    #[must_use]
    pub fn line(&self) -> String {
        let parts = &self.parts.parts;
        let number =
            |is: fn(&crate::model::receipt::Part) -> bool| parts.iter().filter(|part| is(part)).count();
        let told = [
            (number(|part| !part.current && !part.draining), "of another revision or bundle"),
            (number(|part| part.silent), "silent"),
            (number(|part| part.draining), "draining"),
            (self.parts.unheard.len(), "without a word"),
            (self.alarms.len(), "alarms"),
            (self.unread.len(), "unread"),
        ];
        let told = told.iter().filter(|(number, _)| *number > 0);
        let told: String = told.map(|(number, what)| format!(", {number} {what}")).collect();
        let release = self.release.as_deref().unwrap_or("none");
        let work =
            self.work.as_ref().map_or("", |work| if work.live { ", deploying" } else { ", interrupted" });
        format!("release {release}, {} parts{told}{work}", parts.len())
    }
}

impl Output for Status {
    fn text(&self) -> String {
        text(self)
    }
}

fn json(status: &Status) -> Value {
    let rows = status.components.as_deref().unwrap_or_default();
    let component = |row: &ComponentHealth| {
        json!({
            "name": row.name,
            "healthy": row.healthy,
            "heartbeat_age_s": row.heartbeat_age,
            "revision": parts::revisions(&status.parts, &row.name),
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
        "unreachable": status.unreachable,
        "parts": status.parts.parts,
        "unheard": status.parts.unheard,
        "queues": status.loads,
        "alarms": status.alarms,
        "drift": status.drift,
        "last_deployment": status.last.as_ref().map(|last| json!({
            "deployment": last.deployment, "release": last.release, "outcome": last.outcome,
            "started": last.started, "seconds": last.seconds, "by": last.by,
        })),
        "unread": status.unread,
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
    ];
    let name = Some(status.stack_name.as_str());
    if let Some(runtime) = &status.runtime {
        lines.push(("runtime", runtime.short()));
    }
    if status.stack.is_some() {
        lines.push(("alarms", parts::alarms(name, &status.alarms)));
    }
    if let Some(drift) = &status.drift {
        lines.push(("drift", parts::drift(name, drift)));
    }
    if let Some(last) = &status.last {
        let started = last.started.get(..16).unwrap_or_default().replace('T', " ");
        let (outcome, took) = (last.outcome.word(), seconds(last.seconds));
        lines.push((
            "last",
            parts::cut(&format!("{outcome} {} in {took}, {started}, by {}", last.release, last.by), 67),
        ));
    }
    lines.push(("url", status.url.clone().unwrap_or_else(none)));
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
    if let Some(why) = &status.unreachable {
        let _ = writeln!(out, "\nAirflow cannot be reached from here ({why}): asked through S3");
    }
    let runtime = status.runtime.map(|runtime| runtime.to_string());
    let more = [parts::text(&status.parts, runtime.as_deref()), parts::loads(&status.loads)];
    for text in more.iter().filter(|text| !text.is_empty()) {
        let _ = write!(out, "\n{text}");
    }
    if !status.services.is_empty() {
        let rows: Vec<Vec<String>> = status.services.iter().map(service).collect();
        let _ = write!(out, "\n{}", table(&["service", "tasks", "image", ""], &rows));
    }
    let moving: Vec<Vec<String>> = status.workers.iter().filter(|set| set.is_moving()).map(workers).collect();
    if !moving.is_empty() {
        let _ = write!(out, "\n{}", table(&["workers", "hosts", ""], &moving));
    }
    if let Some(drift) = status.drift.as_ref().filter(|drift| !drift.resources.is_empty()) {
        let _ = write!(out, "\n{}", parts::drifted(drift));
    }
    for what in &status.unread {
        let _ = writeln!(out, "\n{what}");
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
#[path = "status_tests.rs"]
mod tests;
