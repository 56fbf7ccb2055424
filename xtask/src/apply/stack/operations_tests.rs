//! Deleting, rolling back, and the second attempt of a rollback that got stuck.

use super::super::super::fake::{Log, ROOT, because, event, page, stack};
use super::*;
use aws_sdk_cloudformation::error::ErrorMetadata;
use aws_sdk_cloudformation::operation::continue_update_rollback::ContinueUpdateRollbackOutput;
use aws_sdk_cloudformation::operation::delete_stack::{DeleteStackError, DeleteStackOutput};
use aws_sdk_cloudformation::operation::rollback_stack::RollbackStackOutput;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

static PACE: LazyLock<Pace> = LazyLock::new(Pace::none);

fn target<'a>(sink: &'a Sink) -> StackHandle<'a> {
    StackHandle { stack: ROOT, sink, pace: &PACE }
}

fn stuck(name: &str) -> Stuck {
    Stuck {
        path: name.to_owned(),
        kind: "AWS::SQS::Queue".to_owned(),
        status: "UPDATE_FAILED".to_owned(),
        reason: None,
        skip_name: name.to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_skips_only_what_still_fails_and_only_at_the_second_attempt() {
    let log = Log::default();
    let tries = Arc::new(AtomicI64::new(0));
    let (count, at_state, at_events, calls) = (tries.clone(), tries.clone(), tries, log.clone());
    let go_on = mock!(Client::continue_update_rollback).then_compute_output(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        calls.add(format!("continue {:?}", request.resources_to_skip()));
        ContinueUpdateRollbackOutput::builder().build()
    });
    let describe = mock!(Client::describe_stacks).then_compute_output(move |_| {
        let done = at_state.load(Ordering::Relaxed) == 2;
        stack(if done { "UPDATE_ROLLBACK_COMPLETE" } else { "UPDATE_ROLLBACK_FAILED" })
    });
    let events = mock!(Client::describe_stack_events).then_compute_output(move |_| {
        let mut events = vec![event(1, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_FAILED")];
        let first = vec![
            event(2, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_IN_PROGRESS"),
            event(3, ROOT, "Cured", "c", "UPDATE_COMPLETE"),
            because(event(3, ROOT, "Broken", "b", "UPDATE_FAILED"), "no"),
            event(4, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_FAILED"),
        ];
        let second = vec![
            event(5, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_IN_PROGRESS"),
            event(6, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_COMPLETE"),
        ];
        let tries = at_events.load(Ordering::Relaxed);
        events.extend(first.into_iter().filter(|_| tries >= 1));
        events.extend(second.into_iter().filter(|_| tries >= 2));
        page(events)
    });
    let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&go_on, &describe, &events]);
    let sink = log.sink();
    let skip = [stuck("Cured"), stuck("Broken")];
    let followed = continue_rollback(&client, target(&sink), &skip).await.unwrap();
    assert_eq!(followed.status, Status::UpdateRollbackComplete);
    let lines = log.lines();
    let lines: Vec<&str> = lines.lines().filter(|line| !line.starts_with("progress")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    continue []
    note: Broken UPDATE_FAILED: no
    note: stuck again; leaving these as they are: Broken
    continue ["Broken"]
    "#);
}

#[tokio::test(start_paused = true)]
async fn deletion_and_rollback_are_followed() {
    let delete_rule = mock!(Client::delete_stack).then_output(|| DeleteStackOutput::builder().build());
    let rollback = mock!(Client::rollback_stack).then_output(|| RollbackStackOutput::builder().build());
    let describe = mock!(Client::describe_stacks)
        .sequence()
        .output(|| stack("DELETE_COMPLETE"))
        .output(|| stack("UPDATE_ROLLBACK_COMPLETE"))
        .build();
    let before = || page(vec![event(1, ROOT, "p-dev", ROOT, "UPDATE_FAILED")]);
    let after = || {
        page(vec![
            event(1, ROOT, "p-dev", ROOT, "UPDATE_FAILED"),
            event(2, ROOT, "p-dev", ROOT, "UPDATE_ROLLBACK_COMPLETE"),
        ])
    };
    let events = mock!(Client::describe_stack_events)
        .sequence()
        .output(before)
        .times(3)
        .output(after)
        .repeatedly()
        .build();
    let rules = [&delete_rule, &rollback, &describe, &events];
    let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, rules);
    let sink = Sink::null();
    let deleted = delete(&client, target(&sink)).await.unwrap();
    assert_eq!((deleted.status, deleted.events.len()), (Status::DeleteComplete, 0));
    let back = roll_back(&client, target(&sink)).await.unwrap();
    assert_eq!((back.status, back.events.len()), (Status::UpdateRollbackComplete, 1));
}

#[tokio::test(start_paused = true)]
async fn a_protected_stack_says_how_to_take_the_protection_off() {
    let refuse = mock!(Client::delete_stack).then_error(|| {
        let text = "Stack [p-dev] cannot be deleted while TerminationProtection is enabled";
        DeleteStackError::generic(ErrorMetadata::builder().code("ValidationError").message(text).build())
    });
    let events = mock!(Client::describe_stack_events).then_output(|| page(Vec::new()));
    let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&refuse, &events]);
    let fail = delete(&client, target(&Sink::null())).await.unwrap_err();
    assert!(fail.hints()[0].contains("protection"));
}
