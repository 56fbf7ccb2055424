//! Rollouts: when one is needed, whose deployment is followed, and what its end means.

use super::super::super::fake::Log;
use super::*;
use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::error::ErrorMetadata;
use aws_sdk_codedeploy::operation::batch_get_deployment_targets::BatchGetDeploymentTargetsOutput;
use aws_sdk_codedeploy::operation::batch_get_deployments::BatchGetDeploymentsOutput;
use aws_sdk_codedeploy::operation::create_deployment::{CreateDeploymentError, CreateDeploymentOutput};
use aws_sdk_codedeploy::operation::get_deployment::{GetDeploymentError, GetDeploymentOutput};
use aws_sdk_codedeploy::operation::get_deployment_group::GetDeploymentGroupOutput;
use aws_sdk_codedeploy::operation::list_deployment_targets::ListDeploymentTargetsOutput;
use aws_sdk_codedeploy::operation::list_deployments::ListDeploymentsOutput;
use aws_sdk_codedeploy::types::{
    DeploymentCreator, DeploymentGroupInfo, DeploymentOverview, DeploymentTarget, Diagnostics, ErrorCode,
    ErrorInformation, InstanceTarget, LastDeploymentInfo, LifecycleEvent, LifecycleEventStatus, TargetStatus,
};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
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
/// last answer stays. It knows no other deployment. What is created is `d-new`.
struct Service {
    last: Option<&'static str>,
    /// The group's history, the newest first.
    listed: Vec<DeploymentInfo>,
    /// So many creations are refused: a deployment is active.
    busy: usize,
    /// The deployment that the first creation makes, whose answer is lost.
    lost: Option<&'static str>,
    answers: BTreeMap<&'static str, VecDeque<Option<DeploymentInfo>>>,
    targets: Vec<DeploymentTarget>,
}

impl Service {
    fn with(last: Option<&'static str>) -> Self {
        Self { last, listed: Vec::new(), busy: 0, lost: None, answers: BTreeMap::new(), targets: Vec::new() }
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
        let Self { last, listed, busy, lost, answers, targets } = self;
        let begun = Arc::new(AtomicUsize::new(0));
        let begins = begun.clone();
        let answers = Arc::new(Mutex::new(answers));
        let group = mock!(Client::get_deployment_group).then_compute_output(move |_| {
            let last = if begun.load(Ordering::Relaxed) > 0 { lost.or(last) } else { last };
            let last = last.map(|id| LastDeploymentInfo::builder().deployment_id(id).build());
            let info = DeploymentGroupInfo::builder().set_last_attempted_deployment(last).build();
            GetDeploymentGroupOutput::builder().deployment_group_info(info).build()
        });
        let get = mock!(Client::get_deployment).then_compute_response(move |request| {
            let mut answers = answers.lock().unwrap();
            let Some(about) = answers.get_mut(request.deployment_id().unwrap_or_default()) else {
                return MockResponse::Error(GetDeploymentError::generic(coded(
                    "DeploymentDoesNotExistException",
                )));
            };
            let answer = if about.len() > 1 { about.pop_front().unwrap() } else { about[0].clone() };
            match answer {
                Some(info) => {
                    MockResponse::Output(GetDeploymentOutput::builder().deployment_info(info).build())
                }
                None => MockResponse::Error(GetDeploymentError::generic(coded("ThrottlingException"))),
            }
        });
        let (calls, refusals) = (log.clone(), AtomicUsize::new(busy));
        let create = mock!(Client::create_deployment).then_compute_response(move |request| {
            let lenient = request.ignore_application_stop_failures() == Some(true);
            calls.add(format!(
                "create {}{}",
                request.description().unwrap_or_default(),
                if lenient { ", stop may fail" } else { "" }
            ));
            if begins.fetch_add(1, Ordering::Relaxed) == 0 && lost.is_some() {
                return MockResponse::Error(CreateDeploymentError::generic(coded("InternalServerError")));
            }
            if refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                return MockResponse::Error(CreateDeploymentError::generic(coded(
                    "DeploymentLimitExceededException",
                )));
            }
            MockResponse::Output(CreateDeploymentOutput::builder().deployment_id("d-new").build())
        });
        let history = listed.clone();
        let deployments = mock!(Client::list_deployments).then_compute_output(move |request| {
            let wanted = request.include_only_statuses();
            let fits = |info: &&DeploymentInfo| wanted.is_empty() || wanted.contains(info.status().unwrap());
            let ids = history.iter().filter(fits).filter_map(|info| info.deployment_id.clone()).collect();
            ListDeploymentsOutput::builder().set_deployments(Some(ids)).build()
        });
        let details = mock!(Client::batch_get_deployments).then_compute_output(move |request| {
            let asked = |info: &&DeploymentInfo| {
                request.deployment_ids().contains(info.deployment_id.as_ref().unwrap())
            };
            let found = listed.iter().filter(asked).cloned().collect();
            BatchGetDeploymentsOutput::builder().set_deployments_info(Some(found)).build()
        });
        let ids: Vec<String> = (0..targets.len()).map(|number| format!("i-{number}")).collect();
        let list = mock!(Client::list_deployment_targets).then_compute_output(move |_| {
            ListDeploymentTargetsOutput::builder().set_target_ids(Some(ids.clone())).build()
        });
        let batch = mock!(Client::batch_get_deployment_targets).then_compute_output(move |_| {
            BatchGetDeploymentTargetsOutput::builder().set_deployment_targets(Some(targets.clone())).build()
        });
        let rules = [&group, &get, &create, &deployments, &details, &list, &batch];
        let mut aws = Aws::nowhere();
        aws.codedeploy = mock_client!(aws_sdk_codedeploy, RuleMode::MatchAny, rules, |config| config
            .retry_config(aws_config::retry::RetryConfig::disabled()));
        aws
    }
}

