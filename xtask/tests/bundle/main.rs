//! The DAG bundle and the host revision on real trees: same bytes everywhere, every refusal, the
//! cache, the memory.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod cache;
mod determinism;
mod hosts;
mod ignoring;
mod memory;
mod reading;
mod refusals;
mod tree;

/// Not a test of its own: what [`tree::Child`] runs in another process, whose surroundings a test
/// cannot change for itself.
#[test]
fn child() {
    tree::Child::work();
}
