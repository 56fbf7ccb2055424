//! `history`: the deployments of an environment.

use super::project::{EnvArg, Project};
use super::ui::Ui;
use crate::fail::Result;
use crate::model::release::Deployment;
use crate::observe;
use crate::report::table::{seconds, table};
use clap::Args;
use serde_json::{Value, json};

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
    let project = Project::find()?;
    let environment = project.environment(&args.env)?;
    let aws = project.connect(&environment).await?;
    let all = observe::release::deployments(
        &aws,
        &environment.artifact_bucket(),
        environment.name.as_str(),
        args.most,
    )
    .await?;
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let text = if rows.is_empty() {
        "no deployment yet\n".to_owned()
    } else {
        table(&["started", "release", "outcome", "took", "by"], &rows)
    };
    ui.data(&text, &Value::Array(all.iter().map(object).collect()));
    Ok(())
}

fn row(deployment: &Deployment) -> Vec<String> {
    let started = deployment.started.get(..19).unwrap_or_default().replace('T', " ");
    vec![
        started,
        deployment.release.clone(),
        deployment.outcome.word().to_owned(),
        seconds(deployment.seconds),
        deployment.by.clone(),
    ]
}

fn object(deployment: &Deployment) -> Value {
    json!({
        "deployment": deployment.deployment,
        "release": deployment.release,
        "outcome": deployment.outcome,
        "started": deployment.started,
        "seconds": deployment.seconds,
        "by": deployment.by,
    })
}
