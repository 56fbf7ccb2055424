//! Facts in, plan or all problems out. Pure and synchronous: no IO, no clock, no SDK types.

pub mod consent;
pub mod root_cause;
pub mod stack;
pub mod templates;
pub mod yaml;
