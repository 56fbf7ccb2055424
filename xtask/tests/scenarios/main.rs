//! The ways an environment can be set up, each by a real `deploy` to the local cloud, and back.
//!
//! The hosts run a stub instead of Airflow, so that a deployment takes seconds and what is looked at is
//! the platform: what CloudFormation made, asked of the services themselves. One environment is led from
//! one set-up to the next, since every deployment costs its seconds; a second one stands beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, clippy::print_stderr)]

mod account;
mod cloud;
mod dags;
mod entry;
mod environments;
mod hosts;
mod network;
mod objects;
mod outside;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod watch;
mod workflows;

use cloud::{Cloud, text};
use environments::{
    ADDITIONAL, EVERYTHING, Existing, HIGHLY_AVAILABLE, POLICY, SMALLEST, as_shipped, deploy, second,
};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::free_ports;
use support::project::Project;

/// A scratch project, and what its cloud held before the first deployment.
struct Stage {
    project: Project,
    existing: Existing,
    before: Cloud,
}

impl Stage {
    fn new() -> Self {
        let project = Project::without_airflow();
        // The role with which GitHub deploys `local` would reach it, which a stage asks for.
        project.remove("environments/local-fargate.toml");
        project.run(&["local", "up"]).expect(0);
        let existing = Existing::prepare(&project);
        let before = Cloud::look(&project);
        Self { project, existing, before }
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
        failed.retain(|(_, check)| catch_unwind(AssertUnwindSafe(check)).is_err());
        let failed: Vec<&str> = failed.into_iter().map(|(name, _)| name).collect();
        assert!(failed.is_empty(), "see above for {failed:#?}");
    }};
}

fn announce(what: &str) {
    support::say(&format!("--- {what}"));
}

#[test]
fn from_the_smallest_to_everything_and_back() {
    let stage = Stage::new();
    let first = smallest(&stage);
    highly_available(&stage);
    no_longer_protected(&stage);
    everything(&stage);
    what_cannot_be_previewed(&stage);
    back(&stage, &first);
    beside_it_in_an_existing_network(&stage);
    as_shipped_for_aws(&stage);
    destroyed(&stage);
    the_deploy_role_suffices(&stage);
}

/// What needs nothing and costs least; the second deployment finds nothing to do.
fn smallest(stage: &Stage) -> Value {
    announce("smallest");
    let result = deploy(&stage.project, SMALLEST);
    assert_eq!(result["outcome"], "deployed");
    let again = stage.project.deploy();
    assert_eq!((&again["outcome"], &again["uploads"]), (&json!("unchanged"), &json!(0)));
    let made = stage.made();
    is_smallest(stage, &made);
    all!(watch::tags(&made, text(&result["release"])), hosts::agents(&stage.project, &made, false),);
    result
}

