//! Task definitions of ECS: what is in a task, what it may see and do, and who may start it.

use crate::cloud::{Cloud, has, tags, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The newest revision of a family of the environment.
pub fn definition<'a>(cloud: &'a Cloud, family: &str) -> &'a Value {
    let family = format!("ductwork-local-{family}");
    let all = cloud.those("task_definitions", |one| one["family"] == family);
    let newest = all.into_iter().max_by_key(|one| one["revision"].as_i64());
    newest.unwrap_or_else(|| panic!("no task definition {family}"))
}

/// The newest revision of every family that is of the environment as it is: those of a worker set that has gone are kept
/// for tasks that still end.
fn definitions(cloud: &Cloud) -> Vec<(&str, &Value)> {
    let stacks: BTreeSet<&str> = cloud.all("stacks").iter().map(|one| text(&one["StackName"])).collect();
    let lives = |one: &Value| {
        let tags = tags(one).unwrap_or_default();
        tags.get("aws:cloudformation:stack-name").is_some_and(|stack| stacks.contains(stack.as_str()))
    };
    let families: BTreeSet<&str> =
        cloud.those("task_definitions", lives).iter().map(|one| text(&one["family"])).collect();
    let own = families.into_iter().filter_map(|family| family.strip_prefix("ductwork-local-"));
    own.map(|family| (family, definition(cloud, family))).collect()
}

pub fn containers(definition: &Value) -> &Vec<Value> {
    definition["containerDefinitions"].as_array().unwrap()
}

/// A variable of the first container.
pub fn variable<'a>(definition: &'a Value, name: &str) -> Option<&'a str> {
    let variables = definition["containerDefinitions"][0]["environment"].as_array().unwrap();
    variables.iter().find(|one| one["name"] == name).map(|one| text(&one["value"]))
}

fn rights(cloud: &Cloud, definition: &Value, role: &str) -> String {
    let name = text(&definition[role]).rsplit('/').next().unwrap();
    cloud.rights_of(cloud.get("roles", name))
}

/// Cpu and memory.
pub fn sizes(cloud: &Cloud, family: &str, [cpu, memory]: [&str; 2]) {
    has(definition(cloud, family), &json!({ "cpu": cpu, "memory": memory }));
}

/// Nobody is root, writes outside of volumes or has more than a moment to end; images by digest, and a health that says
/// something. The log router is AWS's and runs as it has to.
pub fn are_hardened(cloud: &Cloud) {
    for (family, definition) in definitions(cloud) {
        has(definition, &json!({ "networkMode": "awsvpc" }));
        for container in containers(definition).iter().filter(|one| one["name"] != "log-router") {
            let expected = json!({ "user": "50000:0", "privileged": false, "readonlyRootFilesystem": true });
            has(container, &expected);
            assert!(text(&container["image"]).contains("@sha256:"), "{family}: {}", container["image"]);
            let serves = !["executor", "migrate", "task-report"].contains(&family);
            assert_eq!(container["healthCheck"].is_object(), serves, "{family}: {}", container["name"]);
            let last = if container["name"] == "scaler" { 30 } else { 120 };
            assert_eq!(container["stopTimeout"], last, "{family}");
        }
        let role = |key: &str| cloud.get("roles", text(&definition[key]).rsplit('/').next().unwrap());
        for key in ["taskRoleArn", "executionRoleArn"] {
            assert_eq!(role(key)["Path"], "/ductwork/ductwork-local/", "{family}");
            let trusted = role(key)["AssumeRolePolicyDocument"].to_string();
            assert!(trusted.contains("ecs-tasks.amazonaws.com") && trusted.contains("aws:SourceAccount"));
        }
    }
}

