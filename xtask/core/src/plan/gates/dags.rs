//! Gate: the locked Airflow can import every DAG.

use super::{Fact, Facts, Verdict};
use crate::model::text::count;

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.dags {
        Fact::Unneeded(reason) => Verdict::Skipped(reason),
        Fact::Known(parsed) => {
            let headline =
                format!("{} in the DAGs, nothing was deployed", count(parsed.problems.len(), "problem"));
            Verdict::of(&headline, parsed.problems.clone())
        }
    }
}
