//! An environment, complete and checked: what the rest of the tool works with.

use super::values::{
    Account, Address, AirflowKey, Architecture, BrokerKind, CacheNodeType, CertificateArn, Cidr, Cron,
    DatabaseEngine, DocumentPath, Domain, Endpoint, Engine, EnvironmentName, FolderPath, GoogleClientId,
    HostedZoneId, InstanceClass, InstanceType, LoadBalancer, Nat, PolicyArn, ProjectName, Region, Repository,
    Role, SecretArn, Snapshot, SubnetId, TimeZone, Url, VpcCidr, VpcId,
};
use super::worker_set::WorkerSet;
use crate::model::names;
use std::collections::BTreeMap;
use std::time::Duration;

/// Made by [`super::resolve`] alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    pub project: ProjectName,
    pub name: EnvironmentName,
    /// Who owns it: a tag.
    pub team: String,
    pub engine: Engine,
    /// Whether every change asks, and deletion is refused.
    pub protected: bool,
    pub aws: Aws,
    pub airflow: Airflow,
    pub dags: Dags,
    pub network: Network,
    pub entry: Entry,
    pub database: Database,
    pub broker: Broker,
    pub storage: Storage,
    pub hosts: Hosts,
    /// Sorted by name, `default` among them; see [`Environment::worker_sets`].
    pub(super) workers: Vec<WorkerSet>,
    /// When worker sets sleep, if they do.
    pub schedule: Option<Schedule>,
    pub watch: Watch,
    pub login: Login,
    /// How Airflow sends mail, if it does.
    pub mail: Option<Mail>,
    pub github: GitHub,
    pub additional: Additional,
    /// The user's own; those of the tool are in [`Environment::tags`].
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aws {
    pub account: Account,
    pub region: Region,
    pub endpoint: Endpoint,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Airflow {
    /// Where people and components reach it.
    pub url: Url,
    pub port: u16,
    pub load_examples: bool,
    pub load_default_connections: bool,
    /// Options beyond those of the tool. No secret is among them.
    pub config: BTreeMap<AirflowKey, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dags {
    /// How long one file may take to import.
    pub parse_timeout: Duration,
    /// How often the dag-processor looks for a new bundle without being told.
    pub refresh_interval: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub vpc: Vpc,
    /// Availability zones of an own VPC.
    pub zones: u32,
    pub nat: Nat,
    pub interface_endpoints: bool,
    pub flow_logs: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vpc {
    /// One of the environment's own.
    Own(VpcCidr),
    Existing {
        id: VpcId,
        /// In at least two zones.
        subnets: Vec<SubnetId>,
        /// For an internet-facing load balancer.
        public_subnets: Vec<SubnetId>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub load_balancer: LoadBalancer,
    /// Who may reach Airflow from outside.
    pub allowed: Vec<Cidr>,
    pub certificate: Option<CertificateArn>,
    pub hosted_zone: Option<HostedZoneId>,
    pub access_logs: bool,
    pub firewall: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    pub engine: DatabaseEngine,
    /// `17`, `18` or, of MySQL, `8.4`.
    pub version: String,
    pub instance_class: InstanceClass,
    pub storage_gib: u32,
    /// Up to which storage grows by itself.
    pub max_storage_gib: u32,
    pub backup_days: u32,
    /// Whether a standby in a second zone takes over.
    pub multi_az: bool,
    /// Of Aurora, in its units (2 GiB of memory each).
    pub min_capacity: f64,
    pub max_capacity: f64,
    /// What a new database is made from.
    pub snapshot: Option<Snapshot>,
    /// Where the URL of an existing database is kept.
    pub url_secret: Option<SecretArn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub kind: BrokerKind,
    pub node_type: CacheNodeType,
    pub replicas: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Whether workers share a folder.
    pub shared_files: bool,
    /// How long the backup vault keeps what it has; nothing is there with 0.
    pub vault_retention_days: u32,
    /// Of the logs of tasks.
    pub log_retention_days: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    pub architecture: Architecture,
    /// How long a stopping worker waits for its running tasks.
    pub drain: Duration,
    pub api_server: HostGroup,
    /// Scheduler, dag-processor and triggerer.
    pub scheduler: HostGroup,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGroup {
    pub instance_type: InstanceType,
    pub count: u32,
    pub volume_gib: u32,
    pub permissions: Permissions,
}

/// What the role of a component may do beyond what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    pub managed: Vec<PolicyArn>,
    /// Policy documents of the project.
    pub documents: Vec<DocumentPath>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub sleep: Cron,
    pub wake: Cron,
    pub time_zone: TimeZone,
}

/// What is recorded, and who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Of the logs of components, in CloudWatch.
    pub service_log_retention_days: u32,
    pub alert_email: Option<Address>,
    /// A month; no budget with 0.
    pub budget_usd: u32,
    pub audit_trail: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Passwords of Airflow's own where there is none.
    pub google: Option<Google>,
    /// Of people who are not in `roles`.
    pub default_role: Role,
    /// Of the user `service`, for programs.
    pub service_role: Role,
    pub roles: BTreeMap<Address, Role>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Google {
    pub client_id: GoogleClientId,
    /// Whose people get in.
    pub domain: Domain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub host: Domain,
    pub port: u16,
    pub starttls: bool,
    pub ssl: bool,
    pub from: Address,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHub {
    /// Whose workflows may deploy this environment.
    pub repository: Option<Repository>,
    /// Whether the bootstrap stack makes the account's one identity provider for GitHub.
    pub create_provider: bool,
}

/// Templates of the user's own, deployed below the master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additional {
    pub templates: Option<FolderPath>,
    pub parameters: BTreeMap<String, String>,
}

impl Environment {
    /// The name of the master stack.
    #[must_use]
    pub fn stack_name(&self) -> String {
        names::stack(self.project.as_str(), self.name.as_str())
    }

    #[must_use]
    pub fn artifact_bucket(&self) -> String {
        names::artifact_bucket(self.aws.account.as_str(), self.aws.region.as_str())
    }

    /// Sorted by name; `default` is always there.
    #[must_use]
    pub fn worker_sets(&self) -> Vec<WorkerSet> {
        self.workers.clone()
    }

    /// Policy documents of the project, each with whose role gets it: `ApiServer`, `Scheduler` or the
    /// prefix of a worker set. Nobody has read them yet.
    #[must_use]
    pub fn policies(&self) -> Vec<(String, DocumentPath)> {
        let fixed = [("ApiServer", &self.hosts.api_server), ("Scheduler", &self.hosts.scheduler)];
        let fixed = fixed.map(|(component, group)| (component.to_owned(), &group.permissions));
        let sets = self.workers.iter().map(|set| (set.prefix(), &set.permissions));
        let each = |(component, permissions): (String, &Permissions)| {
            let documents = permissions.documents.clone().into_iter();
            documents.map(move |path| (component.clone(), path)).collect::<Vec<_>>()
        };
        fixed.into_iter().chain(sets).flat_map(each).collect()
    }

    /// Whether the cloud of this machine answers.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.aws.endpoint == Endpoint::Local
    }
}
