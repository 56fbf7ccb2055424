//! Following: nested stacks, stale states, trouble on the way, and what is told meanwhile.

use super::super::super::fake::{CHILD, CREATED, Log, ROOT, because, event, page, stack};
use super::*;
use crate::doors::time;
use aws_sdk_cloudformation::config::retry::RetryConfig;
use aws_sdk_cloudformation::error::ErrorMetadata;
use aws_sdk_cloudformation::operation::describe_stack_events::DescribeStackEventsError;
use aws_sdk_cloudformation::operation::describe_stacks::{DescribeStacksError, DescribeStacksOutput};
use aws_smithy_mocks::{MockResponse, Rule, RuleMode, mock, mock_client};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A cloud that goes one step further with each look at the root stack: its state at step `n`, and
/// how many of the events of a stack are there by then.
struct World {
    states: Vec<&'static str>,
    root: Vec<(usize, SdkEvent)>,
    child: Vec<(usize, SdkEvent)>,
    turn: Arc<AtomicUsize>,
}

impl World {
    fn new(states: &[&'static str]) -> Self {
        Self { states: states.to_vec(), root: Vec::new(), child: Vec::new(), turn: Arc::default() }
    }

    fn rules(self, log: &Log) -> [Rule; 2] {
        let (turn, now, log) = (self.turn.clone(), self.turn, log.clone());
        let (states, root, child) = (self.states, self.root, self.child);
        let describe = mock!(Client::describe_stacks).then_compute_response(move |request| {
            assert_eq!(request.stack_name(), Some(ROOT));
            let turn = turn.fetch_add(1, Ordering::Relaxed).min(states.len() - 1);
            match states[turn] {
                "gone" => error("ValidationError", "Stack with id x does not exist"),
                code if code.chars().any(char::is_lowercase) => error(code, "no"),
                state => MockResponse::Output(stack(state)),
            }
        });
        let events = mock!(Client::describe_stack_events).then_compute_output(move |request| {
            let events = if request.stack_name() == Some(CHILD) { &child } else { &root };
            log.add(format!("read {}", request.stack_name().unwrap_or_default().split('/').nth(1).unwrap()));
            let turn = now.load(Ordering::Relaxed);
            page(events.iter().filter(|(from, _)| *from <= turn).map(|(_, event)| event.clone()).collect())
        });
        [describe, events]
    }
}

fn error(code: &str, message: &str) -> MockResponse<DescribeStacksOutput, DescribeStacksError> {
    let meta = ErrorMetadata::builder().code(code).message(message).build();
    MockResponse::Error(DescribeStacksError::generic(meta))
}

/// Without the SDK's own retries: what is left of trouble after them is what this module meets.
fn client(rules: &[Rule]) -> Client {
    mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, rules, |config| config
        .retry_config(RetryConfig::disabled()))
}

async fn run(rules: &[Rule], log: &Log) -> Result<Followed> {
    let (client, sink) = (client(rules), log.sink());
    let since = Since::After(Moment(CREATED * 1000));
    follow(&client, &StackWatch { stack: ROOT, since, expected: 3, sink: &sink, pace: &Pace::default() })
        .await
}

