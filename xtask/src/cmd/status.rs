//! `status`: what an environment runs and whether it is well.

use crate::doors::airflow::Component;
use crate::doors::time;
use crate::fail::Result;
use crate::model::loss::Losses;
use crate::model::names::outputs;
use crate::observe::lease::{Document, Seen};
use crate::observe::{airflow, lease, losses, release, services, stack, workers};
use crate::report::status::{ComponentHealth, Status as Report, Work};
use crate::session::Session;
use crate::ui::{EnvArg, Ui};
use clap::Args;

/// For how long it is told what workers have cut short.
const LATELY: i64 = 24 * 60 * 60;

/// Show what an environment runs, and whether each component is well.
///
/// Example: cargo xtask status --env local
#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(args: &Status, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    let stack_name = session.environment.stack_name();
    let (current, stack, holder) = tokio::join!(
        release::current(&session.store),
        stack::describe_only(&session.aws.cloudformation, &stack_name),
        lease::look(&session.store),
    );
    let (current, stack, holder) = (current?, stack?, holder?);
    let reached =
        stack.as_ref().and_then(|stack| airflow::url(session.cloud(), &stack.outputs, &stack.parameters));
    let components = match &reached {
        Some(url) => airflow::health(url).await.map_err(|fail| fail.to_string()),
        None => Ok(Vec::new()),
    };
    let (mut services, mut workers) = (Vec::new(), Vec::new());
    if let Some(stack) = &stack {
        services = services::read(&session.aws, &stack.outputs, &stack.parameters).await?;
        services.extend(services::beside(&session.aws, &stack.outputs).await?);
        workers = workers::sets(&session.aws, &stack.outputs).await?;
    }
    let lately = losses::since(&session.store, &time::rfc3339(time::unix() - LATELY)).await?;
    let pointer = current.pointer.map(|found| found.value);
    ui.show(&Report {
        environment: session.store.environment().to_owned(),
        release: pointer.as_ref().map(|pointer| pointer.release.clone()),
        bundle: pointer.map(|pointer| pointer.bundle),
        runtime: current.release.as_ref().map(|release| *release.runtime.digest()),
        git: current.release.and_then(|release| release.git.clone()),
        url: stack.as_ref().and_then(|stack| stack.outputs.get(outputs::AIRFLOW_URL).cloned()),
        stack: stack.map(|stack| stack.status),
        components: components.map(|components| components.into_iter().map(health).collect()),
        services,
        workers,
        losses: Losses::of(lately),
        work: holder.filter(|holder| holder.document().held).map(work),
    });
    Ok(())
}

fn health(component: Component) -> ComponentHealth {
    let age = component.heartbeat.as_deref().and_then(time::age_seconds);
    ComponentHealth { name: component.name, healthy: component.healthy, heartbeat_age: age }
}

fn work(holder: Seen) -> Work {
    let live = holder.is_live();
    let Document { by, host, since, run_url: url, .. } = holder.found.value;
    Work { live, by, host, since, url }
}
