//! What is shown of an environment beside what runs in it: load and drift.

use serde::Serialize;

/// The load of a worker set, as the scaler has published it last.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Load {
    #[serde(rename = "name")]
    pub set: String,
    pub queue: String,
    pub queued: Option<f64>,
    pub running: Option<f64>,
    /// Hosts or tasks that take tasks of Airflow, and how many the load asks for; none for a set without hosts of its own.
    pub in_service: Option<f64>,
    pub wanted: Option<f64>,
}

/// What CloudFormation last found of the stack and everything nested in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drift {
    pub stacks: usize,
    /// Stacks that were never looked at.
    pub unchecked: usize,
    /// Names of the stacks with a resource that differs.
    pub drifted: Vec<String>,
    /// How long ago the stack was looked at whose last look is the oldest.
    pub age_s: Option<i64>,
    /// What differs, after a look that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Drifted>,
}

/// A resource that is not as its template says. Values may be secrets, so only the places are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drifted {
    pub stack: String,
    pub resource: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// `MODIFIED` or `DELETED`.
    pub status: String,
    pub properties: Vec<String>,
}
