//! Clocks and waiting.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;
use tokio::time::Instant;

/// A moment to measure from. It stands still where a test has paused tokio's clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Seconds as records and JSON documents have them: with three decimals.
#[must_use]
pub fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Now, RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// A time in seconds since 1970, RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// Seconds since 1970.
#[must_use]
pub fn unix() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Now, for signatures.
#[must_use]
pub fn system() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// A name that sorts by time and never comes twice.
#[must_use]
pub fn ulid() -> String {
    ulid::Ulid::generate().to_string()
}

pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// For the few synchronous loops that wait for a process of this machine.
pub fn block(duration: Duration) {
    std::thread::sleep(duration);
}

/// A time as people write it: `90s`, `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let parsed = parsed.ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.filter(|duration| !duration.is_zero()).ok_or_else(|| "write `90s` or `1h 30m`".to_owned())
}

/// How long ago an RFC 3339 timestamp lies.
#[must_use]
pub fn age_seconds(timestamp: &str) -> Option<f64> {
    let then: jiff::Timestamp = timestamp.parse().ok()?;
    Some(jiff::Timestamp::now().duration_since(then).as_secs_f64())
}
