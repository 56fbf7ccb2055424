//! The broker that is a task of ECS: there is one at most, it is found by its name, and its password is in no argument.

use super::evaluated::{Evaluated, evaluated, statements};
use super::template::{PUBLIC, Template, all_of, environment};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const TEMPLATE: &str = "engines/ecs/valkey.yaml";
const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:cache";

static ALL: LazyLock<BTreeMap<String, Template>> =
    LazyLock::new(|| all_of(&environment(&format!("{PUBLIC}[broker]\nkind = \"valkey_service\"\n"))));

fn broker(compatibility: &'static str, repository: &'static str) -> Evaluated<'static> {
    let given = [
        ("MasterStackName", "ductwork-dev"),
        ("Compatibility", compatibility),
        ("BrokerRepository", repository),
        ("CacheSecretArn", SECRET),
    ];
    evaluated(&ALL[TEMPLATE], &given)
}

fn container(compatibility: &'static str) -> Value {
    broker(compatibility, "").properties("Task")["ContainerDefinitions"][0].clone()
}

#[test]
fn the_password_is_in_no_argument_and_the_health_check_needs_it() {
    let container = container("FARGATE");
    assert_eq!(
        container["Secrets"],
        json!([{ "Name": "REDISCLI_AUTH", "ValueFrom": format!("{SECRET}:password::") }])
    );
    assert!(container.get("Environment").is_none(), "{container}");
    let command = container["Command"][0].as_str().unwrap();
    // Of the arguments of what runs, none is the password: it is a line of what the program reads.
    let (program, configuration) = command.split_once('\n').unwrap();
    assert_eq!(program, "exec valkey-server - <<END");
    for line in ["requirepass $REDISCLI_AUTH", "maxmemory-policy noeviction", "save \"\"", "appendonly no"] {
        assert!(configuration.lines().any(|written| written == line), "{line}: {configuration}");
    }
    assert_eq!(container["HealthCheck"]["Command"], json!(["CMD", "valkey-cli", "-e", "ping"]));
}

#[test]
fn it_writes_nothing_and_has_no_role() {
    for compatibility in ["FARGATE", "EC2"] {
        let task = broker(compatibility, "").properties("Task");
        assert!(task.get("TaskRoleArn").is_none() && task.get("Volumes").is_none(), "{task}");
        let container = &container(compatibility);
        let fixed = ["ReadonlyRootFilesystem", "Privileged", "User"].map(|key| container[key].clone());
        assert_eq!(fixed, ["true", "false", "65534:65534"]);
        let options = container.get("DockerSecurityOptions");
        assert_eq!(options, (compatibility == "EC2").then(|| json!(["no-new-privileges"])).as_ref());
    }
}

#[test]
fn there_are_never_two() {
    let service = broker("FARGATE", "").properties("Service");
    let deployment = &service["DeploymentConfiguration"];
    assert_eq!([&deployment["MinimumHealthyPercent"], &deployment["MaximumPercent"]], ["0", "100"]);
    assert_eq!([&service["DesiredCount"], &service["AvailabilityZoneRebalancing"]], ["1", "DISABLED"]);
    assert_eq!(deployment["DeploymentCircuitBreaker"]["Enable"], "true");
}

#[test]
fn its_role_pulls_only_from_the_repository_of_its_image() {
    let actions = |repository| -> Vec<String> {
        let role = broker("FARGATE", repository).properties("ExecutionRole");
        statements(&role).into_keys().collect()
    };
    assert_eq!(actions(""), ["ReadBrokerSecret", "UseKey", "WriteLogs"]);
    let own = ["LogInToRegistry", "PullImage", "ReadBrokerSecret", "UseKey", "WriteLogs"];
    assert_eq!(actions("eu-central-1:000000000000:repository/valkey"), own);
}

#[test]
fn components_find_it_by_its_name_and_start_after_it() {
    let found = |kind: &'static str| {
        let given = [
            ("MasterStackName", "ductwork-dev"),
            ("BrokerKind", kind),
            ("CacheHost", "cache.example"),
            ("CachePort", "6380"),
        ];
        let addresses = evaluated(&ALL["engines/ecs/addresses.yaml"], &given);
        ["CacheHost", "CachePort"].map(|name| addresses.output(name))
    };
    assert_eq!(found("valkey-service"), ["broker.ductwork-dev.internal", "6379"]);
    assert_eq!(found("valkey"), ["cache.example", "6380"]);
    let master = &ALL["master.yaml"].whole["Resources"];
    // What they are given of it makes them wait for it.
    let port = json!("Broker.Outputs.CachePort");
    for id in ["SchedulerTask", "WorkerDefault", "Flower"] {
        let given = &master[id]["Properties"]["Parameters"]["CachePort"]["Fn::If"];
        assert_eq!((&given[0], &given[1]["Fn::GetAtt"]), (&json!("HasBrokerService"), &port), "{id}");
    }
    assert_eq!(master["Scheduler"]["DependsOn"], "SchedulerTask");
    assert_eq!(master["Broker"]["Condition"], "HasBrokerService");
}
