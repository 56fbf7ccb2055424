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
        let mut lanes = Self { engine, journeys: Vec::new(), done: Mutex::default(), found: Mutex::default() };
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
    /// `start` is done before the first item of each.
    pub fn each<T: Sync>(
        &mut self,
        items: &[T],
        start: impl Fn(&Journey) + Sync,
        work: impl Fn(&Journey, &T, &mut Vec<String>) + Sync,
    ) {
        let next = AtomicUsize::new(0);
        let (done, found, engine) = (&self.done, &self.found, self.engine);
        let lane = |journey: &mut Journey| {
            let mut is_ready = false;
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut told = Vec::new();
                let tried = catch_unwind(AssertUnwindSafe(|| {
                    if !is_ready {
                        start(journey);
                    }
                    work(journey, item, &mut told);
                }));
                is_ready = tried.is_ok();
                if let Err(panic) = tried {
                    told.push(said(&*panic));
                    add(&mut done.lock().unwrap(), journey.injector.done());
                    *journey = Journey::begin(engine);
                }
                found.lock().unwrap().extend(told);
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
