//! How a verb speaks: text or JSON on standard output, progress on standard error.

use crate::doors::term;
use crate::fail::{Fail, Kind, Result};
use crate::model::event::{Event, Sink};
use crate::report::{error, progress};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document on standard output.
    Json,
}

/// Options that every verb takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// What standard output gets.
    #[arg(long, global = true, value_enum, default_value = "text", help_heading = "Common options")]
    pub format: Format,
    /// Answer yes to every question; without a terminal this is the only way to answer.
    #[arg(long, global = true, help_heading = "Common options")]
    pub yes: bool,
    /// Say nothing but the result and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Common options")]
    pub quiet: bool,
    /// Say more: every note of every step.
    #[arg(short, long, global = true, help_heading = "Common options")]
    pub verbose: bool,
}

#[derive(Debug)]
pub struct Ui {
    pub common: Common,
}

impl Ui {
    #[must_use]
    pub fn new(common: Common) -> Self {
        Self { common }
    }

    /// Data: the text, or the JSON document.
    pub fn data(&self, text: &str, json: &Value) {
        match self.common.format {
            Format::Text => term::out(text),
            Format::Json => term::out(&format!("{json:#}\n")),
        }
    }

    /// Talk: a line on standard error.
    pub fn say(&self, line: &str) {
        if !self.common.quiet {
            term::err(&format!("{line}\n"));
        }
    }

    /// An error: text on standard error, or the JSON document on standard output.
    pub fn fail(&self, fail: &Fail) {
        match self.common.format {
            Format::Text => term::err(&error::text(fail)),
            Format::Json => term::out(&format!("{:#}\n", error::json(fail))),
        }
    }

    /// Asks for consent. `--yes` answers; without a terminal and without `--yes` it is refused.
    pub fn consent(&self, question: &str) -> Result<()> {
        if self.common.yes {
            return Ok(());
        }
        if !term::can_ask() {
            return Err(Fail::usage("this needs consent, and there is no terminal to ask at")
                .cause(question)
                .hint("look at it first with `cargo xtask plan`, then run the same command with --yes"));
        }
        if term::ask(question)? {
            Ok(())
        } else {
            Err(Fail::new(Kind::Failed, "declined; nothing was changed"))
        }
    }

    /// Where steps report to: redrawn lines on a terminal, plain lines elsewhere.
    #[must_use]
    pub fn sink(&self) -> Sink {
        if self.common.quiet {
            return Sink::null();
        }
        if term::is_live() { live() } else { plain(self.common.verbose) }
    }
}

fn live() -> Sink {
    let live = term::Live::default();
    Sink::new(move |event| match event {
        Event::Started { step } => live.set(&step, &progress::running(&step, "")),
        Event::Progress { step, message } => live.set(&step, &progress::running(&step, &message)),
        Event::Note { step, message } => live.line(&format!("  {step}: {message}")),
        Event::Ended { step, ending, took, summary } => {
            live.clear(&step);
            live.line(&progress::ended(&step, ending, took, &summary));
        }
    })
}

/// Logs keep every line, so progress is told once a while only, and only when it is new.
fn plain(verbose: bool) -> Sink {
    let last: Arc<Mutex<(String, Option<crate::doors::time::Stopwatch>)>> = Arc::default();
    Sink::new(move |event| {
        if let (Event::Progress { .. }, Ok(mut last)) = (&event, last.lock()) {
            let Some(line) = progress::plain(&event) else { return };
            let recent = last.1.is_some_and(|watch| watch.elapsed().as_secs() < 10);
            if last.0 == line || (recent && !verbose) {
                return;
            }
            *last = (line, Some(crate::doors::time::Stopwatch::start()));
        }
        if let Some(line) = progress::plain(&event) {
            term::err(&format!("{line}\n"));
        }
    })
}
