//! Reads the lease that keeps two deployments apart: `lock.json` with holder, expiry and fencing token.
//!
//! The document is never deleted. One that still says `held` although its holder is gone tells the next
//! deployment that its predecessor was interrupted, so that nothing is taken for granted then.

use crate::doors::store::Store;
use crate::doors::{proc, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub held: bool,
    pub by: String,
    pub host: String,
    pub pid: u32,
    /// Where the pid counts; names of machines are not unique among CI runners and containers.
    #[serde(default)]
    pub realm: Option<String>,
    pub run_url: Option<String>,
    pub since: String,
    /// Seconds since 1970.
    pub expires: i64,
    /// Counts up with each holder: the fencing token.
    pub token: u64,
}

impl Document {
    /// Whether somebody is at work under this lease.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let is_here = || self.realm == proc::realm() && self.host == proc::host();
        self.held && self.expires > time::unix() && !(is_here() && proc::is_gone(self.pid))
    }

    /// Whether a deployment ended without saying so.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.held && !self.is_live()
    }
}

/// The lease as it is; none if nobody ever held it.
pub async fn look(store: &Store) -> Result<Option<Document>> {
    store.value(&names::lock_key(store.environment())).await
}

/// Fails if somebody is at work on the environment (exit 6).
pub fn nobody_else(environment: &str, found: Option<&Document>) -> Result<()> {
    match found.filter(|document| document.is_live()) {
        Some(document) => Err(locked(environment, document)),
        None => Ok(()),
    }
}

fn locked(environment: &str, other: &Document) -> Fail {
    let mut fail = Fail::new(Kind::Locked, format!("`{environment}` is being deployed by somebody else"))
        .cause(format!("{} on {} (process {}) since {}", other.by, other.host, other.pid, other.since));
    if let Some(url) = &other.run_url {
        fail = fail.cause(format!("see {url}"));
    }
    fail.hint(format!("watch it: cargo xtask status --env {environment}"))
        .hint("run the command again when it is done; the lease of a dead deployment expires by itself")
}
