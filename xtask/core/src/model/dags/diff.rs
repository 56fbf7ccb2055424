//! What becomes of DAGs from one bundle to the next, as people would see it in Airflow.

use super::super::difference::Difference;
use super::{DagEntry, DagIndex};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// DAG ids by what happens to them, each with its details.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DagDiff {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// In another file than before.
    pub moved: Vec<String>,
    /// Another schedule, whatever else is different.
    pub rescheduled: Vec<String>,
    /// In the same file: another schedule, other tasks, tags, owners or params.
    pub changed: Vec<String>,
    /// One for each DAG of these lists.
    pub details: Vec<DagChange>,
    /// What DAGs name for the first time and the environment does not have.
    pub lacking: Vec<Need>,
    /// The same, where nobody can tell whether the environment has it.
    pub unsure: Vec<Need>,
}

/// What happens to a DAG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DagFate {
    Added,
    Removed,
    Moved,
    #[default]
    Changed,
}

/// A text before and after; none where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Turn {
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What is different about a DAG.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DagChange {
    pub dag_id: String,
    pub change: DagFate,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Turn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Turn>,
    pub tasks: Difference,
    pub tags: Difference,
    pub owners: Difference,
    pub params: Difference,
    /// Whether Airflow lets it run by itself, now or, of a new one, when it has come; absent if nobody can tell.
    pub paused: Option<bool>,
}

/// A connection, variable or pool that DAGs name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    pub kind: NeedKind,
    pub name: String,
    /// The DAGs that name it and did not before.
    pub dags: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NeedKind {
    Connection,
    Variable,
    Pool,
}

impl NeedKind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Variable => "variable",
            Self::Pool => "pool",
        }
    }
}

type ById<'a> = BTreeMap<&'a str, &'a DagEntry>;

impl DagDiff {
    #[must_use]
    pub fn between(old: &DagIndex, new: &DagIndex) -> Self {
        let (before, after): (ById, ById) = (old.by_id(), new.by_id());
        let ids: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        let change = |id: &&str| change(before.get(id).copied(), after.get(id).copied());
        let details: Vec<DagChange> = ids.iter().filter_map(change).collect();
        let those = |wanted: &dyn Fn(&DagChange) -> bool| {
            details.iter().filter(|one| wanted(one)).map(|one| one.dag_id.clone()).collect()
        };
        Self {
            added: those(&|one| one.change == DagFate::Added),
            removed: those(&|one| one.change == DagFate::Removed),
            moved: those(&|one| one.change == DagFate::Moved),
            rescheduled: those(&DagChange::is_rescheduled),
            changed: those(&|one| one.change == DagFate::Changed),
            details,
            ..Self::default()
        }
    }

    /// The DAGs whose unfinished runs this change would break: a moved one is not found on the worker,
    /// a removed one is never scheduled again.
    #[must_use]
    pub fn breaking(&self) -> Vec<String> {
        self.moved.iter().chain(&self.removed).cloned().collect()
    }
}

impl DagChange {
    #[must_use]
    pub fn is_rescheduled(&self) -> bool {
        self.schedule.is_some() && matches!(self.change, DagFate::Moved | DagFate::Changed)
    }
}

fn change(old: Option<&DagEntry>, new: Option<&DagEntry>) -> Option<DagChange> {
    let file = turn(old, new, |dag| Some(dag.file.clone()));
    let change = match (old, new) {
        (None, _) => DagFate::Added,
        (_, None) => DagFate::Removed,
        _ if file.is_some() => DagFate::Moved,
        _ => DagFate::Changed,
    };
    let some = |names: &[String]| Some(names.iter().map(|name| (name.clone(), String::new())).collect());
    let found = DagChange {
        dag_id: new.or(old)?.dag_id.clone(),
        change,
        file,
        schedule: turn(old, new, |dag| dag.schedule.clone()),
        tasks: names(old, new, |dag| some(&dag.tasks)),
        tags: names(old, new, |dag| some(&dag.tags)),
        owners: names(old, new, |dag| dag.owners.as_deref().and_then(some)),
        params: names(old, new, |dag| dag.params.clone()),
        paused: new.filter(|_| old.is_none()).and_then(|dag| dag.paused),
    };
    let nothing = DagChange { dag_id: found.dag_id.clone(), ..DagChange::default() };
    (found != nothing).then_some(found)
}

fn turn(
    old: Option<&DagEntry>,
    new: Option<&DagEntry>,
    of: impl Fn(&DagEntry) -> Option<String>,
) -> Option<Turn> {
    let (before, after) = (old.and_then(&of), new.and_then(&of));
    (before != after).then_some(Turn { before, after })
}

/// Lists of earlier releases do not say everything of a DAG: what they leave out is not compared.
fn names(
    old: Option<&DagEntry>,
    new: Option<&DagEntry>,
    of: impl Fn(&DagEntry) -> Option<BTreeMap<String, String>>,
) -> Difference {
    let of = |dag: Option<&DagEntry>| dag.map_or_else(|| Some(BTreeMap::new()), &of);
    match (of(old), of(new)) {
        (Some(before), Some(after)) => Difference::between(&before, &after),
        _ => Difference::default(),
    }
}

/// The connections, variables and pools that DAGs name now and did not before, by their names.
#[must_use]
pub fn new_needs(old: &DagIndex, new: &DagIndex) -> Vec<Need> {
    let before = old.by_id();
    let mut found: BTreeMap<(NeedKind, &str), Vec<String>> = BTreeMap::new();
    for (id, dag) in new.by_id() {
        let known: BTreeSet<(NeedKind, &str)> = before.get(id).map(|dag| needs(dag)).unwrap_or_default();
        for need in needs(dag).difference(&known) {
            found.entry(*need).or_default().push(id.to_owned());
        }
    }
    let need = |((kind, name), dags): ((NeedKind, &str), _)| Need { kind, name: name.to_owned(), dags };
    found.into_iter().map(need).collect()
}

fn needs(dag: &DagEntry) -> BTreeSet<(NeedKind, &str)> {
    let kinds = [
        (NeedKind::Connection, &dag.connections),
        (NeedKind::Variable, &dag.variables),
        (NeedKind::Pool, &dag.pools),
    ];
    kinds.into_iter().flat_map(|(kind, names)| names.iter().map(move |name| (kind, name.as_str()))).collect()
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
