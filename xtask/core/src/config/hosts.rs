//! The hosts of an environment: API servers and schedulers; and the worker sets of every engine.

use super::values::{
    Architecture, DocumentPath, Image, InstanceType, Pace, Package, PolicyArn, Queue, TaskSize, WorkerSetName,
};
use std::time::Duration;

/// What CodeDeploy gives a stop hook, an hour, less five minutes for the end of the drain.
pub const LONGEST_HOOK: Duration = Duration::from_secs(55 * 60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    pub architecture: Architecture,
    /// Without one, the newest Amazon Linux 2023.
    pub image: Option<Image>,
    /// OS packages that every host installs before Airflow's environment.
    pub packages: Vec<Package>,
    /// How long a stopping worker waits for its running tasks.
    pub drain: Duration,
    pub api_server: HostGroup,
    /// Whether the scheduler's host runs the API server too, so that it has no hosts of its own.
    pub api_server_on_scheduler: bool,
    /// Each host runs scheduler, dag-processor and triggerer.
    pub scheduler: HostGroup,
}

/// Hosts whose number is fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGroup {
    pub instance_type: InstanceType,
    pub count: u32,
    pub volume_gib: u32,
    pub permissions: Permissions,
}

/// Permissions that the role of a component gets in addition to those it needs to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    pub managed: Vec<PolicyArn>,
    /// Policy documents of the project.
    pub documents: Vec<DocumentPath>,
}

/// A queue and the workers that run its tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSet {
    pub name: WorkerSetName,
    pub(super) queue: Queue,
    /// Whether the schedulers' hosts run its tasks, so that it has no hosts of its own.
    pub on_scheduler: bool,
    /// The number of tasks that one worker runs at the same time.
    pub(super) concurrency: u32,
    pub(super) runs_on: RunsOn,
    /// The share of Spot among the workers above `on_demand_base`.
    pub(super) spot_percent: u32,
    pub(super) on_demand_base: u32,
    pub min: u32,
    pub max: u32,
    /// Workers are added when the load per task slot exceeds this.
    pub(super) growth_threshold: f64,
    /// Workers are removed when the load per task slot stays below this.
    pub(super) shrink_threshold: f64,
    /// How long the load must stay low.
    pub(super) shrink_after_minutes: u32,
    pub(super) permissions: Permissions,
}

/// What each worker of a set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunsOn {
    Host {
        instance_type: InstanceType,
        /// Alternatives for when the first type is not available.
        more_instance_types: Vec<InstanceType>,
        volume_gib: u32,
        rollout: Pace,
    },
    /// A task on ECS, and its disk.
    Task { size: TaskSize, ephemeral_gib: u32 },
}

impl WorkerSet {
    /// The logical ID of its nested stack, which its outputs start with: `WorkerBigFish` for `big-fish`.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.name.prefix()
    }

    /// How CodeDeploy rolls out to its hosts, if it has any of its own.
    #[must_use]
    pub fn rollout(&self) -> Option<Pace> {
        match self.runs_on {
            RunsOn::Host { rollout, .. } if !self.on_scheduler => Some(rollout),
            RunsOn::Host { .. } | RunsOn::Task { .. } => None,
        }
    }

    /// Whether CodeDeploy waits for each host before it turns to the next.
    pub(super) fn is_rolled_one_by_one(&self) -> bool {
        matches!(self.runs_on, RunsOn::Host { rollout: Pace::OneAtATime, .. })
    }
}
