//! Takes, renews and gives back the lease that keeps two deployments apart; `observe::lease` reads it.

use crate::doors::backoff::Backoff;
use crate::doors::store::{Condition, Found, Store, Written};
use crate::doors::time::Stopwatch;
use crate::doors::{env, proc, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use crate::observe::lease::{Document, EXPIRY, look, nobody_else};
use crate::plan::deployment::Step;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

const RENEWAL: Duration = Duration::from_secs(20);

/// When a lease that is written now expires, for earlier versions of this tool.
fn expires() -> i64 {
    time::unix() + EXPIRY.as_secs().cast_signed()
}

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
        expires: expires(),
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
    tenure: Arc<Tenure>,
    renewal: tokio::task::JoinHandle<()>,
    /// Whether nothing goes on without this command, so that an interruption gives the lease back.
    returnable: AtomicBool,
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
        let seen = look(store).await?;
        nobody_else(environment, seen.as_ref())?;
        let inherited = seen.as_ref().is_some_and(|seen| seen.document().held);
        let mine = mine(seen.as_ref().map_or(1, |seen| seen.document().token + 1));
        let condition = seen.as_ref().map_or(Condition::Absent, |seen| Condition::Same(&seen.found.etag));
        let watch = Stopwatch::start();
        if let Written::Yes(etag) = store.write(&key, &mine, condition).await? {
            return Ok(hold(
                store.clone(),
                key,
                Last { found: Found { value: mine, etag }, watch },
                inherited,
            ));
        }
        backoff.wait().await;
    }
    Err(Fail::new(Kind::Locked, format!("several deployments compete for `{environment}` at once"))
        .hint("wait until the others are done, then run the command again"))
}

fn hold(store: Store, key: String, last: Last, inherited: bool) -> Lease {
    let token = last.found.value.token;
    let tenure = Tenure { store, key, last: Mutex::new(last), lost: watch::Sender::new(false) };
    let tenure = Arc::new(tenure);
    let kept = tenure.clone();
    let renewal = tokio::spawn(async move {
        loop {
            time::sleep(RENEWAL).await;
            kept.renew().await;
        }
    });
    Lease { token, inherited, tenure, renewal, returnable: AtomicBool::new(false) }
}

/// The document as this process wrote it last, and how long ago that was.
#[derive(Debug)]
struct Last {
    found: Found<Document>,
    watch: Stopwatch,
}

impl Last {
    /// Whether it was renewed so lately that nobody can have taken it. The stopwatch stands still while the
    /// machine sleeps and the other clock can be set; where they disagree, S3 is asked.
    fn is_fresh(&self) -> bool {
        let age = EXPIRY.as_secs().cast_signed() - (self.found.value.expires - time::unix());
        self.watch.elapsed() < RENEWAL * 2 && age < RENEWAL.as_secs().cast_signed() * 2
    }
}

#[derive(Debug)]
struct Tenure {
    store: Store,
    key: String,
    last: Mutex<Last>,
    lost: watch::Sender<bool>,
}

impl Tenure {
    /// Renews, also after the expiry: the compare-and-swap fails only if somebody else took it meanwhile.
    /// A failed attempt is repeated until the expiry; after that somebody else may have it.
    async fn renew(&self) -> bool {
        let mut last = self.last.lock().await;
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let held = loop {
            match self.write(&mut last).await {
                Ok(held) => break held,
                Err(_) if last.watch.elapsed() >= EXPIRY => break false,
                Err(_) => backoff.wait().await,
            }
        };
        self.lost.send_replace(!held);
        held
    }

    async fn write(&self, last: &mut Last) -> Result<bool> {
        let watch = Stopwatch::start();
        let value = Document { expires: expires(), ..last.found.value.clone() };
        match self.store.write(&self.key, &value, Condition::Same(&last.found.etag)).await? {
            Written::Yes(etag) => {
                *last = Last { found: Found { value, etag }, watch };
                Ok(true)
            }
            Written::Lost => self.is_mine(last).await,
        }
    }

    /// Whether an earlier attempt was carried out although its answer never came.
    async fn is_mine(&self, last: &mut Last) -> Result<bool> {
        let Some(seen) = look(&self.store).await? else { return Ok(false) };
        let mine = Document { expires: seen.document().expires, ..last.found.value.clone() };
        let is_mine = mine == *seen.document();
        if is_mine {
            last.found = seen.found;
        }
        Ok(is_mine)
    }

    async fn end(&self, change: impl FnOnce(&mut Document)) -> Result<()> {
        // A running renewal may finish: if it were aborted, it might have been written with an unknown tag.
        let last = self.last.lock().await;
        let mut document = last.found.value.clone();
        change(&mut document);
        self.store.write(&self.key, &document, Condition::Same(&last.found.etag)).await.map(drop)
    }
}

/// The failure if the lease went to somebody else.
pub fn lost() -> Fail {
    Fail::new(Kind::Locked, "the lease was lost to another deployment")
        .cause("it could not be renewed in time")
        .hint("look at what the other one does, then run the command again")
}

impl Lease {
    /// Fails if the lease went to somebody else, or may have: nothing more may be written then. One that
    /// expired, for instance while this machine slept, is taken back if nobody else took it.
    pub async fn check(&self) -> Result<()> {
        let fresh = !*self.tenure.lost.borrow() && self.tenure.last.lock().await.is_fresh();
        if fresh || self.tenure.renew().await { Ok(()) } else { Err(lost()) }
    }

    /// To stop a long step with.
    #[must_use]
    pub fn loss(&self) -> Loss {
        Loss(self.tenure.lost.subscribe())
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
        let ended = self.tenure.end(change).await;
        self.renewal.abort();
        self.returnable.store(false, Ordering::Relaxed);
        ended
    }

    /// Says what is done under it from now on.
    pub fn covers(&self, step: &Step) {
        self.returnable.store(!step.goes_on(), Ordering::Relaxed);
    }
}

tokio::task_local! {
    /// The lease that was held when a command was interrupted.
    static LEFT: RefCell<Option<Arc<Tenure>>>;
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.returnable.load(Ordering::Relaxed) {
            let _ = LEFT.try_with(|left| left.replace(Some(self.tenure.clone())));
        }
    }
}

/// The outcome of the work, or none if `stop` came first. A lease that the work held then is given back as
/// abandoned, unless AWS goes on with what was begun under it.
pub async fn until_stopped<T>(work: impl Future<Output = T>, stop: impl Future<Output = ()>) -> Option<T> {
    let work = async {
        let mut work = Box::pin(work);
        tokio::select! {
            done = &mut work => return Some(done),
            () = stop => drop(work),
        }
        if let Some(left) = LEFT.with(RefCell::take) {
            let _ = left.end(|document| document.expires = 0).await;
        }
        None
    };
    LEFT.scope(RefCell::default(), work).await
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