/// Everyone is given what the component needs, by ARN, and the role that starts a task reads no more than its tasks are
/// given. Code of DAGs sees neither what sessions are signed with nor the users that are made.
pub fn secrets_are_apart(cloud: &Cloud) {
    let common = ["API", "DATABASE", "FERNET_KEY"];
    let broker = (cloud.output("BrokerKind") == "valkey").then_some("CACHE");
    for (family, definition) in definitions(cloud) {
        let more: &[&str] = match family {
            "api-server" => &["ADMIN", "JWT", "SERVICE"],
            "migrate" => &["ADMIN", "SERVICE"],
            "scheduler" | "dag-processor" | "triggerer" => &["JWT"],
            _ => &[],
        };
        let takes = family == "scheduler" || family.starts_with("worker");
        let mut wanted: BTreeSet<&str> = common.into_iter().chain(more.iter().copied()).collect();
        wanted.extend(broker.filter(|_| takes));
        if family.starts_with("task-") {
            wanted.clear();
        }
        let secrets = containers(definition)[0]["secrets"].as_array();
        let secrets: Vec<&Value> = secrets.into_iter().flatten().collect();
        let given: BTreeSet<&str> =
            secrets.iter().map(|one| text(&one["name"]).trim_start_matches("DUCTWORK_SECRET_")).collect();
        assert_eq!(given, wanted, "{family}");
        let starts = rights(cloud, definition, "executionRoleArn");
        for secret in &secrets {
            assert!(starts.contains(text(&secret["valueFrom"])), "{family}: {secret}");
        }
        for (secret, kept) in
            [("JwtSecretArn", more.contains(&"JWT")), ("AdminSecretArn", more.contains(&"ADMIN"))]
        {
            let service = more.is_empty();
            assert!(kept || !service || !starts.contains(cloud.output(secret)), "{family}: {secret}");
        }
        // ECS gives secrets to a task; none of them is a right of its own.
        let may = rights(cloud, definition, "taskRoleArn");
        assert!(!may.contains(cloud.output("FernetKeySecretArn")), "{family}");
    }
}

