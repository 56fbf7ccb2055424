//! Puts an artifact into the bucket under the name of its content, unless the whole of it is there.
//!
//! Files are streamed from disk and never held; S3 verifies the bytes against the digest on arrival.

use super::{Condition, Store, Stored};
use crate::doors::aws::{self, code, failure};
use crate::doors::backoff::Backoff;
use crate::doors::haste;
use crate::fail::{Context as _, Fail, Result};
use crate::model::digest::Digest;
use aws_sdk_s3::Config;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;
use std::time::Duration;

/// The most that one PUT takes (Amazon S3, "Uploading objects").
const LARGEST: u64 = 5 << 30;
/// From this size on a HEAD asks whether the object exists before its bytes are sent; below, the refusal
/// of the PUT itself is the quicker answer, unless the object is probably there.
const ASK_FIRST: u64 = 1 << 20;
/// How often a PUT is tried while somebody else writes the same key.
const TRIES: u32 = 6;
/// What S3 needs for its answer, and the slowest line that is waited for, in bytes a second.
const PATIENCE: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 512 << 10;

/// What to upload.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A zip on this machine.
    File(&'a Path),
    /// One that is there already, most of the time.
    Known(&'a Path),
    /// A template.
    Template(&'a str),
}

impl Content<'_> {
    fn kind(self) -> &'static str {
        match self {
            Content::File(_) | Content::Known(_) => "application/zip",
            Content::Template(_) => "application/yaml",
        }
    }

    fn size(self) -> Result<u64> {
        match self {
            Content::File(path) | Content::Known(path) => {
                Ok(path.metadata().failed(|| format!("cannot read `{}`", path.display()))?.len())
            }
            Content::Template(text) => Ok(text.len() as u64),
        }
    }

    async fn body(self) -> Result<ByteStream> {
        match self {
            Content::File(path) | Content::Known(path) => {
                ByteStream::from_path(path).await.failed(|| format!("cannot read `{}`", path.display()))
            }
            Content::Template(text) => Ok(ByteStream::from(text.as_bytes().to_vec())),
        }
    }
}

/// Whether there was anything to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Yes,
    AlreadyThere,
}

/// The SHA-256 as S3 writes it.
pub(super) fn sha256(digest: &Digest) -> String {
    STANDARD.encode(digest.bytes())
}

impl Stored {
    /// Whether this is the artifact, and not the rest of one that somebody or something cut off.
    fn is_whole(&self, digest: &Digest, size: u64) -> bool {
        match &self.sha256 {
            Some(stored) => *stored == sha256(digest),
            None => self.size == Some(size),
        }
    }
}

/// How one try ended.
enum Tried {
    Sent,
    /// There is an object already, or another one than was seen.
    Refused,
    /// Somebody else was writing the same object at that moment.
    Busy,
}

/// The PUT itself asks whether the object exists (`If-None-Match: *`), or whether the damaged one is still
/// there (`If-Match`): asking first would race.
pub(super) async fn upload(store: &Store, key: &str, content: Content<'_>, digest: &Digest) -> Result<Sent> {
    let size = content.size()?;
    if size > LARGEST {
        return Err(Fail::usage(format!("the archive for `{key}` is larger than 5 GiB"))
            .cause("S3 accepts no more in a single upload")
            .hint("keep data in S3 and let the DAGs read them there"));
    }
    // 403 is what a HEAD of a missing key gets without the right to list.
    let asks = size >= ASK_FIRST || matches!(content, Content::Known(_));
    let mut stored = if asks { store.stored(key).await.unwrap_or_default() } else { None };
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    for attempt in 1..=TRIES {
        if stored.as_ref().is_some_and(|stored| stored.is_whole(digest, size)) {
            return Ok(Sent::AlreadyThere);
        }
        let condition = stored.as_ref().map_or(Condition::Absent, |stored| Condition::Same(&stored.etag));
        match once(store, key, content, digest, condition).await? {
            Tried::Sent => return Ok(Sent::Yes),
            Tried::Refused => stored = store.stored(key).await?,
            Tried::Busy if attempt < TRIES => backoff.wait().await,
            Tried::Busy => {}
        }
    }
    Err(Fail::failed(format!("cannot upload to `{}`", store.location(key)))
        .cause("somebody else keeps writing the same object")
        .hint("run the command again"))
}

