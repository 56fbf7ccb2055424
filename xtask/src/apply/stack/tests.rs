//! From any state of a stack to the wanted one: what is called, what is asked, what is taken back.

use super::super::context::State;
use super::super::fake::{Log, ROOT, context, event, page, parts};
use super::super::steps;
use super::super::timed::Ended;
use super::*;
use crate::doors::fake::{ACCOUNT, Bucket as S3};
use crate::doors::store::Store;
use crate::model::digest::Digest;
use crate::model::event::Ending;
use crate::model::names;
use crate::model::release::Release;
use crate::plan::deployment::Step;
use crate::plan::running::Running;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ErrorMetadata;
use aws_sdk_cloudformation::operation::create_change_set::CreateChangeSetOutput;
use aws_sdk_cloudformation::operation::delete_change_set::DeleteChangeSetOutput;
use aws_sdk_cloudformation::operation::delete_stack::DeleteStackOutput;
use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::operation::describe_stacks::{DescribeStacksError, DescribeStacksOutput};
use aws_sdk_cloudformation::operation::execute_change_set::ExecuteChangeSetOutput;
use aws_sdk_cloudformation::operation::get_template::GetTemplateOutput;
use aws_sdk_cloudformation::operation::list_change_sets::ListChangeSetsOutput;
use aws_sdk_cloudformation::primitives::DateTime;
use aws_sdk_cloudformation::types::{
    Change, ChangeAction, ChangeSetStatus, ChangeType, Output, Parameter, Replacement, ResourceChange, Stack,
    StackStatus,
};
use aws_sdk_s3::operation::head_bucket::{HeadBucketError, HeadBucketOutput};
use aws_smithy_mocks::{MockResponse, Rule, RuleMode, mock, mock_client};
use std::sync::{Arc, Mutex};

const BODY: &str = "Resources: {}\n";

/// A CloudFormation with one stack: its state, empty where there is none, and its template.
struct Service {
    state: Arc<Mutex<(String, String)>>,
    log: Log,
    replacement: Replacement,
    /// Whether a change set can look into nested stacks.
    sees: bool,
    /// The existing VPC that the stack was made in.
    vpc: Option<&'static str>,
}

impl Service {
    fn new(status: &str, template: &str) -> Self {
        let state = Arc::new(Mutex::new((status.to_owned(), template.to_owned())));
        Self { state, log: Log::default(), replacement: Replacement::False, sees: true, vpc: None }
    }

