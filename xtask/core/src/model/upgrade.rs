//! What an upgrade test finds out.

use crate::fail::Problem;
use serde::{Deserialize, Serialize};

/// A line of a DAG that will not work for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deprecation {
    pub file: String,
    pub line: Option<u32>,
    /// Python's class of the warning.
    pub category: String,
    pub message: String,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Failed,
    /// It could not run: the summary says why.
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    pub name: String,
    pub outcome: Outcome,
    pub seconds: f64,
    pub summary: String,
    pub problems: Vec<Problem>,
}

impl Stage {
    #[must_use]
    pub fn skipped(name: &str, why: &str) -> Self {
        let (name, summary) = (name.to_owned(), why.to_owned());
        Self { name, outcome: Outcome::Skipped, seconds: 0.0, summary, problems: Vec::new() }
    }
}
