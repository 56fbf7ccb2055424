//! Environment files: `environments/*.toml`, complete and checked. Reads no file and asks nobody.
//!
//! ```text
//! text → document (keys, lines) → file (as written) → resolve → Environment → parameters, tags
//! ```

mod document;
mod environment;
mod file;
mod identity;
mod parameters;
mod problems;
mod resolve;
mod values;
mod worker_set;

pub use document::nearest;
pub use environment::{
    Additional, Airflow, Aws, Broker, Dags, Database, Entry, Environment, GitHub, Google, HostGroup, Hosts,
    Login, Mail, Network, Permissions, Schedule, Storage, Vpc, Watch,
};
pub use file::keys;
pub use parameters::LONGEST_AIRFLOW_CONFIG;
pub use problems::Wrong;
pub use resolve::resolve;
pub use values::{
    Account, Address, AirflowKey, Architecture, BrokerKind, CacheNodeType, CertificateArn, Cidr, Cron,
    DatabaseEngine, DocumentPath, Domain, Endpoint, Engine, EnvironmentName, FolderPath, GoogleClientId,
    HostedZoneId, InstanceClass, InstanceType, LoadBalancer, Nat, Pace, PolicyArn, ProjectName, Queue,
    Region, Repository, Role, SecretArn, Snapshot, SubnetId, TimeZone, Url, VpcCidr, VpcId, WorkerSetName,
};
pub use worker_set::WorkerSet;
