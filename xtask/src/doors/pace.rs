//! At most one call a second to each service of AWS, and to Airflow, from whoever watches something go on, however much
//! there is to look at: AWS throttles by account, and what is throttled first is somebody else's work.

use super::aws::Aws;
use super::signed::{Answer, Service};
use super::time::{self, Stopwatch};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub const GAP: Duration = Duration::from_secs(1);
/// Whose turns those of Airflow are: it counts rows of its database for many an answer.
pub const AIRFLOW: &str = "airflow";

/// Whose turn it is, by service. Clones share their turns.
#[derive(Clone, Debug)]
pub struct Pace(Option<Arc<Turns>>);

#[derive(Debug)]
struct Turns {
    start: Stopwatch,
    /// When the next call may go out, since the start.
    next: Mutex<BTreeMap<&'static str, Duration>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self(Some(Arc::new(Turns { start: Stopwatch::start(), next: Mutex::default() })))
    }
}

impl Pace {
    /// Nobody waits: the local cloud is this process's alone, and done in milliseconds.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Waits until the service may be called.
    pub async fn turn(&self, service: &'static str) {
        let Some(turns) = &self.0 else { return };
        let now = turns.start.elapsed();
        let at = {
            let mut next = turns.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = next.get(service).map_or(now, |next| now.max(*next));
            next.insert(service, at + GAP);
            at
        };
        if at > now {
            time::sleep(at.saturating_sub(now)).await;
        }
    }
}

impl Aws {
    /// The same for a watcher: those of its calls that have no client of the SDK wait for their turns.
    #[must_use]
    pub fn watching(&self) -> Self {
        let mut aws = self.clone();
        aws.watches = true;
        aws
    }

    /// A read of a service without a client, repeated while the service throttles; that of a watcher, who looks again
    /// anyway, waits for its turn and is sent once.
    pub async fn read(&self, service: Service, target: &str, input: &Value) -> Answer<Value> {
        if !self.watches {
            return self.signed.json(service, target, input).await;
        }
        self.pace.turn(service.name()).await;
        self.signed.look(service, target, input).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_service_has_a_turn_a_second_whoever_asks() {
        let pace = Pace::default();
        let watch = Stopwatch::start();
        for _ in 0..3 {
            let (one, other) = (pace.clone(), pace.clone());
            tokio::join!(one.turn("ecs"), other.turn("ecs"), pace.turn("logs"));
        }
        assert!(watch.elapsed() >= GAP * 5 && watch.elapsed() < GAP * 6, "{:?}", watch.elapsed());
        time::sleep(GAP * 10).await;
        let watch = Stopwatch::start();
        pace.turn("ecs").await;
        assert_eq!(watch.elapsed(), Duration::ZERO, "what was not used is not saved up, nor waited for");
        Pace::none().turn("ecs").await;
        assert_eq!(watch.elapsed(), Duration::ZERO);
    }
}
