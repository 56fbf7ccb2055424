//! The deployments of an environment.

use super::Output;
use super::table::{seconds, table};
use crate::model::receipt::Losses;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    run_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<String>,
    #[serde(flatten)]
    losses: Losses,
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
            run_url: one.run_url,
            saved: one.saved,
            losses: one.losses,
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
        let mut text = table(&["started", "release", "outcome", "took", "by"], &rows);
        // Too long for a column, and what people look for is the last one.
        if let Some(url) = self.0.first().and_then(|entry| entry.run_url.as_ref()) {
            text = format!("{}\n\nlast run: {url}\n", text.trim_end());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_last_run_is_below_the_table() {
        let entry = |run_url: Option<&str>| Entry {
            deployment: "01".to_owned(),
            release: "0a1b".to_owned(),
            outcome: Outcome::Deployed,
            started: "2026-11-28T00:00:00.000Z".to_owned(),
            seconds: 1.0,
            by: "ada".to_owned(),
            run_url: run_url.map(str::to_owned),
            saved: None,
            losses: Losses::default(),
        };
        let text =
            History(vec![entry(Some("https://ci.example/2")), entry(Some("https://ci.example/1"))]).text();
        assert!(text.ends_with("ada\n\nlast run: https://ci.example/2\n"), "{text}");
        assert!(!History(vec![entry(None)]).text().contains("last run"));
    }

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
            run_url: None,
            saved: None,
            losses: Losses::default(),
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
