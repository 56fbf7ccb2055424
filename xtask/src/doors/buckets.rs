//! Deletes a whole bucket: S3 refuses one that still holds an object, an old version or a delete marker.

use super::aws;
use crate::fail::{Fail, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

/// Empties and deletes the bucket; one that is not there is fine. The answer is how many versions went.
pub async fn delete(s3: &Client, bucket: &str) -> Result<usize> {
    let what = || format!("cannot delete bucket `{bucket}`");
    let mut gone = 0;
    let mut last = None;
    loop {
        // From the start each time: what was listed is no longer there.
        let page = match s3.list_object_versions().bucket(bucket).send().await {
            Ok(page) => page,
            Err(error) if aws::code(&error) == "NoSuchBucket" => return Ok(gone),
            Err(error) => return Err(aws::failure("S3", what(), error)),
        };
        let objects = objects(&page);
        if objects.is_empty() {
            break;
        }
        if objects.first() == last.as_ref() {
            return Err(Fail::failed(what()).cause("S3 still lists objects that it reported as deleted"));
        }
        last = objects.first().cloned();
        gone += objects.len();
        remove(s3, bucket, objects).await.map_err(|fail| fail.context(what()))?;
    }
    match s3.delete_bucket().bucket(bucket).send().await {
        Ok(_) => Ok(gone),
        Err(error) if aws::code(&error) == "NoSuchBucket" => Ok(gone),
        Err(error) if aws::code(&error) == "BucketNotEmpty" => Err(aws::failure("S3", what(), error)
            .hint("something still writes to it: stop that, then run the same command again")),
        Err(error) => Err(aws::failure("S3", what(), error)),
    }
}

fn objects(page: &ListObjectVersionsOutput) -> Vec<ObjectIdentifier> {
    let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
    let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
    let identifier = |(key, version): (Option<&str>, Option<&str>)| {
        ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned)).build().ok()
    };
    versions.chain(markers).filter_map(identifier).collect()
}

/// At most a thousand at a time, which is what one page of a list holds.
async fn remove(s3: &Client, bucket: &str, objects: Vec<ObjectIdentifier>) -> Result<()> {
    let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
    let delete = delete.map_err(|error| Fail::bug("a deletion without objects").because(error))?;
    let answer = s3.delete_objects().bucket(bucket).delete(delete).send().await;
    let answer = answer.map_err(|error| aws::failure("S3", "cannot delete objects", error))?;
    match answer.errors().first() {
        None => Ok(()),
        Some(error) => Err(Fail::failed(format!("cannot delete `{}`", error.key().unwrap_or_default()))
            .cause(format!(
                "S3: {}: {}",
                error.code().unwrap_or_default(),
                error.message().unwrap_or_default()
            ))),
    }
}