fn nested_failure() -> World {
    let mut world = World::new(&[
        "UPDATE_IN_PROGRESS",
        "UPDATE_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
    ]);
    world.root = vec![
        (0, event(-5, ROOT, "p-dev", ROOT, "CREATE_COMPLETE")),
        (1, event(1, ROOT, "p-dev", ROOT, "UPDATE_IN_PROGRESS")),
        (1, event(2, ROOT, "Broker", "", "CREATE_IN_PROGRESS")),
        (1, event(2, ROOT, "Broker", CHILD, "CREATE_IN_PROGRESS")),
        (3, because(event(6, ROOT, "Broker", CHILD, "CREATE_FAILED"), "Embedded stack was not created")),
        (3, because(event(6, ROOT, "Logs", "l", "UPDATE_FAILED"), "Resource update cancelled")),
        (3, event(7, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_IN_PROGRESS")),
        (4, event(8, ROOT, "Broker", CHILD, "DELETE_COMPLETE")),
        (4, event(9, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_COMPLETE")),
    ];
    world.child = vec![
        (1, event(3, CHILD, "p-dev-Broker-1X", CHILD, "CREATE_IN_PROGRESS")),
        (1, event(3, CHILD, "Queue", "", "CREATE_IN_PROGRESS")),
        (2, because(event(4, CHILD, "Queue", "", "CREATE_FAILED"), "queue name taken")),
        (3, event(5, CHILD, "p-dev-Broker-1X", CHILD, "ROLLBACK_IN_PROGRESS")),
        (4, event(8, CHILD, "p-dev-Broker-1X", CHILD, "DELETE_COMPLETE")),
    ];
    world
}

#[tokio::test(start_paused = true)]
async fn events_of_nested_stacks_are_found_once_each_under_their_path() {
    let log = Log::default();
    let followed = run(&nested_failure().rules(&log), &log).await.unwrap();
    assert_eq!(followed.status, Status::UpdateRollbackComplete);
    let told: Vec<String> = followed
        .events
        .iter()
        .map(|event| format!("{} {} {}", event.at.0, event.path, event.status))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    1001000  UPDATE_IN_PROGRESS
    1002000 Broker CREATE_IN_PROGRESS
    1002000 Broker CREATE_IN_PROGRESS
    1003000 Broker CREATE_IN_PROGRESS
    1003000 Broker/Queue CREATE_IN_PROGRESS
    1004000 Broker/Queue CREATE_FAILED
    1005000 Broker ROLLBACK_IN_PROGRESS
    1006000 Broker CREATE_FAILED
    1006000 Logs UPDATE_FAILED
    1007000  UPDATE_ROLLBACK_IN_PROGRESS
    1008000 Broker DELETE_COMPLETE
    1008000 Broker DELETE_COMPLETE
    1009000  UPDATE_ROLLBACK_COMPLETE
    ");
    insta::assert_snapshot!(log.lines(), @"
    read p-dev
    read p-dev-Broker-1X
    progress: 0/3 resources, creating Broker/Queue
    read p-dev
    read p-dev-Broker-1X
    note: Broker/Queue CREATE_FAILED: queue name taken
    progress: 0/3 resources, creating Broker
    read p-dev
    read p-dev-Broker-1X
    progress: rolling back
    read p-dev
    read p-dev-Broker-1X
    ");
}

#[tokio::test(start_paused = true)]
async fn the_state_of_the_operation_before_is_not_taken_for_the_end_of_this_one() {
    let log = Log::default();
    let mut world = World::new(&[
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE",
    ]);
    world.root = vec![
        (0, event(-5, ROOT, "p-dev", ROOT, "UPDATE_COMPLETE")),
        (3, event(1, ROOT, "p-dev", ROOT, "UPDATE_IN_PROGRESS")),
        (5, event(1, ROOT, "p-dev", ROOT, "UPDATE_COMPLETE")),
    ];
    let rules = world.rules(&log);
    let followed = run(&rules, &log).await.unwrap();
    assert_eq!(followed.status, Status::UpdateComplete);
    assert_eq!(rules[0].num_calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_sees_no_events_believes_the_state_after_a_minute() {
    let log = Log::default();
    let describe = mock!(Client::describe_stacks).then_output(|| stack("UPDATE_COMPLETE"));
    let events = mock!(Client::describe_stack_events).then_error(|| {
        DescribeStackEventsError::generic(ErrorMetadata::builder().code("AccessDenied").build())
    });
    let followed = run(&[describe, events], &log).await.unwrap();
    assert_eq!(followed.status, Status::UpdateComplete);
    assert!(followed.took > STALE && followed.took < STALE * 2);
}

#[tokio::test(start_paused = true)]
async fn throttling_is_told_once_and_borne() {
    let log = Log::default();
    let mut world = World::new(&["Throttling", "Throttling", "ServiceUnavailable", "CREATE_COMPLETE"]);
    world.root = vec![(4, event(1, ROOT, "p-dev", ROOT, "CREATE_COMPLETE"))];
    let followed = run(&world.rules(&log), &log).await.unwrap();
    assert_eq!(followed.status, Status::CreateComplete);
    assert_eq!(log.count("note: cannot look at the stack just now"), 1);
}

#[tokio::test(start_paused = true)]
async fn trouble_that_does_not_pass_ends_the_watching_and_says_that_the_operation_goes_on() {
    let log = Log::default();
    let fail = run(&World::new(&["UPDATE_IN_PROGRESS", "ExpiredToken"]).rules(&log), &log).await.unwrap_err();
    assert!(fail.message().starts_with("lost track of the stack"), "{fail}");
    assert!(fail.hints().iter().any(|hint| hint.contains("goes on")), "{:?}", fail.hints());
    let fail = run(&World::new(&["Throttling"]).rules(&log), &log).await.unwrap_err();
    assert!(fail.to_string().contains("Throttling"));
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_no_more_is_deleted() {
    for last in ["gone", "DELETE_COMPLETE"] {
        let log = Log::default();
        let followed = run(&World::new(&["DELETE_IN_PROGRESS", last]).rules(&log), &log).await.unwrap();
        assert_eq!(followed.status, Status::DeleteComplete, "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_operation_is_told_from_its_start() {
    let log = Log::default();
    let mut world = World::new(&["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]);
    world.root = vec![
        (0, event(1, ROOT, "Old", "o", "CREATE_COMPLETE")),
        (0, event(2, ROOT, "p-dev", ROOT, "CREATE_COMPLETE")),
        (0, event(3, ROOT, "p-dev", ROOT, "UPDATE_IN_PROGRESS")),
        (0, because(event(4, ROOT, "Queue", "q", "UPDATE_FAILED"), "no")),
        (0, event(5, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_IN_PROGRESS")),
        (2, event(6, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_COMPLETE")),
    ];
    let (client, sink) = (client(&world.rules(&log)), log.sink());
    let watch =
        StackWatch { stack: ROOT, since: Since::LastStart, expected: 0, sink: &sink, pace: &Pace::default() };
    let followed = follow(&client, &watch).await.unwrap();
    assert_eq!(followed.events.len(), 4);
    assert_eq!(followed.events[0].status, "UPDATE_IN_PROGRESS");
}

#[tokio::test(start_paused = true)]
async fn following_can_be_dropped_at_any_moment() {
    for milliseconds in (0..3000).step_by(70) {
        let log = Log::default();
        let mut world = World::new(&["UPDATE_IN_PROGRESS"]);
        world.root = nested_failure().root;
        let rules = world.rules(&log);
        tokio::select! {
            _ = run(&rules, &log) => panic!("it cannot end"),
            () = time::sleep(Duration::from_millis(milliseconds)) => {}
        }
    }
}
