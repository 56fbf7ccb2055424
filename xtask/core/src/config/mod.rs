//! Environment files: `environments/*.toml`, complete and checked. Reads no file and calls no service.
//!
//! ```text
//! text → document (keys, lines) → file (as written) → resolve → Environment → parameters, tags
//! ```

mod broker;
mod demands;
mod document;
mod engines;
mod environment;
mod external;
mod file;
mod hosts;
mod identity;
mod mistyped;
mod objects;
mod parameters;
mod problems;
mod releasing;
mod resolve;
mod secrecy;
mod sources;
mod tasks;
mod values;
mod words;

pub use engines::has_key;
pub use environment::{Container, Environment, GitDags};
pub use external::{ExternalTask, Origin, SUBNETS_STAND_IN};
pub use file::keys;
pub use hosts::{LONGEST_HOOK, WorkerSet};
pub use objects::{FILE as OBJECTS, objects};
pub use parameters::Images;
pub use problems::Refusal;
pub use releasing::ReleaseRules;
pub use resolve::resolve;
pub use tasks::ECS_EXECUTOR;
pub use values::{
    Architecture, BaseImage, Builder, Distribution, Endpoint, EnvironmentName, FolderPath, ForeignImage,
    GitKey, GitPath, GitRef, GitUrl, PythonMinor, SecretName, Transport,
};
pub use words::nearest;
