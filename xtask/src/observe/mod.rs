//! Reads only: the tree, stacks, releases, as facts for the plan.

pub mod account;
pub mod airflow;
pub mod alarms;
pub mod bundle;
mod clean;
pub mod composed;
pub mod dags;
pub mod environment;
pub mod git_dags;
pub mod history;
pub mod host_revision;
pub mod image;
pub mod lease;
pub mod lint;
pub mod losses;
pub mod objects;
mod pack;
pub mod release;
pub mod schema;
pub mod secrets;
pub mod services;
pub mod stack;
pub mod templates;
pub mod tree;
pub mod workers;
