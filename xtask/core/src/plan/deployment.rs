//! Which steps lead from what an environment runs to a release. A rollback is the same plan for an
//! earlier release.

use super::contents::same_to_dags;
use super::migration::{self, Moving};
use super::running::Running;
use crate::model::digest::Digest;
use crate::model::objects::Pool;
use crate::model::release::{Release, Runtime, StackSpec};
use crate::model::schema::Migration;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A step of a deployment with everything it needs, in the only order in which steps come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The stack that holds the artifact bucket.
    Bootstrap,
    /// The DAG bundle to S3.
    Bundle(Digest),
    /// The container image to its registry.
    Image(Digest),
    /// Those of external tasks, by their digests, which the stack is about to name.
    TaskImages(Vec<String>),
    /// The same as `stack` on the image that runs, before the stack gets a new one: CloudFormation starts services
    /// whose other properties change, and would start them on an image that the database is not migrated for.
    Platform { spec: StackSpec, release: String },
    /// Templates to S3, change set, update; every resource that is touched is tagged with the release.
    Stack { spec: StackSpec, release: String },
    /// A snapshot of the database by RDS, before its schema changes.
    Snapshot { engine: String, release: String },
    /// The database to the schema of the release, once, by the new code and before anything runs it.
    Migration(Box<Moving>),
    /// The database back to an earlier schema, by the code that runs now, before the earlier one comes back.
    Downgrade(Box<Moving>),
    /// The runtime to S3 and to everything that does not run it yet.
    Rollout(Rollout),
    /// The pools of the release in Airflow, before any DAG asks for them.
    Pools(BTreeMap<String, Pool>),
    /// The release recorded, and the pointer moved to it by compare-and-swap.
    Pointer(Box<Release>),
    /// Airflow runs the bundle.
    Dags(Digest),
    /// A worker of this runtime ran a task.
    Smoke { runtime: Runtime, release: String },
    /// The release is watched: it is taken back if an alarm rings or tasks fail more often than before.
    Bake { length: Duration, release: String },
    /// Nothing changed: Airflow is healthy.
    Health,
}

/// What is brought to hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollout {
    pub runtime: Runtime,
    pub repeat: Repeat,
    /// How long the others of a worker set wait until the first one has run a task; none if nobody waits.
    pub canary: Option<Duration>,
}

/// What happens to hosts that run the revision already, as far as their deployment service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// They are left alone.
    No,
    /// They get it again, because Airflow does not answer as it should.
    Yes,
}

impl Step {
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Step::Bootstrap => "bootstrap",
            Step::Bundle(_) => "bundle",
            Step::Image(_) => "image",
            Step::TaskImages(_) => "task images",
            Step::Platform { .. } => "platform",
            Step::Stack { .. } => "stack",
            Step::Snapshot { .. } => "snapshot",
            Step::Migration(_) => "migration",
            Step::Downgrade(_) => "downgrade",
            Step::Rollout(Rollout { runtime: Runtime::Hosts(_), .. }) => "hosts",
            Step::Rollout(Rollout { runtime: Runtime::Services(_), .. }) => "services",
            Step::Pools(_) => "pools",
            Step::Pointer(_) => "pointer",
            Step::Dags(_) => "dags",
            Step::Smoke { .. } => "smoke",
            Step::Bake { .. } => "bake",
            Step::Health => "health",
        }
    }

    /// Whether two deployments must not do it at once. A lease has nowhere to be before `bootstrap` has
    /// made the bucket.
    #[must_use]
    pub fn needs_lease(&self) -> bool {
        !matches!(self, Step::Bootstrap | Step::Health)
    }

    /// Whether CloudFormation, CodeDeploy or ECS go on with it if this command ends.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        use Step::{Bootstrap, Downgrade, Migration, Platform, Rollout, Stack};
        matches!(self, Bootstrap | Platform { .. } | Stack { .. } | Migration(_) | Downgrade(_) | Rollout(_))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Where a release comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files of this tree: to be checked and uploaded.
    Tree,
    /// A release that another environment has recorded: its artifacts were checked there, and are to be brought here.
    Promotion,
    /// A recorded release, whose artifacts are in S3 and were checked then.
    Record,
}

