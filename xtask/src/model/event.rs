//! What happens while a plan is carried out, as data: `apply` says it, `report` shows it.

use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step begins. `name` is unique within one command.
    Started { step: String },
    /// What the running step is at just now; a live line, replaced by the next one.
    Progress { step: String, message: String },
    /// A line to keep, below its step.
    Note { step: String, message: String },
    /// Somebody is being asked: nothing may be redrawn until the step speaks again.
    Asking { step: String },
    /// A step ended.
    Ended {
        step: String,
        ending: Ending,
        took: Duration,
        /// A few words such as `3 uploaded`; may be empty.
        summary: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Done,
    /// There was nothing to do.
    Skipped,
    Failed,
}

/// Where events go. Cheap to clone; called from any task.
#[derive(Clone)]
pub struct Sink(Arc<dyn Fn(Event) + Send + Sync>);

impl Sink {
    pub fn new(receive: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }

    /// Takes everything and shows nothing.
    #[must_use]
    pub fn null() -> Self {
        Self::new(|_| ())
    }

    pub fn send(&self, event: Event) {
        (self.0)(event);
    }

    pub fn progress(&self, step: &str, message: impl Into<String>) {
        self.send(Event::Progress { step: step.to_owned(), message: message.into() });
    }

    pub fn note(&self, step: &str, message: impl Into<String>) {
        self.send(Event::Note { step: step.to_owned(), message: message.into() });
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}
