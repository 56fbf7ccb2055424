//! Step `bake`: the release runs and is watched, by the alarms of its stack and by how its tasks end.
//!
//! What goes wrong with the watching is told, and never fails a release that may be good.

use super::super::context::{Before, Context, State};
use super::super::timed::Ended;
use crate::doors::airflow::Airflow;
use crate::doors::pace::{AIRFLOW, GAP};
use crate::doors::time::{self, Stopwatch};
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::text::count;
use crate::model::watched::{Alarm, Tasks};
use crate::observe::airflow::{self, ask};
use crate::observe::alarms;
use crate::plan::bake::{Alarms, fail_more_often};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LOOK: Duration = Duration::from_secs(5);
/// Airflow counts rows of its database for each answer.
const COUNT: Duration = Duration::from_secs(15);
/// How long an alarm of the rollout may take to fall silent: none of the templates looks back further on metrics that
/// a rollout interrupts.
const SETTLE: Duration = Duration::from_secs(300);
/// What is called the time before: most DAGs have run in it, those of the night, too.
const DAY: i64 = 24 * 60 * 60;
/// As many lines as fit one screen.
const MOST: usize = 8;

const ALARMS: &str = "the alarms";
const TASKS: &str = "the tasks that have ended";

pub(super) async fn run(
    context: &Context,
    length: Duration,
    release: &str,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    let mut bake = Bake::new(length, &state.before);
    loop {
        let over = bake.watch.elapsed() >= bake.length();
        let alarms = bake.look(context, over, sink).await;
        let tasks = bake.count(context, state, over, sink).await;
        if !alarms.is_empty() || tasks.is_some() {
            return Err(failed(release, &alarms, tasks.as_ref()));
        }
        if over {
            return Ok(Ended::done(format!("{}: {}", time_of(bake.watch.elapsed()), bake.told())));
        }
        let left = bake.length().saturating_sub(bake.watch.elapsed());
        sink.progress(format!("{} left; {}", time_of(left), bake.told()));
        time::sleep(LOOK.min(left).max(GAP)).await;
    }
}

struct Bake {
    watch: Stopwatch,
    least: Duration,
    alarms: Alarms,
    /// How many alarms rang at the last look, those of before included; none before the first.
    ringing: Option<usize>,
    /// What tasks of the release and of the time before are called in Airflow's filters.
    filters: (String, String),
    counted: Option<Stopwatch>,
    before: Option<Tasks>,
    now: Option<Tasks>,
    /// What could not be read when it was last tried.
    missing: BTreeSet<&'static str>,
}

/// Tasks that fail more often.
struct Worse {
    before: Tasks,
    now: Tasks,
    /// Those that failed, and how often.
    which: Vec<(String, usize)>,
}

impl Bake {
    fn new(least: Duration, before: &Before) -> Self {
        let date = |seconds: i64| time::rfc3339(seconds);
        // A task that takes longer than the release is watched is not seen to succeed: compared are those that do not.
        let earlier = format!(
            "end_date_gte={}&end_date_lte={}&duration_lte={}",
            date(before.at - DAY),
            date(before.at),
            least.as_secs()
        );
        Self {
            watch: Stopwatch::start(),
            least,
            alarms: Alarms::new(before.ringing.clone()),
            ringing: None,
            filters: (earlier, format!("start_date_gte={}", date(time::unix()))),
            counted: None,
            before: None,
            now: None,
            missing: BTreeSet::new(),
        }
    }

    /// What was asked for, or until alarms of the rollout have had their time.
    fn length(&self) -> Duration {
        if self.alarms.settling() { self.least.max(SETTLE) } else { self.least }
    }

    /// The alarms that speak against the release.
    async fn look(&mut self, context: &Context, over: bool, sink: &Sink) -> Vec<Alarm> {
        let read = alarms::ringing(&context.aws.watching(), &context.stack).await;
        let Some(ringing) = self.known(ALARMS, read, sink) else { return Vec::new() };
        let found = self.alarms.look(&ringing, over);
        if self.ringing.replace(ringing.len()).is_none() {
            self.tell(&ringing, sink);
        }
        found
    }

    /// After the first look: what of it does not count, or not yet.
    fn tell(&self, ringing: &[Alarm], sink: &Sink) {
        let before: BTreeSet<&str> = self.alarms.before().into_iter().collect();
        let (old, new): (Vec<&str>, Vec<&str>) =
            ringing.iter().map(|alarm| alarm.name.as_str()).partition(|name| before.contains(name));
        if !old.is_empty() {
            sink.note(format!("in alarm before the release, so not counted: {}", some(&old)));
        }
        if !new.is_empty() {
            sink.note(format!("in alarm since the rollout, has to be over at the end: {}", some(&new)));
        }
    }

