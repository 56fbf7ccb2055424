//! What takes minutes, in one program, since Cargo runs one test program at a time: the whole tool on the local cloud,
//! and beside it the suites of the Python halves. While one waits for a rollout another has the processors. Tests begin
//! in the order of their names: those of the longest modules begin first.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

mod airflow;
mod another_version;
mod clone;
mod containers;
mod fargate;
mod image;
mod observed;
mod packages;
mod private;
mod python;
#[path = "../support/mod.rs"]
mod support;
mod zero;