async fn once(
    store: &Store,
    key: &str,
    content: Content<'_>,
    digest: &Digest,
    condition: Condition<'_>,
) -> Result<Tried> {
    let put = store.put_object(key, content.kind()).body(content.body().await?);
    let put = condition.on(put).checksum_sha256(sha256(digest));
    let put = put.customize().config_override(in_time(haste::patience(PATIENCE), content.size()?));
    match put.send().await {
        Ok(_) => Ok(Tried::Sent),
        Err(error) => refused(store, key, error),
    }
}

/// An attempt ends after this, and the time that so many bytes need.
pub(super) fn in_time(patience: Duration, size: u64) -> Builder {
    let patience = TimeoutConfig::builder().operation_attempt_timeout(patience + sending(size)).build();
    Config::builder().timeout_config(patience)
}

fn sending(size: u64) -> Duration {
    Duration::from_secs(size / SLOWEST)
}

fn refused(store: &Store, key: &str, error: SdkError<PutObjectError>) -> Result<Tried> {
    match code(&error) {
        // 404: the damaged object that was to be replaced is gone.
        "PreconditionFailed" | "NoSuchKey" => Ok(Tried::Refused),
        "ConditionalRequestConflict" => Ok(Tried::Busy),
        "BadDigest" => {
            let message = error.as_service_error().and_then(|e| e.message()).unwrap_or_default().to_owned();
            Err(Fail::failed("the archive changed after it was made")
                .cause(format!("S3: BadDigest: {message}"))
                .hint("remove the cached archives and run the command again: rm -r .ductwork/cache"))
        }
        _ => {
            let hint = hint(aws::code(&error));
            let fail = failure("S3", format!("cannot upload to `{}`", store.location(key)), error);
            Err(hint.into_iter().fold(fail, Fail::hint))
        }
    }
}

