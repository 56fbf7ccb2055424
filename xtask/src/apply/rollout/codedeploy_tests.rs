//! Rollouts: when one is needed, whose deployment is followed, and what its end means.

use super::super::super::fake::Log;
use super::*;
use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::error::ErrorMetadata;
use aws_sdk_codedeploy::operation::batch_get_deployment_targets::BatchGetDeploymentTargetsOutput;
use aws_sdk_codedeploy::operation::create_deployment::CreateDeploymentOutput;
use aws_sdk_codedeploy::operation::get_deployment::{GetDeploymentError, GetDeploymentOutput};
use aws_sdk_codedeploy::operation::get_deployment_group::GetDeploymentGroupOutput;
use aws_sdk_codedeploy::operation::list_deployment_targets::ListDeploymentTargetsOutput;
use aws_sdk_codedeploy::types::{
    DeploymentGroupInfo, DeploymentOverview, DeploymentTarget, Diagnostics, ErrorCode, ErrorInformation,
    InstanceTarget, LastDeploymentInfo,
};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

const KEY: &str = "hosts/new.zip";
const OTHER: &str = "hosts/old.zip";
const MARK: &str = "host revision new settings 1";

fn order() -> Order<'static> {
    Order { application: "app", group: "workers", bucket: "b", key: KEY, mark: MARK }
}

fn info(id: &str, status: DeploymentStatus, key: &str, mark: &str) -> DeploymentInfo {
    let location = S3Location::builder().bucket("b").key(key).build();
    let revision = RevisionLocation::builder().s3_location(location).build();
    DeploymentInfo::builder()
        .deployment_id(id)
        .status(status)
        .revision(revision)
        .description(mark)
        .deployment_overview(DeploymentOverview::builder().succeeded(2).build())
        .build()
}

fn missed(mut info: DeploymentInfo) -> DeploymentInfo {
    info.deployment_overview = Some(DeploymentOverview::builder().succeeded(2).failed(1).build());
    info
}

/// A CodeDeploy whose group attempted `last` last, and which answers about each deployment in turn; the
/// last answer stays. What is created is `d-new`.
struct Service {
    last: Option<&'static str>,
    answers: BTreeMap<&'static str, VecDeque<Option<DeploymentInfo>>>,
    targets: Vec<DeploymentTarget>,
}

impl Service {
    fn with(last: Option<&'static str>) -> Self {
        Self { last, answers: BTreeMap::new(), targets: Vec::new() }
    }

    fn says(mut self, id: &'static str, answers: impl IntoIterator<Item = DeploymentInfo>) -> Self {
        self.answers.entry(id).or_default().extend(answers.into_iter().map(Some));
        self
    }

    /// The next answers about the deployment are refusals.
    fn refuses(mut self, id: &'static str, times: usize) -> Self {
        self.answers.entry(id).or_default().extend(std::iter::repeat_n(None, times));
        self
    }

    fn aws(self, log: &Log) -> Aws {
        let Self { last, answers, targets } = self;
        let answers = Arc::new(Mutex::new(answers));
        let group = mock!(Client::get_deployment_group).then_compute_output(move |_| {
            let last = last.map(|id| LastDeploymentInfo::builder().deployment_id(id).build());
            let info = DeploymentGroupInfo::builder().set_last_attempted_deployment(last).build();
            GetDeploymentGroupOutput::builder().deployment_group_info(info).build()
        });
        let get = mock!(Client::get_deployment).then_compute_response(move |request| {
            let mut answers = answers.lock().unwrap();
            let about = answers.get_mut(request.deployment_id().unwrap_or_default()).unwrap();
            let answer = if about.len() > 1 { about.pop_front().unwrap() } else { about[0].clone() };
            match answer {
                Some(info) => {
                    MockResponse::Output(GetDeploymentOutput::builder().deployment_info(info).build())
                }
                None => MockResponse::Error(GetDeploymentError::generic(
                    ErrorMetadata::builder().code("ThrottlingException").message("Rate exceeded").build(),
                )),
            }
        });
        let calls = log.clone();
        let create = mock!(Client::create_deployment).then_compute_output(move |request| {
            let lenient = request.ignore_application_stop_failures() == Some(true);
            calls.add(format!(
                "create {}{}",
                request.description().unwrap_or_default(),
                if lenient { ", stop may fail" } else { "" }
            ));
            CreateDeploymentOutput::builder().deployment_id("d-new").build()
        });
        let ids: Vec<String> = (0..targets.len()).map(|number| format!("i-{number}")).collect();
        // One per page.
        let list = mock!(Client::list_deployment_targets).then_compute_output(move |request| {
            let at: usize = request.next_token().map_or(0, |token| token.parse().unwrap());
            let next = (at + 1 < ids.len()).then(|| (at + 1).to_string());
            let page = ids.get(at).cloned().into_iter().collect();
            ListDeploymentTargetsOutput::builder().set_target_ids(Some(page)).set_next_token(next).build()
        });
        let batch = mock!(Client::batch_get_deployment_targets).then_compute_output(move |_| {
            BatchGetDeploymentTargetsOutput::builder().set_deployment_targets(Some(targets.clone())).build()
        });
        let rules = [&group, &get, &create, &list, &batch];
        let mut aws = Aws::nowhere();
        aws.codedeploy = mock_client!(aws_sdk_codedeploy, RuleMode::MatchAny, rules, |config| config
            .retry_config(aws_config::retry::RetryConfig::disabled()));
        aws
    }
}

