//! What a release does to a running Airflow: waits for its health, refreshes it, looks at what it runs.

use super::context::{Context, Doors, State};
use crate::doors::airflow::{Airflow, Component, Dag};
use crate::doors::backoff::Backoff;
use crate::doors::store::Store;
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::model::contract::CONTRACT;
use crate::model::dags::DagIndex;
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::objects::Pool;
use crate::model::text::count;
use crate::observe::airflow::{self as observe, ask};
use crate::observe::dags;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What has just got a revision, or seen the migration, answers within this time, also on a small machine.
const HEALTHY_WITHIN: Duration = Duration::from_secs(300);

/// Waits until every component is healthy; says at the end which are not.
pub async fn healthy(context: &Context, state: &mut State, sink: &Sink) -> Result<Vec<Component>> {
    let url = state.url(context.cloud)?;
    let doors = Doors { sink, ..context.doors() };
    let airflow = state.reached(&doors).await?;
    let watch = time::Stopwatch::start();
    let mut backoff = polling();
    loop {
        let why = match observe::health(&airflow).await {
            Ok(components) => match sick(&components) {
                None => return Ok(components),
                Some(names) => format!("not healthy: {names}"),
            },
            Err(fail) => fail.to_string(),
        };
        if watch.elapsed() >= HEALTHY_WITHIN {
            let fail = Fail::failed(format!("Airflow at `{url}` is not healthy")).cause(why);
            return Err(match &state.instead {
                Some(unreachable) => fail.cause(format!("asked through S3, as from here: {unreachable}")),
                None => fail,
            });
        }
        sink.progress(format!("waiting for Airflow: {why}"));
        backoff.wait().await;
    }
}

/// Airflow answers in milliseconds; a look every half second costs it little.
pub(super) fn polling() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_millis(500))
}

fn sick(components: &[Component]) -> Option<String> {
    let needed = ["metadatabase", "scheduler", "dag_processor", "triggerer"];
    let ill = |name: &&str| !components.iter().any(|c| c.name == **name && c.healthy);
    let names: Vec<&str> = needed.iter().filter(|name| ill(name)).copied().collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// All pools that Airflow has.
pub async fn pools(airflow: &Airflow, sink: &Sink) -> Result<BTreeMap<String, Pool>> {
    answered(airflow, sink, Airflow::pools).await
}

/// What Airflow answers, as soon as it does: its server may have been restarted just now, or have much to do.
pub(super) async fn answered<T: Send + 'static>(
    airflow: &Airflow,
    sink: &Sink,
    call: impl Fn(&Airflow) -> Result<T> + Clone + Send + 'static,
) -> Result<T> {
    let watch = time::Stopwatch::start();
    let mut backoff = polling();
    loop {
        match ask(airflow, call.clone()).await {
            Err(fail) if watch.elapsed() < PATIENCE => sink.progress(format!("waiting for Airflow: {fail}")),
            answer => return answer,
        }
        backoff.wait().await;
    }
}

/// Asks the dag-processor to refresh, then waits until Airflow has every DAG as the bundle has it. A DAG that is made
/// of the same files in the bundle that Airflow has it from is not waited for: it follows by itself. What is in the
/// bundle that was `live` before is known already.
pub async fn refreshed(
    airflow: &Airflow,
    store: &Store,
    (bundle, expected): (&Digest, &DagIndex),
    live: Option<&(Digest, DagIndex)>,
    sink: &Sink,
) -> Result<()> {
    let mut awaited = Awaited::new(store, bundle, expected, live);
    let mut standstill = time::Stopwatch::start();
    let mut most = 0;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    loop {
        let late = standstill.elapsed() >= PATIENCE;
        match awaited.look(airflow, late).await {
            Ok(true) => return broken_files(airflow, bundle, sink).await,
            Ok(false) if awaited.following > most => {
                (most, standstill) = (awaited.following, time::Stopwatch::start());
            }
            Ok(false) if late => return Err(stuck(&awaited.behind, bundle)),
            // A server that has just been restarted, or has much to do: that says nothing about the bundle.
            Err(fail) if late => return Err(fail),
            Err(fail) => sink.progress(format!("waiting for Airflow: {fail}")),
            Ok(false) => {}
        }
        if let Some(told) = awaited.progress() {
            sink.progress(told);
        }
        backoff.wait().await;
    }
}

/// How long no further DAG may follow. The dag-processor refreshes bundles by itself every few seconds and then
/// parses one file after the other, so that many DAGs take long in all, but never long for one.
const PATIENCE: Duration = Duration::from_secs(120);

/// A list of many DAGs costs Airflow a second, their number nothing: the list is read when the number says that all
/// may have followed, and at times.
const LIST_EVERY: Duration = Duration::from_secs(10);
/// Airflow gives no more of a list at once, and is not asked for pages more often than once a second on average.
const PAGE: u64 = 100;

/// A bundle's DAGs, as Airflow had them at the last look.
struct Awaited<'a> {
    store: &'a Store,
    bundle: &'a Digest,
    expected: &'a DagIndex,
    /// For each other bundle that Airflow had DAGs from: which of them are the same in this one.
    same: BTreeMap<String, BTreeSet<String>>,
    /// How many DAGs are on the bundle.
    following: u64,
    behind: Vec<String>,
    /// When Airflow's list was read last, and how many must be on the bundle before it is worth another look.
    listed: Option<(time::Stopwatch, u64)>,
    asked: bool,
}

