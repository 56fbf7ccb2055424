//! Which steps lead from what an environment runs to what it is to run. The way back is the same plan
//! with an earlier release as its target.

use crate::model::digest::Digest;
use crate::model::release::Release;
use serde::Serialize;
use std::fmt;

/// A step of a deployment, in the only order in which steps come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The DAGs parsed by the locked Airflow.
    Validate,
    /// The stack that holds the artifact bucket.
    Bootstrap,
    /// The DAG bundle to S3.
    Bundle,
    /// Templates to S3, change set, update.
    Stack,
    /// The host revision to S3 and, group by group, to the hosts that do not run it yet.
    Hosts,
    /// The pointer, by compare-and-swap.
    Pointer,
    /// Airflow runs the bundle.
    Dags,
    /// A worker of the new revision ran a task.
    Smoke,
    /// Nothing changed: Airflow is healthy.
    Health,
}

impl Step {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Step::Bootstrap => "bootstrap",
            Step::Validate => "validate",
            Step::Bundle => "bundle",
            Step::Stack => "stack",
            Step::Hosts => "hosts",
            Step::Pointer => "pointer",
            Step::Dags => "dags",
            Step::Smoke => "smoke",
            Step::Health => "health",
        }
    }

    /// Whether two deployers must not do it at once. Parsing DAGs disturbs nobody, and without the
    /// bucket that bootstrap makes there is no place for a lease.
    #[must_use]
    pub fn needs_lease(self) -> bool {
        !matches!(self, Step::Validate | Step::Bootstrap | Step::Health)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a release is made of: the tree, or a record of what ran before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files of this tree: to be validated and uploaded.
    Tree,
    /// Artifacts that are in S3 already and were validated then.
    Record,
}

/// What is known of the environment before anything is done.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The release the pointer names.
    pub current: Option<Release>,
    /// The bundle the pointer names; it is what Airflow runs.
    pub bundle: Option<Digest>,
    /// The release that the pointer names, by its id.
    pub named: Option<String>,
    /// A deployment ended without saying so, or the stack was taken away below the records: what they
    /// say is not the whole truth.
    pub interrupted: bool,
    /// There is no artifact bucket yet.
    pub without_bucket: bool,
    /// The stack is absent, or not in a state or shape that the target asks for.
    pub stack_differs: bool,
    /// Airflow does not answer as it should.
    pub unhealthy: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub target: Release,
    pub previous: Option<String>,
    pub source: Source,
    pub steps: Vec<Step>,
    /// Hosts get the revision though they run it by the records: Airflow does not answer there.
    pub force_hosts: bool,
    /// What the hosts run has run a task before: only a rollout asks for another proof.
    pub proven: bool,
}

impl Plan {
    /// Whether the environment runs the target already.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.steps == [Step::Health]
    }
}

/// The steps to `target`.
#[must_use]
pub fn plan(target: &Release, source: Source, facts: &Facts) -> Plan {
    let known = facts.current.as_ref().filter(|_| !facts.interrupted);
    let bundle = facts.bundle != Some(target.bundle);
    let host = known.is_none_or(|current| current.host != target.host) || facts.unhealthy;
    // Two releases of the same parts, as of two commits: nobody needs the second one who did not name it.
    let renamed = source == Source::Record && facts.named.as_ref() != Some(&target.id());
    let stack = facts.stack_differs || known.is_none_or(|current| !same_stack(current, target));
    let mut steps = Vec::new();
    let mut step = |wanted: bool, step: Step| steps.extend(wanted.then_some(step));
    let changed = bundle || host || stack || renamed;
    if changed {
        let tree = source == Source::Tree;
        step(tree && (bundle || host), Step::Validate);
        step(facts.without_bucket || (tree && asks_for_provider(known, target)), Step::Bootstrap);
        step(tree && bundle, Step::Bundle);
        step(stack, Step::Stack);
        // Also after a mere stack update: hosts take their settings from its outputs.
        step(host || stack, Step::Hosts);
        step(true, Step::Pointer);
        step(bundle || facts.interrupted, Step::Dags);
        step(host || stack, Step::Smoke);
    } else {
        step(true, Step::Health);
    }
    Plan {
        // What is said of an unchanged environment is said of the release that runs.
        target: known.filter(|_| !changed).unwrap_or(target).clone(),
        previous: facts.current.as_ref().map(Release::id),
        source,
        steps,
        force_hosts: facts.unhealthy,
        proven: !host,
    }
}

/// Whether GitHub is to deploy from now on, for which the bootstrap stack has to trust it.
fn asks_for_provider(known: Option<&Release>, target: &Release) -> bool {
    let repository = |release: &Release| {
        release.parameters.get("GitHubRepository").filter(|name| !name.is_empty()).is_some()
    };
    repository(target) && !known.is_some_and(repository)
}