use DeploymentStatus::{Failed, InProgress, Succeeded};

async fn rolled(service: Service) -> (Result<()>, String) {
    let log = Log::default();
    let aws = service.aws(&log);
    let result = roll(&aws, &order(), &Sink::null()).await;
    (result, log.lines())
}

#[tokio::test(start_paused = true)]
async fn only_the_same_revision_and_mark_on_every_instance_needs_nothing() {
    let good = || info("d-1", Succeeded, KEY, MARK);
    let cases = [
        (good(), true),
        (missed(good()), false),
        (info("d-1", Succeeded, OTHER, MARK), false),
        (info("d-1", Succeeded, KEY, "host revision new settings 2"), false),
        (info("d-1", Failed, KEY, MARK), false),
        (info("d-1", InProgress, KEY, MARK), false),
    ];
    for (last, needs_nothing) in cases {
        let aws = Service::with(Some("d-1")).says("d-1", [last.clone()]).aws(&Log::default());
        assert_eq!(runs(&aws, &order()).await.unwrap(), needs_nothing, "{last:?}");
    }
    let aws = Service::with(None).aws(&Log::default());
    assert!(!runs(&aws, &order()).await.unwrap(), "a group that never had one");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_another_rollout_gets_one() {
    // Airflow does not answer though the hosts have the revision: the same again, really.
    let service = Service::with(Some("d-1"))
        .says("d-1", [info("d-1", Succeeded, KEY, MARK)])
        .says("d-new", [info("d-new", Succeeded, KEY, MARK)]);
    let (result, calls) = rolled(service).await;
    result.unwrap();
    assert_eq!(calls, format!("create {MARK}"));
}

#[tokio::test(start_paused = true)]
async fn a_running_deployment_of_the_same_is_taken_as_ours() {
    let service = Service::with(Some("d-1"))
        .says("d-1", [info("d-1", InProgress, KEY, MARK), info("d-1", InProgress, KEY, MARK)])
        .says("d-1", [info("d-1", Succeeded, KEY, MARK)]);
    let (result, calls) = rolled(service).await;
    result.unwrap();
    assert_eq!(calls, "");
}

#[tokio::test(start_paused = true)]
async fn a_running_deployment_of_something_else_is_waited_for() {
    let service = Service::with(Some("d-1"))
        .says("d-1", [info("d-1", InProgress, OTHER, "theirs"), info("d-1", Succeeded, OTHER, "theirs")])
        .says("d-new", [info("d-new", InProgress, KEY, MARK), info("d-new", Succeeded, KEY, MARK)]);
    let log = Log::default();
    let aws = service.aws(&log);
    roll(&aws, &order(), &log.sink()).await.unwrap();
    let lines = log.lines();
    let place = |text: &str| lines.find(text).unwrap_or_else(|| panic!("no `{text}` in {lines}"));
    assert!(place("note: workers: waiting for deployment d-1") < place(&format!("create {MARK}")));
}

#[tokio::test(start_paused = true)]
async fn the_stop_script_may_fail_only_after_a_failure() {
    let cases = [
        (info("d-1", Succeeded, OTHER, MARK), ""),
        (info("d-1", Failed, OTHER, MARK), ", stop may fail"),
        (info("d-1", DeploymentStatus::Stopped, OTHER, MARK), ", stop may fail"),
        (missed(info("d-1", Succeeded, OTHER, MARK)), ", stop may fail"),
    ];
    for (last, words) in cases {
        let service = Service::with(Some("d-1"))
            .says("d-1", [last])
            .says("d-new", [info("d-new", Succeeded, KEY, MARK)]);
        let (result, calls) = rolled(service).await;
        result.unwrap();
        assert_eq!(calls, format!("create {MARK}{words}"));
    }
    let service = Service::with(None).says("d-new", [info("d-new", Succeeded, KEY, MARK)]);
    assert_eq!(rolled(service).await.1, format!("create {MARK}"));
}

#[tokio::test(start_paused = true)]
async fn a_succeeded_deployment_that_missed_an_instance_has_failed() {
    let service = Service::with(None).says("d-new", [missed(info("d-new", Succeeded, KEY, MARK))]);
    let fail = rolled(service).await.0.unwrap_err();
    assert_eq!(fail.message(), "deployment `d-new` to group `workers` failed");
    assert_eq!(fail.causes(), ["it succeeded, but 1 of its instances did not get the revision"]);
}

fn empty(mut info: DeploymentInfo) -> DeploymentInfo {
    info.error_information = Some(ErrorInformation::builder().code(ErrorCode::NoInstances).build());
    info
}

#[tokio::test(start_paused = true)]
async fn a_group_without_hosts_has_nothing_to_wait_for() {
    let service = Service::with(None).says("d-new", [empty(info("d-new", Failed, KEY, MARK))]);
    let log = Log::default();
    let aws = service.aws(&log);
    roll(&aws, &order(), &log.sink()).await.unwrap();
    assert!(log.lines().contains("note: workers: no hosts now"), "{}", log.lines());
    let last = || Service::with(Some("d-1")).says("d-1", [empty(info("d-1", Failed, KEY, MARK))]);
    assert!(runs(&last().aws(&Log::default()), &order()).await.unwrap(), "the same needs no second one");
    let next = last().says("d-new", [info("d-new", Succeeded, KEY, MARK)]);
    assert_eq!(rolled(next).await.1, format!("create {MARK}"), "no stop script failed there");
}

fn target(id: &str, event: LifecycleEvent) -> DeploymentTarget {
    let instance =
        InstanceTarget::builder().target_id(id).status(TargetStatus::Failed).lifecycle_events(event);
    DeploymentTarget::builder().instance_target(instance.build()).build()
}

#[tokio::test(start_paused = true)]
async fn the_explanation_shows_script_message_and_the_end_of_the_log() {
    let why = Diagnostics::builder()
        .script_name("hooks/validate_service")
        .message("Script failed with exit code 1")
        .log_tail("[stderr]this gate says no\n");
    let failed = LifecycleEvent::builder()
        .lifecycle_event_name("ValidateService")
        .status(LifecycleEventStatus::Failed)
        .diagnostics(why.build());
    let bare =
        LifecycleEvent::builder().lifecycle_event_name("DownloadBundle").status(LifecycleEventStatus::Failed);
    let mut end = info("d-new", Failed, KEY, MARK);
    let error = ErrorInformation::builder().code(ErrorCode::HealthConstraints).message("too many failed");
    end.error_information = Some(error.build());
    let mut service = Service::with(None).says("d-new", [end]);
    service.targets = vec![target("i-1", failed.build()), target("i-2", bare.build())];
    let fail = rolled(service).await.0.unwrap_err();
    insta::assert_snapshot!(fail.causes().join("\n"), @r"
    it ended as Failed, HEALTH_CONSTRAINTS: too many failed
    instance i-1: ValidateService hooks/validate_service Script failed with exit code 1
    [stderr]this gate says no
    instance i-2: DownloadBundle
    ");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_watcher_fails_no_deployment() {
    let running = || info("d-new", InProgress, KEY, MARK);
    let service = Service::with(None)
        .says("d-new", [running()])
        .refuses("d-new", 10)
        .says("d-new", [running()])
        .refuses("d-new", 10)
        .says("d-new", [info("d-new", Succeeded, KEY, MARK)]);
    rolled(service).await.0.unwrap();

    let service = Service::with(None).refuses("d-new", 1);
    let fail = rolled(service).await.0.unwrap_err();
    assert!(fail.to_string().contains("Rate exceeded"), "{fail}");
    assert!(fail.hints()[0].contains("goes on without this tool"), "it is not said to have failed");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_see_somebody_else_s_deployment_starts_none_into_it() {
    let service =
        Service::with(Some("d-1")).says("d-1", [info("d-1", InProgress, OTHER, "theirs")]).refuses("d-1", 1);
    let (result, calls) = rolled(service).await;
    assert!(result.is_err());
    assert_eq!(calls, "");
}
