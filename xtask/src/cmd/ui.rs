//! How a verb speaks: text or JSON on standard output, progress on standard error.

pub use super::format::Format;
use super::sink;
use crate::doors::term;
use crate::fail::{Fail, Kind, Result};
use crate::model::event::Sink;
use crate::report::error;
use clap::Args;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

    /// Data: the text, or the JSON document.
    pub fn data(&self, text: &str, json: &Value) {
        match self.common.format {
            Format::Text => term::out(text),
            Format::Json => {
                self.said.store(true, Ordering::Relaxed);
                term::out(&format!("{json:#}\n"));
            }
        }
    }

    /// Talk: a line on standard error.
    pub fn say(&self, line: &str) {
        if !self.common.quiet {
            term::err(&format!("{line}\n"));
        }
    }

    /// An error: text on standard error, or the JSON document on standard output. Where that has been
    /// written already, such as a plan that has problems, the error is mere talk.
    pub fn fail(&self, fail: &Fail) {
        match self.common.format {
            Format::Json if self.said.load(Ordering::Relaxed) => term::err(&error::text(fail)),
            Format::Text => term::err(&error::text(fail)),
            Format::Json => term::out(&format!("{:#}\n", error::json(fail))),
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

    /// Whether there is an answer to be had: a question that nobody could answer ends the work early.
    pub fn can_consent(&self, question: &str) -> Result<()> {
        if self.common.yes || term::can_ask() {
            return Ok(());
        }
        Err(Fail::usage("this needs consent, and there is no terminal to ask at")
            .cause(question)
            .hint("look at it first with `cargo xtask plan`, then run the same command with --yes"))
    }

    /// Where steps report to: redrawn lines on a terminal, plain lines elsewhere.
    #[must_use]
    pub fn sink(&self) -> Sink {
        if self.common.quiet {
            return Sink::null();
        }
        if term::is_live() { sink::live() } else { sink::plain(self.common.verbose) }
    }
}
