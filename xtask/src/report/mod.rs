//! Turns plans, events, outcomes and errors into text or JSON; touches nothing.

pub mod bundle;
pub mod error;
pub mod progress;
pub mod table;
