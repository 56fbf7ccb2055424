//! Services of ECS: what runs, how many, where, at which price, and how they are found. Their task definitions and roles
//! are in `tasks.rs`.

use super::Stage;
use crate::cloud::{Cloud, has, ids, text};
use crate::{all, tasks, watch};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Fewest, most, and how many there are of each.
type Counts<'a> = &'a [(&'a str, i64, i64, usize)];

const SMALLEST: [(&str, i64, i64, usize); 4] =
    [("api-server", 1, 1, 1), ("dag-processor", 1, 1, 1), ("scheduler", 1, 1, 1), ("triggerer", 1, 1, 1)];

pub fn smallest(stage: &Stage, made: &Cloud) {
    let counts = [&SMALLEST[..], &[("worker-default", 1, 1, 1)]].concat();
    all!(
        made.none(&["streams", "workgroups", "tables", "task_schedules"]),
        capacity(stage, made, "enabled"),
        count(made, &counts),
        // Public subnets are the least that they cost, where tasks may have addresses there.
        run_in(made, if stage.engine.nats == 0 { "ENABLED" } else { "DISABLED" }),
        roll_safely(made),
        api_server(made),
        tasks::are_hardened(made),
        tasks::secrets_are_apart(made),
        tasks::sizes(made, "api-server", ["512", "2048"]),
        watch::logs(made, 30, LOGS),
    );
}

pub fn highly_available(stage: &Stage, made: &Cloud) {
    let two = ["dag-processor", "scheduler", "triggerer"].map(|name| (name, 2, 2, 2));
    let counts = [&two[..], &[("api-server", 2, 3, 2), ("worker-default", 2, 3, 2)]].concat();
    all!(
        capacity(stage, made, "enabled"),
        count(made, &counts),
        run_in(made, "DISABLED"),
        roll_safely(made),
        api_server(made),
        is_balanced(made, stage.project.port),
        tasks::are_hardened(made),
        watch::logs(made, 30, LOGS),
    );
}

pub fn everything(stage: &Stage, made: &Cloud) {
    // Within its new bounds, the number of tasks is the scaler's, not the update's; a new service begins with one.
    let counts = [&SMALLEST[..], &[("worker-default", 1, 2, 2), ("worker-big", 0, 4, 1)]].concat();
    all!(
        capacity(stage, made, "enhanced"),
        count(made, &counts),
        run_in(made, "DISABLED"),
        roll_safely(made),
        is_balanced(made, stage.project.port),
        spot(stage, made),
        hibernation(made),
        tasks::are_hardened(made),
        tasks::secrets_are_apart(made),
        tasks::sizes(made, "api-server", ["1024", "3072"]),
        tasks::sizes(made, "worker-big", ["2048", "8192"]),
        tasks::sizes(made, "executor", ["256", "2048"]),
        tasks::sizes(made, "task-report", ["512", "1024"]),
        tasks::files(made),
        tasks::own_policies(made),
        tasks::executor(made, "celery,ecs"),
        tasks::external(made),
        tasks::archived(made),
        watch::logs(made, 60, LOGS),
        watch::logs(made, 60, &["executor", "log-router", "log-delivery"]),
    );
}

/// Neither workers nor what brings them tasks.
pub fn without_workers(made: &Cloud) {
    all!(
        count(made, &SMALLEST),
        made.none(&["queues", "caches", "file_systems", "streams", "task_schedules"]),
        assert_eq!(made.output("WorkerSets"), "{}"),
        tasks::executor(made, "ecs"),
        tasks::are_hardened(made),
    );
}

/// Log groups that hosts do not have.
const LOGS: &[&str] = &["migrate", "exec", "tasks"];

/// The services of the one cluster, by name.
pub fn services(cloud: &Cloud) -> impl Iterator<Item = (&String, &Value)> {
    cloud.only("task_clusters")["Services"].as_object().unwrap().iter()
}

pub fn service<'a>(cloud: &'a Cloud, name: &str) -> &'a Value {
    &cloud.only("task_clusters")["Services"][name]
}

/// What tasks run on, without hosts where none are asked for.
fn capacity(stage: &Stage, cloud: &Cloud, insights: &str) {
    let cluster = cloud.only("task_clusters");
    has(cluster, &json!({ "clusterName": "ductwork-local", "status": "ACTIVE" }));
    assert_eq!(cluster["settings"], json!([{ "name": "containerInsights", "value": insights }]));
    let exec = &cluster["configuration"]["executeCommandConfiguration"];
    has(exec, &json!({ "kmsKeyId": cloud.output("KeyArn"), "logging": "OVERRIDE" }));
    let providers: BTreeSet<&str> =
        cluster["capacityProviders"].as_array().unwrap().iter().map(text).collect();
    (stage.engine.capacity)(cloud, &providers);
    for (name, service) in services(cloud) {
        let first = &service["capacityProviderStrategy"][0]["capacityProvider"];
        assert!(providers.contains(text(first)), "{name}: {first}");
    }
}

