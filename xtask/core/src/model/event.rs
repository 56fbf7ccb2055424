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

impl Ending {
    /// As records have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::Skipped => "skipped",
            Ending::Failed => "failed",
        }
    }
}

/// Where the events of one step go. Cheap to clone; called from any task.
#[derive(Clone)]
pub struct Sink {
    receive: Arc<dyn Fn(Event) + Send + Sync>,
    step: Arc<str>,
}

impl Sink {
    pub fn new(receive: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self { receive: Arc::new(receive), step: Arc::from("") }
    }

    /// Takes everything and shows nothing.
    #[must_use]
    pub fn null() -> Self {
        Self::new(|_| ())
    }

    /// The same receiver for the events of another step, whose name is unique within one command.
    #[must_use]
    pub fn step(&self, step: &str) -> Self {
        Self { receive: self.receive.clone(), step: Arc::from(step) }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.step
    }

    /// An event of another sink.
    pub fn receive(&self, event: Event) {
        (self.receive)(event);
    }

    fn send(&self, event: impl FnOnce(String) -> Event) {
        (self.receive)(event(self.step.to_string()));
    }

    pub fn started(&self) {
        self.send(|step| Event::Started { step });
    }

    /// What the step is doing right now.
    pub fn progress(&self, message: impl Into<String>) {
        self.send(|step| Event::Progress { step, message: message.into() });
    }

    /// A line to keep.
    pub fn note(&self, message: impl Into<String>) {
        self.send(|step| Event::Note { step, message: message.into() });
    }

    /// Somebody is about to be asked.
    pub fn asking(&self) {
        self.send(|step| Event::Asking { step });
    }

    pub fn ended(&self, ending: Ending, took: Duration, summary: impl Into<String>) {
        self.send(|step| Event::Ended { step, ending, took, summary: summary.into() });
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}
