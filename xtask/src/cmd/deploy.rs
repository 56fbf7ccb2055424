//! `deploy`: from the tree to an environment that runs it.

use super::project::EnvArg;
use super::ui::Ui;
use super::{connect, preflight, release, target};
use crate::apply::context::Runs;
use crate::fail::Result;
use crate::plan::deploy::Source;
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
    /// Deploy although unfinished runs would fail, because their DAG is moved or removed.
    #[arg(long)]
    pub force: bool,
}

pub async fn run(args: &Deploy, ui: &Ui) -> Result<()> {
    let (project, environment) = preflight::ready(&args.env)?;
    let desk = connect::desk(project, environment, ui).await?;
    let tree = desk.tree()?;
    let artifacts = target::artifacts(&tree);
    let mut ready = desk.ready(ui, tree.release, Source::Tree, artifacts).await?;
    if args.force {
        ready.context.runs = Runs::Sacrifice;
    }
    release::carry_out(ready, ui).await
}
