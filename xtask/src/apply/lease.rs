//! Takes, renews and gives back the lease that keeps two deployments apart; `observe::lease` reads it.

use crate::doors::backoff::Backoff;
use crate::doors::store::{Condition, Found, Store, Written};
use crate::doors::time::Stopwatch;
use crate::doors::{env, proc, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use crate::observe::lease::{Document, EXPIRY, Seen, look, nobody_else};
use crate::plan::deployment::Step;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

const RENEWAL: Duration = Duration::from_secs(20);
/// For so long after a renewal its holder writes without asking again, with the rest of the expiry for requests that are
/// under way.
pub const FRESH: Duration = Duration::from_secs(40);

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

/// Why a lease was lost: somebody else's, or no answer until it expired.
#[derive(Clone, Debug)]
struct Loss(Option<Box<Document>>);

impl Loss {
    fn fail(&self) -> Fail {
        let fail = Fail::new(Kind::Locked, "the lease was lost, and nothing was written since");
        let fail = match &self.0 {
            Some(other) => fail.cause(format!("{} on {} took it at {}", other.by, other.host, other.since)),
            None => fail.cause("it could not be renewed in time"),
        };
        fail.hint("look at what the other one does, then run the command again")
    }
}

/// Takes the lease, from a dead holder too; a living one is an error (exit 6).
pub async fn acquire(store: &Store) -> Result<Lease> {
    let environment = store.environment();
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(1));
    for _ in 0..5 {
        let seen = look(store).await?;
        nobody_else(environment, seen.as_ref())?;
        if let Some(lease) = succeed(store, seen).await? {
            return Ok(lease);
        }
        backoff.wait().await;
    }
    Err(Fail::new(Kind::Locked, format!("several deployments compete for `{environment}` at once"))
        .hint("wait until the others are done, then run the command again"))
}

/// Takes the lease from the holder that was `seen`, even from a living one; none if it changed hands meanwhile.
pub async fn succeed(store: &Store, seen: Option<Seen>) -> Result<Option<Lease>> {
    let key = names::lock_key(store.environment());
    let inherited = seen.as_ref().is_some_and(|seen| seen.document().held);
    let mine = mine(seen.as_ref().map_or(1, |seen| seen.document().token + 1));
    let condition = seen.as_ref().map_or(Condition::Absent, |seen| Condition::Same(&seen.found.etag));
    let watch = Stopwatch::start();
    let written = store.write(&key, &mine, condition).await?;
    let Written::Yes(etag) = written else { return Ok(None) };
    Ok(Some(hold(store.clone(), key, Last { found: Found { value: mine, etag }, watch }, inherited)))
}

fn hold(store: Store, key: String, last: Last, inherited: bool) -> Lease {
    let token = last.found.value.token;
    let tenure = Tenure { store, key, last: Mutex::new(last), lost: watch::Sender::new(None) };
    let tenure = Arc::new(tenure);
    tenure.close_fence();
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
        self.watch.elapsed() < FRESH && age < FRESH.as_secs().cast_signed()
    }
}

#[derive(Debug)]
struct Tenure {
    store: Store,
    key: String,
    last: Mutex<Last>,
    lost: watch::Sender<Option<Loss>>,
}

impl Tenure {
    /// Nothing leaves this process any more unless the lease is ours.
    fn close_fence(self: &Arc<Self>) {
        let tenure: Weak<Self> = Arc::downgrade(self);
        self.store.fence().close(
            &self.key,
            Arc::new(move || {
                let tenure = tenure.upgrade();
                Box::pin(async move {
                    match tenure {
                        Some(tenure) => tenure.is_ours().await,
                        None => true,
                    }
                })
            }),
        );
    }

    async fn is_ours(&self) -> bool {
        let fresh = self.lost.borrow().is_none() && self.last.lock().await.is_fresh();
        fresh || self.renew().await
    }

    /// Renews, also after the expiry: the compare-and-swap fails only if somebody else took it meanwhile.
    /// A failed attempt is repeated until the expiry; after that somebody else may have it.
    async fn renew(&self) -> bool {
        let mut last = self.last.lock().await;
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let lost = loop {
            match self.write(&mut last).await {
                Ok(lost) => break lost,
                Err(_) if last.watch.elapsed() >= EXPIRY => break Some(Loss(None)),
                Err(_) => backoff.wait().await,
            }
        };
        let held = lost.is_none();
        self.lost.send_replace(lost);
        held
    }

    async fn write(&self, last: &mut Last) -> Result<Option<Loss>> {
        let watch = Stopwatch::start();
        let value = Document { expires: expires(), ..last.found.value.clone() };
        match self.store.write(&self.key, &value, Condition::Same(&last.found.etag)).await? {
            Written::Yes(etag) => {
                *last = Last { found: Found { value, etag }, watch };
                Ok(None)
            }
            Written::Lost => self.taken(last).await,
        }
    }

    /// By whom, unless an earlier attempt was carried out although its answer never came.
    async fn taken(&self, last: &mut Last) -> Result<Option<Loss>> {
        let Some(seen) = look(&self.store).await? else { return Ok(Some(Loss(None))) };
        let mine = Document { expires: seen.document().expires, ..last.found.value.clone() };
        if mine != *seen.document() {
            return Ok(Some(Loss(Some(Box::new(seen.found.value)))));
        }
        last.found = seen.found;
        Ok(None)
    }

    async fn end(&self, change: impl FnOnce(&mut Document)) -> Result<()> {
        // A running renewal may finish: if it were aborted, it might have been written with an unknown tag.
        let last = self.last.lock().await;
        let mut document = last.found.value.clone();
        change(&mut document);
        self.store.write(&self.key, &document, Condition::Same(&last.found.etag)).await.map(drop)
    }
}

impl Lease {
    /// Fails if the lease went to somebody else, or may have: nothing more may be written then. One that
    /// expired, for instance while this machine slept, is taken back if nobody else took it.
    pub async fn check(&self) -> Result<()> {
        if self.tenure.is_ours().await {
            return Ok(());
        }
        Err(self.lost().unwrap_or_else(|| Loss(None).fail()))
    }

    /// The failure if the lease is known to be lost.
    fn lost(&self) -> Option<Fail> {
        self.tenure.lost.borrow().as_ref().map(Loss::fail)
    }

    /// Ends when the lease is lost, and never if it is not.
    async fn loss(&self) {
        if self.tenure.lost.subscribe().wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The outcome of work under this lease, which ends with the lease: work takes minutes, and nothing may be written
    /// any more once the lease is somebody else's.
    pub async fn during<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = tokio::select! {
            done = work => done,
            () = self.loss() => Err(Loss(None).fail()),
        };
        // Requests that were kept back fail in many words, and the loss is why.
        done.map_err(|fail| self.lost().unwrap_or(fail))
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
        if self.lost().is_none() {
            self.tenure.store.fence().open();
        }
        self.returnable.store(false, Ordering::Relaxed);
        ended
    }

    /// As if the machine had slept since the last renewal: the clock went on and the stopwatch did not.
    #[cfg(test)]
    pub(crate) async fn oversleep(&self) {
        self.tenure.last.lock().await.found.value.expires = time::unix();
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
