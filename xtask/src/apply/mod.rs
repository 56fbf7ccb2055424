//! One function per step: carries it out through the doors, tells events, prints nothing.

pub mod airflow;
pub mod documents;
pub mod lease;
pub mod local_cloud;
pub mod rollout;
pub mod toolchain;
pub mod upload;
