//! Every key and name as a pure function: S3 keys, stack and change-set names, output names.

mod keys;

pub use keys::*;

use super::contract::CONTRACT;
use super::digest::Digest;
use std::collections::BTreeMap;

/// Names of the outputs of `master.yaml` that the tool itself reads.
pub mod outputs {
    pub const CODEDEPLOY_APPLICATION: &str = "CodeDeployApplication";
    /// JSON with an entry for each worker set, whose `prefix` begins the names of its outputs.
    pub const WORKER_SETS: &str = "WorkerSets";
    pub const ADMIN_SECRET: &str = "AdminSecretArn";
    pub const SERVICE_SECRET: &str = "ServiceSecretArn";
    /// Only with Flower.
    pub const FLOWER_SECRET: &str = "FlowerSecretArn";
    /// These two outlive the stack.
    pub const LOGS_BUCKET: &str = "LogsBucket";
    /// Outlives the stack as well; the contract's word for none if a load balancer keeps no logs.
    pub const ACCESS_LOG_BUCKET: &str = "AccessLogBucket";
    pub const FERNET_KEY_SECRET: &str = "FernetKeySecretArn";
    pub const DATABASE_HOST: &str = "DatabaseHost";
    pub const DATABASE_PORT: &str = "DatabasePort";
    pub const DATABASE_NAME: &str = "DatabaseName";
    pub const DATABASE_SECRET: &str = "DatabaseSecretArn";
    pub const AIRFLOW_URL: &str = "AirflowUrl";
    pub const SCHEDULER_GROUP: &str = "SchedulerAutoScalingGroup";
    /// Of engines on ECS: the cluster, where a task without a service is placed, and what migrates the database.
    pub const CLUSTER: &str = "ClusterName";
    /// Of `ecs-ec2`: the group of the cluster's hosts.
    pub const CLUSTER_GROUP: &str = "ClusterAutoScalingGroup";
    pub const CAPACITY_PROVIDER: &str = "CapacityProvider";
    pub const TASK_SUBNETS: &str = "TaskSubnetIds";
    pub const TASK_GROUP: &str = "TaskSecurityGroupId";
    pub const ASSIGN_PUBLIC_IP: &str = "AssignPublicIp";
    pub const MIGRATE: &str = "MigrateTaskDefinition";
}

/// The tag that names the release which touched a resource last. It follows changes and is none itself.
pub const RELEASE_TAG: &str = "release";

/// The beginnings of the names of the worker sets' outputs, by the name of the set.
fn worker_sets(outputs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let sets = outputs.get(outputs::WORKER_SETS).and_then(|text| serde_json::from_str(text).ok());
    let sets: BTreeMap<String, serde_json::Value> = sets.unwrap_or_default();
    let named = sets.into_iter().filter_map(|(name, set)| Some((name, set["prefix"].as_str()?.to_owned())));
    named.collect()
}

#[must_use]
pub fn worker_set_prefixes(outputs: &BTreeMap<String, String>) -> Vec<String> {
    worker_sets(outputs).into_values().collect()
}

/// The Auto Scaling groups of the worker sets, by the name of the set; none for a set on the scheduler's hosts.
#[must_use]
pub fn worker_groups(outputs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let suffix = &CONTRACT.outputs.worker_set["auto_scaling_group"];
    let group = |prefix: &str| {
        outputs.get(&format!("{prefix}{suffix}")).filter(|name| **name != CONTRACT.outputs.none)
    };
    let sets = worker_sets(outputs).into_iter();
    sets.filter_map(|(set, prefix)| Some((set, group(&prefix)?.clone()))).collect()
}

/// What the outputs of the groups begin with that are no worker sets, in the order in which a release reaches them.
const FIXED_GROUPS: [&str; 2] = ["ApiServer", "Scheduler"];

/// Every Auto Scaling group, of whatever the outputs name.
#[must_use]
pub fn scaling_groups(outputs: &BTreeMap<String, String>) -> Vec<String> {
    let suffix = &CONTRACT.outputs.worker_set["auto_scaling_group"];
    let fixed = FIXED_GROUPS.map(|prefix| outputs.get(&format!("{prefix}{suffix}")).cloned());
    let there = fixed.into_iter().flatten().filter(|name| *name != CONTRACT.outputs.none);
    there.chain(worker_groups(outputs).into_values()).collect()
}

/// Outputs that name deployment groups, in the order in which a release reaches them: the API first,
/// since every task talks to it; workers last, so that they meet a scheduler of their own release.
#[must_use]
pub fn deployment_groups(outputs: &BTreeMap<String, String>) -> Vec<String> {
    let groups = FIXED_GROUPS.map(str::to_owned).into_iter().chain(worker_set_prefixes(outputs));
    let suffix = &CONTRACT.outputs.worker_set["deployment_group"];
    let names = groups.map(|prefix| format!("{prefix}{suffix}"));
    names.filter(|name| outputs.get(name).is_none_or(|group| *group != CONTRACT.outputs.none)).collect()
}

