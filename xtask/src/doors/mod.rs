//! The only modules that touch the world: AWS, Airflow, processes, files, time, the terminal.
//!
//! Concrete types and functions, no client traits; whoever decides is elsewhere.

pub mod airflow;
mod answers;
pub mod archive;
pub mod aws;
pub(crate) mod backoff;
pub mod buckets;
pub mod ecs;
pub mod env;
mod failure;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
pub(crate) mod fake_ecs;
pub mod fence;
pub mod fs;
pub mod git;
pub mod git_remote;
pub mod github;
pub(crate) mod haste;
pub mod http;
pub mod local_cloud;
pub mod logs;
pub mod net;
pub mod pace;
pub mod package_index;
pub mod proc;
mod refused;
pub mod registry;
pub mod relay;
pub mod signed;
pub mod ssm;
pub mod stat;
pub mod store;
pub mod term;
pub mod time;
pub mod toolchain;
pub mod unpack;
