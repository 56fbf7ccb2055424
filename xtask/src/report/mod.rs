//! Turns plans, events, outcomes and errors into text or JSON; touches nothing.

pub mod bundle;
pub mod changes;
pub mod check;
pub mod deploy;
pub mod error;
pub mod plan;
pub mod progress;
pub mod status;
pub mod table;
pub mod wrap;
