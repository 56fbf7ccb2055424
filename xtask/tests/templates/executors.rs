//! Tasks of Airflow that are tasks of ECS: when there is anything of them, what they may do, and who may start them.

use super::evaluated::{evaluated, statements};
use super::template::{ECS_EC2, FARGATE, ONLY_ECS, Template, all_of, environment};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use xtask::model::contract::CONTRACT;

const STACKS: [&str; 3] = ["EcsExecutor", "EcsExecutorTask", "EcsExecutorSettings"];

fn fargate() -> BTreeMap<String, Template> {
    all_of(&environment(FARGATE))
}

#[test]
fn there_is_nothing_of_them_unless_executors_has_ecs() {
    let all = fargate();
    let master = &all["master.yaml"];
    for (executors, has) in [("celery", false), ("ecs", true), ("celery,ecs", true), ("ecs,celery", true)] {
        let given = [
            ("Executors", executors),
            ("SharedFiles", "false"),
            ("DatabaseEngine", "postgres"),
            ("BrokerKind", "sqs"),
            ("EntryScheme", "none"),
        ];
        let evaluated = evaluated(master, &given);
        for id in STACKS {
            assert_eq!(evaluated.has(id), has, "{executors}: {id}");
        }
        let scheduler = evaluated.properties("SchedulerTask")["Parameters"]["EcsExecutor"].clone();
        assert_eq!(scheduler != "{}", has, "{executors}: {scheduler}");
    }
    let own = &master.whole["Resources"]["EcsExecutorTask"]["Properties"]["Parameters"];
    assert_eq!(own["EcsExecutor"], "{}", "a task starts no other");
    assert_eq!([&own["Cpu"]["Ref"], &own["Memory"]["Ref"]], ["EcsExecutorCpu", "EcsExecutorMemory"]);
}

/// Without Celery there are neither workers nor queues, and the rest is the same.
#[test]
fn without_celery_there_are_no_workers() {
    let all = all_of(&environment(ONLY_ECS));
    let master = &all["master.yaml"].whole;
    assert_eq!(master["Outputs"]["WorkerSets"]["Value"], "{}");
    let scheduler = &master["Resources"]["SchedulerTask"]["Properties"]["Parameters"];
    assert_eq!(scheduler["QueueUrls"], "", "CloudFormation joins no empty list");
    let of_workers = |section: &str| -> Vec<String> {
        let names = master[section].as_object().unwrap().keys();
        names.filter(|name| name.starts_with("Worker") && *name != "WorkerSets").cloned().collect()
    };
    // The security group and the role with which ECS starts workers are unconditional parts of other children.
    assert_eq!(of_workers("Resources"), Vec::<String>::new());
    let services: Vec<String> =
        of_workers("Outputs").into_iter().filter(|name| name.contains("Service")).collect();
    assert_eq!(services, Vec::<String>::new());
}

#[test]
fn they_may_do_what_a_worker_may_and_have_no_queue() {
    let all = fargate();
    let identity = evaluated(
        &all["engines/ecs/executor-identity.yaml"],
        &[("EcsExecutorManagedPolicyArns", ""), ("FileSystemId", "fs-1")],
    );
    let given = [
        ("WorkersAre", "containers"),
        ("OnScheduler", "false"),
        ("BrokerKind", "sqs"),
        ("WorkerManagedPolicyArns", ""),
    ];
    let worker = statements(&evaluated(&all["worker-queue.yaml"], &given).properties("Role"));
    let own = statements(&identity.properties("Role"));
    assert_eq!(own.keys().collect::<Vec<_>>(), ["ReadBundles", "WriteLogs"]);
    assert_eq!(own["ReadBundles"], worker["ReadBundles"]);
    // Workers leave reports of what they cut short, too.
    assert_eq!(own["WriteLogs"]["Action"], worker["WriteLogs"]["Action"]);
    assert_eq!(own["WriteLogs"]["Resource"], worker["WriteLogs"]["Resource"][0]);
    let files = statements(&identity.properties("FilesPolicy"));
    assert_eq!(files["ShareFiles"]["Action"].as_array().unwrap().len(), 2);
    let starting = identity.properties("ExecutionRole");
    assert!(starting.get("Policies").is_none(), "it reads no secret that a worker's does not: {starting}");
}

/// The scheduler starts this family alone, in this cluster, with these two roles.
#[test]
fn the_scheduler_starts_nothing_else() {
    let all = fargate();
    let settings = evaluated(
        &all["engines/ecs/executor-settings.yaml"],
        &[
            ("MasterStackName", "ductwork-dev"),
            ("ClusterName", "ductwork-dev"),
            ("RoleArn", "own"),
            ("ExecutionRoleArn", "starting"),
        ],
    );
    let may = statements(&settings.properties("SchedulerStartsTasks"));
    assert_eq!(may.keys().collect::<Vec<_>>(), ["FollowTasks", "PassRoles", "StartTasks"]);
    assert_eq!(may["StartTasks"]["Action"], "ecs:RunTask");
    let family = may["StartTasks"]["Resource"].as_str().unwrap();
    assert!(family.ends_with(":task-definition/ductwork-dev-executor:*"), "{family}");
    let cluster = may["StartTasks"]["Condition"]["ArnEquals"]["ecs:cluster"].as_str().unwrap();
    assert!(cluster.ends_with(":cluster/ductwork-dev"), "{cluster}");
    assert_eq!(may["FollowTasks"]["Action"], json!(["ecs:DescribeTasks", "ecs:StopTask"]));
    let followed = may["FollowTasks"]["Resource"].as_str().unwrap();
    assert!(followed.ends_with(":task/ductwork-dev/*"), "{followed}");
    assert_eq!(may["PassRoles"]["Resource"], json!(["own", "starting"]));
    let passed = &may["PassRoles"]["Condition"]["StringEquals"]["iam:PassedToService"];
    assert_eq!(passed, "ecs-tasks.amazonaws.com");
}

/// What the executor is told has the keys that Python reads.
#[test]
fn the_executor_is_told_what_the_contract_names() {
    let all = fargate();
    let template = &all["engines/ecs/executor-settings.yaml"].whole;
    let told = template["Outputs"]["EcsExecutor"]["Value"]["Fn::Sub"].as_str().unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    let names: Vec<&String> = told.as_object().unwrap().keys().collect();
    let mut wanted: Vec<&String> = CONTRACT.ecs.executor.iter().collect();
    wanted.sort();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, wanted);
    let definition = told["task_definition"].as_str().unwrap();
    assert_eq!(
        definition, "${TaskDefinition}",
        "the revision, not the family: tasks are of the scheduler's release"
    );
    assert_eq!(told["container_name"], "executor");
}

/// A policy of the environment file goes to their role.
#[test]
fn their_role_takes_policies() {
    let with = ECS_EC2.replacen(
        "engine = \"ecs-ec2\"",
        "engine = \"ecs-ec2\"\nexecutors = [\"ecs\", \"celery\"]",
        1,
    );
    let environment = environment(&with);
    let master = &all_of(&environment)["master.yaml"].whole;
    let given = &master["Resources"]["EcsExecutor"]["Properties"]["Parameters"];
    assert_eq!(given["EcsExecutorManagedPolicyArns"]["Ref"], "EcsExecutorManagedPolicyArns");
    assert_eq!(environment.executors(), "ecs,celery");
}
