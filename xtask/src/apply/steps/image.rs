//! Step `image`: the container image to its registry.

use super::super::context::{Context, State};
use super::super::timed::Ended;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::text::bytes;

pub(super) async fn run(context: &Context, digest: &Digest, state: &mut State, sink: &Sink) -> Result<Ended> {
    let image = context.artifacts.image.as_ref().filter(|image| image.digest == *digest);
    let image = image.ok_or_else(|| Fail::bug("there is no image to push"))?;
    let (found, sent) = image.push(sink).await?;
    if found != *digest {
        let meanwhile =
            Fail::failed(format!("somebody else has pushed `{}` since the plan was made", image.name()));
        return Err(meanwhile.hint("run the same command again: it takes theirs"));
    }
    match sent {
        Some(sent) => {
            state.uploads += sent.layers;
            Ok(Ended::done(format!("{}, {} pushed", digest.short(), bytes(sent.bytes))))
        }
        None => Ok(Ended::skipped(format!("{} is there already", digest.short()))),
    }
}
