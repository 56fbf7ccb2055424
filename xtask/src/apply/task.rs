//! Tasks of ECS that end by themselves: started once, followed to their end, explained if they fail.

use super::patience::Patience;
use crate::doors::aws::Aws;
use crate::doors::backoff::Backoff;
use crate::doors::ecs::{self, Cluster, ContainerDefinition, Filter, Network, Task, TaskDefinition};
use crate::doors::logs::Stream;
use crate::doors::time::{self, Stopwatch};
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::names::outputs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many lines of a log say why something ended.
pub const LINES: usize = 20;
/// Looks in a row that may find nothing.
pub const MISSES: usize = 10;
/// How long the last lines of a log may be on their way.
const LATE: Duration = Duration::from_secs(10);

/// Where the tasks of an environment are started.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub cluster: String,
    pub network: Network,
    /// What the services' tasks run on.
    pub capacity_provider: Option<String>,
}

impl Place {
    /// # Errors
    /// The outputs of the stack do not name a cluster.
    pub fn of(stack: &BTreeMap<String, String>) -> Result<Self> {
        let output = |name: &str| {
            stack.get(name).cloned().ok_or_else(|| {
                Fail::failed(format!("the stack has no output `{name}`"))
                    .hint("restore `templates/` from git, then deploy again")
            })
        };
        let public = output(outputs::ASSIGN_PUBLIC_IP)? == "ENABLED";
        Ok(Self {
            cluster: output(outputs::CLUSTER)?,
            capacity_provider: stack.get(outputs::CAPACITY_PROVIDER).cloned(),
            network: Network {
                subnets: output(outputs::TASK_SUBNETS)?.split(',').map(str::to_owned).collect(),
                security_groups: vec![output(outputs::TASK_GROUP)?],
                assign_public_ip: if public { "ENABLED" } else { "DISABLED" }.to_owned(),
            },
        })
    }

    #[must_use]
    pub fn cluster<'a>(&'a self, aws: &'a Aws) -> Cluster<'a> {
        Cluster { aws, name: &self.cluster }
    }
}

/// What differs from the task definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// In place of the container's own; nothing goes through a shell.
    pub command: Option<Vec<String>>,
    /// CPU units and MiB.
    pub cpu: Option<u32>,
    pub memory: Option<u32>,
    pub spot: bool,
}

/// A task that was started.
pub struct Running<'a> {
    cluster: Cluster<'a>,
    pub task: Task,
    container: ContainerDefinition,
}

/// Starts a task; or takes the one that `by` has started and that has not ended, after an interruption.
pub async fn once<'a>(
    place: &'a Place,
    aws: &'a Aws,
    definition: &str,
    by: &str,
    changes: &Changes,
) -> Result<Running<'a>> {
    let found = place.cluster(aws).tasks(Filter::StartedBy(by)).await?;
    let ours = found.into_iter().find(|task| task.task_definition_arn == definition);
    match ours {
        Some(task) => {
            let container = main_container(&ecs::task_definition(aws, definition).await?)?;
            Ok(Running { cluster: place.cluster(aws), task, container })
        }
        None => start(place, aws, definition, by, changes).await,
    }
}

pub async fn start<'a>(
    place: &'a Place,
    aws: &'a Aws,
    definition: &str,
    by: &str,
    changes: &Changes,
) -> Result<Running<'a>> {
    let cluster = place.cluster(aws);
    let defined = ecs::task_definition(aws, definition).await?;
    let mut input = json!({
        "taskDefinition": definition,
        "count": 1,
        "startedBy": by,
        "clientToken": time::ulid(),
        "propagateTags": "TASK_DEFINITION",
        "networkConfiguration": { "awsvpcConfiguration": place.network },
    });
    capacity(&mut input, &defined, place, changes.spot)?;
    let container = main_container(&defined)?;
    overrides(&mut input, &container, changes);
    let task = cluster.start(input).await?;
    Ok(Running { cluster, task, container })
}

/// On EC2 the cluster's own strategy decides, which cannot be one of managed instances.
fn capacity(input: &mut Value, defined: &TaskDefinition, place: &Place, spot: bool) -> Result<()> {
    let is_for = |wanted: &str| defined.requires_compatibilities.iter().any(|kind| kind == wanted);
    match (is_for("FARGATE"), spot) {
        (true, true) => {
            input["capacityProviderStrategy"] = json!([{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }]);
        }
        (true, false) => input["launchType"] = "FARGATE".into(),
        (false, true) => {
            return Err(Fail::usage("only Fargate has capacity of its own for a single task on Spot")
                .hint("leave `spot` out of `--set`"));
        }
        (false, false) => {
            if let Some(provider) = place.capacity_provider.as_ref().filter(|_| is_for("MANAGED_INSTANCES")) {
                input["capacityProviderStrategy"] = json!([{ "capacityProvider": provider, "weight": 1 }]);
            }
        }
    }
    Ok(())
}

