//! Why a stack operation failed: the first real cause among the events of all its stacks.
//!
//! The way of the AWS CDK: merge the events of every stack, sort by time, drop what was only
//! cancelled because something else failed, drop the rows of nested stacks, since "Embedded stack …
//! was not successfully created" says nothing; the first failure that remains is the cause.

use crate::fail::{Fail, Result};
use crate::model::stack::{Followed, Operation, STACK_TYPE, StackEvent, Status};

/// How many failures besides the first are told: what fits one screen.
const OTHERS: usize = 5;
/// The longest reason told in full, in characters.
const REASON: usize = 700;

/// The failures of an operation, the cause first, one for each resource.
#[must_use]
pub fn failures(events: &[StackEvent]) -> Vec<&StackEvent> {
    let mut failed: Vec<&StackEvent> = events.iter().filter(|event| is_failure(event)).collect();
    failed.sort_by_key(|event| event.at);
    let (rows, mut resources): (Vec<&StackEvent>, Vec<&StackEvent>) =
        failed.into_iter().partition(|event| event.kind == STACK_TYPE);
    if resources.is_empty() {
        // The service said no more than this; the deepest stack knows most.
        let deepest = rows.iter().max_by_key(|row| (depth(row), -row.at.0));
        resources.extend(deepest);
    }
    let mut told: Vec<&str> = Vec::new();
    resources.retain(|event| {
        let first = !told.contains(&event.path.as_str());
        told.push(&event.path);
        first
    });
    resources
}

fn depth(event: &StackEvent) -> usize {
    event.path.split('/').filter(|part| !part.is_empty()).count()
}

fn is_failure(event: &StackEvent) -> bool {
    let status = event.status.as_str();
    let failed = event.failed() || matches!(status, "ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_IN_PROGRESS");
    let reason = event.reason.as_deref().unwrap_or_default();
    let cancelled = ["cancelled", "canceled"].iter().any(|word| reason.to_lowercase().contains(word));
    failed && !reason.is_empty() && !cancelled
}

/// Fails where the operation did not bring the stack where it should be, with the cause first and
/// the other failures after it.
pub fn verdict(followed: &Followed, operation: Operation) -> Result<()> {
    if followed.reached(operation) {
        return Ok(());
    }
    let failures = failures(&followed.events);
    let mut fail = Fail::failed(format!("stack `{}` ended in {}", name(&followed.stack), followed.status));
    fail = match (failures.first(), &followed.reason) {
        (Some(event), _) => fail.cause(describe(event)),
        (None, Some(reason)) => fail.cause(reason),
        (None, None) => fail,
    };
    for event in failures.iter().skip(1).take(OTHERS) {
        fail = fail.cause(format!("also {}", describe(event)));
    }
    if failures.len() > OTHERS + 1 {
        fail = fail.cause(format!("and {} more", failures.len() - OTHERS - 1));
    }
    for hint in failures.iter().take(OTHERS + 1).filter_map(|event| hint(event)) {
        fail = fail.hint(hint);
    }
    Err(match state_hint(followed.status) {
        Some(hint) => fail.hint(hint),
        None => fail,
    })
}

/// The name in a stack's ARN, `…:stack/<name>/<id>`.
fn name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

