//! One function per step: carries it out through the doors, tells events, prints nothing.

pub mod airflow;
mod backoff;
pub mod change_set;
mod change_tree;
pub mod checks;
pub mod context;
pub mod deploy;
pub mod destroy;
#[cfg(test)]
pub(crate) mod fake;
pub mod lease;
pub mod local_cloud;
pub mod preview;
pub mod rollout;
pub mod stack;
pub mod stack_events;
pub mod stack_operations;
mod stack_progress;
pub mod steps;
pub mod templates;
pub mod toolchain;
pub mod upload;
pub mod validate;
