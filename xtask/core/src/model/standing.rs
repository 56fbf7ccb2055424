//! Where a deployment stands by its record: it has ended, goes on, or was interrupted without a word.

use super::release::{Deployment, Outcome, RUNNING};
use super::text::ago;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    Ended(Outcome),
    /// Its holder is alive.
    UnderWay,
    Interrupted(Cut),
}

/// How far an interrupted deployment came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cut {
    /// The step that had begun and not ended; none between two steps.
    pub during: Option<String>,
    /// The steps that had ended before, in order.
    pub done: Vec<String>,
    /// Since its last sign of life; none if nobody can tell.
    pub seconds_ago: Option<f64>,
}

impl Standing {
    /// Of a deployment whose holder is alive or not, and gave its last sign so long ago.
    #[must_use]
    pub fn of(deployment: &Deployment, alive: bool, seconds_ago: Option<f64>) -> Self {
        if deployment.outcome != Outcome::Running {
            return Self::Ended(deployment.outcome);
        }
        if alive {
            return Self::UnderWay;
        }
        let named = |running: bool| {
            let steps = deployment.steps.iter().filter(move |step| (step.outcome == RUNNING) == running);
            steps.map(|step| step.name.clone())
        };
        Self::Interrupted(Cut { during: named(true).next_back(), done: named(false).collect(), seconds_ago })
    }

    /// In a word or two.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ended(outcome) => outcome.word(),
            Self::UnderWay => "under way",
            Self::Interrupted(_) => "interrupted",
        }
    }

    /// As JSON documents have it.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::Ended(Outcome::Deployed) => "deployed",
            Self::Ended(Outcome::Unchanged) => "unchanged",
            Self::Ended(Outcome::RolledBack) => "rolled_back",
            Self::Ended(Outcome::Failed) => "failed",
            Self::Ended(Outcome::Running) | Self::UnderWay => "running",
            Self::Interrupted(_) => "interrupted",
        }
    }

    #[must_use]
    pub fn cut(&self) -> Option<&Cut> {
        match self {
            Self::Interrupted(cut) => Some(cut),
            _ => None,
        }
    }
}

impl Cut {
    /// ``interrupted during `stack`, 3 min ago; done before that: setup, bundle``
    #[must_use]
    pub fn text(&self) -> String {
        let at = match (&self.during, self.done.last()) {
            (Some(step), _) => format!(" during `{step}`"),
            (None, Some(step)) => format!(" after `{step}`"),
            (None, None) => " before its first step".to_owned(),
        };
        let ago = self.seconds_ago.map(|seconds| format!(", {}", ago(seconds))).unwrap_or_default();
        let done = match self.done.as_slice() {
            [] => String::new(),
            done => format!("; done before that: {}", done.join(", ")),
        };
        format!("interrupted{at}{ago}{done}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::release::StepRecord;
    use super::*;

    fn deployment(outcome: Outcome, steps: &[(&str, &str)]) -> Deployment {
        let step = |(name, outcome): &(&str, &str)| StepRecord {
            name: (*name).to_owned(),
            outcome: (*outcome).to_owned(),
            ..StepRecord::default()
        };
        Deployment { outcome, steps: steps.iter().map(step).collect(), ..Deployment::default() }
    }

    #[test]
    fn a_killed_deployment_tells_how_far_it_came() {
        let text = |steps: &[(&str, &str)]| {
            let standing = Standing::of(&deployment(Outcome::Running, steps), false, Some(200.0));
            standing.cut().unwrap().text()
        };
        assert_eq!(
            text(&[("setup", "done"), ("bundle", "skipped"), ("stack", "running")]),
            "interrupted during `stack`, 3 min ago; done before that: setup, bundle"
        );
        assert_eq!(
            text(&[("setup", "done")]),
            "interrupted after `setup`, 3 min ago; done before that: setup"
        );
        assert_eq!(text(&[]), "interrupted before its first step, 3 min ago");
    }

    #[test]
    fn one_that_goes_on_or_has_ended_was_not_interrupted() {
        let running = deployment(Outcome::Running, &[("stack", "running")]);
        assert_eq!(Standing::of(&running, true, None).word(), "under way");
        let failed = Standing::of(&deployment(Outcome::Failed, &[("stack", "failed")]), false, None);
        assert_eq!((failed.id(), failed.cut()), ("failed", None));
    }
}
