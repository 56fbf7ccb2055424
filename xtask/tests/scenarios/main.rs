//! The ways an environment can be set up, each by a real `deploy` to the local cloud, and back.
//!
//! The hosts run a stub instead of Airflow, so that a deployment takes seconds and what is looked at is
//! the platform: what CloudFormation made, asked of the services themselves. One environment is led from
//! one set-up to the next, since every deployment costs its seconds; a second one stands beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, clippy::print_stderr)]

mod account;
mod bake;
mod broker;
mod canary;
mod canary_task;
mod change;
mod cloud;
mod dags;
mod drains;
mod ec2;
mod ecs;
mod engines;
mod entry;
mod environments;
mod git;
mod git_server;
mod hosts;
mod lease;
mod network;
mod objects;
mod outside;
mod services;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod watch;
mod workflows;

use cloud::{Cloud, text};
use engines::Engine;
use environments::{ADDITIONAL, Existing, POLICY, deploy};
use serde_json::{Value, json};
use support::project::Project;

/// A scratch project of an engine, and what its cloud held before the first deployment.
struct Stage {
    engine: &'static Engine,
    project: Project,
    existing: Existing,
    before: Cloud,
}

impl Stage {
    fn new(engine: &'static Engine) -> Self {
        let project = match engine.name {
            "ec2" => Project::without_airflow(),
            _ => Project::without_airflow_in_tasks(),
        };
        // The role with which GitHub deploys `local` would reach it, which a stage asks for.
        project.remove("environments/local-fargate.toml");
        project.run(&["local", "up"]).expect(0);
        let existing = Existing::prepare(&project);
        let before = Cloud::look(&project);
        Self { engine, project, existing, before }
    }

    /// What is there that was not before.
    #[track_caller]
    fn made(&self) -> Cloud {
        Cloud::look(&self.project).since(&self.before)
    }
}

/// Runs every check and fails after the last: a deployment is too dear to be told one fault at a time.
macro_rules! all {
    ($($check:expr),* $(,)?) => {{
        let checks: Vec<(&str, Box<dyn Fn() + '_>)> = vec![$((stringify!($check), Box::new(|| { $check; }))),*];
        let mut failed = checks;
        failed.retain(|(_, check)| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err()
        });
        let failed: Vec<&str> = failed.into_iter().map(|(name, _)| name).collect();
        assert!(failed.is_empty(), "see above for {failed:#?}");
    }};
}
pub(crate) use all;

fn announce(what: &str) {
    support::say(&format!("--- {what}"));
}

/// What needs nothing and costs least; the second deployment finds nothing to do.
fn smallest(stage: &Stage) -> Value {
    announce("smallest");
    let result = deploy(&stage.project, &stage.engine.smallest());
    assert_eq!(result["outcome"], "deployed");
    let again = stage.project.deploy();
    assert_eq!((&again["outcome"], &again["uploads"]), (&json!("unchanged"), &json!(0)));
    let made = stage.made();
    is_smallest(stage, &made);
    watch::tags(&made, text(&result["release"]));
    result
}

fn is_smallest(stage: &Stage, made: &Cloud) {
    all!(
        network::own(made, 2, stage.engine.nats),
        network::endpoints(made, false),
        network::reach_is_least(made, stage.project.port, &["127.0.0.1/32"], None),
        stores::postgres(made, &json!({ "MultiAZ": false, "DeletionProtection": false })),
        stores::sqs(made, &["default"]),
        stores::logs_bucket(made, 365),
        stores::secrets(made),
        (stage.engine.looks.smallest)(stage, made),
        watch::alarms(made, &["ApproximateAgeOfOldestMessage", "FreeStorageSpace"]),
        watch::is_protected(made, false),
    );
    let options = [
        "balancers",
        "target_groups",
        "firewalls",
        "file_systems",
        "backup_plans",
        "budgets",
        "subscriptions",
        "schedules",
        "trails",
        "flow_logs",
    ];
    made.none(&options);
}

/// One switch, and protection: two of everything in three zones, behind a load balancer.
fn highly_available(stage: &Stage) {
    announce("highly available");
    let result = deploy(&stage.project, &stage.engine.highly_available());
    assert_eq!(result["outcome"], "deployed");
    let made = stage.made();
    let balancer = entry::balancer(&made, "internal", &made.list("SubnetIds"), stage.project.port);
    all!(
        network::own(&made, 3, 3),
        network::endpoints(&made, true),
        network::flow_logs(&made),
        network::reach_is_least(&made, stage.project.port, &["127.0.0.1/32"], Some("internal")),
        stores::postgres(&made, &json!({ "MultiAZ": true, "DeletionProtection": true })),
        stores::sqs(&made, &["default"]),
        (stage.engine.looks.highly_available)(stage, &made),
        entry::plain(balancer),
        entry::access_logs(balancer),
        watch::alarms(&made, &["HTTPCode_Target_5XX_Count", "UnHealthyHostCount"]),
        watch::is_protected(&made, true),
        watch::trail(&made),
        watch::tags(&made, text(&result["release"])),
    );
}

/// Protection ends with a deployment of its own: a database that is still protected cannot be replaced. Others
/// get the alerts from now on.
fn no_longer_protected(stage: &Stage) {
    announce("no longer protected");
    let text = stage.engine.highly_available().replace("protected = true", "protected = false");
    is_seen_beforehand(stage, &text);
    let result = deploy(&stage.project, &text);
    assert_eq!(result["outcome"], "deployed");
    watch::is_protected(&stage.made(), false);
}

