//! What stacks leave behind when they are updated or deleted: noted, so that `destroy` finds it.

use crate::doors::store::Store;
use crate::fail::Result;
use crate::model::contract::CONTRACT;
use crate::model::names::{self, outputs};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `environments/<env>/leftovers.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    pub buckets: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
    /// Whether there were tasks of ECS: earlier revisions of their definitions are no stack's.
    #[serde(default)]
    pub task_definitions: bool,
}

impl Leftovers {
    /// Adds what a stack with these outputs leaves behind.
    pub fn add(&mut self, outputs: &BTreeMap<String, String>) {
        let named = [outputs::LOGS_BUCKET, outputs::ACCESS_LOG_BUCKET].into_iter();
        let named =
            named.filter_map(|name| outputs.get(name)).filter(|bucket| **bucket != CONTRACT.outputs.none);
        self.buckets.extend(named.cloned());
        self.secrets.extend(outputs.get(outputs::FERNET_KEY_SECRET).cloned());
        self.task_definitions |= outputs.contains_key(outputs::CLUSTER);
    }

    fn of(outputs: &BTreeMap<String, String>) -> Self {
        let mut leftovers = Self::default();
        leftovers.add(outputs);
        leftovers
    }
}

/// Reads the note.
pub async fn noted(store: &Store) -> Result<Leftovers> {
    Ok(store.value(&names::leftovers_key(store.environment())).await?.unwrap_or_default())
}

/// Notes what an update let go of without deleting it, such as the bucket of a removed load balancer.
pub async fn note(
    store: &Store,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Result<()> {
    let (before, after) = (Leftovers::of(before), Leftovers::of(after));
    let buckets: BTreeSet<String> = before.buckets.difference(&after.buckets).cloned().collect();
    let secrets: BTreeSet<String> = before.secrets.difference(&after.secrets).cloned().collect();
    let task_definitions = before.task_definitions && !after.task_definitions;
    if buckets.is_empty() && secrets.is_empty() && !task_definitions {
        return Ok(());
    }
    let mut leftovers = noted(store).await?;
    leftovers.buckets.extend(buckets);
    leftovers.secrets.extend(secrets);
    leftovers.task_definitions |= task_definitions;
    store.put(&names::leftovers_key(store.environment()), &leftovers).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;

    #[tokio::test]
    async fn what_an_update_lets_go_of_is_noted_for_later() {
        let bucket = Bucket::default();
        let store = bucket.store();
        let outputs = |access: &str| {
            BTreeMap::from(
                [("LogsBucket", "logs"), ("AccessLogBucket", access)]
                    .map(|(a, b)| (a.to_owned(), b.to_owned())),
            )
        };
        let noted = async || store.value::<Leftovers>(&names::leftovers_key("dev")).await.unwrap();
        note(&store, &outputs("-"), &outputs("entry-1")).await.unwrap();
        assert!(noted().await.is_none(), "nothing was let go of");
        note(&store, &outputs("entry-1"), &outputs("-")).await.unwrap();
        note(&store, &outputs("entry-2"), &BTreeMap::from([("LogsBucket".to_owned(), "logs".to_owned())]))
            .await
            .unwrap();
        let found = noted().await.unwrap();
        assert_eq!(found.buckets, BTreeSet::from(["entry-1".to_owned(), "entry-2".to_owned()]));
        assert!(!found.task_definitions);
        let cluster = BTreeMap::from([("ClusterName".to_owned(), "p-dev".to_owned())]);
        note(&store, &cluster, &BTreeMap::new()).await.unwrap();
        assert!(noted().await.unwrap().task_definitions, "of an engine that the environment had before");
    }
}
