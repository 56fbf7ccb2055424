//! The services of an environment on ECS, and the capacity that their tasks run on.

use super::hosts::Permissions;
use super::values::{Architecture, Executor, Insights, InstanceType, TaskSize};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tasks {
    pub architecture: Architecture,
    pub insights: Insights,
    /// Whether what components and one-off tasks write is kept in S3 as well.
    pub log_archive: bool,
    pub capacity: Capacity,
    pub api_server: Service,
    /// To which the API server may grow; with as many as it has anyway, it does not.
    pub api_server_max: u32,
    /// The scaler is in its tasks, too.
    pub scheduler: Service,
    pub dag_processor: Service,
    pub triggerer: Service,
    /// In the order of the file, each once; the first is Airflow's default.
    pub executors: Vec<Executor>,
    /// What a task of Airflow is by default, if it is a task of ECS.
    pub ecs_executor: EcsExecutor,
}

/// A task that is started for a single task of Airflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcsExecutor {
    pub size: TaskSize,
    pub permissions: Permissions,
}

/// What tasks run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capacity {
    Fargate,
    Instances(Instances),
    Managed(ManagedInstances),
}

impl Capacity {
    /// Those of the environment's own.
    #[must_use]
    pub fn instances(&self) -> Option<&Instances> {
        match self {
            Self::Instances(instances) => Some(instances),
            Self::Fargate | Self::Managed(_) => None,
        }
    }
}

/// Instances that ECS chooses, starts and replaces (ECS Managed Instances).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedInstances {
    pub volume_gib: u32,
}

/// Instances that all tasks share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instances {
    pub instance_type: InstanceType,
    /// Alternatives for when the first type is not available.
    pub more_instance_types: Vec<InstanceType>,
    pub min: u32,
    pub max: u32,
    pub spot_percent: u32,
    pub volume_gib: u32,
}

/// Tasks of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub size: TaskSize,
    pub count: u32,
    pub permissions: Permissions,
}

/// In parameters, and of its nested stack.
pub const ECS_EXECUTOR: &str = "EcsExecutor";

impl Tasks {
    /// Separated by commas.
    #[must_use]
    pub fn executors(&self) -> String {
        self.executors.iter().map(|executor| executor.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Each with the name of its component in parameters and outputs.
    #[must_use]
    pub fn services(&self) -> [(&'static str, &Service); 4] {
        [
            ("ApiServer", &self.api_server),
            ("Scheduler", &self.scheduler),
            ("DagProcessor", &self.dag_processor),
            ("Triggerer", &self.triggerer),
        ]
    }
}
