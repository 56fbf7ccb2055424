//! Gate: no unfinished run loses its DAG.
//!
//! A run finds its DAG by the file it is in now, and a run of a removed DAG is never scheduled again; so
//! neither may change under an unfinished run.

use super::{Fact, Facts, Verdict};
use crate::fail::Problem;
use crate::model::dags::DagDiff;
use std::collections::BTreeSet;

/// What becomes of unfinished runs whose DAG is moved to another file or removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runs {
    /// The deployment is refused.
    #[default]
    Protect,
    /// They may fail.
    Sacrifice,
}

impl Facts {
    /// The DAGs whose unfinished runs would fail. None are known while the DAGs cannot be parsed.
    #[must_use]
    pub fn breaking(&self) -> Vec<String> {
        match &self.dags {
            Fact::Known(parsed) if parsed.problems.is_empty() => {
                DagDiff::between(&self.live, &parsed.dags).breaking()
            }
            _ => Vec::new(),
        }
    }
}

pub(super) fn judge(facts: &Facts) -> Verdict {
    const HEADLINE: &str = "unfinished runs would fail";
    match &facts.unfinished {
        _ if facts.runs == Runs::Sacrifice => Verdict::Skipped("--force"),
        Fact::Unneeded(reason) => Verdict::Skipped(reason),
        Fact::Known(Ok(unfinished)) => Verdict::of(HEADLINE, broken(&facts.breaking(), unfinished)),
        Fact::Known(Err(why)) => Verdict::of(HEADLINE, vec![unknown(&facts.breaking(), why)]),
    }
}

fn broken(breaking: &[String], unfinished: &BTreeSet<String>) -> Vec<Problem> {
    let problem = |dag: &String| {
        let message = "is moved to another file or removed while one of its runs is unfinished";
        let hint = "wait for the run to end, or let it fail: cargo xtask deploy --force";
        Problem::new("breaks_runs", format!("DAG `{dag}`"), message, hint)
    };
    breaking.iter().filter(|dag| unfinished.contains(*dag)).map(problem).collect()
}

fn unknown(breaking: &[String], why: &str) -> Problem {
    let dags = breaking.iter().map(|dag| format!("`{dag}`")).collect::<Vec<_>>().join(", ");
    let message = format!("cannot tell whether it has unfinished runs: {why}");
    let hint = "if Airflow is down and failing runs are acceptable: cargo xtask deploy --force";
    Problem::new("unknown_runs", format!("DAG {dags}"), message, hint)
}

#[cfg(test)]
mod tests {
    use super::super::Unfinished;
    use super::super::tests::facts;
    use super::*;
    use crate::model::dags::{DagEntry, DagIndex, Parsed};

    fn index(file: &str) -> DagIndex {
        let dag = |id: &str, file: &str| DagEntry {
            dag_id: id.to_owned(),
            file: file.to_owned(),
            ..DagEntry::default()
        };
        DagIndex(vec![dag("moved", file), dag("same", "b.py")])
    }

    fn with(unfinished: Unfinished) -> Facts {
        Facts {
            live: index("old.py"),
            dags: Fact::Known(Parsed { dags: index("new.py"), problems: Vec::new(), ..Parsed::default() }),
            unfinished: Fact::Known(unfinished),
            ..facts()
        }
    }

    fn ids(ids: &[&str]) -> Unfinished {
        Ok(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn only_a_moved_dag_with_an_unfinished_run_is_refused() {
        assert_eq!(judge(&with(ids(&["same"]))), Verdict::Passed);
        let Verdict::Refused(_, problems) = judge(&with(ids(&["moved", "same"]))) else {
            panic!("it passed")
        };
        assert_eq!((problems.len(), problems[0].kind.as_str()), (1, "breaks_runs"));
        let forced = Facts { runs: Runs::Sacrifice, ..with(ids(&["moved"])) };
        assert_eq!(judge(&forced), Verdict::Skipped("--force"));
    }

    #[test]
    fn what_nobody_can_tell_is_refused_with_the_reason() {
        let Verdict::Refused(_, problems) = judge(&with(Err("no answer".to_owned()))) else {
            panic!("it passed")
        };
        assert!(problems[0].message.contains("no answer") && problems[0].hint.contains("--force"));
    }

    #[test]
    fn dags_that_cannot_be_parsed_are_not_called_removed() {
        let mut broken = with(ids(&[]));
        let problem = Problem::new("import_error", "dags/new.py", "m", "h");
        broken.dags =
            Fact::Known(Parsed { dags: DagIndex::default(), problems: vec![problem], ..Parsed::default() });
        assert!(broken.breaking().is_empty());
    }
}
