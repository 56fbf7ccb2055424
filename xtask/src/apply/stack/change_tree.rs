//! What the service says a change set would do, as the tree of `model::change`.

use super::certainty::Level;
use crate::doors::aws;
use crate::fail::Result;
use crate::model::change::{Change, ChangeAction, Fate};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types as sdk;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use std::pin::Pin;

/// The changes of a change set, those of nested change sets inside. `first` is the answer to the
/// DescribeChangeSet that found it complete.
pub(super) async fn tree(client: &Client, arn: &str, first: DescribeChangeSetOutput) -> Result<Vec<Change>> {
    level(client, arn, Some(first), String::new()).await
}

/// How many nested change sets are read at the same time.
const READS: usize = 8;

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Vec<Change>>> + Send + 'a>>;

fn level<'a>(
    client: &'a Client,
    arn: &'a str,
    first: Option<DescribeChangeSetOutput>,
    path: String,
) -> Reading<'a> {
    Box::pin(async move {
        let read = read(client, arn, first).await?;
        let mut changes = Vec::new();
        for resource in read.resources() {
            changes.push(complete(client, resource, convert(resource, &read, &path)));
        }
        stream::iter(changes).buffered(READS).try_collect().await
    })
}

/// With what is inside. Without nested change sets the row of the nested stack stands alone.
async fn complete(client: &Client, resource: &sdk::ResourceChange, change: Change) -> Result<Change> {
    let Some(nested) = resource.change_set_id() else { return Ok(change) };
    let nested = level(client, nested, None, format!("{}/", change.path)).await?;
    Ok(Change { nested, ..change })
}

async fn read(client: &Client, arn: &str, first: Option<DescribeChangeSetOutput>) -> Result<Level> {
    let mut page = match first {
        Some(page) => page,
        None => describe(client, arn, None).await?,
    };
    let mut parameters = Vec::new();
    let mut found = Vec::new();
    loop {
        parameters.extend(page.parameters.take().unwrap_or_default());
        let changes = page.changes.take().unwrap_or_default();
        found.extend(changes.into_iter().filter_map(|change| change.resource_change));
        let Some(token) = page.next_token.take() else { return Ok(Level::new(found, &parameters)) };
        page = describe(client, arn, Some(token)).await?;
    }
}

async fn describe(client: &Client, arn: &str, token: Option<String>) -> Result<DescribeChangeSetOutput> {
    let call = client.describe_change_set().change_set_name(arn).set_next_token(token);
    let output = call.send().await;
    output.map_err(|error| aws::failure("CloudFormation", "cannot read what would change", error))
}

fn convert(resource: &sdk::ResourceChange, level: &Level, path: &str) -> Change {
    Change {
        path: format!("{path}{}", resource.logical_resource_id().unwrap_or_default()),
        kind: resource.resource_type().unwrap_or_default().to_owned(),
        action: action(resource.action()),
        replacement: level.replacement(resource),
        fate: fate(resource.policy_action()),
        reasons: reasons(resource.details()),
        evidence: level.evidence(resource),
        nested: Vec::new(),
    }
}

fn action(action: Option<&sdk::ChangeAction>) -> ChangeAction {
    match action {
        Some(sdk::ChangeAction::Add) => ChangeAction::Add,
        Some(sdk::ChangeAction::Modify | sdk::ChangeAction::SyncWithActual) => ChangeAction::Modify,
        Some(sdk::ChangeAction::Remove) => ChangeAction::Remove,
        Some(sdk::ChangeAction::Import) => ChangeAction::Import,
        _ => ChangeAction::Dynamic,
    }
}

fn fate(policy: Option<&sdk::PolicyAction>) -> Fate {
    use sdk::PolicyAction as P;
    match policy {
        Some(P::Retain | P::ReplaceAndRetain) => Fate::Retained,
        Some(P::Snapshot | P::ReplaceAndSnapshot) => Fate::Snapshot,
        _ => Fate::Deleted,
    }
}

/// One reason for each property, with what brings its change about where that is known. The service
/// names a property twice when a parameter changes it: once as such, once for the parameter.
fn reasons(details: &[sdk::ResourceChangeDetail]) -> Vec<String> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for detail in details {
        let Some(target) = detail.target() else { continue };
        let attribute = target.attribute().map(sdk::ResourceAttribute::as_str);
        let Some(name) = target.name().or(attribute) else { continue };
        let cause = detail.causing_entity().map(|cause| match detail.change_source() {
            Some(sdk::ChangeSource::ParameterReference) => format!("parameter {cause}"),
            _ => cause.to_owned(),
        });
        match found.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = known.take().or(cause),
            None => found.push((name.to_owned(), cause)),
        }
    }
    let tell = |(name, cause): (String, Option<String>)| match cause {
        Some(cause) => format!("{name} ({cause})"),
        None => name,
    };
    found.into_iter().map(tell).collect()
}
