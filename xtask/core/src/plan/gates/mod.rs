//! Gates: what refuses a deployment before anything is touched. Pure functions from facts to problems, one
//! file each; `plan`, `deploy` and `rollback` run all of them.

mod account;
mod dags;
mod engine;
mod migration;
mod network;
mod pools;
mod ports;
mod protected;
mod release;
mod runs;
mod secrets;
mod stack;
mod tree;

use super::stack::Decision;
use crate::fail::{Fail, Problem};
use crate::model::account::Account;
use crate::model::commit::Tree;
use crate::model::dags::{DagIndex, Parsed};
use crate::model::schema::Migration;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

pub use crate::model::account::NeededSecret;
pub use account::{Finding, Outcome, findings, no_image, topics};
pub use network::loses_nat;
pub use release::{Delivery, Promoted, unconfirmed};
pub use runs::Runs;

/// A fact that is looked up only if the plan needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    Known(T),
    /// Nobody looked: why not.
    Unneeded(&'static str),
}

/// Ids of DAGs with unfinished runs, or why nobody can tell.
pub type Unfinished = Result<BTreeSet<String>, String>;

/// Everything that the gates judge.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The environment file, for the locations of problems.
    pub file: String,
    /// What is to be done with the stack; or why the parameters do not fit its template.
    pub stack: Result<Decision, Vec<Problem>>,
    pub stack_name: String,
    /// Parameters of the deployed stack, none if there is no stack; and those of the release.
    pub before: BTreeMap<String, String>,
    pub after: BTreeMap<String, String>,
    /// The files of the release as git sees them; none outside git.
    pub tree: Fact<Option<Tree>>,
    /// The ports of this machine that Airflow needs, and the first of them that is taken.
    pub ports: Fact<ports::Ports>,
    /// Ids of hosts by worker set, if they would lose their way to the internet.
    pub workers: Fact<BTreeMap<String, Vec<String>>>,
    pub secrets: Fact<Vec<NeededSecret>>,
    pub account: Fact<Account>,
    /// What is wrong between the pools of the release and those that Airflow has.
    pub pools: Fact<Vec<Problem>>,
    /// What happens to the database.
    pub migration: Option<Migration>,
    pub dags: Fact<Parsed>,
    /// The DAGs of the bundle that runs now.
    pub live: DagIndex,
    pub unfinished: Fact<Unfinished>,
    /// Whether unfinished runs may fail.
    pub runs: Runs,
    /// What the release is, if the environment demands something of it.
    pub delivery: Fact<Delivery>,
}

pub use ports::Ports;

/// What one gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// It passes, but not everything could be looked at: what, and why not.
    Unsure(Vec<String>),
    /// With a headline for all its problems.
    Refused(String, Vec<Problem>),
    /// It had nothing to judge: why.
    Skipped(&'static str),
}

impl Verdict {
    fn of(headline: &str, problems: Vec<Problem>) -> Self {
        if problems.is_empty() { Self::Passed } else { Self::Refused(headline.to_owned(), problems) }
    }
}

/// A gate and its outcome, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gate {
    pub name: &'static str,
    /// `passed`, `refused` or `skipped`.
    pub outcome: &'static str,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What could not be looked at, and why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub problems: Vec<Problem>,
    #[serde(skip)]
    pub headline: String,
}

impl Gate {
    fn new(name: &'static str, verdict: Verdict) -> Self {
        let gate = Self { name, outcome: "passed", ..Self::default() };
        match verdict {
            Verdict::Passed => gate,
            Verdict::Unsure(notes) => Self { notes, ..gate },
            Verdict::Refused(headline, problems) => Self { outcome: "refused", headline, problems, ..gate },
            Verdict::Skipped(reason) => Self { outcome: "skipped", reason: Some(reason), ..gate },
        }
    }
}

type Judge = fn(&Facts) -> Verdict;

/// Every gate, in the order in which they are shown. A new one is a file here and a line below.
const GATES: [(&str, Judge); 13] = [
    ("release", release::judge),
    ("stack", stack::judge),
    ("protection", protected::judge),
    ("tree", tree::judge),
    ("ports", ports::judge),
    ("network", network::judge),
    ("secrets", secrets::judge),
    ("account", account::judge),
    ("engine", engine::judge),
    ("migration", migration::judge),
    ("pools", pools::judge),
    ("dags", dags::judge),
    ("unfinished-runs", runs::judge),
];

