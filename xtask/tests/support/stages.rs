//! Stages of one long test: a failure ends its own stage, not those after it.

use super::project::Project;
use super::say;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// The stages so far. Each begins with the files of the project as they were at the beginning.
pub struct Stages<'a> {
    project: &'a Project,
    recover: fn(&Project),
    failed: Vec<String>,
}

impl<'a> Stages<'a> {
    /// `recover` makes the project usable again after a stage that failed; where it fails, nothing can follow.
    pub fn new(project: &'a Project, recover: fn(&Project)) -> Self {
        Self { project, recover, failed: Vec::new() }
    }

    /// Runs the next stage and says how it went.
    pub fn run(&mut self, name: &str, stage: impl FnOnce(&Project)) {
        say(&format!("--- {name}"));
        let watch = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| stage(self.project)));
        self.project.restore();
        let seconds = watch.elapsed().as_secs();
        if ended.is_ok() {
            say(&format!("    passed after {seconds} s"));
            return;
        }
        say(&format!("    FAILED after {seconds} s"));
        self.failed.push(name.to_owned());
        let recovered = catch_unwind(AssertUnwindSafe(|| (self.recover)(self.project)));
        assert!(recovered.is_ok(), "the stages after `{name}` did not run; failed: {:#?}", self.failed);
    }

    /// Fails where a stage has.
    pub fn end(self) {
        assert!(self.failed.is_empty(), "see above for the stages that failed: {:#?}", self.failed);
    }
}