fn hint(code: &str) -> Option<&'static str> {
    match code {
        "NoSuchBucket" => {
            Some("create the bucket: it belongs to the bootstrap stack, which `deploy` creates")
        }
        "AccessDenied" => Some("check that the bucket belongs to this account and that you may write to it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::wire;
    use super::*;
    use crate::doors::fake::Bucket;
    use aws_smithy_http_client::test_util::StaticReplayClient;
    use std::io::Write as _;
    use tempfile::NamedTempFile;

    const KEY: &str = "bundles/x.zip";

    fn file(content: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    async fn run(content: &[u8], answers: &[(u16, &str)]) -> (Result<Sent>, StaticReplayClient) {
        let (store, replay) = wire(answers);
        let file = file(content);
        (store.upload(KEY, Content::File(file.path()), &Digest::of(content)).await, replay)
    }

    #[tokio::test]
    async fn the_request_is_conditional_and_carries_the_digest_itself() {
        let (result, replay) = run(b"abc", &[(200, "")]).await;
        assert_eq!(result.unwrap(), Sent::Yes);
        let requests: Vec<_> = replay.actual_requests().collect();
        let [request] = requests.as_slice() else { panic!("{} requests", requests.len()) };
        assert_eq!(request.method(), "PUT");
        assert!(request.uri().starts_with(
            "https://ductwork-123456789012-eu-central-1.s3.eu-central-1.amazonaws.com/bundles/x.zip"
        ));
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
    async fn a_template_is_sent_with_its_digest_and_owner_too() {
        let (store, replay) = wire(&[(200, "")]);
        let sent = store.upload("templates/x.yaml", Content::Template("abc"), &Digest::of(b"abc")).await;
        assert_eq!(sent.unwrap(), Sent::Yes);
        let request = replay.actual_requests().next().unwrap();
        let header = |name| request.headers().get(name);
        assert_eq!(header("x-amz-checksum-sha256"), Some("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="));
        assert_eq!(header("x-amz-expected-bucket-owner"), Some("123456789012"));
        assert_eq!((header("if-none-match"), header("content-type")), (Some("*"), Some("application/yaml")));
    }

    async fn send(bucket: &Bucket, text: &str) -> Sent {
        let digest = Digest::of(text.as_bytes());
        bucket.store().upload(KEY, Content::Template(text), &digest).await.unwrap()
    }

    /// The second one is large enough to be asked for before it is sent.
    fn texts() -> [String; 2] {
        ["abc".to_owned(), "x".repeat(1 << 20)]
    }

    #[tokio::test]
    async fn what_is_there_is_not_an_error() {
        for text in texts() {
            let bucket = Bucket::default();
            assert_eq!(send(&bucket, &text).await, Sent::Yes);
            assert_eq!(send(&bucket, &text).await, Sent::AlreadyThere);
        }
    }

    #[tokio::test]
    async fn what_is_there_and_damaged_is_sent_anew_if_it_is_still_the_object_that_was_seen() {
        for text in texts() {
            let bucket = Bucket::default();
            bucket.set_bytes(KEY, &text.as_bytes()[..2]);
            assert_eq!(send(&bucket, &text).await, Sent::Yes);
            assert_eq!(bucket.text(KEY), text);
            assert_eq!(bucket.lines().last().unwrap(), &format!("if \"1\" put {KEY}"));
        }
    }

    #[test]
    fn without_a_checksum_the_size_tells() {
        let stored = |sha256: Option<&[u8]>, size| Stored {
            etag: String::new(),
            size: Some(size),
            sha256: sha256.map(|bytes| super::sha256(&Digest::of(bytes))),
        };
        let abc = Digest::of(b"abc");
        assert!(stored(None, 3).is_whole(&abc, 3));
        assert!(!stored(None, 2).is_whole(&abc, 3));
        assert!(stored(Some(b"abc"), 3).is_whole(&abc, 3));
        assert!(!stored(Some(b"abd"), 3).is_whole(&abc, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_tried_again() {
        let conflict = (409, "ConditionalRequestConflict");
        let (result, replay) = run(b"abc", &[conflict, conflict, (200, "")]).await;
        assert_eq!(result.unwrap(), Sent::Yes);
        assert_eq!(replay.actual_requests().count(), 3);
        let (result, replay) = run(b"abc", &[conflict; 6]).await;
        assert!(result.unwrap_err().to_string().contains("somebody else keeps writing"));
        assert_eq!(replay.actual_requests().count(), 6);
    }

    #[tokio::test]
    async fn a_large_file_is_asked_for_before_it_is_sent() {
        let large = vec![7; 1 << 20];
        // 403 is what a HEAD of a missing key gets without the right to list
        for absent in [404, 403] {
            let (result, replay) = run(&large, &[(absent, ""), (200, "")]).await;
            assert_eq!(result.unwrap(), Sent::Yes);
            let requests: Vec<_> = replay.actual_requests().collect();
            assert_eq!((requests[0].method(), requests.len()), ("HEAD", 2));
            assert_eq!(requests[0].headers().get("x-amz-checksum-mode"), Some("ENABLED"));
        }
    }

    #[tokio::test]
    async fn other_refusals_say_what_s3_says() {
        let (result, _) = run(b"abc", &[(403, "AccessDenied")]).await;
        assert_eq!(
            result.unwrap_err().to_string(),
            "cannot upload to `s3://ductwork-123456789012-eu-central-1/bundles/x.zip`: S3: AccessDenied: m"
        );
        let (result, _) = run(b"abc", &[(404, "NoSuchBucket")]).await;
        assert!(result.unwrap_err().hints()[0].contains("bootstrap"));
        let (result, _) = run(b"abc", &[(400, "BadDigest")]).await;
        assert!(result.unwrap_err().to_string().contains("changed after it was made"));
    }

    #[test]
    fn a_large_file_may_take_longer() {
        let minutes = |size| (PATIENCE + sending(size)).as_secs() / 60;
        assert_eq!((minutes(10 << 10), minutes(100 << 20), minutes(LARGEST)), (1, 4, 171));
    }

    #[tokio::test]
    async fn more_than_five_gib_is_refused_before_anything_is_sent() {
        let (store, replay) = wire(&[]);
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(LARGEST + 1).unwrap();
        let fail = store.upload(KEY, Content::File(file.path()), &Digest::of(b"")).await.unwrap_err();
        assert!(fail.to_string().contains("is larger than 5 GiB"), "{fail}");
        assert_eq!(replay.actual_requests().count(), 0);
    }
}
