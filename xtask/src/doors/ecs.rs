//! ECS in its own JSON: services and their deployments, tasks, task definitions.

mod answers;
mod definitions;

use super::aws::{self, Aws};
use super::signed::{Answer, Service as Signed};
use crate::fail::{Fail, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub use answers::{
    Agent, Container, ContainerDefinition, Deployment, LogConfiguration, Network, Revision, Service,
    ServiceDeployment, Session, Task, TaskDefinition,
};
pub use definitions::{active, deregister, same, tag, task_definition};

/// Most names in one question about services, and about tasks.
const SERVICES: usize = 10;
const TASKS: usize = 100;

/// One cluster, as whoever may call it.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a> {
    pub aws: &'a Aws,
    pub name: &'a str,
}

/// Which tasks are listed. ECS takes no other filter beside `StartedBy`, which finds those that have not ended.
#[derive(Clone, Copy, Debug)]
pub enum Filter<'a> {
    /// Those that are not told to end.
    All,
    /// The same on EC2 instances.
    OnHosts,
    /// On EC2 instances, and told to end: some may be on their way still.
    Leaving,
    Service(&'a str),
    /// Of a service, and ended within the last hour or so.
    Stopped(&'a str),
    StartedBy(&'a str),
}

impl Cluster<'_> {
    /// Services by name or ARN, in the order asked; one that is gone is left out.
    pub async fn services(&self, names: &[&str]) -> Result<Vec<Service>> {
        let mut found = Vec::new();
        for some in names.chunks(SERVICES) {
            let input = json!({ "cluster": self.name, "services": some });
            let what = || format!("cannot read the services of cluster `{}`", self.name);
            found.extend(self.read::<answers::Services>("DescribeServices", &input, what).await?.services);
        }
        found.retain(|service| service.status != "INACTIVE");
        Ok(found)
    }

    /// Most tasks that a service may have at this time, if anything scales it.
    pub async fn most_tasks(&self, service: &str) -> Result<Option<i64>> {
        let name = service.rsplit('/').next().unwrap_or(service);
        let input = json!({
            "ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount",
            "ResourceIds": [format!("service/{}/{name}", self.name)],
        });
        let target = "AnyScaleFrontendService.DescribeScalableTargets";
        let answer = self.aws.signed.json(Signed::ApplicationAutoScaling, target, &input).await;
        let what = || format!("cannot read how service `{name}` is scaled");
        let answer = answer.map_err(|refused| aws::refused("Application Auto Scaling", what(), &refused))?;
        Ok(answer["ScalableTargets"][0]["MaxCapacity"].as_i64())
    }

    /// Moves a service to a task definition, and to a number of tasks if there is one. `anew` replaces its tasks
    /// even if nothing else changes, each time that it is asked for: so that is sent once.
    pub async fn update(
        &self,
        service: &str,
        definition: &str,
        count: Option<i64>,
        anew: bool,
    ) -> Result<()> {
        let mut input = json!({
            "cluster": self.name, "service": service, "taskDefinition": definition, "forceNewDeployment": anew,
        });
        if let Some(count) = count {
            input["desiredCount"] = count.into();
        }
        let what = || format!("cannot update service `{service}`");
        if anew {
            let answer = self.aws.signed.once(Signed::Ecs, &target("UpdateService"), &input).await;
            return understood::<Value>(answer, what).map(drop);
        }
        self.write::<Value>("UpdateService", &input, what).await.map(drop)
    }

    /// Sets the number of tasks of a service alone.
    pub async fn resize(&self, service: &str, count: i64) -> Result<()> {
        let input = json!({ "cluster": self.name, "service": service, "desiredCount": count });
        self.write::<Value>("UpdateService", &input, || format!("cannot update service `{service}`")).await?;
        Ok(())
    }

    /// The newest deployment of a service; none if ECS knows none.
    pub async fn last_deployment(&self, service: &str) -> Result<Option<ServiceDeployment>> {
        let what = || format!("cannot read the deployments of service `{service}`");
        let (mut newest, mut next) = (None::<answers::Brief>, None::<String>);
        loop {
            let mut input = json!({ "cluster": self.name, "service": service, "maxResults": 100 });
            if let Some(token) = next {
                input["nextToken"] = token.into();
            }
            let page: answers::Briefs = self.read("ListServiceDeployments", &input, what).await?;
            let all = page.service_deployments.into_iter().chain(newest);
            newest = all.max_by(|one, other| one.created_at.total_cmp(&other.created_at));
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        match newest {
            Some(brief) => self.deployment(&brief.service_deployment_arn).await.map(Some),
            None => Ok(None),
        }
    }

    pub async fn deployment(&self, arn: &str) -> Result<ServiceDeployment> {
        let what = || format!("cannot read deployment `{arn}`");
        let input = json!({ "serviceDeploymentArns": [arn] });
        let answer: answers::Deployments = self.read("DescribeServiceDeployments", &input, what).await?;
        let none = || Fail::failed(format!("ECS knows nothing of deployment `{arn}`"));
        answer.service_deployments.into_iter().next().ok_or_else(none)
    }

    /// The task definition of a service's revision.
    pub async fn definition_of(&self, revision: &str) -> Result<String> {
        let what = || format!("cannot read service revision `{revision}`");
        let input = json!({ "serviceRevisionArns": [revision] });
        let answer: answers::Revisions = self.read("DescribeServiceRevisions", &input, what).await?;
        let found = answer.service_revisions.into_iter().next();
        let none = || Fail::failed(format!("ECS knows nothing of service revision `{revision}`"));
        found.map(|revision| revision.task_definition).ok_or_else(none)
    }

    pub async fn tasks(&self, filter: Filter<'_>) -> Result<Vec<Task>> {
        let what = || format!("cannot read the tasks of cluster `{}`", self.name);
        let input = match filter {
            Filter::All => json!({ "cluster": self.name }),
            Filter::OnHosts => json!({ "cluster": self.name, "launchType": "EC2" }),
            Filter::Leaving => {
                json!({ "cluster": self.name, "launchType": "EC2", "desiredStatus": "STOPPED" })
            }
            Filter::Service(name) => json!({ "cluster": self.name, "serviceName": name }),
            Filter::Stopped(name) => {
                json!({ "cluster": self.name, "serviceName": name, "desiredStatus": "STOPPED" })
            }
            Filter::StartedBy(whom) => json!({ "cluster": self.name, "startedBy": whom }),
        };
        let (mut arns, mut next) = (Vec::<String>::new(), None::<String>);
        loop {
            let mut input = input.clone();
            if let Some(token) = next {
                input["nextToken"] = token.into();
            }
            let page: answers::TaskArns = self.read("ListTasks", &input, what).await?;
            arns.extend(page.task_arns);
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        self.described(&arns).await
    }

    async fn described(&self, arns: &[String]) -> Result<Vec<Task>> {
        let what = || format!("cannot read the tasks of cluster `{}`", self.name);
        let mut tasks = Vec::new();
        for some in arns.chunks(TASKS) {
            let input = json!({ "cluster": self.name, "tasks": some });
            tasks.extend(self.read::<answers::Tasks>("DescribeTasks", &input, what).await?.tasks);
        }
        Ok(tasks)
    }

    /// None if ECS does not know it, for instance because it was started a moment ago.
    pub async fn task(&self, arn: &str) -> Result<Option<Task>> {
        Ok(self.described(&[arn.to_owned()]).await?.into_iter().next())
    }

    /// Those of the tasks that ECS may not end, by ARN.
    pub async fn protected(&self, arns: &[String]) -> Result<BTreeSet<String>> {
        let what = || format!("cannot read which tasks of cluster `{}` are protected", self.name);
        let mut protected = BTreeSet::new();
        for some in arns.chunks(TASKS) {
            let input = json!({ "cluster": self.name, "tasks": some });
            let answer: answers::Protections = self.read("GetTaskProtection", &input, what).await?;
            let tasks = answer.protected_tasks.into_iter().filter(|task| task.protection_enabled);
            protected.extend(tasks.map(|task| task.task_arn));
        }
        Ok(protected)
    }

    /// Starts one task. `input` has everything but the cluster, with a `clientToken`: the request may be sent twice.
    pub async fn start(&self, mut input: Value) -> Result<Task> {
        input["cluster"] = self.name.into();
        let answer: answers::Started =
            self.write("RunTask", &input, || "cannot start a task".to_owned()).await?;
        let Some(task) = answer.tasks.into_iter().next() else {
            let fail = Fail::failed("ECS started no task");
            return Err(answer.failures.iter().fold(fail, |fail, failure| fail.cause(failure.to_string())));
        };
        Ok(task)
    }

    pub async fn stop(&self, task: &str, reason: &str) -> Result<()> {
        let input = json!({ "cluster": self.name, "task": task, "reason": reason });
        self.write::<Value>("StopTask", &input, || format!("cannot stop task `{task}`")).await?;
        Ok(())
    }

    /// Opens a session in a container. One whose answer is lost ends by itself, since nobody speaks in it.
    pub async fn session(&self, task: &str, container: &str, command: &str) -> Result<Session> {
        let input = json!({
            "cluster": self.name, "task": task, "container": container, "command": command, "interactive": true,
        });
        let what = || format!("cannot open a session in task `{task}`");
        Ok(self.read::<answers::Opened>("ExecuteCommand", &input, what).await?.session)
    }

    async fn read<T: DeserializeOwned>(
        &self,
        operation: &str,
        input: &Value,
        what: impl Fn() -> String,
    ) -> Result<T> {
        understood(self.aws.read(Signed::Ecs, &target(operation), input).await, what)
    }

    async fn write<T: DeserializeOwned>(
        &self,
        operation: &str,
        input: &Value,
        what: impl Fn() -> String,
    ) -> Result<T> {
        understood(self.aws.signed.write(Signed::Ecs, &target(operation), input).await, what)
    }
}

fn target(operation: &str) -> String {
    format!("AmazonEC2ContainerServiceV20141113.{operation}")
}

fn understood<T: DeserializeOwned>(answer: Answer<Value>, what: impl Fn() -> String) -> Result<T> {
    let answer = answer.map_err(|refused| aws::refused("ECS", what(), &refused))?;
    serde_json::from_value(answer).map_err(|error| Fail::failed(what()).because(error))
}
