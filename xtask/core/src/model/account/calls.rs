//! The calls that the tool makes of AWS to deploy an environment, to roll it back and to look at it, as far as a
//! resource has a name before it exists. What CloudFormation needs to make the stack is not among them, nor is what
//! `xtask/tests/tidy` lists with a reason.

use super::Demands;
use crate::model::engine::Engine;
use crate::model::names;

/// Calls to one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    pub actions: Vec<&'static str>,
    /// Its ARN, or a star for calls that IAM knows no resources of.
    pub resource: String,
    /// The cluster of ECS that they are made in, which conditions may ask for.
    pub cluster: Option<String>,
}

const STACK: &[&str] = &[
    "cloudformation:ContinueUpdateRollback",
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeEvents",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStackResourceDrifts",
    "cloudformation:DescribeStacks",
    "cloudformation:DetectStackDrift",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
    "cloudformation:ListChangeSets",
    "cloudformation:ListStackResources",
    "cloudformation:RollbackStack",
    "cloudformation:UpdateTerminationProtection",
];
const ANYTHING: &[&str] = &[
    "autoscaling:DescribeAutoScalingGroups",
    "cloudformation:DescribeStackDriftDetectionStatus",
    "cloudformation:ListStacks",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
];
const GROUP: &[&str] = &["autoscaling:EnterStandby", "autoscaling:TerminateInstanceInAutoScalingGroup"];
const DEPLOYMENT_GROUP: &[&str] = &[
    "codedeploy:BatchGetDeployments",
    "codedeploy:CreateDeployment",
    "codedeploy:GetDeployment",
    "codedeploy:GetDeploymentGroup",
    "codedeploy:ListDeployments",
];
/// These name a deployment by its id, for which IAM has no resource.
const DEPLOYMENT: &[&str] = &["codedeploy:BatchGetDeploymentTargets", "codedeploy:ListDeploymentTargets"];
const SERVICE: &[&str] = &["ecs:DescribeServices", "ecs:ListServiceDeployments", "ecs:UpdateService"];
const TASK: &[&str] = &["ecs:DescribeTasks", "ecs:GetTaskProtection", "ecs:StopTask"];
/// Before a migration, if the database is one of RDS.
const SNAPSHOT: &[&str] = &["rds:CreateDBClusterSnapshot", "rds:CreateDBSnapshot"];
const SNAPSHOTS: &[&str] = &["rds:DescribeDBClusterSnapshots", "rds:DescribeDBSnapshots"];

impl Demands {
    /// The tool's own calls.
    #[must_use]
    pub fn calls(&self, partition: &str) -> Vec<Calls> {
        let Self { region, account, bucket, stack, environment, .. } = self;
        let at = |service: &str, name: String| format!("arn:{partition}:{service}:{region}:{account}:{name}");
        let secret = |name: &str| at("secretsmanager", format!("secret:{name}-AbCdEf"));
        let any = "00000000-0000-0000-0000-000000000000";
        let pointer = names::pointer_key(environment);
        let mut calls = vec![
            to(STACK, at("cloudformation", format!("stack/{stack}/{any}"))),
            to(ANYTHING, "*"),
            to(&["s3:ListBucket"], format!("arn:{partition}:s3:::{bucket}")),
            to(&["s3:GetObject", "s3:PutObject"], format!("arn:{partition}:s3:::{bucket}/{pointer}")),
            to(&["secretsmanager:DescribeSecret"], secret(&names::google_secret(environment))),
            to(&["secretsmanager:GetSecretValue"], secret(&names::secret(environment, "platform/admin"))),
        ];
        if self.service_roles.iter().any(|role| role.service == "rds.amazonaws.com") {
            calls.push(to(SNAPSHOT, at("rds", format!("snapshot:{stack}-0123456789ab"))));
            calls.push(to(SNAPSHOTS, "*"));
        }
        calls.extend(match self.engine {
            Engine::Ec2 => vec![
                to(DEPLOYMENT_GROUP, at("codedeploy", format!("deploymentgroup:{stack}/scheduler"))),
                to(DEPLOYMENT, "*"),
                to(
                    GROUP,
                    at("autoscaling", format!("autoScalingGroup:{any}:autoScalingGroupName/{stack}-Worker")),
                ),
            ],
            Engine::Fargate | Engine::EcsEc2 => self.of_tasks(&at),
        });
        calls.extend(self.image_parameter(partition));
        calls
    }

    fn of_tasks(&self, at: &dyn Fn(&str, String) -> String) -> Vec<Calls> {
        let stack = &self.stack;
        let logs = format!("log-group:/ductwork/{stack}/migrate:log-stream:task/airflow/0");
        let made = |kind: &str| at("ecs", format!("{kind}/{stack}/scheduler/0"));
        let mut calls = vec![
            to(SERVICE, at("ecs", format!("service/{stack}/scheduler"))),
            to(&["ecs:DescribeServiceDeployments"], made("service-deployment")),
            to(&["ecs:DescribeServiceRevisions"], made("service-revision")),
            to(TASK, at("ecs", format!("task/{stack}/0"))),
            to(&["ecs:RunTask"], at("ecs", format!("task-definition/{stack}-migrate:1"))),
            to(&["ecs:DescribeTaskDefinition", "ecs:ListTasks"], "*"),
        ];
        let cluster = at("ecs", format!("cluster/{stack}"));
        for one in &mut calls {
            one.cluster = Some(cluster.clone());
        }
        calls.push(to(&["application-autoscaling:DescribeScalableTargets"], "*"));
        calls.push(to(&["logs:GetLogEvents"], at("logs", logs)));
        calls
    }

    fn image_parameter(&self, partition: &str) -> Option<Calls> {
        let image = self.image.as_ref().filter(|image| !image.is_id())?;
        // AWS's own parameters belong to no account.
        let owner = if image.name.starts_with("/aws/") { "" } else { &self.account };
        let parameter = format!("arn:{partition}:ssm:{}:{owner}:parameter{}", self.region, image.name);
        Some(to(&["ssm:GetParameter"], parameter))
    }
}

fn to(actions: &[&'static str], resource: impl Into<String>) -> Calls {
    Calls { actions: actions.to_vec(), resource: resource.into(), cluster: None }
}
