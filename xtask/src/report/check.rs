//! The table of checks.

use super::table::table;
use crate::model::problem::Problem;
use crate::model::text::count;
use serde_json::{Value, json};

/// A check that has run.
#[derive(Clone, Debug)]
pub struct Checked {
    pub name: &'static str,
    pub problems: Vec<Problem>,
    pub seconds: f64,
}

#[must_use]
pub fn text(checks: &[Checked]) -> String {
    let row = |checked: &Checked| {
        let found = match checked.problems.len() {
            0 => "ok".to_owned(),
            found => count(found, "finding"),
        };
        vec![checked.name.to_owned(), found, format!("{:.1} s", checked.seconds)]
    };
    let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
    table(&["check", "result", "time"], &rows) + "\n"
}

#[must_use]
pub fn json(checks: &[Checked]) -> Value {
    let entry = |checked: &Checked| {
        json!({
            "name": checked.name,
            "outcome": if checked.problems.is_empty() { "passed" } else { "failed" },
            "seconds": (checked.seconds * 1000.0).round() / 1000.0,
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
            Checked { name: "templates", problems: Vec::new(), seconds: 0.24 },
            Checked { name: "ruff", problems: vec![problem.clone(), problem], seconds: 1.0 },
        ];
        insta::assert_snapshot!(text(&checks), @r"
        check      result      time
        templates  ok          0.2 s
        ruff       2 findings  1.0 s
        ");
        assert_eq!(json(&checks)["checks"][1]["outcome"], "failed");
        assert_eq!(json(&checks)["checks"][1]["problems"][1]["where"], "dags/a.py:1");
    }
}
