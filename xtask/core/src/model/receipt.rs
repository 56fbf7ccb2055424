//! What components say of themselves in the artifact bucket (`ductwork_airflow/receipts/`), and what can be told from
//! it alone. The age of a receipt is that of its last heartbeat.

use super::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// `receipts/<env>/<host or task>/<component>.json`. Fields may be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub component: String,
    /// The instance, or the task of ECS.
    pub id: String,
    /// The digest of the host revision, or of the image, that the process was started from.
    pub revision: String,
    /// `family:revision`, of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
    /// Of workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_set: Option<String>,
    /// RFC 3339, UTC.
    pub started: String,
    /// Of a dag-processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Parsed>,
    /// The last task of a worker, as of its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRun>,
    /// The last task of the smoke test on a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<TaskRun>,
}

/// What the database has of a version of the bundle, after the dag-processor has parsed it or a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsed {
    pub version: String,
    /// DAGs of this version, and the name of their set; see [`set`].
    pub dags: usize,
    pub dag_ids: String,
    /// DAGs that Airflow still has from another version, and some of them.
    pub behind: usize,
    #[serde(default)]
    pub behind_named: Vec<String>,
    pub import_errors: usize,
    #[serde(default)]
    pub import_errors_named: Vec<String>,
}

/// A task that a worker has run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRun {
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    pub try_number: u32,
    #[serde(default)]
    pub bundle: Option<String>,
    #[serde(default)]
    pub version: Option<String>,
    /// [`TaskRun::SUCCESS`], [`TaskRun::FAILURE`], or that neither is known.
    pub state: String,
    pub ended: String,
}

impl TaskRun {
    /// Airflow calls it so.
    pub const SUCCESS: &str = "success";
    /// It failed, whether it is tried again or not.
    pub const FAILURE: &str = "failure";
}

impl fmt::Display for TaskRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} (try {})", self.dag_id, self.run_id, self.task_id, self.try_number)
    }
}

/// The name of a set of DAGs, as `extensions/parsed.py` makes it: the sha256 of their ids in order, one in a line.
#[must_use]
pub fn set<'a>(dag_ids: impl IntoIterator<Item = &'a str>) -> String {
    let sorted: BTreeSet<&str> = dag_ids.into_iter().collect();
    let lines: String = sorted.into_iter().flat_map(|id| [id, "\n"]).collect();
    Digest::of(lines.as_bytes()).to_string()
}

/// Whether a dag-processor has the bundle, with exactly these DAGs of it. The error says how far it is.
pub fn has_bundle<'a>(
    receipts: &[Receipt],
    bundle: &Digest,
    dag_ids: impl IntoIterator<Item = &'a str>,
) -> Result<(), String> {
    let wanted = set(dag_ids);
    let parsed: Vec<&Parsed> = receipts.iter().filter_map(|receipt| receipt.bundle.as_ref()).collect();
    let Some(parsed) = parsed.iter().find(|parsed| parsed.version == bundle.to_string()) else {
        let seen = parsed.first().map_or_else(|| "no bundle".to_owned(), |other| short(&other.version));
        return Err(format!("no dag-processor has bundle {} yet; one has {seen}", bundle.short()));
    };
    if parsed.import_errors > 0 {
        let files = parsed.import_errors_named.join(", ");
        return Err(format!("{} files of the bundle cannot be imported: {files}", parsed.import_errors));
    }
    if parsed.behind > 0 {
        let named = parsed.behind_named.join(", ");
        return Err(format!("{} DAGs are still those of another bundle: {named}", parsed.behind));
    }
    if parsed.dag_ids != wanted {
        return Err(format!("the {} DAGs of the bundle are not those of the release", parsed.dags));
    }
    Ok(())
}

/// Whether a worker of this runtime has run the smoke test of that run to its end.
pub fn ran_smoke(receipts: &[Receipt], runtime: &Digest, run_id: &str) -> Result<(), String> {
    let mut runs = receipts.iter().filter_map(|receipt| Some((receipt, receipt.smoke.as_ref()?)));
    let Some((receipt, run)) = runs.find(|(_, run)| run.run_id == run_id) else {
        return Err(format!("no worker has run the smoke test `{run_id}` yet"));
    };
    if receipt.revision != runtime.to_string() {
        let other = short(&receipt.revision);
        return Err(format!("the worker on {} that ran the smoke test is of revision {other}", receipt.id));
    }
    match run.state.as_str() {
        TaskRun::SUCCESS => Ok(()),
        state => Err(format!("the smoke test ended on {} as `{state}`", receipt.id)),
    }
}

/// The first characters of a digest, enough for people.
#[must_use]
pub fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// A receipt and the age of its last heartbeat in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub receipt: Receipt,
    pub age: u64,
}

/// Hosts and tasks that AWS says there are, by id, with what it says of each.
pub type Alive = BTreeMap<String, Place>;

/// What AWS says of a host or task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A component, or `worker` and the name of its set.
    pub title: String,
    /// In the words of the service that keeps it.
    pub state: String,
    pub draining: bool,
}

/// A component on a host or in a task, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    #[serde(flatten)]
    pub receipt: Receipt,
    /// Whether it runs what the release has for it.
    pub current: bool,
    pub state: String,
    pub draining: bool,
    pub heartbeat_age_s: u64,
    /// Whether its heartbeat is overdue.
    pub silent: bool,
}

/// What there is, part by part, and the hosts and tasks that have not said anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    pub parts: Vec<Part>,
    pub unheard: Vec<Unheard>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unheard {
    pub id: String,
    #[serde(rename = "component")]
    pub title: String,
    pub state: String,
}

/// What was released.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    pub runtime: Option<Digest>,
    pub bundle: Option<Digest>,
}

/// Two heartbeats that did not come, and half a minute for whatever is slow.
const OVERDUE: u64 = 630;

/// What runs: receipts of what is alive. Those of hosts and tasks that have ended count for nothing.
#[must_use]
pub fn parts(kept: Vec<Kept>, alive: &Alive, meant: &Meant) -> Parts {
    let runtime = meant.runtime.map(|digest| digest.to_string());
    let bundle = meant.bundle.map(|digest| digest.to_string());
    let heard: BTreeSet<String> = kept.iter().map(|one| one.receipt.id.clone()).collect();
    let part = |Kept { receipt, age }: Kept| {
        let place = alive.get(&receipt.id)?;
        let same = |is: &str, meant: Option<&String>| meant.is_none_or(|meant| meant == is);
        let current = same(&receipt.revision, runtime.as_ref())
            && receipt.bundle.as_ref().is_none_or(|parsed| same(&parsed.version, bundle.as_ref()));
        Some(Part {
            current,
            state: place.state.clone(),
            draining: place.draining,
            heartbeat_age_s: age,
            silent: age > OVERDUE,
            receipt,
        })
    };
    let silent = alive.iter().filter(|(id, _)| !heard.contains(*id));
    let unheard = silent.map(|(id, place)| Unheard {
        id: id.clone(),
        title: place.title.clone(),
        state: place.state.clone(),
    });
    Parts { unheard: unheard.collect(), parts: kept.into_iter().filter_map(part).collect() }
}

#[cfg(test)]
#[path = "receipt_tests.rs"]
mod tests;
