//! One environment on one engine after the other: what all engines have in common is the very same thing before and
//! after, and nothing of the engine before is left.

use super::{Stage, announce, destroyed};
use crate::cloud::{Cloud, text};
use crate::engines::FARGATE;
use crate::environments::{deploy, write};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Hosts of a cluster cannot be reached without NAT; it stays the same all the way.
fn on(engine: &str) -> String {
    let hosts = if engine == "ecs-ec2" { "\n[cluster]\nmax = 8\n" } else { "" };
    format!("engine = \"{engine}\"\n\n[network]\nnat = \"single\"\n{hosts}")
}

#[test]
fn every_change_of_the_engine_keeps_what_engines_have_in_common() {
    let stage = Stage::new(&FARGATE);
    announce("fargate");
    deploy(&stage.project, &on("fargate"));
    let made = stage.made();
    let kept = common(&made);
    runs_on(&made, "fargate");
    let mut from = "fargate";
    for to in ["ecs-ec2", "fargate", "ec2", "ecs-ec2", "ec2"] {
        announce(&format!("{from} to {to}"));
        write(&stage.project, &on(to));
        let plan = stage.project.run(&["plan", "--env", "local", "--format", "json"]).expect(0).json();
        assert_eq!(plan["engine"], json!({ "from": from, "to": to }));
        if (from, to) == ("ecs-ec2", "fargate") {
            while_a_worker_runs_a_task(&stage);
        } else {
            assert_eq!(deploy(&stage.project, &on(to))["outcome"], "deployed");
        }
        let made = stage.made();
        let lost: Vec<_> = kept.difference(&common(&made)).cloned().collect();
        assert!(lost.is_empty(), "{from} to {to}: {lost:#?}");
        runs_on(&made, to);
        from = to;
    }
    assert_eq!(stage.project.deploy()["outcome"], "unchanged");
    destroyed(&stage);
}

/// A deployment away from hosts of a cluster: a worker there that protects itself goes on beside the new one, on its
/// host, and the deployment waits for it.
fn while_a_worker_runs_a_task(stage: &Stage) {
    let workers = |protection: &[&str]| -> Vec<String> {
        let args = [&["xtask/tests/scenarios/outside.py", "workers"], protection].concat();
        let found = stage.project.python(&args).expect(0).json();
        let mut found: Vec<String> =
            found.as_object().unwrap().values().map(|one| text(one).to_owned()).collect();
        found.sort();
        found
    };
    assert_eq!(workers(&["on"]), ["RUNNING on EC2"]);
    let mut command = stage.project.command(&["deploy", "--env", "local", "--yes", "--format", "json"]);
    let mut deployment = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while workers(&[]) != ["RUNNING on EC2", "RUNNING on FARGATE"] {
        assert!(begun.elapsed().as_secs() < 120, "{:?}", workers(&[]));
        sleep(Duration::from_secs(1));
    }
    sleep(Duration::from_secs(5));
    assert_eq!(deployment.try_wait().unwrap(), None, "it waits");
    let made = stage.made();
    let serving = made.only("groups")["Instances"].as_array().unwrap();
    assert!(!serving.is_empty() && made.count("capacity_providers") == 1, "{serving:?}");
    assert_eq!(workers(&[]), ["RUNNING on EC2", "RUNNING on FARGATE"]);
    workers(&["off"]);
    let output = deployment.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Database, broker, secrets, buckets with logs and bundles, keys, network: each by what changes if it is made anew.
fn common(cloud: &Cloud) -> BTreeSet<String> {
    let kinds = [
        ("databases", "DbiResourceId"),
        ("queues", "CreatedTimestamp"),
        ("secrets", "ARN"),
        ("buckets", "CreationDate"),
        ("keys", "KeyId"),
        ("vpcs", "VpcId"),
        ("log_groups", "creationTime"),
    ];
    let mut found = BTreeSet::new();
    for (kind, made) in kinds {
        let all = cloud.all(kind);
        assert!(!all.is_empty(), "{kind}");
        for one in all {
            assert!(!one[made].is_null(), "{kind} without {made}: {one:#}");
            let id =
                ["Id", "Name", "logGroupName"].map(|name| one[name].as_str().unwrap_or_default()).concat();
            found.insert(format!("{kind} {id} {}", one[made]));
        }
    }
    // Of components that only tasks or only hosts have.
    found.retain(|one| !one.starts_with("log_groups") || one.contains("/scheduler"));
    found
}

/// Everything is where it should be, and nothing elsewhere.
fn runs_on(cloud: &Cloud, engine: &str) {
    if engine == "ec2" {
        cloud.none(&["task_clusters", "capacity_providers", "scalable_targets", "namespaces"]);
        assert_eq!(cloud.count("groups"), 3, "for API server, scheduler and workers");
        assert_eq!(cloud.count("applications"), 1);
        return;
    }
    let cluster = cloud.only("task_clusters");
    assert_eq!(cluster["Services"].as_object().map(serde_json::Map::len), Some(5));
    let tasks = cluster["Tasks"].as_array().unwrap();
    let runs: BTreeSet<&str> = tasks.iter().map(|task| text(&task["launchType"])).collect();
    cloud.none(&["applications"]);
    if engine == "fargate" {
        assert_eq!(runs, ["FARGATE"].into());
        cloud.none(&["groups", "launch_templates", "capacity_providers", "profiles"]);
    } else {
        assert_eq!(runs, ["EC2"].into());
        assert_eq!((cloud.count("groups"), cloud.count("capacity_providers")), (1, 1));
    }
    assert_ne!(cluster["capacityProviders"], Value::Null);
}
