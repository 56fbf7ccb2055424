//! Flower: behind the load balancer and a login, with the broker's secret and nothing else of the environment.

use super::evaluated::{Evaluated, evaluated, statements};
use super::template::{PUBLIC, Template, all_of, environment};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const TEMPLATE: &str = "engines/ecs/flower.yaml";
const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:cache";

static ALL: LazyLock<BTreeMap<String, Template>> = LazyLock::new(|| {
    all_of(&environment(&format!("{PUBLIC}[broker]\nkind = \"valkey_service\"\nflower = true\n")))
});

fn flower(compatibility: &'static str) -> Evaluated<'static> {
    let given = [
        ("MasterStackName", "ductwork-dev"),
        ("Compatibility", compatibility),
        ("BrokerKind", "valkey-service"),
        ("CacheSecretArn", SECRET),
        ("LoadBalancerSecurityGroupId", "sg-balancer"),
        ("CacheSecurityGroupId", "sg-broker"),
    ];
    evaluated(&ALL[TEMPLATE], &given)
}

#[test]
fn it_has_no_role_and_writes_where_its_image_says() {
    for compatibility in ["FARGATE", "EC2"] {
        let task = flower(compatibility).properties("Task");
        assert!(task.get("TaskRoleArn").is_none(), "{task}");
        let container = &task["ContainerDefinitions"][0];
        let fixed = ["ReadonlyRootFilesystem", "Privileged", "User"].map(|key| container[key].clone());
        assert_eq!(fixed, ["true", "false", "50000:0"]);
        let options = container.get("DockerSecurityOptions");
        assert_eq!(options, (compatibility == "EC2").then(|| json!(["no-new-privileges"])).as_ref());
    }
}

#[test]
fn it_is_told_the_broker_and_a_login_and_nothing_of_the_database() {
    let flower = flower("FARGATE");
    let container = &flower.properties("Task")["ContainerDefinitions"][0];
    let names = |key: &str| -> Vec<&str> {
        container[key].as_array().unwrap().iter().map(|one| one["Name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("Secrets"), ["DUCTWORK_SECRET_CACHE", "DUCTWORK_SECRET_FLOWER"]);
    let told = ["DUCTWORK_OUTPUT_BrokerKind", "DUCTWORK_OUTPUT_CacheHost", "DUCTWORK_OUTPUT_CachePort"];
    assert_eq!(names("Environment"), [&told[..], &["DUCTWORK_PARAMETER_Local"]].concat());
    assert_eq!(container["Secrets"][0]["ValueFrom"], SECRET);
    let allowed = statements(&flower.properties("ExecutionRole"));
    assert_eq!(
        allowed.keys().map(String::as_str).collect::<Vec<_>>(),
        ["LogInToRegistry", "PullImage", "ReadSecrets", "UseKey", "WriteLogs"]
    );
    assert_eq!(allowed["ReadSecrets"]["Resource"].as_array().map(Vec::len), Some(2));
}

#[test]
fn only_the_load_balancer_reaches_it_by_a_rule_of_its_own() {
    let flower = flower("FARGATE");
    let group = flower.properties("SecurityGroup");
    let sources = |key: &str, end: &str| -> Vec<Value> {
        group[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| json!([rule["FromPort"], rule["ToPort"], rule[end]]))
            .collect()
    };
    assert_eq!(
        sources("SecurityGroupIngress", "SourceSecurityGroupId"),
        [json!(["5555", "5555", "sg-balancer"])]
    );
    let outgoing = sources("SecurityGroupEgress", "DestinationSecurityGroupId");
    assert_eq!(outgoing, [json!(["443", "443", null]), json!(["6379", "6379", "sg-broker"])]);
    let rule = flower.properties("Rule");
    assert_eq!(rule["Conditions"][0]["PathPatternConfig"]["Values"], json!(["/flower", "/flower/*"]));
    // The page that the load balancer asks for is one of those, and needs no password.
    assert_eq!(flower.properties("TargetGroup")["HealthCheckPath"], "/flower/healthcheck");
    let service = &ALL[TEMPLATE].whole["Resources"]["Service"];
    for id in ["Rule", "FromLoadBalancer", "ToBroker"] {
        assert!(service["DependsOn"].as_array().unwrap().contains(&json!(id)), "{id}");
    }
}

#[test]
fn the_environment_says_whether_there_is_one_and_the_stack_names_what_it_runs() {
    let master = &ALL["master.yaml"].whole;
    assert_eq!(master["Resources"]["Flower"]["Condition"], "HasFlower");
    for output in ["FlowerService", "FlowerTaskDefinition", "FlowerSecretArn"] {
        assert_eq!(master["Outputs"][output]["Condition"], "HasFlower", "{output}");
    }
    for output in ["BrokerService", "BrokerTaskDefinition"] {
        assert_eq!(master["Outputs"][output]["Condition"], "HasBrokerService", "{output}");
    }
}
