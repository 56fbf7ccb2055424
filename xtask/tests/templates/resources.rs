//! Resources and outputs: what must outlive a stack, tags, names that fit, secrets that never change.

use super::template::{Template, all, engines};
use super::{for_each, none};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use xtask::config::{EnvironmentName, resolve};
use xtask::model::names;

/// Outputs of `master.yaml` that hosts, the tool or people read.
const OUTPUTS: [&str; 26] = [
    "AirflowUrl",
    "AlertTopicArn",
    "ArtifactBucket",
    "BrokerKind",
    "CacheHost",
    "CachePort",
    "CacheSecretArn",
    "LogsBucket",
    "DatabaseEngine",
    "DatabaseHost",
    "DatabasePort",
    "DatabaseName",
    "DatabaseSecretArn",
    "FernetKeySecretArn",
    "JwtSecretArn",
    "ApiSecretArn",
    "AdminSecretArn",
    "SecretsPrefix",
    "CodeDeployApplication",
    "ApiServerDeploymentGroup",
    "SchedulerDeploymentGroup",
    "ServiceSecretArn",
    "WorkerDefaultAutoScalingGroup",
    "WorkerDefaultDeploymentGroup",
    "WorkerDefaultQueueUrl",
    "WorkerSets",
];

#[test]
fn master_has_the_outputs_that_others_read() {
    let templates = all();
    let outputs = templates["master.yaml"].outputs();
    use names::outputs::{ADMIN_SECRET, AIRFLOW_URL, CODEDEPLOY_APPLICATION};
    let tool = [ADMIN_SECRET, AIRFLOW_URL, CODEDEPLOY_APPLICATION].into_iter();
    let wanted: BTreeSet<&str> = OUTPUTS.into_iter().chain(tool).collect();
    let missing = wanted.into_iter().filter(|name| !outputs.contains_key(name));
    none(
        &missing
            .map(|name| format!("master.yaml: add the output `{name}`, which is read by name"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn outputs_are_described() {
    let mut found = Vec::new();
    for template in engines().iter().flat_map(|(_, all)| all.values()) {
        for (name, output) in template.outputs() {
            if !output["Description"].as_str().is_some_and(|text| text.ends_with('.')) {
                found.push(format!(
                    "{}: output `{name}`: add a `Description` that ends in a full stop",
                    template.name
                ));
            }
        }
    }
    none(&found);
}

/// Types whose loss is a loss of data or of access to data, and whether a policy of `Delete` will do:
/// for a queue and a generated secret, since the database knows better and a new one is generated.
const DATA: [(&str, bool); 15] = [
    ("AWS::CloudFormation::Stack", true),
    ("AWS::DynamoDB::Table", false),
    ("AWS::EC2::Volume", false),
    ("AWS::ECR::Repository", false),
    // In it is what tasks share while they run; a protected environment copies it every day. Kept, nobody
    // could read it, since its key is gone.
    ("AWS::EFS::FileSystem", true),
    ("AWS::ElastiCache::ReplicationGroup", true),
    // What runs on a revision, and what a rollback goes to, must find it.
    ("AWS::ECS::TaskDefinition", true),
    // Deleting it begins a window of 30 days in which it can be had back.
    ("AWS::KMS::Key", true),
    ("AWS::Logs::LogGroup", true),
    ("AWS::RDS::DBCluster", false),
    ("AWS::RDS::DBInstance", false),
    ("AWS::S3::Bucket", false),
    ("AWS::S3::BucketPolicy", false),
    ("AWS::SecretsManager::Secret", true),
    ("AWS::SQS::Queue", true),
];

fn kept(template: &Template) -> Vec<String> {
    let mut found = Vec::new();
    for (id, kind, resource) in template.resources() {
        let Some((_, may_delete)) = DATA.iter().find(|(data, _)| *data == kind) else { continue };
        // The data of an instance in a cluster are the cluster's.
        let may_delete = &(*may_delete || resource["Properties"].get("DBClusterIdentifier").is_some());
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            let fit = match resource[policy].as_str() {
                Some("Retain" | "RetainExceptOnCreate" | "Snapshot") => true,
                Some("Delete") => *may_delete,
                _ => false,
            };
            if !fit {
                let choice = if *may_delete { "Retain, Snapshot or Delete" } else { "Retain or Snapshot" };
                found.push(format!(
                    "{}: `{id}` ({kind}) holds data: give it a `{policy}` of {choice}",
                    template.name
                ));
            }
        }
    }
    found
}

#[test]
fn what_holds_data_says_what_becomes_of_it() {
    for_each(|all| all.values().flat_map(kept).collect());
    let bad = "Resources: {A: {Type: AWS::S3::Bucket, DeletionPolicy: Delete}, B: {Type: AWS::SQS::Queue, \
               DeletionPolicy: Delete, UpdateReplacePolicy: Delete}}";
    assert_eq!(kept(&Template::new("x.yaml", bad)).len(), 2);
}

/// Types that take no tags. Any other type must have them; one that is missing here fails the test,
/// and cfn-lint fails on tags where there are none.
const UNTAGGED: [&str; 30] = [
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Athena::NamedQuery",
    "AWS::AutoScaling::LifecycleHook",
    "AWS::AutoScaling::ScheduledAction",
    "AWS::Backup::BackupSelection",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::CloudWatch::Dashboard",
    "AWS::CodeDeploy::DeploymentConfig",
    "AWS::EC2::Route",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::EFS::MountTarget",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::KMS::Alias",
    "AWS::Logs::LogStream",
    "AWS::Route53::RecordSet",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::WAFv2::WebACLAssociation",
];

/// Keys and values of the tags, from a list of pairs or a plain map.
fn tags(resource: &Value) -> BTreeMap<String, Value> {
    let properties = &resource["Properties"];
    let own = ["AccessPointTags", "BackupPlanTags", "BackupVaultTags", "FileSystemTags", "ResourceTags"];
    let own = own.iter().find_map(|name| properties.get(*name).or(properties["BackupPlan"].get(*name)));
    let tags = match &properties["TagSpecifications"][0]["Tags"] {
        Value::Null => own.unwrap_or(&properties["Tags"]),
        specified => specified,
    };
    match tags {
        Value::Object(map) => map.clone().into_iter().collect(),
        Value::Array(list) => {
            let pair =
                |tag: &Value| (tag["Key"].as_str().unwrap_or_default().to_owned(), tag["Value"].clone());
            list.iter().map(pair).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// The stack's own tags, project, environment, team and release, are put on every resource by
/// CloudFormation; what a resource is part of only it can say. The bootstrap stack belongs to no
/// environment, so its resources say all themselves.
fn untagged(template: &Template) -> Vec<String> {
    let shared = template.name == "bootstrap.yaml";
    let mut found = Vec::new();
    for (id, kind, resource) in template.resources() {
        if UNTAGGED.contains(&kind) {
            continue;
        }
        let tags = tags(resource);
        let whole = tags.get("project") == Some(&json!("ductwork"))
            && tags.get("environment") == Some(&json!("shared"));
        if !tags.contains_key("component") || (shared && !whole) {
            found.push(format!(
                "{}: `{id}` ({kind}): tag it with its component, or add its type to `UNTAGGED`",
                template.name
            ));
        }
    }
    found
}

/// Types whose tags CloudFormation does not hand on to what they make: instances and their disks.
#[test]
fn instances_and_disks_are_tagged_at_launch() {
    let mut seen = 0;
    for template in engines().iter().flat_map(|(_, all)| all.values()) {
        for (id, kind, resource) in template.resources() {
            let properties = &resource["Properties"];
            let lists: Vec<&Value> = match kind {
                "AWS::EC2::LaunchTemplate" => {
                    let specified = properties["LaunchTemplateData"]["TagSpecifications"].as_array().unwrap();
                    assert!(specified.iter().any(|one| one["ResourceType"] == "volume"), "{id}: its disks");
                    specified.iter().map(|one| &one["Tags"]).collect()
                }
                "AWS::AutoScaling::AutoScalingGroup" => vec![&properties["Tags"]],
                _ => continue,
            };
            for list in lists {
                seen += 1;
                let keys: BTreeSet<&str> =
                    list.as_array().unwrap().iter().filter_map(|tag| tag["Key"].as_str()).collect();
                for key in ["project", "environment", "component"] {
                    assert!(keys.contains(key), "{}: `{id}` lacks the tag `{key}`", template.name);
                }
            }
        }
    }
    assert!(seen >= 4);
}

/// Without `Terminate`, scale-in and a schedule's sleep take a host in the middle of its rollout. With
/// `ScheduledActions`, a set whose time to wake falls into a rollout would sleep on.
#[test]
fn a_rollout_keeps_its_hosts() {
    let group = &all()["engines/ec2/host-group.yaml"].whole["Resources"]["DeploymentGroup"]["Properties"];
    let held = &group["Ec2DeploymentOptions"]["AutoScalingGroupProcessesToSuspend"];
    assert_eq!(held, &json!(["AZRebalance", "Terminate"]));
}

#[test]
fn everything_is_tagged() {
    for_each(|all| all.values().flat_map(untagged).collect());
    let bad = "Resources: {A: {Type: AWS::SQS::Queue}, B: {Type: AWS::EC2::Route}}";
    assert_eq!(untagged(&Template::new("x.yaml", bad)).len(), 1);
}

/// Properties that are names in AWS, and how long those may be.
const NAMES: [(&str, &str, usize); 19] = [
    ("AWS::AutoScaling::AutoScalingGroup", "AutoScalingGroupName", 255),
    ("AWS::CloudFormation::Stack", "StackName", 128),
    ("AWS::CodeDeploy::Application", "ApplicationName", 100),
    ("AWS::CodeDeploy::DeploymentConfig", "DeploymentConfigName", 100),
    ("AWS::CodeDeploy::DeploymentGroup", "DeploymentGroupName", 100),
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateName", 128),
    ("AWS::ApplicationAutoScaling::ScalingPolicy", "PolicyName", 256),
    ("AWS::ECS::Cluster", "ClusterName", 255),
    ("AWS::ECS::Service", "ServiceName", 255),
    ("AWS::ECS::TaskDefinition", "Family", 255),
    // With the name of a service before it, at most 255 in DNS.
    ("AWS::ServiceDiscovery::PrivateDnsNamespace", "Name", 240),
    ("AWS::IAM::InstanceProfile", "InstanceProfileName", 128),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName", 128),
    ("AWS::IAM::Role", "RoleName", 64),
    ("AWS::RDS::DBInstance", "DBInstanceIdentifier", 63),
    ("AWS::S3::Bucket", "BucketName", 63),
    ("AWS::SecretsManager::Secret", "Name", 512),
    ("AWS::SQS::Queue", "QueueName", 80),
    ("AWS::SSM::Parameter", "Name", 1011),
];

/// The longest name of a stack that `config` lets through, behind a load balancer and with this worker set.
fn longest_stack(set: &str) -> usize {
    let environment = "e".repeat(EnvironmentName::LONGEST);
    let fits = |length: usize| {
        let text = format!(
            "project = '{}'\n[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[airflow]\nurl = 'http://a'\n\
             [entry]\nload_balancer = 'internal'\nallowed_cidrs = ['10.0.0.0/8']\n[workers.{set}]\n",
            "p".repeat(length)
        );
        resolve(&environment, &text, "").ok().map(|environment| environment.stack_name().len())
    };
    (1..200).filter_map(fits).max().unwrap()
}

/// How long the names of a stack and of a worker set of it are.
#[derive(Clone, Copy)]
struct Named {
    stack: usize,
    set: usize,
}

/// How long the part of a stack's id is that a name takes over: the first and the last part of a UUID.
fn suffix(call: &Value) -> Option<usize> {
    match call["Fn::Select"][0].as_str()? {
        "0" => Some(8),
        "4" => Some(12),
        _ => None,
    }
}

/// How long the variable of a name can become.
fn longest(variable: &str, named: Named) -> Option<usize> {
    Some(match variable {
        "EnvironmentName" => EnvironmentName::LONGEST,
        "AWS::StackName" | "MasterStackName" => named.stack,
        "WorkerSet" => named.set,
        "AWS::AccountId" => 12,
        // us-isob-northeast-1 and some more
        "AWS::Region" => 25,
        "Component" => 40,
        "TaskName" => 20,
        _ => return None,
    })
}

/// How long a name can become; none where a variable in it is not known.
fn length(name: &Value, named: Named) -> Option<usize> {
    let text = match name {
        Value::String(text) => return Some(text.len()),
        Value::Object(call) => {
            if let Some(reference) = call.get("Ref") {
                return longest(reference.as_str()?, named);
            }
            if let Some(branches) = call.get("Fn::If") {
                return length(&branches[1], named)?.max(length(&branches[2], named)?).into();
            }
            let text = call.get("Fn::Sub")?;
            text.as_str().or_else(|| text.get(0)?.as_str())?
        }
        _ => return None,
    };
    let mut parts = text.split("${");
    let mut total = parts.next()?.len();
    for part in parts {
        let (variable, rest) = part.split_once('}')?;
        let own = name["Fn::Sub"].get(1).and_then(|values| suffix(values.get(variable)?));
        total += own.or_else(|| longest(variable, named))? + rest.len();
    }
    Some(total)
}

fn too_long(template: &Template, named: Named) -> Vec<String> {
    let mut found = Vec::new();
    for (id, kind, resource) in template.resources() {
        let Some((_, property, most)) = NAMES.iter().find(|(named, _, _)| *named == kind) else { continue };
        let Some(name) = resource["Properties"].get(property) else { continue };
        match length(name, named) {
            Some(length) if length <= *most => {}
            Some(length) => found.push(format!(
                "{}: `{property}` of `{id}` can have {length} characters, AWS takes {most}: let `config` refuse such names",
                template.name
            )),
            None => found.push(format!(
                "{}: `{property}` of `{id}`: tell `longest` in this test how long its variables become",
                template.name
            )),
        }
    }
    found
}

#[test]
fn names_fit_whatever_project_and_environment_are_called() {
    let mut found = Vec::new();
    for set in ["default", "abcdefghij1234567890"] {
        let named = Named { stack: longest_stack(set), set: set.len() };
        // A bucket's name has 63 characters, a queue's 80 with the worker set in it.
        assert!(named.stack >= 44, "only {} characters are left for the name of a stack", named.stack);
        let all = engines();
        found.extend(
            all.iter().flat_map(|(_, all)| all.values()).flat_map(|template| too_long(template, named)),
        );
    }
    none(&found);
    let bad = "Resources: {A: {Type: AWS::IAM::Role, Properties: {RoleName: !Sub '${AWS::StackName}-hosts'}}, \
               B: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub '${Other}'}}}";
    assert_eq!(too_long(&Template::new("x.yaml", bad), Named { stack: 84, set: 20 }).len(), 2);
}

/// The longest chain of nested stacks below `template`, in characters that CloudFormation adds.
fn nested(all: &BTreeMap<String, Template>, template: &str) -> usize {
    let below = |id: &str, child: &str| 1 + id.len() + 1 + 13 + nested(all, child);
    all[template].children().iter().map(|child| below(child.id, &child.template)).max().unwrap_or(0)
}

#[test]
fn names_of_nested_stacks_fit() {
    let stack = longest_stack("default");
    for (engine, all) in engines() {
        let nested = nested(all, "master.yaml");
        assert!(
            stack + nested <= 128,
            "{engine}: a stack's name of {stack} characters gets {nested} more for its deepest child: correct `derived` in config/resolve/names.rs"
        );
    }
}

/// Every generated secret: its name, and what its value is generated from. CloudFormation answers any
/// change of these with a new value, and an environment that loses its Fernet key or its database's
/// password is lost.
const FROZEN: &str = include_str!("secrets.frozen");

#[test]
fn generated_secrets_are_never_generated_anew() {
    let mut secrets = String::new();
    for template in all().values() {
        for (id, kind, resource) in template.resources() {
            if kind == "AWS::SecretsManager::Secret" {
                let generated = resource["Properties"]["GenerateSecretString"].as_object();
                let generated: BTreeMap<&String, &Value> = generated.into_iter().flatten().collect();
                let (name, generated) = (&resource["Properties"]["Name"], json!(generated));
                secrets.push_str(&format!("{} {id}\n  {name}\n  {generated}\n", template.name));
            }
        }
    }
    assert!(
        secrets == FROZEN,
        "a generated secret has changed. Every environment would get NEW VALUES with its next deployment: connections \
         that nothing can decrypt any more, a password that its database does not know. Take the change back; for a new \
         secret add its lines to xtask/tests/templates/secrets.frozen. Now there is:\n{secrets}"
    );
}

/// The right is there with an index, and for its one secret.
#[test]
fn hosts_log_in_at_the_package_index_if_there_is_one() {
    let templates = all();
    let policy = &templates["engines/ec2/host-policy.yaml"].whole["Resources"]["HostPolicy"];
    let statements = policy["Properties"]["PolicyDocument"]["Statement"].as_array().unwrap();
    let reading: Vec<&Value> =
        statements.iter().filter(|one| one.to_string().contains("/packages/")).collect();
    assert_eq!(reading.len(), 1, "{reading:#?}");
    let choice = reading[0]["Fn::If"].as_array().unwrap();
    assert_eq!(choice[0], "HasPackageIndex");
    assert_eq!(choice[1]["Action"], "secretsmanager:GetSecretValue");
    let resource = choice[1]["Resource"].to_string();
    assert!(resource.contains(&format!("/{}-??????\"", names::INDEX_SECRET)), "{resource}");
    let settings = templates["settings.yaml"].whole["Resources"]["Packages"].to_string();
    assert!(settings.contains("PackageIndex=${PackageIndex}"), "a change of it is none of the stack");
}
