//! Streams of CloudWatch Logs: from their beginning while they grow, or their last lines.

use super::aws::Aws;
use super::ecs::ContainerDefinition;
use super::signed::{Answer, Service};
use serde_json::{Value, json};

const READ: &str = "Logs_20140328.GetLogEvents";

/// A stream, and how far it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    group: String,
    name: String,
    next: Option<String>,
}

impl Stream {
    /// Where the container of a task writes to; none if that is not CloudWatch.
    #[must_use]
    pub fn of(container: &ContainerDefinition, task: &str) -> Option<Self> {
        let log = container.log_configuration.as_ref().filter(|log| log.log_driver == "awslogs")?;
        let option = |name: &str| log.options.get(name);
        let (group, prefix) = (option("awslogs-group")?, option("awslogs-stream-prefix")?);
        let name = format!("{prefix}/{}/{task}", container.name);
        Some(Self { group: group.clone(), name, next: None })
    }

    /// The lines that have come since the last call; none while there is no such stream.
    pub async fn more(&mut self, aws: &Aws) -> Answer<Vec<String>> {
        let mut input =
            json!({ "logGroupName": self.group, "logStreamName": self.name, "startFromHead": true });
        if let Some(token) = &self.next {
            input["nextToken"] = token.as_str().into();
        }
        let answer = self.read(aws, &input).await?;
        if let Some(token) = answer["nextForwardToken"].as_str() {
            self.next = Some(token.to_owned());
        }
        Ok(lines(&answer))
    }

    /// The last lines, at most so many.
    pub async fn last(&self, aws: &Aws, most: usize) -> Answer<Vec<String>> {
        let input = json!({ "logGroupName": self.group, "logStreamName": self.name, "limit": most });
        self.read(aws, &input).await.map(|answer| lines(&answer))
    }

    async fn read(&self, aws: &Aws, input: &Value) -> Answer<Value> {
        match aws.signed.json(Service::Logs, READ, input).await {
            Err(refused) if refused.code() == "ResourceNotFoundException" => Ok(Value::Null),
            answer => answer,
        }
    }
}

fn lines(answer: &Value) -> Vec<String> {
    let events = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |event: &Value| event["message"].as_str().map(|text| text.trim_end().to_owned());
    events.iter().filter_map(text).collect()
}
