//! The result of a deployment as text or as the JSON of the contract.

use super::table::seconds;
use super::{Output, dags, error, markdown};
use crate::fail::Fail;
use crate::model::dags::DagDiff;
use crate::model::release::{Deployment, Outcome};
use crate::model::text::count;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How a deployment ended, beside its record.
#[derive(Clone, Debug)]
pub struct Closing {
    pub environment: String,
    pub deployment: Deployment,
    pub aws_calls: usize,
    pub uploads: usize,
    /// What became of DAGs; for a failed one, what would have.
    pub dags: DagDiff,
    /// Tasks of before that end only when their work does.
    pub draining: usize,
    pub url: Option<String>,
    /// Why Airflow's address leads nowhere from here, so that the release was verified through S3.
    pub unreachable: Option<String>,
    /// The error of a failed one, as its JSON document.
    pub error: Option<Value>,
}

impl Closing {
    /// With the error of a failed deployment, if there is one.
    #[must_use]
    pub fn with(self, fail: Option<&Fail>) -> Self {
        Self { error: fail.map(|fail| error::json(fail)["error"].take()), ..self }
    }
}

impl Serialize for Closing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let deployment = &self.deployment;
        let mut value = json!({
            "environment": self.environment,
            "release": deployment.release,
            "previous": deployment.previous,
            "outcome": deployment.outcome,
            "steps": deployment.steps,
            "seconds": deployment.seconds,
            "aws_calls": self.aws_calls,
            "uploads": self.uploads,
            "dags": self.dags,
            "draining": self.draining,
            "cut_short": deployment.losses.cut_short,
            "unknown_drains": deployment.losses.unknown_drains,
            "saved": deployment.saved,
            "from": deployment.from,
            "url": self.url,
            "unreachable": self.unreachable,
        });
        if let Some(error) = &self.error {
            value["error"] = error.clone();
        }
        value.serialize(serializer)
    }
}

impl Output for Closing {
    /// Of a failed one only what it cut short: its error says the rest.
    fn text(&self) -> String {
        if self.error.is_some() { losses(self) } else { text(self) }
    }

    fn summary(&self) -> Option<String> {
        Some(summary(self))
    }
}

/// Outcome and steps; the error of a failed one is told by itself.
fn summary(closing: &Closing) -> String {
    let Deployment { release, previous, outcome, steps, seconds: took, .. } = &closing.deployment;
    let from = previous.as_deref().map(|id| format!(", before `{id}`")).unwrap_or_default();
    let mut out = format!(
        "### `{}`: {}\n\nRelease `{release}`{from}, {}.\n\n| step | outcome | time |\n|---|---|---|\n",
        closing.environment,
        outcome.word(),
        seconds(*took),
    );
    for step in steps {
        let _ = writeln!(out, "| {} | {} | {} |", step.name, step.outcome, seconds(step.seconds));
    }
    let (rows, notes) = dags::markdown(&closing.dags, &closing.environment);
    if !rows.is_empty() {
        out.push('\n');
        markdown::rows(&mut out, &rows);
        out.push_str(&notes);
    }
    let lost = closing.deployment.losses.lines();
    if !lost.is_empty() {
        let _ = writeln!(out, "\n{}", markdown::block(&lost.join("\n")));
    }
    if let Some(url) = &closing.url {
        let _ = writeln!(out, "\nAirflow: {url}");
    }
    if let Some(why) = &closing.unreachable {
        let _ = writeln!(out, "\nAirflow cannot be reached from here ({why}): verified through S3");
    }
    out
}

fn losses(closing: &Closing) -> String {
    closing.deployment.losses.lines().iter().fold(String::new(), |out, line| out + line + "\n")
}

