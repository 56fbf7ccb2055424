//! What the steps of a deployment know, and what they leave behind for one another.

use super::image::Pushing;
use super::journal::Journal;
use super::lease::Lease;
use crate::doors::airflow::Airflow;
use crate::doors::aws::Aws;
use crate::doors::fence::CLOSED;
use crate::doors::store::{Content, Found, Sent, Store};
use crate::doors::time;
use crate::fail::{Fail, Kind, Result};
use crate::model::change::Change;
use crate::model::cloud::Cloud;
use crate::model::commit::Tree;
use crate::model::dags::DagIndex;
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::names::outputs;
use crate::model::release::{Pointer, Runtime, StepRecord};
use crate::model::secret::Versions;
use crate::observe::airflow::{self, Reached};
use crate::observe::alarms;
use crate::observe::lease::Seen;
use crate::plan::consent::Guard;
use crate::plan::deployment::Plan;
use crate::plan::migration::Saved;
use crate::plan::running::Running;
use crate::plan::templates::Packaged;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What somebody may have to agree to.
#[derive(Debug)]
pub struct Question {
    /// Why it is asked; empty if the changes are only to be shown.
    pub reasons: Vec<String>,
    /// The changes of the change set, if there is one.
    pub changes: Vec<Change>,
}

/// Shows, asks if there is a reason to, and fails if the answer is no.
pub type Ask = Arc<dyn Fn(&Question) -> Result<()> + Send + Sync>;

/// Plain facts of the environment, and the doors. Does not change while steps run.
pub struct Context {
    pub aws: Aws,
    pub store: Store,
    pub cloud: Cloud,
    /// The name of the master stack.
    pub stack: String,
    pub tags: BTreeMap<String, String>,
    /// Parameters of the bootstrap stack.
    pub bootstrap: BTreeMap<String, String>,
    pub guard: Guard,
    pub artifacts: Artifacts,
    pub sink: Sink,
    pub ask: Ask,
}

impl Context {
    /// The name of the environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        self.store.environment()
    }

    /// Uploads an artifact that was made of the tree; that of a recorded release is in the bucket already.
    pub async fn upload(&self, made: Option<&Archive>, digest: &Digest, key: &str) -> Result<Sent> {
        match made.filter(|made| made.digest == *digest) {
            Some(made) => self.store.upload(key, Content::File(&made.path), digest).await,
            None => Ok(Sent::AlreadyThere),
        }
    }

    /// Fails if the lease is lost: for what is written by other ways than the clients of AWS.
    pub async fn may_write(&self) -> Result<()> {
        if self.aws.fence.holds().await { Ok(()) } else { Err(Fail::new(Kind::Locked, CLOSED)) }
    }

    #[must_use]
    pub fn doors(&self) -> Doors<'_> {
        Doors { aws: &self.aws, store: &self.store, cloud: self.cloud, sink: &self.sink }
    }

    /// Asks, with no live line that would be redrawn over the question.
    pub fn consent(&self, sink: &Sink, question: &Question) -> Result<()> {
        sink.asking();
        (self.ask)(question)
    }
}

/// What was made of the tree, each by its digest; everything else is in S3 already.
#[derive(Clone, Debug, Default)]
pub struct Artifacts {
    pub bundle: Option<Archive>,
    /// The DAGs of that bundle, once they have been parsed.
    pub dags: Option<DagIndex>,
    pub host_revision: Option<Archive>,
    /// The container image, and where it goes.
    pub image: Option<Arc<Pushing>>,
    /// Those of external tasks that are built here.
    pub task_images: Vec<Arc<Pushing>>,
    /// All source templates.
    pub template_set: Option<Archive>,
    /// The composed templates: children before parents, the root last.
    pub templates: Vec<Packaged>,
    /// The root of the composed templates, also of a recorded release.
    pub root: Option<Packaged>,
    pub bootstrap: Option<Packaged>,
    /// The files of it as git sees them; none outside git, and for a recorded release.
    pub tree: Option<Tree>,
}

impl Artifacts {
    /// The DAGs of a bundle that was made of the tree.
    #[must_use]
    pub fn dags_of(&self, bundle: &Digest) -> Option<&DagIndex> {
        self.bundle.as_ref().filter(|made| made.digest == *bundle).and(self.dags.as_ref())
    }
}

/// A zip on this machine.
#[derive(Clone, Debug)]
pub struct Archive {
    pub digest: Digest,
    pub path: PathBuf,
}

