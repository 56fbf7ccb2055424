//! `image push`: to the registry whatever it lacks.

use super::Push;
use crate::apply::timed::{Ended, timed};
use crate::fail::Result;
use crate::report::image::Pushed;
use crate::session::Session;
use crate::session::image;
use crate::session::project::Project;
use crate::ui::Ui;

pub async fn run(args: &Push, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env.env)?;
    let (sink, mut records) = (ui.sink(), Vec::new());
    let session = Session::open_for_writing(project, environment, &sink.step("setup")).await?;
    let step = sink.step("build");
    let pushing = timed(&step, &mut records, async {
        let pushing = image::pushing(&session, &step).await?;
        let ended = match pushing.made {
            Some(_) => Ended::done(pushing.digest.short()),
            None => Ended::skipped("the registry has it already"),
        };
        Ok((ended, pushing))
    })
    .await?;
    let (digest, sent) = pushing.push(&sink).await?;
    let tag = pushing.image.tag().unwrap_or_default().to_owned();
    ui.show(&Pushed::new(&pushing.name(), tag, digest, sent.map(|sent| (sent.layers, sent.bytes))));
    Ok(())
}