/// The plan looks into nested stacks. All of them get a new tag, so values that are wired between them are not known
/// and CloudFormation announces replacements; none of them is taken for one.
fn is_seen_beforehand(stage: &Stage, text: &str) {
    environments::write(&stage.project, text);
    let plan = stage.project.run(&["plan", "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!(plan["stack"]["unseen"], Value::Null);
    let rows = plan["stack"]["changes"].as_array().unwrap();
    let row = |path: &str| rows.iter().find(|row| row["path"] == path).unwrap_or_else(|| panic!("{rows:#?}"));
    for wired in ["Database/Database", "Security/DatabaseSecurityGroup"] {
        assert_eq!(row(wired)["replacement"], "unknown", "{wired}");
    }
    assert!(row("Database/Database")["reasons"].to_string().contains("DeletionProtection"));
    let known = |row: &&Value| row["action"] == "remove" || row["replacement"] == "always";
    let lost: Vec<_> = rows.iter().filter(known).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

/// Another database, another broker, three worker sets, and every option.
fn everything(stage: &Stage) {
    announce("everything");
    stage.project.write("policies/read-data.json", POLICY);
    stage.project.write("additional/note.yaml", ADDITIONAL);
    let result = deploy(&stage.project, &stage.engine.everything());
    assert_eq!(result["outcome"], "deployed");
    let made = stage.made();
    let outsiders = ["203.0.113.0/24", "198.51.100.7/32"];
    let public = made.list("PublicSubnetIds");
    let balancer = entry::balancer(&made, "internet-facing", &public, stage.project.port);
    let note = made.get("parameters", "/scenarios/note");
    let deploys = made.get("roles", made.output("DeployRoleArn").rsplit('/').next().unwrap());
    all!(
        network::own(&made, 2, 1),
        network::reach_is_least(&made, stage.project.port, &outsiders, Some("internet-facing")),
        stores::aurora(&made),
        stores::valkey(&made),
        stores::secrets(&made),
        stores::files(&made),
        stores::backups(&made),
        stores::logs_bucket(&made, 90),
        (stage.engine.looks.everything)(stage, &made),
        entry::firewall(&made, balancer),
        watch::alarms(&made, &["EngineCPUUtilization"]),
        entry::google(&made),
        entry::mail(&made),
        watch::people(&made),
        watch::tags(&made, text(&result["release"])),
        assert_eq!(note["Value"], format!("{} everyone calm", made.output("LogsBucket"))),
        assert!(made.only("identity_providers")["Arn"].is_string()),
        assert!(
            deploys["AssumeRolePolicyDocument"].to_string().contains("repo:example/data:environment:local")
        ),
    );
}

/// A rollback is a deployment like any other, and ends at exactly the release it began with. What is `refused`
/// beforehand, if anything, is forced.
fn back(stage: &Stage, first: &Value, refused: Option<&str>) {
    announce("back");
    environments::write(&stage.project, &stage.engine.smallest());
    let args = ["deploy", "--env", "local", "--yes", "--format", "json"];
    if let Some(why) = refused {
        let refused = stage.project.run(&args).expect(2);
        assert!(refused.stdout.contains(why), "{}", refused.stdout);
    }
    let force: &[&str] = if refused.is_some() { &["--force"] } else { &[] };
    let result = stage.project.run(&[&args[..], force].concat()).expect(0).json();
    assert_eq!((&result["outcome"], &result["release"]), (&json!("deployed"), &first["release"]));
    is_smallest(stage, &stage.made());
}

/// What outlives an environment, as `templates/README.md` says.
const OUTLIVES: [&str; 8] = [
    "buckets ductwork-000000000000-us-east-1",
    "stacks ductwork-bootstrap",
    "identity_providers ",
    "repositories ductwork",
    "snapshots ",
    "cluster_snapshots ",
    "vaults ductwork-local-",
    "buckets ductwork-local-audit-",
];

fn destroyed(stage: &Stage) {
    announce("destroyed");
    let project = &stage.project;
    project.run(&["destroy", "--env", "local", "--yes"]).expect(0);
    let left = Cloud::look(project);
    let (before, after) = (stage.before.inventory(), left.inventory());
    let gone: Vec<&String> = before.difference(&after).collect();
    assert!(gone.is_empty(), "what was there before is gone: {gone:#?}");
    let outlives = |one: &&String| !OUTLIVES.iter().any(|kept| one.starts_with(kept));
    let left: Vec<&String> = after.difference(&before).filter(outlives).collect();
    assert!(left.is_empty(), "left: {left:#?}");
    let hosts: Vec<String> =
        project.processes().into_values().filter(|line| line.contains("stub.py")).collect();
    assert!(hosts.is_empty(), "{hosts:?}");
}

/// GitHub's role, with all that the tool asked for each environment since the first deployment.
fn the_deploy_role_suffices(stage: &Stage, environments: &[(&str, &str)]) {
    announce("deploy role");
    for (environment, secret) in environments {
        let judge = ["-m", "localcloud.iam.tool", "--environment", environment, "--secret", secret];
        let tasks: &[&str] = if stage.engine.name == "ec2" { &[] } else { &["--tasks"] };
        let judged = stage.project.python(&[&judge, tasks].concat()).expect(0);
        support::say(&format!("    {environment}: {}", judged.stderr.lines().last().unwrap_or_default()));
    }
}
