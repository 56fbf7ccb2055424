//! Services of ECS, and worker sets on hosts, as they are.

use serde::Serialize;

/// What one component, or one worker set, runs on ECS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceState {
    #[serde(rename = "name")]
    pub title: String,
    /// `family:revision`; empty if there is no such service.
    pub task_definition: String,
    /// With its registry and digest.
    pub image: Option<String>,
    /// Whether it runs what the stack has for it.
    pub current: bool,
    /// Whether its last deployment failed.
    pub failed: bool,
    /// Tasks of that task definition.
    pub running: i64,
    pub wanted: i64,
    /// Tasks of another one, which end when their work does.
    pub draining: i64,
}

/// The hosts of a worker set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkerHosts {
    pub name: String,
    /// Those in service.
    pub running: usize,
    pub wanted: i32,
    /// Those that end with their last task.
    pub draining: usize,
    /// Those that a rollout is replacing; they take tasks until others have come.
    pub standby: usize,
}

impl WorkerHosts {
    /// Whether hosts are about to go.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.draining + self.standby > 0
    }
}
