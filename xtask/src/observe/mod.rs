//! Reads the tree, AWS and the hosts; never writes to the outside, decides nothing.

pub mod environment;
pub mod templates;
