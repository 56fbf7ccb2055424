//! The engines, a row each: what only their environments have in their files, and what is looked at in them. A further
//! engine of ECS is a row with tables of its own and its `capacity`, and a line in `ecs.rs`.

use super::Stage;
use crate::cloud::Cloud;
use crate::environments::{EVERYTHING, HIGHLY_AVAILABLE, SMALLEST};
use crate::{hosts, services};
use std::collections::BTreeSet;

pub struct Engine {
    pub name: &'static str,
    /// Tables without which there is no smallest environment, and the NAT gateways that it needs.
    smallest: &'static str,
    pub nats: usize,
    /// Tables beside those of [`HIGHLY_AVAILABLE`].
    highly_available: &'static str,
    /// Bare keys and tables beside those of [`EVERYTHING`].
    everything: (&'static str, &'static str),
    pub looks: Looks,
    /// What tasks run on, given the capacity providers of the cluster.
    pub capacity: fn(&Cloud, &BTreeSet<&str>),
}

/// What is looked at in each environment, besides what all engines have.
pub struct Looks {
    pub smallest: fn(&Stage, &Cloud),
    pub highly_available: fn(&Stage, &Cloud),
    pub everything: fn(&Stage, &Cloud),
}

/// Hosts with CodeDeploy.
pub const EC2: Engine = Engine {
    name: "ec2",
    smallest: "",
    nats: 0,
    highly_available: HOSTS,
    everything: ("", EVERY_HOST),
    looks: Looks {
        smallest: hosts::smallest,
        highly_available: hosts::highly_available,
        everything: hosts::everything,
    },
    capacity: |_, _| unreachable!("hosts are in no cluster"),
};

/// Tasks of ECS on machines of AWS.
pub const FARGATE: Engine = Engine {
    name: "fargate",
    smallest: "",
    nats: 0,
    highly_available: TASKS,
    everything: ("executors = [\"celery\", \"ecs\"]\n", EVERY_TASK),
    looks: Looks {
        smallest: services::smallest,
        highly_available: services::highly_available,
        everything: services::everything,
    },
    capacity: services::on_fargate,
};

/// Tasks of ECS on hosts of the environment's own. What is more than the smallest is that of [`FARGATE`].
pub const ECS_EC2: Engine =
    Engine { name: "ecs-ec2", smallest: INSTANCES, nats: 1, capacity: services::on_instances, ..FARGATE };

impl Engine {
    pub fn smallest(&self) -> String {
        self.text("", &[SMALLEST, self.smallest])
    }

    pub fn highly_available(&self) -> String {
        self.text("", &[HIGHLY_AVAILABLE, self.highly_available])
    }

    pub fn everything(&self) -> String {
        self.text(self.everything.0, &[EVERYTHING, self.everything.1])
    }

    /// Of an engine of tasks: everything, but the broker is one of them, with Flower beside it.
    pub fn broker_as_a_task(&self) -> String {
        let text = self.everything();
        let (kind, other) =
            ("kind = \"valkey\"\nreplicas = 1\n", "kind = \"valkey_service\"\nflower = true\n");
        assert!(text.contains(kind), "{text}");
        text.replace(kind, other)
    }

    /// Of an engine of tasks: no option but what depends on there being no workers.
    pub fn without_workers(&self) -> String {
        self.text("executors = [\"ecs\"]\n", &[SMALLEST])
    }

    /// Bare keys first, then tables.
    fn text(&self, keys: &str, parts: &[&str]) -> String {
        let (bare, tables) = parts[0].split_at(parts[0].find("\n[").unwrap_or(parts[0].len()));
        format!("engine = \"{}\"\n{keys}{bare}\n{tables}{}", self.name, parts[1..].concat())
    }
}

/// Two api-servers in an environment that is highly available, and room for a worker more.
const HOSTS: &str = r#"
[hosts.api_server]
count = 2

[workers.default]
max = 3
"#;

/// Tasks have no public addresses on hosts; each takes one of a host's two free network interfaces.
const INSTANCES: &str = r#"
[network]
nat = "single"

[cluster]
instance_type = "t3.large"
more_instance_types = ["t3a.large"]
max = 6
spot_percent = 50
"#;

const TASKS: &str = r#"
[services.api_server]
count = 2
max_count = 3

[workers.default]
max = 3
"#;

/// Three worker sets, one of which shares the scheduler's host.
const EVERY_HOST: &str = r#"
[hosts.api_server]
policies = ["policies/read-data.json"]
managed_policies = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]

[workers.default]
max = 2

[workers.big]
instance_type = "m5.xlarge"
more_instance_types = ["m5a.xlarge", "m4.xlarge"]
spot_percent = 80
on_demand_base = 1
max = 4
volume_gib = 80
concurrency = 8
policies = ["policies/read-data.json"]

[workers.small]
on_scheduler = true
concurrency = 2

[logs]
retention_days = 90
service_retention_days = 60
"#;

/// Two worker sets, tasks of the ECS executor, and an external one.
const EVERY_TASK: &str = r#"
[cluster]
insights = "enhanced"

[services.api_server]
cpu = 1024
memory = 3072
policies = ["policies/read-data.json"]
managed_policies = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]

[ecs_executor]
cpu = 256
memory = 2048

[workers.default]
max = 2

[workers.big]
cpu = 2048
memory = 8192
ephemeral_gib = 50
spot_percent = 80
on_demand_base = 1
max = 4
concurrency = 8
policies = ["policies/read-data.json"]

[tasks.report]
folder = "tasks/report"
cpu = 512
memory = 1024
files = true
policies = ["policies/read-data.json"]

[tasks.report.environment]
LAKE = "s3://lake"

[logs]
archive = true
retention_days = 90
service_retention_days = 60
"#;
