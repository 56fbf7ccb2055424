//! One release whole: what it is made of, and every deployment of it with its steps.

use super::Output;
use super::history::moment;
use super::table::{seconds, table};
use super::wrap;
use crate::model::release::{Deployment, RUNNING, Release as Record, StepRecord};
use crate::model::standing::{Cut, Standing};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(Debug)]
pub struct Release {
    pub environment: String,
    pub id: String,
    /// Whether the pointer names it.
    pub is_current: bool,
    /// None if no deployment of it came so far.
    pub record: Option<Record>,
    /// Newest first.
    pub deployments: Vec<(Deployment, Standing)>,
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let deployment = |(one, standing): &(Deployment, Standing)| {
            let mut value = json!(one);
            value["outcome"] = standing.id().into();
            if let Some(cut) = standing.cut() {
                value["interrupted"] = json!(cut);
            }
            value
        };
        let deployments: Vec<Value> = self.deployments.iter().map(deployment).collect();
        let document = json!({
            "environment": self.environment,
            "release": self.id,
            "current": self.is_current,
            "record": self.record,
            "deployments": deployments,
        });
        document.serialize(serializer)
    }
}

impl Output for Release {
    fn text(&self) -> String {
        let mut out = String::new();
        let runs =
            if self.is_current { format!(", which `{}` runs", self.environment) } else { String::new() };
        row(&mut out, "release", &format!("{}{runs}", self.id));
        match &self.record {
            Some(record) => made_of(&mut out, record),
            None => row(&mut out, "record", "none: no deployment of it came so far"),
        }
        for (deployment, standing) in &self.deployments {
            out.push('\n');
            deployed(&mut out, deployment, standing);
        }
        out
    }
}

/// Where the text of a row begins.
const COLUMN: usize = 15;

fn row(out: &mut String, name: &str, text: &str) {
    for (number, line) in wrap::lines(text, wrap::WIDTH - COLUMN).iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        let _ = writeln!(out, "{}", format!("{name:COLUMN$}{line}").trim_end());
    }
}

fn made_of(out: &mut String, record: &Record) {
    if let Some(commit) = &record.commit {
        row(out, "commit", &commit.shown());
    }
    if let Some(git) = &record.git {
        row(out, "DAGs of", &format!("{} {}", git.url, git.shown()));
    }
    row(out, "engine", &record.engine.to_string());
    if let Some(schema) = &record.schema {
        row(out, "Airflow", &schema.airflow);
    }
    let artifacts = [
        ("bundle", Some(record.bundle)),
        ("host revision", record.runtime.host_revision()),
        ("image", record.image),
        ("templates", record.templates),
        ("root template", Some(record.stack.template)),
    ];
    for (name, digest) in artifacts {
        if let Some(digest) = digest {
            let _ = writeln!(out, "{name:COLUMN$}{digest}");
        }
    }
    let objects = &record.objects;
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let objects = [
        ("connections", names(objects.connections.keys().collect())),
        ("variables", names(objects.variables.keys().collect())),
        ("pools", names(objects.pools.keys().collect())),
    ];
    for (name, text) in objects.iter().filter(|(_, text)| !text.is_empty()) {
        row(out, name, text);
    }
    out.push_str("\nparameters\n");
    for (name, value) in &record.stack.parameters {
        let value = if value.is_empty() { "none" } else { value };
        let _ = writeln!(out, "  {name} = {value}");
    }
}

