//! Environments side by side, each on a local cloud of its own, which share what there is to try.

use crate::injector::Done;
use crate::journey::{Journey, said};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most of the time a command waits for an answer that does not come.
pub const COUNT: usize = 3;

pub struct Lanes {
    engine: &'static str,
    journeys: Vec<Journey>,
    /// What was done on those that are gone.
    done: Mutex<Done>,
    found: Mutex<Vec<String>>,
}

impl Lanes {
    pub fn begin(engine: &'static str, count: usize) -> Self {
        let mut lanes =
            Self { engine, journeys: Vec::new(), done: Mutex::default(), found: Mutex::default() };
        lanes.widen(count);
        lanes
    }

    /// To at least so many.
    pub fn widen(&mut self, count: usize) {
        while self.journeys.len() < count {
            self.journeys.push(Journey::begin(self.engine));
        }
    }

    /// Tries every item where there is room. One that panics is a defect, and what it was tried on is thrown away;
    /// what comes before the first item on each and after the last is done by `frame`.
    pub fn each<T: Sync>(
        &mut self,
        items: &[T],
        frame: [fn(&Journey); 2],
        work: impl Fn(&Journey, &T, &mut Vec<String>) + Sync,
    ) {
        let next = AtomicUsize::new(0);
        let (done, found, engine) = (&self.done, &self.found, self.engine);
        let tried = |journey: &mut Journey, work: &dyn Fn(&Journey, &mut Vec<String>)| {
            let mut told = Vec::new();
            let tried = catch_unwind(AssertUnwindSafe(|| work(journey, &mut told)));
            if let Err(panic) = &tried {
                told.push(said(&**panic));
                add(&mut done.lock().unwrap(), journey.injector.done());
                *journey = Journey::begin(engine);
            }
            found.lock().unwrap().extend(told);
            tried.is_ok()
        };
        let lane = |journey: &mut Journey| {
            let mut is_ready = false;
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                is_ready = tried(journey, &|journey, told| {
                    if !is_ready {
                        frame[0](journey);
                    }
                    work(journey, item, told);
                });
            }
            if is_ready {
                tried(journey, &|journey, _| frame[1](journey));
            }
        };
        std::thread::scope(|scope| {
            for journey in &mut self.journeys {
                scope.spawn(|| lane(journey));
            }
        });
    }

    /// What was done, and the defects.
    pub fn end(self) -> (Done, Vec<String>) {
        let mut done = self.done.into_inner().unwrap();
        for journey in &self.journeys {
            add(&mut done, journey.injector.done());
        }
        (done, self.found.into_inner().unwrap())
    }
}

fn add(sum: &mut Done, more: Done) {
    for (key, count) in more {
        *sum.entry(key).or_default() += count;
    }
}
