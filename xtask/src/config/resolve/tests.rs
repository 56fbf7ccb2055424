//! Whole files in, the environment or every problem out.

use crate::config::{Endpoint, Environment, Vpc, resolve};
use crate::fail::{Kind, Problem};
use std::fmt::Write as _;

/// A file that is complete, and whatever is to be added to it.
pub(super) fn aws(more: &str) -> String {
    format!(
        "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[airflow]\nurl = 'https://airflow.example.com'\n{more}"
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
    let parameters = environment.parameters();
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
      "ExistingPublicSubnetIds": "",
      "ExistingSubnetIds": "",
      "ExistingVpcId": "",
      "FlowLogs": "false",
      "GitHubRepository": "",
      "HostArchitecture": "x86_64",
      "HostedZoneId": "",
      "InterfaceEndpoints": "false",
      "LogRetentionDays": "365",
      "LoginConfig": "{\"default_role\":\"Viewer\",\"method\":\"password\",\"roles\":{},\"service_role\":\"Op\"}",
      "MailConfig": "{}",
      "NatMode": "none",
      "ProjectName": "ductwork",
      "Protected": "false",
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
    environments/dev.toml:2 `project`: is a whole number, must be a string [wrong_type]
        write it in quotes: `project = "7"`
    environments/dev.toml:3 `protected`: is a string, must be true or false [wrong_type]
        write it without quotes: `protected = true`
    environments/dev.toml:5 `aws.account`: `1234` is no account id, which has 12 digits [invalid_value]
        find it with: aws sts get-caller-identity --query Account --output text
    environments/dev.toml:6 `aws.regoin`: unknown key [unknown_key]
        write `region` if that is what you mean
    environments/dev.toml:8 `airflow.url`: `airflow.example.com` is no web address: it does not begin with `http://` or `https://` [invalid_value]
        write it like `https://airflow.example.com` or `http://127.0.0.1:8080`
    environments/dev.toml:9 `airflow.port`: `80` is out of range: 1024 to 65535 (those below belong to the system) [invalid_value]
        write a number from 1024 to 65535
    environments/dev.toml:10 `airflow.config.core.executor`: `core.executor` is set by the tool [owned_key]
        remove it: tasks run on Celery workers
    environments/dev.toml:10 `airflow.config.core.fernet_key`: `core.fernet_key` holds a secret, and this file is no place for one [secret]
        remove it here: the stack generates Airflow's own secrets, and connections and variables belong into Secrets Manager
    environments/dev.toml:12 `network.vpc_id`: `vpc_id` and `vpc_cidr` exclude each other [conflict]
        remove `vpc_cidr` to live in the existing VPC, or `vpc_id` and `subnet_ids` for an own one
    environments/dev.toml:13 `network.vpc_cidr`: `10.0.0.0/8` is too wide or too narrow for a VPC [invalid_value]
        take a prefix from 16 to 20, like `10.0.0.0/16`
    environments/dev.toml:14 `network.subnet_ids`: is a list, must be a list of strings [wrong_type]
        write a list of strings; `environments/dev.toml` explains `subnet_ids`
    environments/dev.toml:16 `database.instance_class`: `huge` is no size of `t4g` [invalid_value]
        choose one of its sizes: nano, micro, small, medium, large, xlarge, 2xlarge
    environments/dev.toml:18 `database.max_storage_gib`: 210 GiB is less than a tenth above `storage_gib`, 200 GiB [conflict]
        write 220 or more, or remove it
    environments/dev.toml:20 `hosts.instance_type`: unknown key [unknown_key]
        write it as `hosts.api_server.instance_type`, `hosts.scheduler.instance_type` or `workers.default.instance_type` if that is what you mean
    environments/dev.toml:22 `workers.default.instance_type`: `m7g.large` is arm64, the hosts are x86_64 [conflict]
        choose a type of x86_64, or set `hosts.architecture = "arm64"` for all hosts
    environments/dev.toml:24 `workers.default.max`: 2 is less than `min`, 3 [conflict]
        write 3 or more, or lower `min`
    environments/dev.toml:25 `workers.default.concurrency`: `0` is out of range: 1 to 128 tasks [invalid_value]
        write a number from 1 to 128
    environments/dev.toml:27 `tags.environment`: the tag `environment` is set by the tool [owned_key]
        remove it, or choose another key
    environments/dev.toml:28 `tags.since`: is a date, must be a string, a number, true or false [wrong_type]
        put it in quotes
    environments/dev.toml `aws.region`: a required key is missing [missing_key]
        add `region = "eu-central-1"` or another one below `[aws]`
    "#);
}

#[test]
fn what_is_missing_is_told_with_the_cure() {
    insta::assert_snapshot!(bad(""), @r#"
    environments/dev.toml `aws.account`: a required key is missing [missing_key]
        add `account = "…"` below `[aws]`, with what this prints: aws sts get-caller-identity --query Account --output text
    environments/dev.toml `aws.region`: a required key is missing [missing_key]
        add `region = "eu-central-1"` or another one below `[aws]`
    environments/dev.toml `airflow.url`: a required key is missing [missing_key]
        add `url = "https://airflow.example.com"` below `[airflow]`: the address at which people and components will reach Airflow
    "#);
    insta::assert_snapshot!(bad(&aws("[network]\nvpc_id = 'vpc-0a1b2c3d'")), @r#"
    environments/dev.toml `network.subnet_ids`: a required key is missing [missing_key]
        add `subnet_ids = ["subnet-…", "subnet-…"]` below `[network]`: subnets of the VPC in two availability zones
    "#);
}

#[test]
fn a_file_that_is_not_toml() {
    insta::assert_snapshot!(bad("[aws\naccount = 12 34\nregion == 'x'\n"), @r"
    environments/dev.toml:1: not TOML: unclosed table, expected `]` [invalid_toml]
        correct the line; https://toml.io shows the syntax in one page
    environments/dev.toml:3: not TOML: extra `=`, expected nothing [invalid_toml]
        correct the line; https://toml.io shows the syntax in one page
    environments/dev.toml:3: not TOML: unexpected key or value, expected newline, `#` [invalid_toml]
        correct the line; https://toml.io shows the syntax in one page
    ");
}

#[test]
fn tables_and_values_in_each_others_place() {
    insta::assert_snapshot!(bad("aws = 'x'\n[project]\na = 1\n[[hosts]]\nb = 2\n"), @r#"
    environments/dev.toml:1 `aws`: is a string, must be a table [wrong_type]
        write a line `[aws]` and the keys of `aws` below it
    environments/dev.toml:2 `project`: is a table, must be a string [wrong_type]
        write a string; `environments/dev.toml` explains `project`
    environments/dev.toml:4 `hosts`: is a list, must be a table [wrong_type]
        write a line `[hosts]` and the keys of `hosts` below it
    environments/dev.toml `airflow.url`: a required key is missing [missing_key]
        add `url = "https://airflow.example.com"` below `[airflow]`: the address at which people and components will reach Airflow
    "#);
}

#[test]
fn names_that_aws_would_refuse() {
    let long = "a".repeat(90);
    insta::assert_snapshot!(bad(&format!("project = '{long}'\n{}", aws(""))), @r"
    environments/dev.toml:1 `project`: too long: the name of the queue would have 116 characters, 80 at most [name_too_long]
        shorten the name of the project by 36 characters
    ");
    let bootstrap = resolve("bootstrap", &aws(""), "f.toml").unwrap_err();
    insta::assert_snapshot!(shown(&bootstrap), @r"
    f.toml: the stack of this environment would be `ductwork-bootstrap`, which holds the artifact bucket [invalid_value]
        give the file another name
    ");
    let name = resolve("Production_of_Germany", &aws(""), "f.toml").unwrap_err();
    insta::assert_snapshot!(shown(&name), @r"
    f.toml: `Production_of_Germany` is too long for an environment: 21 characters, 20 at most [invalid_value]
        give the file a shorter name: names of AWS resources are made of it
    ");
}

#[test]
fn options_of_airflow_must_fit_into_a_parameter() {
    let options: String = (0..100).fold(String::new(), |mut text, i| {
        writeln!(text, "'custom.option_{i}' = '{}'", "x".repeat(30)).unwrap();
        text
    });
    insta::assert_snapshot!(bad(&aws(&format!("[airflow.config]\n{options}"))), @r"
    environments/dev.toml:7 `airflow.config`: too long: 5383 characters as JSON, 4096 at most [invalid_value]
        move what holds for every environment to `airflow/config/`
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
    assert_eq!(environment.worker_sets()[0].instance_type.as_str(), "t4g.medium");
    assert_eq!(environment.worker_sets()[0].max, 3);
    assert_eq!(environment.database.max_storage_gib, 1102);
}

#[test]
fn an_existing_network() {
    let network = "[network]\nvpc_id = 'vpc-0a1b2c3d'\nsubnet_ids = ['subnet-0a1b2c3d', 'subnet-1a1b2c3d']";
    let environment = good(&aws(network));
    assert!(matches!(&environment.network.vpc, Vpc::Existing { subnets, .. } if subnets.len() == 2));
    assert_eq!(environment.parameters()["ExistingSubnetIds"], "subnet-0a1b2c3d,subnet-1a1b2c3d");
}

#[test]
fn another_account_or_region_stops() {
    let environment = good(&aws(""));
    assert!(environment.check_identity("111122223333", None).is_ok());
    assert!(environment.check_identity("111122223333", Some("eu-central-1")).is_ok());
    let fail = environment.check_identity("999988887777", Some("us-east-1")).unwrap_err();
    assert_eq!(fail.kind(), Kind::Usage);
    insta::assert_snapshot!(shown(fail.all_problems()), @r"
    environments/dev.toml `aws.account`: the credentials belong to account `999988887777`, the environment lives in `111122223333` [wrong_account]
        choose another --env, or log in to account 111122223333: export AWS_PROFILE=…
    environments/dev.toml `aws.region`: AWS_REGION or AWS_DEFAULT_REGION is `us-east-1`, the environment lives in `eu-central-1` [wrong_region]
        set it, or unset it: export AWS_REGION=eu-central-1
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