    /// Counts tasks every now and then, and says whether they fail more often.
    async fn count(
        &mut self,
        context: &Context,
        state: &mut State,
        over: bool,
        sink: &Sink,
    ) -> Option<Worse> {
        if !over && self.counted.is_some_and(|last| last.elapsed() < COUNT) {
            return None;
        }
        self.counted = Some(Stopwatch::start());
        let read = self.counts(context, state).await;
        let (airflow, before, now) = self.known(TASKS, read, sink)?;
        (self.before, self.now) = (Some(before), Some(now));
        if !fail_more_often(before, now) {
            return None;
        }
        context.aws.pace.turn(AIRFLOW).await;
        let filters = format!("state=failed&{}", self.filters.1);
        let failed = ask(&airflow, move |airflow| airflow.last_tasks(&filters)).await.unwrap_or_default();
        Some(Worse { before, now, which: most(failed) })
    }

    async fn counts(&self, context: &Context, state: &mut State) -> Result<(Airflow, Tasks, Tasks)> {
        let airflow = state.airflow(&context.doors()).await?;
        let pace = &context.aws.pace;
        let before = match self.before {
            Some(before) => before,
            None => airflow::ended(&airflow, pace, &self.filters.0).await?,
        };
        let now = airflow::ended(&airflow, pace, &self.filters.1).await?;
        Ok((airflow, before, now))
    }

    /// What was read, or nothing; that it could not be read is told when it begins.
    fn known<T>(&mut self, what: &'static str, read: Result<T>, sink: &Sink) -> Option<T> {
        match read {
            Ok(read) => {
                self.missing.remove(what);
                Some(read)
            }
            Err(fail) => {
                if self.missing.insert(what) {
                    sink.note(format!("{what} could not be read and are asked for again: {fail}"));
                }
                None
            }
        }
    }

    /// What is known so far, in a few words.
    fn told(&self) -> String {
        let alarms = match self.ringing {
            None => "alarms unknown".to_owned(),
            Some(0) => "no alarm".to_owned(),
            Some(number) => format!("no new alarm, {number} of before"),
        };
        let tasks = match (self.now, self.before) {
            (Some(now), Some(before)) => {
                format!(
                    "{} of {} failed, {} of {} the day before",
                    now.failed,
                    count(now.ended() as usize, "task"),
                    before.failed,
                    before.ended()
                )
            }
            _ => "tasks unknown".to_owned(),
        };
        let missing = self.missing.iter().map(|what| format!("; {what} could not be read lately"));
        format!("{alarms}, {tasks}{}", missing.collect::<String>())
    }
}

/// The names, as far as they fit.
fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.iter().take(MOST).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ") + &more
}

/// Each once, with how often it is there, the most frequent first.
fn most(names: Vec<String>) -> Vec<(String, usize)> {
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        *counted.entry(name).or_default() += 1;
    }
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    counted
}

/// All that speaks against the release, on one screen.
fn failed(release: &str, alarms: &[Alarm], tasks: Option<&Worse>) -> Fail {
    let mut against = Vec::new();
    if !alarms.is_empty() {
        against.push(format!("{} since the release", count(alarms.len(), "alarm")));
    }
    against.extend(tasks.map(|_| "tasks fail more often than before".to_owned()));
    let mut fail = Fail::failed(format!("release {release} did not pass its bake: {}", against.join(", ")));
    for alarm in alarms.iter().take(MOST) {
        let words = [alarm.description.as_str(), alarm.reason.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
        fail = fail.cause(format!("alarm `{}`: {}", alarm.name, words.join(" ")));
    }
    if let Some(more) = alarms.len().checked_sub(MOST).filter(|more| *more > 0) {
        fail = fail.cause(format!("and {} more", count(more, "alarm")));
    }
    if let Some(Worse { before, now, which }) = tasks {
        let share =
            |tasks: &Tasks| format!("{} of {} ({:.1} %)", tasks.failed, tasks.ended(), tasks.rate() * 100.0);
        fail = fail.cause(format!(
            "of the tasks that began since, {} failed; of those of the day before, {}",
            share(now),
            share(before)
        ));
        let which: Vec<String> =
            which.iter().take(MOST).map(|(name, times)| format!("`{name}` ({times})")).collect();
        if !which.is_empty() {
            fail = fail.cause(format!("tasks that failed: {}", which.join(", ")));
        }
    }
    fail.hint("find out why before you release it again; logs of tasks are in Airflow, those of components in CloudWatch")
        .hint("how long a release is watched is `bake_minutes` under `[release]` in the environment file")
}

/// `9 min`, `45 s`.
fn time_of(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
#[path = "bake_tests.rs"]
mod tests;
