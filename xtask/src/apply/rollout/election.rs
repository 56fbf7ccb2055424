//! The canary of a worker set on hosts. CodeDeploy cannot pause after the first host, so they elect one in their hooks,
//! by a conditional write, and the others wait there for the word of this tool (`ductwork_airflow/hosts/canary.py`).

use super::canary::{self, Watch};
use super::targets;
use crate::doors::aws::Aws;
use crate::doors::store::{Condition, Found, Store, Written};
use crate::doors::time::{self, Stopwatch};
use crate::fail::{Fail, Result};
use crate::model::canary::{Claim, Notice, Word};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::names;
use crate::plan::canary::Verdict;
use aws_sdk_codedeploy::types::TargetStatus;
use std::time::Duration;

/// Hosts that wait take an older notice for one of a tool that has ended.
const RENEWAL: Duration = Duration::from_secs(60);

/// What a canary is of.
#[derive(Clone, Copy, Debug)]
pub struct Canary<'a> {
    pub store: &'a Store,
    pub runtime: Digest,
    /// None if there is to be none.
    pub limit: Option<Duration>,
}

/// The election for one deployment.
pub(super) struct Election<'a> {
    of: Canary<'a>,
    key: String,
    revision: &'a str,
    wait: Duration,
    open: Option<Open<'a>>,
}

struct Open<'a> {
    notice: Found<Notice>,
    written: Stopwatch,
    watch: Watch<'a>,
    limit: Duration,
    /// The host that has claimed it.
    canary: Option<String>,
    is_up: bool,
    /// Why the others must not follow, if its tasks are the reason.
    refusal: Option<Fail>,
}

impl<'a> Election<'a> {
    /// `wait` is how long a hook has for it.
    pub(super) fn new(of: Canary<'a>, set: &str, revision: &'a str, wait: Duration) -> Self {
        let key = names::canary_key(of.store.environment(), set);
        Self { of, key, revision, wait, open: None }
    }

    /// Before anything is waited for: hosts that wait for the word of a tool that was killed have to get one. If it is
    /// about the revision that is to come now without a canary, they may have it.
    pub(super) async fn prepare(&self) -> Result<()> {
        let Some(left) = self.of.store.read::<Notice>(&self.key).await? else { return Ok(()) };
        let comes = self.of.limit.is_none() && left.value.revision == self.revision;
        let (word, why) = if comes {
            (Word::Go, "")
        } else {
            (Word::No, "the release tool that watched the canary has ended, and another deployment has begun")
        };
        let settled = left.value.verdict == Some(Word::Go) || (!comes && left.value.verdict.is_some());
        if !settled {
            let notice = Notice { verdict: Some(word), why: why.to_owned(), ..left.value };
            self.write(&notice, Condition::Same(&left.etag)).await?;
        }
        Ok(())
    }

    /// Just before the deployment: from now on, its hosts elect.
    pub(super) async fn open(&mut self) -> Result<()> {
        let Some(limit) = self.of.limit else { return Ok(()) };
        let before = self.of.store.read::<Notice>(&self.key).await?;
        let value = Notice {
            revision: self.revision.to_owned(),
            token: time::ulid(),
            wait_seconds: self.wait.as_secs(),
            verdict: None,
            why: String::new(),
        };
        let condition = before.as_ref().map_or(Condition::Absent, |found| Condition::Same(&found.etag));
        let etag = self.write(&value, condition).await?;
        self.open = Some(Open {
            notice: Found { value, etag },
            written: Stopwatch::start(),
            watch: Watch::new(self.of.store, self.of.runtime, limit),
            limit,
            canary: None,
            is_up: false,
            refusal: None,
        });
        Ok(())
    }

    async fn write(&self, notice: &Notice, condition: Condition<'_>) -> Result<String> {
        match self.of.store.write(&self.key, notice, condition).await? {
            Written::Yes(etag) => Ok(etag),
            Written::Lost => {
                let what = format!("somebody else has written `{}`", self.of.store.location(&self.key));
                Err(Fail::failed(what).hint("run the same command again when nobody else deploys"))
            }
        }
    }

