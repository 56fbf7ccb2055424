//! `image show`: what the registry has of this tree's image.

use super::Show;
use crate::fail::Result;
use crate::observe::image::stored;
use crate::report::image::Shown;
use crate::session::Session;
use crate::session::image::{self, Place};
use crate::ui::Ui;

pub async fn run(args: &Show, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    let environment = &session.environment;
    let sink = ui.sink().step("show");
    let tag = image::planned(&session.project.root, environment, &sink).await?.recipe.tag;
    let place = Place::of(&session).await?;
    let found = stored::stored(&place.registry, &place.image(&tag)).await?;
    let (digest, mut images) = found.map_or((None, Vec::new()), |(digest, images)| (Some(digest), images));
    // Only ECR scans, and only its own.
    if environment.container.repository.is_none() && !environment.is_local() {
        for image in &mut images {
            image.findings = stored::findings(&session.aws, &image.digest).await?;
        }
    }
    ui.show(&Shown { repository: place.name(), tag, digest, images });
    Ok(())
}
