//! What deploy, plan and rollback have in common: connect, observe, plan.

use super::project::{Project, bucket};
use super::release::Ready;
use super::ui::Ui;
use crate::apply::context::{Artifacts, Consent, Context, Progress};
use crate::apply::deploy::{Ended, timed};
use crate::apply::lease;
use crate::config::{Endpoint, Environment};
use crate::doors::aws::Aws;
use crate::doors::{net, time};
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::model::problem::Problem;
use crate::model::release::Release;
use crate::observe::target::{self, Place, Target};
use crate::observe::{release, stack};
use crate::plan::deploy::{Facts, Source, plan};
use crate::plan::stack as stack_plan;
use crate::report::changes;
use std::sync::Arc;

/// A verb at work on one environment.
pub struct Desk {
    pub project: Project,
    pub environment: Environment,
    pub aws: Aws,
    pub bucket: String,
    pub progress: Progress,
    pub started: String,
    pub watch: time::Stopwatch,
    pub sink: crate::model::event::Sink,
}

/// Connects, with the local cloud started and the account verified.
pub async fn desk(env: &super::project::EnvArg, ui: &Ui) -> Result<Desk> {
    let (started, watch) = (time::now(), time::Stopwatch::start());
    let project = Project::find()?;
    let environment = project.environment(env)?;
    let sink = ui.sink();
    let mut progress = Progress::default();
    let mut aws = None;
    timed(&sink, "setup", &mut progress.records, async {
        let connected = project.connect_for_writing(&environment, &sink, "setup").await?;
        let summary = format!("account {}, {}", environment.aws.account.as_str(), connected.region);
        aws = Some(connected);
        Ok(Ended::done(summary))
    })
    .await?;
    let aws = aws.ok_or_else(|| Fail::bug("connected to nothing"))?;
    let bucket = bucket(&environment);
    Ok(Desk { project, environment, aws, bucket, progress, started, watch, sink })
}

impl Desk {
    /// The tree as a release.
    pub fn tree(&self) -> Result<Target> {
        let place = Place {
            endpoint: self.aws.endpoint.clone(),
            region: self.aws.region.clone(),
            bucket: self.bucket.clone(),
        };
        target::from_tree(&self.project.root, &self.environment, &place)
    }

    /// Looks at the environment and plans the way to `target`.
    pub async fn ready(mut self, ui: &Ui, target: Release, source: Source, artifacts: Artifacts) -> Result<Ready> {
        let name = self.environment.name.clone();
        let stack_name = self.environment.stack_name();
        let (current, stack, lease) = tokio::join!(
            release::current(&self.aws, &self.bucket, &name),
            stack::look(&self.aws, &stack_name),
            lease::look(&self.aws, &self.bucket, &name),
        );
        let (current, stack, lease) = (current?, stack?, lease?);
        if current.pointer.is_none() {
            self.port_is_free()?;
        }
        let wish = self.environment.wish(&target);
        let facts = Facts {
            bundle: current.pointer.as_ref().map(|found| found.value.bundle),
            interrupted: lease.is_some_and(|lease| lease.is_abandoned()),
            without_bucket: current.pointer.is_none(),
            stack_differs: stack_plan::differs(stack.as_ref(), &wish),
            unhealthy: false,
            current: current.release,
        };
        self.progress.state.pointer = current.pointer;
        if let Some(stack) = stack {
            self.progress.state.outputs = stack.outputs;
            self.progress.state.parameters = stack.parameters;
        }
        let plan = plan(&target, source, &facts);
        let context = self.context(ui, artifacts);
        Ok(Ready { context, facts, plan, progress: self.progress, started: self.started, watch: self.watch })
    }

    fn context(&self, ui: &Ui, artifacts: Artifacts) -> Context {
        Context {
            aws: self.aws.clone(),
            root: self.project.root.clone(),
            environment: self.environment.name.clone(),
            bucket: self.bucket.clone(),
            stack: self.environment.stack_name(),
            tags: self.environment.tags(),
            protected: self.environment.protected,
            parse_seconds: self.environment.dags.parse_timeout_seconds,
            artifacts,
            sink: self.sink.clone(),
            consent: consent(ui, self.environment.protected),
        }
    }

    /// On this machine the first deployment needs the port; a later one has it itself.
    fn port_is_free(&self) -> Result<()> {
        let port = self.environment.airflow.port;
        if self.environment.aws.endpoint != Endpoint::Local || net::is_free(port) {
            return Ok(());
        }
        let place = format!("environments/{}.toml `airflow.port`", self.environment.name);
        let hint = "stop the program that listens there, or set another `port` and `url` under `[airflow]`";
        let problem = Problem::new("port_taken", place, format!("port {port} of this machine is taken"), hint);
        Err(Fail::problems("Airflow could not listen", vec![problem]))
    }
}

/// Shows the changes; asks only where something could be lost, or in a protected environment.
fn consent(ui: &Ui, protected: bool) -> Consent {
    let common = ui.common.clone();
    Arc::new(move |changes| {
        let ui = Ui::new(common.clone());
        let reasons = changes::needs_consent(changes, protected);
        if !reasons.is_empty() {
            ui.say(&changes::text(changes));
            ui.consent(&format!("{}\nGo on?", reasons.join("\n")))?;
        }
        Ok(())
    })
}

/// Files of the tree that steps upload.
#[must_use]
pub fn artifacts(target: &Target) -> Artifacts {
    Artifacts {
        bundle: Some(target.bundle.path.clone()),
        host: Some(target.host.clone()),
        templates: target.templates.clone(),
        bootstrap: Some(target.bootstrap.clone()),
    }
}

/// The stack's name, for messages.
#[must_use]
pub fn bootstrap_stack() -> &'static str {
    names::BOOTSTRAP_STACK
}
