//! The DAGs of a bundle as data, and what changes from one bundle to the next.

mod diff;

use super::text::count;
use super::upgrade::Deprecation;
use crate::fail::Problem;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use diff::{DagChange, DagDiff, DagFate, Need, NeedKind, Turn, new_needs};

/// One DAG as the validator saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DagEntry {
    pub dag_id: String,
    /// Relative to `dags/`.
    pub file: String,
    pub schedule: Option<String>,
    #[serde(default)]
    pub tasks: Vec<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whose tasks these are; like `params` absent in lists of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Vec<String>>,
    /// Each param with a digest of its value and form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<BTreeMap<String, String>>,
    /// Whether a new one is paused at first, if its file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// What it names of the environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<String>,
    /// The digest of all files that the DAG may be made of; absent in lists of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// All DAGs of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DagIndex(pub Vec<DagEntry>);

impl DagIndex {
    #[must_use]
    pub fn ids(&self) -> BTreeSet<String> {
        self.0.iter().map(|dag| dag.dag_id.clone()).collect()
    }

    /// The DAGs that another bundle has as well, made of the same files.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> BTreeSet<String> {
        let theirs = other.by_id();
        let is_same = |dag: &&DagEntry| {
            let other = theirs.get(dag.dag_id.as_str());
            dag.content.is_some() && other.is_some_and(|other| other.content == dag.content)
        };
        self.0.iter().filter(is_same).map(|dag| dag.dag_id.clone()).collect()
    }

    fn by_id(&self) -> BTreeMap<&str, &DagEntry> {
        self.0.iter().map(|dag| (dag.dag_id.as_str(), dag)).collect()
    }
}

/// What the locked Airflow makes of the DAGs of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    pub dags: DagIndex,
    pub problems: Vec<Problem>,
    /// How many DAG files there are, and how many of them had to be parsed.
    pub files: usize,
    pub parsed: usize,
    /// Of the files that were parsed.
    pub deprecations: Vec<Deprecation>,
}

impl Parsed {
    /// What was done, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let dags = count(self.dags.0.len(), "DAG");
        if self.parsed == self.files {
            return format!("{dags} parsed");
        }
        format!("{dags} in {}, {} parsed anew", count(self.files, "file"), self.parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dag(id: &str, file: &str, schedule: &str) -> DagEntry {
        let schedule = Some(schedule.to_owned());
        DagEntry { dag_id: id.to_owned(), file: file.to_owned(), schedule, ..DagEntry::default() }
    }

    fn made_of(id: &str, content: &str) -> DagEntry {
        DagEntry { content: Some(content.to_owned()), ..dag(id, "a.py", "1") }
    }

    #[test]
    fn files_that_are_remembered_are_not_called_parsed() {
        let dags = DagIndex(vec![made_of("a", "1"), made_of("b", "1")]);
        let mut parsed = Parsed { dags, files: 2, parsed: 2, ..Parsed::default() };
        assert_eq!(parsed.summary(), "2 DAGs parsed");
        parsed.parsed = 1;
        assert_eq!(parsed.summary(), "2 DAGs in 2 files, 1 parsed anew");
    }

    #[test]
    fn a_dag_is_the_same_only_if_both_lists_say_what_it_is_made_of() {
        let old = DagIndex(vec![made_of("same", "1"), made_of("edited", "1"), dag("unknown", "a.py", "1")]);
        let new = DagIndex(vec![
            made_of("same", "1"),
            made_of("edited", "2"),
            dag("unknown", "a.py", "1"),
            made_of("new", "1"),
        ]);
        assert_eq!(new.same_as(&old), BTreeSet::from(["same".to_owned()]));
        assert!(DagDiff::between(&old, &new).changed.is_empty(), "a plan tells what can be seen in Airflow");
    }
}