    fn client(&self) -> Client {
        let rules: Vec<Rule> = self.looks().into_iter().chain(self.acts()).collect();
        mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, &rules)
    }

    fn looks(&self) -> Vec<Rule> {
        let (at, templates, told) = (self.state.clone(), self.state.clone(), self.state.clone());
        let looks = Mutex::new(0);
        let vpc = self
            .vpc
            .map(|id| Parameter::builder().parameter_key("ExistingVpcId").parameter_value(id).build());
        vec![
            mock!(Client::describe_stacks).then_compute_response(move |_| {
                let mut state = at.lock().unwrap();
                if state.0.is_empty() {
                    let meta =
                        ErrorMetadata::builder().code("ValidationError").message("p-dev does not exist");
                    return MockResponse::Error(DescribeStacksError::generic(meta.build()));
                }
                let url = Output::builder().output_key("AirflowUrl").output_value("http://x").build();
                let stack = Stack::builder().stack_id(ROOT).stack_name("p-dev").outputs(url);
                let stack = stack.set_parameters(vpc.clone().map(|one| vec![one]));
                let stack = stack.stack_status(StackStatus::from(state.0.as_str())).build();
                // Somebody else's update ends by itself.
                *looks.lock().unwrap() += 1;
                if state.0 == "UPDATE_IN_PROGRESS" && *looks.lock().unwrap() > 2 {
                    state.0 = "UPDATE_COMPLETE".to_owned();
                }
                MockResponse::Output(DescribeStacksOutput::builder().stacks(stack).build())
            }),
            mock!(Client::get_template).then_compute_output(move |_| {
                GetTemplateOutput::builder().template_body(&templates.lock().unwrap().1).build()
            }),
            mock!(Client::describe_stack_events).then_compute_output(move |_| {
                let status = told.lock().unwrap().0.clone();
                let began = event(1, ROOT, "p-dev", ROOT, "UPDATE_IN_PROGRESS");
                page(vec![began, event(2, ROOT, "p-dev", ROOT, &status)])
            }),
            mock!(Client::list_change_sets).then_output(|| ListChangeSetsOutput::builder().build()),
        ]
    }

    fn acts(&self) -> Vec<Rule> {
        let [create, execute, discard, delete] = std::array::from_fn(|_| self.log.clone());
        let (state, shell) = (self.state.clone(), self.state.clone());
        let (gone, replacement, sees) = (self.state.clone(), self.replacement.clone(), self.sees);
        let made = Arc::new(Mutex::new(true));
        let unmade = made.clone();
        vec![
            mock!(Client::create_change_set).then_compute_output(move |request| {
                let kind = request.change_set_type().unwrap().as_str();
                create.add(format!("create {kind} {}", request.template_url().unwrap_or("body")));
                let mut state = shell.lock().unwrap();
                if state.0.is_empty() {
                    state.0 = "REVIEW_IN_PROGRESS".to_owned();
                }
                let blind = !sees && request.include_nested_stacks() == Some(true);
                CreateChangeSetOutput::builder()
                    .id(if blind { "blind" } else { "arn:set" })
                    .stack_id(ROOT)
                    .build()
            }),
            mock!(Client::describe_change_set).then_compute_output(move |request| {
                if request.change_set_name() == Some("blind") {
                    let reason = "Nested change set arn:aws:cloudformation:r:1:changeSet/x/1 was not made";
                    let failed = DescribeChangeSetOutput::builder().status(ChangeSetStatus::Failed);
                    return failed.status_reason(reason).build();
                }
                let resource = ResourceChange::builder()
                    .logical_resource_id("Queue")
                    .resource_type("AWS::SQS::Queue")
                    .action(ChangeAction::Modify)
                    .replacement(replacement.clone());
                let change = Change::builder().r#type(ChangeType::Resource).resource_change(resource.build());
                let there = *made.lock().unwrap();
                let status = if there { "CREATE_COMPLETE" } else { "DELETE_COMPLETE" };
                DescribeChangeSetOutput::builder()
                    .status(ChangeSetStatus::from(status))
                    .creation_time(DateTime::from_secs(0))
                    .changes(change.build())
                    .build()
            }),
            mock!(Client::execute_change_set).then_compute_output(move |_| {
                let mut state = state.lock().unwrap();
                let word = if state.0 == "REVIEW_IN_PROGRESS" { "CREATE" } else { "UPDATE" };
                *state = (format!("{word}_COMPLETE"), BODY.to_owned());
                execute.add("execute");
                ExecuteChangeSetOutput::builder().build()
            }),
            mock!(Client::delete_change_set).then_compute_output(move |request| {
                *unmade.lock().unwrap() = request.change_set_name() == Some("blind");
                discard.add("discard");
                DeleteChangeSetOutput::builder().build()
            }),
            mock!(Client::delete_stack).then_compute_output(move |_| {
                gone.lock().unwrap().0.clear();
                delete.add("delete stack");
                DeleteStackOutput::builder().build()
            }),
        ]
    }
}

fn target() -> Release {
    let mut parts = parts("b", "h", "t");
    parts.stack.template = Digest::of(BODY.as_bytes());
    Release::new(parts)
}

fn step() -> Step {
    Step::Stack { spec: target().stack.clone(), release: target().id().to_owned() }
}

fn packaged() -> Packaged {
    Packaged { path: "master.yaml".to_owned(), digest: Digest::of(BODY.as_bytes()), body: BODY.to_owned() }
}

