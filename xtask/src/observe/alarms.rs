//! The alarms of an environment.

use crate::doors::aws::Aws;
use crate::doors::signed::Service;
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::model::watched::Alarm;
use serde_json::{Value, json};
use std::time::Duration;

const DESCRIBE: &str = "GraniteServiceVersion20100801.DescribeAlarms";

/// Those of the master stack and everything nested in it that ring now. Each page is asked for once, a second after
/// the one before: whoever watches asks again anyway.
pub async fn ringing(aws: &Aws, stack: &str) -> Result<Vec<Alarm>> {
    let mut found = Vec::new();
    let mut input = json!({
        "AlarmNamePrefix": format!("{stack}-"), "StateValue": "ALARM", "MaxRecords": 100,
        "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],
    });
    loop {
        let answer = aws.signed.once(Service::CloudWatch, DESCRIBE, &input).await;
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
        time::sleep(Duration::from_secs(1)).await;
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
    use crate::doors::time::Stopwatch;

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
        let found = ringing(&Aws::signed_at(&server.url), "p-dev").await.unwrap();
        let names: Vec<&str> = found.iter().map(|alarm| alarm.name.as_str()).collect();
        assert_eq!(names, ["p-dev-Broker-1A-Old-2B", "p-dev-Mine-3C"]);
        let first = &found[0];
        assert_eq!((first.description.as_str(), first.reason.as_str(), first.since), ("d", "r", 7));
        assert!(watch.elapsed() >= Duration::from_secs(1), "one call in a second at most");
        let asked = server.asked();
        assert_eq!((asked[0].target.as_str(), &asked[0].body["StateValue"]), (DESCRIBE, &json!("ALARM")));
    }

    #[tokio::test]
    async fn a_refusal_is_asked_about_once() {
        let server = Server::new(|_| (400, json!({ "__type": "ThrottlingException", "message": "slower" })));
        let fail = ringing(&Aws::signed_at(&server.url), "p-dev").await.unwrap_err();
        assert_eq!(fail.causes(), ["ThrottlingException: slower"]);
        assert_eq!(server.asked().len(), 1);
    }
}
