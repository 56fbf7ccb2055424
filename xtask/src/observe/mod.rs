//! Reads only.

pub mod bundle;
pub mod host_revision;
mod pack;
pub mod tree;
