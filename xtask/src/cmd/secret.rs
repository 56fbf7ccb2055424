//! `secret`: shows a secret of the environment to the person who asks for it.

use crate::fail::Result;
use crate::model::names::outputs;
use crate::observe::{airflow, stack};
use crate::report::Told;
use crate::session::Session;
use crate::ui::{EnvArg, Ui};
use clap::{Args, ValueEnum};
use serde::Serialize;

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

/// The one place that prints a secret: somebody asked for it.
#[derive(Serialize)]
struct Shown {
    username: String,
    password: String,
}

pub async fn run(args: &Secret, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    let (client, environment) = (&session.aws.cloudformation, &session.environment);
    let stack = stack::existing(client, &environment.stack_name(), environment.name.as_str()).await?;
    let secret = match args.which {
        Which::Admin => outputs::ADMIN_SECRET,
        Which::Service => outputs::SERVICE_SECRET,
    };
    let login = airflow::login(&session.aws, stack.output(secret)?).await?;
    let password = login.password.expose().to_owned();
    ui.show(&Told { text: format!("{password}\n"), document: Shown { username: login.username, password } });
    Ok(())
}
