//! Plain data and newtypes. Imports nothing of the crate but itself and `fail`, does no IO.

pub mod account;
pub mod bundle;
pub mod change;
pub mod cloud;
pub mod contract;
pub mod dags;
pub mod difference;
pub mod digest;
pub mod engine;
pub mod event;
pub mod git;
pub mod image;
pub mod names;
pub mod objects;
pub mod package_index;
pub mod python;
pub mod release;
pub mod schema;
pub mod secret;
pub mod services;
pub mod stack;
pub mod text;
pub mod upgrade;
