//! The alarms of an environment.

use crate::doors::aws::Aws;
use crate::doors::signed::Service;
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::model::watched::Alarm;
use serde_json::{Value, json};

const DESCRIBE: &str = "GraniteServiceVersion20100801.DescribeAlarms";

/// Those of the master stack and everything nested in it that ring now.
pub async fn ringing(aws: &Aws, stack: &str) -> Result<Vec<Alarm>> {
    let mut found = Vec::new();
    let mut input = json!({
        "AlarmNamePrefix": format!("{stack}-"), "StateValue": "ALARM", "MaxRecords": 100,
        "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],
    });
    loop {
        let answer = aws.read(Service::CloudWatch, DESCRIBE, &input).await;
        let page = answer.map_err(|refused| {
            Fail::failed("cannot read the alarms of the environment").cause(refused.to_string())
        })?;
        for kind in ["MetricAlarms", "CompositeAlarms"] {
            let all = page[kind].as_array().into_iter().flatten().filter_map(alarm);
            found.extend(all.filter(|alarm| names::is_of_stack(stack, &alarm.name)));
        }
        let next = &page["NextToken"];
        if next.as_str().is_none_or(str::is_empty) {
            return Ok(found);
        }
        input["NextToken"] = next.clone();
    }
}

fn alarm(row: &Value) -> Option<Alarm> {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let name = row["AlarmName"].as_str()?.to_owned();
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let since = row["StateUpdatedTimestamp"].as_f64().map_or(0, |at| at as i64);
    Some(Alarm { name, description: text("AlarmDescription"), reason: text("StateReason"), since })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Server;
    use crate::doors::pace::GAP;
    use crate::doors::time::Stopwatch;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(start_paused = true)]
    async fn alarms_of_the_stack_are_read_page_by_page_and_those_of_others_left_out() {
        let server = Server::new(|asked| {
            let row = |name: &str| {
                let at = 7.5;
                json!({ "AlarmName": name, "AlarmDescription": "d", "StateReason": "r", "StateUpdatedTimestamp": at })
            };
            let first = json!({
                "MetricAlarms": [row("p-dev-Broker-1A-Old-2B"), row("p-dev-2-Broker-1A-Old-2B")],
                "NextToken": "more",
            });
            let second = json!({ "MetricAlarms": [], "CompositeAlarms": [row("p-dev-Mine-3C")] });
            (200, if asked.body["NextToken"] == "more" { second } else { first })
        });
        let watch = Stopwatch::start();
        let found = ringing(&Aws::signed_at(&server.url).watching(), "p-dev").await.unwrap();
        let names: Vec<&str> = found.iter().map(|alarm| alarm.name.as_str()).collect();
        assert_eq!(names, ["p-dev-Broker-1A-Old-2B", "p-dev-Mine-3C"]);
        let first = &found[0];
        assert_eq!((first.description.as_str(), first.reason.as_str(), first.since), ("d", "r", 7));
        assert!(watch.elapsed() >= GAP, "one call in a second at most");
        let asked = server.asked();
        assert_eq!((asked[0].target.as_str(), &asked[0].body["StateValue"]), (DESCRIBE, &json!("ALARM")));
    }

    /// Twice, and then answers.
    fn throttling() -> Server {
        let asked = AtomicUsize::new(0);
        Server::new(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => (400, json!({ "__type": "ThrottlingException", "message": "slower" })),
            _ => (200, json!({ "MetricAlarms": [{ "AlarmName": "p-dev-Broker" }] })),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_look_is_repeated_and_whoever_watches_does_so_in_its_own_time() {
        let server = throttling();
        let found = ringing(&Aws::signed_at(&server.url), "p-dev").await.unwrap();
        assert_eq!((found[0].name.as_str(), server.asked().len()), ("p-dev-Broker", 3));
        let server = throttling();
        let fail = ringing(&Aws::signed_at(&server.url).watching(), "p-dev").await.unwrap_err();
        assert_eq!(fail.causes(), ["ThrottlingException: slower"]);
        assert_eq!(server.asked().len(), 1);
    }
}
