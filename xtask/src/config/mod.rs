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

pub use document::nearest;
pub use environment::{
    Airflow, Aws, Dags, Database, Engine, Environment, HostGroup, Hosts, Logs, Network, Pace, Vpc,
};
pub use file::keys;
pub use parameters::LONGEST_AIRFLOW_CONFIG;
pub use problems::Wrong;
pub use resolve::resolve;
pub use values::{
    Account, AirflowKey, Architecture, Cidr, Endpoint, EnvironmentName, InstanceClass, InstanceType,
    ProjectName, Region, SubnetId, Url, VpcCidr, VpcId,
};
