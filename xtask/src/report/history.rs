//! The deployments of an environment.

use super::Output;
use super::table::{seconds, table};
use crate::model::release::{Deployment, Outcome};
use serde::Serialize;

/// Deployments, newest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct History(Vec<Entry>);

#[derive(Debug, Serialize)]
struct Entry {
    deployment: String,
    release: String,
    outcome: Outcome,
    started: String,
    seconds: f64,
    by: String,
}

impl History {
    #[must_use]
    pub fn new(deployments: Vec<Deployment>) -> Self {
        let entry = |one: Deployment| Entry {
            deployment: one.deployment,
            release: one.release,
            outcome: one.outcome,
            started: one.started,
            seconds: one.seconds,
            by: one.by,
        };
        Self(deployments.into_iter().map(entry).collect())
    }
}

impl Output for History {
    fn text(&self) -> String {
        if self.0.is_empty() {
            return "no deployment yet\n".to_owned();
        }
        let row = |entry: &Entry| {
            let started = entry.started.get(..19).unwrap_or_default().replace('T', " ");
            let outcome = entry.outcome.word().to_owned();
            vec![started, entry.release.clone(), outcome, seconds(entry.seconds), entry.by.clone()]
        };
        let rows: Vec<Vec<String>> = self.0.iter().map(row).collect();
        table(&["started", "release", "outcome", "took", "by"], &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_deployment_and_the_fields_of_the_contract() {
        let deployment = Deployment {
            deployment: "01".to_owned(),
            release: "0123456789ab".to_owned(),
            previous: None,
            outcome: Outcome::RolledBack,
            started: "2026-11-20T10:00:00.000Z".to_owned(),
            seconds: 4.2,
            by: "me".to_owned(),
            steps: Vec::new(),
        };
        let history = History::new(vec![deployment]);
        insta::assert_snapshot!(history.text(), @r"
        started              release       outcome      took   by
        2026-11-20 10:00:00  0123456789ab  rolled back  4.2 s  me
        ");
        let value = serde_json::to_value(&history).unwrap();
        let mut keys: Vec<&String> = value[0].as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["by", "deployment", "outcome", "release", "seconds", "started"]);
        assert_eq!(History::new(Vec::new()).text(), "no deployment yet\n");
    }
}
