//! The record of a deployment while it goes on, so that one that is killed tells how far it came.
//!
//! S3 appends nothing, so the record is one document that is written again when a step begins, ends or says something
//! worth keeping. That happens beside the work and in order; whatever happens meanwhile goes into the next write
//! together, so no step waits for S3. The first write goes beside the first step, the last with the outcome, and these
//! two are waited for. The end of a step is written with what follows it. Progress lines are not kept.

use crate::doors::store::{Condition, Store, Written};
use crate::doors::time::{self, Stopwatch};
use crate::fail::{Fail, Kind, Result};
use crate::model::event::{Event, Sink};
use crate::model::names;
use crate::model::release::{Deployment, Outcome, RUNNING, StepRecord};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// More lines of a step are not kept: of thousands of hosts each may say one.
const NOTES: usize = 50;
/// Longer lines are cut, in characters.
const NOTE: usize = 500;

/// Ends with [`Journal::end`]; one that is dropped before leaves the record as it was written last.
pub struct Journal {
    pages: Arc<Pages>,
    writer: Option<JoinHandle<()>>,
}

struct Pages {
    store: Store,
    draft: Mutex<Deployment>,
    watch: Stopwatch,
    changed: Notify,
    /// The tag of the record as it was written last. Who holds it is the only one who writes.
    tag: tokio::sync::Mutex<Option<String>>,
}

impl Journal {
    /// Of a deployment that began when `watch` did. Writes nothing yet.
    #[must_use]
    pub fn new(store: &Store, deployment: Deployment, watch: Stopwatch) -> Self {
        let pages = Pages {
            store: store.clone(),
            draft: Mutex::new(deployment),
            watch,
            changed: Notify::new(),
            tag: tokio::sync::Mutex::default(),
        };
        Self { pages: Arc::new(pages), writer: None }
    }

    /// A sink that hands everything on, and keeps what is worth it.
    #[must_use]
    pub fn listen(&self, to: &Sink) -> Sink {
        let (pages, to) = (self.pages.clone(), to.clone());
        Sink::new(move |event| {
            if pages.keep(&event) == Kept::AtOnce {
                pages.changed.notify_one();
            }
            to.receive(event);
        })
    }

    /// Writes the record for the first time, under the lease with this token; does nothing if that was done. That it
    /// cannot be written is told at the end.
    pub async fn begin(&mut self, token: u64) {
        if self.writer.is_some() {
            return;
        }
        self.pages.draft().token = Some(token);
        let _ = self.pages.save().await;
        let pages = self.pages.clone();
        self.writer = Some(tokio::spawn(async move {
            loop {
                pages.changed.notified().await;
                let _ = pages.save().await;
            }
        }));
    }

    /// The last write, if the lease is held, with this token: `complete` adds how it ended.
    pub async fn end(
        self,
        token: Option<u64>,
        complete: impl FnOnce(&mut Deployment),
    ) -> (Deployment, Result<()>) {
        complete(&mut self.pages.draft());
        let written = match token {
            Some(_) => {
                self.pages.draft().token = token;
                self.pages.save().await
            }
            None => Ok(()),
        };
        // What the writer is told of from now on is written already.
        (self.pages.draft().clone(), written)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

/// When an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Not,
    AtOnce,
    /// Another event follows at once: a write on the way would only hold that one up.
    WithTheNext,
}

impl Pages {
    fn draft(&self) -> std::sync::MutexGuard<'_, Deployment> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, event: &Event) -> Kept {
        let mut draft = self.draft();
        let steps = &mut draft.steps;
        match event {
            // A part of the step, such as a layer of an image.
            Event::Started { .. } if steps.iter().any(|one| one.outcome == RUNNING) => return Kept::Not,
            Event::Started { step } => steps.push(StepRecord {
                name: step.clone(),
                outcome: RUNNING.to_owned(),
                started: Some(time::now()),
                ..StepRecord::default()
            }),
            Event::Note { step, message } => {
                let Some(of) = steps.iter_mut().rev().find(|one| one.name == *step) else { return Kept::Not };
                if of.notes.len() == NOTES {
                    return Kept::Not;
                }
                of.notes.push(message.chars().take(NOTE).collect());
            }
            Event::Ended { step, ending, took, summary } => {
                let open = |one: &&mut StepRecord| one.name == *step && one.outcome == RUNNING;
                let Some(of) = steps.iter_mut().rev().find(open) else { return Kept::Not };
                ending.word().clone_into(&mut of.outcome);
                of.seconds = time::seconds(*took);
                of.summary.clone_from(summary);
                return Kept::WithTheNext;
            }
            Event::Progress { .. } | Event::Asking { .. } => return Kept::Not,
        }
        Kept::AtOnce
    }

    /// Writes the draft as it is now, after every write that has begun before.
    async fn save(&self) -> Result<()> {
        let mut tag = self.tag.lock().await;
        let draft = {
            let mut draft = self.draft();
            if draft.outcome == Outcome::Running {
                draft.seconds = time::seconds(self.watch.elapsed());
            }
            draft.clone()
        };
        let key = names::deployment_key(self.store.environment(), &draft.deployment);
        for _ in 0..2 {
            let condition = tag.as_deref().map_or(Condition::Absent, Condition::Same);
            match self.store.write(&key, &draft, condition).await? {
                Written::Yes(new) => {
                    *tag = Some(new);
                    return Ok(());
                }
                // An earlier write was carried out although its answer never came.
                Written::Lost => *tag = self.store.read::<Deployment>(&key).await?.map(|found| found.etag),
            }
        }
        Err(Fail::new(Kind::Failed, format!("somebody else writes `{}`", self.store.location(&key))))
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
