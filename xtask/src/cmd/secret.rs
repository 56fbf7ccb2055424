//! `secret`: shows a secret of the environment to the person who asks for it, and stores those of people.

use crate::apply::secret::{Stored, store};
use crate::config::SecretName;
use crate::doors::term;
use crate::fail::{Fail, Result};
use crate::model::names::outputs;
use crate::observe::{airflow, stack};
use crate::report::Told;
use crate::session::Session;
use crate::ui::{EnvArg, Ui};
use clap::{Args, Subcommand};
use serde::Serialize;

/// Print or store a secret of an environment.
///
/// Example: cargo xtask secret admin --env local
#[derive(Subcommand, Debug)]
pub enum Secret {
    /// Print the password of Airflow's admin.
    ///
    /// Example: cargo xtask secret admin --env local
    Admin(EnvArg),
    /// Print the password of the user `service`, with which programs use the API.
    ///
    /// Example: cargo xtask secret service --env local
    Service(EnvArg),
    /// Print the password of Flower's user, `flower`.
    ///
    /// Example: cargo xtask secret flower --env dev
    Flower(EnvArg),
    Set(Set),
}

/// Store a secret, read from standard input.
///
/// It is kept in Secrets Manager as `ductwork/ENV/NAME`. On a terminal, the value is asked for and not
/// shown. DAGs see the new value of a connection or variable at once; `login/google` needs a deployment, which
/// restarts what reads it. `dags/git` is the private key or token of the repository that DAGs come from.
///
/// Example: cargo xtask secret set connections/warehouse --env dev < password.txt
#[derive(Args, Debug)]
pub struct Set {
    /// `connections/ID`, `variables/KEY`, `login/google`, `image/registry`, `packages/index` or `dags/git`.
    pub name: String,
    #[command(flatten)]
    pub env: EnvArg,
}

/// The one place that prints a secret: somebody asked for it.
#[derive(Serialize)]
struct Shown {
    username: String,
    password: String,
}

#[derive(Serialize)]
struct Kept {
    secret: String,
    action: Stored,
}

pub async fn run(args: &Secret, ui: &Ui) -> Result<()> {
    match args {
        Secret::Admin(env) => show(env, outputs::ADMIN_SECRET, ui).await,
        Secret::Service(env) => show(env, outputs::SERVICE_SECRET, ui).await,
        Secret::Flower(env) => show(env, outputs::FLOWER_SECRET, ui).await,
        Secret::Set(set) => keep(set, ui).await,
    }
}

async fn show(env: &EnvArg, secret: &str, ui: &Ui) -> Result<()> {
    let session = Session::open(&env.env).await?;
    let (client, environment) = (&session.aws.cloudformation, &session.environment);
    let stack = stack::existing(client, &environment.stack_name(), environment.name.as_str()).await?;
    if secret == outputs::FLOWER_SECRET && !stack.outputs.contains_key(secret) {
        let message = format!("Flower does not run in `{}`", environment.name);
        return Err(Fail::failed(message).hint("set `flower = true` under `[broker]`, then deploy"));
    }
    let login = airflow::login(&session.aws, stack.output(secret)?).await?;
    let password = login.password.expose().to_owned();
    ui.show(&Told { text: format!("{password}\n"), document: Shown { username: login.username, password } });
    Ok(())
}

async fn keep(args: &Set, ui: &Ui) -> Result<()> {
    let name = SecretName::parse(&args.name).map_err(|no| Fail::usage(no.message).hint(no.hint))?;
    let session = Session::open(&args.env.env).await?;
    let id = name.of(session.environment.name.as_str());
    let value = term::secret(&format!("value of `{id}` (not shown): "))?;
    if value.expose().is_empty() {
        return Err(Fail::usage("the value is empty").hint(format!(
            "give it on standard input: cargo xtask secret set {name} --env {} < FILE",
            args.env.env
        )));
    }
    let action = store(&session.aws, &id, &value, &session.environment.tags()).await?;
    let word = if action == Stored::Created { "created" } else { "replaced" };
    ui.show(&Told { text: format!("{word} the secret `{id}`\n"), document: Kept { secret: id, action } });
    Ok(())
}
