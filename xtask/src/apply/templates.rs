//! Puts packaged templates into the artifact bucket, each at most once.

use super::backoff::Backoff;
use crate::doors::aws;
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::plan::templates::Packaged;
use aws_sdk_s3::Client;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// Where the artifacts of an account are.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub name: String,
    /// The account that must own it: a bucket of that name in another account is not written to.
    pub account: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploaded {
    pub uploaded: usize,
    /// Were there already.
    pub present: usize,
}

/// How often a PUT is tried while somebody else writes the same key.
const TRIES: usize = 6;

/// Uploads what is not there yet, all at once. The PUT itself asks (`If-None-Match: *`): a look
/// before it would race, and after a HEAD of a missing key CloudFormation may go on not finding it.
pub async fn upload<'a>(
    client: &Client,
    bucket: &Bucket,
    templates: impl IntoIterator<Item = &'a Packaged>,
) -> Result<Uploaded> {
    let unique: BTreeMap<_, _> = templates.into_iter().map(|template| (template.digest, template)).collect();
    let mut tasks = JoinSet::new();
    for template in unique.into_values() {
        tasks.spawn(put(client.clone(), bucket.clone(), template.clone()));
    }
    let mut sum = Uploaded::default();
    while let Some(done) = tasks.join_next().await {
        match done.map_err(|error| Fail::bug("an upload broke").because(error))?? {
            Put::Written => sum.uploaded += 1,
            Put::Present => sum.present += 1,
        }
    }
    Ok(sum)
}

enum Put {
    Written,
    Present,
}

async fn put(client: Client, bucket: Bucket, template: Packaged) -> Result<Put> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    for _ in 0..TRIES {
        let answer = client
            .put_object()
            .bucket(&bucket.name)
            .key(names::template_key(&template.digest))
            .expected_bucket_owner(&bucket.account)
            .if_none_match("*")
            .checksum_sha256(STANDARD.encode(template.digest.bytes()))
            .content_type("application/yaml")
            .body(template.body.clone().into_bytes().into())
            .send()
            .await;
        match answer {
            Ok(_) => return Ok(Put::Written),
            Err(error) => match aws::code(&error) {
                "PreconditionFailed" => return Ok(Put::Present),
                // Somebody writes the same key at the same moment: the same bytes, then.
                "ConditionalRequestConflict" => backoff.wait().await,
                _ => return Err(failure(&bucket, &template, error)),
            },
        }
    }
    let what = format!("cannot upload `templates/{}`: somebody else keeps writing it", template.path);
    Err(Fail::failed(what).hint("run the command again"))
}

fn failure(
    bucket: &Bucket,
    template: &Packaged,
    error: aws_sdk_s3::error::SdkError<aws_sdk_s3::operation::put_object::PutObjectError>,
) -> Fail {
    let what = format!("cannot upload `templates/{}` to the bucket `{}`", template.path, bucket.name);
    let hint = match aws::code(&error) {
        "NoSuchBucket" => Some("make the bucket: it belongs to the bootstrap stack"),
        "AccessDenied" => Some("check that the bucket belongs to this account and that you may write to it"),
        _ => None,
    };
    let fail = aws::failure("S3", what, error);
    match hint {
        Some(hint) => fail.hint(hint),
        None => fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
    use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
    use aws_smithy_types::error::ErrorMetadata;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn packaged(body: &str) -> Packaged {
        let digest = Digest::of(body.as_bytes());
        Packaged { path: format!("{body}.yaml"), digest, body: body.to_owned(), url: String::new() }
    }

    fn bucket() -> Bucket {
        Bucket { name: "artifacts".to_owned(), account: "123456789012".to_owned() }
    }

    fn error(code: &str) -> PutObjectError {
        PutObjectError::generic(ErrorMetadata::builder().code(code).message("no").build())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_left_alone_and_the_same_body_goes_once() {
        let [new, old, busy] = ["new", "old", "busy"].map(packaged);
        let conflicts = AtomicUsize::new(0);
        let put = mock!(Client::put_object)
            .match_requests(|request| {
                request.if_none_match() == Some("*")
                    && request.expected_bucket_owner() == Some("123456789012")
                    && request.checksum_sha256().is_some_and(|sum| sum.len() == 44)
            })
            .then_compute_response(move |request| {
                let key = request.key().unwrap_or_default();
                if key == names::template_key(&packaged("old").digest) {
                    return MockResponse::Error(error("PreconditionFailed"));
                }
                let is_busy = key == names::template_key(&packaged("busy").digest);
                if is_busy && conflicts.fetch_add(1, Ordering::Relaxed) < 2 {
                    return MockResponse::Error(error("ConditionalRequestConflict"));
                }
                MockResponse::Output(PutObjectOutput::builder().build())
            });
        let client = mock_client!(aws_sdk_s3, RuleMode::MatchAny, [&put]);
        let done = upload(&client, &bucket(), [&new, &new, &old, &busy]).await.unwrap();
        assert_eq!(done, Uploaded { uploaded: 2, present: 1 });
        assert_eq!(put.num_calls(), 5);
    }

    #[tokio::test]
    async fn another_error_names_the_file_and_the_cure() {
        let put = mock!(Client::put_object).then_error(|| error("NoSuchBucket"));
        let client = mock_client!(aws_sdk_s3, RuleMode::MatchAny, [&put]);
        let fail = upload(&client, &bucket(), [&packaged("a")]).await.unwrap_err();
        assert_eq!(fail.message(), "cannot upload `templates/a.yaml` to the bucket `artifacts`");
        assert!(fail.hints()[0].contains("bootstrap"));
    }
}
