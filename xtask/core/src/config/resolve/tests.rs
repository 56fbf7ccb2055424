//! Whole files in, the environment or every problem out.

use crate::config::environment::Vpc;
use crate::config::values::MOST_PARAMETER_BYTES;
use crate::config::{Endpoint, Environment, Images, resolve};
use crate::fail::{Kind, Problem};
use crate::model::contract::CONTRACT;
use crate::model::engine::Engine;
use std::fmt::Write as _;

/// The key of `[entry]` that an address with https needs.
pub(super) const CERTIFICATE: &str =
    "certificate_arn = 'arn:aws:acm:eu-central-1:111122223333:certificate/0a'\n";

/// A file that is complete, and whatever is to be added to it.
pub(super) fn aws(more: &str) -> String {
    with_url("http://airflow.example.com:8080", more)
}

/// The same at an address that only a load balancer answers.
pub(super) fn balanced(more: &str) -> String {
    with_url("https://airflow.example.com", more)
}

fn with_url(url: &str, more: &str) -> String {
    let entry = if more.contains("[entry]") { "" } else { "\n[entry]\nallowed_cidrs = ['203.0.113.0/24']\n" };
    format!(
        "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[airflow]\nurl = '{url}'\n{more}{entry}"
    )
}

pub(super) fn good(text: &str) -> Environment {
    resolve("dev", text, "environments/dev.toml").unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

pub(super) fn bad(text: &str) -> String {
    shown(&resolve("dev", text, "environments/dev.toml").unwrap_err())
}

pub(super) fn shown(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let Problem { kind, location, message, hint } = problem;
        writeln!(text, "{location}: {message} [{kind}]\n    {hint}").unwrap();
        text
    })
}

