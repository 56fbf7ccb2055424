//! What the steps of a deployment know and what they leave behind for one another.

use super::airflow;
use super::lease::Lease;
use crate::doors::airflow::Airflow;
use crate::doors::aws::Aws;
use crate::doors::documents::Found;
use crate::fail::{Fail, Result};
use crate::model::change::Change;
use crate::model::dags::DagIndex;
use crate::model::event::{Event, Sink};
use crate::model::names::{self, outputs};
use crate::model::release::{Pointer, StepRecord};
use crate::plan::consent::Guard;
use crate::plan::templates::Packaged;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What somebody may have to agree to.
#[derive(Debug)]
pub struct Question {
    /// Why it is asked; nothing where the changes are only to be shown.
    pub reasons: Vec<String>,
    /// The changes of the change set, if there is one.
    pub changes: Vec<Change>,
}

/// Shows, asks if there is a reason to, and fails where the answer is no.
pub type Ask = Arc<dyn Fn(&Question) -> Result<()> + Send + Sync>;

/// What becomes of unfinished runs whose DAG is moved to another file or removed: they would fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The release is refused.
    Protect,
    /// They may fail.
    Sacrifice,
}

/// Plain facts of the environment, and the doors. Does not change while steps run.
pub struct Context {
    pub aws: Aws,
    pub root: PathBuf,
    pub environment: String,
    pub bucket: String,
    /// The account that owns the bucket.
    pub account: String,
    pub stack: String,
    pub tags: BTreeMap<String, String>,
    /// Parameters of the bootstrap stack.
    pub bootstrap: BTreeMap<String, String>,
    pub guard: Guard,
    pub runs: Runs,
    /// How long one DAG file may take to parse.
    pub parse_timeout: Duration,
    pub artifacts: Artifacts,
    pub sink: Sink,
    pub ask: Ask,
}

impl Context {
    /// Asks, with no live line that would be redrawn over the question.
    pub fn consent(&self, step: &str, question: &Question) -> Result<()> {
        self.sink.send(Event::Asking { step: step.to_owned() });
        (self.ask)(question)
    }
}

/// What was made of the tree; for a recorded release all of it lies in S3 already.
#[derive(Clone, Debug, Default)]
pub struct Artifacts {
    pub bundle: Option<PathBuf>,
    pub host: Option<PathBuf>,
    pub templates: Vec<Packaged>,
    pub bootstrap: Option<Packaged>,
}

/// How far a deployment came.
#[derive(Default)]
pub struct Progress {
    pub records: Vec<StepRecord>,
    pub state: State,
    /// The token of the lease as it was when the plan was made; none where nobody ever held it.
    pub token: Option<u64>,
    /// Held from the first step that others could be disturbed by.
    pub lease: Option<Lease>,
}

/// What one step found out and a later one needs.
#[derive(Default)]
pub struct State {
    pub pointer: Option<Found<Pointer>>,
    /// Outputs and parameters of the master stack.
    pub outputs: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
    /// The DAGs of the target bundle.
    pub dags: Option<DagIndex>,
    pub uploads: usize,
    /// Something that runs was changed: a failure from here on means going back.
    pub touched: bool,
    /// The stack was updated.
    pub stack_updated: bool,
    /// A host got another revision.
    pub rolled: bool,
    pub session: Option<Airflow>,
}

impl State {
    /// An output of the master stack.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Fail::failed(format!("the stack has no output `{name}`"))
                .hint("restore `templates/master.yaml`, then deploy again")
        })
    }

    /// Where this tool reaches Airflow.
    pub fn url(&self, aws: &Aws) -> Result<String> {
        match names::airflow_url(aws.endpoint.as_deref(), &self.outputs, &self.parameters) {
            Some(url) => Ok(url),
            None => self.output(outputs::AIRFLOW_URL).map(str::to_owned),
        }
    }

    /// A session with Airflow as its admin, opened once.
    pub async fn airflow(&mut self, aws: &Aws) -> Result<Airflow> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let login = airflow::login(aws, self.output(outputs::ADMIN_SECRET)?).await?;
        let session = airflow::session(&self.url(aws)?, &login).await?;
        self.session = Some(session.clone());
        Ok(session)
    }
}
