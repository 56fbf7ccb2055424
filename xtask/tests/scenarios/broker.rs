//! The broker as a task of ECS, and Flower beside it: services that CloudFormation moves and no release reaches.

use crate::cloud::{Cloud, has, ids, text};
use crate::services::{place, service};
use crate::support::project::Project;
use crate::tasks::{containers, definition, variable};
use crate::{all, network, watch};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub fn as_a_task(made: &Cloud) {
    made.none(&["caches", "queues"]);
    assert_eq!(made.output("BrokerKind"), "valkey-service");
    all!(
        // There are never two brokers, and always one Flower.
        runs(made, "broker", [0, 100]),
        runs(made, "flower", [100, 200]),
        is_found_by_its_name(made),
        have_no_roles(made),
        know_only_their_secrets(made),
        is_reached_by_those_who_use_it(made),
        flower_is_behind_the_balancer(made),
        watch::alarms(made, &["MemoryUtilization"]),
        watch::logs(made, 60, &["broker", "flower"]),
    );
}

/// `status` lists both after what a release reaches.
pub fn is_told(project: &Project) {
    let status = project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json();
    let services = status["services"].as_array().unwrap();
    let beside: Vec<&Value> = services.iter().rev().take(2).rev().collect();
    for (name, service) in ["broker", "flower"].into_iter().zip(beside) {
        has(service, &json!({ "name": name, "running": 1, "wanted": 1, "current": true, "failed": false }));
    }
}

/// One task, which nothing scales, of what the stack has; and how many there are while it is replaced, in percent.
fn runs(cloud: &Cloud, name: &str, [fewest, most]: [i64; 2]) {
    let service = service(cloud, name);
    has(service, &json!({ "desiredCount": 1, "runningCount": 1, "pendingCount": 0 }));
    let breaker = json!({ "enable": true, "rollback": true });
    let expected = json!({
        "minimumHealthyPercent": fewest, "maximumPercent": most, "deploymentCircuitBreaker": breaker,
    });
    has(&service["deploymentConfiguration"], &expected);
    let scaled =
        cloud.those("scalable_targets", |one| text(&one["ResourceId"]).ends_with(&format!("/{name}")));
    assert!(scaled.is_empty(), "{scaled:#?}");
    let newest = &definition(cloud, name)["taskDefinitionArn"];
    assert_eq!(service["taskDefinition"], *newest, "{name}");
    let prefix = name[..1].to_uppercase() + &name[1..];
    assert_eq!(service["taskDefinition"], cloud.output(&format!("{prefix}TaskDefinition")), "{name}");
    let group = format!("service:{name}");
    let tasks = cloud.only("task_clusters")["Tasks"].as_array().unwrap();
    let tasks: Vec<&Value> = tasks.iter().filter(|task| task["group"] == group).collect();
    assert_eq!(tasks.len(), 1, "{name}");
    let expected = json!({ "lastStatus": "RUNNING", "healthStatus": "HEALTHY", "taskDefinitionArn": newest });
    has(tasks[0], &expected);
}

/// A name in Cloud Map, which whoever uses the broker is told.
fn is_found_by_its_name(cloud: &Cloud) {
    let names = cloud.those("discovered", |one| one["Name"] == "broker");
    let registry = json!([{ "registryArn": names[0]["Arn"] }]);
    assert_eq!(service(cloud, "broker")["serviceRegistries"], registry);
    assert_eq!((names.len(), cloud.count("discovered")), (1, 2), "the api-server is the other");
    for family in ["scheduler", "worker-default", "worker-big", "flower"] {
        let definition = definition(cloud, family);
        let told = ["DUCTWORK_OUTPUT_CacheHost", "DUCTWORK_OUTPUT_CachePort"];
        let told = told.map(|name| variable(definition, name));
        assert_eq!(told, [Some("broker.ductwork-local.internal"), Some("6379")], "{family}");
    }
}

