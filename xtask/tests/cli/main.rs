//! The command line as a person or a script meets it: the built binary, run in a scratch project, its
//! exit code, and every word on standard output and standard error.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod airflow;
mod cloud;
mod environment;
mod help;
mod machine;
mod output;
mod project;
mod secret;
#[path = "../support/mod.rs"]
mod support;
mod tree;
