//! Turns plans, events, outcomes and errors into text or JSON; touches nothing.

pub mod bundle;
pub mod changes;
pub mod check;
pub mod dags;
pub mod deploy;
pub mod diff;
pub mod doctor;
pub mod error;
pub mod history;
pub mod image;
pub mod lock;
pub mod markdown;
mod parts;
pub mod plan;
pub mod progress;
pub mod release;
pub mod run;
pub mod status;
pub mod table;
pub mod upgrade_test;
pub mod wrap;

use serde::Serialize;

/// The result of a verb: its fields are the JSON document of the command-line contract.
pub trait Output: Serialize {
    /// The same for people.
    fn text(&self) -> String;

    /// The same for a page: a pull request, a wiki.
    fn markdown(&self) -> String {
        markdown::block(&self.text())
    }

    /// What a CI service shows of a whole run, if it is more than a passing look; never a secret.
    fn summary(&self) -> Option<String> {
        None
    }

    /// The document as it is printed.
    fn json(&self) -> String {
        match serde_json::to_value(self) {
            Ok(value) => format!("{value:#}\n"),
            Err(error) => format!("{{\"error\": {{\"kind\": \"bug\", \"message\": \"{error}\"}}}}\n"),
        }
    }
}

/// A result that one sentence tells.
#[derive(Debug, Serialize)]
pub struct Told<T> {
    #[serde(flatten)]
    pub document: T,
    #[serde(skip)]
    pub text: String,
}

impl<T: Serialize> Output for Told<T> {
    fn text(&self) -> String {
        self.text.clone()
    }
}
