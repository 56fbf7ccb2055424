//! Airflow's API by way of the artifact bucket: a request is written there, and the API server, which looks there beside
//! its own port, writes the answer.

use super::backoff::Backoff;
use super::http::Answer;
use super::store::{Condition, Store, Written};
use super::time::{self, Stopwatch};
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::model::relay::{self, Inbox, Request};
use serde_json::Value;
use std::time::Duration;

/// Longer than the API server has for an answer (15 s) and an idle one takes to look (3 s); shorter than a request lives.
const PATIENCE: Duration = Duration::from_secs(25);
/// Nobody has taken the request: no API server looks.
const UNTAKEN: Duration = Duration::from_secs(12);
/// Others may ask at the same time.
const WRITES: usize = 10;

/// The bucket of one environment.
#[derive(Clone, Debug)]
pub struct Relay {
    store: Store,
}

impl Relay {
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Blocks until the answer is there.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let asked = self.asked(method, path, body.cloned().unwrap_or_default());
        tokio::runtime::Handle::current().block_on(asked)
    }

    async fn asked(&self, method: &str, path: &str, body: Value) -> Result<Answer> {
        let (id, at) = (time::ulid(), time::unix());
        let request = Request { id, at, method: method.to_owned(), path: path.to_owned(), body };
        self.write(&request).await?;
        let key = names::answer_key(self.store.environment(), &request.id);
        let (watch, mut taken) = (Stopwatch::start(), None);
        let mut backoff = Backoff::new(Duration::from_millis(150), Duration::from_millis(600));
        loop {
            backoff.wait().await;
            if let Some(answer) = self.store.value::<relay::Answer>(&key).await? {
                if let Some(fault) = answer.fault {
                    let fail = format!("the API server on `{}` does not answer", answer.by);
                    return Err(Fail::failed(fail).cause(fault));
                }
                if let Some(status) = answer.status {
                    return Ok(Answer { status, body: answer.body });
                }
                taken = Some(answer.by);
            }
            let limit = if taken.is_some() { PATIENCE } else { UNTAKEN };
            if watch.elapsed() >= limit {
                return Err(unanswered(taken.as_deref(), limit));
            }
        }
    }

    async fn write(&self, request: &Request) -> Result<()> {
        let key = names::relay_key(self.store.environment());
        for _ in 0..WRITES {
            let found = self.store.read::<Inbox>(&key).await?;
            let inbox = found.as_ref().map(|found| found.value.clone()).unwrap_or_default().with(request);
            let condition = found.as_ref().map_or(Condition::Absent, |found| Condition::Same(&found.etag));
            if let Written::Yes(_) = self.store.write(&key, &inbox, condition).await? {
                return Ok(());
            }
        }
        Err(Fail::failed("cannot ask Airflow: too many others ask it just now"))
    }
}

fn unanswered(taken: Option<&str>, limit: Duration) -> Fail {
    let limit = limit.as_secs();
    match taken {
        Some(by) => Fail::failed(format!("the API server on `{by}` has not answered within {limit} s")),
        None => Fail::failed(format!("no API server has taken the request from S3 within {limit} s"))
            .hint("see whether one runs: cargo xtask status"),
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
