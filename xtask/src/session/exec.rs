//! A session in a running component: in the container of a task by ECS, on a host by Systems Manager. Both need the
//! plugin of the Session Manager, which this process becomes; on the local cloud, what stands in for it.

use super::Session;
use crate::apply::task::Place;
use crate::doors::ecs::{Cluster, Container, Filter, Session as Opened, Task};
use crate::doors::proc::{self, Cmd};
use crate::doors::signed::Service as Signed;
use crate::doors::{env, local_cloud, ssm, term};
use crate::fail::{Fail, Problem, Result};
use crate::model::event::Sink;
use crate::model::image::places;
use crate::model::names::{self, Service};
use crate::model::stack::StackFacts;
use serde_json::json;
use std::path::Path;

const PLUGIN: &str = "session-manager-plugin";
/// The variable by which the plugin takes the session, with its token: an argument could be read by anybody.
const RESPONSE: &str = "AWS_SSM_START_SESSION_RESPONSE";
/// The first version that reads it (<https://github.com/aws/aws-cli/pull/8340>).
const SINCE: [u32; 3] = [1, 2, 536];
const GET_PLUGIN: &str = "install the newest: https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html";

/// Only returns if no session can be opened.
pub async fn in_task(
    session: &Session,
    stack: &StackFacts,
    component: &str,
    task: Option<&str>,
    command: &[String],
) -> Fail {
    match opened_in_task(session, stack, component, task, command).await {
        Ok(plugin) => plugin.replace_this_process(),
        Err(fail) => fail,
    }
}

async fn opened_in_task(
    session: &Session,
    stack: &StackFacts,
    component: &str,
    task: Option<&str>,
    command: &[String],
) -> Result<Cmd> {
    let service = named(names::services(&stack.outputs), component)?;
    let place = Place::of(&stack.outputs)?;
    let cluster = place.cluster(&session.aws);
    let task = chosen(cluster, &service, task).await?;
    let container = main_container(&task, &service)?;
    let mut problems = plugin_problems(session);
    problems.extend(task_problem(&task, container, &session.file()));
    if !problems.is_empty() {
        return Err(Fail::problems("no session can be opened", problems));
    }
    let opened = cluster.session(&task.task_arn, &container.name, &line(command)).await.map_err(|fail| {
        fail.hint("whoever opens sessions needs the right `ecs:ExecuteCommand` on the cluster and its tasks")
    })?;
    let target = format!("ecs:{}_{}_{}", place.cluster, task.id(), container.runtime_id);
    let base = if session.environment.is_local() {
        local_cloud::session_plugin(&session.project.root, &Sink::null())?
    } else {
        Cmd::new(PLUGIN, Path::new("."))
    };
    Ok(plugin(base, &session.aws.region, session.aws.endpoint.as_deref(), &opened, &target))
}

/// On a host; its own shell.
pub async fn on_host(session: &Session, host: &str) -> Fail {
    let problems = plugin_problems(session);
    if !problems.is_empty() {
        return Fail::problems("no session can be opened", problems);
    }
    match ssm::session(&session.aws, host).await {
        Ok(opened) => {
            let base = Cmd::new(PLUGIN, Path::new("."));
            plugin(base, &session.aws.region, session.aws.endpoint.as_deref(), &opened, host)
                .replace_this_process()
        }
        Err(fail) => fail.hint("whoever opens sessions needs the right `ssm:StartSession` on the host"),
    }
}

/// `worker` is the default set, `worker-small` another one.
fn named(services: Vec<Service>, component: &str) -> Result<Service> {
    let word = |service: &Service| service.title.replace(' ', "-");
    let wanted = if component == "worker" { "worker-default" } else { component };
    let known: Vec<String> = services.iter().map(word).collect();
    services.into_iter().find(|service| word(service) == wanted).ok_or_else(|| {
        Fail::usage(format!("there is no component `{component}`"))
            .hint(format!("choose one of {}", known.join(", ")))
    })
}

