//! Facts in, plan or problems out. Pure: no IO, no clock, no environment, no SDK.

pub mod deploy;