/// What is known of the environment before anything is done.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub running: Running,
    /// The release that the pointer names, whether or not all of it runs.
    pub previous: Option<Release>,
    /// There is no artifact bucket yet.
    pub without_bucket: bool,
    /// The stack does not exist, or is not in the state or shape that the release asks for.
    pub stack_differs: bool,
    /// Airflow does not answer as it should.
    pub unhealthy: bool,
    /// The secrets that have changed since hosts read them, by name.
    pub secrets: Vec<String>,
    /// How long a release is watched. A rollback never is: its release was, and the alarms of the one that failed may
    /// still ring.
    pub bake: Option<Duration>,
    /// How long the others of a worker set wait for the first one. Nobody does in a rollback: what it brings has run
    /// tasks before, and what it replaces is bad.
    pub canary: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub release: Release,
    pub previous: Option<String>,
    pub source: Source,
    /// Whether the DAGs have to be parsed before any step.
    pub validates: bool,
    /// The secrets that hosts have to read again.
    pub secrets: Vec<String>,
    /// What happens to the database on the way.
    pub migration: Option<Migration>,
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether the environment runs the release already.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.steps == [Step::Health]
    }

    /// Everything that happens, in order and by name.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let validate = self.validates.then_some("validate");
        validate.into_iter().chain(self.steps.iter().map(Step::name)).collect()
    }

    #[must_use]
    pub fn has(&self, step: &str) -> bool {
        self.steps.iter().any(|one| one.name() == step)
    }

    /// Whether anything reaches hosts.
    #[must_use]
    pub fn rolls_out(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Rollout(_)))
    }
}

/// The steps to `release`.
#[must_use]
pub fn plan(release: &Release, source: Source, facts: &Facts) -> Plan {
    let running = &facts.running;
    let bundle = running.bundle != Some(release.bundle);
    let dags = running.dags != Some(release.bundle);
    let runtime = running.runtime != Some(release.runtime) || facts.unhealthy;
    let stack = facts.stack_differs || running.stack.as_ref() != Some(&release.stack);
    let variables = running.stack.as_ref().is_some_and(|stack| !same_to_dags(stack, &release.stack));
    // Two releases of the same parts, such as of two commits: only someone who names the second one wants it.
    let renamed = source != Source::Tree && running.release.as_deref() != Some(release.id());
    let pools = running.pools.as_ref() != Some(&release.objects.pools);
    let objects = running.objects.as_ref() != Some(&release.objects);
    let secrets = !facts.secrets.is_empty();
    let migration = migration::of(release, facts);
    let image = running.image != release.image;
    let changed = bundle
        || image
        || dags
        || runtime
        || stack
        || pools
        || objects
        || renamed
        || secrets
        || migration.is_some();
    let tasks = release.stack.task_images().any(|image| !ran(running, image));
    let rollout = runtime || stack || secrets || migration.is_some();
    let sends = source != Source::Record;
    let repeat = if facts.unhealthy { Repeat::Yes } else { Repeat::No };
    let id = || release.id().to_owned();
    let moves = migration::steps(migration.as_ref(), release, facts);
    let wanted = |wanted: bool, step: Step| wanted.then_some(step);
    let uploads = [
        wanted(facts.without_bucket || (sends && asks_for_provider(running, release)), Step::Bootstrap),
        wanted(sends && bundle, Step::Bundle(release.bundle)),
        release.image.filter(|_| sends && image).map(Step::Image),
        wanted(sends && tasks, Step::TaskImages(release.stack.task_images().map(str::to_owned).collect())),
    ];
    let stacks = [
        platform(running, &release.stack)
            .filter(|_| stack)
            .map(|spec| Step::Platform { spec, release: id() }),
        wanted(stack, Step::Stack { spec: release.stack.clone(), release: id() }),
    ];
    // With nothing before it, there is nothing to go back to, and no task to be waited for.
    let canary = facts.canary.filter(|_| facts.previous.is_some());
    let goes_live = [
        // After a mere stack update too: hosts read settings from its outputs, and tasks have theirs from it.
        wanted(rollout, Step::Rollout(Rollout { runtime: release.runtime, repeat, canary })),
        wanted(pools, Step::Pools(release.objects.pools.clone())),
        wanted(true, Step::Pointer(Box::new(release.clone()))),
        wanted(dags, Step::Dags(release.bundle)),
        wanted(rollout, Step::Smoke { runtime: release.runtime, release: id() }),
        // With nothing before it, there is nothing to compare with, nor to go back to.
        facts.bake.filter(|_| facts.previous.is_some()).map(|length| Step::Bake { length, release: id() }),
    ];
    let steps = uploads.into_iter().flatten().chain(moves.first).chain(stacks.into_iter().flatten());
    let steps = steps.chain(moves.after_stack).chain(goes_live.into_iter().flatten());
    Plan {
        // What is said of an unchanged environment is said of the release that runs.
        release: facts.previous.as_ref().filter(|_| !changed).unwrap_or(release).clone(),
        previous: facts.previous.as_ref().map(|release| release.id().to_owned()),
        source,
        secrets: facts.secrets.clone(),
        migration,
        validates: source == Source::Tree && changed && (bundle || runtime || variables || objects),
        steps: if changed { steps.collect() } else { vec![Step::Health] },
    }
}

