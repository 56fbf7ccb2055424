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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// A holder that does not renew for so long is taken for dead.
const EXPIRY_SECONDS: i64 = 90;
const RENEWAL: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub held: bool,
    pub by: String,
    pub host: String,
    pub pid: u32,
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
            run_url: env::run_url(),
            since: time::now(),
            expires: time::unix() + EXPIRY_SECONDS,
            token,
        }
    }

    /// Whether somebody is at work under this lease.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let dead_here = self.host == proc::host() && !proc::alive(self.pid);
        self.held && self.expires > time::unix() && !dead_here
    }

    /// Whether a deployment ended without saying so.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.held && !self.is_live()
    }
}

/// Held until [`Lease::release`]; renewed in the background.
#[derive(Debug)]
pub struct Lease {
    aws: Aws,
    bucket: String,
    key: String,
    state: Arc<Mutex<Found<Document>>>,
    lost: Arc<AtomicBool>,
    renewal: tokio::task::JoinHandle<()>,
}

/// Reads the lease without taking it.
pub async fn look(aws: &Aws, bucket: &str, environment: &str) -> Result<Option<Document>> {
    let found = documents::read::<Document>(aws, bucket, &names::lock_key(environment)).await?;
    Ok(found.map(|found| found.value))
}

/// Takes the lease, from a dead holder too; a living one is an error (exit 6).
pub async fn acquire(aws: &Aws, bucket: &str, environment: &str) -> Result<Lease> {
    let key = names::lock_key(environment);
    for _ in 0..5 {
        let found = documents::read::<Document>(aws, bucket, &key).await?;
        if let Some(found) = &found
            && found.value.is_live()
        {
            return Err(locked(environment, &found.value));
        }
        let mine = Document::new(found.as_ref().map_or(1, |found| found.value.token + 1));
        let condition = found.as_ref().map_or(Condition::Absent, |found| Condition::Same(&found.etag));
        if let Written::Yes(etag) = documents::write(aws, bucket, &key, &mine, condition).await? {
            return Ok(hold(aws.clone(), bucket.to_owned(), key, Found { value: mine, etag }));
        }
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

fn hold(aws: Aws, bucket: String, key: String, found: Found<Document>) -> Lease {
    let state = Arc::new(Mutex::new(found));
    let lost = Arc::new(AtomicBool::new(false));
    let renewal = tokio::spawn(renew(aws.clone(), bucket.clone(), key.clone(), state.clone(), lost.clone()));
    Lease { aws, bucket, key, state, lost, renewal }
}

/// Renews until somebody else holds it; an unreachable bucket is tried again until the expiry.
async fn renew(
    aws: Aws,
    bucket: String,
    key: String,
    state: Arc<Mutex<Found<Document>>>,
    lost: Arc<AtomicBool>,
) {
    loop {
        time::sleep(RENEWAL).await;
        let mut found = state.lock().await;
        let next = Document { expires: time::unix() + EXPIRY_SECONDS, ..found.value.clone() };
        match documents::write(&aws, &bucket, &key, &next, Condition::Same(&found.etag)).await {
            Ok(Written::Yes(etag)) => *found = Found { value: next, etag },
            Ok(Written::Lost) => return lost.store(true, Ordering::Relaxed),
            Err(_) if time::unix() >= found.value.expires => return lost.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
    }
}

impl Lease {
    /// Fails where the lease went to somebody else: nothing more may be written then.
    pub fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(Fail::new(Kind::Locked, "the lease was lost to another deployment")
                .cause("it could not be renewed in time")
                .hint("look at what the other one does, then run the command again"));
        }
        Ok(())
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
        self.renewal.abort();
        let found = self.state.lock().await;
        let mut last = found.value.clone();
        change(&mut last);
        let condition = Condition::Same(&found.etag);
        documents::write(&self.aws, &self.bucket, &self.key, &last, condition).await.map(drop)
    }
}
