//! One thing wrong with an input: where, what, and the cure. Collected, never thrown one by one.

use serde::{Deserialize, Serialize};

/// Serialised as in the command-line contract of `plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A short machine word such as `unknown_key` or `import_error`.
    pub kind: String,
    /// File and key, file and line, or the name of the thing.
    #[serde(rename = "where")]
    pub location: String,
    /// The cause, lower case, no full stop.
    pub message: String,
    /// The cure, an imperative.
    pub hint: String,
}

impl Problem {
    pub fn new(
        kind: &str,
        location: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { kind: kind.to_owned(), location: location.into(), message: message.into(), hint: hint.into() }
    }
}