fn is_smallest(stage: &Stage, made: &Cloud) {
    all!(
        network::own(made, 2, 0),
        network::endpoints(made, false),
        network::reach_is_least(made, stage.project.port, &["127.0.0.1/32"], None),
        stores::postgres(made, &json!({ "MultiAZ": false, "DeletionProtection": false })),
        stores::sqs(made, &["default"]),
        stores::logs_bucket(made, 365),
        stores::secrets(made),
        hosts::count(made, &[("ApiServer", 1, 1, 1), ("Scheduler", 1, 1, 1), ("WorkerDefault", 1, 1, 1)]),
        hosts::are_hardened(made),
        hosts::are_deployed_to(made, &["ApiServer", "Scheduler", "WorkerDefault"]),
        hosts::drain(made, "WorkerDefaultAutoScalingGroup"),
        hosts::secrets_are_apart(made),
        watch::alarms(made, &["ApproximateAgeOfOldestMessage", "FreeStorageSpace"]),
        watch::logs(made, 30),
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
    let result = deploy(&stage.project, HIGHLY_AVAILABLE);
    assert_eq!(result["outcome"], "deployed");
    let made = stage.made();
    let balancer = entry::balancer(&made, "internal", &made.list("SubnetIds"), stage.project.port);
    let group = made.group("ApiServerAutoScalingGroup");
    all!(
        network::own(&made, 3, 3),
        network::endpoints(&made, true),
        hosts::agents(&stage.project, &made, true),
        network::flow_logs(&made),
        network::reach_is_least(&made, stage.project.port, &["127.0.0.1/32"], Some("internal")),
        stores::postgres(&made, &json!({ "MultiAZ": true, "DeletionProtection": true })),
        stores::sqs(&made, &["default"]),
        hosts::count(&made, &[("ApiServer", 2, 2, 2), ("Scheduler", 2, 2, 2), ("WorkerDefault", 2, 3, 2)]),
        hosts::are_hardened(&made),
        entry::plain(balancer),
        entry::access_logs(balancer),
        assert_eq!(group["TargetGroupARNs"], json!([made.only("target_groups")["TargetGroupArn"]])),
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
    let text = HIGHLY_AVAILABLE.replace("protected = true", "protected = false");
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
    let result = deploy(&stage.project, EVERYTHING);
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
        hosts::count(
            &made,
            &[
                // Within its new bounds, the number of hosts is scaling's, not the update's.
                ("ApiServer", 1, 1, 1),
                ("Scheduler", 1, 1, 1),
                ("WorkerDefault", 1, 2, 2),
                ("WorkerBig", 0, 4, 0),
            ],
        ),
        hosts::are_deployed_to(&made, &["ApiServer", "Scheduler", "WorkerDefault", "WorkerBig"]),
        hosts::worker_sets(&made),
        hosts::spot(&made),
        hosts::drain(&made, "WorkerBigAutoScalingGroup"),
        hosts::mount(&made, made.output("FileSystemId")),
        hosts::hibernation(&made),
        hosts::own_policies(&made),
        hosts::google(&made),
        hosts::mail(&made),
        entry::firewall(&made, balancer),
        watch::alarms(&made, &["EngineCPUUtilization"]),
        watch::logs(&made, 60),
        watch::people(&made),
        watch::tags(&made, text(&result["release"])),
        assert_eq!(note["Value"], format!("{} everyone calm", made.output("LogsBucket"))),
        assert!(made.only("identity_providers")["Arn"].is_string()),
        assert!(
            deploys["AssumeRolePolicyDocument"].to_string().contains("repo:example/data:environment:local")
        ),
    );
}

/// A template of the user's own selects from a list of another stack. CloudFormation cannot evaluate that before
/// it runs, and the deployment goes without looking into nested stacks.
fn what_cannot_be_previewed(stage: &Stage) {
    announce("a template that nobody can look into beforehand");
    let project = &stage.project;
    project.write("additional/note.yaml", environments::SELECTING);
    let plan = project.run(&["plan", "--env", "local", "--format", "json"]).expect(0).json();
    let why = text(&plan["stack"]["unseen"]);
    assert!(why.contains("Fn::Select cannot select nonexistent value at index 1"), "{why}");
    assert_eq!(project.deploy()["outcome"], "deployed");
    let made = stage.made();
    let note = text(&made.get("parameters", "/scenarios/note")["Value"]);
    assert_eq!(note, made.output("SubnetId2"));
}

/// A rollback is a deployment like any other, and ends at exactly the release it began with.
fn back(stage: &Stage, first: &Value) {
    announce("back");
    environments::write(&stage.project, SMALLEST);
    // Workers run behind a NAT gateway that would go.
    let args = ["deploy", "--env", "local", "--yes", "--format", "json"];
    let refused = stage.project.run(&args).expect(2);
    assert!(refused.stdout.contains("2 hosts of the worker set `default`"), "{}", refused.stdout);
    let result = stage.project.run(&[&args[..], &["--force"]].concat()).expect(0).json();
    assert_eq!((&result["outcome"], &result["release"]), (&json!("deployed"), &first["release"]));
    is_smallest(stage, &stage.made());
}

/// Another environment in a network that was there: MySQL and HTTPS by both ways to a certificate, then a
/// database that was there. What is named `https://…` cannot be reached from here, so those two
/// deployments end after the stack.
fn beside_it_in_an_existing_network(stage: &Stage) {
    announce("existing network, MySQL, requested certificate");
    let (project, existing) = (&stage.project, &stage.existing);
    let before = Cloud::look(project);
    let port = free_ports();
    let secure = format!("url = \"https://airflow.example.com\"\nport = {port}");
    let entry = |certificate: &str| {
        let zone = &existing.zone;
        format!(
            "\n[entry]\nload_balancer = \"internet_facing\"\nhosted_zone_id = \"{zone}\"\n{certificate}\n\
             [database]\nengine = \"mysql\"\nversion = \"8.4\"\n"
        )
    };
    let stack_only = |text: &str| {
        project.write("environments/second.toml", text);
        let run =
            project.run_with(&["deploy", "--env", "second", "--yes"], &[("DUCTWORK_STOP_AFTER", "stack")]);
        assert_eq!(run.code, None, "{}", run.stderr);
        Cloud::look(project).since(&before)
    };
    let made = stack_only(&second(existing, &secure, &entry("")));
    all!(network::existing(&made, &existing.private), stores::mysql(&made),);
    let public = existing.public.iter().map(String::as_str).collect();
    let balancer = entry::balancer(&made, "internet-facing", &public, port);
    entry::encrypted(balancer, text(&made.only("certificates")["CertificateArn"]));
    let zone = Cloud::look(project);
    entry::named(&made, zone.get("zones", &format!("/hostedzone/{}", existing.zone)), balancer);

    announce("existing certificate");
    let certificate = format!("certificate_arn = \"{}\"\n", existing.certificate);
    let made = stack_only(&second(existing, &secure, &entry(&certificate)));
    entry::encrypted(made.only("balancers"), &existing.certificate);
    made.none(&["certificates"]);

    announce("existing database");
    let url = &existing.database_url;
    let database = format!("\n[database]\nengine = \"existing\"\nurl_secret = \"{url}\"\n");
    project.write("environments/second.toml", &second(existing, &format!("port = {port}"), &database));
    let result = project.run(&["deploy", "--env", "second", "--yes", "--format", "json"]).expect(0).json();
    assert_eq!(result["outcome"], "deployed");
    let made = Cloud::look(project).since(&before);
    all!(
        network::existing(&made, &existing.private),
        stores::existing_database(&made, url),
        made.none(&["balancers", "target_groups"]),
    );
}

/// What a team begins with on AWS: `dev.toml` has no load balancer, and yet Airflow can be reached. Nobody
/// answers at that address here, so the deployment ends after the stack.
fn as_shipped_for_aws(stage: &Stage) {
    announce("dev.toml as it is shipped");
    let project = &stage.project;
    let before = Cloud::look(project);
    project.write("environments/dev.toml", &as_shipped(project));
    let endpoint = project.endpoint();
    let env = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("DUCTWORK_STOP_AFTER", "stack"),
    ];
    let run = project.run_with(&["deploy", "--env", "dev", "--yes"], &env);
    assert_eq!(run.code, None, "{}", run.stderr);
    let made = Cloud::look(project).since(&before);
    all!(
        network::is_reached_at_its_address(&made, "203.0.113.7/32", 8080),
        made.none(&["balancers", "nat_gateways"]),
        assert_eq!(made.count("groups"), 2),
    );
    let env = &env[..3];
    project.run_with(&["destroy", "--env", "dev", "--yes"], env).expect(0);
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
    for environment in ["second", "local"] {
        project.run(&["destroy", "--env", environment, "--yes"]).expect(0);
    }
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
fn the_deploy_role_suffices(stage: &Stage) {
    announce("deploy role");
    for (environment, secret) in
        [("local", ""), ("second", stage.existing.database_url.as_str()), ("dev", "")]
    {
        let judge = ["-m", "localcloud.iam.tool", "--environment", environment, "--secret", secret];
        let judged = stage.project.python(&judge).expect(0);
        support::say(&format!("    {environment}: {}", judged.stderr.lines().last().unwrap_or_default()));
    }
}