fn text(closing: &Closing) -> String {
    let deployment = &closing.deployment;
    let mut out = String::new();
    let what = match deployment.outcome {
        Outcome::Unchanged => format!("nothing changed, `{}` runs release", closing.environment),
        Outcome::Deployed => match &deployment.from {
            Some(from) => format!("`{}` runs the artifacts of {from} as release", closing.environment),
            None => format!("`{}` runs release", closing.environment),
        },
        Outcome::RolledBack | Outcome::Failed | Outcome::Running => {
            format!("`{}`: {} of release", closing.environment, deployment.outcome.word())
        }
    };
    let _ = writeln!(
        out,
        "{what} {} ({}, {}, {})",
        deployment.release,
        seconds(deployment.seconds),
        count(closing.uploads, "upload"),
        count(closing.aws_calls, "AWS call"),
    );
    if closing.draining > 0 {
        let _ = writeln!(
            out,
            "released, {} draining: {} until their work is done: cargo xtask status --env {}",
            closing.draining,
            if closing.draining == 1 { "it goes on" } else { "they go on" },
            closing.environment
        );
    }
    out.push_str(&losses(closing));
    if let Some(url) = &closing.url
        && matches!(deployment.outcome, Outcome::Deployed | Outcome::Unchanged)
    {
        let _ = writeln!(out, "\nAirflow      {url}");
        let _ = writeln!(
            out,
            "log in as    admin, password: cargo xtask secret admin --env {}",
            closing.environment
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::loss::Losses;

    fn closing(outcome: Outcome) -> Closing {
        let deployment = Deployment {
            deployment: "01".to_owned(),
            release: "0123456789ab".to_owned(),
            previous: None,
            outcome,
            started: "2026-11-20T10:00:00Z".to_owned(),
            seconds: 0.4,
            by: "me".to_owned(),
            ..Deployment::default()
        };
        let url = Some("http://127.0.0.1:8080".to_owned());
        Closing {
            environment: "local".to_owned(),
            deployment,
            aws_calls: 5,
            uploads: 0,
            dags: DagDiff::default(),
            draining: 0,
            url,
            unreachable: None,
            error: None,
        }
    }

    #[test]
    fn the_summary_says_how_to_log_in() {
        insta::assert_snapshot!(text(&closing(Outcome::Unchanged)), @r"
        nothing changed, `local` runs release 0123456789ab (400 ms, 0 uploads, 5 AWS calls)

        Airflow      http://127.0.0.1:8080
        log in as    admin, password: cargo xtask secret admin --env local
        ");
    }

    #[test]
    fn that_a_release_was_verified_through_s3_is_told() {
        let closing = Closing { unreachable: Some("no name".to_owned()), ..closing(Outcome::Deployed) };
        let line = "\nAirflow cannot be reached from here (no name): verified through S3\n";
        assert!(summary(&closing).ends_with(line), "{}", summary(&closing));
        assert_eq!(serde_json::to_value(closing).unwrap()["unreachable"], "no name");
    }

    #[test]
    fn workers_that_go_on_are_told() {
        let closing = Closing { draining: 2, ..closing(Outcome::Deployed) };
        assert!(text(&closing).contains(
            "\nreleased, 2 draining: they go on until their work is done: cargo xtask status --env local\n"
        ));
        assert_eq!(serde_json::to_value(closing).unwrap()["draining"], 2);
    }

    #[test]
    fn what_was_cut_short_is_told_by_name_on_success_and_failure_alike() {
        let report = r#"{"host": "ip-1", "at": "2026-11-29T11:05:00Z", "why": "rollout", "tasks": [
            {"dag_id": "etl", "run_id": "r_1", "task_id": "load", "map_index": -1, "try_number": 1}]}"#;
        let mut closing = closing(Outcome::Deployed);
        closing.deployment.losses = Losses::of([serde_json::from_str(report).unwrap()]);
        let line = "cut short: etl r_1 load (try 1) on ip-1, rollout";
        assert!(text(&closing).contains(&format!("\n{line}\n")), "{}", text(&closing));
        assert!(summary(&closing).contains(line), "{}", summary(&closing));
        let value = serde_json::to_value(&closing).unwrap();
        assert_eq!(value["cut_short"][0]["dag_id"], "etl");
        assert_eq!(value["unknown_drains"], json!([]));
        assert_eq!(serde_json::to_value(&closing.deployment).unwrap()["cut_short"], value["cut_short"]);
        let failed = closing.with(Some(&Fail::failed("why")));
        assert_eq!(failed.text(), format!("{line}\n"));
    }

    #[test]
    fn the_json_has_the_keys_of_the_contract() {
        let json = |closing: Closing| serde_json::to_value(closing).unwrap();
        let failed = closing(Outcome::RolledBack).with(Some(&Fail::failed("why")));
        assert_eq!(failed.text(), "");
        let value = json(failed);
        assert_eq!((&value["outcome"], &value["error"]["message"]), (&json!("rolled_back"), &json!("why")));
        assert!(json(closing(Outcome::Deployed)).get("error").is_none());
        for key in ["environment", "release", "previous", "steps", "aws_calls", "uploads", "url"] {
            assert!(value.get(key).is_some(), "{key}");
        }
    }
}
