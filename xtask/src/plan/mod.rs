//! Facts in, plan or problems out. Pure: no IO, no clock, no environment, no SDK.

pub mod cfn;
pub mod compose;
pub mod consent;
pub mod deploy;
pub mod protected;
pub mod root_cause;
pub mod stack;
pub mod templates;
pub mod yaml;
