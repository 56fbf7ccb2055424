//! Connects a verb to its environment: project, configuration, cloud, identity.

use super::project::Project;
use super::stacks::Place;
use super::target::{self, Target};
use super::ui::Ui;
use crate::apply::context::Progress;
use crate::apply::deploy::{Ended, timed};
use crate::config::Environment;
use crate::doors::aws::Aws;
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::release::Release;
use crate::plan::templates::Packaged;

/// A verb at work on one environment.
pub struct Desk {
    pub project: Project,
    pub environment: Environment,
    pub aws: Aws,
    pub bucket: String,
    pub progress: Progress,
    pub started: String,
    pub watch: time::Stopwatch,
    pub sink: Sink,
}

/// Connects, with the local cloud started and the account verified.
pub async fn desk(project: Project, environment: Environment, ui: &Ui) -> Result<Desk> {
    let (started, watch) = (time::now(), time::Stopwatch::start());
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
    let bucket = environment.artifact_bucket();
    Ok(Desk { project, environment, aws, bucket, progress, started, watch, sink })
}

impl Desk {
    /// The tree as a release.
    pub fn tree(&self) -> Result<Target> {
        target::from_tree(&self.project.root, &self.environment, &self.place())
    }

    /// The root template of a recorded release.
    #[must_use]
    pub fn recorded(&self, release: &Release, body: String) -> Packaged {
        let url = self.place().url(&release.template);
        Packaged { path: "master.yaml".to_owned(), digest: release.template, body, url }
    }

    fn place(&self) -> Place {
        Place {
            endpoint: self.aws.endpoint.clone(),
            region: self.aws.region.clone(),
            bucket: self.bucket.clone(),
        }
    }
}