fn same_stack(a: &Release, b: &Release) -> bool {
    a.template == b.template && a.parameters == b.parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn release(bundle: &str, host: &str, template: &str, parameter: &str) -> Release {
        Release {
            bundle: Digest::of(bundle.as_bytes()),
            host: Digest::of(host.as_bytes()),
            template: Digest::of(template.as_bytes()),
            parameters: BTreeMap::from([("P".to_owned(), parameter.to_owned())]),
            commit: None,
        }
    }

    fn running(current: &Release) -> Facts {
        Facts {
            current: Some(current.clone()),
            named: Some(current.id()),
            bundle: Some(current.bundle),
            ..Facts::default()
        }
    }

    fn names(plan: &Plan) -> String {
        plan.steps.iter().map(|step| step.name()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_kind_of_change_has_its_steps() {
        let now = release("b", "h", "t", "p");
        let facts = running(&now);
        let steps = |target: &Release| names(&plan(target, Source::Tree, &facts));
        assert_eq!(steps(&now), "health");
        assert_eq!(steps(&release("B", "h", "t", "p")), "validate bundle pointer dags");
        assert_eq!(steps(&release("b", "H", "t", "p")), "validate hosts pointer smoke");
        assert_eq!(steps(&release("b", "h", "T", "p")), "stack hosts pointer smoke");
        assert_eq!(steps(&release("b", "h", "t", "P")), "stack hosts pointer smoke");
    }

    #[test]
    fn the_first_deployment_does_everything() {
        let facts = Facts { without_bucket: true, stack_differs: true, ..Facts::default() };
        let plan = plan(&release("b", "h", "t", "p"), Source::Tree, &facts);
        assert_eq!(names(&plan), "validate bootstrap bundle stack hosts pointer dags smoke");
        assert_eq!(plan.previous, None);
    }

    #[test]
    fn the_bootstrap_stack_is_looked_at_again_when_github_comes_in() {
        let now = release("b", "h", "t", "p");
        let mut target = now.clone();
        target.parameters.insert("GitHubRepository".to_owned(), "a/b".to_owned());
        assert_eq!(
            names(&plan(&target, Source::Tree, &running(&now))),
            "bootstrap stack hosts pointer smoke"
        );
        assert_eq!(names(&plan(&target, Source::Tree, &running(&target))), "health");
    }

    #[test]
    fn after_an_interruption_nothing_is_taken_for_granted() {
        let now = release("b", "h", "t", "p");
        let facts = Facts { interrupted: true, ..running(&now) };
        assert_eq!(names(&plan(&now, Source::Tree, &facts)), "validate stack hosts pointer dags smoke");
    }

    #[test]
    fn a_recorded_release_is_neither_validated_nor_uploaded() {
        let facts = running(&release("b", "h", "t", "p"));
        let plan = plan(&release("B", "H", "T", "P"), Source::Record, &facts);
        assert_eq!(names(&plan), "stack hosts pointer dags smoke");
    }

    #[test]
    fn a_commit_alone_changes_nothing() {
        let now = release("b", "h", "t", "p");
        let target = Release { commit: Some("another".to_owned()), ..now.clone() };
        let plan_of = |source| plan(&target, source, &running(&now));
        assert!(plan_of(Source::Tree).is_unchanged());
        assert_eq!(plan_of(Source::Tree).target.id(), now.id(), "it is what runs and what is recorded");
        assert_eq!(names(&plan_of(Source::Record)), "pointer", "whoever names a release gets it");
    }

    #[test]
    fn only_hosts_that_were_proven_need_no_proof() {
        let now = release("b", "h", "t", "p");
        let proven = |facts: &Facts, target: &Release| plan(target, Source::Tree, facts).proven;
        assert!(proven(&running(&now), &release("b", "h", "T", "p")));
        assert!(!proven(&running(&now), &release("b", "H", "t", "p")));
        assert!(!proven(&Facts { interrupted: true, ..running(&now) }, &now));
        assert!(!proven(&Facts { unhealthy: true, ..running(&now) }, &now));
    }

    proptest! {
        /// Whatever the facts: steps come in their order, once each, the pointer never before the hosts,
        /// and it is either the health check alone or a move of the pointer.
        #[test]
        fn order_and_wholeness(bits in prop::collection::vec(any::<bool>(), 9)) {
            let pick = |i: usize| if bits[i] { "x" } else { "y" };
            let now = release("x", "x", "x", "x");
            let target = release(pick(0), pick(1), pick(2), pick(3));
            let facts = Facts {
                interrupted: bits[4],
                without_bucket: bits[5],
                stack_differs: bits[6],
                unhealthy: bits[7],
                ..if bits[8] { running(&now) } else { Facts::default() }
            };
            let plan = plan(&target, Source::Tree, &facts);
            prop_assert!(plan.steps.is_sorted());
            prop_assert!(plan.steps.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert_eq!(plan.is_unchanged(), !plan.steps.contains(&Step::Pointer));
            prop_assert_eq!(plan.steps.contains(&Step::Hosts), plan.steps.contains(&Step::Smoke));
        }
    }
}
