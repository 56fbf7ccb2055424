//! Whether resources are as their templates say, which only CloudFormation knows, and only after it was told to look:
//! a look takes minutes, and covers one stack and nothing nested in it.

use crate::doors::aws;
use crate::doors::backoff::Backoff;
use crate::doors::time;
use crate::fail::Result;
use crate::model::event::Sink;
use crate::model::names;
use crate::model::status::{Drift, Drifted};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{
    StackDriftDetectionStatus, StackDriftStatus, StackResourceDriftStatus as ResourceStatus, StackStatus,
    StackSummary,
};
use std::time::Duration;

/// What the last looks found: one question about all stacks of the account.
pub async fn last(client: &Client, master: &str) -> Result<Drift> {
    Ok(summary(&stacks(client, master).await?, time::unix()))
}

/// The master stack and those nested in it.
async fn stacks(client: &Client, master: &str) -> Result<Vec<StackSummary>> {
    // Those that drift detection knows (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html>).
    let states = [
        StackStatus::CreateComplete,
        StackStatus::UpdateComplete,
        StackStatus::UpdateRollbackComplete,
        StackStatus::UpdateRollbackFailed,
    ];
    let list = client.list_stacks().set_stack_status_filter(Some(states.to_vec()));
    let mut pages = list.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(stack) = pages.next().await {
        let stack = stack.map_err(|e| aws::failure("CloudFormation", "cannot list the stacks", e))?;
        let name = stack.stack_name().unwrap_or_default();
        if name == master || names::is_of_stack(master, name) {
            found.push(stack);
        }
    }
    Ok(found)
}

fn summary(stacks: &[StackSummary], now: i64) -> Drift {
    let mut drift = Drift { stacks: stacks.len(), ..Drift::default() };
    let mut oldest: Option<i64> = None;
    for stack in stacks {
        let found = stack.drift_information();
        match found.and_then(|found| found.stack_drift_status()) {
            Some(StackDriftStatus::Drifted) => {
                drift.drifted.push(stack.stack_name().unwrap_or_default().to_owned());
            }
            None | Some(StackDriftStatus::NotChecked) => drift.unchecked += 1,
            Some(_) => {}
        }
        let checked = found
            .and_then(|found| found.last_check_timestamp())
            .map(aws_sdk_cloudformation::primitives::DateTime::secs);
        oldest = oldest.into_iter().chain(checked).min();
    }
    drift.age_s = oldest.map(|at| (now - at).max(0));
    drift
}

/// Lets CloudFormation look at every stack, and waits for what it finds. One request a second while it looks.
pub async fn look(client: &Client, master: &str, sink: &Sink) -> Result<Drift> {
    let stacks = stacks(client, master).await?;
    let mut begun = Vec::new();
    for stack in &stacks {
        let name = stack.stack_name().unwrap_or_default();
        let asked = client.detect_stack_drift().stack_name(stack.stack_id().unwrap_or(name)).send().await;
        let asked = asked.map_err(|e| {
            aws::failure("CloudFormation", format!("cannot look for drift of the stack `{name}`"), e)
        })?;
        begun.push((name.to_owned(), asked.stack_drift_detection_id.unwrap_or_default()));
    }
    let all = begun.len();
    for (number, (name, id)) in begun.iter().enumerate() {
        sink.progress(format!("drift: {number} of {all} stacks looked at"));
        ended(client, name, id).await?;
    }
    let mut drift = last(client, master).await?;
    for name in drift.drifted.clone() {
        drift.resources.extend(resources(client, &name).await?);
    }
    Ok(drift)
}

async fn ended(client: &Client, name: &str, id: &str) -> Result<()> {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
    loop {
        let ask = client.describe_stack_drift_detection_status().stack_drift_detection_id(id).send().await;
        let ask = ask.map_err(|e| {
            aws::failure("CloudFormation", format!("cannot read the drift of the stack `{name}`"), e)
        })?;
        // One that could not read every resource has read the others.
        if ask.detection_status() != Some(&StackDriftDetectionStatus::DetectionInProgress) {
            return Ok(());
        }
        backoff.wait().await;
    }
}

async fn resources(client: &Client, stack: &str) -> Result<Vec<Drifted>> {
    let ask = client.describe_stack_resource_drifts().stack_name(stack);
    let ask = ask.stack_resource_drift_status_filters(ResourceStatus::Modified);
    let ask = ask.stack_resource_drift_status_filters(ResourceStatus::Deleted);
    let mut pages = ask.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|e| {
            aws::failure("CloudFormation", format!("cannot read the drift of the stack `{stack}`"), e)
        })?;
        for one in page.stack_resource_drifts() {
            let places = one.property_differences().iter();
            let places = places.filter_map(|difference| difference.property_path().map(str::to_owned));
            found.push(Drifted {
                stack: stack.to_owned(),
                resource: one.logical_resource_id().unwrap_or_default().to_owned(),
                kind: one.resource_type().unwrap_or_default().to_owned(),
                status: one.stack_resource_drift_status().map_or("", |status| status.as_str()).to_owned(),
                properties: places.collect(),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudformation::primitives::DateTime;
    use aws_sdk_cloudformation::types::StackDriftInformationSummary;

    #[test]
    fn the_summary_is_that_of_all_stacks_and_as_old_as_the_oldest_look() {
        let stack = |name: &str, status: StackDriftStatus, at: Option<i64>| {
            let found = StackDriftInformationSummary::builder().stack_drift_status(status);
            let found = found.set_last_check_timestamp(at.map(DateTime::from_secs)).build();
            StackSummary::builder().stack_name(name).drift_information(found).build()
        };
        let found = summary(
            &[
                stack("p-dev", StackDriftStatus::InSync, Some(900)),
                stack("p-dev-Broker-1A", StackDriftStatus::Drifted, Some(400)),
                stack("p-dev-Entry-2B", StackDriftStatus::NotChecked, None),
            ],
            1000,
        );
        let drifted = vec!["p-dev-Broker-1A".to_owned()];
        let expected = Drift { stacks: 3, unchecked: 1, drifted, age_s: Some(600), ..Drift::default() };
        assert_eq!(found, expected);
        assert_eq!(summary(&[], 1000), Drift::default());
    }
}
