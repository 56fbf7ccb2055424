//! Reads the composed templates of recorded releases, nested ones too.

use crate::doors::store::Store;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::names;
use std::collections::BTreeMap;

/// The texts of these templates and of all that are nested in them. Those of one level are read at the same time.
///
/// # Errors
/// One of them is missing.
pub async fn texts(store: &Store, roots: &[Digest]) -> Result<BTreeMap<Digest, String>> {
    let mut found: BTreeMap<Digest, String> = BTreeMap::new();
    let mut level = roots.to_vec();
    while !level.is_empty() {
        level.sort();
        level.dedup();
        let reads: Vec<_> = level.iter().map(|digest| (*digest, read(store.clone(), *digest))).collect();
        let reads: Vec<_> = reads.into_iter().map(|(digest, read)| (digest, tokio::spawn(read))).collect();
        level.clear();
        for (digest, read) in reads {
            let text =
                read.await.map_err(|error| Fail::bug("a read ended unexpectedly").because(error))??;
            level.extend(names::children(&text));
            found.insert(digest, text);
        }
        level.retain(|digest| !found.contains_key(digest));
    }
    Ok(found)
}

async fn read(store: Store, digest: Digest) -> Result<String> {
    let key = names::template_key(&digest);
    let text = store.text(&key).await?;
    text.ok_or_else(|| Fail::failed(format!("`{}` is missing", store.location(&key))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;

    #[tokio::test]
    async fn nested_templates_are_read_once_and_a_missing_one_is_named() {
        let bucket = Bucket::default();
        let put = |text: &str| {
            let digest = Digest::of(text.as_bytes());
            bucket.set_bytes(&names::template_key(&digest), text.as_bytes());
            digest
        };
        let child = put("child");
        let parent = |more: &str| put(&format!("{}\n{more}", names::child_url(&child)));
        let (one, two) = (parent("1"), parent("2"));
        let texts = texts(&bucket.store(), &[one, two, one]).await.unwrap();
        assert_eq!(texts.len(), 3);
        assert_eq!(texts[&child], "child");
        let gone = Digest::of(b"gone");
        let fail = super::texts(&bucket.store(), &[gone]).await.unwrap_err();
        assert!(fail.message().contains(&names::template_key(&gone)), "{fail}");
    }
}
