//! Why the service made no change set.

use super::certainty::has_token;
use crate::fail::Fail;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{EventFilter, OperationEvent};

/// Whether it was refused for what is inside a nested stack, where the service does not know every value.
pub(super) fn is_of_nested(reason: &str) -> bool {
    nested_change_set(reason).is_some() || has_token(reason)
}

/// Why the service made no change set: its own reason, and those of nested change sets first.
pub(super) async fn rejection(client: &Client, arn: &str, reason: &str, what: String) -> Fail {
    let mut reasons = vec![reason.to_owned()];
    while let Some(nested) = reasons.last().and_then(|reason| nested_change_set(reason)) {
        let described = client.describe_change_set().change_set_name(nested).send().await;
        let inner = described.ok().and_then(|described| described.status_reason);
        match inner.filter(|inner| !reasons.contains(inner)) {
            Some(inner) => reasons.push(inner),
            None => break,
        }
    }
    reasons.reverse();
    // The service checks names and properties before it makes a change set, and tells apart from it.
    if reason.contains("alidation") {
        reasons.splice(0..0, findings(client, arn).await);
    }
    reasons.into_iter().fold(Fail::failed(what), Fail::cause)
}

/// `Nested change set arn:… was not successfully created: Currently in FAILED.`
fn nested_change_set(reason: &str) -> Option<&str> {
    reason.split_whitespace().find(|word| word.starts_with("arn:") && word.contains(":changeSet/"))
}

/// What the checks before the change set found; nothing where that cannot be read.
async fn findings(client: &Client, arn: &str) -> Vec<String> {
    let failed = EventFilter::builder().failed_events(true).build();
    let Ok(page) = client.describe_events().change_set_name(arn).filters(failed).send().await else {
        return Vec::new();
    };
    let tell = |event: &OperationEvent| {
        let reason = event.validation_status_reason().or(event.hook_status_reason())?;
        let place = event.validation_path().or(event.logical_resource_id()).unwrap_or("template");
        Some(format!("{place}: {reason}"))
    };
    page.operation_events().iter().filter_map(tell).collect()
}
