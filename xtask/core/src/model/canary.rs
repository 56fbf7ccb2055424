//! What the release tool and the hosts of a worker set write for each other while one of them has a release alone
//! (`ductwork_airflow/hosts/canary.py`).

use serde::{Deserialize, Serialize};

/// What hosts are told before they stop their worker. Written by the tool alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The key of the host revision that comes. One that gets another does not wait.
    pub revision: String,
    /// The name of the election, a new one for each deployment.
    pub token: String,
    /// How long a hook waits for a word.
    pub wait_seconds: u64,
    /// None while the canary is watched.
    #[serde(default)]
    pub verdict: Option<Word>,
    #[serde(default)]
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// The others follow.
    Go,
    /// They keep what they have.
    No,
}

/// Written by the first host that asks: it is the canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub host: String,
}
