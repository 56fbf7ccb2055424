//! Documents: conditions as they are sent, races that are lost, buckets and keys that are not there.

use super::*;
use crate::doors::fake::{ACCOUNT, Bucket};
use aws_sdk_s3::Config;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

const KEY: &str = "environments/dev/current.json";

/// A store over a wire that gives these answers, in order.
pub(super) fn wire(answers: &[(u16, &str)]) -> (Store, StaticReplayClient) {
    let event = |&(status, code): &(u16, &str)| {
        let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let body = if code.is_empty() { SdkBody::empty() } else { SdkBody::from(body) };
        let request = ureq::http::Request::builder().uri("https://unused/").body(SdkBody::empty()).unwrap();
        let answer = ureq::http::Response::builder().status(status).header("ETag", "\"new\"");
        ReplayEvent::new(request, answer.body(body).unwrap())
    };
    over(answers.iter().map(event).collect())
}

fn over(events: Vec<ReplayEvent>) -> (Store, StaticReplayClient) {
    let replay = StaticReplayClient::new(events);
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::for_tests())
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(replay.clone())
        .build();
    let mut aws = Aws::nowhere();
    aws.s3 = aws_sdk_s3::Client::from_conf(config);
    (Store::new(&aws, ACCOUNT, "dev"), replay)
}

fn header(replay: &StaticReplayClient, name: &str) -> Option<String> {
    let request = replay.actual_requests().next().unwrap();
    request.headers().get(name).map(str::to_owned)
}

#[tokio::test]
async fn conditions_are_on_the_wire() {
    let value = json!({ "a": 1 });
    let (store, replay) = wire(&[(200, "")]);
    let written = store.write(KEY, &value, Condition::Absent).await.unwrap();
    assert_eq!(written, Written::Yes("\"new\"".to_owned()));
    assert_eq!(header(&replay, "if-none-match").as_deref(), Some("*"));
    assert_eq!(header(&replay, "if-match"), None);
    assert_eq!(header(&replay, "x-amz-expected-bucket-owner").as_deref(), Some(ACCOUNT));

    let (store, replay) = wire(&[(200, "")]);
    store.write(KEY, &value, Condition::Same("\"old\"")).await.unwrap();
    assert_eq!(header(&replay, "if-match").as_deref(), Some("\"old\""));
    assert_eq!(header(&replay, "if-none-match"), None);
    assert_eq!(header(&replay, "content-type").as_deref(), Some("application/json"));

    let (store, replay) = wire(&[(200, "")]);
    store.put(KEY, &value).await.unwrap();
    assert_eq!((header(&replay, "if-match"), header(&replay, "if-none-match")), (None, None));
}

#[tokio::test]
async fn every_refusal_of_a_condition_is_a_lost_race_and_no_other_error_is() {
    for refusal in [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (404, "NoSuchKey")] {
        let (store, _) = wire(&[refusal, (404, "NoSuchKey")]);
        let written = store.write(KEY, &json!({}), Condition::Same("\"old\"")).await.unwrap();
        assert_eq!(written, Written::Lost, "{refusal:?}");
    }
    let (store, _) = wire(&[(403, "AccessDenied")]);
    let fail = store.write(KEY, &json!({}), Condition::Absent).await.unwrap_err();
    assert_eq!(fail.to_string(), format!("cannot write `{}`: S3: AccessDenied: m", store.location(KEY)));
}

