//! Groups of hosts: what is launched, how many, at which price, when, and with which rights.

use super::Stage;
use crate::cloud::{Cloud, has, ids, text};
use crate::support::project::Project;
use crate::{all, watch};
use base64::Engine as _;
use serde_json::{Value, json};

/// The three groups of an environment without further worker sets.
pub const GROUPS: [(&str, &str); 3] =
    [("ApiServer", "api-server"), ("Scheduler", "scheduler"), ("WorkerDefault", "worker")];

pub fn smallest(_: &Stage, made: &Cloud) {
    all!(
        count(made, &[("ApiServer", 1, 1, 1), ("Scheduler", 1, 1, 1), ("WorkerDefault", 1, 1, 1)]),
        are_hardened(made),
        are_deployed_to(made, &["ApiServer", "Scheduler", "WorkerDefault"]),
        drain(made, "WorkerDefaultAutoScalingGroup"),
        secrets_are_apart(made),
        watch::logs(made, 30, &["keeper", "host"]),
    );
}

pub fn highly_available(stage: &Stage, made: &Cloud) {
    let group = made.group("ApiServerAutoScalingGroup");
    all!(
        count(made, &[("ApiServer", 2, 2, 2), ("Scheduler", 2, 2, 2), ("WorkerDefault", 2, 3, 2)]),
        are_hardened(made),
        agents(&stage.project, made, true),
        assert_eq!(group["TargetGroupARNs"], json!([made.only("target_groups")["TargetGroupArn"]])),
    );
}

pub fn everything(_: &Stage, made: &Cloud) {
    all!(
        // Within its new bounds, the number of hosts is scaling's, not the update's.
        count(
            made,
            &[
                ("ApiServer", 1, 1, 1),
                ("Scheduler", 1, 1, 1),
                ("WorkerDefault", 1, 2, 2),
                ("WorkerBig", 0, 4, 0)
            ],
        ),
        are_deployed_to(made, &["ApiServer", "Scheduler", "WorkerDefault", "WorkerBig"]),
        worker_sets(made),
        spot(made),
        drain(made, "WorkerBigAutoScalingGroup"),
        mount(made, made.output("FileSystemId")),
        hibernation(made),
        own_policies(made),
        watch::logs(made, 60, &["keeper", "host"]),
    );
}

