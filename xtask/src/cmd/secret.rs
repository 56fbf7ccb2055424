//! `secret`: shows a secret of the environment to the person who asks for it.

use super::project::{EnvArg, Project};
use super::ui::Ui;
use crate::apply::airflow;
use crate::fail::Result;
use crate::model::names::outputs;
use crate::observe;
use clap::{Args, ValueEnum};
use serde_json::json;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Which {
    /// The password of Airflow's admin.
    Admin,
    /// The password of the user `service`, with which programs use the API.
    Service,
}

/// Print a secret of an environment.
///
/// Example: cargo xtask secret admin --env local
#[derive(Args, Debug)]
pub struct Secret {
    /// Which secret.
    #[arg(value_enum)]
    pub which: Which,
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(args: &Secret, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env)?;
    let aws = project.connect(&environment).await?;
    let (client, name) = (&aws.cloudformation, environment.name.as_str());
    let stack = observe::stack::existing(client, &environment.stack_name(), name).await?;
    let secret = match args.which {
        Which::Admin => outputs::ADMIN_SECRET,
        Which::Service => outputs::SERVICE_SECRET,
    };
    let login = airflow::login(&aws, stack.output(secret)?).await?;
    let value = json!({ "username": login.username, "password": login.password.expose() });
    ui.data(&format!("{}\n", login.password.expose()), &value);
    Ok(())
}
