//! An environment, complete and checked: what the rest of the tool works with.

use super::external::ExternalTask;
use super::hosts::{Hosts, Permissions, WorkerSet};
use super::releasing::Releasing;
use super::tasks::{Capacity, ECS_EXECUTOR, Tasks};
use super::values::{
    Account, Address, AirflowKey, Architecture, BaseImage, BrokerKind, Builder, CacheNodeType,
    CertificateArn, Cidr, Cron, DatabaseEngine, Distribution, DocumentPath, Domain, Endpoint,
    EnvironmentName, Executor, FolderPath, ForeignImage, GitKey, GitPath, GitRef, GitUrl, GoogleClientId,
    HostedZoneId, ImageRepository, InstanceClass, Interpreter, LoadBalancer, Nat, Package, ProjectName,
    PythonMinor, Region, Repository, Role, SecretArn, Snapshot, SubnetId, TimeZone, Url, VariableName,
    VpcCidr, VpcId,
};
use crate::model::engine::Engine;
use crate::model::names;
use std::collections::BTreeMap;
use std::time::Duration;

/// Only `resolve` makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    pub(crate) project: ProjectName,
    pub name: EnvironmentName,
    /// The owner, as a tag.
    pub(crate) team: String,
    /// What Airflow runs on.
    pub engine: Engine,
    /// Whether every deployment needs confirmation and deletion is refused.
    pub protected: bool,
    pub aws: Aws,
    pub airflow: Airflow,
    pub dags: Dags,
    /// Environment variables of tasks and of the files that define DAGs. None of them is a secret.
    pub env: BTreeMap<VariableName, String>,
    pub(crate) network: Network,
    pub(crate) entry: Entry,
    pub(crate) database: Database,
    pub(crate) broker: Broker,
    pub(crate) storage: Storage,
    pub(crate) compute: Compute,
    /// Sorted by name; the default one is among them, unless there are none because every task is one of ECS.
    pub(crate) workers: Vec<WorkerSet>,
    /// Tasks of ECS that are no component of Airflow's, sorted by name.
    pub(crate) external: Vec<ExternalTask>,
    /// What images are made of, and where they are kept.
    pub container: Container,
    /// When worker sets sleep, if they do.
    pub(crate) schedule: Option<Schedule>,
    pub(crate) monitoring: Monitoring,
    pub release: Releasing,
    pub(crate) login: Login,
    /// How Airflow sends mail, if it does.
    pub(crate) mail: Option<Mail>,
    pub(crate) github: GitHub,
    pub additional: Additional,
    /// The user's own tags; [`Environment::tags`] adds those of the tool.
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aws {
    pub account: Account,
    pub region: Region,
    pub endpoint: Endpoint,
}

/// How the container image is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub base: BaseImage,
    pub python: PythonMinor,
    /// Where the base has that Python.
    pub interpreter: Interpreter,
    /// In the order of the file, each once.
    pub architectures: Vec<Architecture>,
    /// Where it is pushed to, if not to the repository of the account.
    pub repository: Option<ImageRepository>,
    /// Packages of the operating system, which the base lacks.
    pub packages: Vec<Package>,
    /// Locked Python packages that are compiled, for want of a wheel.
    pub compile: Vec<Distribution>,
    /// Packages of the operating system that compiling needs, and the image does not.
    pub build_packages: Vec<Package>,
    /// What builds `airflow/Dockerfile`, if not the first that works.
    pub builder: Option<Builder>,
    /// Whether every deployment brings it there, so that releases have it.
    pub deploy: bool,
}

impl Container {
    /// With spaces between them.
    #[must_use]
    pub fn system_packages(&self) -> String {
        words(&self.packages)
    }

    /// With spaces between them.
    #[must_use]
    pub fn compilers(&self) -> String {
        words(&self.build_packages)
    }
}

fn words(packages: &[Package]) -> String {
    packages.iter().map(Package::as_str).collect::<Vec<_>>().join(" ")
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Airflow {
    /// The address at which people and components reach Airflow; without one, that of the load balancer or
    /// of the API server's host, which the stack knows.
    pub url: Option<Url>,
    pub port: u16,
    pub load_examples: bool,
    pub load_default_connections: bool,
    /// Options that the tool does not set itself. None of them is a secret.
    pub config: BTreeMap<AirflowKey, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dags {
    /// How long the import of one file may take.
    pub parse_timeout: Duration,
    /// How often the dag-processor checks for a new bundle without being told.
    pub refresh_interval: Duration,
    /// Where the DAGs come from, if not from `dags/` of this project.
    pub git: Option<GitDags>,
}

/// A git repository with DAGs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitDags {
    pub url: GitUrl,
    pub reference: GitRef,
    /// The folder of the DAGs in it; `.` for all of it.
    pub path: GitPath,
    /// The secret with the key or token that may read it; none if everybody may.
    pub key: Option<GitKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub vpc: Vpc,
    /// The number of availability zones of a new VPC.
    pub zones: u32,
    pub nat: Nat,
    pub interface_endpoints: bool,
    pub flow_logs: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vpc {
    /// The stack creates one.
    New(VpcCidr),
    Existing {
        id: VpcId,
        /// In at least two zones.
        subnets: Vec<SubnetId>,
        /// For an internet-facing load balancer.
        public_subnets: Vec<SubnetId>,
    },
}

/// How people and programs outside the environment reach Airflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub load_balancer: LoadBalancer,
    /// The addresses that may connect from outside.
    pub allowed: Vec<Cidr>,
    pub certificate: Option<CertificateArn>,
    pub hosted_zone: Option<HostedZoneId>,
    pub access_logs: bool,
    pub firewall: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    pub engine: DatabaseEngine,
    /// `17` or `18` (PostgreSQL), `8.4` (MySQL).
    pub version: String,
    pub instance_class: InstanceClass,
    pub storage_gib: u32,
    /// The limit of automatic growth.
    pub max_storage_gib: u32,
    pub backup_days: u32,
    /// Whether a standby in a second zone can take over.
    pub multi_az: bool,
    /// Of Aurora, in capacity units of 2 GiB of memory each.
    pub min_capacity: f64,
    pub max_capacity: f64,
    /// The snapshot that a new database is restored from.
    pub snapshot: Option<Snapshot>,
    /// The secret that holds the URL of an existing database.
    pub url_secret: Option<SecretArn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub kind: BrokerKind,
    pub node_type: CacheNodeType,
    pub replicas: u32,
    /// Of the broker that is a task.
    pub image: ForeignImage,
    /// Whether Celery's monitor runs.
    pub flower: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Whether workers share a folder.
    pub shared_files: bool,
    /// How long the backup vault keeps its backups; with 0 there is no vault.
    pub vault_retention_days: u32,
    /// For task logs.
    pub log_retention_days: u32,
}

/// What the components run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compute {
    /// The engine `ec2`.
    Hosts(Hosts),
    /// Both engines on ECS.
    Tasks(Tasks),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub sleep: Cron,
    pub wake: Cron,
    pub time_zone: TimeZone,
}

