//! Logs on ECS by way of a log router: who sends what where, with which rights, and where it is found again.

use super::evaluated::{evaluated, statements};
use super::template::{Template, calls, engine};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const COMPONENTS: [&str; 6] = ["api-server", "scheduler", "dag-processor", "triggerer", "worker", "migrate"];

fn all() -> &'static BTreeMap<String, Template> {
    engine("fargate")
}

fn delivery() -> &'static Value {
    &all()["engines/ecs/log-delivery.yaml"].whole["Resources"]
}

/// The containers of a component's task.
fn containers(component: &'static str, archive: &'static str) -> Vec<Value> {
    let given = [
        ("Component", component),
        ("WorkerSet", if component == "worker" { "big" } else { "" }),
        ("Compatibility", "FARGATE"),
        ("LogArchive", archive),
        ("MasterStackName", "ductwork-dev"),
    ];
    let task = evaluated(&all()["engines/ecs/task.yaml"], &given).properties("Task");
    task["ContainerDefinitions"].as_array().unwrap().clone()
}

fn is_router(container: &Value) -> bool {
    container.get("FirelensConfiguration").is_some()
}

/// The log groups of the environment, by name.
fn groups() -> BTreeSet<String> {
    let files = ["observability.yaml", "engines/ecs/cluster.yaml", "engines/ecs/log-delivery.yaml"];
    let names = files.iter().flat_map(|name| calls(&all()[*name].whole["Resources"], "LogGroupName"));
    let texts = names.filter_map(|name| name["Fn::Sub"].as_str());
    texts.map(|name| name.replace("${MasterStackName}", "ductwork-dev")).collect()
}

#[test]
fn without_an_archive_no_task_has_a_log_router() {
    for component in COMPONENTS {
        for container in containers(component, "false") {
            assert!(!is_router(&container), "{component}");
            assert_eq!(container["LogConfiguration"]["LogDriver"], "awslogs", "{component}");
            assert!(container.get("DependsOn").is_none(), "{component}");
        }
    }
}

/// Tasks of an earlier revision may start after the archive was turned off, and nothing else is made without it.
#[test]
fn the_group_of_the_routers_is_always_there() {
    let template = &all()["engines/ecs/log-delivery.yaml"];
    let made = |archive| -> Vec<&str> {
        let template = evaluated(template, &[("LogArchive", archive)]);
        let ids = delivery().as_object().unwrap().keys().map(String::as_str);
        ids.filter(|id| template.has(id)).collect()
    };
    assert_eq!(made("false"), ["RouterLogs"]);
    assert_eq!(made("true").len(), delivery().as_object().unwrap().len());
}

#[test]
fn with_an_archive_every_container_writes_by_the_router_of_its_task() {
    let groups = groups();
    for component in COMPONENTS {
        let (routers, writers): (Vec<Value>, Vec<Value>) =
            containers(component, "true").into_iter().partition(is_router);
        assert_eq!(routers.len(), 1, "{component}");
        assert_eq!(writers.len(), if component == "scheduler" { 2 } else { 1 });
        for writer in writers {
            // It starts after the router, and so ends before it.
            let after = json!([{ "ContainerName": routers[0]["Name"], "Condition": "START" }]);
            assert_eq!(writer["DependsOn"], after, "{component}");
            let log = &writer["LogConfiguration"];
            assert_eq!([&log["LogDriver"], &log["Options"]["Name"]], ["awsfirelens", "cloudwatch_logs"]);
            let group = log["Options"]["log_group_name"].as_str().unwrap();
            let own = format!("/ductwork-dev/{}", writer["Name"].as_str().unwrap());
            assert!(group.ends_with(&own) && groups.contains(group), "{group}");
            // The same line as without a router, and not the record around it.
            assert_eq!(log["Options"]["log_key"], "log");
            let prefix = if component == "worker" { "big/" } else { "task/" };
            assert_eq!(log["Options"]["log_stream_prefix"], prefix);
        }
    }
}

