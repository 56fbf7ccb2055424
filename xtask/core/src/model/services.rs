//! A service of ECS as it is.

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
