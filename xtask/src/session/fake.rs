//! Deployments ready to be carried out, for tests of what carries them out.

use super::prepare::Prepared;
use crate::apply::context::{Context, Progress};
use crate::doors::time::{self, Stopwatch};
use crate::model::dags::DagDiff;
use crate::plan::deployment::{Facts, Plan};
use crate::ui::{Common, Ui};

/// Of a plan that no gate has refused.
pub fn prepared(context: Context, facts: Facts, plan: Plan, progress: Progress) -> Prepared {
    Prepared {
        context,
        facts,
        plan,
        gates: Vec::new(),
        decision: None,
        dags: DagDiff::default(),
        promoted: None,
        progress,
        started: time::now(),
        watch: Stopwatch::start(),
    }
}

pub fn quiet() -> Ui {
    Ui::new(Common { quiet: true, ..Common::default() })
}