/// What is recorded, and who is alerted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitoring {
    /// For the logs of components, in CloudWatch.
    pub service_log_retention_days: u32,
    pub alert_email: Option<Address>,
    /// Per month; with 0 there is no budget.
    pub budget_usd: u32,
    pub audit_trail: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// With none, people log in with passwords that Airflow keeps.
    pub google: Option<Google>,
    /// The role of people who are not in `roles`.
    pub default_role: Role,
    /// The role of the user `service`, which is for programs.
    pub service_role: Role,
    pub roles: BTreeMap<Address, Role>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Google {
    pub client_id: GoogleClientId,
    /// Only accounts of this domain can log in.
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
    /// The repository whose workflows may deploy this environment.
    pub repository: Option<Repository>,
    /// Whether the bootstrap stack creates the identity provider for GitHub, one per account.
    pub create_provider: bool,
}

/// The user's own templates, deployed as nested stacks of the master stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additional {
    pub templates: Option<FolderPath>,
    pub parameters: BTreeMap<String, String>,
}

impl Compute {
    /// Of every component that has a role of its own, by its name in parameters and outputs.
    fn permissions(&self) -> Vec<(&'static str, &Permissions)> {
        match self {
            Self::Hosts(hosts) => {
                vec![
                    ("ApiServer", &hosts.api_server.permissions),
                    ("Scheduler", &hosts.scheduler.permissions),
                ]
            }
            Self::Tasks(tasks) => {
                let services = tasks.services().map(|(component, service)| (component, &service.permissions));
                services.into_iter().chain([(ECS_EXECUTOR, &tasks.ecs_executor.permissions)]).collect()
            }
        }
    }
}

impl Environment {
    /// The name of the master stack.
    #[must_use]
    pub fn stack_name(&self) -> String {
        names::stack(&self.project, &self.name)
    }

    #[must_use]
    pub fn artifact_bucket(&self) -> String {
        names::artifact_bucket(&self.aws.account, &self.aws.region)
    }

    /// Sorted by name; the default one is among them, unless the executor of Celery is not.
    #[must_use]
    pub fn worker_sets(&self) -> &[WorkerSet] {
        &self.workers
    }

    /// How long a worker on a host waits for its running tasks; none on engines without such hosts.
    #[must_use]
    pub fn drain(&self) -> Option<Duration> {
        match &self.compute {
            Compute::Hosts(hosts) => Some(hosts.drain),
            Compute::Tasks(_) => None,
        }
    }

    /// Tasks of ECS that are no component of Airflow's, sorted by name.
    #[must_use]
    pub fn external_tasks(&self) -> &[ExternalTask] {
        &self.external
    }

    /// The policy documents of the project, each with the component whose role gets it, as in `Scheduler`, or the
    /// prefix of a worker set. The files have not been read.
    #[must_use]
    pub fn policies(&self) -> Vec<(String, DocumentPath)> {
        let fixed = self
            .compute
            .permissions()
            .into_iter()
            .map(|(component, granted)| (component.to_owned(), granted));
        let sets = self.workers.iter().map(|set| (set.prefix(), &set.permissions));
        let external = self.external.iter().map(|task| (task.stack(), &task.permissions));
        let each = |(component, permissions): (String, &Permissions)| {
            let documents = permissions.documents.clone().into_iter();
            documents.map(move |path| (component.clone(), path)).collect::<Vec<_>>()
        };
        fixed.chain(sets).chain(external).flat_map(each).collect()
    }

    /// What runs tasks, separated by commas; the first is Airflow's default.
    #[must_use]
    pub fn executors(&self) -> String {
        match &self.compute {
            Compute::Hosts(_) => Executor::Celery.to_string(),
            Compute::Tasks(tasks) => tasks.executors(),
        }
    }

    /// Whether ECS manages the instances that tasks run on.
    #[must_use]
    pub fn has_managed_instances(&self) -> bool {
        matches!(&self.compute, Compute::Tasks(tasks) if matches!(tasks.capacity, Capacity::Managed(_)))
    }

    /// Whether the environment runs on the local cloud, on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.aws.endpoint == Endpoint::Local
    }
}
