//! Reads only: the tree, stacks, releases, as facts for the plan.

pub mod environment;
pub mod release;
pub mod stack;
pub mod templates;
