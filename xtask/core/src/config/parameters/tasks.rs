//! What tasks of ECS and the instances of their cluster pass to the stack.

use super::super::tasks::{Capacity, Instances, Tasks};
use super::{Images, Pairs, joined, or_empty, pair};

/// What the template says, where no host drains.
const DRAIN_SECONDS: u32 = 1800;

impl Tasks {
    pub(super) fn parameters(&self, images: &Images) -> Pairs {
        let mut all = vec![
            pair("Image", or_empty(images.container.as_ref())),
            pair("TaskArchitecture", self.architecture.to_string().to_uppercase()),
            pair("ContainerInsights", self.insights),
            pair("LogArchive", self.log_archive),
            pair("ApiServerMaxCount", self.api_server_max),
            pair("Executors", self.executors()),
            pair("EcsExecutorCpu", self.ecs_executor.size.cpu),
            pair("EcsExecutorMemory", self.ecs_executor.size.memory),
            pair("EcsExecutorManagedPolicyArns", joined(&self.ecs_executor.permissions.managed)),
            // Of templates that all engines have in common; tasks read none of them.
            pair("DrainSeconds", DRAIN_SECONDS),
            pair("HostPackages", ""),
            pair("HostImageParameter", ""),
        ];
        for (prefix, service) in self.services() {
            all.extend([
                pair(&format!("{prefix}Cpu"), service.size.cpu),
                pair(&format!("{prefix}Memory"), service.size.memory),
                pair(&format!("{prefix}Count"), service.count),
                pair(&format!("{prefix}ManagedPolicyArns"), joined(&service.permissions.managed)),
            ]);
        }
        match &self.capacity {
            Capacity::Fargate => {}
            Capacity::Instances(instances) => all.extend(instances.parameters(images)),
            Capacity::Managed(managed) => all.push(pair("ClusterVolumeGiB", managed.volume_gib)),
        }
        all
    }
}

impl Instances {
    fn parameters(&self, images: &Images) -> Pairs {
        vec![
            pair("ClusterImage", or_empty(images.machine.as_ref())),
            pair("ClusterInstanceType", &self.instance_type),
            pair("ClusterMoreInstanceTypes", joined(&self.more_instance_types)),
            pair("ClusterMinCount", self.min),
            pair("ClusterMaxCount", self.max),
            pair("ClusterOnDemandPercent", 100 - self.spot_percent),
            pair("ClusterVolumeGiB", self.volume_gib),
        ]
    }
}
