//! `image build`: layers and documents in the cache.

use super::Build;
use crate::apply::timed::{Ended, timed};
use crate::doors::fs;
use crate::fail::Result;
use crate::report::image::Built;
use crate::session::image;
use crate::session::project::Project;
use crate::ui::Ui;

pub async fn run(args: &Build, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env.env)?;
    let (sink, mut records) = (ui.sink().step("build"), Vec::new());
    let (made, planned) = timed(&sink, &mut records, async {
        let planned = image::planned(&project.root, &environment, &sink).await?;
        let (made, planned) = planned.build(&sink).await?;
        Ok((Ended::done(made.document.digest.short()), (made, planned)))
    })
    .await?;
    if let Some(file) = &args.sbom {
        fs::write(file, &made.sbom.bytes)?;
    }
    let tag = planned.recipe.tag.clone();
    ui.show(&Built::new(tag, planned.base().to_owned(), made.document.digest, &made.images));
    Ok(())
}