/// The outcome of every gate.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Gate> {
    GATES.iter().map(|(name, judge)| Gate::new(name, judge(facts))).collect()
}

/// The failure that the refusing gates stand for, with all their problems (exit 2); none if all passed.
#[must_use]
pub fn refusal(gates: &[Gate]) -> Option<Fail> {
    let refusing: Vec<&Gate> = gates.iter().filter(|gate| gate.outcome == "refused").collect();
    let message = match refusing.as_slice() {
        [] => return None,
        [one] => one.headline.clone(),
        several => {
            let names: Vec<&str> = several.iter().map(|gate| gate.name).collect();
            format!("{} gates refuse the deployment: {}", names.len(), names.join(", "))
        }
    };
    let problems = refusing.iter().flat_map(|gate| gate.problems.clone()).collect();
    Some(Fail::problems(message, problems))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::account::SecretState;
    use crate::plan::stack::StackAction;

    /// Facts that every gate lets pass, or has nothing to say about.
    pub(crate) fn facts() -> Facts {
        Facts {
            file: "environments/dev.toml".to_owned(),
            stack: Ok(Decision::new(StackAction::Update, "the templates changed")),
            stack_name: "p-dev".to_owned(),
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            tree: Fact::Unneeded("nothing is deployed"),
            ports: Fact::Unneeded("not the first deployment"),
            workers: Fact::Unneeded("NAT stays as it is"),
            secrets: Fact::Unneeded("no host is changed"),
            account: Fact::Unneeded("the stack is not changed"),
            pools: Fact::Unneeded("no pool is changed"),
            migration: None,
            dags: Fact::Unneeded("no DAG is changed"),
            live: DagIndex::default(),
            unfinished: Fact::Unneeded("no DAG is moved or removed"),
            runs: Runs::Protect,
            delivery: Fact::Unneeded("the environment demands nothing of a release"),
        }
    }

    #[test]
    fn every_gate_has_an_outcome() {
        let gates = judge(&facts());
        let outcomes: Vec<_> = gates.iter().map(|gate| (gate.name, gate.outcome)).collect();
        let expected = [
            ("release", "skipped"),
            ("stack", "passed"),
            ("protection", "passed"),
            ("tree", "skipped"),
            ("ports", "skipped"),
            ("network", "skipped"),
            ("secrets", "skipped"),
            ("account", "skipped"),
            ("engine", "passed"),
            ("migration", "skipped"),
            ("pools", "skipped"),
            ("dags", "skipped"),
            ("unfinished-runs", "skipped"),
        ];
        assert_eq!(outcomes, expected);
        assert!(refusal(&gates).is_none());
        let json = serde_json::to_value(&gates).unwrap();
        assert_eq!(json[6]["reason"], "no host is changed");
        assert_eq!(json[1], serde_json::json!({ "name": "stack", "outcome": "passed", "problems": [] }));
    }

    #[test]
    fn all_problems_of_all_gates_are_told_together() {
        let problem = Problem::new("import_error", "dags/a.py:3", "NameError: x", "define it");
        let secret =
            NeededSecret { location: "x".to_owned(), id: "s".to_owned(), state: SecretState::Missing };
        let facts = Facts {
            dags: Fact::Known(Parsed {
                dags: DagIndex::default(),
                problems: vec![problem.clone()],
                ..Parsed::default()
            }),
            secrets: Fact::Known(vec![secret]),
            ..facts()
        };
        let fail = refusal(&judge(&facts)).unwrap();
        assert_eq!(fail.message(), "2 gates refuse the deployment: secrets, dags");
        assert_eq!((fail.kind().code(), fail.all_problems().len()), (2, 2));
        let one = Facts { secrets: Fact::Unneeded("no host is changed"), ..facts };
        let fail = refusal(&judge(&one)).unwrap();
        assert_eq!(fail.message(), "1 problem in the DAGs, nothing was deployed");
        assert_eq!(fail.all_problems(), [problem]);
    }
}