fn deployed(out: &mut String, deployment: &Deployment, standing: &Standing) {
    let Deployment { deployment: id, started, seconds: took, by, steps, .. } = deployment;
    let _ = writeln!(out, "deployment {id}, {} by {by}, {}", moment(started), seconds(*took));
    let outcome = standing.cut().map_or_else(|| standing.word().to_owned(), Cut::text);
    row(out, "  outcome", &outcome);
    let texts = [
        ("  before", &deployment.previous),
        ("  run", &deployment.run_url),
        ("  saved as", &deployment.saved),
        ("  error", &deployment.error),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            row(out, name, text);
        }
    }
    let cells = |step: &StepRecord| {
        let took = if step.outcome == RUNNING { String::new() } else { seconds(step.seconds) };
        vec![step.name.clone(), step.outcome.clone(), took, step.summary.clone()]
    };
    let rows: Vec<Vec<String>> = steps.iter().map(cells).collect();
    let lines = table(&["step", "outcome", "took", ""], &rows);
    for line in lines.lines() {
        let _ = writeln!(out, "  {line}");
    }
    for step in steps.iter().filter(|step| !step.notes.is_empty()) {
        for note in &step.notes {
            row(out, "  note", &format!("{}: {note}", step.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::commit::Commit;
    use crate::model::release::{Outcome, Parts};
    use crate::report::plan::tests::target;

    fn whole() -> Release {
        let commit =
            Commit { id: "1a2b3c4d".to_owned(), author: Some("Ada <a@example.com>".to_owned()), dirty: true };
        let parts = Parts { commit: Some(commit), ..(*target()).clone() };
        let step = |name: &str, outcome: &str, summary: &str, notes: &[&str]| StepRecord {
            name: name.to_owned(),
            outcome: outcome.to_owned(),
            seconds: 1.5,
            summary: summary.to_owned(),
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
            ..StepRecord::default()
        };
        let deployment = |outcome, steps| Deployment {
            deployment: "01J".to_owned(),
            outcome,
            started: "2026-11-20T10:00:00.000Z".to_owned(),
            seconds: 61.0,
            by: "ada".to_owned(),
            steps,
            ..Deployment::default()
        };
        let killed = deployment(
            Outcome::Running,
            vec![step("setup", "done", "", &[]), step("stack", "running", "", &[])],
        );
        let failed = Deployment {
            error: Some("DAGs cannot be imported".to_owned()),
            previous: Some("aaaaaaaaaaaa".to_owned()),
            run_url: Some("https://ci.example/1".to_owned()),
            ..deployment(Outcome::RolledBack, vec![step("dags", "failed", "2 files", &["a.py: no module"])])
        };
        let told = |one: Deployment| {
            let standing = Standing::of(&one, false, Some(200.0));
            (one, standing)
        };
        Release {
            environment: "dev".to_owned(),
            id: "0123456789ab".to_owned(),
            is_current: true,
            record: Some(Record::new(parts)),
            deployments: vec![told(killed), told(failed)],
        }
    }

    #[test]
    fn everything_that_is_known_of_a_release() {
        let text = whole().text();
        let (record, deployments) = text.split_at(text.find("deployment").unwrap());
        assert!(record.starts_with("release        0123456789ab, which `dev` runs\n"), "{record}");
        assert!(record.contains("1a2b3c4 by Ada <a@example.com>, with changes"), "{record}");
        assert!(record.contains(&format!("bundle         {}\n", whole().record.unwrap().bundle)), "{record}");
        insta::assert_snapshot!(deployments, @r"
        deployment 01J, 2026-11-20 10:00:00 by ada, 61.0 s
          outcome      interrupted during `stack`, 3 min ago; done before that: setup
          step   outcome  took
          setup  done     1.5 s
          stack  running

        deployment 01J, 2026-11-20 10:00:00 by ada, 61.0 s
          outcome      rolled back
          before       aaaaaaaaaaaa
          run          https://ci.example/1
          error        DAGs cannot be imported
          step  outcome  took
          dags  failed   1.5 s  2 files
          note         dags: a.py: no module
        ");
    }

    #[test]
    fn the_json_has_the_record_and_the_deployments_as_they_are_stored() {
        let value = serde_json::to_value(whole()).unwrap();
        assert_eq!((&value["current"], &value["record"]["dirty"]), (&json!(true), &json!(true)));
        assert_eq!(value["deployments"][0]["outcome"], "interrupted");
        assert_eq!(value["deployments"][0]["interrupted"]["during"], "stack");
        assert_eq!(value["deployments"][1]["steps"][0]["notes"], json!(["a.py: no module"]));
        let unknown = Release { record: None, ..whole() };
        assert!(unknown.text().contains("none: no deployment of it came so far"));
    }
}