/// The one that does the work: templates declare it first.
fn main_container(defined: &TaskDefinition) -> Result<ContainerDefinition> {
    let none = || Fail::failed(format!("task definition `{}` has no container", defined.task_definition_arn));
    defined.container_definitions.first().cloned().ok_or_else(none)
}

fn overrides(input: &mut Value, container: &ContainerDefinition, changes: &Changes) {
    if let Some(command) = &changes.command {
        input["overrides"]["containerOverrides"] = json!([{ "name": container.name, "command": command }]);
    }
    for (name, value) in [("cpu", changes.cpu), ("memory", changes.memory)] {
        if let Some(value) = value {
            input["overrides"][name] = value.to_string().into();
        }
    }
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// None if its container never ran.
    pub code: Option<i32>,
    pub task: Task,
}

impl Running<'_> {
    /// Waits for the end of the task, and tells each state and each line of its log on the way.
    pub async fn end(&self, mut state: impl FnMut(&str), mut line: impl FnMut(&str)) -> Result<End> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
        let mut stream = Stream::of(&self.container, self.task.id());
        let aws = self.cluster.aws.watching();
        let cluster = Cluster { aws: &aws, name: self.cluster.name };
        let (unseen, mut misses) = (Sink::null(), 0);
        let mut patience = Patience::new(&unseen);
        loop {
            match cluster.task(&self.task.task_arn).await {
                Ok(Some(task)) => {
                    misses = 0;
                    patience.well();
                    state(&task.last_status);
                    let read = told(&aws, &mut stream, &mut line).await;
                    if task.last_status == "STOPPED" {
                        rest(&aws, &mut stream, &mut line).await;
                        return Ok(self.ended(task));
                    }
                    if read > 0 {
                        backoff.hurry();
                    }
                }
                Err(fail) => {
                    state("OUT OF SIGHT");
                    patience.bear(fail)?;
                }
                Ok(None) if misses >= MISSES => {
                    return Err(Fail::failed(format!("ECS knows nothing of task `{}`", self.task.id())));
                }
                Ok(None) => misses += 1,
            }
            backoff.wait().await;
        }
    }

    fn ended(&self, task: Task) -> End {
        let container = task.containers.iter().find(|container| container.name == self.container.name);
        End { code: container.and_then(|container| container.exit_code), task }
    }

    pub async fn stop(&self, reason: &str) -> Result<()> {
        self.cluster.stop(&self.task.task_arn, reason).await
    }
}

/// Tells what has come; the number of lines. A log that cannot be read fails nothing.
async fn told(aws: &Aws, stream: &mut Option<Stream>, line: &mut impl FnMut(&str)) -> usize {
    let Some(stream) = stream else { return 0 };
    let lines = stream.more(aws).await.unwrap_or_default();
    lines.iter().for_each(|text| line(text));
    lines.len()
}

/// What the log still gets after the end: until nothing more comes.
async fn rest(aws: &Aws, stream: &mut Option<Stream>, line: &mut impl FnMut(&str)) {
    let watch = Stopwatch::start();
    let mut backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(2));
    let (mut quiet, patience) = (0, if stream.is_some() { 3 } else { 0 });
    while quiet < patience && watch.elapsed() < LATE {
        quiet = if told(aws, stream, line).await == 0 { quiet + 1 } else { 0 };
        backoff.wait().await;
    }
}

/// Why a task stopped, in the words of ECS: of the task, then of each container.
#[must_use]
pub fn reasons(task: &Task) -> Vec<String> {
    let mut told: Vec<String> =
        task.stopped_reason.iter().map(|why| format!("task {}: {why}", task.id())).collect();
    for container in &task.containers {
        let code = container.exit_code.map(|code| format!("exit code {code}"));
        let parts: Vec<String> = code.into_iter().chain(container.reason.clone()).collect();
        if !parts.is_empty() && container.exit_code != Some(0) {
            told.push(format!("container {} of task {}: {}", container.name, task.id(), parts.join(", ")));
        }
    }
    told
}

/// The last lines that a container of the task wrote, as one cause.
pub async fn last_lines(aws: &Aws, container: &ContainerDefinition, task: &Task) -> Option<String> {
    let stream = Stream::of(container, task.id())?;
    let lines = stream.last(aws, LINES).await.ok().filter(|lines| !lines.is_empty())?;
    Some(format!(
        "the last lines of container {} of task {}:\n{}",
        container.name,
        task.id(),
        lines.join("\n")
    ))
}

/// A task that was to succeed and did not.
pub async fn failed(running: &Running<'_>, end: &End, what: &str) -> Fail {
    let fail = reasons(&end.task).into_iter().fold(Fail::failed(what), Fail::cause);
    match last_lines(running.cluster.aws, &running.container, &end.task).await {
        Some(lines) => fail.cause(lines),
        None => fail,
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
