//! The result of a deployment as text or as the JSON of the contract.

use super::error;
use super::table::seconds;
use crate::fail::Fail;
use crate::model::release::{Deployment, Outcome};
use crate::model::text::count;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What is said at the end, beside the record itself.
#[derive(Clone, Debug)]
pub struct Closing {
    pub environment: String,
    pub deployment: Deployment,
    pub aws_calls: usize,
    pub uploads: usize,
    pub url: Option<String>,
}

/// One document, also where it failed: the error is a field of it then.
#[must_use]
pub fn json(closing: &Closing, fail: Option<&Fail>) -> Value {
    let deployment = &closing.deployment;
    let mut value = json!({
        "environment": closing.environment,
        "release": deployment.release,
        "previous": deployment.previous,
        "outcome": deployment.outcome,
        "steps": deployment.steps,
        "seconds": deployment.seconds,
        "aws_calls": closing.aws_calls,
        "uploads": closing.uploads,
        "url": closing.url,
    });
    if let Some(fail) = fail {
        value["error"] = error::json(fail)["error"].take();
    }
    value
}

#[must_use]
pub fn text(closing: &Closing) -> String {
    let deployment = &closing.deployment;
    let mut out = String::new();
    let what = match deployment.outcome {
        Outcome::Unchanged => format!("nothing changed, `{}` runs release", closing.environment),
        Outcome::Deployed => format!("`{}` runs release", closing.environment),
        Outcome::RolledBack | Outcome::Failed => {
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

    fn closing(outcome: Outcome) -> Closing {
        let deployment = Deployment {
            deployment: "01".to_owned(),
            release: "0123456789ab".to_owned(),
            previous: None,
            outcome,
            started: "2026-11-20T10:00:00Z".to_owned(),
            seconds: 0.4,
            by: "me".to_owned(),
            steps: vec![],
        };
        let url = Some("http://127.0.0.1:8080".to_owned());
        Closing { environment: "local".to_owned(), deployment, aws_calls: 5, uploads: 0, url }
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
    fn the_json_has_the_keys_of_the_contract() {
        let value = json(&closing(Outcome::RolledBack), Some(&Fail::failed("why")));
        assert_eq!((&value["outcome"], &value["error"]["message"]), (&json!("rolled_back"), &json!("why")));
        assert!(json(&closing(Outcome::Deployed), None).get("error").is_none());
        for key in ["environment", "release", "previous", "steps", "aws_calls", "uploads", "url"] {
            assert!(value.get(key).is_some(), "{key}");
        }
    }
}
