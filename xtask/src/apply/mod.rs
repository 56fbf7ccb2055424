//! One function per step: carries it out, tells events; never prints, never reads configuration.

mod backoff;
pub mod change_set;
mod change_tree;
#[cfg(test)]
mod fake;
pub mod stack_events;
pub mod stack_operations;
mod stack_progress;
pub mod templates;
