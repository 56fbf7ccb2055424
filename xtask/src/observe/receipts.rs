//! Reads receipts: one list tells which there are, how old each is and which have changed; only those are read.

use crate::doors::store::{Listed, Store};
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::model::receipt::{Kept, Receipt};
use std::collections::BTreeMap;

/// The receipt of the worker on a host or in a task; none if it has not written one.
pub async fn of_worker(store: &Store, id: &str) -> Result<Option<Receipt>> {
    let text = store.text(&names::receipt_key(store.environment(), id, "worker")).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// How many are read at the same time.
const READS: usize = 32;

/// What was read so far, for whoever looks again.
#[derive(Clone, Debug, Default)]
pub struct Receipts(BTreeMap<String, (String, Receipt)>);

impl Receipts {
    /// The receipts as they are. At most `most` are read; a changed one beyond that is still as it was, and a new one
    /// is left out, until the next look.
    pub async fn look(&mut self, store: &Store, most: usize) -> Result<Vec<Kept>> {
        let mut listed = store.listed(&names::receipts_prefix(store.environment())).await?;
        // Answers to this tool lie beside them, and expire with them.
        let answers = names::answer_key(store.environment(), "");
        let answers = answers.trim_end_matches(".json");
        listed.retain(|one| !one.key.starts_with(answers));
        let changed: Vec<&Listed> = listed.iter().filter(|one| !self.knows(one)).take(most).collect();
        for some in changed.chunks(READS) {
            self.read(store, some).await?;
        }
        let there: BTreeMap<&String, u64> = listed.iter().map(|one| (&one.key, one.age.as_secs())).collect();
        self.0.retain(|key, _| there.contains_key(key));
        let kept = |(key, (_, receipt)): (&String, &(String, Receipt))| Kept {
            receipt: receipt.clone(),
            age: there[key],
        };
        Ok(self.0.iter().map(kept).collect())
    }

    fn knows(&self, one: &Listed) -> bool {
        self.0.get(&one.key).is_some_and(|(etag, _)| *etag == one.etag)
    }

    /// One that is gone or damaged is left out: its component writes another.
    async fn read(&mut self, store: &Store, some: &[&Listed]) -> Result<()> {
        let read = |one: &&Listed| {
            let (store, key) = (store.clone(), one.key.clone());
            tokio::spawn(async move { store.text(&key).await })
        };
        let reads: Vec<_> = some.iter().map(read).collect();
        for (one, read) in some.iter().zip(reads) {
            let text =
                read.await.map_err(|error| Fail::bug("a read ended unexpectedly").because(error))??;
            if let Some(receipt) = text.and_then(|text| serde_json::from_str(&text).ok()) {
                self.0.insert(one.key.clone(), (one.etag.clone(), receipt));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;
    use serde_json::json;
    use std::time::Duration;

    fn write(bucket: &Bucket, id: &str, revision: &str) {
        let receipt = json!({ "component": "worker", "id": id, "revision": revision, "started": "t" });
        bucket.set(&format!("receipts/dev/{id}/worker.json"), &receipt);
    }

    #[tokio::test]
    async fn only_what_has_changed_is_read_again_and_the_age_is_that_of_the_object() {
        let bucket = Bucket::default();
        let store = bucket.store();
        let mut receipts = Receipts::default();
        write(&bucket, "i-1", "a");
        write(&bucket, "i-2", "a");
        bucket.set_bytes("receipts/dev/i-3/worker.json", b"{");
        write(&bucket, "i-2", "b");
        let seen = async |receipts: &mut Receipts, most| {
            let kept = receipts.look(&store, most).await.unwrap();
            let seen = kept
                .into_iter()
                .map(|one| format!("{} {} {}", one.receipt.id, one.receipt.revision, one.age));
            seen.collect::<Vec<_>>()
        };
        assert_eq!(seen(&mut receipts, 9).await, ["i-1 a 0", "i-2 b 0"]);
        bucket.pass(Duration::from_secs(40));
        bucket.set("receipts/dev/answers/01.json", &json!({ "by": "i-1", "status": 200 }));
        write(&bucket, "i-2", "c");
        write(&bucket, "i-4", "a");
        assert_eq!(seen(&mut receipts, 0).await, ["i-1 a 40", "i-2 b 0"]);
        assert_eq!(seen(&mut receipts, 9).await, ["i-1 a 40", "i-2 c 0", "i-4 a 0"]);
    }
}
