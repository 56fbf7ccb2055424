//! Carries deployments out through the doors, tells events, prints nothing.

pub mod airflow;
pub mod context;
pub mod destroy;
#[cfg(test)]
pub(crate) mod fake;
pub mod image;
pub mod journal;
pub mod lease;
pub mod leftovers;
pub mod lock;
pub mod losses;
mod patience;
pub mod rollout;
pub mod run;
pub mod secret;
mod smoke;
pub mod stack;
mod steps;
pub mod stopping;
pub mod task;
pub mod timed;
pub mod trial;
mod workers;
