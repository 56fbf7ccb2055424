//! The order of calls, what is told, and that nothing is left behind.

use super::super::super::fake::{CREATED, Log, ROOT, event, page, stack};
use super::*;
use crate::model::change::{ChangeAction, Evidence, Replacement};
use crate::model::stack::{Operation, Status};
use aws_sdk_cloudformation::error::ErrorMetadata;
use aws_sdk_cloudformation::operation::create_change_set::{CreateChangeSetError, CreateChangeSetOutput};
use aws_sdk_cloudformation::operation::delete_change_set::DeleteChangeSetOutput;
use aws_sdk_cloudformation::operation::delete_stack::DeleteStackOutput;
use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetError;
use aws_sdk_cloudformation::operation::execute_change_set::{ExecuteChangeSetError, ExecuteChangeSetOutput};
use aws_sdk_cloudformation::operation::list_change_sets::ListChangeSetsOutput;
use aws_sdk_cloudformation::primitives::DateTime;
use aws_sdk_cloudformation::types as sdk;
use aws_smithy_mocks::{MockResponse, Rule, RuleMode, mock, mock_client};
use std::sync::atomic::{AtomicUsize, Ordering};

const ARN: &str = "arn:aws:cloudformation:r:1:changeSet/ductwork-own/1";
const NESTED: &str = "arn:aws:cloudformation:r:1:changeSet/ductwork-own-Broker/2";

fn create_rule(log: &Log) -> Rule {
    let log = log.clone();
    mock!(Client::create_change_set).then_compute_output(move |request| {
        let name = request.change_set_name().unwrap_or_default();
        assert!(name.starts_with("p-dev-Change-") && request.client_token() == Some(name));
        assert_eq!(request.capabilities().len(), 3);
        let kind = request.change_set_type().map_or("", |kind| kind.as_str());
        let nested = if request.include_nested_stacks() == Some(true) { "nested " } else { "" };
        log.add(format!("create {nested}{kind} {}", request.template_url().unwrap_or_default()));
        CreateChangeSetOutput::builder().id(ARN).stack_id(ROOT).build()
    })
}

/// DescribeChangeSet answers `answers` one after the other, the last one for ever; once the change
/// set is deleted it is not found. Nested change sets are answered by `nested`.
fn describe_rule(
    log: &Log,
    answers: Vec<DescribeChangeSetOutput>,
    nested: fn(&str) -> DescribeChangeSetOutput,
) -> Rule {
    let (log, turn) = (log.clone(), AtomicUsize::new(0));
    mock!(Client::describe_change_set).then_compute_response(move |request| {
        let arn = request.change_set_name().unwrap_or_default();
        log.add(format!("describe {}", arn.rsplit("changeSet/").next().unwrap_or_default()));
        if log.count("delete change set ductwork-own/1") > 0 {
            let gone = sdk::error::ChangeSetNotFoundException::builder().build();
            return MockResponse::Error(DescribeChangeSetError::ChangeSetNotFoundException(gone));
        }
        if arn != ARN {
            return MockResponse::Output(nested(arn));
        }
        let turn = turn.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        MockResponse::Output(answers[turn].clone())
    })
}

fn housekeeping_rules(log: &Log, listed: Vec<ChangeSetSummary>) -> [Rule; 4] {
    let (one, two, three, four) = (log.clone(), log.clone(), log.clone(), log.clone());
    [
        mock!(Client::delete_change_set).then_compute_output(move |request| {
            let arn = request.change_set_name().unwrap_or_default();
            one.add(format!("delete change set {}", arn.rsplit("changeSet/").next().unwrap_or_default()));
            DeleteChangeSetOutput::builder().build()
        }),
        mock!(Client::list_change_sets).then_compute_output(move |_| {
            two.add("list");
            ListChangeSetsOutput::builder().set_summaries(Some(listed.clone())).build()
        }),
        mock!(Client::describe_stacks).then_compute_output(move |_| {
            three.add("describe stack");
            stack("REVIEW_IN_PROGRESS")
        }),
        mock!(Client::delete_stack).then_compute_output(move |request| {
            four.add(format!("delete stack {}", request.stack_name().unwrap_or_default()));
            DeleteStackOutput::builder().build()
        }),
    ]
}

fn client(rules: &[Rule]) -> Client {
    mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, rules)
}

fn described(status: ChangeSetStatus, reason: &str) -> DescribeChangeSetOutput {
    DescribeChangeSetOutput::builder()
        .status(status)
        .status_reason(reason)
        .creation_time(DateTime::from_secs(CREATED))
        .build()
}

