//! Puts a file into the artifact bucket under the name of its content, at most once.
//!
//! The body is streamed from disk and never held; S3 verifies it against the digest on arrival.

use crate::doors::{aws::Aws, aws::code, aws::failure, time};
use crate::fail::{Context as _, Fail, Result};
use crate::model::digest::Digest;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::{Client, Config};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;
use std::time::Duration;

/// The most that one PUT takes (Amazon S3, "Uploading objects").
const LARGEST: u64 = 5 << 30;
/// From this size on it is asked whether the object is there before its bytes are sent; below, the
/// refusal of the PUT itself is the quicker answer.
const ASK_FIRST: u64 = 1 << 20;
/// How often a PUT is tried while somebody else writes the same key.
const TRIES: u32 = 6;

/// The largest file at under 1 MB/s.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

/// Whether there was anything to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploaded {
    Yes,
    AlreadyThere,
}

/// Uploads the file whose sha256 is `digest`, unless `key` is there already.
///
/// # Errors
/// A file over 5 GiB, one that cannot be read, one whose content is not that of the digest, and
/// whatever S3 says.
pub async fn put_if_absent(
    aws: &Aws,
    bucket: &str,
    key: &str,
    path: &Path,
    digest: &Digest,
) -> Result<Uploaded> {
    put(&aws.s3, bucket, key, path, digest).await
}

async fn put(s3: &Client, bucket: &str, key: &str, path: &Path, digest: &Digest) -> Result<Uploaded> {
    let size = path.metadata().failed(|| format!("cannot read `{}`", path.display()))?.len();
    if size > LARGEST {
        return Err(Fail::usage(format!("`{}` is larger than 5 GiB", path.display()))
            .cause("S3 takes no more in one upload")
            .hint("keep data in S3 and let the DAGs read them there"));
    }
    if size >= ASK_FIRST && s3.head_object().bucket(bucket).key(key).send().await.is_ok() {
        return Ok(Uploaded::AlreadyThere);
    }
    let mut pause = Duration::from_millis(100);
    for _ in 1..TRIES {
        match once(s3, bucket, key, path, digest).await? {
            Some(uploaded) => return Ok(uploaded),
            None => time::sleep(pause).await,
        }
        pause *= 2;
    }
    let last = once(s3, bucket, key, path, digest).await?;
    last.ok_or_else(|| {
        Fail::failed(format!("cannot upload to `s3://{bucket}/{key}`"))
            .cause("somebody else keeps writing the same object")
            .hint("run the command again")
    })
}

/// One try; nothing where somebody else was writing the same object at that moment.
async fn once(
    s3: &Client,
    bucket: &str,
    key: &str,
    path: &Path,
    digest: &Digest,
) -> Result<Option<Uploaded>> {
    let body = ByteStream::from_path(path).await.failed(|| format!("cannot read `{}`", path.display()))?;
    let put = s3.put_object().bucket(bucket).key(key).body(body).content_type("application/zip");
    let put = put.if_none_match("*").checksum_sha256(STANDARD.encode(digest.bytes()));
    let patience = TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).build();
    let put = put.customize().config_override(Config::builder().timeout_config(patience));
    match put.send().await {
        Ok(_) => Ok(Some(Uploaded::Yes)),
        Err(error) => refused(bucket, key, error),
    }
}