#[test]
fn the_router_sends_everything_to_the_stream_of_the_stack() {
    let name = &delivery()["Stream"]["Properties"]["DeliveryStreamName"];
    assert_eq!(name["Fn::Sub"], "${MasterStackName}_logs");
    for component in COMPONENTS {
        let router = containers(component, "true").into_iter().find(is_router).unwrap();
        let words: Vec<String> = router["Command"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect();
        let output = words.iter().position(|word| word == "-o").unwrap();
        assert_eq!(words[output..output + 4], ["-o", "kinesis_firehose", "-m", "*-firelens-*"]);
        assert!(words.contains(&"delivery_stream=ductwork-dev_logs".to_owned()), "{words:?}");
        assert_eq!([&router["Essential"], &router["User"], &router["Privileged"]], ["true", "0", "false"]);
        assert!(!router["Image"].as_str().unwrap().ends_with(":latest"), "a version");
        let configuration = &router["FirelensConfiguration"];
        assert_eq!(configuration["Options"]["enable-ecs-log-metadata"], "true", "whose line it is");
        // What it has to say of itself cannot go through it.
        let log = &router["LogConfiguration"];
        assert_eq!(log["LogDriver"], "awslogs");
        assert!(groups().contains(log["Options"]["awslogs-group"].as_str().unwrap()));
        assert!(router.get("Secrets").is_none() && router.get("Environment").is_none());
    }
}

/// A task writes to the groups of its own component: nobody forges what another one has said.
#[test]
fn a_task_writes_to_its_own_groups_and_to_the_stream_alone() {
    let resource = |policy: &Value, sid: &str| statements(policy)[sid]["Resource"].to_string();
    for (id, role, groups) in [
        ("ApiServerLogs", "ApiServer", &["api-server"][..]),
        ("SchedulerLogs", "Scheduler", &["scheduler", "scaler"]),
        ("DagProcessorLogs", "DagProcessor", &["dag-processor"]),
        ("TriggererLogs", "Triggerer", &["triggerer"]),
        ("MigrateLogs", "Migrate", &["migrate"]),
    ] {
        let policy = &delivery()[id];
        assert_eq!(policy["Properties"]["Roles"], json!([{ "Ref": format!("{role}RoleName") }]), "{id}");
        let own = resource(policy, "WriteOwnLogs");
        assert_eq!(own.matches("log-group:").count(), groups.len(), "{own}");
        for group in groups {
            assert!(own.contains(&format!(":log-group:/ductwork/${{MasterStackName}}/{group}:*")), "{own}");
        }
        assert!(delivery()["Archive"]["Properties"]["Roles"].to_string().contains(role), "{role}");
    }
    assert_eq!(
        resource(&delivery()["Archive"], "ArchiveLogs"),
        json!({ "Fn::GetAtt": "Stream.Arn" }).to_string()
    );
    let sets = &all()["engines/ecs/worker-set.yaml"];
    let worker = &sets.whole["Resources"]["Logs"];
    assert!(resource(worker, "WriteOwnLogs").contains("/worker:log-stream:${WorkerSet}/*"));
    assert!(resource(worker, "ArchiveLogs").contains(":deliverystream/${MasterStackName}_logs"));
    assert!(!evaluated(sets, &[("LogArchive", "false")]).has("Logs"));
    assert!(evaluated(sets, &[("LogArchive", "true")]).has("Logs"));
}

/// Rights and groups are there before the first task starts.
#[test]
fn tasks_are_made_after_the_delivery_of_their_logs() {
    let master = &all()["master.yaml"].whole["Resources"];
    assert!(master["LogDelivery"].get("Condition").is_none(), "what depends on it is always there");
    for id in [
        "ApiServerTask",
        "SchedulerTask",
        "DagProcessorTask",
        "TriggererTask",
        "MigrateTask",
        "WorkerDefault",
    ] {
        let after = master[id]["DependsOn"].as_array().unwrap();
        assert!(after.contains(&json!("LogDelivery")), "{id}");
        assert_eq!(master[id]["Properties"]["Parameters"]["LogArchive"], json!({ "Ref": "LogArchive" }));
    }
}

#[test]
fn the_table_is_where_firehose_writes_and_knows_its_days() {
    let destination = &delivery()["Stream"]["Properties"]["ExtendedS3DestinationConfiguration"];
    assert_eq!(destination["Prefix"], "components/logged_on=!{timestamp:yyyy-MM-dd}/");
    let table = &delivery()["Table"]["Properties"]["TableInput"];
    let parameters = &table["Parameters"];
    let day = "s3://${LogsBucket}/components/logged_on=${!logged_on}";
    assert_eq!(parameters["storage.location.template"]["Fn::Sub"], day);
    assert_eq!(table["StorageDescriptor"]["Location"]["Fn::Sub"], "s3://${LogsBucket}/components");
    let projection = ["enabled", "logged_on.type", "logged_on.format"];
    let projection = projection.map(|key| parameters[format!("projection.{key}")].as_str().unwrap());
    assert_eq!(projection, ["true", "date", "yyyy-MM-dd"]);
    // Failures, and what queries answer, are not in it.
    for other in [&destination["ErrorOutputPrefix"], &result()["OutputLocation"]["Fn::Sub"]] {
        assert!(!other.as_str().unwrap().contains("components/"), "{other}");
    }
    let role = statements(&delivery()["DeliveryRole"]);
    let written = role["WriteLogs"]["Resource"]["Fn::Sub"].as_str().unwrap();
    assert!(written.ends_with(":${LogsBucket}/components*"), "{written}");
}

fn result() -> &'static Value {
    &delivery()["WorkGroup"]["Properties"]["WorkGroupConfiguration"]["ResultConfiguration"]
}

#[test]
fn answers_of_queries_are_encrypted_whatever_a_client_asks_for() {
    let configuration = &delivery()["WorkGroup"]["Properties"]["WorkGroupConfiguration"];
    assert_eq!(configuration["EnforceWorkGroupConfiguration"], "true");
    let encryption = &result()["EncryptionConfiguration"];
    assert_eq!(*encryption, json!({ "EncryptionOption": "SSE_KMS", "KmsKey": { "Ref": "KeyArn" } }));
    for id in ["Errors", "OneOffTasks"] {
        let query = &delivery()[id]["Properties"];
        assert_eq!(query["WorkGroup"], json!({ "Ref": "WorkGroup" }));
        let text = query["QueryString"].as_str().unwrap();
        assert!(text.contains("logged_on >="), "a query of every day reads every object: {text}");
    }
}
