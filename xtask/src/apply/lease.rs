//! The lease that keeps two deployers apart: `lock.json` with holder, expiry and fencing token.
//!
//! The document is never deleted. One that still says `held` though its holder is gone tells the next
//! deployer that its predecessor was interrupted, so that nothing is taken for granted then.

use crate::doors::aws::Aws;
use crate::doors::documents::{self, Condition, Found, Written};
use crate::doors::{env, proc, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// A holder that does not renew for so long is taken for dead.
const EXPIRY_SECONDS: i64 = 90;
const RENEWAL: Duration = Duration::from_secs(20);

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
    fn new(token: u64) -> Self {
        Self {
            held: true,
            by: env::actor(),
            host: proc::host(),
            pid: proc::pid(),
            realm: proc::realm(),
            run_url: env::run_url(),
            since: time::now(),
            expires: time::unix() + EXPIRY_SECONDS,
            token,
        }
    }

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

/// Held until [`Lease::release`] or [`Lease::abandon`]; renewed in the background.
#[derive(Debug)]
pub struct Lease {
    /// The fencing token: one more than that of the holder before.
    pub token: u64,
    /// The holder before ended without saying so, and what it left is not the records' word.
    pub inherited: bool,
    aws: Aws,
    bucket: String,
    key: String,
    state: Arc<Mutex<Found<Document>>>,
    expires: Arc<AtomicI64>,
    lost: watch::Receiver<bool>,
    renewal: tokio::task::JoinHandle<()>,
}

/// Ends when the lease is lost, and never where it is not.
#[derive(Clone, Debug)]
pub struct Loss(watch::Receiver<bool>);

impl Loss {
    pub async fn happens(mut self) {
        if self.0.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Reads the lease without taking it.
pub async fn look(aws: &Aws, bucket: &str, environment: &str) -> Result<Option<Document>> {
    let found = documents::read::<Document>(aws, bucket, &names::lock_key(environment)).await?;
    Ok(found.map(|found| found.value))
}

/// Fails where somebody is at work on the environment (exit 6).
pub fn nobody_else(environment: &str, found: Option<&Document>) -> Result<()> {
    match found.filter(|document| document.is_live()) {
        Some(document) => Err(locked(environment, document)),
        None => Ok(()),
    }
}

/// Takes the lease, from a dead holder too; a living one is an error (exit 6).
pub async fn acquire(aws: &Aws, bucket: &str, environment: &str) -> Result<Lease> {
    let key = names::lock_key(environment);
    for _ in 0..5 {
        let found = documents::read::<Document>(aws, bucket, &key).await?;
        nobody_else(environment, found.as_ref().map(|found| &found.value))?;
        let inherited = found.as_ref().is_some_and(|found| found.value.held);
        let mine = Document::new(found.as_ref().map_or(1, |found| found.value.token + 1));
        let condition = found.as_ref().map_or(Condition::Absent, |found| Condition::Same(&found.etag));
        if let Written::Yes(etag) = documents::write(aws, bucket, &key, &mine, condition).await? {
            return Ok(hold(aws.clone(), bucket, key, Found { value: mine, etag }, inherited));
        }
        time::sleep(Duration::from_millis(200)).await;
    }
    Err(Fail::new(Kind::Locked, format!("several deployments want `{environment}` at once"))
        .hint("wait until the others are done, then run the command again"))
}

fn locked(environment: &str, other: &Document) -> Fail {
    let mut fail = Fail::new(Kind::Locked, format!("`{environment}` is being deployed by somebody else"))
        .cause(format!("{} on {} (process {}) since {}", other.by, other.host, other.pid, other.since));
    if let Some(url) = &other.run_url {
        fail = fail.cause(format!("see {url}"));
    }
    fail.hint(format!("watch it: cargo xtask status --env {environment}"))
        .hint("run the command again when it is done; the lease of a dead deployment ends by itself")
}

fn hold(aws: Aws, bucket: &str, key: String, found: Found<Document>, inherited: bool) -> Lease {
    let token = found.value.token;
    let expires = Arc::new(AtomicI64::new(found.value.expires));
    let state = Arc::new(Mutex::new(found));
    let (tell, lost) = watch::channel(false);
    let renewal = Renewal {
        aws: aws.clone(),
        bucket: bucket.to_owned(),
        key: key.clone(),
        state: state.clone(),
        expires: expires.clone(),
    };
    let renewal = tokio::spawn(async move {
        renewal.until_lost().await;
        let _ = tell.send(true);
    });
    Lease { token, inherited, aws, bucket: bucket.to_owned(), key, state, expires, lost, renewal }
}

struct Renewal {
    aws: Aws,
    bucket: String,
    key: String,
    state: Arc<Mutex<Found<Document>>>,
    expires: Arc<AtomicI64>,
}

impl Renewal {
    /// Renews until somebody else holds it; an unreachable bucket is tried again until the expiry.
    async fn until_lost(self) {
        loop {
            time::sleep(RENEWAL).await;
            let mut found = self.state.lock().await;
            let next = Document { expires: time::unix() + EXPIRY_SECONDS, ..found.value.clone() };
            let condition = Condition::Same(&found.etag);
            match documents::write(&self.aws, &self.bucket, &self.key, &next, condition).await {
                Ok(Written::Yes(etag)) => {
                    self.expires.store(next.expires, Ordering::Relaxed);
                    *found = Found { value: next, etag };
                }
                Ok(Written::Lost) => return,
                Err(_) if time::unix() >= found.value.expires => return,
                Err(_) => {}
            }
        }
    }
}

/// What is said where the lease went to somebody else.
pub fn lost() -> Fail {
    Fail::new(Kind::Locked, "the lease was lost to another deployment")
        .cause("it could not be renewed in time")
        .hint("look at what the other one does, then run the command again")
}

impl Lease {
    /// Fails where the lease went to somebody else, or may have, for instance while this machine slept:
    /// nothing more may be written then.
    pub fn check(&self) -> Result<()> {
        let expired = time::unix() >= self.expires.load(Ordering::Relaxed);
        if *self.lost.borrow() || expired { Err(lost()) } else { Ok(()) }
    }

    /// To stop a long step with.
    #[must_use]
    pub fn loss(&self) -> Loss {
        Loss(self.lost.clone())
    }

    /// Says that this deployment ended with the environment on one release, the old or the new one.
    pub async fn release(self) -> Result<()> {
        self.end(|document| document.held = false).await
    }

    /// Lets others in, and lets them know that the environment is on no release as a whole.
    pub async fn abandon(self) -> Result<()> {
        self.end(|document| document.expires = 0).await
    }

    async fn end(self, change: impl FnOnce(&mut Document)) -> Result<()> {
        // A renewal under way is let finish: aborted, it might have been written, and its tag be unknown.
        let found = self.state.lock().await;
        self.renewal.abort();
        let mut last = found.value.clone();
        change(&mut last);
        let condition = Condition::Same(&found.etag);
        documents::write(&self.aws, &self.bucket, &self.key, &last, condition).await.map(drop)
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
