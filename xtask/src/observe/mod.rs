//! Reads only: the tree, stacks, releases, as facts for the plan.

pub mod bundle;
pub mod environment;
pub mod host_revision;
mod pack;
pub mod release;
pub mod secrets;
pub mod stack;
pub mod templates;
pub mod tree;
