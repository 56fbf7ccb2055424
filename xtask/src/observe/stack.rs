//! Reads a stack: its state, parameters, outputs, tags, and the template it was made from.
//!
//! The deployed template comes from GetTemplate, one call at the same time as DescribeStacks, because
//! it is the only answer that is always true. A release record lies after a deployment that failed
//! behind the stack update, or that somebody made by hand. A stack tag would be handed down to every
//! resource that can be tagged, so that each deployment touched all of them. A parameter, an output or
//! the description would have to be written into the template, and CloudFormation takes none of them
//! for a change by itself.

use crate::doors::aws;
use crate::fail::{Context as _, Fail, Result};
use crate::model::stack::{Protection, STACK_TYPE, StackFacts, Status, Stuck};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Stack, StackResourceSummary, TemplateStage};
use std::collections::BTreeMap;

/// The stack of that name or ARN; none if there is no such stack. Two calls, and one for each
/// stack of the tree where it is stuck.
pub async fn stack(client: &Client, name: &str) -> Result<Option<StackFacts>> {
    let (stack, template) = tokio::join!(describe(client, name), template(client, name));
    let Some(stack) = stack? else { return Ok(None) };
    let mut facts = facts(&stack, template?)?;
    if needs_resources(facts.status) {
        let node = StackNode { arn: facts.arn.clone(), path: String::new(), skip: String::new() };
        facts.stuck = stuck(client, node).await?;
    }
    Ok(Some(facts))
}

/// The same without the template: one call, for those who want outputs and parameters only.
pub async fn describe_only(client: &Client, name: &str) -> Result<Option<StackFacts>> {
    match describe(client, name).await? {
        Some(stack) => facts(&stack, None).map(Some),
        None => Ok(None),
    }
}

/// The stack of an environment, which must be there, without its template.
pub async fn existing(client: &Client, name: &str, environment: &str) -> Result<StackFacts> {
    describe_only(client, name).await?.ok_or_else(|| {
        Fail::usage(format!("there is no stack `{name}`"))
            .hint(format!("deploy first: cargo xtask deploy --env {environment}"))
    })
}

async fn describe(client: &Client, name: &str) -> Result<Option<Stack>> {
    match client.describe_stacks().stack_name(name).send().await {
        Ok(output) => Ok(output.stacks.and_then(|stacks| stacks.into_iter().next())),
        Err(error) if aws::is_absent_stack(&error) => Ok(None),
        Err(error) => Err(aws::failure("CloudFormation", format!("cannot read the stack `{name}`"), error)),
    }
}

/// The template as it was sent, comments and all; none where the stack has none yet.
async fn template(client: &Client, name: &str) -> Result<Option<String>> {
    match client.get_template().stack_name(name).template_stage(TemplateStage::Original).send().await {
        Ok(output) => Ok(output.template_body),
        // An absent stack, or a shell that never had a template.
        Err(error) if aws::code(&error) == "ValidationError" => Ok(None),
        Err(error) => {
            let what = format!("cannot read the template of the stack `{name}`");
            Err(aws::failure("CloudFormation", what, error))
        }
    }
}

fn facts(stack: &Stack, template: Option<String>) -> Result<StackFacts> {
    let name = stack.stack_name().unwrap_or_default().to_owned();
    let status = stack.stack_status().map_or("", |status| status.as_str());
    let status: Status =
        status.parse().failed(|| format!("cannot interpret the state of the stack `{name}`"))?;
    let parameter =
        |p: &aws_sdk_cloudformation::types::Parameter| pair(p.parameter_key(), p.parameter_value());
    let output = |o: &aws_sdk_cloudformation::types::Output| pair(o.output_key(), o.output_value());
    let tag = |t: &aws_sdk_cloudformation::types::Tag| pair(t.key(), t.value());
    let mut tags: BTreeMap<String, String> = stack.tags().iter().filter_map(tag).collect();
    tags.retain(|key, _| !key.starts_with("aws:"));
    Ok(StackFacts {
        arn: stack.stack_id().unwrap_or_default().to_owned(),
        status,
        reason: stack.stack_status_reason().map(str::to_owned),
        template,
        parameters: stack.parameters().iter().filter_map(parameter).collect(),
        outputs: stack.outputs().iter().filter_map(output).collect(),
        tags,
        protection: match stack.enable_termination_protection() {
            Some(true) => Protection::On,
            _ => Protection::Off,
        },
        stuck: Vec::new(),
        name,
    })
}

