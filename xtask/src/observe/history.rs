//! Reads what became of deployments: those of a release, and where each of them stands.

use super::lease::Seen;
use super::release::{READS, together};
use crate::doors::store::Store;
use crate::doors::time;
use crate::fail::Result;
use crate::model::names;
use crate::model::release::Deployment;
use crate::model::standing::Standing;

/// Every deployment of a release, newest first.
pub async fn of_release(store: &Store, id: &str) -> Result<Vec<Deployment>> {
    let mut keys = store.keys(&names::deployments_prefix(store.environment())).await?;
    keys.reverse();
    let mut found = Vec::new();
    for keys in keys.chunks(READS) {
        found.extend(together(store, keys).await?.into_iter().filter(|one| one.release == id));
    }
    Ok(found)
}

/// Where a deployment stands, by its record and the lease as it is now. Its own lease, renewed while it lived, tells
/// best when it fell silent.
#[must_use]
pub fn standing(deployment: &Deployment, lease: Option<&Seen>) -> Standing {
    let own = lease.filter(|seen| Some(seen.document().token) == deployment.token);
    let silent = match own {
        Some(seen) => Some(seen.age.as_secs_f64()),
        None => time::age_seconds(&deployment.started).map(|age| age - deployment.seconds),
    };
    Standing::of(deployment, own.is_some_and(Seen::is_live), silent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;
    use crate::doors::proc;
    use crate::model::release::{Outcome, StepRecord};
    use crate::observe::lease::{Document, look};
    use std::time::Duration;

    fn running(token: u64) -> Deployment {
        let step =
            StepRecord { name: "hosts".to_owned(), outcome: "running".to_owned(), ..StepRecord::default() };
        let (token, started) = (Some(token), "2026-11-20T10:00:00.000Z".to_owned());
        Deployment { release: "a".to_owned(), token, started, steps: vec![step], ..Deployment::default() }
    }

    #[tokio::test]
    async fn only_the_holder_of_its_own_lease_is_under_way() {
        let bucket = Bucket::default();
        let store = bucket.store();
        let lease = Document {
            held: true,
            by: "me".to_owned(),
            host: proc::host(),
            pid: proc::pid(),
            realm: proc::realm(),
            run_url: None,
            since: String::new(),
            expires: 1,
            token: 4,
        };
        bucket.set(&names::lock_key("dev"), &lease);
        let seen = look(&store).await.unwrap();
        assert_eq!(standing(&running(4), seen.as_ref()).word(), "under way");
        assert!(
            standing(&running(3), seen.as_ref()).cut().is_some(),
            "another deployment has the lease by now"
        );
        bucket.pass(Duration::from_secs(180));
        let seen = look(&store).await.unwrap();
        let told = standing(&running(4), seen.as_ref()).cut().unwrap().text();
        assert_eq!(told, "interrupted during `hosts`, 3 min ago");
        let ended = Deployment { outcome: Outcome::Failed, ..running(4) };
        assert_eq!(standing(&ended, seen.as_ref()).word(), "failed");
    }

    #[tokio::test]
    async fn the_deployments_of_one_release() {
        let bucket = Bucket::default();
        for (id, release) in [("01", "a"), ("02", "b"), ("03", "a")] {
            let one = Deployment { deployment: id.to_owned(), release: release.to_owned(), ..running(1) };
            bucket.set(&names::deployment_key("dev", id), &one);
        }
        let found = of_release(&bucket.store(), "a").await.unwrap();
        let ids: Vec<&str> = found.iter().map(|one| one.deployment.as_str()).collect();
        assert_eq!(ids, ["03", "01"]);
    }
}
