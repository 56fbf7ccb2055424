//! The part of the release tool that decides. It does no IO, reads no clock and knows no SDK:
//! facts come in as data, plans go out as data.
//!
//! | module | what it is | never |
//! |---|---|---|
//! | [`model`] | data and newtypes, all names and keys, the contract | reads or writes |
//! | [`config`] | environment files, complete and checked | reads anything else |
//! | [`plan`] | facts in, plan and verdicts of gates out | acts |
//! | [`fail`] | the one error type, its problems, and the exit codes | imports another module |
//!
//! The crate `xtask` does the rest, and offers these modules under the same names.

pub mod config;
pub mod fail;
pub mod model;
pub mod plan;
