//! `status`: what an environment runs and whether it is well.

use super::project::{EnvArg, Project};
use super::ui::Ui;
use crate::apply::airflow;
use crate::doors::airflow::{Airflow, Component};
use crate::doors::time;
use crate::fail::Result;
use crate::model::names::outputs;
use crate::model::release::Release;
use crate::observe;
use crate::report::table::table;
use clap::Args;
use serde_json::{Value, json};

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
    let current =
        observe::release::current(&aws, &environment.artifact_bucket(), environment.name.as_str()).await?;
    let stack = observe::stack::existing(&aws.cloudformation, &environment.stack_name()).await?;
    let url = stack.output(outputs::AIRFLOW_URL)?;
    let health = airflow::ask(&Airflow::new(url), Airflow::health).await;
    let pointer = current.pointer.map(|found| found.value);
    let revision = current.release.as_ref().map(|release: &Release| release.host.short());
    let components = health.as_ref().map(Vec::as_slice).unwrap_or_default();
    let value = json!({
        "environment": environment.name.as_str(),
        "release": pointer.as_ref().map(|pointer| &pointer.release),
        "bundle": pointer.as_ref().map(|pointer| pointer.bundle),
        "stack": stack.status.to_string(),
        "components": components.iter().map(|c| object(c, revision.as_deref())).collect::<Vec<_>>(),
        "url": url,
    });
    let mut text = format!(
        "environment  {}\nrelease      {}\nbundle       {}\nstack        {}\nurl          {url}\n\n",
        environment.name,
        pointer.as_ref().map_or("none", |pointer| &pointer.release),
        pointer.as_ref().map_or("none".to_owned(), |pointer| pointer.bundle.short()),
        stack.status,
    );
    text += &match &health {
        Ok(components) => {
            table(&["component", "healthy", "heartbeat"], &components.iter().map(row).collect::<Vec<_>>())
        }
        Err(fail) => format!("Airflow does not answer: {fail}\n"),
    };
    ui.data(&text, &value);
    Ok(())
}

fn object(component: &Component, revision: Option<&str>) -> Value {
    json!({
        "name": component.name,
        "healthy": component.healthy,
        "heartbeat_age_s": component.heartbeat.as_deref().and_then(time::age_seconds),
        "revision": revision,
    })
}

fn row(component: &Component) -> Vec<String> {
    let age = component.heartbeat.as_deref().and_then(time::age_seconds);
    let age = age.map(|age| format!("{age:.0} s ago")).unwrap_or_default();
    vec![component.name.clone(), if component.healthy { "yes" } else { "NO" }.to_owned(), age]
}
