//! A release, the pointer to the current one, and the record of a deployment: canonical JSON in S3.

use super::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that decides what an environment runs. No secret is among it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The DAG bundle.
    pub bundle: Digest,
    /// The host revision (EC2).
    pub host: Digest,
    /// The root of the template tree.
    pub template: Digest,
    /// Parameters of the master stack.
    pub parameters: BTreeMap<String, String>,
    /// The commit the tree stood at, `-dirty` behind it where the tree had changes; none outside git.
    pub commit: Option<String>,
}

impl Release {
    /// The first 12 hex digits of the sha256 of the canonical JSON.
    ///
    /// # Panics
    /// Never: strings and maps of strings always serialise.
    #[must_use]
    pub fn id(&self) -> String {
        #[expect(clippy::unwrap_used, reason = "strings and maps of strings always serialise")]
        let json = serde_json::to_vec(self).unwrap();
        Digest::of(&json).short()
    }
}

/// `environments/<env>/current.json`. The bundle class of the hosts reads `bundle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    pub release: String,
    pub bundle: Digest,
    /// Counts up by one with each move.
    pub serial: u64,
}

impl Pointer {
    /// The pointer to what comes after `before`.
    #[must_use]
    pub fn next(before: Option<&Pointer>, release: &Release) -> Self {
        Self {
            release: release.id(),
            bundle: release.bundle,
            serial: before.map_or(1, |before| before.serial + 1),
        }
    }
}

/// How a deployment, or a step of it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Deployed,
    Unchanged,
    RolledBack,
    Failed,
}

impl Outcome {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Deployed => "deployed",
            Outcome::Unchanged => "unchanged",
            Outcome::RolledBack => "rolled back",
            Outcome::Failed => "failed",
        }
    }
}

/// One step of a deployment in its record and in the JSON output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    pub name: String,
    /// `done`, `skipped` or `failed`.
    pub outcome: String,
    pub seconds: f64,
}

/// `environments/<env>/deployments/<ulid>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub deployment: String,
    pub release: String,
    pub previous: Option<String>,
    pub outcome: Outcome,
    /// RFC 3339, UTC.
    pub started: String,
    pub seconds: f64,
    pub by: String,
    pub steps: Vec<StepRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release {
            bundle: Digest::of(b"bundle"),
            host: Digest::of(b"host"),
            template: Digest::of(b"template"),
            parameters: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            commit: Some("abc".to_owned()),
        }
    }

    #[test]
    fn the_id_depends_on_every_part() {
        let mut ids = vec![release().id()];
        let changes: [fn(&mut Release); 5] = [
            |r| r.bundle = Digest::of(b"x"),
            |r| r.host = Digest::of(b"x"),
            |r| r.template = Digest::of(b"x"),
            |r| r.commit = None,
            |r| drop(r.parameters.insert("A".to_owned(), "2".to_owned())),
        ];
        for change in changes {
            let mut other = release();
            change(&mut other);
            ids.push(other.id());
        }
        assert!(ids.iter().all(|id| id.len() == 12));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 6);
    }
}