/// Each attempt may have lost its answer.
#[tokio::test]
async fn a_write_that_nobody_answered_is_looked_for() {
    let bucket = Bucket::default();
    bucket.set_bytes(KEY, br#"{"serial":2}"#);
    let unanswered = |value: Value| {
        let put = mock!(Client::put_object).then_http_response(|| {
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(500).unwrap();
            aws_smithy_runtime_api::client::orchestrator::HttpResponse::new(status, SdkBody::empty())
        });
        let bytes = bucket.clone();
        let get = mock!(Client::get_object).then_output(move || {
            let body = aws_sdk_s3::primitives::ByteStream::from(bytes.text(KEY).into_bytes());
            aws_sdk_s3::operation::get_object::GetObjectOutput::builder().e_tag("\"2\"").body(body).build()
        });
        let mut aws = Aws::nowhere();
        aws.s3 = mock_client!(aws_sdk_s3, RuleMode::MatchAny, [&put, &get], |config| config
            .retry_config(aws_config::retry::RetryConfig::disabled()));
        async move { Store::new(&aws, ACCOUNT, "dev").write(KEY, &value, Condition::Same("\"1\"")).await }
    };
    assert_eq!(unanswered(json!({ "serial": 2 })).await.unwrap(), Written::Yes("\"2\"".to_owned()));
    assert!(unanswered(json!({ "serial": 3 })).await.unwrap_err().to_string().contains("cannot write"));
}

/// S3 refuses a write while another one of the same key is being carried out, which may come to nothing.
#[tokio::test(start_paused = true)]
async fn a_refusal_although_the_condition_holds_is_no_lost_race() {
    let conflict = [(409, "ConditionalRequestConflict"), (404, "NoSuchKey")];
    let (store, replay) = wire(&[conflict[0], conflict[1], (200, "")]);
    let written = store.write(KEY, &json!({}), Condition::Absent).await.unwrap();
    assert_eq!(written, Written::Yes("\"new\"".to_owned()));
    assert_eq!(replay.actual_requests().count(), 3);
    let (store, _) = wire(&conflict.repeat(6));
    let fail = store.write(KEY, &json!({}), Condition::Absent).await.unwrap_err();
    assert!(fail.to_string().contains("somebody else keeps writing"), "{fail}");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_taken_for_somebody_else_s() {
    let bucket = Bucket::default();
    bucket.lose_answer();
    let written = bucket.store().write(KEY, &json!({ "serial": 1 }), Condition::Absent).await.unwrap();
    let found = bucket.store().read::<Value>(KEY).await.unwrap().unwrap();
    assert_eq!(written, Written::Yes(found.etag), "the tag fits the next write");

    bucket.intrude(KEY, &json!({ "serial": 7 }));
    let written = bucket.store().write(KEY, &json!({ "serial": 2 }), Condition::Absent).await.unwrap();
    assert_eq!(written, Written::Lost);
    assert_eq!(bucket.get(KEY)["serial"], 7);
}

#[tokio::test]
async fn what_is_not_there_is_nothing() {
    for absent in ["NoSuchKey", "NoSuchBucket"] {
        let (store, _) = wire(&[(404, absent)]);
        assert!(store.read::<Value>(KEY).await.unwrap().is_none());
        let (store, _) = wire(&[(404, absent)]);
        assert_eq!(store.text(KEY).await.unwrap(), None);
    }
    let (store, _) = wire(&[(404, "NoSuchBucket")]);
    assert!(store.keys("environments/").await.unwrap().is_empty());
    let digest = Digest::of(b"");
    let (store, _) = wire(&[(404, "")]);
    assert!(!store.holds(KEY, &digest).await.unwrap());
    let (store, _) = wire(&[(403, "")]);
    assert!(
        store.holds(KEY, &digest).await.is_err(),
        "a door that is shut says nothing of what is behind it"
    );
}

#[tokio::test]
async fn a_damaged_document_names_itself() {
    let bucket = Bucket::default();
    bucket.set_bytes(KEY, b"{");
    let fail = bucket.store().read::<Value>(KEY).await.unwrap_err();
    assert_eq!(fail.message(), format!("`{}` is damaged", bucket.store().location(KEY)));
}

#[tokio::test(start_paused = true)]
async fn a_document_whose_end_does_not_arrive_is_read_again() {
    let event = |length: usize| {
        let request = ureq::http::Request::builder().uri("https://unused/").body(SdkBody::empty()).unwrap();
        let answer =
            ureq::http::Response::builder().header("ETag", "\"new\"").header("Content-Length", length);
        ReplayEvent::new(request, answer.body(SdkBody::from(r#"{"a":1}"#)).unwrap())
    };
    let (store, replay) = over(vec![event(9), event(9), event(7)]);
    assert_eq!(store.value::<Value>(KEY).await.unwrap(), Some(json!({ "a": 1 })));
    assert_eq!(replay.actual_requests().count(), 3);
    let (store, _) = over((0..10).map(|_| event(9)).collect());
    assert!(store.value::<Value>(KEY).await.unwrap_err().to_string().contains("cannot read"));
}
