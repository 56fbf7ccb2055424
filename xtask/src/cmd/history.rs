//! `history`: the deployments of an environment.

use crate::fail::Result;
use crate::observe::release;
use crate::report::history;
use crate::session::Session;
use crate::ui::{EnvArg, Ui};
use clap::Args;

/// List the deployments of an environment, newest first.
///
/// Example: cargo xtask history --env local
#[derive(Args, Debug)]
pub struct History {
    #[command(flatten)]
    pub env: EnvArg,
    /// How many to show at most.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub most: usize,
}

pub async fn run(args: &History, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    ui.show(&history::History::new(release::deployments(&session.store, args.most).await?));
    Ok(())
}
