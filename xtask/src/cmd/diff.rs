//! `diff`: two recorded releases beside each other.

use crate::fail::{Fail, Result};
use crate::model::release::Release;
use crate::observe::release;
use crate::report::diff::Diff as Report;
use crate::session::Session;
use crate::session::comparison::compare;
use crate::ui::{EnvArg, Ui};
use clap::Args;

/// Show what is different between two releases: parameters, templates, DAGs, objects and packages.
///
/// Releases are named by their ids, which `history` lists. What the tree would change is shown by `plan`.
///
/// Example: cargo xtask diff 0123456789ab --env local
#[derive(Args, Debug)]
pub struct Diff {
    /// The release to begin with.
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The release to compare it with; by default the one that runs.
    #[arg(value_name = "TO")]
    pub to: Option<String>,
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(args: &Diff, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    let store = &session.store;
    let (from, to) = tokio::join!(release::release(store, &args.from), target(&session, args.to.as_deref()));
    let comparison = compare(&session, from?, to?).await;
    ui.show(&Report { environment: store.environment().to_owned(), comparison });
    Ok(())
}

async fn target(session: &Session, id: Option<&str>) -> Result<Release> {
    match id {
        Some(id) => release::release(&session.store, id).await,
        None => release::current(&session.store).await?.release.ok_or_else(|| {
            let name = session.store.environment();
            Fail::usage(format!("`{name}` runs no release yet"))
                .hint(format!("deploy one: cargo xtask deploy --env {name}"))
        }),
    }
}
