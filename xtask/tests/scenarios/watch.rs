//! What is watched, written down and told: alarms, logs, budget, trail, dashboard, tags.

use crate::cloud::{Cloud, has, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Metrics without which nobody would notice.
const WATCHED: [&str; 8] = [
    "SchedulerHeartbeatAge",
    "DagProcessorHeartbeatAge",
    "TriggererHeartbeatAge",
    "ImportErrors",
    "CPUUtilization",
    "ReadLatency",
    "WriteLatency",
    "DatabaseConnections",
];

/// The metrics that an alarm looks at: one, or several in an expression.
fn metrics(alarm: &Value) -> Vec<&str> {
    let several = alarm["Metrics"].as_array().into_iter().flatten();
    let several = several.filter_map(|metric| metric["MetricStat"]["Metric"]["MetricName"].as_str());
    several.chain(alarm["MetricName"].as_str()).collect()
}

/// Every alarm tells the one topic, and these metrics have one.
pub fn alarms(cloud: &Cloud, more: &[&str]) {
    let topic = cloud.output("AlertTopicArn");
    for alarm in cloud.all("alarms") {
        assert_eq!(alarm["AlarmActions"], json!([topic]), "{}", alarm["AlarmName"]);
    }
    let watched: BTreeSet<&str> = cloud.all("alarms").into_iter().flat_map(metrics).collect();
    for name in WATCHED.iter().chain(more) {
        assert!(watched.contains(*name), "nobody watches {name}: {watched:?}");
    }
    let beats = |alarm: &Value| metrics(alarm).iter().any(|name| name.ends_with("HeartbeatAge"));
    for alarm in cloud.those("alarms", beats) {
        has(alarm, &json!({ "Namespace": "Ductwork", "TreatMissingData": "breaching" }));
        let of = json!([{ "Name": "Environment", "Value": "ductwork-local" }]);
        assert_eq!(alarm["Dimensions"], of);
    }
    assert!(cloud.get("topics", topic)["KmsMasterKeyId"].is_string());
    assert_eq!(cloud.count("dashboards"), 1);
}

/// A log group for each component, and what an engine has `besides`, of the same age.
pub fn logs(cloud: &Cloud, days: u64, besides: &[&str]) {
    let components = ["api-server", "scheduler", "dag-processor", "triggerer", "worker", "scaler"];
    for component in components.iter().chain(besides) {
        let group = cloud.get("log_groups", &format!("/ductwork/ductwork-local/{component}"));
        has(group, &json!({ "retentionInDays": days }));
    }
}

pub fn people(cloud: &Cloud) {
    let topic = cloud.output("AlertTopicArn");
    let expected = json!({ "TopicArn": topic, "Protocol": "email", "Endpoint": "ops@example.com" });
    has(cloud.only("subscriptions"), &expected);
    let budget = cloud.only("budgets");
    assert_eq!(budget["BudgetLimit"]["Unit"], "USD");
    assert!(text(&budget["BudgetLimit"]["Amount"]).starts_with("100"), "{budget:#}");
    let own = |key: &str, value: &str| json!({ "Tags": { "Key": key, "Values": [value] } });
    let filter = json!({ "And": [own("project", "ductwork"), own("environment", "local")] });
    has(budget, &json!({ "FilterExpression": filter }));
    assert!(!budget["Notifications"].as_array().unwrap().is_empty());
}

/// Nothing is deleted by mistake.
pub fn is_protected(cloud: &Cloud, is: bool) {
    has(cloud.master("local"), &json!({ "EnableTerminationProtection": is }));
    for database in cloud.all("databases") {
        has(database, &json!({ "DeletionProtection": is }));
    }
}

/// Everything that is done is written down, where nobody can change it unseen.
pub fn trail(cloud: &Cloud) {
    let trail = cloud.only("trails");
    has(trail, &json!({ "LogFileValidationEnabled": true }));
    cloud.get("buckets", text(&trail["S3BucketName"]));
}

/// Everything says whose it is.
pub fn tags(cloud: &Cloud, release: &str) {
    let wanted = [
        ("project", Some("ductwork")),
        ("environment", Some("local")),
        ("team", Some("data")),
        ("component", None),
        ("release", Some(release)),
    ];
    let untagged = cloud.untagged(&wanted);
    // The master is no part, so it has no component; the account's own things are all environments'.
    // Buckets of records that are kept when nothing is recorded any more stay as they were.
    let other = [
        "stacks ductwork-local: component",
        "stacks ductwork-bootstrap:",
        "buckets ductwork-000000000000",
        "buckets ductwork-local-audit-",
        "buckets ductwork-local-entry-",
    ];
    let untagged: Vec<&String> =
        untagged.iter().filter(|one| !other.iter().any(|other| one.starts_with(other))).collect();
    assert!(untagged.is_empty(), "{untagged:#?}");
}