/// AWS's own machines, and nothing of ours.
pub fn on_fargate(cloud: &Cloud, providers: &BTreeSet<&str>) {
    assert_eq!(*providers, ["FARGATE", "FARGATE_SPOT"].into());
    cloud.none(&["groups", "launch_templates", "applications", "capacity_providers", "profiles"]);
}

/// Hosts of the environment's own, half of them Spot above the first; Fargate's stay for a change of engine.
pub fn on_instances(cloud: &Cloud, providers: &BTreeSet<&str>) {
    let provider = cloud.only("capacity_providers");
    assert_eq!(*providers, ["FARGATE", "FARGATE_SPOT", text(&provider["name"])].into());
    let of = &provider["autoScalingGroupProvider"];
    let expected = json!({ "managedTerminationProtection": "ENABLED", "managedDraining": "ENABLED" });
    has(of, &expected);
    has(&of["managedScaling"], &json!({ "status": "ENABLED", "targetCapacity": 100 }));
    let group = cloud.only("groups");
    let name = cloud.output("ClusterAutoScalingGroup");
    assert_eq!(group["AutoScalingGroupName"], name);
    assert!(text(&of["autoScalingGroupArn"]).ends_with(name), "{of:#}");
    has(group, &json!({ "MinSize": 1, "MaxSize": 6, "NewInstancesProtectedFromScaleIn": true }));
    let mixed = &group["MixedInstancesPolicy"];
    has(&mixed["InstancesDistribution"], &json!({ "OnDemandPercentageAboveBaseCapacity": 50 }));
    let types = ids(&mixed["LaunchTemplate"]["Overrides"], "InstanceType");
    assert_eq!(types, ["t3.large", "t3a.large"].into());
    has(&cloud.launch(group)["MetadataOptions"], &json!({ "HttpTokens": "required" }));
    let hosts = cloud.only("task_clusters")["Hosts"].as_array().unwrap();
    assert!(hosts.iter().all(|host| host["status"] == "ACTIVE"), "{hosts:#?}");
    let spot = hosts.iter().filter(|host| host["Lifecycle"] == "spot").count();
    assert!(spot > 0 && spot < hosts.len(), "{spot} of {} hosts are Spot", hosts.len());
    let running: i64 = hosts.iter().map(|host| host["runningTasksCount"].as_i64().unwrap()).sum();
    let tasks = cloud.only("task_clusters")["Tasks"].as_array().unwrap();
    assert_eq!(usize::try_from(running).unwrap(), tasks.len(), "every task is on one of them");
    cloud.none(&["applications"]);
}

fn count(cloud: &Cloud, expected: Counts) {
    let names: BTreeSet<&str> = services(cloud).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected.iter().map(|(name, ..)| *name).collect());
    for (name, low, high, now) in expected {
        let service = service(cloud, name);
        has(service, &json!({ "desiredCount": now, "runningCount": now, "pendingCount": 0 }));
        assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1), "{name}: nothing is under way");
        let target = cloud.get("scalable_targets", &format!("service/ductwork-local/{name}"));
        has(target, &json!({ "MinCapacity": low, "MaxCapacity": high }));
        let group = format!("service:{name}");
        let tasks = cloud.only("task_clusters")["Tasks"].as_array().unwrap();
        let tasks: Vec<&Value> = tasks.iter().filter(|task| task["group"] == group).collect();
        assert_eq!(tasks.len(), *now, "{name}");
        for task in tasks {
            has(task, &json!({ "lastStatus": "RUNNING", "healthStatus": "HEALTHY" }));
            assert_eq!(task["taskDefinitionArn"], service["taskDefinition"], "{name}");
        }
        // What runs is what the stack has.
        let prefix: String = name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        assert_eq!(service["taskDefinition"], cloud.output(&format!("{prefix}TaskDefinition")), "{name}");
    }
    assert_eq!(cloud.count("scalable_targets"), expected.len());
}

/// Where the tasks of a service are.
pub fn place(service: &Value) -> &Value {
    let place = &service["networkConfiguration"]["awsvpcConfiguration"];
    if place.is_object() {
        return place;
    }
    &service["deployments"][0]["networkConfiguration"]["awsvpcConfiguration"]
}

