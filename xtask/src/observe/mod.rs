//! Reads only: the tree, stacks, releases, as facts for the plan.

pub mod release;
