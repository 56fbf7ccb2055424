//! Environment files of the scenarios.

use crate::support::project::Project;
use serde_json::Value;

/// Every property at its default.
pub const SMALLEST: &str = "";

/// What the one switch brings, and a network to match. On this machine some of it has to be asked for, since
/// nothing here would use it: the load balancer, and the records of who did what.
pub const HIGHLY_AVAILABLE: &str = r#"
high_availability = true
protected = true

[network]
zones = 3
nat = "per_zone"
interface_endpoints = true
flow_logs = true

[entry]
load_balancer = "internal"
access_logs = true

[alerts]
email = "first@example.com"
budget_usd = 50

[audit]
trail = true

[release]
bake_minutes = 0
"#;

/// All options that do not exclude each other, none as its default is.
pub const EVERYTHING: &str = r#"
[network]
nat = "single"

[entry]
load_balancer = "internet_facing"
allowed_cidrs = ["203.0.113.0/24", "198.51.100.7/32"]
firewall = true

[database]
engine = "aurora_postgres"
min_capacity = 1
max_capacity = 8.5
multi_az = true

[broker]
kind = "valkey"
replicas = 1

[files]
shared = true

[backup]
retention_days = 30

[schedule]
sleep = "0 20 * * 1-5"
wake = "0 7 * * 1-5"
time_zone = "Europe/Berlin"

[alerts]
email = "ops@example.com"
budget_usd = 100

[login]
method = "google"
google_client_id = "1234.apps.googleusercontent.com"
google_domain = "example.com"
admins = ["ada@example.com"]
default_role = "Viewer"

[login.roles]
"bob@example.com" = "Op"

[mail]
host = "mail.example.com"
from = "airflow@example.com"

[github]
repository = "example/data"

[additional]
templates = "additional"

[additional.parameters]
Audience = "everyone"
"#;

/// A policy of the user's own.
pub const POLICY: &str = r#"{
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "ReadData", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::example-data/*"}
    ]
}
"#;

/// A template of the user's own: an output of the master, a value of the environment file, a default.
pub const ADDITIONAL: &str = r#"AWSTemplateFormatVersion: "2010-09-09"
Description: What a team adds to its environment.
Parameters:
  LogsBucket: {Type: String}
  Audience: {Type: String}
  Mood: {Type: String, Default: calm}
Resources:
  Note:
    Type: AWS::SSM::Parameter
    Properties:
      Name: /scenarios/note
      Type: String
      Value: !Sub "${LogsBucket} ${Audience} ${Mood}"
"#;

/// One that takes apart what another stack gives it.
pub const SELECTING: &str = r#"AWSTemplateFormatVersion: "2010-09-09"
Description: What a team adds to its environment.
Parameters:
  SubnetIds: {Type: String}
  Audience: {Type: String}
Resources:
  Note:
    Type: AWS::SSM::Parameter
    Properties:
      Name: /scenarios/note
      Type: String
      Description: !Ref Audience
      Value: !Select [1, !Split [",", !Ref SubnetIds]]
"#;

/// A second environment beside the first, with a load balancer, in a network that was there before.
pub fn second(existing: &Existing, airflow: &str, rest: &str) -> String {
    let Existing { vpc, private, public, .. } = existing;
    format!(
        r#"
[aws]
endpoint = "local"

[airflow]
{airflow}

[network]
vpc_id = "{vpc}"
subnet_ids = {private:?}
public_subnet_ids = {public:?}
{rest}"#
    )
}

/// What the account had before Ductwork came.
#[derive(serde::Deserialize)]
pub struct Existing {
    pub vpc: String,
    pub private: Vec<String>,
    pub public: Vec<String>,
    pub certificate: String,
    pub zone: String,
    pub database_url: String,
}

impl Existing {
    pub fn prepare(project: &Project) -> Self {
        let made = project.python(&["xtask/tests/scenarios/cloud.py", "prepare"]).expect(0);
        serde_json::from_value(made.json()).unwrap()
    }
}

/// Writes an environment file: the tables that every one has, and `rest`, whose bare keys come first.
pub fn write(project: &Project, rest: &str) {
    let tables = rest.find("\n[").unwrap_or(rest.len());
    let (bare, tables) = rest.split_at(tables);
    let port = project.port;
    let common =
        format!("team = \"data\"\n{bare}\n[aws]\nendpoint = \"local\"\n\n[airflow]\nport = {port}\n{tables}");
    project.write("environments/local.toml", &common);
}

/// Deploys with this environment file; the result.
#[track_caller]
pub fn deploy(project: &Project, text: &str) -> Value {
    write(project, text);
    let watch = std::time::Instant::now();
    let result = project.deploy();
    eprintln!("    {} in {:.1} s", result["outcome"], watch.elapsed().as_secs_f64());
    result
}

/// `dev.toml` as it is shipped, for the account and the region of the local cloud.
pub fn as_shipped(project: &Project) -> String {
    let text = project.read("environments/dev.toml");
    let text = text.replace("account = \"111122223333\"", "account = \"000000000000\"");
    text.replace("region = \"eu-central-1\"", "region = \"us-east-1\"")
}
