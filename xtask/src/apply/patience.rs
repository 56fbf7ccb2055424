//! What a watcher bears. A deployment goes on without the tool, so a look that fails says nothing about it: it is
//! told, and looked at again, until nothing has been seen for too long.

use crate::doors::aws;
use crate::doors::backoff::Backoff;
use crate::doors::haste;
use crate::doors::time::Stopwatch;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use std::time::Duration;

/// How long nothing may be seen.
pub(super) const BLIND: Duration = Duration::from_secs(300);
/// Failures that do not pass by themselves, such as expired credentials or a missing right, in a row.
const REFUSALS: usize = 3;

/// Looks that fail one after the other.
pub(super) struct Patience<'a> {
    sink: &'a Sink,
    since: Option<Stopwatch>,
    refused: usize,
}

impl<'a> Patience<'a> {
    pub(super) fn new(sink: &'a Sink) -> Self {
        Self { sink, since: None, refused: 0 }
    }

    /// Something was seen.
    pub(super) fn well(&mut self) {
        (self.since, self.refused) = (None, 0);
    }

    /// Tells the first of several failures, and gives back the one that is one too many.
    pub(super) fn bear(&mut self, fail: Fail) -> Result<()> {
        self.refused = if aws::is_passing(&fail) { 0 } else { self.refused + 1 };
        let since = self.since.unwrap_or_else(|| {
            self.sink.note(format!("{fail}; still trying"));
            Stopwatch::start()
        });
        self.since = Some(since);
        if self.refused >= REFUSALS || since.elapsed() > haste::pause(BLIND) { Err(fail) } else { Ok(()) }
    }
}

/// A read on which a rollout depends, until it succeeds.
pub(super) async fn patiently<T, R: Future<Output = Result<T>>>(
    sink: &Sink,
    mut read: impl FnMut() -> R,
) -> Result<T> {
    let mut patience = Patience::new(sink);
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
    loop {
        match read().await {
            Ok(found) => return Ok(found),
            Err(fail) => patience.bear(fail)?,
        }
        backoff.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Log;
    use super::*;
    use crate::doors::signed::Refused;

    fn refused(code: &str) -> Fail {
        let error = Refused::Error { code: code.to_owned(), message: "m".to_owned() };
        aws::refused("ECS", "cannot look", &error)
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_borne_for_minutes_and_told_once() {
        let (log, watch) = (Log::default(), Stopwatch::start());
        let (sink, mut looks) = (log.sink(), 0);
        let found = patiently(&sink, || {
            looks += 1;
            let answer =
                if watch.elapsed() < BLIND { Err(refused("ThrottlingException")) } else { Ok(looks) };
            std::future::ready(answer)
        });
        assert!(found.await.unwrap() > 50);
        assert_eq!(log.lines(), "note: cannot look: ECS: ThrottlingException: m; still trying");
        let watch = Stopwatch::start();
        let never = || std::future::ready(Err::<(), _>(refused("ServiceUnavailable")));
        patiently(&Sink::null(), never).await.unwrap_err();
        assert!(watch.elapsed() > BLIND && watch.elapsed() < BLIND * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_given_up_soon() {
        for fail in [|| refused("AccessDeniedException"), || Fail::failed("there is no service")] {
            let mut looks = 0;
            let look = || {
                looks += 1;
                std::future::ready(Err::<(), _>(fail()))
            };
            patiently(&Sink::null(), look).await.unwrap_err();
            assert_eq!(looks, REFUSALS);
        }
    }
}
