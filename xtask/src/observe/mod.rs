//! Reads only.

pub mod environment;