async fn chosen(cluster: Cluster<'_>, service: &Service, id: Option<&str>) -> Result<Task> {
    let tasks = cluster.tasks(Filter::Service(&service.name)).await?;
    let running: Vec<Task> = tasks.into_iter().filter(|task| task.last_status == "RUNNING").collect();
    let known: Vec<String> = running.iter().map(|task| task.id().to_owned()).collect();
    let found = running.into_iter().find(|task| id.is_none_or(|id| task.id() == id));
    found.ok_or_else(|| match (id, known.is_empty()) {
        (Some(id), false) => Fail::usage(format!("no task `{id}` of {} runs", service.title))
            .hint(format!("choose one of {}", known.join(", "))),
        _ => Fail::failed(format!("no task of {} runs", service.title))
            .hint("see what runs: cargo xtask status"),
    })
}

/// The one that is called as the component; a scheduler has the scaler beside it.
fn main_container<'a>(task: &'a Task, service: &Service) -> Result<&'a Container> {
    let component = service.title.split(' ').next().unwrap_or_default();
    let found = task.containers.iter().find(|container| container.name == component);
    found.ok_or_else(|| Fail::failed(format!("task `{}` has no container `{component}`", task.id())))
}

/// The image's own start gives the command the settings and secrets of the component.
fn line(command: &[String]) -> String {
    let python = format!("/{}/bin/python", places::VENV);
    let shell = ["sh".to_owned()];
    let command = if command.is_empty() { &shell } else { command };
    Cmd::new(python, Path::new("/")).args(["-m", "ductwork_airflow.images.start"]).args(command).to_string()
}

/// What the plugin takes (`session/session.go` in its source): the name of the variable, region, operation, profile,
/// what was asked, and where.
fn plugin(base: Cmd, region: &str, endpoint: Option<&str>, opened: &Opened, target: &str) -> Cmd {
    let place = endpoint.map_or_else(|| Signed::Ssm.place(region).0, str::to_owned);
    let asked = json!({ "Target": target }).to_string();
    let profile = env::aws_profile().unwrap_or_default();
    base.args([RESPONSE, region, "StartSession", &profile, &asked, &place])
        .envs(env::for_people())
        .envs(env::for_aws())
        .env(RESPONSE, opened.0.to_string())
}

/// AWS's plugin takes the end of its input for the end of the session (amazon-ssm-agent#354).
fn plugin_problems(session: &Session) -> Vec<Problem> {
    if session.environment.is_local() {
        return Vec::new();
    }
    let blind = (!term::can_be_typed_at()).then(|| {
        let what = format!("`{PLUGIN}` works on a terminal only, and standard input is none");
        let cure = format!(
            "run the command by itself: cargo xtask run --env {} -- airflow info",
            session.environment.name
        );
        Problem::new("no_terminal", session.file(), what, cure)
    });
    plugin_problem(&session.file()).into_iter().chain(blind).collect()
}

fn plugin_problem(file: &str) -> Option<Problem> {
    let found = proc::find(PLUGIN);
    let version = found.as_ref().and_then(|path| {
        let asked = Cmd::new(path, Path::new("/")).arg("--version").envs(env::for_people()).output().ok()?;
        Some(String::from_utf8_lossy(&asked.stdout).trim().to_owned())
    });
    let what = match (found, version) {
        (None, _) => format!("`{PLUGIN}` is not installed on this machine"),
        (Some(_), Some(version)) if is_new(&version) => return None,
        (Some(path), version) => format!(
            "`{}` is too old ({}): it takes the token of a session as an argument, which anybody could read",
            path.display(),
            version.unwrap_or_default()
        ),
    };
    Some(Problem::new("no_plugin", file, what, GET_PLUGIN))
}

fn is_new(version: &str) -> bool {
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    parts.is_some_and(|parts| parts.as_slice() >= SINCE.as_slice())
}

/// What the task lacks for a session.
fn task_problem(task: &Task, container: &Container, file: &str) -> Option<Problem> {
    let agent = container.managed_agents.iter().find(|agent| agent.name == "ExecuteCommandAgent");
    let (what, cure) = match agent {
        _ if !task.enable_execute_command => (
            format!("sessions are not enabled in task `{}`", task.id()),
            "set `EnableExecuteCommand: true` for its service in the templates, and deploy",
        ),
        Some(agent) if agent.last_status == "RUNNING" => return None,
        agent => (
            format!(
                "the agent for sessions in task `{}` is {}",
                task.id(),
                agent.map_or("not there", |agent| agent.last_status.as_str())
            ),
            "wait until it runs; if it never does, its task role lacks the rights `ssmmessages:*Channel`",
        ),
    };
    Some(Problem::new("no_session", file, what, cure))
}

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;
