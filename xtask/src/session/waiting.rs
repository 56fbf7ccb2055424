//! `--wait`: whoever deploys the environment is waited for, and only then is anything looked at and planned.

use super::Setup;
use super::prepare::Prepared;
use crate::apply::run;
use crate::doors::store::Store;
use crate::doors::time::{self, Stopwatch};
use crate::fail::{Fail, Kind, Result};
use crate::model::event::{Ending, Sink};
use crate::model::text::count;
use crate::observe::lease::{self, Seen};
use crate::plan::deployment::Step;
use std::time::Duration;

/// How often the lease is looked at.
const LOOK: Duration = Duration::from_secs(3);

/// How long a command waits, from its beginning; by default not at all.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    minutes: u64,
    watch: Stopwatch,
}

impl Patience {
    #[must_use]
    pub fn of(minutes: Option<u64>) -> Self {
        Self { minutes: minutes.unwrap_or_default(), watch: Stopwatch::start() }
    }

    fn left(&self) -> Duration {
        Duration::from_secs(self.minutes.saturating_mul(60)).saturating_sub(self.watch.elapsed())
    }

    /// Whether to begin again after this failure: somebody was quicker, and may be waited for.
    #[must_use]
    pub fn outlasts(&self, fail: &Fail) -> bool {
        fail.kind() == Kind::Locked && !self.left().is_zero()
    }

    /// Waits until nobody holds the environment. Without `--wait` this does nothing: who holds it is told later, after
    /// what is wrong with the tree.
    ///
    /// # Errors
    /// Somebody holds it for longer than that (exit 6).
    pub async fn until_free(&self, store: &Store, sink: &Sink) -> Result<()> {
        if self.minutes == 0 {
            return Ok(());
        }
        let (step, watch, mut waited) = (sink.step("wait"), Stopwatch::start(), false);
        loop {
            let seen = lease::look(store).await?;
            let Some(holder) = seen.as_ref().filter(|seen| seen.is_live()) else {
                if waited {
                    step.ended(Ending::Done, watch.elapsed(), "the environment is free");
                }
                return Ok(());
            };
            if self.left().is_zero() {
                let waited = count(usize::try_from(self.minutes).unwrap_or(usize::MAX), "minute");
                let locked = lease::nobody_else(store.environment(), seen.as_ref()).err();
                return Err(locked
                    .unwrap_or_else(|| Fail::bug("nobody holds the lease"))
                    .cause(format!("waited for {waited}")));
            }
            if !std::mem::replace(&mut waited, true) {
                step.started();
            }
            step.progress(self.told(holder));
            time::sleep(LOOK.min(self.left())).await;
        }
    }

    fn told(&self, holder: &Seen) -> String {
        let left = self.left().as_secs().div_ceil(60);
        let page = holder.document().run_url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
        format!("for {}{page}; {left} min left", holder.who())
    }

    /// With `--wait` the lease is taken before the first step rather than at it, while all can begin again.
    pub async fn begin(&self, prepared: &mut Prepared) -> Result<()> {
        if self.minutes == 0 || !prepared.plan.steps.first().is_some_and(Step::needs_lease) {
            return Ok(());
        }
        let taken = run::take_lease(&prepared.context, &mut prepared.progress).await;
        if let (Err(_), Some(lease)) = (&taken, prepared.progress.lease.take_if(|_| taken.is_err())) {
            // What the one before left behind, the next one has to know as well.
            if lease.inherited { lease.abandon().await? } else { lease.release().await? }
        }
        taken
    }
}

impl Setup {
    /// Waits if it is asked to; see [`Patience::until_free`].
    pub async fn wait(&self, patience: &Patience) -> Result<()> {
        patience.until_free(&self.session.store, &self.sink).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::lease::acquire;
    use crate::doors::fake::Bucket;
    use crate::model::event::Event;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    const KEY: &str = "environments/dev/lock.json";

    fn theirs() -> Value {
        json!({
            "held": true, "by": "ann", "host": "far", "pid": 1, "run_url": "https://ci/1", "since": "then",
            "expires": 1, "token": 4,
        })
    }

    fn told() -> (Sink, Arc<Mutex<Vec<String>>>) {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = lines.clone();
        let sink = Sink::new(move |event| match event {
            Event::Progress { step, message } => log.lock().unwrap().push(format!("{step}: {message}")),
            Event::Ended { summary, .. } => log.lock().unwrap().push(summary),
            _ => {}
        });
        (sink, lines)
    }

    #[tokio::test(start_paused = true)]
    async fn the_holder_is_waited_for_and_named_meanwhile() {
        let bucket = Bucket::default();
        bucket.set(KEY, &theirs());
        let (sink, lines) = told();
        let store = bucket.store();
        let ends = async {
            time::sleep(Duration::from_secs(90)).await;
            let mut document = theirs();
            document["held"] = json!(false);
            bucket.set(KEY, &document);
        };
        let patience = Patience::of(Some(2));
        let (waited, ()) = tokio::join!(patience.until_free(&store, &sink), ends);
        waited.unwrap();
        let lines = lines.lock().unwrap().clone();
        assert_eq!(lines[0], "wait: for ann on far (process 1) since then, https://ci/1; 2 min left");
        assert!(lines.iter().any(|line| line.ends_with("; 1 min left")), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "the environment is free");
        assert_eq!(acquire(&store).await.unwrap().token, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_what_would_have_been_told_at_once() {
        let bucket = Bucket::default();
        bucket.set(KEY, &theirs());
        let store = bucket.store();
        let patience = Patience::of(Some(1));
        let fail = patience.until_free(&store, &Sink::null()).await.unwrap_err();
        assert_eq!(fail.kind(), Kind::Locked);
        assert!(fail.causes().contains(&"waited for 1 minute".to_owned()), "{:?}", fail.causes());
        assert!(!patience.outlasts(&fail));
        assert!(Patience::of(Some(1)).outlasts(&fail), "somebody was quicker, and there is time");
        Patience::of(None).until_free(&store, &Sink::null()).await.unwrap();
        assert!(!Patience::of(None).outlasts(&fail));
    }
}
