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
    /// Where the container of a task writes to; none if that is not CloudWatch. By way of a log router, a stream is
    /// named as its output `cloudwatch_logs` does: the prefix, and FireLens's tag of the container.
    #[must_use]
    pub fn of(container: &ContainerDefinition, task: &str) -> Option<Self> {
        let log = container.log_configuration.as_ref()?;
        let option = |name: &str| log.options.get(name);
        let container = &container.name;
        let (group, name) = match log.log_driver.as_str() {
            "awslogs" => {
                (option("awslogs-group")?, format!("{}/{container}/{task}", option("awslogs-stream-prefix")?))
            }
            "awsfirelens" if option("Name").is_some_and(|name| name == "cloudwatch_logs") => (
                option("log_group_name")?,
                format!("{}{container}-firelens-{task}", option("log_stream_prefix")?),
            ),
            _ => return None,
        };
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
        match aws.read(Service::Logs, READ, input).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(log: &Value) -> Option<(String, String)> {
        let definition = json!({ "name": "scheduler", "image": "i", "logConfiguration": log });
        let stream = Stream::of(&serde_json::from_value(definition).unwrap(), "1a");
        stream.map(|stream| (stream.group, stream.name))
    }

    #[test]
    fn a_stream_is_named_by_the_driver_or_by_the_log_router() {
        let named = |group: &str, name: &str| Some((group.to_owned(), name.to_owned()));
        let options = json!({ "awslogs-group": "g", "awslogs-stream-prefix": "task" });
        let direct = json!({ "logDriver": "awslogs", "options": options });
        assert_eq!(stream(&direct), named("g", "task/scheduler/1a"));
        let routed = |output: &str| {
            let options = json!({ "Name": output, "log_group_name": "g", "log_stream_prefix": "task/" });
            stream(&json!({ "logDriver": "awsfirelens", "options": options }))
        };
        assert_eq!(routed("cloudwatch_logs"), named("g", "task/scheduler-firelens-1a"));
        assert_eq!(routed("kinesis_firehose"), None);
        assert_eq!(stream(&json!({ "logDriver": "json-file", "options": {} })), None);
    }
}