impl<'a> Awaited<'a> {
    fn new(
        store: &'a Store,
        bundle: &'a Digest,
        expected: &'a DagIndex,
        live: Option<&(Digest, DagIndex)>,
    ) -> Self {
        let same = live.map(|(live, index)| (live.to_string(), expected.same_as(index)));
        let (same, behind) = (same.into_iter().collect(), Vec::new());
        Self { store, bundle, expected, same, following: 0, behind, listed: None, asked: false }
    }

    /// Whether all is as the bundle has it.
    async fn look(&mut self, airflow: &Airflow, late: bool) -> Result<bool> {
        if let Some((since, needed)) = &self.listed {
            let version = self.bundle.to_string();
            let count = move |airflow: &Airflow| airflow.dags_on(&CONTRACT.dags.bundle, &version);
            self.following = ask(airflow, count).await?;
            let every = LIST_EVERY.max(Duration::from_secs(self.expected.0.len() as u64 / PAGE));
            if self.following < *needed && since.elapsed() < every && !late {
                return Ok(false);
            }
        }
        self.list(airflow).await
    }

    async fn list(&mut self, airflow: &Airflow) -> Result<bool> {
        let dags = ask(airflow, |airflow| airflow.dags(&CONTRACT.dags.bundle)).await?;
        self.ask_to_refresh(airflow, &dags).await;
        self.compare(&dags).await;
        let version = self.bundle.to_string();
        let on = |dag: &&Dag| !dag.is_stale && dag.bundle_version.as_ref() == Some(&version);
        self.following = dags.iter().filter(on).count() as u64;
        self.behind = self.behind(&dags);
        let ahead = self.behind.len().max(1) as u64;
        self.listed = Some((time::Stopwatch::start(), self.following + ahead));
        // With no DAG on it, nothing says that the dag-processor has seen the bundle.
        Ok(self.behind.is_empty() && (self.following > 0 || self.expected.0.is_empty()))
    }

    /// Learns what is the same in the bundles that Airflow still has DAGs from.
    async fn compare(&mut self, dags: &[Dag]) {
        let own = self.bundle.to_string();
        let others: BTreeSet<&String> = dags.iter().filter_map(|dag| dag.bundle_version.as_ref()).collect();
        for version in others.into_iter().filter(|version| **version != own) {
            if self.same.contains_key(version) {
                continue;
            }
            let index = match version.parse() {
                Ok(digest) => dags::listed(self.store, &digest).await.ok().flatten(),
                Err(_) => None,
            };
            let same = index.map(|index| self.expected.same_as(&index)).unwrap_or_default();
            self.same.insert(version.clone(), same);
        }
    }

    fn behind(&self, dags: &[Dag]) -> Vec<String> {
        let own = self.bundle.to_string();
        let is_right = |dag: &&Dag| {
            let version = dag.bundle_version.clone().unwrap_or_default();
            let same = self.same.get(&version).is_some_and(|same| same.contains(&dag.dag_id));
            !dag.is_stale && (version == own || same)
        };
        let right: BTreeSet<&str> = dags.iter().filter(is_right).map(|dag| dag.dag_id.as_str()).collect();
        self.expected.ids().into_iter().filter(|id| !right.contains(id.as_str())).collect()
    }

    /// It only makes it quicker: the dag-processor looks by itself as well.
    async fn ask_to_refresh(&mut self, airflow: &Airflow, dags: &[Dag]) {
        if let Some(token) = dags.first().map(|dag| dag.file_token.clone()).filter(|_| !self.asked) {
            self.asked = ask(airflow, move |airflow| airflow.parse_file(&token)).await.is_ok();
        }
    }

    fn progress(&self) -> Option<String> {
        self.listed.as_ref()?;
        let (all, follow) = (self.expected.0.len(), self.following);
        Some(format!("{follow} of {all} DAGs use the new bundle"))
    }
}

fn stuck(behind: &[String], bundle: &Digest) -> Fail {
    let some: Vec<&str> = behind.iter().take(5).map(String::as_str).collect();
    Fail::failed(format!("Airflow does not run bundle `{}`", bundle.short()))
        .cause(format!("still on another one: {}, such as {}", count(behind.len(), "DAG"), some.join(", ")))
        .cause(format!("no further DAG has followed for {} s", PATIENCE.as_secs()))
        .hint("look at the dag-processor's log: a bundle that it cannot fetch or verify is only named there")
}

/// Import errors that Airflow meets though the validation did not.
async fn broken_files(airflow: &Airflow, bundle: &Digest, sink: &Sink) -> Result<()> {
    let errors = answered(airflow, sink, |airflow| airflow.import_errors(&CONTRACT.dags.bundle)).await?;
    let Some(first) = errors.first() else { return Ok(()) };
    let last = first.stack_trace.trim_end().lines().last().unwrap_or_default().to_owned();
    Err(Fail::failed(format!("Airflow cannot import {} files of bundle `{}`", errors.len(), bundle.short()))
        .cause(format!("{}: {last}", first.filename)))
}

#[cfg(test)]
#[path = "airflow_tests.rs"]
mod tests;