    /// The host that went first, as far as it is known.
    pub(super) fn canary(&self) -> Option<&str> {
        self.open.as_ref().and_then(|open| open.canary.as_deref())
    }

    /// Gives the word once it is known. What there is to be said meanwhile.
    pub(super) async fn look(
        &mut self,
        aws: &Aws,
        deployment: &str,
        group: &str,
        sink: &Sink,
    ) -> Result<String> {
        let Some(open) = self.open.as_mut().filter(|open| open.notice.value.verdict.is_none()) else {
            return Ok(String::new());
        };
        if open.canary.is_none() {
            let key = names::claim_key(self.of.store.environment(), &open.notice.value.token);
            open.canary = self.of.store.value::<Claim>(&key).await?.map(|claim| claim.host);
        }
        let Some(canary) = open.canary.clone() else {
            self.renew().await?;
            return Ok(String::new());
        };
        if !open.is_up {
            match targets::standing(aws, deployment, &canary).await? {
                Some(TargetStatus::Succeeded) => open.is_up = true,
                Some(TargetStatus::Failed | TargetStatus::Skipped) => {
                    let why = format!("its canary, {canary}, did not get the revision");
                    self.say(Word::No, &why).await?;
                    return Ok(String::new());
                }
                _ => {}
            }
        }
        let verdict = open.watch.look(std::slice::from_ref(&canary), open.is_up).await?;
        let limit = open.limit;
        match verdict {
            Verdict::Waiting => {
                let told = format!("; {canary} is the canary, {}", open.watch.told());
                self.renew().await?;
                return Ok(told);
            }
            Verdict::Proven(task) => {
                self.say(Word::Go, "").await?;
                sink.note(format!("{group}: the canary {canary} has run {task}; the others follow"));
            }
            Verdict::NothingRan => {
                self.say(Word::Go, "").await?;
                let minutes = limit.as_secs() / 60;
                sink.note(format!(
                    "{group}: no task came to the canary {canary} within {minutes} min, so it proves nothing; the others follow"
                ));
            }
            Verdict::Failed(task) => {
                open.refusal = Some(canary::failed(group, &canary, &task, limit));
                let why = format!("its canary, {canary}, has only run tasks that failed");
                self.say(Word::No, &why).await?;
            }
        }
        Ok(String::new())
    }

    /// So that hosts know that somebody watches.
    async fn renew(&mut self) -> Result<()> {
        let Some(open) = self.open.as_ref().filter(|open| open.written.elapsed() >= RENEWAL) else {
            return Ok(());
        };
        let notice = open.notice.value.clone();
        self.put(notice).await
    }

    async fn say(&mut self, word: Word, why: &str) -> Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let notice = Notice { verdict: Some(word), why: why.to_owned(), ..open.notice.value.clone() };
        self.put(notice).await
    }

    async fn put(&mut self, notice: Notice) -> Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let etag = self.write(&notice, Condition::Same(&open.notice.etag)).await?;
        if let Some(open) = &mut self.open {
            open.notice = Found { value: notice, etag };
            open.written = Stopwatch::start();
        }
        Ok(())
    }

    /// After the deployment: nobody waits any longer, whatever it has come to. Why it has failed, if the tasks of the
    /// canary are the reason.
    pub(super) async fn close(&mut self, whole: bool, group: &str, sink: &Sink) -> Option<Fail> {
        let open = self.open.as_mut()?;
        let refusal = open.refusal.take();
        if open.notice.value.verdict.is_none() {
            let stood = open.canary.is_some();
            let (word, why) = if whole { (Word::Go, "") } else { (Word::No, "the deployment has failed") };
            let said = self.say(word, why).await;
            if let Err(fail) = said {
                sink.note(format!("{group}: hosts that wait for their canary give up by themselves: {fail}"));
            }
            if whole && !stood {
                sink.note(format!("{group}: no canary, because the revision that its hosts had knows none"));
            }
        }
        refusal
    }
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
