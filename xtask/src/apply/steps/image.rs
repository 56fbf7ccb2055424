//! The steps `image` and `task images`: container images to their registry.

use super::super::context::{Context, State};
use super::super::timed::Ended;
use crate::apply::image::{Pushing, Sent};
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::text::{bytes, count};

pub(super) async fn run(context: &Context, digest: &Digest, state: &mut State, sink: &Sink) -> Result<Ended> {
    let image = context.artifacts.image.as_ref().filter(|image| image.digest == *digest);
    let image = image.ok_or_else(|| Fail::bug("there is no image to push"))?;
    match pushed(image, state, sink).await? {
        Some(sent) => Ok(Ended::done(format!("{}, {} pushed", digest.short(), bytes(sent.bytes)))),
        None => Ok(Ended::skipped(format!("{} is there already", digest.short()))),
    }
}

/// What the registry lacks of those that were built here; others come from elsewhere.
pub(super) async fn of_tasks(
    context: &Context,
    images: &[String],
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    let built = &context.artifacts.task_images;
    let (mut new, mut total) = (0, 0);
    for image in built.iter().filter(|image| images.contains(&image.by_digest())) {
        if let Some(sent) = pushed(image, state, sink).await? {
            new += 1;
            total += sent.bytes;
        }
    }
    match new {
        0 => Ok(Ended::skipped(format!("{} there already", count(images.len(), "image")))),
        new => Ok(Ended::done(format!("{}, {} pushed", count(new, "image"), bytes(total)))),
    }
}

/// What was sent of an image; the plan relies on its digest.
async fn pushed(image: &Pushing, state: &mut State, sink: &Sink) -> Result<Option<Sent>> {
    let (found, sent) = image.push(sink).await?;
    if found != image.digest {
        let meanwhile =
            Fail::failed(format!("somebody else has pushed `{}` since the plan was made", image.name()));
        return Err(meanwhile.hint("run the same command again: it takes theirs"));
    }
    state.uploads += sent.map_or(0, |sent| sent.layers);
    Ok(sent)
}