/// Whether a deployment group, named by its output, is that of a worker set.
#[must_use]
pub fn serves_workers(group: &str) -> bool {
    !FIXED_GROUPS.iter().any(|prefix| group.starts_with(prefix))
}

/// A service of ECS as the outputs of the stack name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// For people: a component, or `worker` and the name of its set.
    pub title: String,
    pub name: String,
    /// The revision of its task definition that the stack made, which it is to run.
    pub task_definition: String,
    pub serves: Serves,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serves {
    /// What the names of its parameters begin with.
    Component(&'static str),
    /// The name of the worker set.
    Workers(String),
}

/// The components that are services, and what the names of their outputs and parameters begin with, in the order in
/// which a release reaches them: as [`deployment_groups`] does.
const SERVICES: [(&str, &str); 4] = [
    ("api-server", "ApiServer"),
    ("scheduler", "Scheduler"),
    ("dag-processor", "DagProcessor"),
    ("triggerer", "Triggerer"),
];

/// The services of ECS in the order in which a release reaches them; none on other engines.
#[must_use]
pub fn services(outputs: &BTreeMap<String, String>) -> Vec<Service> {
    let fixed =
        SERVICES.map(|(title, prefix)| service(outputs, title.to_owned(), prefix, Serves::Component(prefix)));
    let sets = worker_sets(outputs).into_iter();
    let sets =
        sets.map(|(set, prefix)| service(outputs, format!("worker {set}"), &prefix, Serves::Workers(set)));
    fixed.into_iter().chain(sets).flatten().collect()
}

fn service(
    outputs: &BTreeMap<String, String>,
    title: String,
    prefix: &str,
    serves: Serves,
) -> Option<Service> {
    let output = |suffix: &str| outputs.get(&format!("{prefix}{suffix}")).cloned();
    Some(Service { title, name: output("Service")?, task_definition: output("TaskDefinition")?, serves })
}

/// The services that CloudFormation moves, so that no release reaches them: those of `services.yaml`.
#[must_use]
pub fn services_beside(outputs: &BTreeMap<String, String>) -> Vec<Service> {
    let found = [("broker", "Broker"), ("flower", "Flower")]
        .map(|(title, prefix)| service(outputs, title.to_owned(), prefix, Serves::Component(prefix)));
    found.into_iter().flatten().collect()
}

/// The service of the canary of a worker set, which environments have that ask for one. No other service is called so.
#[must_use]
pub fn canary_service(set: &str) -> String {
    filled(&CONTRACT.ecs.canary_service, "worker_set", set)
}

/// Whether a task of ECS is that of a canary, by its group.
#[must_use]
pub fn is_canary(group: &str) -> bool {
    group.strip_prefix("service:").is_some_and(|service| service.starts_with(&canary_service("")))
}

/// The last part of a task's ARN, which names it within its cluster.
#[must_use]
pub fn task_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// Fewest workers of a set, as its entry in the outputs says.
#[must_use]
pub fn fewest_workers(outputs: &BTreeMap<String, String>, set: &str) -> Option<i64> {
    let sets: serde_json::Value = serde_json::from_str(outputs.get(outputs::WORKER_SETS)?).ok()?;
    let fewest = &sets[set]["min"];
    fewest.as_i64().or_else(|| fewest.as_str()?.parse().ok())
}

/// Whether something that CloudFormation has named is of this stack or one nested in it. Names of environments are lower
/// case and logical ids are not, which tells `p-dev-Broker-…` from what is of the stack `p-dev-2`.
#[must_use]
pub fn is_of_stack(stack: &str, name: &str) -> bool {
    let rest = name.strip_prefix(stack).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
}

/// One per account and region.
pub const BOOTSTRAP_STACK: &str = "ductwork-bootstrap";

#[must_use]
pub fn stack(project: &str, environment: &str) -> String {
    format!("{project}-{environment}")
}

#[must_use]
pub fn artifact_bucket(account: &str, region: &str) -> String {
    format!("ductwork-{account}-{region}")
}

/// A policy tells from it whose it is: no stack's name has a capital letter.
#[must_use]
pub fn change_set(stack: &str, ulid: &str) -> String {
    format!("{stack}-Change-{}", ulid.to_lowercase())
}

/// What the names of all secrets of the tool begin with.
pub const SECRETS: &str = "ductwork";

/// A secret that people store for an environment.
#[must_use]
pub fn secret(environment: &str, name: &str) -> String {
    format!("{SECRETS}/{environment}/{name}")
}

/// What the account's repository of images is called; `bootstrap.yaml` makes it.
pub const IMAGE_REPOSITORY: &str = "ductwork";

/// What the parameters of the master stack begin with that name images of external tasks.
pub const TASK_IMAGE_PARAMETER: &str = "TaskImage";

/// The family of an external task. No component is called so.
#[must_use]
pub fn task_family(stack: &str, task: &str) -> String {
    format!("{stack}-task-{task}")
}

/// Where external tasks log; `templates/engines/ecs/cluster.yaml` makes it.
#[must_use]
pub fn task_log_group(stack: &str) -> String {
    format!("/ductwork/{stack}/tasks")
}

/// The registry of an account in ECR
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html>).
#[must_use]
pub fn registry(account: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("{account}.dkr.ecr.{region}.{suffix}")
}

