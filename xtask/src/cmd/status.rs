//! `status`: what an environment runs and whether it is well.

use super::project::{EnvArg, Project};
use super::ui::Ui;
use crate::apply::{airflow, lease};
use crate::doors::airflow::Airflow;
use crate::fail::Result;
use crate::model::names::{self, outputs};
use crate::observe;
use crate::report::status::{self, Row, Status as Report, Work};
use clap::Args;

/// Show what an environment runs, and whether each component is well.
///
/// Example: cargo xtask status --env local
#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(args: &Status, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env)?;
    let aws = project.connect(&environment).await?;
    let (bucket, name) = (environment.artifact_bucket(), environment.name.as_str());
    let stack_name = environment.stack_name();
    let (current, stack, holder) = tokio::join!(
        observe::release::current(&aws, &bucket, name),
        observe::stack::describe_only(&aws.cloudformation, &stack_name),
        lease::look(&aws, &bucket, name),
    );
    let (current, stack, holder) = (current?, stack?, holder?);
    let url = stack.as_ref().and_then(|stack| stack.outputs.get(outputs::AIRFLOW_URL).cloned());
    let reached = stack
        .as_ref()
        .and_then(|stack| names::airflow_url(aws.endpoint.as_deref(), &stack.outputs, &stack.parameters));
    let health = match &reached {
        Some(url) => airflow::ask(&Airflow::new(url), Airflow::health).await.map_err(|fail| fail.to_string()),
        None => Ok(Vec::new()),
    };
    let pointer = current.pointer.map(|found| found.value);
    let report = Report {
        environment: name.to_owned(),
        release: pointer.as_ref().map(|pointer| pointer.release.clone()),
        bundle: pointer.map(|pointer| pointer.bundle),
        host: current.release.map(|release| release.host),
        stack: stack.map(|stack| stack.status),
        components: health.map(|components| components.into_iter().map(row).collect()),
        work: holder.filter(|holder| holder.held).map(work),
        url,
    };
    ui.data(&status::text(&report), &status::json(&report));
    Ok(())
}

fn row(component: crate::doors::airflow::Component) -> Row {
    let age = component.heartbeat.as_deref().and_then(crate::doors::time::age_seconds);
    Row { name: component.name, healthy: component.healthy, heartbeat_age: age }
}

fn work(holder: lease::Document) -> Work {
    Work {
        live: holder.is_live(),
        by: holder.by,
        host: holder.host,
        since: holder.since,
        url: holder.run_url,
    }
}