fn coded(code: &str) -> ErrorMetadata {
    ErrorMetadata::builder().code(code).message("Rate exceeded").build()
}

use DeploymentStatus::{Failed, InProgress, Succeeded};

async fn rolled(service: Service) -> (Result<()>, String) {
    let log = Log::default();
    let aws = service.aws(&log);
    let result = roll(&aws, &order(), None, &Sink::null()).await;
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
    roll(&aws, &order(), None, &log.sink()).await.unwrap();
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
    roll(&aws, &order(), None, &log.sink()).await.unwrap();
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
    assert!(fail.hints()[0].contains("scripts.log"), "one of them says nothing of why it failed");
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

#[tokio::test(start_paused = true)]
async fn a_deployment_that_the_service_no_longer_knows_runs_nothing() {
    let service = || Service::with(Some("d-1")).says("d-new", [info("d-new", Succeeded, KEY, MARK)]);
    assert!(!runs(&service().aws(&Log::default()), &order()).await.unwrap());
    let (result, calls) = rolled(service()).await;
    result.unwrap();
    assert_eq!(calls, format!("create {MARK}"));
}

/// The group's last deployment was made for a launch or a termination, the one before by hand.
fn after_scaling(creator: DeploymentCreator, by_hand: DeploymentInfo) -> Service {
    let mut launch = info("d-launch", Succeeded, KEY, "");
    launch.creator = Some(creator);
    let mut service = Service::with(Some("d-launch")).says("d-launch", [launch.clone()]);
    service.listed = vec![launch, by_hand];
    service
}

#[tokio::test(start_paused = true)]
async fn deployments_of_launches_hide_neither_a_good_rollout_nor_a_bad_one() {
    let good = || info("d-1", Succeeded, KEY, MARK);
    let cases = [
        (good(), true),
        (info("d-1", Succeeded, OTHER, MARK), false),
        (info("d-1", Failed, KEY, MARK), false),
        // It met no host; the one launched since got the revision before.
        (empty(info("d-1", Failed, KEY, MARK)), false),
    ];
    for creator in [DeploymentCreator::Autoscaling, DeploymentCreator::AutoscalingTermination] {
        for (by_hand, needs_nothing) in cases.clone() {
            let aws = after_scaling(creator.clone(), by_hand.clone()).aws(&Log::default());
            assert_eq!(runs(&aws, &order()).await.unwrap(), needs_nothing, "{creator:?} {by_hand:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_rollout_is_followed_though_a_host_was_launched_since() {
    let running = info("d-1", InProgress, KEY, MARK);
    let service = after_scaling(DeploymentCreator::Autoscaling, running)
        .says("d-1", [info("d-1", Succeeded, KEY, MARK)]);
    let (result, calls) = rolled(service).await;
    result.unwrap();
    assert_eq!(calls, "");
}

/// The first creation is refused because of this deployment.
fn busy_with(active: DeploymentInfo) -> Service {
    let mut service = Service::with(None).says("d-new", [info("d-new", Succeeded, KEY, MARK)]);
    (service.busy, service.listed) = (1, vec![active]);
    service
}

#[tokio::test(start_paused = true)]
async fn a_deployment_whose_start_was_never_answered_is_followed() {
    let service = busy_with(info("d-2", InProgress, KEY, MARK))
        .says("d-2", [missed(info("d-2", Succeeded, KEY, MARK))]);
    let (result, calls) = rolled(service).await;
    assert_eq!(result.unwrap_err().message(), "deployment `d-2` to group `workers` failed");
    assert_eq!(calls, format!("create {MARK}"));
}

/// It may be over before anybody asks.
#[tokio::test(start_paused = true)]
async fn a_deployment_whose_start_was_never_answered_is_not_begun_again() {
    for (lost, calls) in [(KEY, 1), (OTHER, 2)] {
        let mut service = Service::with(Some("d-1"))
            .says("d-1", [info("d-1", Succeeded, OTHER, MARK)])
            .says("d-2", [info("d-2", Succeeded, lost, MARK)])
            .says("d-new", [info("d-new", Succeeded, KEY, MARK)]);
        service.lost = Some("d-2");
        let (result, log) = rolled(service).await;
        result.unwrap();
        assert_eq!(log.matches("create").count(), calls, "{lost}: {log}");
    }
}

/// The one that was in the way may be over when the group is asked.
#[tokio::test(start_paused = true)]
async fn a_deployment_that_has_just_ended_is_no_reason_to_fail() {
    let service = busy_with(info("d-3", Succeeded, OTHER, "theirs"));
    let (result, calls) = rolled(service).await;
    result.unwrap();
    assert_eq!(calls.matches("create").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_came_in_between_is_waited_for() {
    let service = busy_with(info("d-3", InProgress, OTHER, "theirs"))
        .says("d-3", [info("d-3", Failed, OTHER, "theirs")]);
    let (result, calls) = rolled(service).await;
    result.unwrap();
    assert_eq!(calls, format!("create {MARK}\ncreate {MARK}, stop may fail"));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_no_deployment_of_the_group_explains_is_told() {
    let mut service = busy_with(info("d-3", Succeeded, OTHER, "theirs"));
    service.busy = usize::MAX;
    let fail = rolled(service).await.0.unwrap_err();
    assert!(fail.to_string().contains("DeploymentLimitExceededException"), "{fail}");
}