/// How far a deployment got.
#[derive(Default)]
pub struct Progress {
    pub records: Vec<StepRecord>,
    pub state: State,
    /// What ran before the first step.
    pub before: Running,
    /// The lease as it was seen when the plan was made; none if nobody ever held it.
    pub holder: Option<Seen>,
    /// Held from the first step that others could be disturbed by.
    pub lease: Option<Lease>,
    /// What goes into the record of the deployment.
    pub journal: Option<Journal>,
}

impl Progress {
    /// Whether something that runs was changed: a failure then means a rollback.
    #[must_use]
    pub fn touched(&self) -> bool {
        self.state.running != self.before
    }
}

/// What is known of the environment by now.
#[derive(Default)]
pub struct State {
    pub running: Running,
    pub pointer: Option<Found<Pointer>>,
    /// The fencing token of the lease, which goes into the pointer.
    pub token: Option<u64>,
    /// Outputs and parameters of the master stack.
    pub outputs: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
    /// The stack is being changed, or was and nobody has looked since.
    pub stack_moved: bool,
    /// The bundle that was live when the plan was made, with its DAGs.
    pub live: Option<(Digest, DagIndex)>,
    /// The set of source templates that is in the bucket for sure.
    pub template_set: Option<Digest>,
    /// The versions of the secrets that hosts read.
    pub secrets: Versions,
    pub uploads: usize,
    /// The runtime whose migration has just been run.
    pub migrated: Option<Runtime>,
    /// What the database was saved as before its migration.
    pub saved: Option<Saved>,
    /// Tasks of before that end only when their work does.
    pub draining: usize,
    /// The loss reports that were there before anything was drained; none if nothing was.
    pub drained: Option<BTreeSet<String>>,
    pub session: Option<Airflow>,
    /// The same before anybody has logged in.
    pub reached: Option<Airflow>,
    /// Why Airflow's address leads nowhere from here, so that requests go through the artifact bucket.
    pub instead: Option<String>,
    /// What the release will be compared with.
    pub before: Before,
}

/// The environment before the first step.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// In seconds since 1970.
    pub at: i64,
    /// The alarms that rang, by name; none if they could not be read.
    pub ringing: Option<BTreeSet<String>>,
}

impl Before {
    /// Looks at it, if the plan compares with it.
    pub async fn look(context: &Context, plan: &Plan) -> Self {
        if !plan.has("bake") {
            return Self::default();
        }
        let ringing = alarms::ringing(&context.aws, &context.stack).await.ok();
        let names = ringing.map(|ringing| ringing.into_iter().map(|alarm| alarm.name).collect());
        Self { at: time::unix(), ringing: names }
    }
}

impl State {
    /// An output of the master stack.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Fail::failed(format!("the stack has no output `{name}`"))
                .hint("restore `templates/` from git, then deploy again")
        })
    }

    /// Where this tool reaches Airflow.
    pub fn url(&self, cloud: Cloud) -> Result<String> {
        match airflow::url(cloud, &self.outputs, &self.parameters) {
            Some(url) => Ok(url),
            None => self.output(outputs::AIRFLOW_URL).map(str::to_owned),
        }
    }

    /// Airflow, wherever it is asked; nobody has logged in. That its address leads nowhere is told once.
    pub async fn reached(&mut self, doors: &Doors<'_>) -> Result<Airflow> {
        if let Some(airflow) = &self.reached {
            return Ok(airflow.clone());
        }
        let url = self.url(doors.cloud)?;
        let Reached { airflow, instead } = airflow::reach(&url, doors.store).await?;
        if let (Some(why), None) = (&instead, &self.instead) {
            doors.sink.step("airflow").note(airflow::told(&url, why));
        }
        self.instead = instead;
        self.reached = Some(airflow.clone());
        Ok(airflow)
    }

    /// A session with Airflow as its admin, opened once.
    pub async fn airflow(&mut self, doors: &Doors<'_>) -> Result<Airflow> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let airflow = self.reached(doors).await?;
        let session = if airflow.is_relayed() {
            // Whoever passes requests on logs in itself. That there is somebody is found out once, not by each request.
            airflow::health(&airflow).await?;
            airflow
        } else {
            let login = airflow::login(doors.aws, self.output(outputs::ADMIN_SECRET)?).await?;
            airflow::session(&airflow, login).await?
        };
        self.session = Some(session.clone());
        Ok(session)
    }
}

/// What Airflow is reached by.
pub struct Doors<'a> {
    pub aws: &'a Aws,
    pub store: &'a Store,
    pub cloud: Cloud,
    pub sink: &'a Sink,
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
