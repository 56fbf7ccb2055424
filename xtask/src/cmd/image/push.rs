//! `image push`: to the registry whatever it lacks.

use super::Push;
use crate::apply::timed::{Ended, timed};
use crate::fail::Result;
use crate::report::image::Pushed;
use crate::session::Session;
use crate::session::image::{self, Place};
use crate::session::project::Project;
use crate::ui::Ui;

pub async fn run(args: &Push, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env.env)?;
    let (sink, mut records) = (ui.sink(), Vec::new());
    let session = Session::open_for_writing(project, environment, &sink.step("setup")).await?;
    let place = Place::of(&session).await?;
    let step = sink.step("build");
    let (planned, present) = timed(&step, &mut records, async {
        let planned = image::planned(&session.project.root, &session.environment.container, &step).await?;
        let tag = planned.recipe.tag.clone();
        Ok(match place.digest(&tag).await? {
            Some(digest) => (Ended::skipped("the registry has it already"), (Err(tag), Some(digest))),
            None => {
                let made = planned.build(&step).await?;
                (Ended::done(made.0.document.digest.short()), (Ok(made), None))
            }
        })
    })
    .await?;
    let (tag, digest, sent) = match (planned, present) {
        (Err(tag), Some(digest)) => (tag, digest, None),
        (Ok((made, planned)), _) => {
            let (digest, sent) = planned.push(&made, &place, &sink).await?;
            (planned.recipe.tag, digest, Some(sent))
        }
        (Err(tag), None) => return Err(crate::fail::Fail::bug(format!("no image `{tag}`"))),
    };
    ui.show(&Pushed::new(&place.name(), tag, digest, sent.map(|sent| (sent.layers, sent.bytes))));
    Ok(())
}
