//! What is seen of a release that runs: alarms, and how tasks end.

use serde::Serialize;

/// An alarm of the environment in the state ALARM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Alarm {
    pub name: String,
    /// What it means, in the words of its template; may be empty.
    pub description: String,
    /// What CloudWatch has measured.
    pub reason: String,
    /// Seconds since 1970.
    pub since: i64,
}

/// Task instances that have ended in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// After their last try.
    pub failed: u32,
    pub succeeded: u32,
}

impl Tasks {
    #[must_use]
    pub fn ended(self) -> u32 {
        self.failed.saturating_add(self.succeeded)
    }

    /// The share that failed, from 0 to 1.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.failed == 0 { 0.0 } else { f64::from(self.failed) / f64::from(self.ended()) }
    }
}
