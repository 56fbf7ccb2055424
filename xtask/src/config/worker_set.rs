//! A worker set: hosts that serve one queue, what their stack is given, and what hosts are told of it.

use super::environment::Permissions;
use super::parameters::{joined, pair};
use super::values::{InstanceType, Pace, Queue, WorkerSetName};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSet {
    pub name: WorkerSetName,
    pub queue: Queue,
    /// Whether it has no hosts of its own.
    pub on_scheduler: bool,
    /// Tasks that one host runs at the same time.
    pub concurrency: u32,
    pub instance_type: InstanceType,
    /// What else may be launched, if the first cannot be had.
    pub more_instance_types: Vec<InstanceType>,
    /// Of the hosts beyond `on_demand_base`.
    pub spot_percent: u32,
    pub on_demand_base: u32,
    pub min: u32,
    pub max: u32,
    pub volume_gib: u32,
    /// Load for each place on a host from which on there are more hosts.
    pub growth_threshold: f64,
    /// Load for each place on a host below which there are fewer.
    pub shrink_threshold: f64,
    /// How long load must have been that low.
    pub shrink_after_minutes: u32,
    pub rollout: Pace,
    pub permissions: Permissions,
}

impl WorkerSet {
    /// The name of its nested stack, with which its outputs begin: `WorkerBigFish` for `big-fish`.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.name.prefix()
    }

    /// Parameters of `templates/worker-set.yaml` that are this set's own.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            pair("WorkerSet", &self.name),
            pair("Queue", &self.queue),
            pair("OnScheduler", self.on_scheduler),
            pair("Concurrency", self.concurrency),
            pair("InstanceType", &self.instance_type),
            pair("MoreInstanceTypes", joined(&self.more_instance_types)),
            pair("SpotPercent", self.spot_percent),
            pair("OnDemandBase", self.on_demand_base),
            pair("MinCount", self.min),
            pair("MaxCount", self.max),
            pair("VolumeGiB", self.volume_gib),
            pair("DeploymentConfig", self.rollout),
            pair("WorkerManagedPolicyArns", joined(&self.permissions.managed)),
        ])
    }

    /// What hosts are told of it, in the output `WorkerSets` of the master stack.
    #[must_use]
    pub fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "prefix": self.prefix(),
            "queue": self.queue,
            "concurrency": self.concurrency,
            "on_scheduler": self.on_scheduler,
            "growth_threshold": self.growth_threshold,
            "shrink_threshold": self.shrink_threshold,
            "shrink_after_minutes": self.shrink_after_minutes,
            "min": self.min,
            "max": self.max,
        })
    }
}
