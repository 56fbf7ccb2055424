//! What a release gives to DAGs besides code, and how that differs from the release before.

use super::engine_change::EngineChange;
use crate::model::difference::Difference;
use crate::model::git::{GitSource, short};
use crate::model::objects::ObjectsDiff;
use crate::model::release::{Release, StackSpec};
use serde::Serialize;
use std::collections::BTreeMap;

/// The parameter of the master stack that holds environment variables.
pub(super) const VARIABLES: &str = "EnvironmentVariables";

/// The environment variables as JSON. DAGs may read them while they are imported.
#[must_use]
pub fn variables(stack: &StackSpec) -> Option<&String> {
    stack.parameters.get(VARIABLES)
}

/// Whether DAGs are imported alike on both: by their variables, and the external tasks that there are.
#[must_use]
pub fn same_to_dags(one: &StackSpec, other: &StackSpec) -> bool {
    variables(one) == variables(other) && one.task_names().eq(other.task_names())
}

/// What is added, changed and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Environment variables.
    pub env: Difference,
    pub objects: ObjectsDiff,
    /// What all of it runs on.
    pub engine: Option<EngineChange>,
    pub git: Option<GitChange>,
}

/// The git repository that the DAGs come from, and what it was at the release before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GitChange {
    #[serde(flatten)]
    pub source: GitSource,
    /// The commit of the release before; none if its DAGs came from elsewhere.
    pub previous: Option<String>,
}

impl Contents {
    #[must_use]
    pub fn between(old: Option<&Release>, new: &Release) -> Self {
        Self {
            env: Difference::between(&old.map(env).unwrap_or_default(), &env(new)),
            engine: EngineChange::between(old, new),
            objects: new.objects.since(&old.map(|old| old.objects.clone()).unwrap_or_default()),
            git: new.git.clone().map(|source| GitChange::since(old.and_then(|old| old.git.as_ref()), source)),
        }
    }
}

impl GitChange {
    fn since(old: Option<&GitSource>, source: GitSource) -> Self {
        let previous = old.filter(|old| old.url == source.url).map(|old| old.commit.clone());
        Self { source, previous }
    }

    /// `URL main: 1a2b3c4 → 5d6e7f8`, or `URL main at 5d6e7f8` unless it was another commit before.
    #[must_use]
    pub fn text(&self) -> String {
        let GitSource { url, reference, commit, .. } = &self.source;
        match &self.previous {
            Some(previous) if previous != commit => {
                let name = if reference == commit { url.clone() } else { format!("{url} {reference}") };
                format!("{name}: {} → {}", short(previous), short(commit))
            }
            _ => format!("{url} {}", self.source.shown()),
        }
    }
}

fn env(release: &Release) -> BTreeMap<String, String> {
    let json = variables(&release.stack);
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}
