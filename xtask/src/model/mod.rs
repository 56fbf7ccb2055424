//! Plain data and newtypes. Imports nothing of the crate but itself and `fail`, does no IO.

pub mod bundle;
pub mod digest;
pub mod event;
pub mod names;
pub mod problem;
pub mod release;
pub mod secret;
pub mod text;
