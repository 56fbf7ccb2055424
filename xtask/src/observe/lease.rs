//! Reads the lease that keeps two deployments apart: `lock.json` with holder and fencing token. It expires
//! if it is not written again; how long ago that was is read off the clock of S3.
//!
//! The document is never deleted. One that still says `held` although its holder is gone tells the next
//! deployment that its predecessor was interrupted, so that nothing is taken for granted then.

use crate::doors::proc;
use crate::doors::store::{Found, Store};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A holder that has not renewed for so long counts as dead.
pub const EXPIRY: Duration = Duration::from_secs(90);

/// Two renewals, and some patience with the network.
const DUE: Duration = Duration::from_secs(45);

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
    /// Zero if the holder gave up. Otherwise seconds since 1970 by the holder's own clock, for earlier
    /// versions of this tool.
    pub expires: i64,
    /// Counts up with each holder: the fencing token.
    pub token: u64,
}

/// The lease as it was read.
#[derive(Clone, Debug)]
pub struct Seen {
    pub found: Found<Document>,
    /// How long ago it was taken or renewed, by the clock of S3.
    pub age: Duration,
}

impl Seen {
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.found.value
    }

    /// Whether somebody is at work under this lease.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let document = self.document();
        let is_here = || document.realm == proc::realm() && document.host == proc::host();
        let in_time = document.expires != 0 && self.age < EXPIRY;
        document.held && in_time && !(is_here() && proc::is_gone(document.pid))
    }

    /// Whether a renewal came when it was due, which is every 20 s.
    #[must_use]
    pub fn renews(&self) -> bool {
        self.age < DUE
    }

    /// The holder, in words.
    #[must_use]
    pub fn who(&self) -> String {
        let Document { by, host, pid, since, .. } = self.document();
        format!("{by} on {host} (process {pid}) since {since}")
    }

    /// Whether a deployment ended without saying so.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.document().held && !self.is_live()
    }
}

/// The lease as it is; none if nobody ever held it.
pub async fn look(store: &Store) -> Result<Option<Seen>> {
    let seen = store.aged(&names::lock_key(store.environment())).await?;
    Ok(seen.map(|(found, age)| Seen { found, age }))
}

/// Fails if somebody is at work on the environment (exit 6).
pub fn nobody_else(environment: &str, seen: Option<&Seen>) -> Result<()> {
    match seen.filter(|seen| seen.is_live()) {
        Some(seen) => Err(locked(environment, seen)),
        None => Ok(()),
    }
}

fn locked(environment: &str, other: &Seen) -> Fail {
    let mut fail = Fail::new(Kind::Locked, format!("`{environment}` is being deployed by somebody else"))
        .cause(other.who());
    if let Some(url) = &other.document().run_url {
        fail = fail.cause(format!("see {url}"));
    }
    fail.hint(format!("watch it: cargo xtask status --env {environment}"))
        .hint("run the command again when it is done, or with --wait 30 to wait for so many minutes")
        .hint(format!("if it hangs, take the environment from it: cargo xtask unlock --env {environment}"))
}
