//! Tasks that were cut short, as workers tell of them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// `environments/<env>/drains/<time>-<host>-<pid>.json`; `ductwork_airflow/hosts/losses.py` writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossReport {
    pub host: String,
    #[serde(default)]
    pub worker_set: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// Why the worker ended.
    pub why: String,
    #[serde(default)]
    pub tasks: Vec<TaskInstance>,
    /// Why it is not known whether there were any.
    #[serde(default)]
    pub unknown: Option<String>,
}

/// A task instance as a person names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskInstance {
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    /// -1 for one that is not mapped.
    pub map_index: i64,
    pub try_number: i64,
}

impl fmt::Display for TaskInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.dag_id, self.run_id, self.task_id)?;
        if self.map_index >= 0 {
            write!(f, "[{}]", self.map_index)?;
        }
        write!(f, " (try {})", self.try_number)
    }
}

/// All that workers have cut short, each task instance once, and what is not known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_short: Vec<CutShort>,
    /// Workers that could not find out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_drains: Vec<UnknownDrain>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutShort {
    #[serde(flatten)]
    pub task: TaskInstance,
    pub host: String,
    pub worker_set: String,
    pub at: String,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownDrain {
    pub host: String,
    pub at: String,
    pub why: String,
    pub reason: String,
}

impl Losses {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cut_short.is_empty() && self.unknown_drains.is_empty()
    }

    /// A task that was told to end and found dead afterwards has two loss reports; the first one counts.
    #[must_use]
    pub fn of(reports: impl IntoIterator<Item = LossReport>) -> Self {
        let (mut losses, mut known) = (Self::default(), BTreeSet::new());
        for LossReport { host, worker_set, at, why, tasks, unknown } in reports {
            for task in tasks {
                if known.insert(task.clone()) {
                    let (host, worker_set) = (host.clone(), worker_set.clone());
                    let cut = CutShort { task, host, worker_set, at: at.clone(), why: why.clone() };
                    losses.cut_short.push(cut);
                }
            }
            if let Some(reason) = unknown {
                losses.unknown_drains.push(UnknownDrain { host, at, why, reason });
            }
        }
        losses
    }

    /// A line for each, as people read it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let cut = self.cut_short.iter();
        let cut = cut.map(|one| format!("cut short: {} on {}, {}", one.task, one.host, one.why));
        let unknown = self.unknown_drains.iter().map(|one| {
            format!("unknown whether a task was cut short on {}, {}: {}", one.host, one.why, one.reason)
        });
        cut.chain(unknown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `losses.py` writes it.
    const WRITTEN: &str = r#"{"host": "ip-1", "worker_set": "default", "revision": "ab", "at": "2026-11-29T11:05:00Z",
        "why": "rollout", "tasks": [{"dag_id": "etl", "run_id": "r1", "task_id": "load", "map_index": 3, "try_number": 2}],
        "unknown": null}"#;

    #[test]
    fn each_task_is_told_once_and_silence_is_told_as_silence() {
        let first: LossReport = serde_json::from_str(WRITTEN).unwrap();
        let again = LossReport { why: "later".to_owned(), ..first.clone() };
        let silent = LossReport {
            host: "ip-2".to_owned(),
            tasks: Vec::new(),
            unknown: Some("the database did not answer".to_owned()),
            ..first.clone()
        };
        let losses = Losses::of([first, again, silent]);
        let expected = [
            "cut short: etl r1 load[3] (try 2) on ip-1, rollout",
            "unknown whether a task was cut short on ip-2, rollout: the database did not answer",
        ];
        assert_eq!(losses.lines(), expected);
        let value = serde_json::to_value(&losses).unwrap();
        assert_eq!(value["cut_short"][0]["task_id"], "load");
        assert_eq!(serde_json::from_value::<Losses>(value).unwrap(), losses);
        assert_eq!(serde_json::to_string(&Losses::default()).unwrap(), "{}");
    }
}
