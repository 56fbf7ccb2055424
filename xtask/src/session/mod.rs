//! What every verb begins with: the project, its environment, the clients and the store.
//!
//! Reading verbs [`Session::open`]; verbs that change something [`Setup::begin`], which also starts the
//! local cloud. Then `prepare` looks and plans, and `deployment` carries the plan out.

pub mod account;
pub mod comparison;
pub mod dag_diff;
pub mod dags;
pub mod deployment;
pub mod exec;
mod facts;
#[cfg(test)]
mod fake;
pub mod image;
mod interrupted;
pub mod observed;
pub mod package_index;
pub mod preflight;
pub mod prepare;
pub mod project;
pub mod promotion;
mod rollback;
pub mod run;
pub mod status;
pub mod task_images;
pub mod templates;
pub mod tree;
#[cfg(test)]
mod trips_tests;
pub mod upgrade_test;
pub mod waiting;

use crate::apply::context::Doors;
use crate::apply::timed::{Ended, timed};
use crate::config::{Endpoint, Environment};
use crate::doors::aws::Aws;
use crate::doors::store::Store;
use crate::doors::{env, local_cloud, net, time};
use crate::fail::{Fail, Problem, Result};
use crate::model::cloud::Cloud;
use crate::model::event::Sink;
use crate::model::release::StepRecord;
use project::Project;

/// A project, one of its environments, and what reaches it.
pub struct Session {
    pub project: Project,
    pub environment: Environment,
    pub aws: Aws,
    pub store: Store,
}

impl Session {
    /// For verbs that read: a local cloud that does not run is an error.
    pub async fn open(environment: &str) -> Result<Self> {
        let project = Project::find()?;
        let environment = project.environment(environment)?;
        Self::connect(project, environment).await
    }

    /// Connects, with account and region verified.
    async fn connect(project: Project, environment: Environment) -> Result<Self> {
        let aws = match environment.aws.endpoint {
            Endpoint::Local => local(&project, &environment).await?,
            _ => remote(&environment).await?,
        };
        Ok(Self::over(aws, project, environment))
    }

    fn over(aws: Aws, project: Project, environment: Environment) -> Self {
        let store = Store::new(&aws, environment.aws.account.as_str(), environment.name.as_str());
        Self { project, environment, aws, store }
    }

    /// The same with the local cloud started first, for verbs that change something.
    pub async fn open_for_writing(project: Project, environment: Environment, sink: &Sink) -> Result<Self> {
        if !environment.is_local() {
            return Self::connect(project, environment).await;
        }
        let (root, sink) = (project.root.clone(), sink.clone());
        let started = tokio::task::spawn_blocking(move || local_cloud::up(&root, &sink));
        let cloud = started
            .await
            .map_err(|error| Fail::bug("the start of the local cloud ended unexpectedly").because(error))??;
        Ok(Self::over(at(&cloud, &environment).await, project, environment))
    }

    #[must_use]
    pub fn cloud(&self) -> Cloud {
        if self.environment.is_local() { Cloud::Local } else { Cloud::Aws }
    }

    /// What Airflow is reached by.
    pub(crate) fn doors<'a>(&'a self, sink: &'a Sink) -> Doors<'a> {
        Doors { aws: &self.aws, store: &self.store, cloud: self.cloud(), sink }
    }

    /// The environment file, for the locations of problems.
    #[must_use]
    pub fn file(&self) -> String {
        format!("environments/{}.toml", self.environment.name)
    }
}

/// The local cloud takes any credentials and has one account only, so there is nothing to verify.
async fn local(project: &Project, environment: &Environment) -> Result<Aws> {
    let root = project.root.clone();
    let running = tokio::task::spawn_blocking(move || local_cloud::running(&root));
    let running = running
        .await
        .map_err(|error| Fail::bug("the look at the local cloud ended unexpectedly").because(error))?;
    let cloud = running?.ok_or_else(|| {
        Fail::usage("the local cloud is not running")
            .hint("start it: cargo xtask local up")
            .hint(format!("or deploy, which starts it: cargo xtask deploy --env {}", environment.name))
    })?;
    Ok(at(&cloud, environment).await)
}

async fn at(cloud: &local_cloud::Cloud, environment: &Environment) -> Aws {
    let (stack, region) = (environment.stack_name(), environment.aws.region.as_str());
    Aws::connect(&stack, region, Some(&cloud.endpoint), Cloud::Local).await
}

async fn remote(environment: &Environment) -> Result<Aws> {
    let name = &environment.name;
    let (location, endpoint) = match &environment.aws.endpoint {
        Endpoint::Url(url) => (format!("environments/{name}.toml `aws.endpoint`"), Some(url.to_string())),
        _ => ("AWS_ENDPOINT_URL".to_owned(), env::aws_endpoint_url()),
    };
    if let Some(url) = endpoint.clone() {
        let answers = tokio::task::spawn_blocking(move || (net::answers(&url), url)).await;
        let (answers, url) =
            answers.map_err(|error| Fail::bug("a connection ended unexpectedly").because(error))?;
        if !answers {
            let hint = "start the service that should answer there, or correct the address";
            let problem = Problem::new("no_answer", location, format!("nothing listens at `{url}`"), hint);
            return Err(Fail::problems(format!("cannot connect to the cloud of `{name}`"), vec![problem]));
        }
    }
    let (stack, region) = (environment.stack_name(), environment.aws.region.as_str());
    let aws = Aws::connect(&stack, region, endpoint.as_deref(), Cloud::Aws).await;
    environment.check_identity(&aws.account().await?, env::aws_region().as_deref())?;
    Ok(aws)
}

/// A session of a verb that changes something, and what it has recorded so far.
pub struct Setup {
    pub session: Session,
    pub records: Vec<StepRecord>,
    pub started: String,
    pub watch: time::Stopwatch,
    pub sink: Sink,
}

impl Setup {
    /// Opens the session as the step `setup`.
    pub async fn begin(project: Project, environment: Environment, sink: Sink) -> Result<Self> {
        let (started, watch) = (time::now(), time::Stopwatch::start());
        let mut records = Vec::new();
        let step = sink.step("setup");
        let session = timed(&step, &mut records, async {
            let session = Session::open_for_writing(project, environment, &step).await?;
            let account = session.environment.aws.account.as_str();
            let ended = Ended::done(format!("account {account}, {}", session.aws.region));
            Ok((ended, session))
        })
        .await?;
        Ok(Self { session, records, started, watch, sink })
    }
}