fn user_data(launch: &Value) -> String {
    let raw = text(&launch["UserData"]);
    let decoded = base64::engine::general_purpose::STANDARD.decode(raw);
    decoded.map_or_else(|_| raw.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
}

/// No way in but sessions, no metadata without a token, no plain disk.
fn are_hardened(cloud: &Cloud) {
    for group in cloud.all("groups") {
        let launch = cloud.launch(group);
        has(&launch["MetadataOptions"], &json!({ "HttpTokens": "required" }));
        let disks = launch["BlockDeviceMappings"].as_array().unwrap();
        assert!(!disks.is_empty() && disks.iter().all(|disk| disk["Ebs"]["Encrypted"] == true), "{disks:?}");
        assert!(launch["KeyName"].is_null(), "{launch:#}");
        assert!(text(&launch["ImageId"]).starts_with("ami-"), "{}", launch["ImageId"]);
        assert!(text(&launch["IamInstanceProfile"]["Arn"]).contains("/ductwork/ductwork-local/"));
    }
}

/// Group by group: fewest, most, and how many there are.
fn count(cloud: &Cloud, expected: &[(&str, i64, i64, usize)]) {
    assert_eq!(cloud.count("groups"), expected.len());
    for (name, low, high, now) in expected {
        let group = cloud.group(&format!("{name}AutoScalingGroup"));
        has(group, &json!({ "MinSize": low, "MaxSize": high, "DesiredCapacity": now }));
        let states = ids(&group["Instances"], "LifecycleState");
        assert!(states.iter().all(|state| *state == "InService"), "{name}: {states:?}");
        assert_eq!(group["Instances"].as_array().map(Vec::len), Some(*now), "{name}");
        let subnets: std::collections::BTreeSet<&str> =
            text(&group["VPCZoneIdentifier"]).split(',').collect();
        assert_eq!(subnets, cloud.list("HostSubnetIds"), "{name}");
    }
}

/// Workers leave when their tasks are done; CodeDeploy holds the others back itself.
fn drain(cloud: &Cloud, output: &str) {
    let hooks = cloud.group(output)["LifecycleHooks"].as_array().unwrap();
    let drain = hooks.iter().find(|hook| hook["LifecycleHookName"] == "drain").expect("a hook to drain by");
    let expected = json!({
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", "HeartbeatTimeout": 900,
        "DefaultResult": "CONTINUE",
    });
    has(drain, &expected);
    has(cloud.group(output), &json!({ "NewInstancesProtectedFromScaleIn": false }));
    assert_eq!(cloud.group(output)["TerminationPolicies"][0], "OldestLaunchTemplate");
}

/// A deployment group for each group of hosts, in the application of the environment.
fn are_deployed_to(cloud: &Cloud, prefixes: &[&str]) {
    let application = cloud.only("applications");
    assert_eq!(application["Id"], "ductwork-local");
    let groups = application["Groups"].as_array().unwrap();
    assert_eq!(groups.len(), prefixes.len());
    for prefix in prefixes {
        let name = cloud.output(&format!("{prefix}DeploymentGroup"));
        let group = groups.iter().find(|group| group["deploymentGroupName"] == name).unwrap();
        let hosts = cloud.output(&format!("{prefix}AutoScalingGroup"));
        assert_eq!(ids(&group["autoScalingGroups"], "name"), [hosts].into());
    }
}

/// With endpoints in the network, CodeDeploy's agents use theirs, which needs a setting and the right to. What
/// CodeDeploy and its agents ask for, the roles allow.
pub fn agents(project: &Project, cloud: &Cloud, endpoints: bool) {
    for group in cloud.all("groups") {
        let data = user_data(cloud.launch(group));
        assert_eq!(data.contains(":enable_auth_policy: true\\n"), endpoints, "{data}");
    }
    let calls = project.read(".ductwork/local/calls.jsonl");
    assert_eq!(calls.contains("codedeploy-commands-secure:PollHostCommand"), endpoints);
    // What the stub does in place of Airflow is no measure for the other rights of hosts.
    let judged = project.python(&["-m", "localcloud.iam"]);
    let wrong: Vec<&str> =
        judged.stdout.lines().filter(|line| line.to_lowercase().contains("codedeploy")).collect();
    assert!(wrong.is_empty() && judged.stderr.contains("calls"), "{wrong:#?}{}", judged.stderr);
}

/// The set `big`: three types, four of five hosts above the first on Spot, to nothing and back.
fn spot(cloud: &Cloud) {
    let group = cloud.group("WorkerBigAutoScalingGroup");
    let policy = &group["MixedInstancesPolicy"];
    let distribution = json!({ "OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 20 });
    has(&policy["InstancesDistribution"], &distribution);
    let types = ids(&policy["LaunchTemplate"]["Overrides"], "InstanceType");
    assert_eq!(types, ["m4.xlarge", "m5.xlarge", "m5a.xlarge"].into());
    has(group, &json!({ "CapacityRebalance": true, "MinSize": 0, "MaxSize": 4 }));
    let disk = &cloud.launch(group)["BlockDeviceMappings"][0]["Ebs"];
    has(disk, &json!({ "VolumeSize": 80 }));
    let plain = cloud.group("WorkerDefaultAutoScalingGroup");
    assert!(plain["MixedInstancesPolicy"].is_null(), "no Spot where none was asked for");
}

/// Three sets, one of which has no hosts of its own.
fn worker_sets(cloud: &Cloud) {
    let sets: Value = serde_json::from_str(cloud.output("WorkerSets")).unwrap();
    let expected = json!({
        "default": { "prefix": "WorkerDefault", "queue": "default", "concurrency": 4, "on_scheduler": false,
            "min": 1, "max": 2 },
        "big": { "prefix": "WorkerBig", "queue": "big", "concurrency": 8, "on_scheduler": false, "min": 0, "max": 4 },
        "small": { "prefix": "WorkerSmall", "queue": "small", "concurrency": 2, "on_scheduler": true },
    });
    has(&sets, &expected);
    assert_eq!(cloud.output("WorkerSmallAutoScalingGroup"), "-");
    for (output, name) in [("WorkerDefault", "default"), ("WorkerBig", "big")] {
        let group = cloud.group(&format!("{output}AutoScalingGroup"));
        let data = user_data(cloud.launch(group));
        assert!(data.contains(&format!("DUCTWORK_WORKER_SET={name}\n")), "{data}");
    }
}

/// Hosts that mount the shared folder know where it is.
fn mount(cloud: &Cloud, files: &str) {
    for (prefix, component) in GROUPS {
        let data = user_data(cloud.launch(cloud.group(&format!("{prefix}AutoScalingGroup"))));
        let mounts = component != "api-server";
        assert_eq!(data.contains(files), mounts, "{component}: {data}");
        assert_eq!(data.contains("DUCTWORK_FILES=/mnt/ductwork"), mounts, "{component}");
    }
}

/// Every worker set with hosts sleeps, and wakes as it was.
fn hibernation(cloud: &Cloud) {
    for (output, low, high) in [("WorkerDefaultAutoScalingGroup", 1, 2), ("WorkerBigAutoScalingGroup", 0, 4)]
    {
        let actions = cloud.those("schedules", |one| one["AutoScalingGroupName"] == cloud.output(output));
        assert_eq!(actions.len(), 2, "{output}");
        let at = |cron: &str| {
            let found = actions.iter().find(|action| action["Recurrence"] == cron);
            *found.unwrap_or_else(|| panic!("{output}: nothing at `{cron}` in {actions:#?}"))
        };
        let zone = "Europe/Berlin";
        has(at("0 20 * * 1-5"), &json!({ "MinSize": 0, "MaxSize": 0, "TimeZone": zone }));
        has(at("0 7 * * 1-5"), &json!({ "MinSize": low, "MaxSize": high, "TimeZone": zone }));
    }
    assert_eq!(cloud.count("schedules"), 4, "and nobody else");
}

/// The user's policies are attached where they were asked for and nowhere else.
fn own_policies(cloud: &Cloud) {
    let has_policy = |component: &str| cloud.rights(component).contains("arn:aws:s3:::example-data/*");
    assert!(has_policy("ApiServer") && has_policy("WorkerBig"));
    assert!(!has_policy("Scheduler") && !has_policy("WorkerDefault"));
    let managed = |component: &str| {
        let attached = cloud.role(component)["Attached"].as_array().unwrap();
        attached.iter().any(|arn| text(arn).ends_with("/AmazonS3ReadOnlyAccess"))
    };
    assert!(managed("ApiServer") && !managed("Scheduler"));
}

/// Only who starts sessions and users may read what they are signed and made with.
fn secrets_are_apart(cloud: &Cloud) {
    for secret in ["JwtSecretArn", "AdminSecretArn"] {
        let arn = cloud.output(secret);
        assert!(cloud.rights("ApiServer").contains(arn), "{secret}");
        assert!(!cloud.rights("WorkerDefault").contains(arn), "{secret}: code of DAGs runs there");
    }
    for component in ["ApiServer", "Scheduler", "WorkerDefault"] {
        assert_eq!(cloud.role(component)["Path"], "/ductwork/ductwork-local/");
    }
}
