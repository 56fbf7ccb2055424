//! The deployments of an environment.

use super::Output;
use super::table::{seconds, table};
use super::wrap;
use crate::model::loss::Losses;
use crate::model::release::Deployment;
use crate::model::standing::{Cut, Standing};
use serde::Serialize;
use std::fmt::Write as _;

/// Deployments, newest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct History(Vec<Entry>);

#[derive(Debug, Serialize)]
struct Entry {
    deployment: String,
    release: String,
    outcome: &'static str,
    started: String,
    seconds: f64,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<String>,
    /// How far an interrupted one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupted: Option<Cut>,
    #[serde(skip)]
    word: &'static str,
    /// Where the artifacts were promoted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(flatten)]
    losses: Losses,
}

impl History {
    #[must_use]
    pub fn new(deployments: Vec<(Deployment, Standing)>) -> Self {
        let entry = |(one, standing): (Deployment, Standing)| Entry {
            deployment: one.deployment,
            release: one.release,
            outcome: standing.id(),
            started: one.started,
            seconds: one.seconds,
            by: one.by,
            run_url: one.run_url,
            saved: one.saved,
            interrupted: standing.cut().cloned(),
            word: standing.word(),
            from: one.from,
            losses: one.losses,
        };
        Self(deployments.into_iter().map(entry).collect())
    }
}

/// As people read it in a column.
pub(super) fn moment(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or_default().replace('T', " ")
}

impl Output for History {
    fn text(&self) -> String {
        if self.0.is_empty() {
            return "no deployment yet\n".to_owned();
        }
        let row = |entry: &Entry| {
            let from = entry.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            let (outcome, took) = (format!("{}{from}", entry.word), seconds(entry.seconds));
            vec![moment(&entry.started), entry.release.clone(), outcome, took, entry.by.clone()]
        };
        let rows: Vec<Vec<String>> = self.0.iter().map(row).collect();
        let mut text = table(&["started", "release", "outcome", "took", "by"], &rows);
        for (entry, cut) in self.0.iter().filter_map(|entry| Some((entry, entry.interrupted.as_ref()?))) {
            let told = format!("{} {}: {}", moment(&entry.started), entry.release, cut.text());
            let _ = write!(text, "\n{}\n", wrap::lines(&told, wrap::WIDTH - 2).join("\n  "));
        }
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
    use crate::model::release::{Outcome, StepRecord};

    fn deployment(outcome: Outcome) -> Deployment {
        Deployment {
            deployment: "01".to_owned(),
            release: "0123456789ab".to_owned(),
            outcome,
            started: "2026-11-20T10:00:00.000Z".to_owned(),
            seconds: 4.2,
            by: "me".to_owned(),
            ..Deployment::default()
        }
    }

    fn told(one: Deployment) -> (Deployment, Standing) {
        let standing = Standing::of(&one, false, Some(190.0));
        (one, standing)
    }

    #[test]
    fn the_page_of_the_last_run_is_below_the_table() {
        let entry = |run_url: Option<&str>| {
            told(Deployment { run_url: run_url.map(str::to_owned), ..deployment(Outcome::Deployed) })
        };
        let two = vec![entry(Some("https://ci.example/2")), entry(Some("https://ci.example/1"))];
        let text = History::new(two).text();
        assert!(text.ends_with("me\n\nlast run: https://ci.example/2\n"), "{text}");
        assert!(!History::new(vec![entry(None)]).text().contains("last run"));
    }

    #[test]
    fn a_promoted_release_says_where_it_comes_from() {
        let from = Some("staging@ba9876543210".to_owned());
        let history = History::new(vec![told(Deployment { from, ..deployment(Outcome::Deployed) })]);
        assert!(history.text().contains("  deployed from staging@ba9876543210  "), "{}", history.text());
        assert_eq!(serde_json::to_value(&history).unwrap()[0]["from"], "staging@ba9876543210");
    }

    #[test]
    fn a_row_for_each_deployment_and_the_fields_of_the_contract() {
        let history = History::new(vec![told(deployment(Outcome::RolledBack))]);
        insta::assert_snapshot!(history.text(), @r"
        started              release       outcome      took   by
        2026-11-20 10:00:00  0123456789ab  rolled back  4.2 s  me
        ");
        let value = serde_json::to_value(&history).unwrap();
        let mut keys: Vec<&String> = value[0].as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["by", "deployment", "outcome", "release", "seconds", "started"]);
        assert_eq!(value[0]["outcome"], "rolled_back");
        assert_eq!(History::new(Vec::new()).text(), "no deployment yet\n");
    }

    #[test]
    fn a_killed_one_tells_how_far_it_came() {
        let step = |name: &str, outcome: &str| StepRecord {
            name: name.to_owned(),
            outcome: outcome.to_owned(),
            ..StepRecord::default()
        };
        let steps = vec![step("setup", "done"), step("bundle", "done"), step("stack", "running")];
        let killed = Deployment { steps, ..deployment(Outcome::Running) };
        let history = History::new(vec![told(killed), told(deployment(Outcome::Deployed))]);
        insta::assert_snapshot!(history.text(), @r"
        started              release       outcome      took   by
        2026-11-20 10:00:00  0123456789ab  interrupted  4.2 s  me
        2026-11-20 10:00:00  0123456789ab  deployed     4.2 s  me

        2026-11-20 10:00:00 0123456789ab: interrupted during `stack`, 3 min ago; done
          before that: setup, bundle
        ");
        let value = serde_json::to_value(&history).unwrap();
        assert_eq!(
            (&value[0]["outcome"], &value[0]["interrupted"]["during"]),
            (&"interrupted".into(), &"stack".into())
        );
    }
}