fn with(changes: Vec<sdk::ResourceChange>) -> DescribeChangeSetOutput {
    let change = |change| sdk::Change::builder().resource_change(change).build();
    let mut described = described(ChangeSetStatus::CreateComplete, "");
    described.changes = Some(changes.into_iter().map(change).collect());
    described
}

fn resource(id: &str, kind: &str, action: sdk::ChangeAction) -> sdk::ResourceChange {
    sdk::ResourceChange::builder().logical_resource_id(id).resource_type(kind).action(action).build()
}

fn nothing(_: &str) -> DescribeChangeSetOutput {
    with(Vec::new())
}

async fn make(client: &Client, purpose: Purpose) -> Result<Created> {
    let none = BTreeMap::new();
    let request = Request {
        stack: "p-dev",
        purpose,
        template: Template::Url("https://root"),
        parameters: &none,
        tags: &none,
        pace: &Pace::default(),
    };
    create(client, &request).await
}

#[tokio::test(start_paused = true)]
async fn a_change_set_is_waited_for_and_read_with_those_inside_it() {
    let log = Log::default();
    let mut broker = resource("Broker", "AWS::CloudFormation::Stack", sdk::ChangeAction::Modify);
    broker.change_set_id = Some(NESTED.to_owned());
    // What an emulator says of a nested stack whose parameters change.
    broker.replacement = Some(sdk::Replacement::Conditional);
    let mut first = with(vec![broker]);
    first.next_token = Some("more".to_owned());
    let second = with(vec![resource("Logs", "AWS::S3::Bucket", sdk::ChangeAction::Add)]);
    let answers = vec![
        described(ChangeSetStatus::CreatePending, ""),
        described(ChangeSetStatus::CreateInProgress, ""),
        first,
        second,
    ];
    let nested = |arn: &str| {
        assert_eq!(arn, NESTED);
        let target = |name: &str| sdk::ResourceTargetDefinition::builder().name(name).build();
        let detail = |name: &str| sdk::ResourceChangeDetail::builder().target(target(name));
        let mut queue = resource("Queue", "AWS::SQS::Queue", sdk::ChangeAction::Modify);
        queue.replacement = Some(sdk::Replacement::True);
        queue.policy_action = Some(sdk::PolicyAction::ReplaceAndRetain);
        let by_parameter = detail("QueueName")
            .change_source(sdk::ChangeSource::ParameterReference)
            .causing_entity("Name")
            .build();
        queue.details = Some(vec![detail("QueueName").build(), by_parameter, detail("DelaySeconds").build()]);
        with(vec![queue])
    };
    let mut rules = vec![create_rule(&log), describe_rule(&log, answers, nested)];
    rules.extend(housekeeping_rules(&log, Vec::new()));
    let Created::Ready(made) = make(&client(&rules), Purpose::Update).await.unwrap() else {
        panic!("unchanged")
    };
    assert_eq!((made.arn.as_str(), made.stack.as_str(), made.created), (ARN, ROOT, Moment(CREATED * 1000)));
    let paths: Vec<&str> = flatten(&made.changes).iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["Broker", "Broker/Queue", "Logs"]);
    assert_eq!(made.changes[0].replacement, Replacement::Never);
    let queue = &made.changes[0].nested[0];
    assert_eq!((queue.action, queue.replacement), (ChangeAction::Modify, Replacement::Always));
    assert_eq!(queue.reasons, ["QueueName (parameter Name)", "DelaySeconds"]);
    insta::assert_snapshot!(log.lines(), @"
    create nested UPDATE https://root
    describe ductwork-own/1
    describe ductwork-own/1
    describe ductwork-own/1
    describe ductwork-own/1
    describe ductwork-own-Broker/2
    list
    ");
}

