//! What ECS answers, as far as it is read.

use crate::model::names;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

macro_rules! answers {
    ($($(#[$note:meta])* $seen:vis struct $name:ident { $($(#[$about:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$note])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        $seen struct $name { $($(#[$about])* pub $field: $kind,)* }
    )*};
}

answers! {
    pub struct Service {
        service_name: String,
        status: String,
        task_definition: String,
        desired_count: i64,
        running_count: i64,
        deployments: Vec<Deployment>,
        events: Vec<Event>,
    }

    /// A set of tasks of one revision, in the answer about a service.
    pub struct Deployment {
        id: String,
        /// `PRIMARY`, `ACTIVE` or `INACTIVE`.
        status: String,
        task_definition: String,
        desired_count: i64,
        running_count: i64,
        /// `COMPLETED`, `FAILED` or `IN_PROGRESS`.
        rollout_state: String,
    }

    pub struct Event {
        message: String,
    }

    pub struct ServiceDeployment {
        service_deployment_arn: String,
        status: String,
        status_reason: Option<String>,
        target_service_revision: Option<Revision>,
        source_service_revisions: Vec<Revision>,
        rollback: Option<Rollback>,
        deployment_circuit_breaker: Option<CircuitBreaker>,
        alarms: Option<Alarms>,
    }

    pub struct Revision {
        arn: String,
        requested_task_count: i64,
        running_task_count: i64,
        pending_task_count: i64,
    }

    pub struct Rollback {
        reason: Option<String>,
    }

    pub struct CircuitBreaker {
        status: String,
        failure_count: i64,
        threshold: i64,
    }

    pub struct Alarms {
        triggered_alarm_names: Vec<String>,
    }

    pub struct Task {
        task_arn: String,
        task_definition_arn: String,
        /// `service:` and the name of its service, if it has one.
        group: String,
        last_status: String,
        health_status: String,
        stopped_at: f64,
        stop_code: Option<String>,
        stopped_reason: Option<String>,
        enable_execute_command: bool,
        containers: Vec<Container>,
    }

    pub struct Container {
        name: String,
        runtime_id: String,
        exit_code: Option<i32>,
        reason: Option<String>,
        managed_agents: Vec<Agent>,
    }

    pub struct Agent {
        name: String,
        last_status: String,
    }

    pub struct TaskDefinition {
        task_definition_arn: String,
        container_definitions: Vec<ContainerDefinition>,
        requires_compatibilities: Vec<String>,
    }

    pub struct ContainerDefinition {
        name: String,
        image: String,
        log_configuration: Option<LogConfiguration>,
    }

    pub struct LogConfiguration {
        log_driver: String,
        options: BTreeMap<String, String>,
    }

    pub(super) struct Services { services: Vec<Service>, }
    pub(super) struct Briefs { service_deployments: Vec<Brief>, next_token: Option<String>, }
    pub(super) struct Brief { service_deployment_arn: String, created_at: f64, }
    pub(super) struct Deployments { service_deployments: Vec<ServiceDeployment>, }
    pub(super) struct Revisions { service_revisions: Vec<ServiceRevision>, }
    pub(super) struct ServiceRevision { task_definition: String, }
    pub(super) struct TaskArns { task_arns: Vec<String>, next_token: Option<String>, }
    pub(super) struct Tasks { tasks: Vec<Task>, }
    pub(super) struct Started { tasks: Vec<Task>, failures: Vec<Failure>, }
    pub(super) struct Failure { arn: Option<String>, reason: Option<String>, detail: Option<String>, }
    pub(super) struct Protections { protected_tasks: Vec<Protection>, }
    pub(super) struct Protection { task_arn: String, protection_enabled: bool, }
    pub(super) struct Defined { task_definition: TaskDefinition, tags: Vec<Tag>, }
    pub(super) struct Tag { key: String, value: String, }
    pub(super) struct DefinitionArns { task_definition_arns: Vec<String>, next_token: Option<String>, }
    pub(super) struct Opened { session: Session, }
}

/// What the plugin of the Session Manager takes, as it came. It holds a token, so it is never shown.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Session(pub Value);

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Service {
    /// Its tasks of the revision that it is moving to, or has.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }
}

impl ServiceDeployment {
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "SUCCESSFUL" | "STOPPED" | "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED")
    }
}

impl Task {
    #[must_use]
    pub fn id(&self) -> &str {
        names::task_id(&self.task_arn)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.reason, &self.detail, &self.arn];
        let parts: Vec<&str> = parts.into_iter().filter_map(Option::as_deref).collect();
        f.write_str(&parts.join(": "))
    }
}

/// Where a task without a service is placed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    /// `ENABLED` or `DISABLED`.
    pub assign_public_ip: String,
}
