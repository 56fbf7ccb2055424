//! Facts in, plan or problems out. Pure: no IO, no clock, no environment, no SDK.

pub mod bake;
pub mod canary;
pub mod cfn;
pub mod comparison;
pub mod compose;
pub mod consent;
pub mod contents;
pub mod deployment;
pub mod engine_change;
pub mod gates;
pub mod host_secrets;
pub mod host_settings;
pub mod image;
pub mod leaving;
pub mod migration;
pub mod needs;
pub mod pools;
pub mod replacement;
pub mod root_cause;
pub mod running;
pub mod sbom;
pub mod stack;
pub mod template_diff;
pub mod templates;
pub mod upgrade;
pub mod yaml;
