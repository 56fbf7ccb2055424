//! A step's beginning, end and record.

use crate::doors::{env, proc, time};
use crate::fail::Result;
use crate::model::event::{Ending, Sink};
use crate::model::release::StepRecord;
use std::pin::Pin;
use std::time::Duration;

/// How a step ended: with something done, or with nothing to do; and a few words about it.
#[derive(Debug)]
pub struct Ended {
    pub ending: Ending,
    pub summary: String,
}

impl Ended {
    pub fn done(summary: impl Into<String>) -> Self {
        Self { ending: Ending::Done, summary: summary.into() }
    }

    /// The step found what it was looking for: problems.
    pub fn failed(summary: impl Into<String>) -> Self {
        Self { ending: Ending::Failed, summary: summary.into() }
    }

    pub fn skipped(summary: impl Into<String>) -> Self {
        Self { ending: Ending::Skipped, summary: summary.into() }
    }
}

/// Tells the beginning and the end of the sink's step, and keeps its record. The work of a step has a place of its own in
/// memory: it is much for a stack.
pub fn timed<'a, T: 'a>(
    sink: &'a Sink,
    records: &'a mut Vec<StepRecord>,
    work: impl Future<Output = Result<(Ended, T)>> + Send + 'a,
) -> impl Future<Output = Result<T>> + Send + 'a {
    told(sink, records, Box::pin(work))
}

async fn told<T>(
    sink: &Sink,
    records: &mut Vec<StepRecord>,
    work: Pin<Box<impl Future<Output = Result<(Ended, T)>>>>,
) -> Result<T> {
    let (watch, started) = (time::Stopwatch::start(), time::now());
    sink.started();
    let result = work.await;
    let took = watch.elapsed();
    let (ending, summary) = match &result {
        Ok((ended, _)) => (ended.ending, ended.summary.clone()),
        Err(_) => (Ending::Failed, String::new()),
    };
    sink.ended(ending, took, summary.clone());
    records.push(StepRecord { started: Some(started), summary, ..record(sink.name(), ending, took) });
    if env::stop_after().as_deref() == Some(sink.name()) {
        proc::kill_self();
    }
    result.map(|(_, value)| value)
}

fn record(name: &str, ending: Ending, took: Duration) -> StepRecord {
    let (name, outcome) = (name.to_owned(), ending.word().to_owned());
    StepRecord { name, outcome, seconds: time::seconds(took), ..StepRecord::default() }
}
