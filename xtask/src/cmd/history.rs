//! `history`: the deployments of an environment, and one release whole.

use crate::fail::Result;
use crate::observe::{history, lease, release};
use crate::report::history::History as Report;
use crate::report::release::Release;
use crate::session::Session;
use crate::ui::{EnvArg, Ui};
use clap::Args;

/// List the deployments of an environment, newest first.
///
/// A deployment that was killed tells how far it came. With --release everything is shown that is known of
/// one release: what it is made of, and every deployment of it with its steps.
///
/// Example: cargo xtask history --env local
#[derive(Args, Debug)]
pub struct History {
    #[command(flatten)]
    pub env: EnvArg,
    /// How many to show at most.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub most: usize,
    /// Show this release, and the deployments of it.
    #[arg(long, value_name = "ID", conflicts_with = "most")]
    pub release: Option<String>,
}

pub async fn run(args: &History, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    match &args.release {
        Some(id) => one(&session, id, ui).await,
        None => all(&session, args.most, ui).await,
    }
}

async fn all(session: &Session, most: usize, ui: &Ui) -> Result<()> {
    let store = &session.store;
    let (deployments, holder) = tokio::join!(release::deployments(store, most), lease::look(store));
    let holder = holder?;
    let told = deployments?.into_iter().map(|one| {
        let standing = history::standing(&one, holder.as_ref());
        (one, standing)
    });
    ui.show(&Report::new(told.collect()));
    Ok(())
}

async fn one(session: &Session, id: &str, ui: &Ui) -> Result<()> {
    let store = &session.store;
    let (current, deployments, holder) =
        tokio::join!(release::current(store), history::of_release(store, id), lease::look(store));
    let (current, deployments, holder) = (current?, deployments?, holder?);
    // One that was killed early has deployments, and no record yet.
    let record = match deployments.is_empty() {
        true => Some(release::release(store, id).await?),
        false => release::recorded(store, id).await?,
    };
    let told = deployments.into_iter().map(|one| {
        let standing = history::standing(&one, holder.as_ref());
        (one, standing)
    });
    ui.show(&Release {
        environment: store.environment().to_owned(),
        id: id.to_owned(),
        is_current: current.pointer.is_some_and(|found| found.value.release == id),
        record,
        deployments: told.collect(),
    });
    Ok(())
}