#[test]
fn the_local_file_needs_one_line() {
    let environment = resolve("local", "aws.endpoint = 'local'", "").unwrap();
    assert_eq!(environment.aws.endpoint, Endpoint::Local);
    assert_eq!(environment.stack_name(), "ductwork-local");
    let parameters = environment.parameters(&Images::example(), None);
    insta::assert_snapshot!(serde_json::to_string_pretty(&parameters).unwrap(), @r#"
    {
      "AccessLogs": "false",
      "AirflowConfig": "{\"core.dagbag_import_timeout\":\"30\",\"core.load_examples\":\"False\",\"dag_processor.dag_file_processor_timeout\":\"50\",\"dag_processor.refresh_interval\":\"5\",\"database.load_default_connections\":\"False\"}",
      "AirflowPort": "8080",
      "AirflowUrl": "http://127.0.0.1:8080",
      "AlertEmail": "",
      "AllowedCidrs": "127.0.0.1/32",
      "ApiServerCount": "1",
      "ApiServerInstanceType": "t3.small",
      "ApiServerManagedPolicyArns": "",
      "ApiServerOnScheduler": "false",
      "ApiServerVolumeGiB": "30",
      "ArtifactBucket": "ductwork-000000000000-us-east-1",
      "AuditTrail": "false",
      "AuroraMaxCapacity": "4",
      "AuroraMinCapacity": "0.5",
      "AvailabilityZoneCount": "2",
      "BrokerKind": "sqs",
      "BudgetUsd": "0",
      "CacheNodeType": "cache.t4g.small",
      "CacheReplicas": "0",
      "CertificateArn": "",
      "DatabaseBackupDays": "7",
      "DatabaseEngine": "postgres",
      "DatabaseInstanceClass": "db.t4g.small",
      "DatabaseMaxStorageGiB": "100",
      "DatabaseMultiAz": "false",
      "DatabaseSnapshot": "",
      "DatabaseStorageGiB": "20",
      "DatabaseUrlSecretArn": "",
      "DatabaseVersion": "17",
      "DrainSeconds": "1800",
      "EntryDomain": "127.0.0.1",
      "EntryScheme": "none",
      "EnvironmentName": "local",
      "EnvironmentVariables": "{}",
      "ExistingPublicSubnetIds": "",
      "ExistingSubnetIds": "",
      "ExistingVpcId": "",
      "FlowLogs": "false",
      "GitHubRepository": "",
      "HostImage": "ami-00000000",
      "HostImageParameter": "",
      "HostPackages": "",
      "HostedZoneId": "",
      "InterfaceEndpoints": "false",
      "Local": "true",
      "LogRetentionDays": "365",
      "LoginConfig": "{\"default_role\":\"Viewer\",\"method\":\"password\",\"roles\":{},\"service_role\":\"Op\"}",
      "MailConfig": "{}",
      "NatMode": "none",
      "PackageIndex": "",
      "ProjectName": "ductwork",
      "Protected": "false",
      "ReleaseSource": "local",
      "ScheduleTimeZone": "UTC",
      "SchedulerCount": "1",
      "SchedulerInstanceType": "t3.medium",
      "SchedulerManagedPolicyArns": "",
      "SchedulerVolumeGiB": "30",
      "ServiceLogRetentionDays": "30",
      "SharedFiles": "false",
      "SleepCron": "",
      "VaultRetentionDays": "0",
      "VpcCidr": "10.0.0.0/16",
      "WakeCron": "",
      "WebFirewall": "false"
    }
    "#);
}

#[test]
fn the_engine_is_ec2_and_an_unknown_one_is_refused() {
    assert_eq!(good(&aws("")).engine, Engine::Ec2);
    assert_eq!(good(&format!("engine = 'ec2'\n{}", aws(""))).engine, Engine::Ec2);
    insta::assert_snapshot!(bad(&format!("engine = 'fargat'\n{}", aws(""))), @r"
    environments/dev.toml:1 `engine`: invalid engine: `fargat` [invalid_value]
        use `fargate`, or else `ec2` or `ecs-ec2`
    ");
}

/// Only the endpoint decides it, and another endpoint than `local` is not on this machine.
#[test]
fn templates_are_told_whether_the_cloud_is_local() {
    let local = |environment: &Environment| {
        assert_eq!(
            environment.parameters(&Images::example(), None)["Local"],
            environment.is_local().to_string()
        );
        environment.is_local()
    };
    assert!(local(&good("aws.endpoint = 'local'")));
    assert!(!local(&good(&aws(""))));
    let url = "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\nendpoint = 'http://127.0.0.1:4566'\n\
               [entry]\nallowed_cidrs = ['203.0.113.0/24']\n";
    assert!(!local(&good(url)));
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = r#"
project = 7
protected = "true"
[aws]
account = "1234"
regoin = "eu-central-1"
[airflow]
url = "airflow.example.com"
port = 80
config = { "core.executor" = "LocalExecutor", "core.fernet_key" = "x" }
[network]
vpc_id = "vpc-0a1b2c3d"
vpc_cidr = "10.0.0.0/8"
subnet_ids = ["subnet-0a1b2c3d", 4]
[database]
instance_class = "db.t4g.huge"
storage_gib = 200
max_storage_gib = 210
[hosts]
instance_type = "m7g.large"
[workers.default]
instance_type = "m7g.large"
min = 3
max = 2
concurrency = 0
[tags]
environment = "x"
since = 2026-01-01
"#;
    insta::assert_snapshot!(bad(text), @r#"
    environments/dev.toml:2 `project`: expected a string, found an integer [wrong_type]
        put it in quotes: `project = "7"`
    environments/dev.toml:3 `protected`: expected true or false, found a string [wrong_type]
        remove the quotes: `protected = true`
    environments/dev.toml:5 `aws.account`: invalid account ID: `1234` (expected 12 digits) [invalid_value]
        find it: aws sts get-caller-identity --query Account --output text
    environments/dev.toml:6 `aws.regoin`: unknown key [unknown_key]
        rename it to `region`, or remove it
    environments/dev.toml:8 `airflow.url`: invalid URL: `airflow.example.com` (it must start with `http://` or `https://`) [invalid_value]
        use a URL like `https://airflow.example.com` or `http://127.0.0.1:8080`
    environments/dev.toml:9 `airflow.port`: `80` is out of range: 1024 to 65535 (ports below 1024 are reserved) [invalid_value]
        use a number from 1024 to 65535
    environments/dev.toml:10 `airflow.config.core.executor`: `core.executor` is set by the tool [owned_key]
        set `executors`
    environments/dev.toml:10 `airflow.config.core.fernet_key`: `core.fernet_key` appears to contain a secret; secrets do not belong in this file [secret]
        remove it: the stack generates the secrets of Airflow itself; store those of connections and variables in Secrets Manager
    environments/dev.toml:12 `network.vpc_id`: `vpc_id` and `vpc_cidr` cannot be used together [conflict]
        remove `vpc_cidr` to use the existing VPC, or `vpc_id` and `subnet_ids` to create a new one
    environments/dev.toml:13 `network.vpc_cidr`: too large or too small for a VPC: `10.0.0.0/8` [invalid_value]
        use a prefix length from 16 to 20, such as `10.0.0.0/16`
    environments/dev.toml:14 `network.subnet_ids`: expected an array of strings, found an array with other values [wrong_type]
        write an array of strings; `environments/dev.toml` explains `subnet_ids`
    environments/dev.toml:16 `database.instance_class`: `t4g` has no size `huge` [invalid_value]
        use one of its sizes: nano, micro, small, medium, large, xlarge, 2xlarge
    environments/dev.toml:18 `database.max_storage_gib`: 210 GiB is less than 10 % above `storage_gib`, which is 200 GiB [conflict]
        use 220 or more, or remove the key
    environments/dev.toml:20 `hosts.instance_type`: unknown key [unknown_key]
        write it as `hosts.api_server.instance_type`, `hosts.scheduler.instance_type`, `cluster.instance_type` or `workers.default.instance_type`, or remove it
    environments/dev.toml:22 `workers.default.instance_type`: `m7g.large` is arm64, but the hosts are x86_64 [conflict]
        use a type of x86_64, or set `hosts.architecture = "arm64"` for all hosts
    environments/dev.toml:24 `workers.default.max`: 2 is less than `min`, which is 3 [conflict]
        use 3 or more, or lower `min`
    environments/dev.toml:25 `workers.default.concurrency`: `0` is out of range: 1 to 128 tasks [invalid_value]
        use a number from 1 to 128
    environments/dev.toml:27 `tags.environment`: the tag `environment` is set by the tool [owned_key]
        remove it, or use another key
    environments/dev.toml:28 `tags.since`: expected a string, number or boolean, found a datetime [wrong_type]
        put it in quotes: `"since" = "2026-01-01"`
    environments/dev.toml `aws.region`: required key is missing [missing_key]
        add `region = "eu-central-1"`, or another region, under `[aws]`
    environments/dev.toml `entry.allowed_cidrs`: required key is missing [missing_key]
        add `allowed_cidrs = ["203.0.113.7/32"]` under `[entry]`, with the addresses of your office or VPN; this prints your own: curl https://checkip.amazonaws.com
    "#);
}

#[test]
fn what_is_missing_is_told_with_the_cure() {
    insta::assert_snapshot!(bad(""), @r#"
    environments/dev.toml `aws.account`: required key is missing [missing_key]
        add `account = "…"` under `[aws]`, with the number that this prints: aws sts get-caller-identity --query Account --output text
    environments/dev.toml `aws.region`: required key is missing [missing_key]
        add `region = "eu-central-1"`, or another region, under `[aws]`
    environments/dev.toml `entry.allowed_cidrs`: required key is missing [missing_key]
        add `allowed_cidrs = ["203.0.113.7/32"]` under `[entry]`, with the addresses of your office or VPN; this prints your own: curl https://checkip.amazonaws.com
    "#);
    insta::assert_snapshot!(bad(&aws("[network]\nvpc_id = 'vpc-0a1b2c3d'")), @r#"
    environments/dev.toml:5 `airflow.url`: the load balancer listens on port 80, not 8080 [conflict]
        remove the port, or the load balancer
    environments/dev.toml `network.subnet_ids`: required key is missing [missing_key]
        add `subnet_ids = ["subnet-…", "subnet-…"]` under `[network]`: subnets of the VPC in two availability zones
    "#);
}

#[test]
fn a_file_that_is_not_toml() {
    insta::assert_snapshot!(bad("[aws\naccount = 12 34\nregion == 'x'\n"), @r"
    environments/dev.toml:1: invalid TOML: unclosed table, expected `]` [invalid_toml]
        correct the line; the syntax is described at https://toml.io
    environments/dev.toml:3: invalid TOML: extra `=`, expected nothing [invalid_toml]
        correct the line; the syntax is described at https://toml.io
    environments/dev.toml:3: invalid TOML: unexpected key or value, expected newline, `#` [invalid_toml]
        correct the line; the syntax is described at https://toml.io
    ");
}

#[test]
fn tables_and_values_in_each_others_place() {
    insta::assert_snapshot!(bad("aws = 'x'\n[project]\na = 1\n[[hosts]]\nb = 2\n"), @r#"
    environments/dev.toml:1 `aws`: expected a table, found a string [wrong_type]
        start a table with the line `[aws]` and put its keys below
    environments/dev.toml:2 `project`: expected a string, found a table [wrong_type]
        write a string; `environments/dev.toml` explains `project`
    environments/dev.toml:4 `hosts`: expected a table, found an array [wrong_type]
        start a table with the line `[hosts]` and put its keys below
    environments/dev.toml `entry.allowed_cidrs`: required key is missing [missing_key]
        add `allowed_cidrs = ["203.0.113.7/32"]` under `[entry]`, with the addresses of your office or VPN; this prints your own: curl https://checkip.amazonaws.com
    "#);
}

#[test]
fn names_that_aws_would_refuse() {
    let long = "a".repeat(90);
    insta::assert_snapshot!(bad(&format!("project = '{long}'\n{}", aws(""))), @r"
    environments/dev.toml:1 `project`: the name of the queue would be 116 characters long, the limit is 80 [name_too_long]
        shorten the project name by 36 characters
    ");
    let audited = format!(
        "project = '{}'\n[audit]\ntrail = true\n[broker]\nkind = 'valkey'\n{}",
        "a".repeat(46),
        aws("")
    );
    insta::assert_snapshot!(bad(&audited), @r"
    environments/dev.toml:1 `project`: the name of the bucket of the audit trail would be 65 characters long, the limit is 63 [name_too_long]
        shorten the project name by 2 characters
    ");
    let bootstrap = resolve("bootstrap", &aws(""), "f.toml").unwrap_err();
    insta::assert_snapshot!(shown(&bootstrap), @r"
    f.toml: the stack name `ductwork-bootstrap` is reserved for the stack with the artifact bucket [invalid_value]
        give the environment file another name
    ");
    let name = resolve("Production_of_Germany", &aws(""), "f.toml").unwrap_err();
    insta::assert_snapshot!(shown(&name), @r"
    f.toml: environment name `Production_of_Germany` is too long: 21 characters, the limit is 20 [invalid_value]
        give the file a shorter name; it becomes part of AWS resource names
    ");
}

#[test]
fn options_of_airflow_must_fit_into_a_parameter() {
    assert!(CONTRACT.limits.airflow_config <= MOST_PARAMETER_BYTES);
    let options: String = (0..100).fold(String::new(), |mut text, i| {
        writeln!(text, "'custom.option_{i}' = '{}'", "x".repeat(30)).unwrap();
        text
    });
    insta::assert_snapshot!(bad(&aws(&format!("[airflow.config]\n{options}"))), @r"
    environments/dev.toml:7 `airflow.config`: too long: 5383 characters as JSON, the limit is 4096 [invalid_value]
        move options that are the same for every environment to `airflow/config/`
    ");
}

#[test]
fn options_of_airflow_are_one_line_of_json() {
    let environment =
        good(&aws("[airflow.config]\n'core.a' = 'x \"y\"'\ncore.b = 2\n[dags]\nparse_timeout_seconds = 60"));
    insta::assert_snapshot!(environment.airflow_config(), @r#"{"core.a":"x \"y\"","core.b":"2","core.dagbag_import_timeout":"60","core.load_examples":"False","dag_processor.dag_file_processor_timeout":"80","dag_processor.refresh_interval":"5","database.load_default_connections":"False"}"#);
}

#[test]
fn defaults_follow_what_is_written() {
    let environment = good(&aws(
        "[hosts]\narchitecture = 'arm64'\n[workers.default]\nmin = 3\n[database]\nstorage_gib = 1001\n",
    ));
    assert_eq!(environment.worker_sets()[0].parameters()["InstanceType"], "t4g.medium");
    assert_eq!(environment.worker_sets()[0].max, 3);
    assert_eq!(environment.database.max_storage_gib, 1102);
}

#[test]
fn an_existing_network() {
    let network = "[network]\nvpc_id = 'vpc-0a1b2c3d'\nsubnet_ids = ['subnet-0a1b2c3d', 'subnet-1a1b2c3d']";
    let environment =
        good(&balanced(&format!("{network}\n[entry]\nallowed_cidrs = ['203.0.113.0/24']\n{CERTIFICATE}")));
    assert!(matches!(&environment.network.vpc, Vpc::Existing { subnets, .. } if subnets.len() == 2));
    assert_eq!(
        environment.parameters(&Images::example(), None)["ExistingSubnetIds"],
        "subnet-0a1b2c3d,subnet-1a1b2c3d"
    );
}

#[test]
fn another_account_or_region_stops() {
    let environment = good(&aws(""));
    assert!(environment.check_identity("111122223333", None).is_ok());
    assert!(environment.check_identity("111122223333", Some("eu-central-1")).is_ok());
    let fail = environment.check_identity("999988887777", Some("us-east-1")).unwrap_err();
    assert_eq!(fail.kind(), Kind::Usage);
    insta::assert_snapshot!(shown(fail.all_problems()), @r"
    environments/dev.toml `aws.account`: the credentials belong to account `999988887777`, but the environment is in `111122223333` [wrong_account]
        use another --env, or credentials of account 111122223333: export AWS_PROFILE=…
    environments/dev.toml `aws.region`: AWS_REGION or AWS_DEFAULT_REGION is `us-east-1`, but the environment is in `eu-central-1` [wrong_region]
        unset the variable, or set it: export AWS_REGION=eu-central-1
    ");
    let local = good("aws.endpoint = 'local'");
    assert!(local.check_identity("000000000000", Some("eu-west-3")).is_ok());
}

#[test]
fn no_file_makes_it_panic() {
    let words = [
        "aws", "=", "[", "]", ".", "'x'", "-1", "{", "}", "\n", "#", "hosts", "workers", "tags", "ä", "\"",
        ",",
    ];
    // A walk through many short files: every pair and triple of these pieces.
    for a in words {
        for b in words {
            for c in words {
                drop(resolve("dev", &format!("{a}{b}{c}{a}"), "f.toml"));
            }
        }
    }
}
