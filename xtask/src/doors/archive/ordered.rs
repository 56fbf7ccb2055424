//! Work on many threads, results in order, with a bound on what is under way.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Runs `work` on every item on `threads` threads and hands the results to `take`, on the calling
/// thread and in the order of the items, until it returns an error. Items are begun in order and
/// only while the cost of those begun and not yet taken stays within `budget`; one always may.
///
/// `make` makes what a thread keeps from item to item.
pub(super) fn each<T: Sync, W, R: Send, E>(
    items: &[T],
    threads: NonZeroUsize,
    budget: usize,
    cost: impl Fn(&T) -> usize + Sync,
    make: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, &T) -> R + Sync,
    mut take: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.get().min(items.len());
    let line = Line { state: Mutex::new(State::new(threads)), changed: Condvar::new(), budget };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _leaving = Leaving(&line);
                let mut worker = make();
                while let Some(index) = line.next(items, &cost) {
                    line.done(index, work(&mut worker, &items[index]));
                }
            });
        }
        let _stop = Stop(&line);
        for (index, item) in items.iter().enumerate() {
            // nothing is left to wait for only when a thread has panicked, and the scope says so
            let Some(result) = line.result(index) else { break };
            take(item, result)?;
            line.taken(cost(item));
        }
        Ok(())
    })
}

struct Line<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
    budget: usize,
}

struct State<R> {
    next: usize,
    in_flight: usize,
    threads: usize,
    stopped: bool,
    done: BTreeMap<usize, R>,
}

impl<R> State<R> {
    fn new(threads: usize) -> Self {
        Self { next: 0, in_flight: 0, threads, stopped: false, done: BTreeMap::new() }
    }
}

impl<R> Line<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State<R>)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits for room and begins the next item.
    fn next<T>(&self, items: &[T], cost: impl Fn(&T) -> usize) -> Option<usize> {
        let mut state = self.lock();
        loop {
            let index = state.next;
            let cost = cost(items.get(index)?);
            if state.stopped {
                return None;
            }
            if state.in_flight == 0 || state.in_flight + cost <= self.budget {
                state.next += 1;
                state.in_flight += cost;
                return Some(index);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, index: usize, result: R) {
        self.change(|state| drop(state.done.insert(index, result)));
    }

    fn result(&self, index: usize) -> Option<R> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.done.remove(&index) {
                return Some(result);
            }
            if state.threads == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn taken(&self, cost: usize) {
        self.change(|state| state.in_flight -= cost);
    }
}

/// A thread ends; by a panic too, and then the others wait for room that would never come.
struct Leaving<'a, R>(&'a Line<R>);

impl<R> Drop for Leaving<'_, R> {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.threads -= 1;
            state.stopped |= std::thread::panicking();
        });
    }
}

/// The taker ends, by an error too: no item is begun any more.
struct Stop<'a, R>(&'a Line<R>);

impl<R> Drop for Stop<'_, R> {
    fn drop(&mut self) {
        self.0.change(|state| state.stopped = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn results_come_in_order_and_within_the_budget() {
        let items: Vec<usize> = (0..500).collect();
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |(): &mut (), item: &usize| {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            std::thread::yield_now();
            item * 2
        };
        let mut seen = Vec::new();
        let take = |_: &usize, result| {
            running.fetch_sub(1, SeqCst);
            seen.push(result);
            Ok::<(), ()>(())
        };
        each(&items, threads(8), 30, |_| 10, || (), work, take).unwrap();
        assert_eq!(seen, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn an_item_dearer_than_the_budget_goes_alone() {
        let take = |_: &usize, _: usize| Ok::<(), ()>(());
        each(&[1, 2, 3], threads(4), 0, |_| 100, || (), |(), item| *item, take).unwrap();
    }

    #[test]
    fn an_error_ends_the_work() {
        let items: Vec<usize> = (0..100_000).collect();
        let begun = AtomicUsize::new(0);
        let work = |(): &mut (), item: &usize| {
            begun.fetch_add(1, SeqCst);
            *item
        };
        let take = |_: &usize, item| if item == 3 { Err("three") } else { Ok(()) };
        assert_eq!(each(&items, threads(2), 8, |_| 1, || (), work, take), Err("three"));
        assert!(begun.into_inner() < 100);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_passed_on_and_hangs_nobody() {
        let work = |(): &mut (), item: &usize| assert!(*item != 7, "seven");
        let items: Vec<usize> = (0..50).collect();
        let _ = each(&items, threads(3), 5, |_| 1, || (), work, |_, ()| Ok::<(), ()>(()));
    }

    #[test]
    fn nothing_to_do_is_fine() {
        each(&[], threads(2), 1, |_: &u8| 1, || (), |(), _| (), |_, ()| Ok::<(), ()>(())).unwrap();
    }
}
