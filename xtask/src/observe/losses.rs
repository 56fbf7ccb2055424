//! Loss reports of tasks that were cut short, which workers leave in the artifact bucket.

use crate::doors::store::Store;
use crate::fail::Result;
use crate::model::loss::LossReport;
use crate::model::names;

/// Their keys, the oldest first.
pub async fn keys(store: &Store) -> Result<Vec<String>> {
    store.keys(&names::losses_prefix(store.environment())).await
}

/// Those whose keys fit, the oldest first.
pub async fn read(store: &Store, fits: impl Fn(&String) -> bool) -> Result<Vec<LossReport>> {
    let mut found = Vec::new();
    for key in keys(store).await?.iter().filter(|key| fits(key)) {
        found.extend(store.value::<LossReport>(key).await?);
    }
    Ok(found)
}

/// Those that were left at a time or later; RFC 3339, UTC.
pub async fn since(store: &Store, time: &str) -> Result<Vec<LossReport>> {
    let name: String = time.chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    let first = format!("{}{name}", names::losses_prefix(store.environment()));
    read(store, |key| *key >= first).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;

    #[tokio::test]
    async fn they_are_told_apart_by_their_time() {
        let bucket = Bucket::default();
        for (name, host) in [("20261129T110459Z-a-1", "a"), ("20261129T110500Z-b-1", "b")] {
            let report = LossReport { host: host.to_owned(), ..LossReport::default() };
            bucket.set(&format!("{}{name}.json", names::losses_prefix("dev")), &report);
        }
        let hosts = |found: Vec<LossReport>| found.into_iter().map(|one| one.host).collect::<Vec<_>>();
        let store = bucket.store();
        assert_eq!(hosts(read(&store, |_| true).await.unwrap()), ["a", "b"]);
        assert_eq!(hosts(since(&store, "2026-11-29T11:05:00.123Z").await.unwrap()), ["b"]);
        assert!(since(&store, "2026-11-29T11:05:01Z").await.unwrap().is_empty());
    }
}
