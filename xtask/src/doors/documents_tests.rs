//! Documents: conditions as they are sent, races that are lost, buckets and keys that are not there.

use super::super::fake::Bucket;
use super::*;
use aws_sdk_s3::Config;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

const KEY: &str = "environments/dev/current.json";

/// The door over a wire that gives these answers, in order.
fn wire(answers: &[(u16, &str)]) -> (Aws, StaticReplayClient) {
    let event = |&(status, code): &(u16, &str)| {
        let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let body = if code.is_empty() { SdkBody::empty() } else { SdkBody::from(body) };
        let request = ureq::http::Request::builder().uri("https://unused/").body(SdkBody::empty()).unwrap();
        let answer = ureq::http::Response::builder().status(status).header("ETag", "\"new\"");
        ReplayEvent::new(request, answer.body(body).unwrap())
    };
    let replay = StaticReplayClient::new(answers.iter().map(event).collect());
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::for_tests())
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(replay.clone())
        .build();
    let mut aws = Aws::nowhere();
    aws.s3 = aws_sdk_s3::Client::from_conf(config);
    (aws, replay)
}

fn header(replay: &StaticReplayClient, name: &str) -> Option<String> {
    let request = replay.actual_requests().next().unwrap();
    request.headers().get(name).map(str::to_owned)
}

#[tokio::test]
async fn conditions_are_on_the_wire() {
    let value = json!({ "a": 1 });
    let (aws, replay) = wire(&[(200, "")]);
    let written = write(&aws, "b", KEY, &value, Condition::Absent).await.unwrap();
    assert_eq!(written, Written::Yes("\"new\"".to_owned()));
    assert_eq!(header(&replay, "if-none-match").as_deref(), Some("*"));
    assert_eq!(header(&replay, "if-match"), None);

    let (aws, replay) = wire(&[(200, "")]);
    write(&aws, "b", KEY, &value, Condition::Same("\"old\"")).await.unwrap();
    assert_eq!(header(&replay, "if-match").as_deref(), Some("\"old\""));
    assert_eq!(header(&replay, "if-none-match"), None);
    assert_eq!(header(&replay, "content-type").as_deref(), Some("application/json"));

    let (aws, replay) = wire(&[(200, "")]);
    put(&aws, "b", KEY, &value).await.unwrap();
    assert_eq!((header(&replay, "if-match"), header(&replay, "if-none-match")), (None, None));
}

#[tokio::test]
async fn every_refusal_of_a_condition_is_a_lost_race_and_no_other_error_is() {
    for refusal in [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (404, "NoSuchKey")] {
        let (aws, _) = wire(&[refusal, (404, "NoSuchKey")]);
        let written = write(&aws, "b", KEY, &json!({}), Condition::Same("\"old\"")).await.unwrap();
        assert_eq!(written, Written::Lost, "{refusal:?}");
    }
    let (aws, _) = wire(&[(403, "AccessDenied")]);
    let fail = write(&aws, "b", KEY, &json!({}), Condition::Absent).await.unwrap_err();
    assert_eq!(fail.to_string(), format!("cannot write `s3://b/{KEY}`: S3: AccessDenied: m"));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_taken_for_somebody_else_s() {
    let bucket = Bucket::default();
    bucket.lose_answer();
    let written = write(&bucket.aws(), "b", KEY, &json!({ "serial": 1 }), Condition::Absent).await.unwrap();
    let found = read::<Value>(&bucket.aws(), "b", KEY).await.unwrap().unwrap();
    assert_eq!(written, Written::Yes(found.etag), "the tag fits the next write");

    bucket.intrude(KEY, &json!({ "serial": 7 }));
    let written = write(&bucket.aws(), "b", KEY, &json!({ "serial": 2 }), Condition::Absent).await.unwrap();
    assert_eq!(written, Written::Lost);
    assert_eq!(bucket.get(KEY)["serial"], 7);
}

#[tokio::test]
async fn what_is_not_there_is_nothing() {
    for absent in ["NoSuchKey", "NoSuchBucket"] {
        let (aws, _) = wire(&[(404, absent)]);
        assert!(read::<Value>(&aws, "b", KEY).await.unwrap().is_none());
        let (aws, _) = wire(&[(404, absent)]);
        assert_eq!(text(&aws, "b", KEY).await.unwrap(), None);
    }
    let (aws, _) = wire(&[(404, "NoSuchBucket")]);
    assert!(keys(&aws, "b", "environments/").await.unwrap().is_empty());
    let (aws, _) = wire(&[(404, "")]);
    assert!(!exists(&aws, "b", KEY).await.unwrap());
    let (aws, _) = wire(&[(403, "")]);
    assert!(exists(&aws, "b", KEY).await.is_err(), "a door that is shut says nothing of what is behind it");
}

#[tokio::test]
async fn a_damaged_document_names_itself() {
    let bucket = Bucket::default();
    bucket.set_bytes(KEY, b"{");
    let fail = read::<Value>(&bucket.aws(), "b", KEY).await.unwrap_err();
    assert_eq!(fail.message(), format!("`s3://b/{KEY}` is damaged"));
}
