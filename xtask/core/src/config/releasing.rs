//! How releases are brought to an environment.

use super::values::EnvironmentName;
use std::time::Duration;

/// How releases are brought to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Releasing {
    /// What a release has to be before it may come here.
    pub rules: ReleaseRules,
    /// How long a release is watched once it runs; none if it is not.
    pub bake: Option<Duration>,
    /// How long the others of a worker set wait for the first task of the one that has the release; none if all get it
    /// at once.
    pub canary: Option<Duration>,
}

/// What releases of an environment have to fulfil; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseRules {
    /// The only environment whose releases may be promoted to this one; nothing is deployed from a tree then.
    pub from: Option<EnvironmentName>,
    /// How long ago that environment must have got the release.
    pub min_age: Duration,
    /// What a tag at the commit must look like, with `*` for anything.
    pub tag: Option<String>,
    /// What a person has to write to deploy.
    pub confirm: Option<String>,
}
