//! Following a stack with hundreds of nested ones, at a CloudFormation that says when it was asked too often.

use super::super::super::fake::{Calls, Log, ROOT, because, event, page, stack};
use super::*;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use std::sync::Arc;

const SETS: usize = 200;
/// How long the update takes, in seconds.
const TAKES: u64 = 600;

fn arn(set: usize) -> String {
    format!("arn:aws:cloudformation:r:1:stack/p-dev-Worker{set:03}/{set}")
}

/// Everything moves for ten minutes; then it is done, or everything fails because of the last set.
fn happens(fails: bool) -> Vec<(u64, String, SdkEvent)> {
    let end = if fails { "UPDATE_ROLLBACK_COMPLETE" } else { "UPDATE_COMPLETE" };
    let own = |after: u64, status| {
        (after, ROOT.to_owned(), event(1 + after.cast_signed(), ROOT, "p-dev", ROOT, status))
    };
    let mut all = vec![own(0, "UPDATE_IN_PROGRESS"), own(TAKES, end)];
    for set in 0..SETS {
        let (id, child) = (format!("Worker{set:03}"), arn(set));
        let row = |after: u64, of: &str, logical: &str, physical: &str, status: &str| {
            (after, of.to_owned(), event(1 + after.cast_signed(), of, logical, physical, status))
        };
        all.push(row(0, ROOT, &id, &child, "UPDATE_IN_PROGRESS"));
        for resource in 0..10 {
            all.push(row(1, &child, &format!("R{resource}"), "r", "UPDATE_IN_PROGRESS"));
        }
        let failed = fails && set == SETS - 1;
        if failed {
            let (after, of, row) = row(TAKES - 1, &child, "Queue", "q", "UPDATE_FAILED");
            all.push((after, of, because(row, "queue name taken")));
        }
        let status = if failed { "UPDATE_FAILED" } else { "UPDATE_COMPLETE" };
        all.push(row(TAKES - 1, ROOT, &id, &child, status));
    }
    all
}

async fn followed(fails: bool) -> (Followed, Calls, Log) {
    let (calls, log, watch) = (Calls::new(), Log::default(), Stopwatch::start());
    let (states, streams, all) = (calls.clone(), calls.clone(), Arc::new(happens(fails)));
    let describe = mock!(Client::describe_stacks).then_compute_output(move |_| {
        states.add("DescribeStacks");
        stack(match (watch.elapsed().as_secs() < TAKES, fails) {
            (true, _) => "UPDATE_IN_PROGRESS",
            (false, true) => "UPDATE_ROLLBACK_COMPLETE",
            (false, false) => "UPDATE_COMPLETE",
        })
    });
    // A hundred to a page, the newest first.
    let events = mock!(Client::describe_stack_events).then_compute_output(move |request| {
        streams.add("DescribeStackEvents");
        let now = watch.elapsed().as_secs();
        let those =
            all.iter().filter(|(after, of, _)| *after <= now && Some(of.as_str()) == request.stack_name());
        let mut those: Vec<SdkEvent> = those.map(|(_, _, event)| event.clone()).collect();
        those.sort_by_key(moment);
        let at: usize = request.next_token().map_or(0, |token| token.parse().unwrap());
        let left = those.len() - at;
        let mut page = page(those[left.saturating_sub(100)..left].to_vec());
        page.next_token = (left > 100).then(|| (at + 100).to_string());
        page
    });
    let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe, &events]);
    let (since, sink, pace) = (Since::After(Moment(1_000_000)), log.sink(), Pace::default());
    let watch = StackWatch { stack: ROOT, since, expected: SETS * 10, sink: &sink, pace: &pace };
    let followed = follow(&client, &watch).await.unwrap();
    (followed, calls, log)
}

#[tokio::test(start_paused = true)]
async fn two_hundred_nested_stacks_are_watched_with_a_call_a_second() {
    let (followed, calls, log) = followed(false).await;
    calls.assert_paced();
    assert_eq!(followed.status, Status::UpdateComplete);
    let late = followed.took.as_secs() - TAKES;
    assert!(late < 30, "the end was seen {late} s late");
    assert!(followed.events.len() > SETS * 10, "all stacks were looked into meanwhile");
    assert!(log.lines().contains("resources, updating Worker000/R0"), "{}", log.lines());
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_read_even_if_it_comes_last() {
    let (followed, calls, _) = followed(true).await;
    calls.assert_paced();
    let reason = followed.events.iter().find(|event| event.path == "Worker199/Queue");
    assert_eq!(reason.and_then(|event| event.reason.as_deref()), Some("queue name taken"));
    assert!(followed.took.as_secs() < TAKES + 30, "{:?}", followed.took);
}
