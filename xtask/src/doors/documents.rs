//! JSON documents in the artifact bucket: the pointer, the lease, releases and deployments.
//! Whatever can be fought over is written only on a condition.

use super::aws::{self, Aws};
use crate::fail::{Fail, Kind, Result};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A document with the tag that the next conditional write must show.
#[derive(Clone, Debug)]
pub struct Found<T> {
    pub value: T,
    pub etag: String,
}

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'a> {
    /// There is no such object yet.
    Absent,
    /// The object is still the one that was read.
    Same(&'a str),
}

/// How a conditional write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Done; the new tag.
    Yes(String),
    /// Somebody else was there first.
    Lost,
}

/// The document, or nothing where there is none (or no bucket yet).
pub async fn read<T: DeserializeOwned>(aws: &Aws, bucket: &str, key: &str) -> Result<Option<Found<T>>> {
    let Some((bytes, etag)) = bytes(aws, bucket, key).await? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes)
        .map_err(|e| Fail::failed(format!("`s3://{bucket}/{key}` is damaged")).because(e))?;
    Ok(Some(Found { value, etag }))
}

/// The object and its tag, or nothing where there is none (or no bucket yet).
async fn bytes(aws: &Aws, bucket: &str, key: &str) -> Result<Option<(Vec<u8>, String)>> {
    let what = || format!("cannot read `s3://{bucket}/{key}`");
    let answer = match aws.s3.get_object().bucket(bucket).key(key).send().await {
        Ok(answer) => answer,
        Err(error) if matches!(aws::code(&error), "NoSuchKey" | "NoSuchBucket") => return Ok(None),
        Err(error) => return Err(aws::failure("S3", what(), error)),
    };
    let etag = answer.e_tag().unwrap_or_default().to_owned();
    let bytes = answer.body.collect().await.map_err(|error| Fail::failed(what()).because(error))?;
    Ok(Some((bytes.to_vec(), etag)))
}

/// Whether there is such an object.
pub async fn exists(aws: &Aws, bucket: &str, key: &str) -> Result<bool> {
    match aws.s3.head_object().bucket(bucket).key(key).send().await {
        Ok(_) => Ok(true),
        // A HEAD has no body to name an error in.
        Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => Ok(false),
        Err(error) => Err(aws::failure("S3", format!("cannot look at `s3://{bucket}/{key}`"), error)),
    }
}

fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Fail::new(Kind::Bug, "a document that cannot be JSON").because(e))
}

fn upload(aws: &Aws, bucket: &str, key: &str, json: Vec<u8>) -> PutObjectFluentBuilder {
    let put = aws.s3.put_object().bucket(bucket).key(key);
    put.content_type("application/json").body(ByteStream::from(json))
}

/// Writes if the condition holds. A request whose answer was lost on the way is sent again by the SDK
/// and then refused because of its own first attempt, so a refusal is believed only where something
/// else than `value` lies there.
pub async fn write<T: Serialize>(
    aws: &Aws,
    bucket: &str,
    key: &str,
    value: &T,
    condition: Condition<'_>,
) -> Result<Written> {
    let json = encoded(value)?;
    let put = upload(aws, bucket, key, json.clone());
    let put = match condition {
        Condition::Absent => put.if_none_match("*"),
        Condition::Same(etag) => put.if_match(etag),
    };
    match put.send().await {
        Ok(answer) => Ok(Written::Yes(answer.e_tag().unwrap_or_default().to_owned())),
        Err(error) => match aws::code(&error) {
            // 409: another conditional write of the same key is just being carried out. 404: the object
            // that was to be replaced is gone.
            "PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey" => {
                match bytes(aws, bucket, key).await? {
                    Some((there, etag)) if there == json => Ok(Written::Yes(etag)),
                    _ => Ok(Written::Lost),
                }
            }
            _ => Err(aws::failure("S3", format!("cannot write `s3://{bucket}/{key}`"), error)),
        },
    }
}

/// Replaces or makes a document that has one writer only.
pub async fn put<T: Serialize>(aws: &Aws, bucket: &str, key: &str, value: &T) -> Result<()> {
    let json = encoded(value)?;
    let sent = upload(aws, bucket, key, json).send().await;
    sent.map(drop).map_err(|e| aws::failure("S3", format!("cannot write `s3://{bucket}/{key}`"), e))
}

/// Keys below a prefix, oldest name first.
pub async fn keys(aws: &Aws, bucket: &str, prefix: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut pages = aws.s3.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => {
                keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
            }
            Err(error) if aws::code(&error) == "NoSuchBucket" => return Ok(keys),
            Err(error) => {
                return Err(aws::failure("S3", format!("cannot list `s3://{bucket}/{prefix}`"), error));
            }
        }
    }
    Ok(keys)
}

/// An object as text, or nothing where there is none.
pub async fn text(aws: &Aws, bucket: &str, key: &str) -> Result<Option<String>> {
    let Some((bytes, _)) = bytes(aws, bucket, key).await? else { return Ok(None) };
    let text = String::from_utf8(bytes)
        .map_err(|error| Fail::failed(format!("cannot read `s3://{bucket}/{key}`")).because(error))?;
    Ok(Some(text))
}

/// Deletes an object; one that is not there is fine.
pub async fn delete(aws: &Aws, bucket: &str, key: &str) -> Result<()> {
    let sent = aws.s3.delete_object().bucket(bucket).key(key).send().await;
    sent.map(drop).map_err(|error| aws::failure("S3", format!("cannot delete `s3://{bucket}/{key}`"), error))
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
