//! Brings an artifact to this machine, in pieces and checked against the digest that names it.

use super::{READS, Store};
use crate::doors::aws;
use crate::doors::backoff::Backoff;
use crate::doors::fs;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

pub(super) async fn download(store: &Store, key: &str, digest: &Digest, file: &Path) -> Result<Option<()>> {
    if fs::exists(file) && hashed(file)? == *digest {
        return Ok(Some(()));
    }
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    for _ in 1..READS {
        // An answer that broke off is asked for again.
        match once(store, key, digest, file).await? {
            Ok(found) => return Ok(found),
            Err(_) => backoff.wait().await,
        }
    }
    once(store, key, digest, file).await?
}

async fn once(store: &Store, key: &str, digest: &Digest, file: &Path) -> Result<Result<Option<()>>> {
    let get = store.s3.get_object().bucket(&store.bucket).key(key).expected_bucket_owner(&store.account);
    let what = || format!("cannot read `{}`", store.location(key));
    let mut answer = match get.send().await {
        Ok(answer) => answer,
        Err(error) if matches!(aws::code(&error), "NoSuchKey" | "NoSuchBucket") => return Ok(Ok(None)),
        Err(error) => return Err(aws::failure("S3", what(), error)),
    };
    let folder = file.parent().unwrap_or(file);
    fs::create_dir(folder)?;
    let (mut scratch, mut hasher) = (fs::scratch(folder)?, Sha256::new());
    loop {
        match answer.body.next().await {
            None => break,
            Some(Ok(piece)) => {
                hasher.update(&piece);
                scratch.write_all(&piece).map_err(|error| fs::unwritable(file, error))?;
            }
            Some(Err(error)) => return Ok(Err(Fail::failed(what()).because(error))),
        }
    }
    if Digest::from_hasher(hasher) != *digest {
        return Err(Fail::failed(format!("`{}` is damaged", store.location(key))));
    }
    fs::put(scratch, file)?;
    Ok(Ok(Some(())))
}

fn hashed(file: &Path) -> Result<Digest> {
    let (mut open, mut hasher, mut piece) = (fs::open(file)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match open
            .read(&mut piece)
            .map_err(|error| Fail::failed(format!("cannot read `{}`", file.display())).because(error))?
        {
            0 => return Ok(Digest::from_hasher(hasher)),
            read => hasher.update(&piece[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;

    #[tokio::test]
    async fn an_artifact_arrives_whole_or_not_at_all() {
        let (bucket, folder) = (Bucket::default(), tempfile::tempdir().unwrap());
        let (file, digest) = (folder.path().join("bundles/x.zip"), Digest::of(b"abc"));
        let get = async || bucket.store().download("bundles/x.zip", &digest, &file).await;
        assert!(get().await.unwrap().is_none(), "S3 has none");
        bucket.set_bytes("bundles/x.zip", b"ab");
        let fail = get().await.unwrap_err();
        assert!(fail.to_string().ends_with("is damaged") && !file.exists(), "{fail}");
        bucket.set_bytes("bundles/x.zip", b"abc");
        fs::write(&file, b"a").unwrap();
        assert!(get().await.unwrap().is_some());
        assert_eq!(fs::read(&file).unwrap(), b"abc", "what was there was no whole one");
        bucket.set_bytes("bundles/x.zip", b"");
        assert!(get().await.unwrap().is_some(), "it is here already");
    }
}