/// Whether the stack names the image for an external task already.
fn ran(running: &Running, image: &str) -> bool {
    running.stack.as_ref().is_some_and(|stack| stack.task_images().any(|known| known == image))
}

/// The stack on the image that runs, if more than its image changes. Of a stack that nobody knows, more may.
fn platform(running: &Running, target: &StackSpec) -> Option<StackSpec> {
    let (runs, wanted) = (running.served.as_deref()?, target.image()?);
    let mut first = target.clone().with_image(runs);
    if target.has_flower() && running.stack.as_ref().is_some_and(|stack| !stack.has_flower()) {
        // The image that runs may not know it, so it comes with the new one.
        first = first.without_flower();
    }
    let alone = running.stack.as_ref().is_some_and(|stack| stack.clone().with_image(runs) == first);
    (runs != wanted && !alone).then_some(first)
}

/// Whether GitHub is to deploy from now on, for which the bootstrap stack has to trust it.
fn asks_for_provider(running: &Running, release: &Release) -> bool {
    let asks =
        |stack: &StackSpec| stack.parameters.get("GitHubRepository").is_some_and(|name| !name.is_empty());
    asks(&release.stack) && !running.stack.as_ref().is_some_and(asks)
}

#[cfg(test)]
mod tests {
    use super::super::running::{Records, Served};
    use super::*;
    use crate::model::commit::Commit;
    use crate::model::engine::Engine;
    use crate::model::objects::{Objects, Variable};
    use crate::model::release::{Parts, Pointer};
    use proptest::prelude::*;

    fn parts(bundle: &str, host: &str, template: &str, parameter: &str) -> Parts {
        Parts {
            bundle: Digest::of(bundle.as_bytes()),
            templates: None,
            image: None,
            engine: Engine::Ec2,
            runtime: Runtime::Hosts(Digest::of(host.as_bytes())),
            stack: StackSpec {
                template: Digest::of(template.as_bytes()),
                parameters: BTreeMap::from([("P".to_owned(), parameter.to_owned())]),
            },
            objects: Objects::default(),
            schema: None,
            commit: None,
            git: None,
        }
    }

    fn release(bundle: &str, host: &str, template: &str, parameter: &str) -> Release {
        Release::new(parts(bundle, host, template, parameter))
    }

    fn recorded(current: &Release, records: Records) -> Facts {
        let pointer = Pointer::next(None, current);
        Facts {
            running: Running::recorded(Some(&pointer), Some(current), records),
            previous: Some(current.clone()),
            ..Facts::default()
        }
    }

    fn running(current: &Release) -> Facts {
        recorded(current, Records::Trusted)
    }

