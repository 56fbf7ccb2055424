//! How a verb speaks: text or JSON on standard output, progress on standard error.

pub mod ask;
mod format;
mod sink;

use crate::doors::{github, term};
use crate::fail::{Fail, Kind, Result};
use crate::model::event::Sink;
use crate::report::{Output, error, markdown};
use clap::Args;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use format::Format;

/// The environment to work on.
#[derive(Args, Clone, Debug)]
pub struct EnvArg {
    /// The environment: a file of that name in `environments/`.
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub env: String,
}

/// What to do if somebody else is deploying.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct WaitArg {
    /// If somebody else is deploying, wait up to so many minutes for the end of it.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub wait: Option<u64>,
}

/// Options that every verb takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// What goes to standard output.
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

#[derive(Clone, Debug)]
pub struct Ui {
    pub common: Common,
    /// Standard output has its one JSON document.
    said: Arc<AtomicBool>,
}

impl Ui {
    #[must_use]
    pub fn new(common: Common) -> Self {
        Self { common, said: Arc::default() }
    }

    /// A verb's result on standard output: the text, or the JSON document; and in the summary of a CI job.
    pub fn show(&self, output: &impl Output) {
        if let Some(summary) = output.summary() {
            github::add_to_summary(&summary);
        }
        match self.common.format {
            Format::Text => term::out(&output.text()),
            Format::Markdown => term::out(&output.markdown()),
            Format::Json => {
                self.said.store(true, Ordering::Relaxed);
                term::out(&output.json());
            }
        }
    }

    /// Talk: a line on standard error.
    pub fn say(&self, line: &str) {
        if !self.common.quiet {
            term::err(&format!("{line}\n"));
        }
    }

    /// An error: text on standard error, or the JSON document on standard output. If there is one already,
    /// such as a plan that has problems, the error is mere talk.
    pub fn fail(&self, fail: &Fail) {
        if github::is_workflow() {
            self.annotate(fail);
            github::add_to_summary(&markdown::failure(fail));
        }
        match self.common.format {
            Format::Json if self.said.load(Ordering::Relaxed) => term::err(&error::text(fail)),
            Format::Text | Format::Markdown => term::err(&error::text(fail)),
            Format::Json => term::out(&format!("{:#}\n", error::json(fail))),
        }
    }

    /// In a job of GitHub Actions: puts problems at their lines.
    pub fn annotate(&self, fail: &Fail) {
        if github::is_workflow() {
            term::err(&markdown::annotations(fail));
        }
    }

    /// Asks for consent. `--yes` answers; without a terminal and without `--yes` it is refused.
    pub fn consent(&self, question: &str) -> Result<()> {
        self.can_consent(question)?;
        if self.common.yes {
            return Ok(());
        }
        if term::ask(question)? {
            Ok(())
        } else {
            Err(Fail::new(Kind::Failed, "declined; nothing was changed"))
        }
    }

    /// Whether anybody can answer: a question that nobody could answer ends the work early.
    pub fn can_consent(&self, question: &str) -> Result<()> {
        if self.common.yes || term::can_ask() {
            return Ok(());
        }
        Err(Fail::usage("confirmation required, but no terminal is attached")
            .cause(question)
            .hint("look at it first with `cargo xtask plan`, then run the same command with --yes"))
    }

    /// Where steps report to: redrawn lines on a terminal, plain lines elsewhere.
    #[must_use]
    pub fn sink(&self) -> Sink {
        if self.common.quiet {
            return Sink::null();
        }
        match (term::is_live(), github::is_workflow()) {
            (true, _) => sink::live(),
            (false, true) => sink::folded(self.common.verbose),
            (false, false) => sink::plain(self.common.verbose),
        }
    }
}