/// The secret with the login at a registry that is not the account's.
pub const REGISTRY_SECRET: &str = "image/registry";

/// The secret with the login at the package index; `hosts/index.py` reads it, too.
pub const INDEX_SECRET: &str = "packages/index";

/// The secret with the key or token of the git repository that DAGs come from.
pub const GIT_SECRET: &str = "dags/git";

/// The secret of the client with which people log in by Google; `ductwork_airflow` reads it.
#[must_use]
pub fn google_secret(environment: &str) -> String {
    of_environment(&CONTRACT.secrets.google, environment)
}

/// The queues of the worker sets, by the name of the set.
#[must_use]
pub fn worker_queues(outputs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let sets = outputs.get(outputs::WORKER_SETS).and_then(|text| serde_json::from_str(text).ok());
    let sets: BTreeMap<String, serde_json::Value> = sets.unwrap_or_default();
    sets.into_iter()
        .map(|(name, set)| {
            let queue = set["queue"].as_str().unwrap_or(&name).to_owned();
            (name, queue)
        })
        .collect()
}

/// The hosts of the environment: what they serve, and their Auto Scaling group.
#[must_use]
pub fn titled_groups(outputs: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let suffix = &CONTRACT.outputs.worker_set["auto_scaling_group"];
    let fixed = [("api-server", FIXED_GROUPS[0]), ("scheduler", FIXED_GROUPS[1])];
    let fixed = fixed.into_iter().filter_map(|(title, prefix)| {
        let group = outputs.get(&format!("{prefix}{suffix}"))?.clone();
        (group != CONTRACT.outputs.none).then(|| (title.to_owned(), group))
    });
    let workers = worker_groups(outputs).into_iter().map(|(set, group)| (format!("worker {set}"), group));
    fixed.chain(workers).collect()
}

/// A snapshot of RDS: lower-case letters, digits and single hyphens.
#[must_use]
pub fn snapshot(stack: &str, release: &str, ulid: &str) -> String {
    format!("{stack}-before-{release}-{}", ulid.to_lowercase())
}

/// Where CloudFormation reads a root template. Path style, which every reader of a `TemplateURL` accepts.
#[must_use]
pub fn template_url(endpoint: Option<&str>, region: &str, bucket: &str, digest: &Digest) -> String {
    let key = template_key(digest);
    match endpoint {
        Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
        None => format!("https://s3.{region}.amazonaws.com/{bucket}/{key}"),
    }
}