/// What runs in the two tasks has nothing to ask AWS for; nobody in them is root or writes where it should not.
fn have_no_roles(cloud: &Cloud) {
    for family in ["broker", "flower"] {
        let definition = definition(cloud, family);
        assert!(definition["taskRoleArn"].is_null(), "{family}: {definition:#}");
        for container in containers(definition) {
            has(container, &json!({ "privileged": false, "readonlyRootFilesystem": true }));
            assert!(!text(&container["user"]).starts_with('0'), "{family}: {}", container["user"]);
            assert!(container["healthCheck"].is_object(), "{family}");
        }
        assert_ne!(service(cloud, family)["enableExecuteCommand"], true, "{family}");
    }
    let image = &containers(definition(cloud, "broker"))[0]["image"];
    assert!(text(image).starts_with("public.ecr.aws/valkey/valkey:"), "{image}");
    let ours = &containers(definition(cloud, "scheduler"))[0]["image"];
    assert_eq!(containers(definition(cloud, "flower"))[0]["image"], *ours);
}

/// The broker its password, Flower a login too; and the roles that start them read nothing else.
fn know_only_their_secrets(cloud: &Cloud) {
    let (cache, login) = (cloud.output("CacheSecretArn"), cloud.output("FlowerSecretArn"));
    for (family, expected) in [
        ("broker", json!([{ "name": "REDISCLI_AUTH", "valueFrom": format!("{cache}:password::") }])),
        (
            "flower",
            json!([
                { "name": "DUCTWORK_SECRET_CACHE", "valueFrom": cache },
                { "name": "DUCTWORK_SECRET_FLOWER", "valueFrom": login },
            ]),
        ),
    ] {
        let definition = definition(cloud, family);
        assert_eq!(containers(definition)[0]["secrets"], expected, "{family}");
        let role = text(&definition["executionRoleArn"]).rsplit('/').next().unwrap();
        let may = cloud.rights_of(cloud.get("roles", role));
        assert_eq!((may.contains(cache), may.contains(login)), (true, family == "flower"), "{family}");
        for other in ["FernetKey", "Jwt", "Database", "Api", "Admin"] {
            assert!(!may.contains(cloud.output(&format!("{other}SecretArn"))), "{family}: {other}");
        }
    }
    let login = cloud.get("secrets", login);
    assert!(text(&login["Name"]).starts_with("ductwork/local/platform/flower-"), "{login:#}");
    assert_eq!(login["KmsKeyId"], cloud.output("KeyArn"));
}

fn group<'a>(cloud: &'a Cloud, name: &str) -> &'a str {
    let groups = place(service(cloud, name))["securityGroups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "{name}");
    text(&groups[0])
}

fn is_reached_by_those_who_use_it(cloud: &Cloud) {
    let broker = group(cloud, "broker");
    assert_eq!(broker, cloud.output("CacheSecurityGroupId"));
    let users = ["Scheduler", "Worker"].map(|name| cloud.output(&format!("{name}SecurityGroupId")));
    let users: BTreeSet<&str> = users.into_iter().chain([group(cloud, "flower")]).collect();
    assert_eq!(network::reach(cloud, broker, 6379), users);
    let balancer = cloud.output("LoadBalancerSecurityGroupId");
    assert_eq!(network::reach(cloud, group(cloud, "flower"), 5555), [balancer].into());
}

/// By a rule for its pages, before what leads everything else to the api-server.
fn flower_is_behind_the_balancer(cloud: &Cloud) {
    let targets = cloud.those("target_groups", |one| one["Port"] == 5555);
    assert_eq!(targets.len(), 1);
    has(targets[0], &json!({ "TargetType": "ip", "HealthCheckPath": "/flower/healthcheck" }));
    let arn = &targets[0]["TargetGroupArn"];
    let expected = json!([{ "targetGroupArn": arn, "containerName": "flower", "containerPort": 5555 }]);
    assert_eq!(service(cloud, "flower")["loadBalancers"], expected);
    let listeners = cloud.only("balancers")["Listeners"].as_array().unwrap();
    let rules: Vec<&Value> = listeners
        .iter()
        .flat_map(|one| one["Rules"].as_array().unwrap())
        .filter(|one| one["Priority"] == "10")
        .collect();
    assert_eq!(rules.len(), 1, "{listeners:#?}");
    assert_eq!(ids(&rules[0]["Actions"], "TargetGroupArn"), [text(arn)].into());
    assert_eq!(rules[0]["Conditions"][0]["Field"], "path-pattern");
    assert!(rules[0]["Conditions"].to_string().contains(r#"["/flower","/flower/*"]"#), "{:#}", rules[0]);
}
