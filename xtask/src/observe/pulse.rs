//! The load of each worker set, as the scaler publishes it to CloudWatch.

use crate::doors::aws::Aws;
use crate::doors::signed::{Answer, Service};
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::model::status::Load;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const GET: &str = "GraniteServiceVersion20100801.GetMetricData";
/// Of the scaler (`scaling/arithmetic.py`).
const NAMESPACE: &str = "Ductwork";
const METRICS: [&str; 4] = ["TasksQueued", "TasksRunning", "HostsInService", "HostsWanted"];
/// The scaler publishes every 15 seconds; what is older than this says nothing of now.
const RECENT: i64 = 180;
/// Most questions in one request.
const MOST: usize = 500;

/// The load of the worker sets of a stack.
pub async fn loads(aws: &Aws, stack: &str, outputs: &BTreeMap<String, String>) -> Result<Vec<Load>> {
    let sets = names::worker_queues(outputs).into_iter();
    let mut loads: Vec<Load> = sets.map(|(set, queue)| Load { set, queue, ..Load::default() }).collect();
    let now = time::unix();
    for some in loads.chunks_mut(MOST / METRICS.len()) {
        let queries = some.iter().enumerate().flat_map(|(number, load)| {
            METRICS.iter().enumerate().map(move |(metric, name)| {
                let dimension = |name: &str, value: &str| json!({ "Name": name, "Value": value });
                json!({
                    "Id": format!("m{number}_{metric}"),
                    "MetricStat": {
                        "Metric": {
                            "Namespace": NAMESPACE, "MetricName": name,
                            "Dimensions": [dimension("Environment", stack), dimension("WorkerSet", &load.set)],
                        },
                        "Period": 60, "Stat": "Maximum",
                    },
                })
            })
        });
        let input = json!({
            "MetricDataQueries": queries.collect::<Vec<_>>(),
            "StartTime": now - RECENT, "EndTime": now + 60, "ScanBy": "TimestampDescending",
        });
        let answer: Answer<Value> = aws.signed.json(Service::CloudWatch, GET, &input).await;
        let answer = answer.map_err(|refused| {
            Fail::failed("cannot read the load of the workers").cause(refused.to_string())
        })?;
        for result in answer["MetricDataResults"].as_array().into_iter().flatten() {
            set(some, result);
        }
    }
    Ok(loads)
}

fn set(loads: &mut [Load], result: &Value) {
    let id = result["Id"].as_str().and_then(|id| id.strip_prefix('m')?.split_once('_'));
    let Some((number, metric)) = id else { return };
    let (Ok(number), Ok(metric)) = (number.parse::<usize>(), metric.parse::<usize>()) else { return };
    let Some(load) = loads.get_mut(number) else { return };
    let value = result["Values"][0].as_f64();
    match metric {
        0 => load.queued = value,
        1 => load.running = value,
        2 => load.in_service = value,
        _ => load.wanted = value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Server;
    use crate::model::names::outputs;

    #[tokio::test]
    async fn loads_are_those_of_the_sets_and_absent_where_nothing_was_published() {
        let server = Server::new(|_| {
            let result = |id: &str, values: Value| json!({ "Id": id, "Values": values });
            let results = [
                result("m0_0", json!([12.0, 3.0])),
                result("m0_1", json!([9.0])),
                result("m1_3", json!([])),
                result("m7_0", json!([1.0])),
            ];
            (200, json!({ "MetricDataResults": results }))
        });
        let sets = r#"{"big": {"prefix": "WorkerBig", "queue": "large"}, "default": {"prefix": "Worker"}}"#;
        let outputs = BTreeMap::from([(outputs::WORKER_SETS.to_owned(), sets.to_owned())]);
        let loads = loads(&Aws::signed_at(&server.url), "p-dev", &outputs).await.unwrap();
        let seen: Vec<_> =
            loads.iter().map(|load| (load.queue.as_str(), load.queued, load.running)).collect();
        assert_eq!(seen, [("large", Some(12.0), Some(9.0)), ("default", None, None)]);
        let asked = server.asked();
        assert_eq!(
            (asked.len(), asked[0].target.as_str()),
            (1, "GraniteServiceVersion20100801.GetMetricData")
        );
        let first = &asked[0].body["MetricDataQueries"][0]["MetricStat"]["Metric"];
        assert_eq!(first["Dimensions"][0], json!({ "Name": "Environment", "Value": "p-dev" }));
        assert_eq!(first["Dimensions"][1]["Value"], "big");
    }
}
