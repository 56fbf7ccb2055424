//! A value that must not be seen (no `Display`, no `Serialize`, a `Debug` that shows nothing), and what may be said of
//! where it is kept.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; each call is a place to look at in review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A secret that components read as they start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSecret {
    /// Its name or ARN.
    pub id: String,
    /// Whether workers read it too.
    pub on_workers: bool,
}

/// The version of each secret, by the secret's name.
pub type Versions = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
