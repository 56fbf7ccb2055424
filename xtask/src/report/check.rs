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
    /// There was nothing that it could look at.
    pub skipped: bool,
}

fn text(checks: &[Checked]) -> String {
    let row = |checked: &Checked| {
        let found = match checked.problems.len() {
            0 if checked.skipped => "skipped".to_owned(),
            0 => "ok".to_owned(),
            found => count(found, "finding"),
        };
        vec![checked.name.to_owned(), found, format!("{:.1} s", checked.seconds)]
    };
    let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
    table(&["check", "result", "time"], &rows) + "\n"
}

fn json(checks: &[Checked]) -> Value {
    let entry = |checked: &Checked| {
        json!({
            "name": checked.name,
            "outcome": match checked.problems.as_slice() {
                [] if checked.skipped => "skipped",
                [] => "passed",
                _ => "failed",
            },
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
        let checks = [
            Checked { name: "templates", problems: Vec::new(), seconds: 0.24, skipped: false },
            Checked { name: "ruff", problems: vec![problem.clone(), problem], seconds: 1.0, skipped: false },
            Checked { name: "cfn-lint", problems: Vec::new(), seconds: 0.0, skipped: true },
        ];
        insta::assert_snapshot!(text(&checks), @r"
        check      result      time
        templates  ok          0.2 s
        ruff       2 findings  1.0 s
        cfn-lint   skipped     0.0 s
        ");
        assert_eq!(json(&checks)["checks"][1]["outcome"], "failed");
        assert_eq!(json(&checks)["checks"][1]["problems"][1]["where"], "dags/a.py:1");
    }
}
