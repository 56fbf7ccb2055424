//! Events as lines: what to print when a step ends, or at intervals where nothing can be redrawn.

use super::table::seconds;
use crate::model::event::{Ending, Event};
use std::time::Duration;

const WIDTH: usize = 16;

/// The line of a step that ended: mark, name, duration, a few words.
#[must_use]
pub fn ended(step: &str, ending: Ending, took: Duration, summary: &str) -> String {
    let mark = match ending {
        Ending::Done => "✓",
        Ending::Skipped => "·",
        Ending::Failed => "✗",
    };
    let time = seconds(took.as_secs_f64());
    format!("{mark} {step:WIDTH$} {time:>11}  {summary}").trim_end().to_owned()
}

/// The live line of a running step.
#[must_use]
pub fn running(step: &str, message: &str) -> String {
    format!("{step:WIDTH$}              {message}").trim_end().to_owned()
}

/// What a log without redraw shows of an event; progress is shown only when it is new.
#[must_use]
pub fn plain(event: &Event) -> Option<String> {
    match event {
        Event::Started { .. } | Event::Asking { .. } => None,
        Event::Progress { step, message } | Event::Note { step, message } => {
            Some(format!("  {step}: {message}"))
        }
        Event::Ended { step, ending, took, summary } => Some(ended(step, *ending, *took, summary)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_a_terminal() {
        let line = ended("stack", Ending::Done, Duration::from_millis(4230), "3 created, 1 updated");
        assert_eq!(line, "✓ stack                  4.2 s  3 created, 1 updated");
        assert_eq!(running("stack", "creating").chars().position(|c| c == 'c'), Some(3));
    }
}