fn pair(key: Option<&str>, value: Option<&str>) -> Option<(String, String)> {
    Some((key?.to_owned(), value.unwrap_or_default().to_owned()))
}

fn needs_resources(status: Status) -> bool {
    use Status as S;
    matches!(status, S::UpdateRollbackFailed | S::RollbackFailed | S::CreateFailed | S::DeleteFailed)
}

/// A stack of the tree: where it is, and what `ContinueUpdateRollback` puts before its resources.
struct StackNode {
    arn: String,
    path: String,
    skip: String,
}

/// The resources in a failed state, and instead of a nested stack those within it.
async fn stuck(client: &Client, node: StackNode) -> Result<Vec<Stuck>> {
    let mut nodes = vec![node];
    let mut found = Vec::new();
    while let Some(node) = nodes.pop() {
        for resource in resources(client, &node.arn).await? {
            match nested(&node, &resource) {
                Some(nested) => nodes.push(nested),
                None => found.push(stuck_resource(&node, &resource)),
            }
        }
    }
    Ok(found)
}

async fn resources(client: &Client, arn: &str) -> Result<Vec<StackResourceSummary>> {
    let mut pages = client.list_stack_resources().stack_name(arn).into_paginator().items().send();
    let mut failed = Vec::new();
    while let Some(resource) = pages.next().await {
        let resource = resource.map_err(|error| {
            aws::failure("CloudFormation", "cannot list what is stuck in the stack", error)
        })?;
        if status(&resource).ends_with("_FAILED") {
            failed.push(resource);
        }
    }
    Ok(failed)
}

fn status(resource: &StackResourceSummary) -> &str {
    resource.resource_status().map_or("", |status| status.as_str())
}

fn nested(node: &StackNode, resource: &StackResourceSummary) -> Option<StackNode> {
    let arn = resource.physical_resource_id().filter(|id| id.starts_with("arn:"))?;
    let is_stack = resource.resource_type() == Some(STACK_TYPE);
    let name = arn.split('/').nth(1)?;
    is_stack.then(|| StackNode {
        arn: arn.to_owned(),
        path: format!("{}{}/", node.path, resource.logical_resource_id().unwrap_or_default()),
        skip: format!("{name}."),
    })
}

