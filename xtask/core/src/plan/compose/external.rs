//! External tasks: a nested stack for each, with its command and variables in a template of its own, and what DAGs
//! and the roles that start them are told of all of them.

use super::wiring::{INTERFACE, promote};
use super::{Additions, Composer, IDENTITY, Master};
use crate::model::names;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The nested stack that is repeated for each external task.
const TASK: &str = "ExternalTask";
/// The nested stack with the rights to start them.
const STARTER: &str = "TaskStarter";
/// The parameter by which a child gets what DAGs are told.
pub(super) const EXTERNAL_TASKS: &str = "ExternalTasks";
/// In names that `Fn::Sub` completes.
const STACK: &str = "${AWS::StackName}";

/// An external task, and what its stack is given.
#[derive(Clone, Debug)]
pub struct ExternalTask {
    pub name: String,
    /// The logical ID of its nested stack.
    pub stack: String,
    /// The parameter of the master stack with its image.
    pub image: String,
    pub parameters: BTreeMap<String, String>,
    /// Empty if the image decides.
    pub command: Vec<String>,
    pub variables: BTreeMap<String, String>,
    /// Where its image is.
    pub source: ImageSource,
    /// Whether it has the shared folder.
    pub files: bool,
    /// What `EcsRunTaskOperator` has to know of it.
    pub operator: Value,
}

/// Where ECS pulls an image from, as far as that takes rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// The repository of our own images.
    Ours,
    /// Another one in ECR.
    Ecr { account: String, region: String, repository: String },
    /// A registry outside AWS, or a public one.
    Elsewhere,
}

impl ImageSource {
    fn arn(&self) -> Value {
        let arn = |place: &str| json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:ecr:{place}") });
        match self {
            Self::Ours => {
                let repository = names::IMAGE_REPOSITORY;
                arn(&format!("${{AWS::Region}}:${{AWS::AccountId}}:repository/{repository}"))
            }
            Self::Ecr { account, region, repository } => {
                arn(&format!("{region}:{account}:repository/{repository}"))
            }
            Self::Elsewhere => json!(""),
        }
    }
}

impl Composer {
    /// `ExternalTask` once for each task, and `TaskStarter` if there is any. New templates are added to `self`.
    pub(super) fn external(&mut self, master: &mut Master, additions: &Additions) {
        let task = master.section("Resources").remove(TASK);
        let starter = master.section("Resources").remove(STARTER);
        let (Some(stack), Some(mut starter)) = (task, starter) else { return };
        let path = stack["Properties"]["TemplateURL"].as_str().unwrap_or_default().to_owned();
        let Some(template) = self.templates.get(&path).cloned() else { return };
        if additions.external.is_empty() {
            return;
        }
        for task in &additions.external {
            let own = path.replace(".yaml", &format!("-{}.yaml", task.name));
            self.templates.insert(own.clone(), task.template(template.clone()));
            master.section("Resources").insert(task.stack.clone(), task.stack(stack.clone(), &own));
            self.made.push(own);
        }
        declare(master, &additions.external, &template["Parameters"]["Image"]);
        starter["Properties"]["Parameters"] = starting(additions);
        master.section("Resources").insert(STARTER.to_owned(), starter);
    }
}

impl ExternalTask {
    /// The template of all tasks, with what parameters cannot hold: lists.
    fn template(&self, mut template: Value) -> Value {
        let container = &mut template["Resources"]["Task"]["Properties"]["ContainerDefinitions"][0];
        if !self.command.is_empty() {
            container["Command"] = json!(self.command);
        }
        if let Value::Array(variables) = &mut container["Environment"] {
            variables
                .extend(self.variables.iter().map(|(name, value)| json!({ "Name": name, "Value": value })));
        }
        template
    }

    fn stack(&self, mut stack: Value, template: &str) -> Value {
        stack["Properties"]["TemplateURL"] = json!(template);
        let given = &mut stack["Properties"]["Parameters"];
        for (name, value) in &self.parameters {
            given[name] = json!(value);
        }
        if !self.files {
            given["FileSystemId"] = json!("");
            given["FileAccessPointId"] = json!("");
        }
        given["Image"] = json!({ "Ref": self.image });
        given["RepositoryArn"] = self.source.arn();
        stack
    }
}

/// A parameter of the master for each image.
fn declare(master: &mut Master, tasks: &[ExternalTask], image: &Value) {
    let labels: BTreeMap<&str, Value> = tasks
        .iter()
        .map(|task| (task.image.as_str(), json!({ "default": format!("Container image, {}", task.name) })))
        .collect();
    let labelled = json!({ "Metadata": { INTERFACE: { "ParameterLabels": labels } } });
    let declared: Vec<_> = tasks.iter().map(|task| (&task.image, image)).collect();
    promote(master, "External tasks", &labelled, &declared);
}

/// Code of DAGs runs in workers and in tasks of the ECS executor, and waits for deferred tasks in the triggerer.
fn starting(additions: &Additions) -> Value {
    let workers = additions.worker_sets.iter().map(|set| output(&set.prefix, "WorkerRoleName"));
    let roles: Vec<Value> = workers.chain([output(IDENTITY, "TriggererRoleName")]).collect();
    let of_each = |name: &str| -> Vec<Value> {
        additions.external.iter().map(|task| output(&task.stack, name)).collect()
    };
    let executor = [&roles[..], &[output("EcsExecutor", "RoleName")]].concat();
    json!({
        "StarterRoleNames": { "Fn::If": ["HasEcsExecutor", listed(&executor), listed(&roles)] },
        "FamilyArns": listed(&of_each("FamilyArn")),
        "TaskRoleArns": listed(&of_each("RoleArn")),
        "ExecutionRoleArns": listed(&of_each("ExecutionRoleArn")),
    })
}

fn output(stack: &str, name: &str) -> Value {
    json!({ "Fn::GetAtt": [stack, format!("Outputs.{name}")] })
}

fn listed(values: &[Value]) -> Value {
    json!({ "Fn::Join": [",", values] })
}

/// Arguments of `EcsRunTaskOperator` as JSON: those that all tasks have in common, and those of each.
pub(super) fn told(tasks: &[ExternalTask]) -> Value {
    if tasks.is_empty() {
        return json!("");
    }
    let each: BTreeMap<&str, &Value> =
        tasks.iter().map(|task| (task.name.as_str(), &task.operator)).collect();
    let common = json!({
        "cluster": STACK,
        "region_name": "${AWS::Region}",
        "awslogs_region": "${AWS::Region}",
        "awslogs_group": names::task_log_group(STACK),
        "capacity_provider_strategy": [{ "capacityProvider": "${CapacityProvider}", "weight": 1 }],
        "network_configuration": { "awsvpcConfiguration": {
            "subnets": ["${SubnetIds}"],
            "securityGroups": ["${SecurityGroupId}"],
            "assignPublicIp": "${AssignPublicIp}",
        } },
    });
    let text = super::sorted(json!({ "common": common, "tasks": each })).to_string();
    // `a,b` becomes `a","b`, inside the quotes of the list.
    let subnets = json!({ "Fn::Split": [",", output("Network", "HostSubnetIds")] });
    json!({ "Fn::Sub": [text, {
        "CapacityProvider": output("Capacity", "CapacityProvider"),
        "SubnetIds": { "Fn::Join": ["\",\"", subnets] },
        "SecurityGroupId": output("Security", "WorkerSecurityGroupId"),
    }] })
}
