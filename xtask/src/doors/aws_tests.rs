//! What the clients do with an answer that makes no sense, with none at all, and with a refusal to say who
//! we are.

use super::*;
use crate::doors::time::Stopwatch;
use aws_sdk_s3::config::{HttpClient, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::{NeverClient, ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;

fn over(client: impl HttpClient + 'static, retries: RetryConfig) -> Aws {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(client)
        .retry_config(retries)
        .build();
    Aws::over(&config, "eu-central-1", None)
}

/// A wire that gives these answers, in order.
fn wire(answers: &[(u16, &str)]) -> StaticReplayClient {
    let event = |&(status, body): &(u16, &str)| {
        let request = ureq::http::Request::builder().uri("https://unused/").body(SdkBody::empty()).unwrap();
        let answer = ureq::http::Response::builder().status(status);
        ReplayEvent::new(request, answer.body(SdkBody::from(body)).unwrap())
    };
    StaticReplayClient::new(answers.iter().map(event).collect())
}

const STACKS: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
    <DescribeStacksResult><Stacks><member><StackName>p-dev</StackName>
    <CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>
    </member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;
const DEPLOYMENT: &str = r#"{"deploymentInfo":{"deploymentId":"d-1"}}"#;

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_asked_for_again() {
    for status in [200, 400] {
        let replay = wire(&[(status, &DEPLOYMENT[..20]), (status, "<html>"), (200, DEPLOYMENT)]);
        let aws = over(replay, RetryConfig::standard());
        let answer = aws.codedeploy.get_deployment().deployment_id("d-1").send().await.unwrap();
        assert_eq!(answer.deployment_info().unwrap().deployment_id(), Some("d-1"), "after {status}");
    }
    let half = STACKS.find("p-dev").unwrap() + 3;
    let answers = [(200, &STACKS[..150]), (200, &STACKS[..half]), (200, "{}"), (200, STACKS)];
    let aws = over(wire(&answers), RetryConfig::standard().with_max_attempts(4));
    let answer = aws.cloudformation.describe_stacks().send().await.unwrap();
    assert_eq!(answer.stacks()[0].stack_name(), Some("p-dev"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_makes_sense_is_not() {
    let refusal = r#"{"__type":"DeploymentDoesNotExistException","message":"m"}"#;
    let replay = wire(&[(400, refusal)]);
    let aws = over(replay.clone(), RetryConfig::standard());
    let error = aws.codedeploy.get_deployment().deployment_id("d-1").send().await.unwrap_err();
    assert_eq!((code(&error), replay.actual_requests().count()), ("DeploymentDoesNotExistException", 1));

    // A HEAD has no body to name an error in.
    for status in [404, 403] {
        let replay = wire(&[(status, "")]);
        let aws = over(replay.clone(), RetryConfig::standard());
        aws.s3.head_object().bucket("b").key("k").send().await.unwrap_err();
        assert_eq!(replay.actual_requests().count(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn reads_wait_for_an_answer_for_half_a_minute() {
    let aws = over(NeverClient::new(), RetryConfig::disabled());
    let watch = Stopwatch::start();
    let reads = async {
        aws.cloudformation.describe_stacks().send().await.unwrap_err();
        aws.s3.head_bucket().bucket("b").send().await.unwrap_err();
    };
    assert!(tokio::time::timeout(Duration::from_secs(600), reads).await.is_ok(), "no end");
    assert!(watch.elapsed() < Duration::from_secs(61), "{:?}", watch.elapsed());
}

/// A lease has to be renewed within 90 s, whatever becomes of one connection. What was not answered is also looked for.
#[tokio::test(start_paused = true)]
async fn a_document_is_written_anew_after_a_quarter_of_a_minute() {
    use crate::doors::store::{Condition, Store};
    let store = Store::new(&over(NeverClient::new(), RetryConfig::disabled()), "123456789012", "dev");
    let watch = Stopwatch::start();
    let writes = async {
        store.put("k", &1).await.unwrap_err();
        assert!(watch.elapsed() < Duration::from_secs(16), "{:?}", watch.elapsed());
        // And a look whether it was done.
        store.write("k", &1, Condition::Absent).await.unwrap_err();
    };
    assert!(tokio::time::timeout(Duration::from_secs(600), writes).await.is_ok(), "no end");
    assert!(watch.elapsed() < Duration::from_secs(61), "{:?}", watch.elapsed());
}

/// The SDK's quota of 500 would be spent after 50 of these.
#[tokio::test(start_paused = true)]
async fn requests_are_repeated_however_many_were_before() {
    let refusal = r#"{"__type":"DeploymentDoesNotExistException","message":"m"}"#;
    let answers = [(200, "<html>"), (400, refusal)].repeat(60);
    let aws = over(wire(&answers), RetryConfig::standard());
    for turn in 0..60 {
        let error = aws.codedeploy.get_deployment().deployment_id("d-1").send().await.unwrap_err();
        assert_eq!(code(&error), "DeploymentDoesNotExistException", "{turn}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_has_a_cure() {
    let throttled = (400, r#"{"__type":"ThrottlingException","message":"m"}"#);
    for (answer, cure) in [(throttled, true), ((400, r#"{"__type":"InvalidTagException"}"#), false)] {
        let aws = over(wire(&[answer]), RetryConfig::disabled());
        let error = aws.codedeploy.get_deployment().deployment_id("d-1").send().await.unwrap_err();
        let fail = failure("CodeDeploy", "cannot look", error);
        assert_eq!(fail.hints().iter().any(|hint| hint.contains("run the same command again")), cure);
        assert_eq!(fail.hint("a better one").hints(), ["a better one"]);
    }
}

#[test]
fn a_connection_that_ends_before_the_answer_passes() {
    use aws_sdk_codedeploy::error::SdkError;
    use aws_sdk_codedeploy::operation::get_deployment::GetDeploymentError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::retry::ErrorKind;
    for (kind, expected) in [(Some(ErrorKind::TransientError), true), (None, false)] {
        let cut = ConnectorError::other("connection closed before message completed".into(), kind);
        let error: SdkError<GetDeploymentError> = SdkError::dispatch_failure(cut);
        assert_eq!(passes(&error), expected);
        let fail = failure("CodeDeploy", "cannot look", error);
        assert_eq!(fail.hints().is_empty(), !expected);
    }
}

fn sts(code: &str) -> String {
    format!("<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>")
}

#[tokio::test(start_paused = true)]
async fn a_throttled_look_at_the_account_is_a_failure_of_the_service() {
    for (status, code, kind, cure) in [
        (400, "Throttling", Kind::Failed, "run the same command again"),
        (503, "ServiceUnavailable", Kind::Failed, "run the same command again"),
        (500, "", Kind::Failed, "run the same command again"),
        (403, "ExpiredToken", Kind::Usage, "log in again"),
        (403, "InvalidClientTokenId", Kind::Usage, "log in again"),
    ] {
        let body = sts(code);
        let aws = over(wire(&[(status, body.as_str()); 3]), RetryConfig::standard());
        let fail = aws.account().await.unwrap_err();
        assert_eq!(fail.kind(), kind, "{fail}");
        assert!(fail.hints()[0].contains(cure), "{code}: {:?}", fail.hints());
    }
}
