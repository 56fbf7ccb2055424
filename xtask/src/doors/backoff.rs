//! How long to wait before looking again: short at first, longer while nothing happens.

use super::time;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The local cloud is done in milliseconds, AWS in minutes; both are looked at by the same loop.
pub(crate) const FIRST: Duration = Duration::from_millis(50);
/// DescribeStacks and DescribeStackEvents are throttled per account at a few calls a second.
pub(crate) const LAST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    last: Duration,
}

impl Backoff {
    /// From `first` up to `last`, half as long again each time.
    pub(crate) fn new(first: Duration, last: Duration) -> Self {
        Self { next: first, last }
    }

    pub(crate) fn polling() -> Self {
        Self::new(FIRST, LAST)
    }

    /// Something happened: more may follow soon.
    pub(crate) fn hurry(&mut self) {
        self.next = (self.next / 2).max(FIRST);
    }

    /// Waits, a fifth more or less than planned, so that two watchers do not march in step.
    pub(crate) async fn wait(&mut self) {
        let random = RandomState::new().hash_one(0) % 401;
        let jitter = 0.8 + f64::from(u32::try_from(random).unwrap_or(200)) / 1000.0;
        time::sleep(self.next.mul_f64(jitter)).await;
        self.next = (self.next * 3 / 2).min(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::time::Stopwatch;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_the_last_and_shrink_when_something_happens() {
        let mut backoff = Backoff::polling();
        for _ in 0..14 {
            backoff.wait().await;
        }
        assert_eq!(backoff.next, LAST);
        let watch = Stopwatch::start();
        backoff.wait().await;
        assert!(watch.elapsed() >= LAST.mul_f64(0.8) && watch.elapsed() <= LAST.mul_f64(1.21));
        backoff.hurry();
        assert_eq!(backoff.next, LAST / 2);
    }
}
