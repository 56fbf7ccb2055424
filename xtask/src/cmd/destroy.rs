//! `destroy`: an environment away, with everything it was made of.

use crate::apply::destroy::{self, Doomed, Remains};
use crate::apply::lease::{self, Lease};
use crate::doors::store::Store;
use crate::fail::Result;
use crate::model::event::Sink;
use crate::report::Told;
use crate::session::Setup;
use crate::session::project::Project;
use crate::session::waiting::Patience;
use crate::ui::{EnvArg, Ui, WaitArg};
use clap::Args;
use serde::Serialize;

/// Delete an environment: its stacks, hosts, database, logs and records.
///
/// Running tasks are cut short. Bundles and templates stay in the artifact bucket of the account,
/// which other environments use too. If the command is interrupted, run it again: it continues where
/// it stopped.
///
/// Example: cargo xtask destroy --env local
#[derive(Args, Debug)]
pub struct Destroy {
    #[command(flatten)]
    pub env: EnvArg,
    #[command(flatten)]
    pub wait: WaitArg,
}

#[derive(Serialize)]
struct Destroyed<'a> {
    environment: &'a str,
    outcome: &'static str,
}

pub async fn run(args: &Destroy, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env.env)?;
    // Before anything is connected: that would start the local cloud.
    ui.can_consent(&format!(
        "Delete environment `{}` with its database, logs and history?",
        environment.name
    ))?;
    let patience = Patience::of(args.wait.wait);
    let mut setup = Setup::begin(project, environment, ui.sink()).await?;
    setup.wait(&patience).await?;
    let (session, name) = (&setup.session, setup.session.store.environment());
    let stack = session.environment.stack_name();
    let doomed = Doomed { aws: &session.aws, store: &session.store, stack: &stack, sink: &setup.sink };
    let remains = destroy::look(doomed).await?;
    if remains.is_nothing() {
        let document = Destroyed { environment: name, outcome: "unchanged" };
        let text = format!("environment `{name}` does not exist, nothing was deleted\n");
        ui.show(&Told { text, document });
        return Ok(());
    }
    ui.consent(&question(name, &remains))?;
    // Without the bucket there are no records to fight over, and no place for a lease.
    let held = match remains.records.as_slice() {
        [] => None,
        _ => Some(acquire(&session.store, &patience, &setup.sink).await?),
    };
    let work = destroy::run(doomed, &remains, &mut setup.records);
    let result = match &held {
        Some(lease) => lease.during(Box::pin(work)).await,
        None => work.await,
    };
    if let (Err(_), Some(lease)) = (&result, held) {
        // What is left is not a release; the next command must look at all of it.
        let _ = lease.abandon().await;
    }
    result?;
    let document = Destroyed { environment: name, outcome: "destroyed" };
    ui.show(&Told { text: format!("environment `{name}` is gone\n"), document });
    Ok(())
}

async fn acquire(store: &Store, patience: &Patience, sink: &Sink) -> Result<Lease> {
    loop {
        match lease::acquire(store).await {
            Err(fail) if patience.outlasts(&fail) => patience.until_free(store, sink).await?,
            taken => return taken,
        }
    }
}

fn question(name: &str, remains: &Remains) -> String {
    let left = &remains.leftovers;
    let kept: Vec<&str> = left.buckets.iter().chain(&left.secrets).map(String::as_str).collect();
    let kept = if kept.is_empty() { String::new() } else { format!("\nThis too: {}", kept.join(", ")) };
    format!("Delete environment `{name}` with its database, logs and history?{kept}")
}