/// The subnets of components, and one of their three security groups.
fn run_in(cloud: &Cloud, public: &str) {
    for (name, service) in services(cloud) {
        let place = place(service);
        assert_eq!(place["assignPublicIp"], public, "{name}");
        let subnets: BTreeSet<&str> = place["subnets"].as_array().unwrap().iter().map(text).collect();
        assert_eq!(subnets, cloud.list("HostSubnetIds"), "{name}");
        let group = match name.as_str() {
            "api-server" => "ApiServer",
            "scheduler" | "dag-processor" | "triggerer" => "Scheduler",
            _ => "Worker",
        };
        assert_eq!(place["securityGroups"], json!([cloud.output(&format!("{group}SecurityGroupId"))]));
    }
    assert_eq!(cloud.output("AssignPublicIp"), public);
}

/// New tasks before old ones go, back if they fail, and a way in for whoever has to look.
fn roll_safely(cloud: &Cloud) {
    for (name, service) in services(cloud) {
        let breaker = json!({ "enable": true, "rollback": true });
        let expected = json!({
            "minimumHealthyPercent": 100, "maximumPercent": 200, "deploymentCircuitBreaker": breaker,
        });
        has(&service["deploymentConfiguration"], &expected);
        let rebalanced = if name.starts_with("worker") { "DISABLED" } else { "ENABLED" };
        let expected = json!({
            "enableExecuteCommand": true, "propagateTags": "SERVICE", "availabilityZoneRebalancing": rebalanced,
        });
        has(service, &expected);
    }
}

/// Components find it by name, and its number follows its load.
fn api_server(cloud: &Cloud) {
    let registry = &cloud.only("discovered")["Arn"];
    assert_eq!(service(cloud, "api-server")["serviceRegistries"], json!([{ "registryArn": registry }]));
    assert_eq!(cloud.only("namespaces")["Name"], "ductwork-local.internal");
    let expected = json!({
        "ResourceId": "service/ductwork-local/api-server", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": { "TargetValue": 60.0 },
    });
    has(cloud.only("scaling_policies"), &expected);
}

fn is_balanced(cloud: &Cloud, port: u16) {
    let target = cloud.only("target_groups");
    has(target, &json!({ "TargetType": "ip" }));
    let expected = json!([{
        "targetGroupArn": target["TargetGroupArn"], "containerName": "api-server", "containerPort": port,
    }]);
    assert_eq!(service(cloud, "api-server")["loadBalancers"], expected);
    assert_eq!(service(cloud, "api-server")["healthCheckGracePeriodSeconds"], 1800, "for the migration");
    for (name, other) in services(cloud).filter(|(name, _)| *name != "api-server") {
        assert!(other["loadBalancers"].as_array().is_none_or(Vec::is_empty), "{name}");
    }
}

/// The set `big`, if the engine has Spot for each set: four of five tasks above the first.
fn spot(stage: &Stage, cloud: &Cloud) {
    if stage.engine.name != "fargate" {
        return;
    }
    let strategy = &service(cloud, "worker-big")["capacityProviderStrategy"];
    let expected = json!([
        { "capacityProvider": "FARGATE", "base": 1, "weight": 20 },
        { "capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 80 },
    ]);
    assert_eq!(*strategy, expected);
    for (name, other) in services(cloud).filter(|(name, _)| *name != "worker-big") {
        let strategy = other["capacityProviderStrategy"].as_array().unwrap();
        let spot = strategy.iter().filter(|one| one["capacityProvider"] == "FARGATE_SPOT");
        assert!(spot.map(|one| &one["weight"]).all(|weight| weight == 0), "{name}: {strategy:?}");
    }
    let disk = &tasks::definition(cloud, "worker-big")["ephemeralStorage"];
    assert_eq!(*disk, json!({ "sizeInGiB": 50 }));
}

/// Every worker set sleeps, and wakes as it was.
fn hibernation(cloud: &Cloud) {
    for (name, low, high) in [("worker-default", 1, 2), ("worker-big", 0, 4)] {
        let resource = format!("service/ductwork-local/{name}");
        let actions = cloud.those("task_schedules", |one| one["ResourceId"] == resource);
        assert_eq!(actions.len(), 2, "{name}");
        let at = |hour: u8| {
            let cron = format!("cron(0 {hour} ? * MON,TUE,WED,THU,FRI *)");
            let found = actions.iter().find(|action| action["Schedule"] == cron);
            *found.unwrap_or_else(|| panic!("{name}: nothing at `{cron}` in {actions:#?}"))
        };
        let bounds = |low: i64, high: i64| {
            let bounds = json!({ "MinCapacity": low, "MaxCapacity": high });
            json!({ "Timezone": "Europe/Berlin", "ScalableTargetAction": bounds })
        };
        has(at(20), &bounds(0, 0));
        has(at(7), &bounds(low, high));
    }
    assert_eq!(cloud.count("task_schedules"), 4, "and nobody else");
    let sets: Value = serde_json::from_str(cloud.output("WorkerSets")).unwrap();
    assert_eq!(ids(&json!([sets["default"], sets["big"]]), "queue"), ["big", "default"].into());
}
