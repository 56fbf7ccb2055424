//! What is still to be done for work that Ctrl-C stops: a task that it started would go on otherwise.

use std::cell::RefCell;
use std::pin::Pin;

type Last = Pin<Box<dyn Future<Output = ()> + Send>>;

tokio::task_local! {
    static LAST: RefCell<Option<Last>>;
}

/// From now on this has to be done if the work is stopped.
pub fn at_stop(last: impl Future<Output = ()> + Send + 'static) {
    let _ = LAST.try_with(|slot| slot.replace(Some(Box::pin(last))));
}

/// The work is over: nothing is left to do.
pub fn over() {
    let _ = LAST.try_with(RefCell::take);
}

/// The outcome of work that can be stopped, which has none then; what it left to be done is done.
pub async fn and_last<T>(work: impl Future<Output = Option<T>>) -> Option<T> {
    let whole = async {
        let outcome = work.await;
        if outcome.is_none()
            && let Some(last) = LAST.with(RefCell::take)
        {
            last.await;
        }
        outcome
    };
    LAST.scope(RefCell::default(), whole).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::lease::until_stopped;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn what_is_left_is_done_only_if_the_work_was_stopped() {
        let stopped = Arc::new(AtomicUsize::new(0));
        let work = |ends: bool, over_before: bool| {
            let stopped = stopped.clone();
            async move {
                at_stop(async move {
                    stopped.fetch_add(1, Ordering::Relaxed);
                });
                if over_before {
                    over();
                }
                if !ends {
                    std::future::pending::<()>().await;
                }
            }
        };
        let soon = || async { tokio::task::yield_now().await };
        assert_eq!(and_last(until_stopped(work(true, false), std::future::pending())).await, Some(()));
        assert_eq!(stopped.load(Ordering::Relaxed), 0);
        assert_eq!(and_last(until_stopped(work(false, false), soon())).await, None);
        assert_eq!(stopped.load(Ordering::Relaxed), 1);
        assert_eq!(and_last(until_stopped(work(false, true), soon())).await, None);
        assert_eq!(stopped.load(Ordering::Relaxed), 1);
    }
}