fn refused(bucket: &str, key: &str, error: SdkError<PutObjectError>) -> Result<Option<Uploaded>> {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (status, code(&error)) {
        (Some(412), _) => Ok(Some(Uploaded::AlreadyThere)),
        (_, "ConditionalRequestConflict") => Ok(None),
        (_, "BadDigest") => {
            let message = error.as_service_error().and_then(|e| e.message()).unwrap_or_default().to_owned();
            Err(Fail::failed("the archive changed after it was made")
                .cause(format!("S3: BadDigest: {message}"))
                .hint("remove the cached archives and run the command again: rm -r .ductwork/cache"))
        }
        _ => Err(failure("S3", format!("cannot upload to `s3://{bucket}/{key}`"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;
    use std::io::Write as _;
    use tempfile::NamedTempFile;

    const KEY: &str = "bundles/x.zip";

    fn file(content: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    /// A client that gets these answers, in order; what was asked is in the second value.
    fn client(answers: &[(u16, &str)]) -> (Client, StaticReplayClient) {
        let event = |&(status, code): &(u16, &str)| {
            let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            let body = if code.is_empty() { SdkBody::empty() } else { SdkBody::from(body) };
            let request =
                ureq::http::Request::builder().uri("https://unused/").body(SdkBody::empty()).unwrap();
            ReplayEvent::new(request, ureq::http::Response::builder().status(status).body(body).unwrap())
        };
        let replay = StaticReplayClient::new(answers.iter().map(event).collect());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::for_tests())
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .http_client(replay.clone())
            .build();
        (Client::from_conf(config), replay)
    }

    async fn run(content: &[u8], answers: &[(u16, &str)]) -> (Result<Uploaded>, StaticReplayClient) {
        let (s3, replay) = client(answers);
        let file = file(content);
        (put(&s3, "bucket", KEY, file.path(), &Digest::of(content)).await, replay)
    }

    #[tokio::test]
    async fn the_request_is_conditional_and_carries_the_digest_itself() {
        let (result, replay) = run(b"abc", &[(200, "")]).await;
        assert_eq!(result.unwrap(), Uploaded::Yes);
        let requests: Vec<_> = replay.actual_requests().collect();
        let [request] = requests.as_slice() else { panic!("{} requests", requests.len()) };
        assert_eq!(request.method(), "PUT");
        assert!(request.uri().starts_with("https://bucket.s3.eu-central-1.amazonaws.com/bundles/x.zip"));
        let header = |name| request.headers().get(name);
        assert_eq!(header("if-none-match"), Some("*"));
        assert_eq!(header("x-amz-checksum-sha256"), Some("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="));
        assert_eq!(header("content-length"), Some("3"));
        // nothing is computed again and sent behind the body
        assert_eq!(header("x-amz-trailer"), None);
        assert_eq!(header("content-encoding"), None);
        assert_eq!(header("x-amz-checksum-crc32"), None);
        assert!(request.body().bytes().is_none(), "the body must be streamed from the file");
    }

    #[tokio::test]
    async fn what_is_there_is_not_an_error() {
        let (result, _) = run(b"abc", &[(412, "PreconditionFailed")]).await;
        assert_eq!(result.unwrap(), Uploaded::AlreadyThere);
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_tried_again() {
        let conflict = (409, "ConditionalRequestConflict");
        let (result, replay) = run(b"abc", &[conflict, conflict, (200, "")]).await;
        assert_eq!(result.unwrap(), Uploaded::Yes);
        assert_eq!(replay.actual_requests().count(), 3);
        let (result, replay) = run(b"abc", &[conflict; 6]).await;
        assert!(result.unwrap_err().to_string().contains("somebody else keeps writing"));
        assert_eq!(replay.actual_requests().count(), 6);
    }

    #[tokio::test]
    async fn a_large_file_is_sent_only_when_it_is_absent() {
        let large = vec![7; 1 << 20];
        let (result, replay) = run(&large, &[(200, "")]).await;
        assert_eq!(result.unwrap(), Uploaded::AlreadyThere);
        assert_eq!(replay.actual_requests().next().unwrap().method(), "HEAD");
        // 403 is what a HEAD of a missing key gets without the right to list
        for absent in [404, 403] {
            let (result, replay) = run(&large, &[(absent, ""), (200, "")]).await;
            assert_eq!(result.unwrap(), Uploaded::Yes);
            assert_eq!(replay.actual_requests().count(), 2);
        }
    }

    #[tokio::test]
    async fn other_refusals_say_what_s3_says() {
        let (result, _) = run(b"abc", &[(403, "AccessDenied")]).await;
        assert_eq!(
            result.unwrap_err().to_string(),
            "cannot upload to `s3://bucket/bundles/x.zip`: S3: AccessDenied: m"
        );
        let (result, _) = run(b"abc", &[(400, "BadDigest")]).await;
        assert!(result.unwrap_err().to_string().contains("changed after it was made"));
    }

    #[tokio::test]
    async fn more_than_five_gib_is_refused_before_anything_is_sent() {
        let (s3, replay) = client(&[]);
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(LARGEST + 1).unwrap();
        let fail = put(&s3, "bucket", KEY, file.path(), &Digest::of(b"")).await.unwrap_err();
        assert!(fail.to_string().contains("is larger than 5 GiB"), "{fail}");
        assert_eq!(replay.actual_requests().count(), 0);
    }
}
