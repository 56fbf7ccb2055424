//! The one report of an upgrade test: its stages, the deprecations of each file, the packages that change.

use super::lock::Locks;
use super::table::{seconds, table};
use super::{Output, markdown, wrap};
use crate::model::upgrade::{Deprecation, Outcome, Stage};
use serde::{Serialize, Serializer};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug)]
pub struct Report {
    pub airflow: String,
    pub environment: String,
    pub folder: PathBuf,
    pub stages: Vec<Stage>,
    pub deprecations: Vec<Deprecation>,
    pub locks: Locks,
}

impl Report {
    fn works(&self) -> bool {
        self.stages.iter().all(|stage| stage.problems.is_empty())
    }

    fn by_file(&self) -> BTreeMap<&str, Vec<&Deprecation>> {
        let mut files: BTreeMap<&str, Vec<&Deprecation>> = BTreeMap::new();
        for one in &self.deprecations {
            files.entry(&one.file).or_default().push(one);
        }
        files
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |stage: &Stage| {
            let summary = match stage.outcome {
                Outcome::Passed => format!("ok, {}", stage.summary),
                Outcome::Failed => stage.summary.clone(),
                Outcome::Skipped => format!("skipped: {}", stage.summary),
            };
            vec![stage.name.clone(), summary, seconds(stage.seconds)]
        };
        self.stages.iter().map(row).collect()
    }

    fn headline(&self) -> String {
        let verdict = if self.works() { "works" } else { "does not work" };
        format!("Airflow {} {verdict}", self.airflow)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "airflow": self.airflow,
            "environment": self.environment,
            "outcome": if self.works() { "passed" } else { "failed" },
            "stages": self.stages,
            "deprecations": self.deprecations,
            "locks": self.locks.files(),
            "folder": self.folder,
        })
        .serialize(serializer)
    }
}

impl Output for Report {
    fn text(&self) -> String {
        let mut out = table(&["stage", "result", "time"], &self.rows());
        for (file, found) in self.by_file() {
            let _ = writeln!(out, "\ndags/{file}");
            for one in found {
                let line = one.line.map(|line| format!("line {line}: ")).unwrap_or_default();
                out += &wrap::wrap("  ", "    ", &format!("{line}{} [{}]", one.message, one.category));
            }
        }
        let locks = self.locks.text();
        if !locks.is_empty() {
            let _ = write!(out, "\n{locks}");
        }
        let _ = writeln!(out, "\n{}; its lock is in {}", self.headline(), self.folder.display());
        out
    }

    fn markdown(&self) -> String {
        let mut out = format!("### {}\n\n| stage | result | time |\n|---|---|---|\n", self.headline());
        for row in self.rows() {
            let _ = writeln!(out, "| {} |", row.join(" | ").replace('\n', " "));
        }
        for (file, found) in self.by_file() {
            let _ = writeln!(out, "\n`dags/{file}`");
            for one in found {
                let line = one.line.map(|line| format!("line {line}: ")).unwrap_or_default();
                let _ = writeln!(out, "- {line}{} (`{}`)", one.message, one.category);
            }
        }
        out.push('\n');
        out + &markdown::block(&self.locks.text())
    }

    fn summary(&self) -> Option<String> {
        Some(self.markdown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fail::Problem;

    fn report(problems: Vec<Problem>) -> Report {
        let versions = |version: &str| [("apache-airflow".to_owned(), version.to_owned())].into();
        let lock = ("airflow/requirements.lock".to_owned(), versions("3.3.2"), versions("3.4.0"));
        let stage = |name: &str, outcome, seconds, summary: &str, problems| Stage {
            name: name.to_owned(),
            outcome,
            seconds,
            summary: summary.to_owned(),
            problems,
        };
        let warning = |line, message: &str| Deprecation {
            file: "orders.py".to_owned(),
            line,
            category: "DeprecatedImportWarning".to_owned(),
            message: message.to_owned(),
        };
        let failed = if problems.is_empty() { Outcome::Passed } else { Outcome::Failed };
        Report {
            airflow: "3.4.0".to_owned(),
            environment: "local".to_owned(),
            folder: PathBuf::from("/p/.ductwork/upgrade-test/3.4.0"),
            stages: vec![
                stage("lock", Outcome::Passed, 8.25, "1 package changed", Vec::new()),
                stage("upgrade", failed, 12.0, "3 revisions", problems),
                Stage::skipped("smoke", "the database is not migrated"),
            ],
            deprecations: vec![warning(Some(3), "`a.b` is deprecated; use `c.d`"), warning(None, "old")],
            locks: Locks::new([lock].into_iter()),
        }
    }

    #[test]
    fn stages_deprecations_and_packages_are_one_report() {
        insta::assert_snapshot!(report(Vec::new()).text(), @r"
        stage    result                                 time
        lock     ok, 1 package changed                  8.2 s
        upgrade  ok, 3 revisions                        12.0 s
        smoke    skipped: the database is not migrated  0 ms

        dags/orders.py
          line 3: `a.b` is deprecated; use `c.d` [DeprecatedImportWarning]
          old [DeprecatedImportWarning]

        airflow/requirements.lock: 1 package, 1 change
          ~ apache-airflow 3.3.2 → 3.4.0

        Airflow 3.4.0 works; its lock is in /p/.ductwork/upgrade-test/3.4.0
        ");
    }

    #[test]
    fn the_document_and_the_page_tell_what_is_wrong() {
        let problem = Problem::new("upgrade", "the stage `upgrade`", "no such column", "read the notes");
        let report = report(vec![problem]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["outcome"], &json["stages"][1]["outcome"]), (&json!("failed"), &json!("failed")));
        assert_eq!(json["stages"][1]["problems"][0]["message"], "no such column");
        assert_eq!(
            (&json["deprecations"][0]["line"], &json["stages"][2]["seconds"]),
            (&json!(3), &json!(0.0))
        );
        assert_eq!(json["locks"][0]["changes"][0]["now"], "3.4.0");
        let page = report.markdown();
        assert!(page.starts_with("### Airflow 3.4.0 does not work\n\n| stage | result | time |"), "{page}");
        assert!(
            page.contains("- line 3: `a.b` is deprecated; use `c.d` (`DeprecatedImportWarning`)"),
            "{page}"
        );
        assert!(page.contains("| smoke | skipped: the database is not migrated | 0 ms |"), "{page}");
    }
}
