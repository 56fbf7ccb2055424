//! The images of external tasks: built from folders of the project, or found where somebody else keeps them.

use super::Session;
use super::image::{pinned, planned_task, pushing_as};
use crate::apply::image::Pushing;
use crate::apply::timed::{Ended, timed};
use crate::config::{ExternalTask, ForeignImage, Origin};
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::text::count;
use crate::observe::image::task;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The images of a release's external tasks.
#[derive(Debug, Default)]
pub struct TaskImages {
    /// By the names of the tasks; each with its digest.
    pub named: BTreeMap<String, String>,
    /// Those that are built here.
    pub built: Vec<Arc<Pushing>>,
}

/// All that is wrong with the folders of external tasks, together: known before anything is built.
pub fn check(session: &Session) -> Result<()> {
    let folders = session.environment.external_tasks().iter().filter_map(folder);
    let problems: Vec<_> = folders.flat_map(|folder| task::problems(&session.project.root, folder)).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Fail::problems("cannot make the images of external tasks", problems))
}

/// Builds what the registry lacks, as a step of its own.
pub async fn of_release(session: &Session, sink: &Sink) -> Result<TaskImages> {
    let tasks = session.environment.external_tasks();
    if tasks.is_empty() {
        return Ok(TaskImages::default());
    }
    let step = sink.step("build tasks");
    timed(&step, &mut Vec::new(), async {
        let mut images = TaskImages::default();
        for task in tasks {
            images.add(session, task, &step).await?;
        }
        let made = images.built.iter().filter(|image| image.made.is_some()).count();
        let ended = match made {
            0 => Ended::skipped(format!("{} there already", count(tasks.len(), "image"))),
            made => Ended::done(count(made, "image")),
        };
        Ok((ended, images))
    })
    .await
}

fn folder(task: &ExternalTask) -> Option<&str> {
    match &task.origin {
        Origin::Folder(folder) => Some(folder.as_str()),
        Origin::Image(_) => None,
    }
}

impl TaskImages {
    async fn add(&mut self, session: &Session, task: &ExternalTask, sink: &Sink) -> Result<()> {
        let image = match &task.origin {
            Origin::Image(image) => foreign(&session.project.root, image, sink).await?,
            Origin::Folder(folder) => {
                let what = (task.name.as_str(), folder.as_str());
                let planned = planned_task(&session.project.root, &session.environment, what, sink).await?;
                let pushing = pushing_as(session, planned, sink).await?;
                let image = pushing.by_digest();
                self.built.push(Arc::new(pushing));
                image
            }
        };
        self.named.insert(task.name.to_string(), image);
        Ok(())
    }
}

/// What an image of somebody else is called for good: a tag is looked up once, as that of a base is.
pub async fn foreign(root: &Path, image: &ForeignImage, sink: &Sink) -> Result<String> {
    let reference = image.reference();
    let (_, found) = pinned(root, reference, sink).await.map_err(|fail| {
        fail.hint(format!("if the registry needs a login, name `{reference}` by its digest: `…@sha256:…`"))
    })?;
    let digest = found.digest().ok_or_else(|| Fail::bug("an image without a digest"))?;
    Ok(format!("{}/{}@{digest}", found.registry(), found.repository()))
}