/// The `TemplateURL` of a child in its parent: the same text in every account and region. A flow mapping is
/// valid YAML and valid JSON.
#[must_use]
pub fn child_url(digest: &Digest) -> String {
    let bucket = artifact_bucket("${AWS::AccountId}", "${AWS::Region}");
    let key = template_key(digest);
    format!(r#"{{"Fn::Sub": "https://s3.${{AWS::Region}}.${{AWS::URLSuffix}}/{bucket}/{key}"}}"#)
}

/// The children of a packaged template: the digests in its URLs, see [`child_url`]. Releases recorded by
/// earlier versions of the tool have absolute URLs with the same end.
#[must_use]
pub fn children(template: &str) -> Vec<Digest> {
    let digest = |(at, mark): (usize, &str)| {
        let rest = &template[at + mark.len()..];
        let digest = rest.get(..64)?.parse().ok()?;
        rest[64..].starts_with(".yaml").then_some(digest)
    };
    template.match_indices("/templates/").filter_map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_knows_what_is_its_own() {
        assert!(is_of_stack("p-dev", "p-dev-Observability-1AB-SchedulerHeartbeatAlarm-2C"));
        assert!(!is_of_stack("p-dev", "p-dev-2-Observability-1AB-SchedulerHeartbeatAlarm-2C"));
        assert!(!is_of_stack("p-dev", "p-development-Observability-1AB"));
        assert!(!is_of_stack("p-dev", "TargetTracking-service/p-dev/api-server-AlarmLow"));
    }

    #[test]
    fn keys_are_those_of_the_contract() {
        let digest = Digest::of(b"x");
        assert_eq!(bundle_key(&digest), format!("bundles/{digest}.zip"));
        assert_eq!(host_key(&digest), format!("hosts/{digest}.zip"));
        assert_eq!(template_set_key(&digest), format!("templates/{digest}.zip"));
        assert_eq!(pointer_key("dev"), "environments/dev/current.json");
        assert_eq!(lock_key("dev"), "environments/dev/lock.json");
        assert_eq!(releases_prefix("dev"), "environments/dev/releases/");
        assert_eq!(release_key("dev", "0a"), "environments/dev/releases/0a.json");
        assert_eq!(deployments_prefix("dev"), "environments/dev/deployments/");
        assert_eq!(receipts_prefix("dev"), "receipts/dev/");
        assert_eq!(receipt_key("dev", "i-1", "worker"), "receipts/dev/i-1/worker.json");
        assert_eq!(canary_key("dev", "big"), "environments/dev/canaries/big.json");
        assert_eq!(claim_key("dev", "01"), "receipts/dev/claims/01.json");
        assert_eq!(answer_key("dev", "01"), "receipts/dev/answers/01.json");
        let of = ["p-dev", "p-dev-Broker-1A", "p-dev-2", "p-dev-2-Broker-1A", "p-development"];
        assert_eq!(of.map(|name| is_of_stack("p-dev", name)), [false, true, false, false, false]);
        assert_eq!(google_secret("dev"), "ductwork/dev/login/google");
        assert_eq!(change_set("p-dev", "01ABC"), "p-dev-Change-01abc");
    }

    #[test]
    fn groups_come_in_order_and_only_where_there_are_hosts() {
        let sets = r#"{"small": {"prefix": "WorkerSmall"}, "default": {"prefix": "WorkerDefault"}}"#;
        let pairs = [(outputs::WORKER_SETS, sets), ("WorkerSmallDeploymentGroup", &CONTRACT.outputs.none)];
        let outputs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let groups = ["ApiServerDeploymentGroup", "SchedulerDeploymentGroup", "WorkerDefaultDeploymentGroup"];
        assert_eq!(deployment_groups(&outputs), groups);
    }

    #[test]
    fn services_come_in_order_and_with_the_revision_of_the_stack() {
        let sets =
            r#"{"small": {"prefix": "WorkerSmall", "min": 2}, "default": {"prefix": "Worker", "min": "0"}}"#;
        let mut outputs = BTreeMap::from([(outputs::WORKER_SETS.to_owned(), sets.to_owned())]);
        for prefix in ["Worker", "WorkerSmall", "Triggerer", "DagProcessor", "Scheduler", "ApiServer"] {
            outputs.insert(format!("{prefix}Service"), format!("p-dev-{prefix}"));
            outputs.insert(format!("{prefix}TaskDefinition"), format!("{prefix}:1"));
        }
        let found = services(&outputs);
        let titles: Vec<&str> = found.iter().map(|service| service.title.as_str()).collect();
        let fixed = ["api-server", "scheduler", "dag-processor", "triggerer"];
        assert_eq!(titles[..4], fixed);
        assert_eq!(titles[4..], ["worker default", "worker small"]);
        assert_eq!((&*found[4].name, &*found[4].task_definition), ("p-dev-Worker", "Worker:1"));
        assert_eq!(
            ["default", "small", "x"].map(|set| fewest_workers(&outputs, set)),
            [Some(0), Some(2), None]
        );
        assert_eq!(canary_service("small"), "canary-small");
        assert!(is_canary("service:canary-small"));
        assert!(
            ["service:worker-canary", "family:canary-x", "canary-small"]
                .iter()
                .all(|group| !is_canary(group))
        );
        assert_eq!(services(&BTreeMap::new()), []);
    }

    /// CloudFormation fills in account, region and partition; so a packaged template is the same everywhere.
    #[test]
    fn a_childs_url_names_no_account_and_no_region() {
        let child = Digest::of(b"child");
        let url = "https://s3.${AWS::Region}.${AWS::URLSuffix}/BUCKET/templates/DIGEST.yaml"
            .replace("BUCKET", "ductwork-${AWS::AccountId}-${AWS::Region}")
            .replace("DIGEST", &child.to_string());
        assert_eq!(child_url(&child), format!("{{\"Fn::Sub\": \"{url}\"}}"));
    }

    #[test]
    fn the_children_of_a_packaged_template_are_found() {
        let child = Digest::of(b"child");
        for url in [child_url(&child), template_url(None, "eu-central-1", "b", &child)] {
            let text = format!("# see /templates/README.md and /templates/é\nTemplateURL: {url}\n");
            assert_eq!(children(&text), [child]);
        }
    }
}
