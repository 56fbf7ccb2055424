//! What plan, deploy and rollback have in common: observe, plan, and ask the gates.

use super::dags as dags_of;
use super::image as container_image;
use super::observed::Observed;
use super::package_index;
use super::task_images;
use super::tree::{self, Candidate};
use super::{Session, Setup};
use crate::apply::context::{Artifacts, Context, Progress, State};
use crate::doors::time;
use crate::fail::{Fail, Problem, Result};
use crate::model::account::ImageDemand;
use crate::model::dags::DagDiff;
use crate::model::event::Sink;
use crate::model::release::{Parts, Release};
use crate::model::stack::{Protection, StackFacts};
use crate::observe::{account, schema};
use crate::plan::consent::Guard;
use crate::plan::deployment::{Facts, Plan, Source, plan};
use crate::plan::gates::{self, Fact, Gate, Promoted, Runs};
use crate::plan::stack::{Decision, Desired, decide};
use crate::plan::templates::Packaged;
use crate::report::dags as report;
use crate::ui::{Ui, ask};

/// A planned deployment: what the gates say of it, and everything that is needed to carry it out.
pub struct Prepared {
    pub context: Context,
    pub facts: Facts,
    pub plan: Plan,
    pub gates: Vec<Gate>,
    /// What is to be done with the stack, if its parameters fit.
    pub decision: Option<Decision>,
    pub dags: DagDiff,
    /// The environment and release whose artifacts these are, `staging@0123456789ab`.
    pub promoted: Option<String>,
    pub progress: Progress,
    pub started: String,
    pub watch: time::Stopwatch,
}

impl Prepared {
    /// Fails if a gate refuses (exit 2).
    pub fn passes(&self) -> Result<()> {
        gates::refusal(&self.gates).map_or(Ok(()), Err)
    }

    /// Says what becomes of DAGs, if anything does.
    pub fn say_dags(&self, ui: &Ui) {
        let dags = report::text(&self.dags, self.context.environment());
        if !dags.is_empty() {
            ui.say(dags.trim_end());
        }
    }
}

/// A deployment between the look at the environment and the verdict of the gates.
pub(super) struct Preparing {
    pub(super) setup: Setup,
    pub(super) observed: Observed,
    pub(super) plan: Plan,
    pub(super) state: State,
    pub(super) runs: Runs,
    pub(super) promoted: Option<Promoted>,
}

impl Setup {
    /// The tree as a release, and the environment as it is: neither waits for the other.
    pub async fn look(&self) -> Result<(Candidate, Observed)> {
        let (target, observed) = tokio::join!(self.tree(), self.session.observe());
        // What is wrong with the tree is told first.
        let (target, observed) = (target?, observed?);
        let target = self.with_schema(target, observed.current.release.as_ref()).await?;
        Ok((target, observed))
    }

    /// With the migrations of its Airflow. Code that runs already has those of its record, which costs no look.
    async fn with_schema(&self, target: Candidate, running: Option<&Release>) -> Result<Candidate> {
        let schema = match running.filter(|running| running.runtime == target.release.runtime) {
            Some(running) => running.schema.clone(),
            None => {
                let Session { project, environment, .. } = &self.session;
                let index = package_index::of_airflow(&project.root, environment.name.as_str()).await?;
                let (root, sink) = (project.root.clone(), self.sink.step("setup"));
                let read = tokio::task::spawn_blocking(move || schema::of_lock(&root, index, &sink)).await;
                Some(
                    read.map_err(|e| Fail::bug("the look at the migrations ended unexpectedly").because(e))??,
                )
            }
        };
        let release = Release::new(Parts { schema, ..(*target.release).clone() });
        Ok(Candidate { release, ..target })
    }

