//! Takes, renews and gives back the lease that keeps two deployments apart; `observe::lease` reads it.

use crate::doors::backoff::Backoff;
use crate::doors::store::{Condition, Found, Store, Written};
use crate::doors::{env, proc, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use crate::observe::lease::{Document, nobody_else};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// A holder that has not renewed for so long counts as dead.
const EXPIRY_SECONDS: i64 = 90;
const RENEWAL: Duration = Duration::from_secs(20);

/// A lease of this process.
fn mine(token: u64) -> Document {
    Document {
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

/// Held until [`Lease::release`] or [`Lease::abandon`]; renewed in the background.
#[derive(Debug)]
pub struct Lease {
    /// The fencing token: one more than that of the holder before.
    pub token: u64,
    /// The previous holder ended without saying so, and the records may not tell what it left.
    pub inherited: bool,
    store: Store,
    key: String,
    state: Arc<Mutex<Found<Document>>>,
    expires: Arc<AtomicI64>,
    lost: watch::Receiver<bool>,
    renewal: tokio::task::JoinHandle<()>,
}

/// Ends when the lease is lost, and never if it is not.
#[derive(Clone, Debug)]
pub struct Loss(watch::Receiver<bool>);

impl Loss {
    pub async fn happens(mut self) {
        if self.0.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Takes the lease, from a dead holder too; a living one is an error (exit 6).
pub async fn acquire(store: &Store) -> Result<Lease> {
    let environment = store.environment();
    let key = names::lock_key(environment);
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(1));
    for _ in 0..5 {
        let found = store.read::<Document>(&key).await?;
        nobody_else(environment, found.as_ref().map(|found| &found.value))?;
        let inherited = found.as_ref().is_some_and(|found| found.value.held);
        let mine = mine(found.as_ref().map_or(1, |found| found.value.token + 1));
        let condition = found.as_ref().map_or(Condition::Absent, |found| Condition::Same(&found.etag));
        if let Written::Yes(etag) = store.write(&key, &mine, condition).await? {
            return Ok(hold(store.clone(), key, Found { value: mine, etag }, inherited));
        }
        backoff.wait().await;
    }
    Err(Fail::new(Kind::Locked, format!("several deployments compete for `{environment}` at once"))
        .hint("wait until the others are done, then run the command again"))
}

fn hold(store: Store, key: String, found: Found<Document>, inherited: bool) -> Lease {
    let token = found.value.token;
    let expires = Arc::new(AtomicI64::new(found.value.expires));
    let state = Arc::new(Mutex::new(found));
    let (tell, lost) = watch::channel(false);
    let renewal =
        Renewal { store: store.clone(), key: key.clone(), state: state.clone(), expires: expires.clone() };
    let renewal = tokio::spawn(async move {
        renewal.until_lost().await;
        let _ = tell.send(true);
    });
    Lease { token, inherited, store, key, state, expires, lost, renewal }
}

struct Renewal {
    store: Store,
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
            match self.store.write(&self.key, &next, condition).await {
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

/// The failure if the lease went to somebody else.
pub fn lost() -> Fail {
    Fail::new(Kind::Locked, "the lease was lost to another deployment")
        .cause("it could not be renewed in time")
        .hint("look at what the other one does, then run the command again")
}

impl Lease {
    /// Fails if the lease went to somebody else, or may have, for instance while this machine slept: nothing
    /// more may be written then.
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
        // A running renewal may finish: if it were aborted, it might have been written with an unknown tag.
        let found = self.state.lock().await;
        self.renewal.abort();
        let mut last = found.value.clone();
        change(&mut last);
        let condition = Condition::Same(&found.etag);
        self.store.write(&self.key, &last, condition).await.map(drop)
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
