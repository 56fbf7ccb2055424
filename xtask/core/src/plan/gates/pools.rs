//! Gate: no pool of the release has the name of one that people made.

use super::{Fact, Facts, Verdict};

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.pools {
        Fact::Unneeded(reason) => Verdict::Skipped(reason),
        Fact::Known(problems) => Verdict::of("pools of these names are there already", problems.clone()),
    }
}