    fn names(plan: &Plan) -> String {
        plan.names().join(" ")
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
    fn a_release_is_watched_once_it_runs_and_never_on_the_way_back() {
        let (now, target) = (release("b", "h", "t", "p"), release("B", "H", "t", "p"));
        let facts = Facts { bake: Some(Duration::from_secs(600)), ..running(&now) };
        let steps = |target: &Release| names(&plan(target, Source::Tree, &facts));
        assert_eq!(steps(&target), "validate bundle hosts pointer dags smoke bake");
        assert_eq!(steps(&release("B", "h", "t", "p")), "validate bundle pointer dags bake");
        assert_eq!(steps(&now), "health");
        let plan_of = |target: &Release, facts: &Facts| names(&plan(target, Source::Record, facts));
        let back = Facts { bake: None, ..after(&facts, &target, usize::MAX) };
        assert_eq!(plan_of(&now, &back), "hosts pointer dags smoke");
        let first = Facts { bake: facts.bake, ..fresh() };
        assert!(!plan(&now, Source::Tree, &first).has("bake"), "there is nothing to go back to");
    }

    #[test]
    fn one_of_a_worker_set_goes_first_unless_there_is_nothing_before() {
        let (now, target) = (release("b", "h", "t", "p"), release("b", "H", "t", "p"));
        let canary = Some(Duration::from_secs(600));
        let of = |facts: Facts| {
            let steps = plan(&target, Source::Tree, &Facts { canary, ..facts }).steps;
            steps.iter().find_map(|step| if let Step::Rollout(one) = step { Some(one.canary) } else { None })
        };
        assert_eq!(of(running(&now)), Some(canary));
        assert_eq!(of(fresh()), Some(None));
        assert!(
            !plan(&now, Source::Tree, &Facts { canary, ..running(&now) }).rolls_out(),
            "it restarts nothing"
        );
    }

    /// Whoever kills a deployment while its release is watched leaves it in doubt: the next one watches it again.
    #[test]
    fn a_release_whose_watch_was_interrupted_is_watched_again() {
        let now = release("b", "h", "t", "p");
        let facts = Facts { bake: Some(Duration::from_secs(600)), ..recorded(&now, Records::Doubtful) };
        let again = names(&plan(&now, Source::Tree, &facts));
        assert_eq!(again, "validate stack hosts pools pointer dags smoke bake");
    }

    #[test]
    fn a_changed_secret_is_read_again() {
        let now = release("b", "h", "t", "p");
        let facts = Facts { secrets: vec!["ductwork/dev/login/google".to_owned()], ..running(&now) };
        let plan = plan(&now, Source::Tree, &facts);
        assert_eq!(names(&plan), "hosts pointer smoke");
        assert_eq!((plan.secrets, plan.release), (facts.secrets, now));
    }

    #[test]
    fn a_promoted_release_is_sent_and_not_parsed_again() {
        let now = release("b", "h", "t", "p");
        let steps = |target: &Release| names(&plan(target, Source::Promotion, &running(&now)));
        assert_eq!(steps(&release("B", "H", "t", "p")), "bundle hosts pointer dags smoke");
        assert_eq!(steps(&now), "health");
    }

    #[test]
    fn the_first_deployment_does_everything() {
        let facts = Facts { without_bucket: true, stack_differs: true, ..fresh() };
        let plan = plan(&release("b", "h", "t", "p"), Source::Tree, &facts);
        assert_eq!(names(&plan), "validate bootstrap bundle stack hosts pointer dags smoke");
        assert_eq!(plan.previous, None);
    }

    #[test]
    fn the_bootstrap_stack_is_looked_at_again_when_github_comes_in() {
        let now = release("b", "h", "t", "p");
        let mut parts = parts("b", "h", "t", "p");
        parts.stack.parameters.insert("GitHubRepository".to_owned(), "a/b".to_owned());
        let target = Release::new(parts);
        assert_eq!(
            names(&plan(&target, Source::Tree, &running(&now))),
            "bootstrap stack hosts pointer smoke"
        );
        assert_eq!(names(&plan(&target, Source::Tree, &running(&target))), "health");
    }

    #[test]
    fn dags_are_parsed_again_when_their_variables_change() {
        let with = |value: &str| {
            let mut parts = parts("b", "h", "t", "p");
            parts.stack.parameters.insert("EnvironmentVariables".to_owned(), value.to_owned());
            Release::new(parts)
        };
        let steps = |target: &Release| names(&plan(target, Source::Tree, &running(&with(r#"{"LAKE":"a"}"#))));
        assert_eq!(steps(&with(r#"{"LAKE":"b"}"#)), "validate stack hosts pointer smoke");
        assert_eq!(steps(&with(r#"{"LAKE":"a"}"#)), "health");
    }

    fn with_objects(pool: Option<i64>, variable: &str) -> Release {
        let mut parts = parts("b", "h", "t", "p");
        parts.objects.variables.insert("v".to_owned(), Variable::Plain(variable.to_owned()));
        let pool = pool.map(|slots| ("p".to_owned(), Pool { slots, ..Pool::default() }));
        parts.objects.pools.extend(pool);
        Release::new(parts)
    }

    #[test]
    fn objects_restart_nothing_and_pools_are_there_before_the_dags() {
        let now = with_objects(Some(1), "a");
        let steps = |target: &Release| names(&plan(target, Source::Tree, &running(&now)));
        assert_eq!(steps(&now), "health");
        assert_eq!(steps(&with_objects(Some(1), "b")), "validate pointer");
        assert_eq!(steps(&with_objects(Some(2), "a")), "validate pools pointer");
        assert_eq!(steps(&with_objects(None, "a")), "validate pools pointer");
        let facts = Facts { without_bucket: true, stack_differs: true, ..fresh() };
        let first = plan(&now, Source::Tree, &facts);
        assert_eq!(names(&first), "validate bootstrap bundle stack hosts pools pointer dags smoke");
    }

    /// A release on ECS.
    fn tasks(image: &str, template: &str) -> Release {
        let digest = Digest::of(image.as_bytes());
        let parts = parts("b", "h", template, "p");
        let stack = parts.stack.clone().with_image(&format!("r/i@sha256:{digest}"));
        let (engine, runtime) = (Engine::Fargate, Runtime::Services(digest));
        Release::new(Parts { engine, runtime, image: Some(digest), stack, ..parts })
    }

    /// The images that the stack gets one after the other.
    fn images(plan: &Plan) -> Vec<Option<&str>> {
        let mut found = Vec::new();
        for step in &plan.steps {
            if let Step::Platform { spec, .. } | Step::Stack { spec, .. } = step {
                found.push(spec.image());
            }
        }
        found
    }

    #[test]
    fn services_get_a_new_image_only_on_a_platform_that_stands() {
        let now = tasks("i", "t");
        let facts = running(&now);
        let steps = |target: &Release| names(&plan(target, Source::Tree, &facts));
        assert_eq!(steps(&now), "health");
        assert_eq!(steps(&tasks("i", "T")), "stack services pointer smoke");
        assert_eq!(steps(&tasks("I", "t")), "validate image stack services pointer smoke");
        let both = tasks("I", "T");
        assert_eq!(steps(&both), "validate image platform stack services pointer smoke");
        assert_eq!(images(&plan(&both, Source::Tree, &facts)), [now.stack.image(), both.stack.image()]);
        let first = Facts { without_bucket: true, stack_differs: true, ..fresh() };
        let first = names(&plan(&now, Source::Tree, &first));
        assert_eq!(first, "validate bootstrap bundle image stack services pointer dags smoke");
    }

    /// The image that runs may be of a time before it was in the project.
    #[test]
    fn flower_comes_with_the_image_of_its_release() {
        use crate::model::release::FLOWER_PARAMETER;
        let with = |image: &str, template: &str, flower: &str| {
            let mut parts = (*tasks(image, template)).clone();
            parts.stack.parameters.insert(FLOWER_PARAMETER.to_owned(), flower.to_owned());
            Release::new(parts)
        };
        let flowers = |now: &Release, target: &Release| -> Vec<String> {
            let plan = plan(target, Source::Tree, &running(now));
            let of = |step: &Step| match step {
                Step::Platform { spec, .. } | Step::Stack { spec, .. } => {
                    Some(format!("{} {}", step.name(), spec.parameters[FLOWER_PARAMETER]))
                }
                _ => None,
            };
            plan.steps.iter().filter_map(of).collect()
        };
        let target = with("I", "T", "true");
        assert_eq!(flowers(&tasks("i", "t"), &target), ["platform false", "stack true"]);
        assert_eq!(flowers(&with("i", "t", "false"), &target), ["platform false", "stack true"]);
        assert_eq!(flowers(&with("i", "t", "true"), &target), ["platform true", "stack true"], "it goes on");
        assert_eq!(flowers(&with("i", "T", "false"), &target), ["stack true"], "and nothing else changes");
        assert_eq!(flowers(&with("I", "T", "false"), &target), ["stack true"]);
    }

    /// A release on ECS with an external task.
    fn with_task(name: &str, image: &str) -> Release {
        let mut parts = (*tasks("i", "t")).clone();
        parts.stack.parameters.insert(format!("TaskImage{name}"), image.to_owned());
        Release::new(parts)
    }

    #[test]
    fn images_of_external_tasks_are_there_before_the_stack_names_them() {
        let now = with_task("Report", "a");
        let facts = running(&now);
        let steps = |target: &Release| names(&plan(target, Source::Tree, &facts));
        assert_eq!(steps(&now), "health");
        assert_eq!(steps(&with_task("Report", "b")), "task images stack services pointer smoke");
        let back = plan(&with_task("Report", "b"), Source::Record, &facts);
        assert_eq!(names(&back), "stack services pointer smoke", "the registry has them");
        assert_eq!(
            steps(&with_task("Other", "a")),
            "validate stack services pointer smoke",
            "DAGs ask which tasks there are"
        );
        assert_eq!(steps(&tasks("i", "t")), "validate stack services pointer smoke", "none is left");
    }

    /// Whatever was interrupted: the api-server, which is the first to get an image, has run what it runs.
    #[test]
    fn a_platform_that_nobody_knows_is_made_on_the_image_that_was_seen() {
        let (now, target) = (tasks("i", "t"), tasks("I", "t"));
        let seen = Served { image: Some("seen".to_owned()), settled: true };
        let running = recorded(&now, Records::Doubtful).running.seen(Some(&seen));
        let facts = Facts { running, previous: Some(now), ..Facts::default() };
        assert_eq!(images(&plan(&target, Source::Tree, &facts)), [Some("seen"), target.stack.image()]);
    }

    #[test]
    fn what_somebody_did_to_a_service_is_undone() {
        let now = tasks("i", "t");
        let image = now.stack.image().map(str::to_owned);
        let steps = |settled| {
            let running = running(&now).running.seen(Some(&Served { image: image.clone(), settled }));
            names(&plan(&now, Source::Tree, &Facts { running, ..Facts::default() }))
        };
        assert_eq!(steps(true), "health");
        assert_eq!(steps(false), "validate services pointer smoke");
    }

    /// The way back is the same function, from wherever the way forth ended.
    #[test]
    fn services_go_back_as_they_went_forth() {
        let (now, target) = (tasks("i", "t"), tasks("I", "T"));
        let back = |steps: usize| plan(&now, Source::Record, &after(&running(&now), &target, steps));
        assert_eq!(names(&back(1)), "health", "an image that was pushed runs nowhere");
        assert_eq!(names(&back(2)), "stack services pointer smoke", "the platform alone");
        assert_eq!(names(&back(3)), "stack services pointer smoke", "no service had the new image");
        let whole = back(4);
        assert_eq!(names(&whole), "platform stack services pointer smoke");
        assert_eq!(images(&whole), [target.stack.image(), now.stack.image()]);
    }

    /// An environment where nothing was ever released.
    fn fresh() -> Facts {
        Facts { running: Running::recorded(None, None, Records::Trusted), ..Facts::default() }
    }

    #[test]
    fn a_rollback_brings_pools_back_even_if_they_changed_half_way() {
        let now = with_objects(Some(1), "a");
        let mut half = running(&now);
        half.running.unsettle_pools();
        assert_eq!(names(&plan(&now, Source::Record, &half)), "pools pointer");
        let whole = after(&running(&now), &with_objects(None, "b"), 2);
        assert_eq!(names(&plan(&now, Source::Record, &whole)), "pools pointer");
    }

    #[test]
    fn after_an_interruption_nothing_is_taken_for_granted() {
        let now = release("b", "h", "t", "p");
        let facts = recorded(&now, Records::Doubtful);
        assert_eq!(names(&plan(&now, Source::Tree, &facts)), "validate stack hosts pools pointer dags smoke");
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
        let another = Commit { id: "another".to_owned(), author: None, dirty: false };
        let target = Release::new(Parts { commit: Some(another), ..parts("b", "h", "t", "p") });
        let plan_of = |source| plan(&target, source, &running(&now));
        assert!(plan_of(Source::Tree).is_unchanged());
        assert_eq!(plan_of(Source::Tree).release.id(), now.id(), "it is what runs and what is recorded");
        assert_eq!(names(&plan_of(Source::Record)), "pointer", "whoever names a release gets it");
    }

    #[test]
    fn only_hosts_that_were_proven_need_no_proof() {
        let now = release("b", "h", "t", "p");
        let rollout = |host: &str| {
            let runtime = Runtime::Hosts(Digest::of(host.as_bytes()));
            Step::Rollout(Rollout { runtime, repeat: Repeat::No, canary: None })
        };
        let after = |facts: Facts, step: &Step| {
            let mut running = facts.running;
            running.advance(step);
            running.proven
        };
        assert!(after(running(&now), &rollout("h")));
        assert!(!after(running(&now), &rollout("H")));
        assert!(!after(recorded(&now, Records::Doubtful), &rollout("h")));
        let again = plan(&now, Source::Tree, &Facts { unhealthy: true, ..running(&now) });
        let rollout = Rollout { runtime: now.runtime, repeat: Repeat::Yes, canary: None };
        assert!(again.steps.contains(&Step::Rollout(rollout)));
    }

    /// What a deployment to `target` leaves if it ends after this many steps.
    fn after(facts: &Facts, target: &Release, steps: usize) -> Facts {
        let mut running = facts.running.clone();
        plan(target, Source::Tree, facts).steps.iter().take(steps).for_each(|step| running.advance(step));
        Facts { running, ..facts.clone() }
    }

    #[test]
    fn a_rollback_undoes_what_was_reached_and_no_more() {
        let now = release("b", "h", "t", "p");
        let facts = running(&now);
        let back = |target: &Release, steps: usize| {
            names(&plan(&now, Source::Record, &after(&facts, target, steps)))
        };
        let dags = release("B", "h", "t", "p");
        assert_eq!(back(&dags, 1), "health", "an upload changes nothing that runs");
        assert_eq!(back(&dags, 2), "pointer dags");
        let hosts = release("b", "H", "t", "p");
        assert_eq!(back(&hosts, 1), "hosts pointer smoke");
        let stack = release("b", "h", "T", "p");
        assert_eq!(back(&stack, 1), "stack hosts pointer smoke");
        let mut rolling = facts.clone();
        rolling.running.unsettle_runtime();
        assert_eq!(names(&plan(&now, Source::Record, &rolling)), "hosts pointer smoke");
    }

    const ORDER: [&str; 9] =
        ["bootstrap", "bundle", "stack", "hosts", "pools", "pointer", "dags", "smoke", "bake"];

    proptest! {
        /// Whatever the facts: steps come in their order, once each, the pointer never before the hosts,
        /// and it is either the health check alone or a move of the pointer.
        #[test]
        fn order_and_wholeness(bits in prop::collection::vec(any::<bool>(), 10)) {
            let pick = |i: usize| if bits[i] { "x" } else { "y" };
            let now = release("x", "x", "x", "x");
            let target = release(pick(0), pick(1), pick(2), pick(3));
            let records = if bits[4] { Records::Doubtful } else { Records::Trusted };
            let facts = Facts {
                without_bucket: bits[5],
                stack_differs: bits[6],
                unhealthy: bits[7],
                bake: bits[9].then_some(Duration::from_secs(60)),
                ..if bits[8] { recorded(&now, records) } else { Facts::default() }
            };
            let plan = plan(&target, Source::Tree, &facts);
            let order: Vec<_> = plan.steps.iter().map(|step| ORDER.iter().position(|name| *name == step.name())).collect();
            prop_assert!(order.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(plan.is_unchanged(), !plan.has("pointer"));
            prop_assert_eq!(plan.has("hosts"), plan.has("smoke"));
        }

        /// From wherever a deployment ends, the plan to either release leads to that release.
        #[test]
        fn every_plan_leads_to_its_target(bits in prop::collection::vec(any::<bool>(), 5), steps in 0..8_usize) {
            let pick = |i: usize| if bits[i] { "x" } else { "y" };
            let now = release("x", "x", "x", "x");
            let records = if bits[4] { Records::Doubtful } else { Records::Trusted };
            let facts = recorded(&now, records);
            let target = release(pick(0), pick(1), pick(2), pick(3));
            let left = after(&facts, &target, steps);
            for (goal, source) in [(&now, Source::Record), (&target, Source::Tree)] {
                let end = after(&Facts { previous: Some(now.clone()), ..left.clone() }, goal, usize::MAX);
                let again = plan(goal, source, &end);
                prop_assert!(again.is_unchanged(), "{:?}", again.names());
            }
        }
    }
}