fn describe(event: &StackEvent) -> String {
    let path = if event.path.is_empty() { name(&event.stack) } else { &event.path };
    let reason = shorten(event.reason.as_deref().unwrap_or("no reason given"));
    format!("{path} ({}) {}: {reason}", event.kind, event.status)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(REASON) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The cure for the failures that everybody meets.
fn hint(event: &StackEvent) -> Option<String> {
    let reason = event.reason.as_deref().unwrap_or_default().to_lowercase();
    let bucket = event.kind == "AWS::S3::Bucket";
    if bucket && (reason.contains("not empty") || reason.contains("bucketnotempty")) {
        return Some(format!(
            "empty the bucket and run the command again: aws s3 rm s3://{} --recursive (old versions, \
             where it keeps any: \"Empty\" in the S3 console)",
            event.physical
        ));
    }
    if reason.contains("already exists") {
        return Some(format!(
            "something outside the stack has the name that {} wants: delete or rename it, then run the \
             command again",
            event.path
        ));
    }
    None
}

fn state_hint(status: Status) -> Option<&'static str> {
    match status {
        Status::UpdateRollbackComplete => {
            Some("the stack is as it was before; correct the cause and deploy again")
        }
        Status::RollbackComplete => Some("nothing was left behind; correct the cause and deploy again"),
        Status::UpdateRollbackFailed | Status::RollbackFailed | Status::DeleteFailed => {
            Some("the stack is stuck; correct the cause and run the command again, it offers the way out")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stack::Moment;
    use std::time::Duration;

    const ROOT: &str = "arn:aws:cloudformation:us-east-1:1:stack/p-dev/1";

    fn event(at: i64, path: &str, kind: &str, status: &str, reason: &str) -> StackEvent {
        StackEvent {
            id: format!("{at}-{path}"),
            at: Moment(at),
            stack: ROOT.to_owned(),
            path: path.to_owned(),
            physical: format!("physical-{path}"),
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        }
    }

    fn followed(status: Status, events: Vec<StackEvent>) -> Followed {
        Followed {
            stack: ROOT.to_owned(),
            status,
            reason: Some("the stack's own reason".to_owned()),
            events,
            took: Duration::ZERO,
        }
    }

    fn tell(status: Status, operation: Operation, events: Vec<StackEvent>) -> String {
        let fail = verdict(&followed(status, events), operation).unwrap_err();
        let lines = [&[fail.message().to_owned()], fail.causes().as_slice(), fail.hints()].concat();
        lines.join("\n")
    }

    #[test]
    fn the_first_real_failure_is_the_cause_wherever_it_stands() {
        let queue = "AWS::SQS::Queue";
        let events = vec![
            event(
                9,
                "",
                STACK_TYPE,
                "UPDATE_ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed: [Hosts]",
            ),
            event(8, "Hosts", STACK_TYPE, "CREATE_FAILED", "Embedded stack was not successfully created"),
            event(6, "Hosts/Group", "AWS::AutoScaling::AutoScalingGroup", "CREATE_FAILED", "no such AMI"),
            event(6, "Broker/Queue", queue, "UPDATE_FAILED", "Resource update cancelled"),
            event(5, "Broker/Dead", queue, "CREATE_FAILED", "Resource creation Cancelled"),
            event(7, "Storage/Logs", "AWS::S3::Bucket", "CREATE_FAILED", "logs already exists"),
            event(8, "Hosts/Group", "AWS::AutoScaling::AutoScalingGroup", "DELETE_FAILED", "in use"),
            event(1, "Hosts/Template", "AWS::EC2::LaunchTemplate", "CREATE_COMPLETE", "fine"),
        ];
        let told = tell(Status::UpdateRollbackComplete, Operation::Update, events);
        insta::assert_snapshot!(told, @"
        stack `p-dev` ended in UPDATE_ROLLBACK_COMPLETE
        Hosts/Group (AWS::AutoScaling::AutoScalingGroup) CREATE_FAILED: no such AMI
        also Storage/Logs (AWS::S3::Bucket) CREATE_FAILED: logs already exists
        something outside the stack has the name that Storage/Logs wants: delete or rename it, then run the command again
        the stack is as it was before; correct the cause and deploy again
        ");
    }

    #[test]
    fn where_only_stacks_speak_the_deepest_is_believed() {
        let events = vec![
            event(1, "A", STACK_TYPE, "CREATE_FAILED", "outer"),
            event(1, "A/B", STACK_TYPE, "CREATE_FAILED", "inner: Template error"),
            event(2, "", STACK_TYPE, "ROLLBACK_IN_PROGRESS", "root"),
        ];
        assert_eq!(failures(&events)[0].reason.as_deref(), Some("inner: Template error"));
        let found = failures(&events[2..]);
        assert_eq!(found[0].reason.as_deref(), Some("root"));
        let events = [&events[..1], &events[2..]].concat();
        assert_eq!(failures(&events)[0].reason.as_deref(), Some("outer"));
    }

    #[test]
    fn without_any_event_the_stack_s_own_reason_is_told() {
        let told = tell(Status::RollbackComplete, Operation::Create, Vec::new());
        insta::assert_snapshot!(told, @"
        stack `p-dev` ended in ROLLBACK_COMPLETE
        the stack's own reason
        nothing was left behind; correct the cause and deploy again
        ");
    }

    #[test]
    fn a_full_bucket_is_explained_and_long_lists_and_reasons_fit_the_screen() {
        let reason = "The bucket you tried to delete is not empty. You must delete all versions (409)";
        let mut events = vec![event(1, "Storage/Logs", "AWS::S3::Bucket", "DELETE_FAILED", reason)];
        let more =
            (2..12).map(|i| event(i, &format!("R{i}"), "AWS::SQS::Queue", "DELETE_FAILED", &"x".repeat(900)));
        events.extend(more);
        let told = tell(Status::DeleteFailed, Operation::Delete, events).replace(&"x".repeat(REASON), "X");
        insta::assert_snapshot!(told, @r#"
        stack `p-dev` ended in DELETE_FAILED
        Storage/Logs (AWS::S3::Bucket) DELETE_FAILED: The bucket you tried to delete is not empty. You must delete all versions (409)
        also R2 (AWS::SQS::Queue) DELETE_FAILED: X…
        also R3 (AWS::SQS::Queue) DELETE_FAILED: X…
        also R4 (AWS::SQS::Queue) DELETE_FAILED: X…
        also R5 (AWS::SQS::Queue) DELETE_FAILED: X…
        also R6 (AWS::SQS::Queue) DELETE_FAILED: X…
        and 5 more
        empty the bucket and run the command again: aws s3 rm s3://physical-Storage/Logs --recursive (old versions, where it keeps any: "Empty" in the S3 console)
        the stack is stuck; correct the cause and run the command again, it offers the way out
        "#);
    }

    #[test]
    fn success_is_success_of_that_operation() {
        for (status, operation, fine) in [
            (Status::CreateComplete, Operation::Create, true),
            (Status::UpdateComplete, Operation::Update, true),
            (Status::UpdateRollbackComplete, Operation::Update, false),
            (Status::UpdateRollbackComplete, Operation::Rollback, true),
            (Status::DeleteComplete, Operation::Delete, true),
            (Status::RollbackComplete, Operation::Create, false),
            (Status::RollbackFailed, Operation::Any, true),
        ] {
            assert_eq!(
                verdict(&followed(status, Vec::new()), operation).is_ok(),
                fine,
                "{status} {operation:?}"
            );
        }
    }
}