#[tokio::test(start_paused = true)]
async fn an_empty_change_set_is_deleted() {
    for reason in [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ] {
        let log = Log::default();
        let answers = vec![described(ChangeSetStatus::Failed, reason)];
        let mut rules = vec![create_rule(&log), describe_rule(&log, answers, nothing)];
        rules.extend(housekeeping_rules(&log, Vec::new()));
        let made = make(&client(&rules), Purpose::Update).await.unwrap();
        assert!(matches!(made, Created::Unchanged));
        insta::allow_duplicates! {
            insta::assert_snapshot!(log.lines(), @"
            create nested UPDATE https://root
            describe ductwork-own/1
            delete change set ductwork-own/1
            ");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_shell_of_a_stack_that_is_not_made_goes_too() {
    let log = Log::default();
    let answers = vec![with(vec![resource("Logs", "AWS::S3::Bucket", sdk::ChangeAction::Add)])];
    let mut rules = vec![create_rule(&log), describe_rule(&log, answers, nothing)];
    rules.extend(housekeeping_rules(&log, Vec::new()));
    let client = client(&rules);
    let Created::Ready(made) = make(&client, Purpose::Create).await.unwrap() else { panic!("unchanged") };
    discard(&client, &made).await.unwrap();
    insta::assert_snapshot!(log.lines(), @"
    create CREATE https://root
    describe ductwork-own/1
    list
    delete change set ductwork-own/1
    describe stack
    describe ductwork-own/1
    list
    delete stack arn:aws:cloudformation:r:1:stack/p-dev/1
    ");
}

fn summary(name: &str, age: i64, status: ExecutionStatus) -> ChangeSetSummary {
    ChangeSetSummary::builder()
        .change_set_id(format!("arn:aws:cloudformation:r:1:changeSet/{name}/9"))
        .change_set_name(name)
        .stack_id(ROOT)
        .execution_status(status)
        .creation_time(DateTime::from_secs(CREATED - age))
        .build()
}

#[tokio::test(start_paused = true)]
async fn a_shell_in_which_somebody_else_has_a_change_set_stays() {
    let log = Log::default();
    let answers = vec![with(Vec::new())];
    let mut rules = vec![create_rule(&log), describe_rule(&log, answers, nothing)];
    rules.extend(housekeeping_rules(&log, vec![summary("theirs", 5, ExecutionStatus::Available)]));
    let client = client(&rules);
    let Created::Ready(made) = make(&client, Purpose::Create).await.unwrap() else { panic!("unchanged") };
    discard(&client, &made).await.unwrap();
    assert_eq!(log.count("delete change set ductwork-own/1"), 1);
    assert_eq!(log.count("delete stack"), 0);
}

#[tokio::test(start_paused = true)]
async fn only_old_unexecuted_change_sets_of_ours_are_abandoned() {
    let log = Log::default();
    let listed = vec![
        summary("p-dev-Change-old", 4000, ExecutionStatus::Available),
        summary("p-dev-Change-failed", 4000, ExecutionStatus::Unavailable),
        summary("p-dev-Change-recent", 30, ExecutionStatus::Available),
        summary("p-dev-Change-executed", 4000, ExecutionStatus::ExecuteComplete),
        summary("theirs-old", 4000, ExecutionStatus::Available),
    ];
    let mut rules = vec![create_rule(&log), describe_rule(&log, vec![with(Vec::new())], nothing)];
    rules.extend(housekeeping_rules(&log, listed));
    make(&client(&rules), Purpose::Update).await.unwrap();
    let deleted: Vec<String> =
        log.lines().lines().filter(|line| line.starts_with("delete")).map(str::to_owned).collect();
    assert_eq!(deleted, ["delete change set p-dev-Change-old/9", "delete change set p-dev-Change-failed/9"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_the_reason_of_the_nested_change_set_first_and_cleans_up() {
    let log = Log::default();
    let reason = format!("Nested change set {NESTED} was not successfully created: Currently in FAILED.");
    let answers = vec![described(ChangeSetStatus::Failed, &reason)];
    let nested = |_: &str| described(ChangeSetStatus::Failed, "Template error: no such mapping");
    let mut rules = vec![create_rule(&log), describe_rule(&log, answers, nested)];
    rules.extend(housekeeping_rules(&log, Vec::new()));
    let fail = make(&client(&rules), Purpose::Create).await.unwrap_err();
    assert_eq!(fail.message(), "cannot prepare the changes of the stack `p-dev`");
    assert_eq!(fail.causes(), ["Template error: no such mapping".to_owned(), reason]);
    assert_eq!((log.count("delete change set"), log.count("delete stack")), (1, 1));
}

/// CreateChangeSet and DescribeChangeSet of a service that refuses nested change sets: for `reason`, or because the
/// one of a nested stack failed.
fn refusing_rules(log: &Log, reason: &'static str) -> [Rule; 2] {
    let plain = "arn:aws:cloudformation:r:1:changeSet/ductwork-plain/3";
    let create = log.clone();
    [
        mock!(Client::create_change_set).then_compute_output(move |request| {
            let is_nested = request.include_nested_stacks() == Some(true);
            create.add(if is_nested { "create nested" } else { "create plain" });
            CreateChangeSetOutput::builder().id(if is_nested { ARN } else { plain }).stack_id(ROOT).build()
        }),
        mock!(Client::describe_change_set).then_compute_output(move |request| {
            match request.change_set_name() {
                Some(ARN) => described(ChangeSetStatus::Failed, reason),
                Some(NESTED) => described(ChangeSetStatus::Failed, "Template error: nothing at index 1"),
                _ => with(vec![resource("Broker", "AWS::CloudFormation::Stack", sdk::ChangeAction::Modify)]),
            }
        }),
    ]
}

#[tokio::test(start_paused = true)]
async fn where_nested_change_sets_are_refused_one_without_them_is_made() {
    let failed = "Nested change set arn:aws:cloudformation:r:1:changeSet/ductwork-own-Broker/2 was not successfully \
                  created: Currently in FAILED.";
    let token = "Unable to fetch parameters [{{IntrinsicFunction:p-dev/Network.Outputs.X/Fn::GetAtt}}]";
    for (reason, why) in [(failed, "Template error: nothing at index 1"), (token, token)] {
        let log = Log::default();
        let mut rules = refusing_rules(&log, reason).to_vec();
        rules.extend(housekeeping_rules(&log, Vec::new()));
        let Created::Ready(made) = make(&client(&rules), Purpose::Update).await.unwrap() else {
            panic!("unchanged")
        };
        assert_eq!(made.unseen, Some(format!("changes inside nested stacks cannot be previewed: {why}")));
        assert_eq!(made.changes[0].path, "Broker");
        insta::allow_duplicates! {
            insta::assert_snapshot!(log.lines(), @"
            create nested
            delete change set ductwork-own/1
            create plain
            list
            ");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_another_reason_stays_refused() {
    let log = Log::default();
    let mut rules = refusing_rules(&log, "Template error: nothing at index 1").to_vec();
    rules.extend(housekeeping_rules(&log, Vec::new()));
    make(&client(&rules), Purpose::Update).await.unwrap_err();
    assert_eq!((log.count("create"), log.count("delete change set")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_says_why_and_leaves_nothing_to_clean() {
    let log = Log::default();
    let refused = || {
        let meta = ErrorMetadata::builder().code("LimitExceededException").message("too many").build();
        CreateChangeSetError::generic(meta)
    };
    let mut rules = vec![mock!(Client::create_change_set).then_error(refused)];
    rules.extend(housekeeping_rules(&log, Vec::new()));
    let fail = make(&client(&rules), Purpose::Update).await.unwrap_err();
    assert!(fail.to_string().contains("LimitExceededException: too many"), "{fail}");
    assert_eq!((fail.hints().len(), log.lines().as_str()), (1, ""));
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out() {
    let log = Log::default();
    let throttled = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>\
                     <Message>Rate exceeded</Message></Error></ErrorResponse>";
    let describe = mock!(Client::describe_change_set)
        .sequence()
        .http_status(400, Some(throttled.to_owned()))
        .times(2)
        .output(|| with(Vec::new()))
        .build();
    let mut rules = vec![create_rule(&log), describe.clone()];
    rules.extend(housekeeping_rules(&log, Vec::new()));
    assert!(matches!(make(&client(&rules), Purpose::Update).await.unwrap(), Created::Ready(_)));
    assert_eq!(describe.num_calls(), 3);
}

/// A change set that has been made and is to be executed.
fn made() -> ChangeSet {
    let queue = Change {
        path: "Queue".to_owned(),
        kind: "AWS::SQS::Queue".to_owned(),
        action: ChangeAction::Modify,
        replacement: Replacement::Never,
        fate: crate::model::change::Fate::Deleted,
        reasons: Vec::new(),
        evidence: Evidence::Known,
        nested: Vec::new(),
    };
    ChangeSet {
        arn: ARN.to_owned(),
        stack: ROOT.to_owned(),
        stack_name: "p-dev".to_owned(),
        purpose: Purpose::Update,
        changes: vec![queue],
        unseen: None,
        created: Moment(CREATED * 1000),
    }
}

/// The events of its execution.
fn events_rule() -> Rule {
    mock!(Client::describe_stack_events).then_output(|| {
        page(vec![
            event(-10, ROOT, "Old", "q", "CREATE_COMPLETE"),
            event(1, ROOT, "p-dev", ROOT, "UPDATE_IN_PROGRESS"),
            event(2, ROOT, "Queue", "q", "UPDATE_COMPLETE"),
            event(3, ROOT, "p-dev", ROOT, "UPDATE_COMPLETE"),
        ])
    })
}

#[tokio::test(start_paused = true)]
async fn an_executed_change_set_is_followed_to_the_end() {
    let log = Log::default();
    let made = made();
    let execute_rule = mock!(Client::execute_change_set)
        .match_requests(|request| {
            request.change_set_name() == Some(ARN) && request.retain_except_on_create() == Some(true)
        })
        .then_output(|| ExecuteChangeSetOutput::builder().build());
    let describe = mock!(Client::describe_stacks).then_output(|| stack("UPDATE_COMPLETE"));
    let events = events_rule();
    let client = client(&[execute_rule, describe.clone(), events.clone()]);
    let followed = execute(&client, &made, &log.sink(), &Pace::none()).await.unwrap();
    assert!(followed.reached(Operation::Update));
    assert_eq!((followed.status, followed.events.len()), (Status::UpdateComplete, 3));
    // The local cloud is done before the first look: two calls, no waiting.
    assert_eq!((describe.num_calls(), events.num_calls()), (1, 1));
    assert_eq!(followed.took, Duration::ZERO);
    assert_eq!(log.lines(), "progress: 1/1 resources");
}

/// CreateChangeSet ends with `code`, although the change set is made if `found`.
async fn made_after(code: &'static str, found: bool) -> Result<Created> {
    let refused = move || {
        let meta = ErrorMetadata::builder().code(code).message("of the test");
        CreateChangeSetError::generic(meta.build())
    };
    let describe = mock!(Client::describe_change_set).then_compute_response(move |request| {
        if !found {
            let absent = sdk::error::ChangeSetNotFoundException::builder().build();
            return MockResponse::Error(DescribeChangeSetError::ChangeSetNotFoundException(absent));
        }
        let name = request.change_set_name().unwrap();
        assert!(
            name == ARN || (name.starts_with("p-dev-Change-") && request.stack_name() == Some("p-dev")),
            "{name}"
        );
        let mut described = with(Vec::new());
        (described.change_set_id, described.stack_id) = (Some(ARN.to_owned()), Some(ROOT.to_owned()));
        MockResponse::Output(described)
    });
    let mut rules = vec![mock!(Client::create_change_set).then_error(refused), describe];
    rules.extend(housekeeping_rules(&Log::default(), Vec::new()));
    make(&client(&rules), Purpose::Update).await
}

#[tokio::test(start_paused = true)]
async fn a_change_set_whose_making_was_never_answered_is_ours() {
    // The name is taken; nothing that made sense was said.
    for (code, hint) in [("AlreadyExistsException", "somebody else"), ("InternalFailure", "run the same")] {
        let Created::Ready(made) = made_after(code, true).await.unwrap() else { panic!("unchanged") };
        assert_eq!((made.arn.as_str(), made.stack.as_str()), (ARN, ROOT));
        let fail = made_after(code, false).await.unwrap_err();
        assert!(fail.hints()[0].contains(hint), "{fail}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_was_never_answered_is_followed() {
    use ExecutionStatus::{Available, ExecuteComplete, ExecuteFailed, ExecuteInProgress};
    let cases =
        [(ExecuteInProgress, true), (ExecuteComplete, true), (ExecuteFailed, true), (Available, false)];
    let codes = ["InvalidChangeSetStatus", "InternalFailure"];
    for ((status, is_followed), code) in
        cases.into_iter().flat_map(|one| codes.map(|code| (one.clone(), code)))
    {
        let refused = move || {
            let meta = ErrorMetadata::builder().code(code).message("not available");
            ExecuteChangeSetError::generic(meta.build())
        };
        let log = Log::default();
        let deleted = log.clone();
        let delete = mock!(Client::delete_change_set).then_compute_output(move |_| {
            deleted.add("delete change set".to_owned());
            DeleteChangeSetOutput::builder().build()
        });
        let execute_rule = mock!(Client::execute_change_set).then_error(refused);
        let look = mock!(Client::describe_change_set)
            .then_output(move || DescribeChangeSetOutput::builder().execution_status(status.clone()).build());
        let stack = mock!(Client::describe_stacks).then_output(|| stack("UPDATE_COMPLETE"));
        let client = client(&[execute_rule, look, stack, events_rule(), delete]);
        match execute(&client, &made(), &Sink::null(), &Pace::default()).await {
            Ok(followed) => assert!(is_followed && followed.reached(Operation::Update)),
            Err(fail) => assert!(!is_followed && fail.hints()[0].contains("run the"), "{fail}"),
        }
        assert_eq!(log.count("delete change set"), usize::from(!is_followed), "nothing is left behind");
    }
}
