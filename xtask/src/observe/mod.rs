//! Reads only: the tree, stacks, releases, as facts for the plan.

pub mod account;
pub mod airflow;
pub mod bundle;
mod clean;
pub mod dags;
pub mod drift;
pub mod environment;
pub mod git_dags;
pub mod host_revision;
pub mod hosts;
pub mod image;
pub mod lease;
pub mod lint;
pub mod objects;
mod pack;
pub mod pulse;
pub mod receipts;
pub mod release;
pub mod schema;
pub mod secrets;
pub mod services;
pub mod stack;
pub mod templates;
pub mod tree;
pub mod workers;
