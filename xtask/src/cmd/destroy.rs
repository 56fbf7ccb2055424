//! `destroy`: an environment away, with everything it was made of.

use super::project::{EnvArg, Project};
use super::{connect, ui::Ui};
use crate::apply::{lease, stack};
use crate::fail::Result;
use clap::Args;
use serde_json::json;

/// Delete an environment: its stacks, hosts, database and records.
///
/// Artifacts stay in the bucket of the account, which other environments use too.
///
/// Example: cargo xtask destroy --env local
#[derive(Args, Debug)]
pub struct Destroy {
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(args: &Destroy, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env)?;
    let name = environment.name.to_string();
    // Before anything is connected: that would start the local cloud.
    ui.consent(&format!("Delete environment `{name}` with its database, logs and history?"))?;
    let desk = connect::desk(project, environment, ui).await?;
    let lease = lease::acquire(&desk.aws, &desk.bucket, &name).await?;
    let gone = stack::destroy(&desk.aws, &desk.environment.stack_name(), &desk.sink, "destroy").await;
    let cleaned = match gone {
        Ok(()) => stack::forget(&desk.aws, &desk.bucket, &name).await,
        Err(fail) => Err(fail),
    };
    if cleaned.is_err() {
        lease.release().await?;
    }
    cleaned?;
    ui.data(
        &format!("environment `{name}` is gone\n"),
        &json!({ "environment": name, "outcome": "destroyed" }),
    );
    Ok(())
}