    /// The tree as a release, with the image that hosts would be launched from now.
    async fn tree(&self) -> Result<Candidate> {
        let Session { project, environment, .. } = &self.session;
        task_images::check(&self.session)?;
        let machine = async {
            match environment.image() {
                Some(demand) => self.machine_image(&demand).await.map(Some),
                None => Ok(None),
            }
        };
        let images = async {
            let container = container_image::of_release(&self.session, &self.sink).await?;
            Ok::<_, Fail>((container, task_images::of_release(&self.session, &self.sink).await?))
        };
        let dags = dags_of::from_git(&self.session, &self.sink);
        let (machine, images, dags) = tokio::join!(machine, images, dags);
        let (root, environment, images) = (project.root.clone(), environment.clone(), images?);
        // Apart from the requests that are on their way.
        let read =
            tokio::task::spawn_blocking(move || tree::from_tree(&root, &environment, dags, machine, images));
        read.await.map_err(|error| Fail::bug("the look at the tree ended unexpectedly").because(error))?
    }

    pub(super) async fn machine_image(&self, demand: &ImageDemand) -> Result<String> {
        let aws = &self.session.aws;
        account::image_id(aws, demand).await?.ok_or_else(|| {
            let problem = gates::no_image(&self.session.file(), demand, &aws.region);
            Fail::problems("there is no machine image for hosts", vec![problem])
        })
    }

    /// Plans the way from what was observed to the target, and asks every gate.
    pub async fn prepare(
        self,
        ui: &Ui,
        observed: Observed,
        target: Candidate,
        source: Source,
        runs: Runs,
    ) -> Result<Prepared> {
        let Candidate { release, root, mut artifacts, promoted } = target;
        let decided = self.session.decide(&release, &root, observed.stack.as_ref());
        artifacts.root = Some(root);
        let releasing = &self.session.environment.release;
        let (bake, canary) =
            if source == Source::Record { (None, None) } else { (releasing.bake, releasing.canary) };
        let facts = Facts { bake, canary, ..observed.facts(&decided) };
        let plan = plan(&release, source, &facts);
        let state = observed.state(&facts.running);
        let decision = decided.as_ref().ok().cloned();
        let mut preparing = Preparing { setup: self, observed, plan, state, runs, promoted };
        let gate_facts = Box::pin(preparing.gate_facts(&artifacts, decided, &release)).await?;
        let dags = match &gate_facts.dags {
            Fact::Known(parsed) if parsed.problems.is_empty() => {
                artifacts.dags = Some(parsed.dags.clone());
                preparing.dag_diff(&gate_facts.live, &parsed.dags).await
            }
            _ if source == Source::Record => preparing.recorded_dag_diff(&release.bundle).await?,
            _ => DagDiff::default(),
        };
        let Preparing { setup, observed, plan, state, promoted, .. } = preparing;
        let progress = Progress {
            records: setup.records,
            before: state.running.clone(),
            state,
            holder: observed.lease,
            lease: None,
            journal: None,
        };
        Ok(Prepared {
            context: setup.session.context(ui, artifacts, setup.sink),
            facts,
            plan,
            gates: gates::judge(&gate_facts),
            decision,
            dags,
            promoted: promoted.map(|from| format!("{}@{}", from.environment, from.release)),
            progress,
            started: setup.started,
            watch: setup.watch,
        })
    }
}

impl Session {
    /// Compares with the stack that really exists, whatever the records say.
    fn decide(
        &self,
        target: &Release,
        template: &Packaged,
        facts: Option<&StackFacts>,
    ) -> Result<Decision, Vec<Problem>> {
        let desired = Desired {
            template,
            parameters: target.stack.parameters.clone(),
            tags: self.environment.tags(),
            protection: if self.environment.protected { Protection::On } else { Protection::Off },
        };
        decide(&desired, facts)
    }

    fn context(self, ui: &Ui, artifacts: Artifacts, sink: Sink) -> Context {
        Context {
            cloud: self.cloud(),
            stack: self.environment.stack_name(),
            tags: self.environment.tags(),
            bootstrap: self.environment.bootstrap_parameters(),
            guard: if self.environment.protected { Guard::Protected } else { Guard::Open },
            aws: self.aws,
            store: self.store,
            artifacts,
            sink,
            ask: ask::asker(ui),
        }
    }
}
