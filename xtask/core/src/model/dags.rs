//! The DAGs of a bundle as data, and what changes from one bundle to the next.

use crate::fail::Problem;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One DAG as the validator saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DagEntry {
    pub dag_id: String,
    /// Relative to `dags/`.
    pub file: String,
    pub schedule: Option<String>,
    #[serde(default)]
    pub tasks: Vec<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// The digest of all files that the DAG may be made of; absent in lists of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl DagEntry {
    /// What a plan tells of a DAG.
    fn outline(&self) -> (&Option<String>, &[String], &[String]) {
        (&self.schedule, &self.tasks, &self.tags)
    }
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
}

/// DAG ids by what happens to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DagDiff {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// In another file than before.
    pub moved: Vec<String>,
    /// Another schedule, other tasks or tags.
    pub changed: Vec<String>,
}

impl DagDiff {
    #[must_use]
    pub fn between(old: &DagIndex, new: &DagIndex) -> Self {
        let (before, after) = (old.by_id(), new.by_id());
        let mut diff = Self::default();
        for (id, dag) in &after {
            match before.get(id) {
                None => diff.added.push((*id).to_owned()),
                Some(was) if was.file != dag.file => diff.moved.push((*id).to_owned()),
                Some(was) if was.outline() != dag.outline() => diff.changed.push((*id).to_owned()),
                Some(_) => {}
            }
        }
        let gone = before.keys().filter(|id| !after.contains_key(*id));
        diff.removed = gone.map(|id| (*id).to_owned()).collect();
        diff
    }

    /// The DAGs whose unfinished runs this change would break: a moved one is not found on the worker,
    /// a removed one is never scheduled again.
    #[must_use]
    pub fn breaking(&self) -> Vec<String> {
        self.moved.iter().chain(&self.removed).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dag(id: &str, file: &str, schedule: &str) -> DagEntry {
        let schedule = Some(schedule.to_owned());
        let (tasks, tags) = (vec![], vec![]);
        DagEntry { dag_id: id.to_owned(), file: file.to_owned(), schedule, tasks, tags, content: None }
    }

    fn made_of(id: &str, content: &str) -> DagEntry {
        DagEntry { content: Some(content.to_owned()), ..dag(id, "a.py", "1") }
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

    #[test]
    fn each_kind_of_change_is_told() {
        let old = DagIndex(vec![
            dag("same", "a.py", "1"),
            dag("gone", "a.py", "1"),
            dag("moved", "a.py", "1"),
            dag("changed", "a.py", "1"),
        ]);
        let new = DagIndex(vec![
            dag("same", "a.py", "1"),
            dag("moved", "b.py", "1"),
            dag("changed", "a.py", "2"),
            dag("new", "b.py", "1"),
        ]);
        let diff = DagDiff::between(&old, &new);
        assert_eq!(
            (diff.added.as_slice(), diff.removed.as_slice()),
            (&["new".to_owned()][..], &["gone".to_owned()][..])
        );
        assert_eq!(
            (diff.moved.as_slice(), diff.changed.as_slice()),
            (&["moved".to_owned()][..], &["changed".to_owned()][..])
        );
        assert_eq!(diff.breaking(), ["moved", "gone"]);
    }
}
