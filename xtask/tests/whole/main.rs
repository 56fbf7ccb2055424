//! What takes minutes, in one program, since Cargo runs one test program at a time: the whole tool on the local cloud,
//! and beside it the suites of the Python halves. While one waits for a rollout another has the processors.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

mod arm;
mod builders;
mod clone;
mod containers;
mod fargate;
mod image;
mod observed;
mod python;
#[path = "../support/mod.rs"]
mod support;
mod zero;
