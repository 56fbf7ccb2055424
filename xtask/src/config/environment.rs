//! An environment, complete and checked: what the rest of the tool works with.

use super::values::{
    Account, AirflowKey, Architecture, Cidr, Endpoint, EnvironmentName, InstanceClass, InstanceType,
    ProjectName, Region, SubnetId, Url, VpcCidr, VpcId,
};
use crate::model::names;
use std::collections::BTreeMap;
use std::time::Duration;

/// Made by [`super::resolve`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub project: ProjectName,
    pub name: EnvironmentName,
    pub engine: Engine,
    /// Whether every change asks, and deletion is refused.
    pub protected: bool,
    pub aws: Aws,
    pub airflow: Airflow,
    pub dags: Dags,
    pub network: Network,
    pub database: Database,
    pub hosts: Hosts,
    pub logs: Logs,
    /// The user's own; those of the tool are in [`Environment::tags`].
    pub tags: BTreeMap<String, String>,
}

/// What Airflow runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Auto Scaling groups and CodeDeploy.
    Ec2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aws {
    pub account: Account,
    pub region: Region,
    pub endpoint: Endpoint,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Airflow {
    /// Where people and components reach it.
    pub url: Url,
    pub port: u16,
    /// Options beyond those of the tool. No secret is among them.
    pub config: BTreeMap<AirflowKey, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dags {
    /// How long one file may take to import.
    pub parse_timeout: Duration,
    /// How often the dag-processor looks for a new bundle without being told.
    pub refresh_interval: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub vpc: Vpc,
    /// Who may reach Airflow's port from outside.
    pub allowed: Cidr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vpc {
    /// One of the environment's own.
    Own(VpcCidr),
    Existing {
        id: VpcId,
        /// In at least two zones.
        subnets: Vec<SubnetId>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Major version of PostgreSQL.
    pub version: u32,
    pub instance_class: InstanceClass,
    pub storage_gib: u32,
    /// Up to which storage grows by itself.
    pub max_storage_gib: u32,
    pub backup_days: u32,
    /// Whether a standby in a second zone takes over.
    pub multi_az: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    pub architecture: Architecture,
    /// How long a stopping worker waits for its running tasks.
    pub drain: Duration,
    pub api_server: HostGroup,
    /// Scheduler, dag-processor and triggerer.
    pub scheduler: HostGroup,
    pub worker: HostGroup,
    /// Tasks that one worker host runs at the same time.
    pub worker_concurrency: u32,
    pub worker_rollout: Pace,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGroup {
    pub instance_type: InstanceType,
    pub min: u32,
    pub max: u32,
    pub volume_gib: u32,
}

/// How many hosts of a group a rollout takes at once, in CodeDeploy's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    OneAtATime,
    HalfAtATime,
    AllAtOnce,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    pub retention_days: u32,
}

impl Environment {
    /// The name of the master stack.
    #[must_use]
    pub fn stack_name(&self) -> String {
        names::stack(self.project.as_str(), self.name.as_str())
    }

    #[must_use]
    pub fn artifact_bucket(&self) -> String {
        names::artifact_bucket(self.aws.account.as_str(), self.aws.region.as_str())
    }

    /// Whether the cloud of this machine answers.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.aws.endpoint == Endpoint::Local
    }
}
