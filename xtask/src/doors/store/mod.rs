//! The artifact bucket as one environment uses it: JSON documents, and artifacts named by their content.
//!
//! Every call names the account that must own the bucket. Whatever two deployments could fight over is
//! written on a condition, and only here.

mod clock;
mod download;
mod upload;

use super::aws::{self, Aws};
use super::backoff::Backoff;
use super::fence::Fence;
use super::haste;
use crate::fail::{Fail, Kind, Result};
use crate::model::digest::Digest;
use crate::model::names;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

use clock::Answered;
pub use upload::{Content, Sent};

/// How often a document is read whose answer breaks off.
const READS: u32 = 5;
/// How often a document is written that somebody else is writing.
const WRITES: u32 = 6;
/// For the answer to a write of a document: a lease has to be renewed long before it expires.
const PATIENCE: Duration = Duration::from_secs(15);

/// The bucket, its owner, and whose records are read and written. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    s3: Client,
    bucket: String,
    account: String,
    environment: String,
    fence: Fence,
}

/// A document with the tag that the next conditional write must show.
#[derive(Clone, Debug)]
pub struct Found<T> {
    pub value: T,
    pub etag: String,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub etag: String,
    /// Since it was written.
    pub age: Duration,
}

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// There is no such object yet.
    Absent,
    /// The object is still the one that was read.
    Same(&'a str),
}

impl Condition<'_> {
    fn on(self, put: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        match self {
            Condition::Absent => put.if_none_match("*"),
            Condition::Same(etag) => put.if_match(etag),
        }
    }

    fn holds(self, found: Option<&Object>) -> bool {
        match self {
            Condition::Absent => found.is_none(),
            Condition::Same(etag) => found.is_some_and(|found| found.etag == etag),
        }
    }
}

/// An object as it was read.
struct Object {
    bytes: Vec<u8>,
    etag: String,
    age: Duration,
}

/// An object as S3 describes it.
#[derive(Clone, Debug)]
struct Stored {
    etag: String,
    size: Option<u64>,
    /// In base64, as S3 says it; none if the object was not sent with its SHA-256.
    sha256: Option<String>,
}

/// How a conditional write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Done; the new tag.
    Yes(String),
    /// Somebody else was there first.
    Lost,
}

impl Store {
    /// The bucket of this account and region, for the records of one environment.
    #[must_use]
    pub fn new(aws: &Aws, account: &str, environment: &str) -> Self {
        Self {
            s3: aws.s3.clone(),
            bucket: names::artifact_bucket(account, &aws.region),
            account: account.to_owned(),
            environment: environment.to_owned(),
            fence: aws.fence.clone(),
        }
    }

    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// What holds back requests of a lease that is lost.
    #[must_use]
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// `s3://bucket/key`, for messages.
    #[must_use]
    pub fn location(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// Whether the bucket exists. One of that name in another account is an error.
    pub async fn exists(&self) -> Result<bool> {
        let head = self.s3.head_bucket().bucket(&self.bucket).expected_bucket_owner(&self.account);
        match head.send().await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => {
                Err(aws::failure("S3", format!("cannot access the bucket `{}`", self.bucket), error)
                    .hint("check that it belongs to this account and that your role may use it"))
            }
        }
    }

    /// Whether the artifact is there, whole as far as S3 knows: one that other programs put there need not
    /// have a SHA-256.
    pub async fn holds(&self, key: &str, digest: &Digest) -> Result<bool> {
        let stored = self.stored(key).await?;
        Ok(stored.is_some_and(|stored| stored.sha256.is_none_or(|sha256| sha256 == upload::sha256(digest))))
    }

    /// Whether there is such an object.
    pub async fn has(&self, key: &str) -> Result<bool> {
        Ok(self.stored(key).await?.is_some())
    }

