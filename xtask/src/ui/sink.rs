//! Where events become lines: redrawn on a terminal, added to a log elsewhere.

use crate::doors::{term, time};
use crate::model::event::{Event, Sink};
use crate::report::{markdown, progress};
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that are redrawn while a step runs.
#[must_use]
pub fn live() -> Sink {
    let live = term::Live::default();
    Sink::new(move |event| match event {
        Event::Started { step } => live.set(&step, &progress::running(&step, "")),
        Event::Progress { step, message } => live.set(&step, &progress::running(&step, &message)),
        Event::Note { step, message } => live.line(&format!("  {step}: {message}")),
        Event::Asking { step } => live.clear(&step),
        Event::Ended { step, ending, took, summary } => {
            live.clear(&step);
            live.line(&progress::ended(&step, ending, took, &summary));
        }
    })
}

/// Logs keep every line, so progress is told once a while only, and only when it is new.
#[must_use]
pub fn plain(verbose: bool) -> Sink {
    let last: Arc<Mutex<(String, Option<time::Stopwatch>)>> = Arc::default();
    Sink::new(move |event| {
        if let (Event::Progress { .. }, Ok(mut last)) = (&event, last.lock()) {
            let Some(line) = progress::plain(&event) else { return };
            let recent = last.1.is_some_and(|watch| watch.elapsed().as_secs() < 10);
            if last.0 == line || (recent && !verbose) {
                return;
            }
            *last = (line, Some(time::Stopwatch::start()));
        }
        if let Some(line) = progress::plain(&event) {
            term::err(&format!("{line}\n"));
        }
    })
}

/// A log that folds the lines of each step, as GitHub Actions does it. Of steps that run at the same time the first one
/// opens the fold, and the others speak inside it.
#[must_use]
pub fn folded(verbose: bool) -> Sink {
    let (inner, open) = (plain(verbose), Mutex::new(None::<String>));
    Sink::new(move |event| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            Event::Started { step } if open.is_none() => {
                term::err(&format!("{}\n", markdown::group(step)));
                *open = Some(step.clone());
            }
            Event::Ended { step, .. } if open.as_ref() == Some(step) => {
                term::err("::endgroup::\n");
                *open = None;
            }
            _ => {}
        }
        inner.receive(event);
    })
}
