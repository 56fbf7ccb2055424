//! `rollback`: an earlier release again, all of it.

use super::project::{EnvArg, Project};
use super::ui::Ui;
use super::{connect, release};
use crate::apply::context::Artifacts;
use crate::fail::{Fail, Result};
use crate::model::release::Outcome;
use crate::observe;
use crate::plan::deploy::Source;
use clap::Args;

/// Bring an environment back to an earlier release: bundle, hosts, templates and parameters.
///
/// Example: cargo xtask rollback --env local
#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    pub env: EnvArg,
    /// The release to return to; without it, the one that ran before the current one.
    #[arg(value_name = "RELEASE")]
    pub release: Option<String>,
}

pub async fn run(args: &Rollback, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env)?;
    let desk = connect::desk(project, environment, ui).await?;
    let id = match &args.release {
        Some(id) => id.clone(),
        None => before_current(&desk).await?,
    };
    let target =
        observe::release::release(&desk.aws, &desk.bucket, desk.environment.name.as_str(), &id).await?;
    let body = observe::release::whole(&desk.aws, &desk.bucket, &id, &target).await?;
    let artifacts = Artifacts { templates: vec![desk.recorded(&target, body)], ..Artifacts::default() };
    let ready = desk.ready(ui, target, Source::Record, artifacts).await?;
    release::carry_out(ready, ui).await
}

/// The last release that was deployed with success before the one that runs now.
async fn before_current(desk: &connect::Desk) -> Result<String> {
    let name = desk.environment.name.as_str();
    let current = observe::release::current(&desk.aws, &desk.bucket, name).await?;
    let current = current.pointer.map(|found| found.value.release);
    let all = observe::release::deployments(&desk.aws, &desk.bucket, name, 50).await?;
    let earlier = all.iter().find(|d| d.outcome == Outcome::Deployed && Some(&d.release) != current.as_ref());
    earlier.map(|deployment| deployment.release.clone()).ok_or_else(|| {
        Fail::usage(format!("`{name}` has no earlier release to return to"))
            .hint(format!("see what there is: cargo xtask history --env {name}"))
    })
}
