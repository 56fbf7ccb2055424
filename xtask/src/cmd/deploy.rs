//! `deploy`: from the tree to an environment that runs it.

use super::project::EnvArg;
use super::ui::Ui;
use super::{prepare, release};
use crate::fail::Result;
use crate::plan::deploy::Source;
use crate::report::deploy;
use clap::Args;

/// Bring an environment to what this tree says: stacks, hosts and DAGs.
///
/// Only what differs is touched; where nothing does, nothing happens. A failed gate brings the
/// previous release back.
///
/// Example: cargo xtask deploy --env local
#[derive(Args, Debug)]
pub struct Deploy {
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(args: &Deploy, ui: &Ui) -> Result<()> {
    let desk = prepare::desk(&args.env, ui).await?;
    let target = desk.tree()?;
    let artifacts = prepare::artifacts(&target);
    let ready = desk.ready(ui, target.release, Source::Tree, artifacts).await?;
    let closing = release::carry_out(ready, ui).await?;
    ui.data(&deploy::text(&closing), &deploy::json(&closing));
    Ok(())
}
