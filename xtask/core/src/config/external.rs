//! External tasks: tasks of ECS that DAGs start by `EcsRunTaskOperator`, with an image and a role of their own.

use super::environment::Environment;
use super::hosts::Permissions;
use super::parameters::Images;
use super::values::{FolderPath, ForeignImage, TaskName, TaskSize, VariableName};
use crate::model::names;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// In place of subnets and a security group, where the stack is not asked: DAGs that are only parsed start nothing.
pub const SUBNETS_STAND_IN: &str = "subnet-00000000";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalTask {
    pub name: TaskName,
    pub origin: Origin,
    pub(super) size: TaskSize,
    /// Without one, the image decides.
    pub command: Vec<String>,
    pub(super) environment: BTreeMap<VariableName, String>,
    /// Whether it has the shared folder.
    pub(super) files: bool,
    pub(super) permissions: Permissions,
}

/// Where the image of an external task comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is built from this folder of the project.
    Folder(FolderPath),
    /// Somebody else has made it.
    Image(ForeignImage),
}

impl ExternalTask {
    /// The logical ID of its nested stack: `ExternalTaskBigFish` for `big-fish`.
    #[must_use]
    pub fn stack(&self) -> String {
        format!("ExternalTask{}", self.name.pascal())
    }

    /// The parameter of the master stack with its image.
    #[must_use]
    pub fn parameter(&self) -> String {
        format!("{}{}", names::TASK_IMAGE_PARAMETER, self.name.pascal())
    }

    pub(super) fn image_parameter(&self, images: &Images) -> (String, String) {
        let known = match &images.tasks {
            Some(tasks) => tasks.get(self.name.as_str()),
            None => images.container.as_ref(),
        };
        (self.parameter(), known.cloned().unwrap_or_default())
    }

    /// What its nested stack is given.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let built = matches!(self.origin, Origin::Folder(_));
        let managed: Vec<String> = self.permissions.managed.iter().map(ToString::to_string).collect();
        [
            ("TaskName", self.name.to_string()),
            ("ImageBuilt", built.to_string()),
            ("Cpu", self.size.cpu.to_string()),
            ("Memory", self.size.memory.to_string()),
            ("TaskManagedPolicyArns", managed.join(",")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The repository of ECR that ECS pulls its image from, as account, region and name, if it is not ours.
    #[must_use]
    pub fn repository(&self) -> Option<[&str; 3]> {
        match &self.origin {
            Origin::Folder(_) => None,
            Origin::Image(image) => image.in_ecr(),
        }
    }

    #[must_use]
    pub fn has_files(&self) -> bool {
        self.files
    }

    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        self.environment.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    /// What `EcsRunTaskOperator` has to know of this task, by the names of its arguments.
    #[must_use]
    pub fn operator(&self, stack: &str) -> Value {
        let name = &self.name;
        json!({
            "task_definition": names::task_family(stack, name),
            "container_name": name,
            // The operator adds the ID of the task.
            "awslogs_stream_prefix": format!("{name}/{name}"),
        })
    }
}

impl Environment {
    /// What DAG files find in `DUCTWORK_ECS_TASKS` while they are parsed without the stack; nothing if there are no
    /// external tasks.
    #[must_use]
    pub fn external_tasks_stand_in(&self) -> Option<String> {
        let stack = self.stack_name();
        let tasks: BTreeMap<_, _> =
            self.external.iter().map(|task| (task.name.to_string(), task.operator(&stack))).collect();
        let common = json!({
            "cluster": stack,
            "region_name": self.aws.region,
            "awslogs_region": self.aws.region,
            "awslogs_group": names::task_log_group(&stack),
            "capacity_provider_strategy": [{ "capacityProvider": "FARGATE", "weight": 1 }],
            "network_configuration": { "awsvpcConfiguration": {
                "subnets": [SUBNETS_STAND_IN],
                "securityGroups": ["sg-00000000"],
                "assignPublicIp": "DISABLED",
            } },
        });
        let all = json!({ "common": common, "tasks": tasks });
        (!self.external.is_empty()).then(|| all.to_string())
    }
}
