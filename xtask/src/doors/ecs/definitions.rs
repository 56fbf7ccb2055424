//! Task definitions as such, whether or not a cluster still runs them.

use super::answers::{Defined, DefinitionArns, TaskDefinition};
use super::{target, understood};
use crate::doors::aws::Aws;
use crate::doors::signed::Service as Signed;
use crate::fail::Result;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A task definition by its ARN, or the newest of a family.
pub async fn task_definition(aws: &Aws, name: &str) -> Result<TaskDefinition> {
    described(aws, name).await.map(|answer| answer.task_definition)
}

/// Revisions that tasks can be started of, by ARN, whose family begins with this.
pub async fn active(aws: &Aws, family: &str) -> Result<Vec<String>> {
    let what = || "cannot list the task definitions of the account".to_owned();
    let (mut found, mut next) = (Vec::<String>::new(), None::<String>);
    loop {
        // The service's own `familyPrefix` is the whole name of a family.
        let mut input = json!({ "status": "ACTIVE" });
        if let Some(token) = next {
            input["nextToken"] = token.into();
        }
        let answer = aws.signed.json(Signed::Ecs, &target("ListTaskDefinitions"), &input).await;
        let page: DefinitionArns = understood(answer, what)?;
        let begins = |arn: &String| arn.rsplit('/').next().is_some_and(|name| name.starts_with(family));
        found.extend(page.task_definition_arns.into_iter().filter(begins));
        next = page.next_token;
        if next.is_none() {
            return Ok(found);
        }
    }
}

/// The value of a tag of a task definition.
pub async fn tag(aws: &Aws, arn: &str, key: &str) -> Result<Option<String>> {
    let tags = described(aws, arn).await?.tags;
    Ok(tags.into_iter().find(|tag| tag.key == key).map(|tag| tag.value))
}

/// What of a revision tells nothing of the tasks that are started of it.
const ITS_OWN: [&str; 6] =
    ["taskDefinitionArn", "revision", "registeredAt", "registeredBy", "status", "deregisteredAt"];

/// Whether tasks of two revisions are the same.
pub async fn same(aws: &Aws, one: &str, other: &str) -> Result<bool> {
    if one == other {
        return Ok(true);
    }
    let (one, other) = tokio::try_join!(content(aws, one), content(aws, other))?;
    Ok(one == other)
}

async fn content(aws: &Aws, name: &str) -> Result<Value> {
    let mut content = raw::<Value>(aws, name).await?["taskDefinition"].take();
    if let Some(content) = content.as_object_mut() {
        content.retain(|key, _| !ITS_OWN.contains(&key.as_str()));
    }
    Ok(content)
}

/// No task can be started of it from now on; those that run go on.
pub async fn deregister(aws: &Aws, arn: &str) -> Result<()> {
    let what = || format!("cannot deregister task definition `{arn}`");
    let input = json!({ "taskDefinition": arn });
    let answer = aws.signed.write(Signed::Ecs, &target("DeregisterTaskDefinition"), &input).await;
    understood::<Value>(answer, what).map(|_| ())
}

async fn described(aws: &Aws, name: &str) -> Result<Defined> {
    raw(aws, name).await
}

async fn raw<T: DeserializeOwned>(aws: &Aws, name: &str) -> Result<T> {
    let what = || format!("cannot read task definition `{name}`");
    let input = json!({ "taskDefinition": name, "include": ["TAGS"] });
    understood(aws.read(Signed::Ecs, &target("DescribeTaskDefinition"), &input).await, what)
}
