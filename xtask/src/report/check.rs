//! The table of checks.

use super::Output;
use super::table::table;
use crate::fail::Problem;
use crate::model::text::count;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// All checks that have run.
#[derive(Debug)]
pub struct Checks(pub Vec<Checked>);

impl Serialize for Checks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json(&self.0).serialize(serializer)
    }
}

impl Output for Checks {
    fn text(&self) -> String {
        text(&self.0)
    }
}

/// A check that has run.
#[derive(Clone, Debug)]
pub struct Checked {
    pub name: &'static str,
    pub problems: Vec<Problem>,
    pub seconds: f64,
    pub ran: Ran,
}

/// What a check has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    Everything,
    /// There was nothing that it could look at.
    Nothing,
    /// Of so many templates only those that had changed since they were last clean.
    Changed {
        read: usize,
        of: usize,
    },
}

fn text(checks: &[Checked]) -> String {
    let row = |checked: &Checked| {
        let found = match checked.problems.len() {
            0 => clean(checked.ran),
            found => count(found, "finding"),
        };
        vec![checked.name.to_owned(), found, format!("{:.1} s", checked.seconds)]
    };
    let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
    table(&["check", "result", "time"], &rows) + "\n"
}

/// The result of a check that has found nothing; what is known from before is told as such.
fn clean(ran: Ran) -> String {
    match ran {
        Ran::Nothing => "skipped".to_owned(),
        Ran::Changed { read: 0, .. } => "ok, unchanged since it was last clean".to_owned(),
        Ran::Changed { read, of } if read < of => {
            format!("ok, {read} of {} changed since last clean", count(of, "template"))
        }
        Ran::Changed { .. } | Ran::Everything => "ok".to_owned(),
    }
}

fn json(checks: &[Checked]) -> Value {
    let entry = |checked: &Checked| {
        json!({
            "name": checked.name,
            "outcome": match checked.problems.as_slice() {
                [] if checked.ran == Ran::Nothing => "skipped",
                [] => "passed",
                _ => "failed",
            },
            "unchanged": matches!(checked.ran, Ran::Changed { read: 0, .. }),
            "seconds": checked.seconds,
            "problems": checked.problems,
        })
    };
    json!({ "checks": checks.iter().map(entry).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_row_and_its_findings() {
        let problem = Problem::new("ruff", "dags/a.py:1", "unused import", "remove it");
        let checked = |name, problems, ran| Checked { name, problems, seconds: 0.24, ran };
        let checks = [
            checked("templates", Vec::new(), Ran::Everything),
            checked("ruff", vec![problem.clone(), problem], Ran::Everything),
            checked("cfn-lint", Vec::new(), Ran::Nothing),
            checked("cfn-lint", Vec::new(), Ran::Changed { read: 9, of: 9 }),
            checked("cfn-lint", Vec::new(), Ran::Changed { read: 2, of: 9 }),
            checked("checkov", Vec::new(), Ran::Changed { read: 0, of: 9 }),
        ];
        insta::assert_snapshot!(text(&checks), @r"
        check      result                                         time
        templates  ok                                             0.2 s
        ruff       2 findings                                     0.2 s
        cfn-lint   skipped                                        0.2 s
        cfn-lint   ok                                             0.2 s
        cfn-lint   ok, 2 of 9 templates changed since last clean  0.2 s
        checkov    ok, unchanged since it was last clean          0.2 s
        ");
        let unchanged = json(&checks)["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["unchanged"] == true)
            .collect::<Vec<_>>();
        assert_eq!(unchanged, [false, false, false, false, false, true]);
        assert_eq!(json(&checks)["checks"][1]["outcome"], "failed");
        assert_eq!(json(&checks)["checks"][1]["problems"][1]["where"], "dags/a.py:1");
    }
}