/// Tasks that run code of DAGs mount the shared folder, by way of an access point and with their own role.
pub fn files(cloud: &Cloud) {
    let files = cloud.output("FileSystemId");
    for (family, definition) in definitions(cloud) {
        let mounts = family == "executor" || family.starts_with("worker") || family.starts_with("task-");
        let volumes = definition["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|one| one["efsVolumeConfiguration"].is_object());
        assert_eq!(volume.is_some(), mounts, "{family}");
        assert_eq!(variable(definition, "DUCTWORK_FILES").is_some(), mounts, "{family}");
        let may = rights(cloud, definition, "taskRoleArn");
        assert_eq!(may.contains("elasticfilesystem:ClientWrite"), mounts, "{family}");
        let Some(volume) = volume else { continue };
        let expected = json!({ "fileSystemId": files, "transitEncryption": "ENABLED" });
        has(&volume["efsVolumeConfiguration"], &expected);
        let way = &volume["efsVolumeConfiguration"]["authorizationConfig"];
        assert_eq!(way["iam"], "ENABLED");
        let point = cloud.those("access_points", |one| one["AccessPointId"] == way["accessPointId"]);
        let own = way["accessPointId"] == cloud.output("TaskAccessPointId");
        assert_eq!(own, family.starts_with("task-"), "{family}: tasks of others have a folder of their own");
        assert!(may.contains(text(&point[0]["AccessPointArn"])), "{family}");
    }
}

/// The user's policies are attached where they were asked for and nowhere else.
pub fn own_policies(cloud: &Cloud) {
    for (family, definition) in definitions(cloud) {
        let asked = ["api-server", "worker-big", "task-report"].contains(&family);
        let may = rights(cloud, definition, "taskRoleArn");
        assert_eq!(may.contains("arn:aws:s3:::example-data/*"), asked, "{family}");
        let name = text(&definition["taskRoleArn"]).rsplit('/').next().unwrap();
        let attached = cloud.get("roles", name)["Attached"].to_string();
        assert_eq!(attached.contains("/AmazonS3ReadOnlyAccess"), family == "api-server", "{family}");
    }
}

/// The scheduler is told what it starts for a task of Airflow, and may start just that.
pub fn executor(cloud: &Cloud, executors: &str) {
    let scheduler = definition(cloud, "scheduler");
    assert_eq!(variable(scheduler, "DUCTWORK_PARAMETER_Executors"), Some(executors));
    let told: Value =
        serde_json::from_str(variable(scheduler, "DUCTWORK_OUTPUT_EcsExecutor").unwrap()).unwrap();
    let own = definition(cloud, "executor");
    let expected = json!({
        "cluster": "ductwork-local", "container_name": "executor", "task_definition": own["taskDefinitionArn"],
        "security_groups": cloud.output("WorkerSecurityGroupId"), "subnets": cloud.output("HostSubnetIds"),
        "assign_public_ip": cloud.output("AssignPublicIp"), "capacity_provider": cloud.output("CapacityProvider"),
    });
    assert_eq!(told, expected);
    let may = rights(cloud, scheduler, "taskRoleArn");
    assert!(may.contains("ecs:RunTask") && may.contains("task-definition/ductwork-local-executor:"), "{may}");
    for key in ["taskRoleArn", "executionRoleArn"] {
        assert!(may.contains(text(&own[key])), "the scheduler passes {key}");
    }
    assert_eq!(own["containerDefinitions"][0]["image"], scheduler["containerDefinitions"][0]["image"]);
}

/// An external task has an image, variables and roles of its own, and whoever runs code of DAGs may start it.
pub fn external(cloud: &Cloud) {
    let report = definition(cloud, "task-report");
    assert_eq!(variable(report, "LAKE"), Some("s3://lake"));
    let (own, ours) =
        (&report["containerDefinitions"][0], &definition(cloud, "scheduler")["containerDefinitions"][0]);
    assert_eq!(own["command"], json!(["python", "main.py"]));
    assert_ne!(own["image"], ours["image"]);
    for family in ["worker-default", "worker-big", "executor", "triggerer"] {
        let definition = definition(cloud, family);
        let told: Value = serde_json::from_str(variable(definition, "DUCTWORK_ECS_TASKS").unwrap()).unwrap();
        assert_eq!(told["tasks"]["report"]["task_definition"], "ductwork-local-task-report");
        has(
            &told["common"],
            &json!({ "cluster": "ductwork-local", "awslogs_group": cloud.output("TaskLogGroup") }),
        );
        let may = rights(cloud, definition, "taskRoleArn");
        assert!(may.contains("task-definition/ductwork-local-task-report:"), "{family}: {may}");
    }
    let may = rights(cloud, definition(cloud, "api-server"), "taskRoleArn");
    assert!(!may.contains("ecs:RunTask"), "nobody else starts tasks");
}

/// Each component's lines go by a log router to CloudWatch and, by Firehose, to the bucket, where a table finds them.
pub fn archived(cloud: &Cloud) {
    let stream = cloud.only("streams");
    for (family, definition) in definitions(cloud) {
        let is = !(family == "executor" || family.starts_with("task-"));
        let routers = containers(definition).iter().filter(|one| one["firelensConfiguration"].is_object());
        assert_eq!(routers.count(), usize::from(is), "{family}");
        let driver = if is { "awsfirelens" } else { "awslogs" };
        assert_eq!(containers(definition)[0]["logConfiguration"]["logDriver"], driver, "{family}");
        let may = rights(cloud, definition, "taskRoleArn");
        assert_eq!(may.contains(text(&stream["DeliveryStreamARN"])), is, "{family}");
    }
    let bucket = cloud.output("LogsBucket");
    let sent = &stream["Destinations"][0]["ExtendedS3DestinationDescription"];
    has(sent, &json!({ "BucketARN": format!("arn:aws:s3:::{bucket}"), "CompressionFormat": "GZIP" }));
    assert_eq!(stream["DeliveryStreamEncryptionConfiguration"]["KeyARN"], cloud.output("KeyArn"));
    let table = &cloud.only("tables")["Tables"][0];
    assert_eq!(table["StorageDescriptor"]["Location"], format!("s3://{bucket}/components"));
    let queries = cloud.only("workgroups")["Queries"].as_object().unwrap();
    assert_eq!(queries.keys().collect::<Vec<_>>(), ["errors", "one-off-tasks"]);
}