    /// What S3 knows of an object, or nothing if there is none.
    async fn stored(&self, key: &str) -> Result<Option<Stored>> {
        let head = self.s3.head_object().bucket(&self.bucket).key(key).expected_bucket_owner(&self.account);
        match head.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(answer) => Ok(Some(Stored {
                etag: answer.e_tag.unwrap_or_default(),
                size: answer.content_length.and_then(|size| u64::try_from(size).ok()),
                sha256: answer.checksum_sha256,
            })),
            // A HEAD has no body to name an error in.
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(aws::failure("S3", format!("cannot read `{}`", self.location(key)), error)),
        }
    }

    /// The document, or nothing if there is none (or no bucket yet).
    pub async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Found<T>>> {
        Ok(self.aged(key).await?.map(|(found, _)| found))
    }

    /// The document, and how long ago it was written by the clock of S3.
    pub async fn aged<T: DeserializeOwned>(&self, key: &str) -> Result<Option<(Found<T>, Duration)>> {
        let Some(Object { bytes, etag, age }) = self.object(key).await? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes)
            .map_err(|e| Fail::failed(format!("`{}` is damaged", self.location(key))).because(e))?;
        Ok(Some((Found { value, etag }, age)))
    }

    /// The document without its tag.
    pub async fn value<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        Ok(self.read(key).await?.map(|found| found.value))
    }

    /// An object as text, or nothing if there is none.
    pub async fn text(&self, key: &str) -> Result<Option<String>> {
        let text = self.bytes(key).await?.map(String::from_utf8).transpose();
        text.map_err(|e| Fail::failed(format!("cannot read `{}`", self.location(key))).because(e))
    }

    /// An object, or nothing if there is none.
    pub async fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.object(key).await?.map(|object| object.bytes))
    }

    /// The SDK repeats a request, but not one whose answer began well and broke off.
    async fn object(&self, key: &str) -> Result<Option<Object>> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for _ in 1..READS {
            match self.object_once(key).await? {
                Ok(found) => return Ok(found),
                Err(_) => backoff.wait().await,
            }
        }
        self.object_once(key).await?
    }

    /// One try; the failure inside is that of an answer that broke off.
    async fn object_once(&self, key: &str) -> Result<Result<Option<Object>>> {
        let what = || format!("cannot read `{}`", self.location(key));
        let get = self.s3.get_object().bucket(&self.bucket).key(key).expected_bucket_owner(&self.account);
        let answered = Answered::default();
        let answer = match get.customize().interceptor(answered.clone()).send().await {
            Ok(answer) => answer,
            Err(error) if matches!(aws::code(&error), "NoSuchKey" | "NoSuchBucket") => return Ok(Ok(None)),
            Err(error) => return Err(aws::failure("S3", what(), error)),
        };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let age = answered.age(answer.last_modified());
        let bytes = answer.body.collect().await.map_err(|error| Fail::failed(what()).because(error));
        Ok(bytes.map(|bytes| Some(Object { bytes: bytes.to_vec(), etag, age })))
    }

    /// Objects below a prefix with their tags and ages, by the clock of S3.
    pub async fn listed(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let list = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let list = list.expected_bucket_owner(&self.account).set_continuation_token(next);
            let answered = Answered::default();
            let page = match list.customize().interceptor(answered.clone()).send().await {
                Ok(page) => page,
                Err(error) if aws::code(&error) == "NoSuchBucket" => return Ok(found),
                Err(error) => {
                    let what = format!("cannot list `{}`", self.location(prefix));
                    return Err(aws::failure("S3", what, error));
                }
            };
            found.extend(page.contents().iter().filter_map(|object| {
                let etag = object.e_tag().unwrap_or_default().to_owned();
                Some(Listed {
                    key: object.key()?.to_owned(),
                    etag,
                    age: answered.age(object.last_modified()),
                })
            }));
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Keys below a prefix, oldest name first.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.listed(prefix).await?.into_iter().map(|one| one.key).collect())
    }

    /// Writes if the condition holds. The SDK repeats a request whose answer was lost, and the repetition is
    /// then refused because of the first attempt; so a refusal counts only if something other than `value`
    /// is there.
    pub async fn write<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        condition: Condition<'_>,
    ) -> Result<Written> {
        let json = encoded(value)?;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for _ in 0..WRITES {
            match self.write_once(key, &json, condition).await? {
                Some(written) => return Ok(written),
                None => backoff.wait().await,
            }
        }
        Err(Fail::failed(format!("cannot write `{}`", self.location(key)))
            .cause("S3: somebody else keeps writing the same object")
            .hint("run the command again"))
    }

    /// None if it was refused although the condition holds: another write of the same key was being carried out.
    async fn write_once(&self, key: &str, json: &[u8], condition: Condition<'_>) -> Result<Option<Written>> {
        let put = self.put_object(key, "application/json").body(ByteStream::from(json.to_vec()));
        let put = condition.on(put).customize().config_override(patient(json.len()));
        match put.send().await {
            Ok(answer) => Ok(Some(Written::Yes(answer.e_tag().unwrap_or_default().to_owned()))),
            Err(error) => match aws::code(&error) {
                // 409: another conditional write of the same key is being carried out. 404: the object
                // that was to be replaced is gone.
                "PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey" => {
                    Ok(match self.object(key).await? {
                        Some(found) if found.bytes == json => Some(Written::Yes(found.etag)),
                        found if condition.holds(found.as_ref()) => None,
                        _ => Some(Written::Lost),
                    })
                }
                _ => {
                    let unanswered = aws::passes(&error);
                    let fail = aws::failure("S3", format!("cannot write `{}`", self.location(key)), error);
                    if !unanswered {
                        return Err(fail);
                    }
                    self.unanswered(key, json, condition, fail).await.map(Some)
                }
            },
        }
    }

    /// What nobody answered may have been done: whoever takes the pointer for the old one would roll back around it.
    /// The same bytes under the same tag are those of before.
    async fn unanswered(
        &self,
        key: &str,
        json: &[u8],
        condition: Condition<'_>,
        fail: Fail,
    ) -> Result<Written> {
        let found = self.object(key).await.ok().flatten();
        let is_ours = |found: &Object| found.bytes == json && condition != Condition::Same(&found.etag);
        found.filter(is_ours).map(|found| Written::Yes(found.etag)).ok_or(fail)
    }

    /// Creates or replaces a document that has a single writer.
    pub async fn put<T: Serialize>(&self, key: &str, value: &T) -> Result<()> {
        let json = encoded(value)?;
        let patience = patient(json.len());
        let put = self.put_object(key, "application/json").body(ByteStream::from(json));
        let sent = put.customize().config_override(patience).send().await;
        sent.map(drop).map_err(|e| aws::failure("S3", format!("cannot write `{}`", self.location(key)), e))
    }

    /// Brings an artifact to a file of this machine, unless the whole of it is there; none if S3 has no such object.
    ///
    /// # Errors
    /// One that is damaged there, and whatever S3 says.
    pub async fn download(&self, key: &str, digest: &Digest, file: &Path) -> Result<Option<()>> {
        download::download(self, key, digest, file).await
    }

    /// Uploads an artifact, unless it is there already; one that is there and damaged is replaced.
    ///
    /// # Errors
    /// A file over 5 GiB, one that cannot be read, one whose content does not match the digest, and
    /// whatever S3 says.
    pub async fn upload(&self, key: &str, content: Content<'_>, digest: &Digest) -> Result<Sent> {
        upload::upload(self, key, content, digest).await
    }

    /// Deletes an object; a missing one is fine.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let delete =
            self.s3.delete_object().bucket(&self.bucket).key(key).expected_bucket_owner(&self.account);
        let sent = delete.send().await;
        sent.map(drop)
            .map_err(|error| aws::failure("S3", format!("cannot delete `{}`", self.location(key)), error))
    }

    fn put_object(&self, key: &str, kind: &str) -> PutObjectFluentBuilder {
        let put = self.s3.put_object().bucket(&self.bucket).key(key);
        put.expected_bucket_owner(&self.account).content_type(kind)
    }
}

/// Time for a document of this size.
fn patient(size: usize) -> aws_sdk_s3::config::Builder {
    upload::in_time(haste::patience(PATIENCE), size as u64)
}

fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Fail::new(Kind::Bug, "cannot encode a document as JSON").because(e))
}

fn status<E>(error: &aws_sdk_s3::error::SdkError<E>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

#[cfg(test)]
mod tests;