fn tree(service: &Service, bucket: &S3) -> Context {
    let mut aws = bucket.aws();
    aws.cloudformation = service.client();
    let mut context = context(aws);
    context.artifacts.templates = vec![packaged()];
    context.artifacts.root = Some(packaged());
    context
}

fn url() -> String {
    let key = names::template_key(&target().stack.template);
    format!("https://s3.eu-central-1.amazonaws.com/{}/{key}", S3::default().store().bucket())
}

async fn updated(service: &Service) -> (Result<Ended>, State) {
    let mut state = State::default();
    let context = tree(service, &S3::default());
    let ended = steps::run(&context, &step(), &mut state, &Sink::null()).await;
    if ended.is_ok() {
        state.running.advance(&step());
    }
    (ended, state)
}

#[tokio::test(start_paused = true)]
async fn an_absent_stack_is_created() {
    let service = Service::new("", "");
    let (ended, state) = updated(&service).await;
    assert_eq!(ended.unwrap().summary, "created, 1 change");
    assert_eq!(service.log.lines(), format!("create CREATE {}\nexecute", url()));
    assert_eq!(state.running.stack.as_ref(), Some(&target().stack));
    assert_eq!((state.uploads, state.outputs["AirflowUrl"].as_str()), (1, "http://x"));
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_differs_is_updated_and_one_that_does_not_is_left_alone() {
    let service = Service::new("UPDATE_COMPLETE", "Resources: {Old: {}}\n");
    let (ended, state) = updated(&service).await;
    assert_eq!(ended.unwrap().ending, Ending::Done);
    assert_eq!(service.log.lines(), format!("create UPDATE {}\nexecute", url()));
    assert_eq!(state.running.stack.as_ref(), Some(&target().stack));

    let service = Service::new("UPDATE_COMPLETE", BODY);
    let (ended, _) = updated(&service).await;
    assert_eq!(ended.unwrap().ending, Ending::Skipped);
    assert_eq!(service.log.lines(), "");
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_waited_for_and_looked_at_again() {
    let service = Service::new("UPDATE_IN_PROGRESS", BODY);
    let (ended, _) = updated(&service).await;
    assert_eq!(ended.unwrap().ending, Ending::Skipped);
    assert_eq!(service.log.lines(), "");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_failed_creation_goes_first() {
    let service = Service::new("ROLLBACK_COMPLETE", "");
    updated(&service).await.0.unwrap();
    assert_eq!(service.log.lines(), format!("delete stack\ncreate CREATE {}\nexecute", url()));
}

/// The reasons for which consent was asked, and refused.
async fn declined(service: &Service) -> Vec<String> {
    let mut context = tree(service, &S3::default());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let reasons = asked.clone();
    context.ask = Arc::new(move |question| {
        reasons.lock().unwrap().extend(question.reasons.clone());
        if question.reasons.is_empty() { Ok(()) } else { Err(Fail::failed("declined")) }
    });
    let mut state = State::default();
    let fail = steps::run(&context, &step(), &mut state, &Sink::null()).await.unwrap_err();
    assert_eq!(fail.message(), "declined");
    assert_eq!(state.running, Running::default());
    asked.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn refused_consent_takes_the_change_set_back() {
    let mut service = Service::new("UPDATE_COMPLETE", "Resources: {Old: {}}\n");
    service.replacement = Replacement::True;
    assert_eq!(declined(&service).await, ["replaces Queue (AWS::SQS::Queue)"]);
    assert_eq!(service.log.lines(), format!("create UPDATE {}\ndiscard", url()));
}

#[tokio::test(start_paused = true)]
async fn another_vpc_needs_consent() {
    let mut service = Service::new("UPDATE_COMPLETE", "Resources: {Old: {}}\n");
    service.vpc = Some("vpc-1");
    let told = "moves from vpc-1 to a VPC of its own: the database and all hosts are replaced";
    assert_eq!(declined(&service).await, [told]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_previewed_needs_consent() {
    let mut service = Service::new("UPDATE_COMPLETE", "Resources: {Old: {}}\n");
    service.sees = false;
    assert_eq!(declined(&service).await, ["may replace or remove resources that cannot be previewed"]);
    assert_eq!(service.log.lines().matches("create UPDATE").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_template_of_a_recorded_release_is_fetched() {
    let (service, bucket) = (Service::new("UPDATE_COMPLETE", "Resources: {New: {}}\n"), S3::default());
    let mut context = tree(&service, &bucket);
    // The tree holds another one, as in a rollback.
    let new = Packaged { digest: Digest::of(b"new"), ..packaged() };
    (context.artifacts.templates, context.artifacts.root) = (vec![new.clone()], Some(new));
    let key = names::template_key(&target().stack.template);
    let fail = steps::run(&context, &step(), &mut State::default(), &Sink::null()).await.unwrap_err();
    assert_eq!(fail.message(), format!("`{}` is gone", bucket.store().location(&key)));
    assert_eq!(service.log.lines(), "", "nothing was begun");

    bucket.set_bytes(&key, BODY.as_bytes());
    let mut state = State::default();
    steps::run(&context, &step(), &mut state, &Sink::null()).await.unwrap();
    assert_eq!(service.log.lines(), format!("create UPDATE {}\nexecute", url()));
    assert_eq!(state.uploads, 0);
}

/// The bucket as `HeadBucket` sees it, one answer after the other; the last one stays.
fn head_bucket(answers: &[u16]) -> Rule {
    let answers = Mutex::new(answers.to_vec());
    mock!(aws_sdk_s3::Client::head_bucket).then_compute_response(
        move |request| -> MockResponse<HeadBucketOutput, HeadBucketError> {
            assert_eq!(request.expected_bucket_owner(), Some("123456789012"));
            let mut answers = answers.lock().unwrap();
            let status = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
            if status == 200 {
                return MockResponse::Output(HeadBucketOutput::builder().build());
            }
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(status).unwrap();
            MockResponse::Http(aws_smithy_runtime_api::client::orchestrator::HttpResponse::new(
                status,
                aws_sdk_s3::primitives::SdkBody::empty(),
            ))
        },
    )
}

async fn bootstrapped(service: &Service, answers: &[u16]) -> Result<Ended> {
    let bucket = S3::default();
    let mut context = tree(service, &bucket);
    let mut aws = context.aws.clone();
    aws.s3 = bucket.client_with(vec![head_bucket(answers)]);
    context.store = Store::new(&aws, ACCOUNT, "dev");
    context.artifacts.bootstrap = Some(packaged());
    steps::run(&context, &Step::Bootstrap, &mut State::default(), &Sink::null()).await
}

#[tokio::test(start_paused = true)]
async fn bootstrap_makes_a_bucket_only_where_there_is_none() {
    let service = Service::new("", "");
    let ended = bootstrapped(&service, &[200]).await.unwrap();
    assert_eq!((ended.ending, service.log.lines().as_str()), (Ending::Skipped, ""));
    let ended = bootstrapped(&service, &[404, 200]).await.unwrap();
    assert_eq!((ended.ending, service.log.lines().as_str()), (Ending::Done, "create CREATE body\nexecute"));
}

#[tokio::test(start_paused = true)]
async fn somebody_else_s_bucket_and_a_bucket_deleted_by_hand_are_told() {
    let fail = bootstrapped(&Service::new("", ""), &[403]).await.unwrap_err();
    assert!(fail.hints()[0].contains("belongs to this account"), "{fail}");
    let fail = bootstrapped(&Service::new("CREATE_COMPLETE", BODY), &[404]).await.unwrap_err();
    assert!(fail.message().contains("its bucket `ductwork-123456789012-eu-central-1` does not"), "{fail}");
}
