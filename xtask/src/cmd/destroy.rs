//! `destroy`: an environment away, with everything it was made of.

use super::project::{EnvArg, Project};
use super::{connect, ui::Ui};
use crate::apply::destroy::{self, Remains, Subject};
use crate::apply::lease;
use crate::fail::Result;
use clap::Args;
use serde_json::json;

/// Delete an environment: its stacks, hosts, database, logs and records.
///
/// Bundles and templates stay in the artifact bucket of the account, which other environments use
/// too. A destruction that was broken off goes on where it stopped when the command is run again.
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
    // Before anything is connected: that would start the local cloud.
    ui.can_consent(&format!(
        "Delete environment `{}` with its database, logs and history?",
        environment.name
    ))?;
    let mut desk = connect::desk(project, environment, ui).await?;
    let (name, stack) = (desk.environment.name.to_string(), desk.environment.stack_name());
    let subject =
        Subject { aws: &desk.aws, bucket: &desk.bucket, environment: &name, stack: &stack, sink: &desk.sink };
    let remains = destroy::look(subject).await?;
    if remains.is_nothing() {
        ui.data(
            &format!("there is no environment `{name}`, nothing was deleted\n"),
            &json!({ "environment": name, "outcome": "unchanged" }),
        );
        return Ok(());
    }
    ui.consent(&question(&name, &remains))?;
    // Without the bucket there are no records to fight over, and no place for a lease.
    let held = match remains.records.as_slice() {
        [] => None,
        _ => Some(lease::acquire(&desk.aws, &desk.bucket, &name).await?),
    };
    let result = destroy::run(subject, &remains, &mut desk.progress).await;
    if let (Err(_), Some(lease)) = (&result, held) {
        // What is left is no release; whoever comes next must look at all of it.
        let _ = lease.abandon().await;
    }
    result?;
    ui.data(
        &format!("environment `{name}` is gone\n"),
        &json!({ "environment": name, "outcome": "destroyed" }),
    );
    Ok(())
}

fn question(name: &str, remains: &Remains) -> String {
    let left = &remains.leftovers;
    let kept: Vec<&str> = left.buckets.iter().chain(&left.secrets).map(String::as_str).collect();
    let kept = if kept.is_empty() { String::new() } else { format!("\nThis too: {}", kept.join(", ")) };
    format!("Delete environment `{name}` with its database, logs and history?{kept}")
}