fn stuck_resource(node: &StackNode, resource: &StackResourceSummary) -> Stuck {
    let logical = resource.logical_resource_id().unwrap_or_default();
    Stuck {
        path: format!("{}{logical}", node.path),
        kind: resource.resource_type().unwrap_or_default().to_owned(),
        status: status(resource).to_owned(),
        reason: resource.resource_status_reason().map(str::to_owned),
        skip_name: format!("{}{logical}", node.skip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudformation::operation::describe_stacks::{DescribeStacksError, DescribeStacksOutput};
    use aws_sdk_cloudformation::operation::get_template::{GetTemplateError, GetTemplateOutput};
    use aws_sdk_cloudformation::operation::list_stack_resources::ListStackResourcesOutput;
    use aws_sdk_cloudformation::types::{Output, Parameter, ResourceStatus, StackStatus, Tag};
    use aws_smithy_mocks::{RuleMode, mock, mock_client};
    use aws_smithy_types::error::ErrorMetadata;

    fn validation(text: &str) -> ErrorMetadata {
        ErrorMetadata::builder().code("ValidationError").message(text).build()
    }

    fn described(status: StackStatus) -> DescribeStacksOutput {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let stack = Stack::builder()
            .stack_id("arn:aws:cloudformation:r:1:stack/p-dev/1")
            .stack_name("p-dev")
            .stack_status(status)
            .parameters(Parameter::builder().parameter_key("Size").parameter_value("small").build())
            .outputs(Output::builder().output_key("Url").output_value("http://x").build())
            .tags(tag("project", "p"))
            .tags(tag("aws:cloudformation:stack-name", "p-dev"))
            .enable_termination_protection(true);
        DescribeStacksOutput::builder().stacks(stack.build()).build()
    }

    #[tokio::test]
    async fn an_absent_stack_is_no_error() {
        let describe = mock!(Client::describe_stacks)
            .then_error(|| DescribeStacksError::generic(validation("Stack with id p-dev does not exist")));
        let get = mock!(Client::get_template)
            .then_error(|| GetTemplateError::generic(validation("Stack with id p-dev does not exist")));
        let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe, &get]);
        assert_eq!(stack(&client, "p-dev").await.unwrap(), None);
    }

    #[tokio::test]
    async fn another_error_is_one_and_names_the_stack() {
        let describe = mock!(Client::describe_stacks)
            .then_error(|| DescribeStacksError::generic(validation("1 validation error detected")));
        let get = mock!(Client::get_template).then_output(|| GetTemplateOutput::builder().build());
        let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe, &get]);
        let fail = stack(&client, "p_dev").await.unwrap_err().to_string();
        assert!(fail.contains("`p_dev`") && fail.contains("1 validation error"), "{fail}");
    }

    #[tokio::test]
    async fn a_stack_is_read_with_two_calls() {
        let describe = mock!(Client::describe_stacks).then_output(|| described(StackStatus::UpdateComplete));
        let get = mock!(Client::get_template)
            .match_requests(|request| request.template_stage() == Some(&TemplateStage::Original))
            .then_output(|| GetTemplateOutput::builder().template_body("Resources: {}").build());
        let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe, &get]);
        let facts = stack(&client, "p-dev").await.unwrap().unwrap();
        assert_eq!(facts.status, Status::UpdateComplete);
        assert_eq!(facts.template.as_deref(), Some("Resources: {}"));
        assert_eq!(facts.parameters["Size"], "small");
        assert_eq!(facts.outputs["Url"], "http://x");
        assert_eq!(facts.tags.into_iter().collect::<Vec<_>>(), [("project".to_owned(), "p".to_owned())]);
        assert_eq!(facts.protection, Protection::On);
        assert_eq!((describe.num_calls(), get.num_calls()), (1, 1));
    }

    fn resource(id: &str, kind: &str, physical: &str, status: &str) -> StackResourceSummary {
        StackResourceSummary::builder()
            .logical_resource_id(id)
            .physical_resource_id(physical)
            .resource_type(kind)
            .resource_status(ResourceStatus::from(status))
            .build()
    }

    #[tokio::test]
    async fn what_is_stuck_is_found_in_nested_stacks() {
        const CHILD: &str = "arn:aws:cloudformation:r:1:stack/p-dev-Broker-1X/2";
        let describe =
            mock!(Client::describe_stacks).then_output(|| described(StackStatus::UpdateRollbackFailed));
        let get = mock!(Client::get_template).then_output(|| GetTemplateOutput::builder().build());
        let list = mock!(Client::list_stack_resources).then_compute_output(|request| {
            let resources = if request.stack_name() == Some(CHILD) {
                vec![resource("Queue", "AWS::SQS::Queue", "q", "UPDATE_FAILED")]
            } else {
                vec![
                    resource("Broker", STACK_TYPE, CHILD, "UPDATE_FAILED"),
                    resource("Fine", "AWS::SQS::Queue", "f", "UPDATE_COMPLETE"),
                    resource("Own", "AWS::SQS::Queue", "o", "UPDATE_FAILED"),
                ]
            };
            ListStackResourcesOutput::builder().set_stack_resource_summaries(Some(resources)).build()
        });
        let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe, &get, &list]);
        let facts = stack(&client, "p-dev").await.unwrap().unwrap();
        let names: Vec<(&str, &str)> =
            facts.stuck.iter().map(|stuck| (stuck.path.as_str(), stuck.skip_name.as_str())).collect();
        assert_eq!(names, [("Own", "Own"), ("Broker/Queue", "p-dev-Broker-1X.Queue")]);
    }
}
